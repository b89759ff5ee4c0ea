"""Reads and appends of several sessions as one: what has to be asked is asked once for all of them.

What is waiting together is mostly that, one turn of many conversations. An append that needs a closer look (the first
of a session, one with ids of the caller's) is left to `_operations.append`.
"""

from __future__ import annotations

from collections.abc import Sequence

from openstackai_sessions_core import ConflictError
from openstackai_sessions_core.backend import Outcome, RecordTuple, encode_outcome, recall
from openstackai_sessions_sqlite import _sql
from openstackai_sessions_sqlite._connection import Connection
from openstackai_sessions_sqlite._operations import ALL, Append, Read, Row, Run, Write, data_version, keep_up

__all__ = ["append_together", "read_together"]


def read_together(runs: Sequence[Run[object]], db: Connection) -> dict[int, list[RecordTuple]]:
    """Answer, by their index, those of the reads whose messages are remembered."""
    recent = db.recent
    if recent is None:
        return {}
    version = data_version(db)
    results: dict[int, list[RecordTuple]] = {}
    for index, run in enumerate(runs):
        if type(run) is Read and run.before is None:
            records = recent.find(version, run.session_id, run.limit, run.settings.now())
            if records is not None:
                results[index] = records
    return results


def append_together(runs: Sequence[Run[object]], db: Connection) -> dict[int, Outcome | ConflictError]:
    """Run those of the appends that can share their statements; return what became of them, by their index.

    Whatever else comes before an append to the same session keeps it out, so that it takes its turn.
    """
    taken: dict[int, Append] = {}
    seen: set[str] = set()
    for index, run in enumerate(runs):
        if isinstance(run, Write):
            if isinstance(run, Append) and run.is_plain and run.session_id not in seen:
                taken[index] = run
            seen.add(run.session_id)
    results: dict[int, Outcome | ConflictError] = {}
    updates: list[tuple[object, ...]] = []
    rows: list[tuple[object, ...]] = []
    ledger: list[tuple[object, ...]] = []
    for index, (now, digest, kept, row) in _find(taken, db).items():
        append = taken[index]
        settings, op, messages = append.settings, append.op, append.messages
        if digest is not None:
            try:
                results[index] = recall(op, digest, kept, messages)
            except ConflictError as error:
                results[index] = error
            continue
        key, _, position, count, metadata_bytes, _, ttl, expires_at = row
        if key is None or position is None or count is None or (expires_at is not None and expires_at <= now):
            continue
        ttl = ttl if append.ttl is None else append.ttl
        expires_at = None if ttl is None else now + ttl
        records = [(position + place, message[0], now, message[1]) for place, message in enumerate(messages)]
        outcome = results[index] = Outcome(True, False, records, [True] * len(records))
        updates.append((position + len(records), count + len(records), metadata_bytes, now, ttl, expires_at, key))
        rows += [(key, *record) for record in records]
        forget_at = min(now + settings.op_id_ttl, ALL)
        ledger.append((append.session_id, *op, forget_at, encode_outcome(outcome)))
        if db.recent is not None:
            db.recent.note_append(append.session_id, records, expires_at, begins=False)
    db.executemany(_sql.UPDATE_SESSION, updates)
    db.executemany(_sql.INSERT_MESSAGE, rows)
    db.executemany(_sql.REMEMBER, ledger)
    for settings in {append.settings for append in taken.values()}:
        keep_up(db, settings, settings.now(), len(ledger))
    return results


Found = tuple[int, "bytes | None", str, Row]


def _find(appends: dict[int, Append], db: Connection) -> dict[int, Found]:
    """What each append finds: the time, its operation if that is remembered, and the session's row."""
    found: dict[int, Found] = {}
    asked = list(appends.items())
    # A statement has room for so many; the few that are over are left to run alone.
    for start in range(0, len(asked) - _sql.FOUND_TOGETHER + 1, _sql.FOUND_TOGETHER):
        parameters: list[object] = []
        times: dict[int, int] = {}
        for index, append in asked[start : start + _sql.FOUND_TOGETHER]:
            times[index] = append.settings.now()
            parameters += (index, append.session_id, append.op.id, times[index])
        for index, digest, outcome, *row in db.execute(_sql.FIND_TOGETHER, parameters).fetchall():
            found[index] = (times[index], digest, outcome, tuple(row))
    return found
