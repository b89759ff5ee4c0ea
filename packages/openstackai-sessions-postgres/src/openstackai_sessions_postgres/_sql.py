"""The tables, functions and statements, as text: what is stored, and how it is changed.

Every write begins by locking the session's row, and what comes after the lock must see what was committed while it
waited. A single SQL statement does not (its snapshot is older than the lock), so the writes are PL/pgSQL functions,
in which each statement has a snapshot of its own: one round trip, and one transaction. Only the common append, which
reads nothing but the locked row, is a plain statement: prepared, it costs half.

Texts name the schema as `{schema}`, filled in as a quoted identifier, and what encloses the body of a function, where
that name may stand too, as `{quote}`. Times are microseconds since the epoch.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from psycopg import sql

__all__ = ["MIGRATIONS", "SMALL_BATCH", "WINDOW", "Statements", "schema_sql", "statements"]

# Batches up to this size have their own prepared append; larger ones go through the function.
SMALL_BATCH = 4

# Windows up to this size have a read of their own. Of a limit that it does not know, the server assumes a tenth of what
# there is: in a long conversation it holds that so dear that it plans each read anew, which takes as long as the read.
WINDOW = 100

# date_part gives a double, exact to the microsecond until the year 2255, where extract would compute with numerics.
NOW = "(date_part('epoch', clock_timestamp()) * 1000000)::bigint"

TABLES = """
CREATE TABLE {schema}.sessions (
    session_id varchar COLLATE "C" PRIMARY KEY,
    life bigint NOT NULL,            -- names this life of the session: never used again for a later one
    alive boolean NOT NULL,          -- false: deleted or purged; the row stays while its operations are remembered
    next_position bigint NOT NULL,
    message_count bigint NOT NULL,
    metadata_bytes bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    ttl bigint,
    deadline bigint,                 -- from this time on nothing of the session is visible
    sweep_at bigint                  -- when to look at the row again: never later than its deadline
) WITH (fillfactor = 70);
CREATE INDEX sessions_sweep_at ON {schema}.sessions (sweep_at) WHERE sweep_at IS NOT NULL;

CREATE TABLE {schema}.messages (
    session_id varchar COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    id varchar COLLATE "C" NOT NULL,
    created_at bigint NOT NULL,
    data text NOT NULL,              -- the message, as compact JSON
    PRIMARY KEY (session_id, position),
    UNIQUE (session_id, id)
);

CREATE TABLE {schema}.metadata (
    session_id varchar COLLATE "C" NOT NULL,
    key varchar COLLATE "C" NOT NULL,
    value text NOT NULL,             -- as compact JSON
    PRIMARY KEY (session_id, key)
);

CREATE TABLE {schema}.operations (
    session_id varchar COLLATE "C" NOT NULL,
    op_id varchar COLLATE "C" NOT NULL,
    digest bytea NOT NULL,           -- of the kind of write and its payload
    at bigint NOT NULL,
    forget_at bigint NOT NULL,
    applied boolean NOT NULL,
    first_position bigint,           -- append and pop: where the messages stood, next to each other,
    ids varchar[] COLLATE "C",       -- their ids,
    positions bigint[],              -- their positions where they were not next to each other,
    times bigint[],                  -- their times where they were not all `at`,
    added boolean[],                 -- which of them the append stored, where not all,
    payload text,                    -- and the message that a pop removed
    PRIMARY KEY (session_id, op_id)
);
CREATE INDEX operations_forget_at ON {schema}.operations (forget_at);
"""

# What a function that writes returns, in this order; a repetition has the digest of the first time.
RETURNS = """RETURNS TABLE (
    o_digest bytea, o_applied boolean, o_at bigint, o_first_position bigint, o_ids varchar[], o_positions bigint[],
    o_times bigint[], o_added boolean[], o_payload bytea, o_problem varchar, o_size bigint)
LANGUAGE plpgsql AS {quote}
#variable_conflict use_column
"""

DECLARE = """    t bigint;
    s {schema}.sessions;
    k {schema}.operations;
    live boolean;
