"""What a store does, as functions over a connection: writes run inside a transaction, reads need none.

Every write first makes all its checks and only then writes, so that one that is refused has changed nothing and the
writes that share its transaction go on.
"""

# ruff: noqa: PLR0917 - operations are bound to their arguments by position, and get the connection last
from __future__ import annotations

import random
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar, cast

from openstackai_sessions_core import BackendUnavailableError, ConflictError, CorruptDataError, SessionInfo
from openstackai_sessions_core.backend import (
    Head,
    ImportedMessage,
    Limits,
    NewMessage,
    Operation,
    Outcome,
    RecordTuple,
    SessionImport,
    Snapshot,
    check_payload,
    check_size,
    encode_outcome,
    from_microseconds,
    recall,
)
from openstackai_sessions_sqlite import _sql
from openstackai_sessions_sqlite._connection import Connection
from openstackai_sessions_sqlite._recent import MOST

__all__ = [
    "STAGE",
    "START",
    "Append",
    "Read",
    "Run",
    "Settings",
    "Write",
    "abandon",
    "append",
    "clear",
    "data_version",
    "delete",
    "forget_some",
    "head",
    "is_anything_over",
    "keep_up",
    "list_page",
    "load",
    "pop",
    "publish",
    "purge_some",
    "read",
    "read_metadata",
    "replace",
    "scan",
    "stage",
    "write_metadata",
]

T = TypeVar("T")

# So many rows of what was retired leave with the write that retired it; so many with every UPKEEP_EVERY-th write.
SWEEP = 1_000
UPKEEP = 256
UPKEEP_EVERY = 32
# Messages of an import that one transaction takes, and how long it may take until the next (in microseconds).
STAGE = 5_000
STAGE_TIME = 3_600_000_000
WHOLE = frozenset((int, type(None)))
# No position comes near it.
ALL = 2**63 - 1

Key = tuple[str, str]
Row = tuple[int | None, ...]
Run = Callable[[Connection], T]
# Before every key of the ledger.
START: Key = ("", "")


class Settings:
    """What the operations of one store go by. Times are in microseconds."""

    def __init__(self, clock: Callable[[], float], op_id_ttl: float, limits: Limits) -> None:
        self._clock = clock
        self.op_id_ttl = int(op_id_ttl * 1_000_000)
        self.limits = limits
        # Counts down to the next look for what has expired; the first write of a process looks.
        self.upkeep_in = 0
        # How far through the ledger those looks have come; processes begin in different places.
        self.forgotten_up_to: Key = (random.choice(string.printable), "")

    def now(self) -> int:
        return int(self._clock() * 1_000_000)


class _Session:
    """One session as a write finds it and leaves it. `key` is None until it is stored."""

    __slots__ = (
        "begins", "count", "created_at", "expired_key", "expires_at", "key", "life", "metadata_bytes", "next_position",
        "session_id", "ttl",
    )  # fmt: skip

    def __init__(self, session_id: str, row: Row, now: int) -> None:
        if not WHOLE.issuperset(map(type, row)):
            raise CorruptDataError(f"the row of the session {session_id!r} cannot be read: not all of it is numbers")
        self.session_id = session_id
        self.key, self.life, next_position, count, metadata_bytes, created_at, self.ttl, expires_at = row
        self.expired_key: int | None = None
        if expires_at is not None and expires_at <= now:
            self.expired_key = self.key
            self.key = self.life = self.ttl = None
        # Whether the write that found it so begins a life of the session.
        self.begins = self.key is None
        if self.key is None:
            next_position, count, metadata_bytes, created_at = 1, 0, 0, now
        self.next_position, self.count, self.metadata_bytes, self.created_at = cast(
            tuple[int, int, int, int], (next_position, count, metadata_bytes, created_at)
        )

    def save(self, db: Connection, now: int, ttl: int | None) -> int:
        """Store the session with a new deadline and return its key; one that had expired is retired first."""
        self.ttl = self.ttl if ttl is None else ttl
        self.expires_at = expires_at = None if self.ttl is None else now + self.ttl
        if self.expired_key is not None:
            _retire(db, self.expired_key)
        if self.key is None:
            values = (self.life, self.session_id, self.next_position, self.count, self.metadata_bytes, self.created_at)
            self.key = db.execute(_sql.INSERT_SESSION, (*values, now, self.ttl, expires_at)).lastrowid
            assert self.key is not None
        else:
            counts = (self.next_position, self.count, self.metadata_bytes)
            db.execute(_sql.UPDATE_SESSION, (*counts, now, self.ttl, expires_at, self.key))
        return self.key

    def move(self) -> int:
        """Let `save` give the session a fresh key; return the old one, to be retired before that."""
        assert self.key is not None
        old, self.life, self.key = self.key, self.life or self.key, None
        return old


