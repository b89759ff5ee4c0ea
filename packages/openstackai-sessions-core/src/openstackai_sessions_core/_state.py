"""A session as one value, for engines that read and replace it whole: a file, an object, a document, a row."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from openstackai_sessions_core._codec import check_payload
from openstackai_sessions_core._errors import ConflictError, CorruptDataError, SchemaVersionError
from openstackai_sessions_core._ledger import encode_outcome, recall
from openstackai_sessions_core._limits import check_metadata_size
from openstackai_sessions_core._message import SessionInfo, from_microseconds
from openstackai_sessions_core._options import StoreOptions
from openstackai_sessions_core._records import (
    Head,
    ImportedMessage,
    NewMessage,
    Operation,
    Outcome,
    RecordTuple,
    SessionImport,
    Snapshot,
)

__all__ = ["SessionState"]

VERSION = 1


class _Life(msgspec.Struct):
    """One life of a session."""

    id: str
    life: int
    created_at: int
    updated_at: int
    ttl: int | None = None
    last_position: int = 0
    log: list[tuple[int, str, int, bytes]] = []
    metadata: dict[str, bytes] = {}


class _Stored(msgspec.Struct):
    """What is kept, as MessagePack. `operations`, by id: when to forget it, its digest, its outcome."""

    version: int
    session: _Life | None
    operations: dict[str, tuple[int, bytes, bytes]]


class _Version(msgspec.Struct):
    version: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Stored).decode
_decode_version = msgspec.msgpack.Decoder(_Version).decode


class SessionState:
    """One session as a value, with what each primitive of a store does to it and reads from it.

    For an engine that keeps a session in one piece. A write is one atomic step: make a state of what is `stored` there
    (None: nothing), call the primitive, and put `encode()` in its place. A read needs the first two. It does no I/O, so
    asynchronous stores use it as well.

    `now` is in microseconds since the epoch: what has expired by then, and operations that are past remembering, are
    gone from the start. `session_id` may be None where only what is there already is of interest. Raises
    `CorruptDataError` where `stored` cannot be read, and `SchemaVersionError` where a newer version wrote it. A
    primitive that raises has changed nothing.
    """

    def __init__(self, session_id: str | None, stored: bytes | None, *, now: int, options: StoreOptions) -> None:
        self._id = session_id
        self._now = now
        self._options = options
        kept = _Stored(VERSION, None, {}) if stored is None else _read(stored)
        self._session = kept.session
        self._operations = {id: operation for id, operation in kept.operations.items() if operation[0] > now}
        self._expired = False
        if kept.session is not None and kept.session.ttl is not None:
            self._expired = kept.session.updated_at + kept.session.ttl <= now
        if self._expired:
            self._session = None

    @property
    def expired(self) -> bool:
        """Whether a session is stored that is past its deadline: what a purge counts."""
        return self._expired

    def encode(self) -> bytes | None:
        """What is to be stored now, None where nothing is; equal to what was stored where nothing has changed."""
        if self._session is None and not self._operations:
            return None
        return _encode(_Stored(VERSION, self._session, self._operations))

    # -- Writes -----------------------------------------------------------------------------------------------------

    def append(self, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None) -> Outcome:
        """As `SessionStore.append`."""
        if (before := self._recall(op, messages)) is not None:
            return before
        known = self._known((id, data) for id, data, given in messages if given)
        added = [message.id not in known for message in messages]
        if any(added):
            fresh = [ImportedMessage(id, self._now, data) for id, data, _ in messages if id not in known]
            known.update((record[1], record) for record in self._add(self._touch(ttl), fresh))
        return self._remember(op, Outcome(any(added), False, [known[message.id] for message in messages], added))

    def pop(self, op: Operation, *, ttl: int | None) -> Outcome:
        """As `SessionStore.pop`."""
        if (before := self._recall(op)) is not None:
            return before
        if self._session is None or not self._session.log:
            return self._remember(op, Outcome(False))
        check_payload(self._session.log[-1])
        return self._remember(op, Outcome(True, False, (self._touch(ttl).log.pop(),)))

    def clear(self, op: Operation, *, ttl: int | None) -> Outcome:
        """As `SessionStore.clear`."""
        if (before := self._recall(op)) is not None:
            return before
        if self._session is None or not self._session.log:
            return self._remember(op, Outcome(False))
        self._touch(ttl).log = []
        return self._remember(op, Outcome(True))

    def write_metadata(
        self, op: Operation, values: Mapping[str, bytes], removed: Sequence[str], *, ttl: int | None
    ) -> Outcome:
        """As `SessionStore.write_metadata`."""
        if (before := self._recall(op)) is not None:
            return before
        held = {} if self._session is None else self._session.metadata
        if not values and held.keys().isdisjoint(removed):
            return self._remember(op, Outcome(False))
        metadata = self._checked({key: value for key, value in {**held, **values}.items() if key not in removed})
        self._touch(ttl).metadata = metadata
        return self._remember(op, Outcome(True))

    def replace(self, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        """As `SessionStore.replace`."""
        if (before := self._recall(op)) is not None:
            return before
        fresh: Sequence[ImportedMessage] = content.messages
        held: Mapping[str, bytes] = {}
        if content.append:
            known = self._known((id, data) for id, _, data in content.messages)
            fresh = [message for message in content.messages if message.id not in known]
            held = {} if self._session is None else self._session.metadata
        if not fresh and not content.metadata and (content.append or self._session is None):
            return self._remember(op, Outcome(False))
        metadata = self._checked({**held, **content.metadata})
        session = self._touch(ttl)
        if not content.append:
            session.log = []
            session.created_at = session.created_at if content.created_at is None else content.created_at
        self._add(session, fresh)
        session.metadata = metadata
        return self._remember(op, Outcome(True))

    def delete(self, op: Operation) -> Outcome:
        """As `SessionStore.delete`."""
        if (before := self._recall(op)) is not None:
            return before
        existed = self._session is not None
        self._session = None
        return self._remember(op, Outcome(existed))

    # -- Reads ------------------------------------------------------------------------------------------------------

    def read(self, *, limit: int | None, before: int | None) -> Sequence[RecordTuple]:
        """As `SessionStore.read`."""
        log = [] if self._session is None else self._session.log
        found = log if before is None else [record for record in log if record[0] < before]
        return found if limit is None else found[max(0, len(found) - limit) :]

    def head(self) -> Head | None:
        """As `SessionStore.head`."""
        if (s := self._session) is None:
            return None
        return Head(s.life, len(s.log), s.log[-1][0] if s.log else 0, s.created_at, s.updated_at)

    def read_metadata(self, keys: Sequence[str] | None) -> Mapping[str, bytes]:
        """As `SessionStore.read_metadata`."""
        held = {} if self._session is None else self._session.metadata
        return held if keys is None else {key: held[key] for key in keys if key in held}

    def load(self) -> Snapshot | None:
        """As `SessionStore.load`."""
        return None if (s := self._session) is None else Snapshot(s.created_at, s.log, s.metadata)

    def info(self) -> SessionInfo | None:
        """What a list of sessions says of this one; None where it does not exist."""
        if (s := self._session) is None:
            return None
        return SessionInfo(s.id, len(s.log), from_microseconds(s.created_at), from_microseconds(s.updated_at))

    # -- Within a write ---------------------------------------------------------------------------------------------

    def _recall(self, op: Operation, messages: Sequence[NewMessage] = ()) -> Outcome | None:
        if op.id not in self._operations:
            return None
        _, digest, text = self._operations[op.id]
        return recall(op, digest, text, messages)

    def _remember(self, op: Operation, outcome: Outcome) -> Outcome:
        forget_at = self._now + int(self._options.op_id_ttl * 1_000_000)
        self._operations[op.id] = (forget_at, op.digest, encode_outcome(outcome))
        return outcome

    def _touch(self, ttl: int | None) -> _Life:
        """Begin a life where there is none, and note a write. Nothing may fail after it."""
        if self._session is None:
            assert self._id is not None, "a write needs the session's id"
            # Drawn, as nothing may be left to count on from: no later life may have the same.
            self._session = _Life(self._id, secrets.randbits(62) + 1, self._now, self._now)
        self._session.updated_at = self._now
        self._session.ttl = self._session.ttl if ttl is None else ttl
        return self._session

    def _known(self, messages: Iterable[tuple[str, bytes]]) -> dict[str, RecordTuple]:
        """The records, by id, of those messages that are in the log; `ConflictError` where a payload differs."""
        log = [] if self._session is None else self._session.log
        wanted = dict(messages)
        known: dict[str, RecordTuple] = {record[1]: record for record in log if record[1] in wanted}
        for id, record in known.items():
            if record[3] != wanted[id]:
                raise ConflictError(f"a message with the id {id!r} and another content is in the session")
        return known

    @staticmethod
    def _add(session: _Life, messages: Sequence[ImportedMessage]) -> Sequence[RecordTuple]:
        first = session.last_position + 1
        records = [(at, id, created_at, data) for at, (id, created_at, data) in enumerate(messages, first)]
        session.log += records
        session.last_position += len(records)
        return records

    def _checked(self, metadata: dict[str, bytes]) -> dict[str, bytes]:
        check_metadata_size(metadata, self._options.limits)
        return metadata


def _read(stored: bytes) -> _Stored:
    try:
        if (version := _decode_version(stored).version) > VERSION:
            raise SchemaVersionError(f"the session was stored by a newer version, in form {version}; it is untouched")
        return _decode(stored)
    except (msgspec.MsgspecError, ValueError) as error:
        raise CorruptDataError(f"what is stored of a session cannot be read ({type(error).__name__})") from None