"""

# Lock the session's row, made where there is none, so that two writes to one session id always meet.
LOCK = (
    """    LOOP
        SELECT x.* INTO s FROM {schema}.sessions x WHERE x.session_id = p_session_id FOR NO KEY UPDATE;
        EXIT WHEN FOUND;
        INSERT INTO {schema}.sessions
            (session_id, life, alive, next_position, message_count, metadata_bytes, created_at, updated_at, sweep_at)
            VALUES (p_session_id, 0, false, 1, 0, 0, 0, 0, NOW + p_remember)
            ON CONFLICT (session_id) DO NOTHING;
    END LOOP;
    t := NOW;
    live := s.alive AND (s.deadline IS NULL OR s.deadline > t);
"""
).replace("NOW", NOW)

RECALL = """    SELECT x.* INTO k FROM {schema}.operations x
        WHERE x.session_id = p_session_id AND x.op_id = p_op_id AND x.forget_at > t;
    IF FOUND THEN
        RETURN QUERY SELECT k.digest, k.applied, k.at, k.first_position, k.ids, k.positions, k.times, k.added,
            convert_to(k.payload, 'UTF8'), NULL::varchar, NULL::bigint;
        RETURN;
    END IF;
"""

# Begin a life where there is none. What an earlier one left behind goes first: positions and ids begin again.
BEGIN_LIFE = """    IF NOT live THEN
        DELETE FROM {schema}.messages x WHERE x.session_id = p_session_id;
        DELETE FROM {schema}.metadata x WHERE x.session_id = p_session_id;
        s.life := greatest(s.life + 1, t);
        s.next_position := 1;
        s.message_count := 0;
        s.metadata_bytes := 0;
        s.created_at := t;
        s.ttl := NULL;
        s.sweep_at := NULL;
    END IF;
"""

# The index on sweep_at would make every refreshed deadline an index write, so it is moved only when it must be.
SAVE = """    s.ttl := coalesce(p_ttl, s.ttl);
    UPDATE {schema}.sessions x SET
        life = s.life, alive = true, next_position = s.next_position, message_count = s.message_count,
        metadata_bytes = s.metadata_bytes, created_at = s.created_at, updated_at = t, ttl = s.ttl,
        deadline = t + s.ttl, sweep_at = least(s.sweep_at, t + s.ttl)
        WHERE x.session_id = p_session_id;
"""

REMEMBER = """    INSERT INTO {schema}.operations AS x
        (session_id, op_id, digest, at, forget_at, applied, first_position, ids, positions, times, added, payload)
        VALUES (p_session_id, p_op_id, p_digest, t, t + p_remember, o_applied, o_first_position, o_ids, o_positions,
            o_times, o_added, convert_from(o_payload, 'UTF8'))
        ON CONFLICT (session_id, op_id) DO UPDATE SET
            digest = excluded.digest, at = excluded.at, forget_at = excluded.forget_at, applied = excluded.applied,
            first_position = excluded.first_position, ids = excluded.ids, positions = excluded.positions,
            times = excluded.times, added = excluded.added, payload = excluded.payload;
    o_at := t;
    RETURN NEXT;
"""

# Of the messages given with ids: which are in the log, where, and whether their payloads are the same.
FIND_KNOWN = """    SELECT array_agg(m.position ORDER BY u.i), array_agg(m.created_at ORDER BY u.i), count(m.position),
            min(u.id) FILTER (WHERE m.data <> convert_from(u.data, 'UTF8'))
        INTO held, held_times, known, o_problem
        FROM unnest(p_ids, p_data, p_given) WITH ORDINALITY AS u (id, data, given, i)
        LEFT JOIN {schema}.messages m
            ON live AND coalesce(u.given, true) AND m.session_id = p_session_id AND m.id = u.id;
    IF o_problem IS NOT NULL THEN
        RETURN NEXT;
        RETURN;
    END IF;