class _Write:
    """What every write begins and ends with."""

    __slots__ = ("db", "now", "op", "repeated", "session", "session_id", "settings")

    def __init__(
        self,
        db: Connection,
        settings: Settings,
        session_id: str,
        op: Operation,
        messages: Sequence[NewMessage] = (),
    ) -> None:
        self.db = db
        self.settings = settings
        self.session_id = session_id
        self.op = op
        self.now = settings.now()
        digest, outcome, *row = db.execute(_sql.FIND, (session_id, op.id, self.now)).fetchall()[0]
        self.repeated = None if digest is None else recall(op, digest, outcome, messages)
        self.session = _Session(session_id, tuple(row), self.now)

    def remember(self, outcome: Outcome) -> Outcome:
        """Note the outcome in the ledger, and now and then clear away what is over."""
        if outcome.applied and self.db.recent is not None:
            self.db.recent.note_other(self.session_id)
        return self.log(outcome)

    def log(self, outcome: Outcome) -> Outcome:
        """The same, where the caller has noted what becomes of the newest messages."""
        settings = self.settings
        forget_at = min(self.now + settings.op_id_ttl, ALL)
        self.db.execute(_sql.REMEMBER, (self.session_id, *self.op, forget_at, encode_outcome(outcome)))
        keep_up(self.db, settings, self.now, 1)
        return outcome


class Write(Generic[T]):
    """A write to one session, to be run on a connection."""

    __slots__ = ("arguments", "function", "op", "session_id", "settings")

    def __init__(
        self, function: Callable[..., T], settings: Settings, session_id: str, op: Operation, *arguments: object
    ) -> None:
        self.function = function
        self.settings = settings
        self.session_id = session_id
        self.op = op
        self.arguments = arguments

    def __call__(self, db: Connection) -> T:
        return self.function(self.settings, self.session_id, self.op, *self.arguments, db)


class Append(Write[Outcome]):
    """An append, which may be run together with others."""

    __slots__ = ("messages", "ttl")

    def __init__(
        self, settings: Settings, session_id: str, op: Operation, messages: Sequence[NewMessage], ttl: int | None
    ) -> None:
        super().__init__(append, settings, session_id, op, messages, ttl)
        self.messages = messages
        self.ttl = ttl

    @property
    def is_plain(self) -> bool:
        """Whether there are messages, none with an id of the caller's, which would have to be looked for."""
        return bool(self.messages) and not any(message[2] for message in self.messages)


class Read:
    """A read of a window that is not large; what is remembered of it can be had together with others."""

    __slots__ = ("before", "limit", "session_id", "settings")

    def __init__(self, settings: Settings, session_id: str, limit: int, before: int | None) -> None:
        self.settings = settings
        self.session_id = session_id
        self.limit = limit
        self.before = before

    def __call__(self, db: Connection) -> list[RecordTuple]:
        records = read(self.settings, self.session_id, self.limit, self.before, None, db)
        assert records is not None
        return records


# -- Writes ---------------------------------------------------------------------------------------------------------


def append(
    settings: Settings,
    session_id: str,
    op: Operation,
    messages: Sequence[NewMessage],
    ttl: int | None,
    db: Connection,
) -> Outcome:
    """See `SessionStore.append`."""
    write = _Write(db, settings, session_id, op, messages)
    if write.repeated is not None:
        return write.repeated
    session, now = write.session, write.now
    known = _known(db, session.key, [message for message in messages if message.given])
    fresh = len(messages) - len(known)
    position = session.next_position
    session.next_position += fresh
    session.count += fresh
    key = session.save(db, now, ttl) if fresh else 0
    records = []
    added = []
    rows = []
    for id, data, _ in messages:
        record = known.get(id)
        added.append(record is None)
        if record is None:
            record = (position, id, now, data)
            rows.append((key, position, id, now, data))
            position += 1
        records.append(record)
    if len(rows) == 1:
        db.execute(_sql.INSERT_MESSAGE, rows[0])
    elif rows:
        db.executemany(_sql.INSERT_MESSAGE, rows)
    if fresh and db.recent is not None:
        new = [record for record, is_new in zip(records, added, strict=True) if is_new]
        db.recent.note_append(session_id, new, session.expires_at, begins=session.begins)
    return write.log(Outcome(fresh > 0, False, records, added))