"""

APPEND = (
    "CREATE FUNCTION {schema}.append(p_session_id varchar, p_op_id varchar, p_digest bytea, p_remember bigint,\n"
    "    p_ttl bigint, p_ids varchar[], p_data bytea[], p_given boolean[])\n"
    + RETURNS
    + "DECLARE\n"
    + DECLARE
    + """    held bigint[];
    held_times bigint[];
    known bigint := 0;
    number bigint := cardinality(p_ids);
BEGIN
"""
    + LOCK
    + RECALL
    + """    IF p_given IS NOT NULL THEN
"""
    + FIND_KNOWN
    + """    END IF;
    o_ids := p_ids;
    o_applied := known < number;
    IF o_applied THEN
"""
    + BEGIN_LIFE
    + """        o_first_position := s.next_position;
        s.next_position := s.next_position + number - known;
        s.message_count := s.message_count + number - known;
"""
    + SAVE
    + """    END IF;
    IF known > 0 THEN
        SELECT array_agg(coalesce(u.p, o_first_position - 1 + u.rank) ORDER BY u.i),
                array_agg(coalesce(u.at, t) ORDER BY u.i), array_agg(u.p IS NULL ORDER BY u.i)
            INTO o_positions, o_times, o_added
            FROM (
                SELECT p, at, i, sum(CASE WHEN p IS NULL THEN 1 ELSE 0 END) OVER (ORDER BY i)::bigint AS rank
                FROM unnest(held, held_times) WITH ORDINALITY AS h (p, at, i)
            ) u;
        INSERT INTO {schema}.messages (session_id, position, id, created_at, data)
            SELECT p_session_id, u.position, u.id, t, convert_from(u.data, 'UTF8')
            FROM unnest(p_ids, p_data, o_positions, o_added) AS u (id, data, position, fresh) WHERE u.fresh;
    ELSE
        INSERT INTO {schema}.messages (session_id, position, id, created_at, data)
            SELECT p_session_id, o_first_position - 1 + u.i, u.id, t, convert_from(u.data, 'UTF8')
            FROM unnest(p_ids, p_data) WITH ORDINALITY AS u (id, data, i);
    END IF;
"""
    + REMEMBER
    + "END {quote};\n"
)

# A payload that the server can tell to be a JSON object, without anything our codec may stumble over, is removed at
# once. Any other is returned as the problem "unchecked": the caller looks at it, and calls again naming its position.
POP = (
    "CREATE FUNCTION {schema}.pop(p_session_id varchar, p_op_id varchar, p_digest bytea, p_remember bigint,\n"
    "    p_ttl bigint, p_checked_position bigint, p_checked_id varchar)\n"
    + RETURNS
    + "DECLARE\n"
    + DECLARE
    + """    m {schema}.messages;
    readable boolean;
BEGIN
"""
    + LOCK
    + RECALL
    + """    o_applied := false;
    IF live THEN
        SELECT x.* INTO m FROM {schema}.messages x
            WHERE x.session_id = p_session_id ORDER BY x.position DESC LIMIT 1;
        o_applied := FOUND;
    END IF;
    IF o_applied THEN
        o_first_position := m.position;
        o_ids := ARRAY[m.id];
        o_times := ARRAY[m.created_at];
        o_payload := convert_to(m.data, 'UTF8');
        IF p_checked_position IS DISTINCT FROM m.position OR p_checked_id IS DISTINCT FROM m.id THEN
            readable := length(m.data) - length(translate(m.data, '[{{', '')) <= 64 AND m.data !~ '[0-9]{{19}}';
            IF readable THEN
                BEGIN
                    readable := json_typeof(m.data::json) = 'object';
                EXCEPTION WHEN OTHERS THEN
                    readable := false;
                END;
            END IF;
            IF NOT readable THEN
                o_problem := 'unchecked';
                RETURN NEXT;
                RETURN;
            END IF;
        END IF;
        DELETE FROM {schema}.messages x WHERE x.session_id = p_session_id AND x.position = m.position;
        s.message_count := s.message_count - 1;
"""
    + SAVE
    + """    END IF;