def pop(settings: Settings, session_id: str, op: Operation, ttl: int | None, db: Connection) -> Outcome:
    """See `SessionStore.pop`."""
    write = _Write(db, settings, session_id, op)
    if write.repeated is not None:
        return write.repeated
    session = write.session
    found = db.execute(_sql.NEWEST_MESSAGE, (session.key,)).fetchall() if session.key is not None else []
    if not found:
        return write.remember(Outcome(applied=False))
    record: RecordTuple = found[0]
    check_payload(record)
    position, _, _, data = record
    try:
        data.decode()
    except UnicodeDecodeError:
        # JSON in another encoding: not of our writing, and more than the ledger can keep.
        raise CorruptDataError(f"the message at position {position} is not UTF-8", position=position) from None
    session.count -= 1
    db.execute(_sql.DELETE_MESSAGE, (session.save(db, write.now, ttl), position))
    if db.recent is not None:
        db.recent.note_pop(session_id, position, session.expires_at)
    return write.log(Outcome(applied=True, repeated=False, records=(record,)))


def clear(settings: Settings, session_id: str, op: Operation, ttl: int | None, db: Connection) -> Outcome:
    """See `SessionStore.clear`. The messages stay with the old key, so that a million go as fast as one."""
    write = _Write(db, settings, session_id, op)
    if write.repeated is not None:
        return write.repeated
    session = write.session
    if session.key is None or session.count == 0:
        return write.remember(Outcome(applied=False))
    session.count = 0
    old = session.move()
    _retire(db, old)
    new = session.save(db, write.now, ttl)
    if session.metadata_bytes:
        db.execute(_sql.MOVE_METADATA, (new, old))
    _remove(db, old, SWEEP)
    return write.remember(Outcome(applied=True))


def write_metadata(
    settings: Settings,
    session_id: str,
    op: Operation,
    values: Mapping[str, bytes],
    removed: Sequence[str],
    ttl: int | None,
    db: Connection,
) -> Outcome:
    """See `SessionStore.write_metadata`."""
    write = _Write(db, settings, session_id, op)
    if write.repeated is not None:
        return write.repeated
    session = write.session
    kept = {key: value for key, value in values.items() if key not in removed}
    gone = []
    size = session.metadata_bytes
    for key in {**values, **dict.fromkeys(removed)}:
        held = _metadata_size(db, session.key, key)
        size += (_size(key, len(kept[key])) if key in kept else 0) - (0 if held is None else _size(key, held))
        if key not in kept and held is not None:
            gone.append(key)
    if not values and not gone:
        return write.remember(Outcome(applied=False))
    check_size("the session's metadata", size, settings.limits.metadata_bytes, "metadata_bytes")
    session.metadata_bytes = size
    number = session.save(db, write.now, ttl)
    db.executemany(_sql.INSERT_METADATA, [(number, key, value) for key, value in kept.items()])
    db.executemany(_sql.DELETE_METADATA, [(number, key) for key in gone])
    return write.remember(Outcome(applied=True))


def replace(
    settings: Settings, session_id: str, op: Operation, content: SessionImport, ttl: int | None, db: Connection
) -> Outcome:
    """See `SessionStore.replace`."""
    write = _Write(db, settings, session_id, op)
    if write.repeated is not None:
        return write.repeated
    if content.append:
        return _import_after(write, content, ttl)
    if not content.messages and not content.metadata and write.session.key is None:
        return write.remember(Outcome(applied=False))
    old = _replaced(write, content)
    key = write.session.save(db, write.now, ttl)
    first = write.session.next_position - len(content.messages)
    db.executemany(_sql.INSERT_MESSAGE, _numbered(key, first, content.messages))
    db.executemany(_sql.INSERT_METADATA, [(key, name, value) for name, value in content.metadata.items()])
    if old is not None:
        _remove(db, old, SWEEP)
    return write.remember(Outcome(applied=True))