"""
    + REMEMBER
    + "END {quote};\n"
)

CLEAR = (
    "CREATE FUNCTION {schema}.clear(p_session_id varchar, p_op_id varchar, p_digest bytea, p_remember bigint,\n"
    "    p_ttl bigint)\n"
    + RETURNS
    + "DECLARE\n"
    + DECLARE
    + "BEGIN\n"
    + LOCK
    + RECALL
    + """    o_applied := live AND s.message_count > 0;
    IF o_applied THEN
        DELETE FROM {schema}.messages x WHERE x.session_id = p_session_id;
        s.message_count := 0;
"""
    + SAVE
    + """    END IF;
"""
    + REMEMBER
    + "END {quote};\n"
)

# The size that metadata would have once these values stand over what is held (`live`) and the removed keys are gone.
MEASURE = """    SELECT coalesce(sum(octet_length(u.key) + octet_length(u.value)), 0) INTO o_size
        FROM unnest(p_keys, p_values) AS u (key, value);
    IF live AND keep THEN
        SELECT o_size + s.metadata_bytes - coalesce(sum(octet_length(x.key) + octet_length(x.value)), 0),
                o_applied OR count(*) > 0
            INTO o_size, o_applied
            FROM {schema}.metadata x WHERE x.session_id = p_session_id AND x.key = ANY (p_keys || p_removed);
    END IF;
    IF o_size > p_limit AND o_applied THEN
        o_problem := 'metadata';
        RETURN NEXT;
        RETURN;
    END IF;
"""

SET_VALUES = """        s.metadata_bytes := o_size;
        INSERT INTO {schema}.metadata AS x (session_id, key, value)
            SELECT p_session_id, u.key, convert_from(u.value, 'UTF8') FROM unnest(p_keys, p_values) AS u (key, value)
            ON CONFLICT (session_id, key) DO UPDATE SET value = excluded.value;
"""

WRITE_METADATA = (
    "CREATE FUNCTION {schema}.write_metadata(p_session_id varchar, p_op_id varchar, p_digest bytea,\n"
    "    p_remember bigint, p_ttl bigint, p_keys varchar[], p_values bytea[], p_removed varchar[], p_limit bigint)\n"
    + RETURNS
    + "DECLARE\n"
    + DECLARE
    + """    keep boolean := true;
BEGIN
"""
    + LOCK
    + RECALL
    + """    o_applied := cardinality(p_keys) > 0;
"""
    + MEASURE
    + """    IF o_applied THEN
"""
    + BEGIN_LIFE
    + SET_VALUES
    + """        DELETE FROM {schema}.metadata x WHERE x.session_id = p_session_id AND x.key = ANY (p_removed);
"""
    + SAVE
    + """    END IF;
    o_size := NULL;
"""
    + REMEMBER
    + "END {quote};\n"
)

# A document goes in by parts in one transaction, most often by one part that is the first and the last. `p_touched`
# says that an earlier part has changed the session; metadata comes with the first part, the ledger with the last.
IMPORT = (
    "CREATE FUNCTION {schema}.import(p_session_id varchar, p_op_id varchar, p_digest bytea, p_remember bigint,\n"
    "    p_ttl bigint, p_first boolean, p_last boolean, p_touched boolean, p_append boolean, p_created_at bigint,\n"
    "    p_ids varchar[], p_times bigint[], p_data bytea[], p_keys varchar[], p_values bytea[], p_limit bigint)\n"
    + RETURNS
    + "DECLARE\n"
    + DECLARE
    + """    held bigint[];
    held_times bigint[];
    known bigint := 0;
    number bigint := cardinality(p_ids);
    keep boolean := p_append;
    p_given boolean[];
    p_removed varchar[] := '{{}}';
BEGIN
"""
    + LOCK
    + """    IF p_first THEN
"""
    + RECALL
    + """    END IF;
    -- Only the same transaction can be at a later part: the session it has begun is not over before its end.
    live := live OR (p_touched AND s.alive);
    IF p_append AND number > 0 THEN
"""
    + FIND_KNOWN
    + """    END IF;
    o_applied := number > known OR cardinality(p_keys) > 0 OR (p_first AND live AND NOT p_append);
    IF p_first THEN