def _replaced(write: _Write, content: SessionImport) -> int | None:
    """Make the session what the document says, under a key to come; return the key that was retired, if any."""
    session = write.session
    session.metadata_bytes = _metadata_bytes(content.metadata)
    limit = write.settings.limits.metadata_bytes
    check_size("the session's metadata", session.metadata_bytes, limit, "metadata_bytes")
    session.next_position += len(content.messages)
    session.count = len(content.messages)
    if content.created_at is not None:
        session.created_at = content.created_at
    if session.key is None:
        return None
    old = session.move()
    _retire(write.db, old)
    return old


def _import_after(write: _Write, content: SessionImport, ttl: int | None) -> Outcome:
    db, session = write.db, write.session
    size = session.metadata_bytes
    for key, value in content.metadata.items():
        held = _metadata_size(db, session.key, key)
        size += _size(key, len(value)) - (0 if held is None else _size(key, held))
    check_size("the session's metadata", size, write.settings.limits.metadata_bytes, "metadata_bytes")
    known = _known(db, session.key, content.messages)
    fresh = [message for message in content.messages if message.id not in known]
    if not fresh and not content.metadata:
        return write.remember(Outcome(applied=False))
    first = session.next_position
    session.next_position += len(fresh)
    session.count += len(fresh)
    session.metadata_bytes = size
    number = session.save(db, write.now, ttl)
    db.executemany(_sql.INSERT_MESSAGE, _numbered(number, first, fresh))
    db.executemany(_sql.INSERT_METADATA, [(number, key, value) for key, value in content.metadata.items()])
    return write.remember(Outcome(applied=True))


def delete(settings: Settings, session_id: str, op: Operation, db: Connection) -> Outcome:
    """See `SessionStore.delete`. What the session held leaves now or, where that is much, bit by bit."""
    write = _Write(db, settings, session_id, op)
    if write.repeated is not None:
        return write.repeated
    key = write.session.key
    if key is not None:
        _retire(db, key)
        _remove(db, key, SWEEP)
    return write.remember(Outcome(applied=key is not None))


# -- A large import, in several transactions --------------------------------------------------------------------------


def stage(
    settings: Settings,
    session_id: str,
    op: Operation,
    staged: tuple[int, int] | None,
    messages: Sequence[ImportedMessage],
    db: Connection,
) -> tuple[int, int] | Outcome:
    """Lay down the next messages of a large import, out of everybody's sight; return (key, next position).

    Where the operation has been applied before, its outcome is returned instead.
    """
    deadline = settings.now() + STAGE_TIME
    if staged is None:
        write = _Write(db, settings, session_id, op)
        if write.repeated is not None:
            return write.repeated
        position = write.session.next_position
        key = db.execute(_sql.INSERT_SESSION, (None, None, 0, 0, 0, 0, 0, None, deadline)).lastrowid
        assert key is not None
    else:
        key, position = staged
        _check_staged(db, key)
        db.execute(_sql.EXTEND_STAGED, (deadline, key))
    db.executemany(_sql.INSERT_MESSAGE, _numbered(key, position, messages))
    return key, position + len(messages)


def publish(
    settings: Settings,
    session_id: str,
    op: Operation,
    staged: tuple[int, int],
    content: SessionImport,
    ttl: int | None,
    db: Connection,
) -> Outcome:
    """Put what was staged in the place of what the session holds."""
    write = _Write(db, settings, session_id, op)
    key, end = staged
    if write.repeated is not None:
        _retire(db, key)
        return write.repeated
    _check_staged(db, key)
    shift = write.session.next_position + len(content.messages) - end
    old = _replaced(write, content)
    session = write.session
    if session.expired_key is not None:
        _retire(db, session.expired_key)
    if shift:
        db.execute(_sql.SHIFT_STAGED[0], (shift, key))
        db.execute(_sql.SHIFT_STAGED[1], (key,))
    db.executemany(_sql.INSERT_METADATA, [(key, name, value) for name, value in content.metadata.items()])
    session.ttl = session.ttl if ttl is None else ttl
    expires_at = None if session.ttl is None else write.now + session.ttl
    counts = (session.next_position, session.count, session.metadata_bytes)
    db.execute(
        _sql.PUBLISH,
        (session.life, session_id, *counts, session.created_at, write.now, session.ttl, expires_at, key),
    )
    if old is not None:
        _remove(db, old, SWEEP)
    return write.remember(Outcome(applied=True))