"""
    + MEASURE
    + """    END IF;
    IF o_applied THEN
"""
    + BEGIN_LIFE
    + """        IF p_first THEN
            IF NOT p_append THEN
                DELETE FROM {schema}.messages x WHERE x.session_id = p_session_id;
                DELETE FROM {schema}.metadata x WHERE x.session_id = p_session_id;
                s.message_count := 0;
                s.created_at := coalesce(p_created_at, s.created_at);
            END IF;
"""
    + SET_VALUES
    + """        END IF;
        IF known > 0 THEN
            INSERT INTO {schema}.messages (session_id, position, id, created_at, data)
                SELECT p_session_id, s.next_position - 1 + row_number() OVER (ORDER BY u.i), u.id, u.at,
                    convert_from(u.data, 'UTF8')
                FROM unnest(p_ids, p_times, p_data, held) WITH ORDINALITY AS u (id, at, data, held, i)
                WHERE u.held IS NULL;
        ELSE
            INSERT INTO {schema}.messages (session_id, position, id, created_at, data)
                SELECT p_session_id, s.next_position - 1 + u.i, u.id, u.at, convert_from(u.data, 'UTF8')
                FROM unnest(p_ids, p_times, p_data) WITH ORDINALITY AS u (id, at, data, i);
        END IF;
        s.next_position := s.next_position + number - known;
        s.message_count := s.message_count + number - known;
"""
    + SAVE
    + """    END IF;
    o_size := NULL;
    o_applied := o_applied OR p_touched;
    IF NOT p_last THEN
        RETURN NEXT;
        RETURN;
    END IF;
"""
    + REMEMBER
    + "END {quote};\n"
)

DELETE = (
    "CREATE FUNCTION {schema}.delete(p_session_id varchar, p_op_id varchar, p_digest bytea, p_remember bigint)\n"
    + RETURNS
    + "DECLARE\n"
    + DECLARE
    + "BEGIN\n"
    + LOCK
    + RECALL
    + """    o_applied := live;
    IF live THEN
        DELETE FROM {schema}.messages x WHERE x.session_id = p_session_id;
        DELETE FROM {schema}.metadata x WHERE x.session_id = p_session_id;
        UPDATE {schema}.sessions x SET
            alive = false, message_count = 0, metadata_bytes = 0, ttl = NULL, deadline = NULL, sweep_at = t + p_remember
            WHERE x.session_id = p_session_id;
    END IF;
"""
    + REMEMBER
    + "END {quote};\n"
)

# One bounded step: at most p_sessions sessions, p_rows messages and p_rows operations; `o_more` says that there may
# be more. It waits for nobody: what another transaction has locked is left for the next time.
PURGE = """
CREATE FUNCTION {schema}.purge(p_sessions bigint, p_rows bigint)
RETURNS TABLE (o_ended bigint, o_more boolean) LANGUAGE plpgsql AS {quote}
DECLARE
    t bigint := NOW;
    s {schema}.sessions;
    room bigint := p_rows;
    seen bigint := 0;
    gone bigint;
    last bigint;
    kept_until bigint;
    k {schema}.operations;
BEGIN
    o_ended := 0;
    FOR s IN
        SELECT x.* FROM {schema}.sessions x WHERE x.sweep_at <= t ORDER BY x.sweep_at LIMIT p_sessions
        FOR NO KEY UPDATE SKIP LOCKED
    LOOP
        seen := seen + 1;
        EXIT WHEN room <= 0;
        IF s.alive AND (s.deadline IS NULL OR s.deadline > t) THEN
            UPDATE {schema}.sessions x SET sweep_at = s.deadline WHERE x.session_id = s.session_id;
            CONTINUE;
        END IF;
        IF s.alive THEN
            o_ended := o_ended + 1;
            UPDATE {schema}.sessions x SET
                alive = false, message_count = 0, metadata_bytes = 0, ttl = NULL, deadline = NULL
                WHERE x.session_id = s.session_id;
        END IF;
        SELECT y.position INTO last FROM {schema}.messages y
            WHERE y.session_id = s.session_id ORDER BY y.position OFFSET room - 1 LIMIT 1;
        DELETE FROM {schema}.messages x WHERE x.session_id = s.session_id AND (last IS NULL OR x.position <= last);
        GET DIAGNOSTICS gone = ROW_COUNT;
        room := room - gone;
        EXIT WHEN room <= 0;
        DELETE FROM {schema}.metadata x WHERE x.session_id = s.session_id;
        SELECT max(x.forget_at) INTO kept_until FROM {schema}.operations x
            WHERE x.session_id = s.session_id AND x.forget_at > t;
        IF kept_until IS NULL THEN
            DELETE FROM {schema}.sessions x WHERE x.session_id = s.session_id;
        ELSE
            UPDATE {schema}.sessions x SET sweep_at = kept_until WHERE x.session_id = s.session_id;
        END IF;
    END LOOP;
    -- One by one, by the key: a join would read the whole table to find that nothing is old.
    gone := 0;
    FOR k IN
        SELECT x.* FROM {schema}.operations x WHERE x.forget_at <= t ORDER BY x.forget_at LIMIT p_rows
        FOR UPDATE SKIP LOCKED
    LOOP
        DELETE FROM {schema}.operations x WHERE x.session_id = k.session_id AND x.op_id = k.op_id;
        gone := gone + 1;
    END LOOP;
    o_more := room <= 0 OR seen >= p_sessions OR gone >= p_rows;
    RETURN NEXT;