def abandon(key: int, db: Connection) -> None:
    """Give up what was staged."""
    _retire(db, key)


def _check_staged(db: Connection, key: int) -> None:
    if db.execute(_sql.STAGED, (key,)).fetchall() in ([], [(0,)]):
        raise BackendUnavailableError("the import took over an hour between two of its steps; nothing was applied")


# -- Leaving storage --------------------------------------------------------------------------------------------------


def keep_up(db: Connection, settings: Settings, now: int, writes: int) -> None:
    """Clear away a little of what is over, once in so many writes."""
    settings.upkeep_in -= writes
    if settings.upkeep_in < 0:
        settings.upkeep_in = UPKEEP_EVERY
        settings.forgotten_up_to = forget(db, now, settings.forgotten_up_to, UPKEEP) or START
        sweep(db, now, UPKEEP)


def forget(db: Connection, now: int, start: Key, count: int) -> Key | None:
    """Look at so many remembered operations and remove what is past remembering; return how far that came."""
    for end in db.execute(_sql.END_OF_STRETCH, (*start, count - 1)).fetchall():
        db.execute(_sql.FORGET, (*start, *end, now))
        return cast(Key, end)
    db.execute(_sql.FORGET_REST, (*start, now))
    return None


def sweep(db: Connection, now: int, budget: int) -> int:
    """Remove at most `budget` rows of what is over; return how many rows might still be removed."""
    while budget > 0:
        over = db.execute(_sql.OVER, (now,)).fetchall()
        if not over:
            break
        # From here on nobody takes it for a session, or for an import under way.
        _retire(db, over[0][0])
        if db.recent is not None:
            db.recent.note_sweep()
        budget = _remove(db, over[0][0], budget)
    return budget


def purge_some(settings: Settings, db: Connection) -> tuple[int, bool]:
    """One bounded step of a purge: how many sessions ended with it, and whether there is more to do."""
    now = settings.now()
    expired = db.execute(_sql.EXPIRED, (now, SWEEP)).fetchall()
    db.executemany(_sql.RETIRE, expired)
    if expired and db.recent is not None:
        db.recent.note_sweep()
    left = sweep(db, now, SWEEP)
    return len(expired), len(expired) == SWEEP or left <= 0


def forget_some(settings: Settings, start: Key, db: Connection) -> Key | None:
    """One bounded step through the ledger; returns how far that came, or None at the end."""
    return forget(db, settings.now(), start, SWEEP)


def is_anything_over(settings: Settings, db: Connection) -> bool:
    """Whether a purge would find something to do."""
    return bool(db.execute(_sql.IS_OVER, (settings.now(),)).fetchall())


def _retire(db: Connection, key: int) -> None:
    db.execute(_sql.RETIRE, (key,))


def _remove(db: Connection, key: int, budget: int) -> int:
    """Remove at most `budget` rows of a retired session, the session's own last; return what is left of the budget."""
    for statement in (_sql.REMOVE_MESSAGES, _sql.REMOVE_METADATA):
        budget -= db.execute(statement, (key, key, budget)).rowcount
        if budget <= 0:
            return 0
    db.execute(_sql.REMOVE_SESSION, (key,))
    return budget - 1


# -- Reads ------------------------------------------------------------------------------------------------------------


def read(
    settings: Settings, session_id: str, limit: int | None, before: int | None, most: int | None, db: Connection
) -> list[RecordTuple] | None:
    """See `SessionStore.read`. None where there are more than `most` messages, which nobody should wait for."""
    now = settings.now()
    wanted = min(ALL if limit is None else limit, ALL if most is None else most + 1)
    recent = db.recent if before is None and wanted <= MOST + 1 else None
    records = recent.find(data_version(db), session_id, wanted, now) if recent is not None else None
    if records is None:
        below = ALL if before is None else min(before, ALL)
        records = db.execute(_sql.WINDOW, (session_id, now, below, wanted)).fetchall()
        records.reverse()
        if recent is not None and len(records) <= MOST:
            for (expires_at,) in db.execute(_sql.EXPIRES_AT, (session_id, now)).fetchall():
                whole = len(records) < wanted
                recent.keep(data_version(db), session_id, records, whole=whole, expires_at=expires_at)
    return None if most is not None and len(records) > most else records