END {quote};
""".replace("NOW", NOW)

# Numbered from 1, applied once each, in order, never edited after a release.
MIGRATIONS = (TABLES + APPEND + POP + CLEAR + WRITE_METADATA + IMPORT + DELETE + PURGE,)

VERSIONS = (
    "CREATE TABLE IF NOT EXISTS {schema}.migrations (version bigint PRIMARY KEY, applied_at timestamptz NOT NULL)"
)

VISIBLE = "s.alive AND (s.deadline IS NULL OR s.deadline > " + NOW + ")"


def _small_append(number: int) -> str:
    """Append a batch without caller-given ids to a session that is there, or is entirely new.

    It returns no row where an earlier life of the session has ended, and fails on the ledger's key where the operation
    is known: both are for the function, and nothing was written.
    """
    rows = ", ".join(f"({i}, %(id{i})s, %(data{i})s)" for i in range(number))
    ids = ", ".join(f"%(id{i})s" for i in range(number))
    return (
        """WITH s AS (
    INSERT INTO {schema}.sessions AS s
        (session_id, life, alive, next_position, message_count, metadata_bytes, created_at, updated_at,
        ttl, deadline, sweep_at)
    SELECT %(session_id)s, c.t, true, NUMBER + 1, NUMBER, 0, c.t, c.t,
        %(ttl)s::bigint, c.t + %(ttl)s::bigint, c.t + %(ttl)s::bigint
        FROM (SELECT NOW AS t OFFSET 0) c
    ON CONFLICT (session_id) DO UPDATE SET
        next_position = s.next_position + NUMBER, message_count = s.message_count + NUMBER, updated_at = NOW,
        ttl = coalesce(%(ttl)s::bigint, s.ttl), deadline = NOW + coalesce(%(ttl)s::bigint, s.ttl),
        sweep_at = least(s.sweep_at, NOW + coalesce(%(ttl)s::bigint, s.ttl))
        WHERE VISIBLE
    RETURNING next_position - NUMBER AS first_position, updated_at
), o AS (
    INSERT INTO {schema}.operations (session_id, op_id, digest, at, forget_at, applied, first_position, ids)
    SELECT %(session_id)s, %(op_id)s, %(digest)b, s.updated_at, s.updated_at + %(remember)s, true, s.first_position,
        ARRAY[IDS]::varchar[] FROM s
), m AS (
    INSERT INTO {schema}.messages (session_id, position, id, created_at, data)
    SELECT %(session_id)s, s.first_position + u.i, u.id, s.updated_at, u.data FROM s, (VALUES ROWS) AS u (i, id, data)
)
SELECT s.first_position, s.updated_at FROM s""".replace("NUMBER", str(number))
        .replace("VISIBLE", VISIBLE)
        .replace("NOW", NOW)
        .replace("ROWS", rows)
        .replace("IDS", ids)
    )


COLUMNS = "m.position, m.id, m.created_at, convert_to(m.data, 'UTF8')"
OF_VISIBLE = "EXISTS (SELECT FROM {schema}.sessions s WHERE s.session_id = %(session_id)s AND " + VISIBLE + " LIFE)"
READ = (
    "SELECT "
    + COLUMNS
    + " FROM {schema}.messages m WHERE m.session_id = %(session_id)s AND m.position < %(before)s AND "
    + OF_VISIBLE.replace(" LIFE", "")
    + " ORDER BY m.position DESC LIMIT "
)
LIST = (
    "SELECT s.session_id, s.message_count, s.created_at, s.updated_at FROM {schema}.sessions s WHERE "
    + VISIBLE
    + " AND s.session_id > %(after)s AND s.session_id >= %(prefix)s END ORDER BY s.session_id LIMIT %(limit)s"
)
ARGUMENTS = "%(session_id)s, %(op_id)s, %(digest)b, %(remember)s"

TEXTS = {
    "ready": "SELECT current_setting('server_encoding'), current_setting('synchronous_commit'),"
    " current_setting('fsync'), current_setting('full_page_writes'), (SELECT max(version) FROM {schema}.migrations)",
    "append": "SELECT * FROM {schema}.append("
    + ARGUMENTS
    + ", %(ttl)s, %(ids)b::varchar[], %(data)b::bytea[], %(given)b::boolean[])",
    "pop": "SELECT * FROM {schema}.pop(" + ARGUMENTS + ", %(ttl)s, %(checked_position)s, %(checked_id)s)",
    "clear": "SELECT * FROM {schema}.clear(" + ARGUMENTS + ", %(ttl)s)",
    "write_metadata": "SELECT * FROM {schema}.write_metadata("
    + ARGUMENTS
    + ", %(ttl)s, %(keys)b::varchar[], %(values)b::bytea[], %(removed)b::varchar[], %(limit)s)",
    "replace": "SELECT * FROM {schema}.import("
    + ARGUMENTS
    + ", %(ttl)s, %(first)s, %(last)s, %(touched)s, %(append)s, %(created_at)s, %(ids)b::varchar[],"
    " %(times)b::bigint[], %(data)b::bytea[], %(keys)b::varchar[], %(values)b::bytea[], %(limit)s)",
    "delete": "SELECT * FROM {schema}.delete(" + ARGUMENTS + ")",
    "purge": "SELECT * FROM {schema}.purge(%(sessions)s, %(rows)s)",
    "read": READ + "%(limit)s",
    "read_window": f"SELECT w.* FROM ({READ}{WINDOW}) w ORDER BY w.position DESC LIMIT %(limit)s",
    "scan": "SELECT "
    + COLUMNS
    + " FROM {schema}.messages m WHERE m.session_id = %(session_id)s AND m.position > %(after)s"
    " AND m.position <= %(until)s AND "
    + OF_VISIBLE.replace("LIFE", "AND s.life = %(life)s")
    + " ORDER BY m.position LIMIT %(limit)s",
    "head": "SELECT s.life, s.message_count, coalesce((SELECT m.position FROM {schema}.messages m"
    " WHERE m.session_id = %(session_id)s ORDER BY m.position DESC LIMIT 1), 0), s.created_at, s.updated_at"
    " FROM {schema}.sessions s WHERE s.session_id = %(session_id)s AND " + VISIBLE,
    "metadata": "SELECT x.key, convert_to(x.value, 'UTF8') FROM {schema}.metadata x"
    " WHERE x.session_id = %(session_id)s AND " + OF_VISIBLE.replace(" LIFE", ""),
    "metadata_of": "SELECT x.key, convert_to(x.value, 'UTF8') FROM {schema}.metadata x"
    " WHERE x.session_id = %(session_id)s AND x.key = ANY (%(keys)b::varchar[]) AND " + OF_VISIBLE.replace(" LIFE", ""),
    "load": "WITH s AS MATERIALIZED (SELECT s.session_id, s.created_at FROM {schema}.sessions s"
    " WHERE s.session_id = %(session_id)s AND "
    + VISIBLE
    + ") SELECT 0 AS kind, NULL::bigint AS position, NULL::varchar AS id, s.created_at, NULL::bytea FROM s"
    " UNION ALL SELECT 1, m.position, m.id, m.created_at, convert_to(m.data, 'UTF8')"
    " FROM s JOIN {schema}.messages m ON m.session_id = s.session_id"
    " UNION ALL SELECT 2, NULL, x.key, NULL, convert_to(x.value, 'UTF8')"
    " FROM s JOIN {schema}.metadata x ON x.session_id = s.session_id"
    " ORDER BY kind, position",
    "list_from": LIST.replace(" END", ""),
    "list_between": LIST.replace(" END", " AND s.session_id < %(end)s"),
    "durability": "SELECT current_setting('synchronous_commit'), current_setting('fsync'),"
    " current_setting('full_page_writes')",
    "schema_exists": "SELECT count(*) FROM pg_namespace WHERE nspname = %(name)s",
    "create_schema": "CREATE SCHEMA {schema}",
    "versions": VERSIONS,
    "version": "SELECT coalesce(max(version), 0) FROM {schema}.migrations",
    "applied": "INSERT INTO {schema}.migrations (version, applied_at) VALUES (%(version)s, now())",
}


class Statements(NamedTuple):
    """Every statement, for one schema."""

    ready: bytes
    append: bytes
    pop: bytes
    clear: bytes
    write_metadata: bytes
    replace: bytes
    delete: bytes
    purge: bytes
    read: bytes
    read_window: bytes
    scan: bytes
    head: bytes
    metadata: bytes
    metadata_of: bytes
    load: bytes
    list_from: bytes
    list_between: bytes
    durability: bytes
    schema_exists: bytes
    create_schema: bytes
    versions: bytes
    version: bytes
    applied: bytes
    small_append: tuple[bytes, ...]
    migrations: tuple[bytes, ...]


def _dollar_quote(schema: str) -> str:
    """What encloses the body of a function: a name that held the same would end it."""
    number = 0
    while f"$function{number or ''}$" in schema:
        number += 1
    return f"$function{number or ''}$"


@lru_cache(maxsize=64)
def statements(schema: str) -> Statements:
    """The statements on the tables of one schema, whose name is quoted here and nowhere else."""
    name = sql.Identifier(schema)
    quote = sql.SQL(_dollar_quote(schema))

    def fill(text: str) -> bytes:
        return sql.SQL(text).format(schema=name, quote=quote).as_bytes(None)

    # A quoted name may hold a percent sign, which a statement with parameters writes twice.
    def with_parameters(text: str) -> bytes:
        quoted = sql.SQL(name.as_string(None).replace("%", "%%"))
        return sql.SQL(text).format(schema=quoted).as_bytes(None)

    plain = ("create_schema", "versions", "version")
    filled = {key: (fill if key in plain else with_parameters)(text) for key, text in TEXTS.items()}
    small = tuple(with_parameters(_small_append(number)) for number in range(1, SMALL_BATCH + 1))
    return Statements(**filled, small_append=small, migrations=tuple(map(fill, MIGRATIONS)))


def schema_sql(schema: str = "openstackai_sessions") -> str:
    """The SQL that makes the schema, for an administrator to run where the application's role may not create it."""
    texts = statements(schema)
    parts = [b"BEGIN", texts.create_schema, texts.versions]
    for number, migration in enumerate(texts.migrations, 1):
        applied = sql.SQL(TEXTS["applied"].replace("%(version)s", str(number)))
        parts += [
            migration.strip().removesuffix(b";"),
            applied.format(schema=sql.Identifier(schema)).as_bytes(None),
        ]
    return b";\n".join([*parts, b"COMMIT;"]).decode() + "\n"