def data_version(db: Connection) -> int:
    """A number that is another one where another connection has committed."""
    version: int = db.execute(_sql.DATA_VERSION).fetchall()[0][0]
    return version


def scan(
    settings: Settings, session_id: str, life: int, after: int, until: int, limit: int, db: Connection
) -> list[RecordTuple]:
    """See `SessionStore.scan`."""
    return db.execute(_sql.SCAN, (session_id, settings.now(), life, after, until, min(limit, ALL))).fetchall()


def head(settings: Settings, session_id: str, db: Connection) -> Head | None:
    """See `SessionStore.head`."""
    for life, count, newest, created_at, updated_at in db.execute(_sql.HEAD, (session_id, settings.now())).fetchall():
        if not WHOLE.issuperset(map(type, (life, count, newest))):
            raise CorruptDataError(f"the rows of the session {session_id!r} cannot be read: not all are numbers")
        return Head(life, count, newest or 0, created_at, updated_at)
    return None


def read_metadata(settings: Settings, session_id: str, keys: Sequence[str] | None, db: Connection) -> dict[str, bytes]:
    """See `SessionStore.read_metadata`."""
    if keys is not None and len(keys) == 1:
        return dict(db.execute(_sql.METADATA_VALUE, (session_id, settings.now(), keys[0])).fetchall())
    found = dict(db.execute(_sql.METADATA, (session_id, settings.now())).fetchall())
    return found if keys is None else {key: found[key] for key in keys if key in found}


def load(settings: Settings, session_id: str, db: Connection) -> Snapshot | None:
    """See `SessionStore.load`. Needs a transaction, so that its statements see one instant."""
    for key, created_at in db.execute(_sql.KEY_OF, (session_id, settings.now())).fetchall():
        messages = db.execute(_sql.ALL_MESSAGES, (key,)).fetchall()
        return Snapshot(created_at, messages, dict(db.execute(_sql.ALL_METADATA, (key,)).fetchall()))
    return None


def list_page(settings: Settings, prefix: str, after: str | None, limit: int, db: Connection) -> list[SessionInfo]:
    """See `SessionStore.list_page`."""
    follows = after is not None and after >= prefix
    statement = _sql.LISTING_AFTER if follows else _sql.LISTING_FROM
    bounds = (after if follows else prefix, _end_of(prefix), settings.now(), min(limit, ALL))
    return [
        SessionInfo(id, count, from_microseconds(created_at), from_microseconds(updated_at))
        for id, count, created_at, updated_at in db.execute(statement, bounds).fetchall()
    ]


def _end_of(prefix: str) -> bytes | str:
    """What sorts after everything that starts with the prefix and before everything else, as text or bytes."""
    for length in range(len(prefix), 0, -1):
        last = ord(prefix[length - 1])
        if last < 0x10FFFF:
            # Surrogates are no characters and cannot be stored: the next one after U+D7FF is U+E000.
            return prefix[: length - 1] + chr(0xE000 if last == 0xD7FF else last + 1)
    return b""  # SQLite sorts every blob after every text


# -- Parts of several -------------------------------------------------------------------------------------------------


def _known(db: Connection, key: int | None, messages: Sequence[NewMessage | ImportedMessage]) -> dict[str, RecordTuple]:
    """The records, by id, of those messages that are in the log already; `ConflictError` where a payload differs."""
    known: dict[str, RecordTuple] = {}
    if key is None:
        return known
    for message in messages:
        for row in db.execute(_sql.MESSAGE_BY_ID, (key, message.id)).fetchall():
            known[message.id] = row
            if row[3] != message.data:
                raise ConflictError(f"a message with the id {message.id!r} and another content is in the session")
    return known


def _numbered(key: int, first: int, messages: Sequence[ImportedMessage]) -> list[tuple[int, int, str, int, bytes]]:
    return [
        (key, position, id, created_at, data) for position, (id, created_at, data) in enumerate(messages, start=first)
    ]


def _size(key: str, value: int) -> int:
    return len(key.encode()) + value


def _metadata_bytes(metadata: Mapping[str, bytes]) -> int:
    return sum(_size(key, len(value)) for key, value in metadata.items())


def _metadata_size(db: Connection, key: int | None, name: str) -> int | None:
    """The size of a stored metadata value, or None where there is none."""
    found = db.execute(_sql.METADATA_SIZE, (key, name)).fetchall() if key is not None else []
    size: int | None = found[0][0] if found else None
    return size
