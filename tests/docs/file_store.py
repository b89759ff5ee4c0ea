"""A complete backend: all sessions in one JSON file, for the threads of one process."""

import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from openstackai_sessions_core import (
    BackendError,
    ConflictError,
    CorruptDataError,
    SessionClosedError,
    SessionInfo,
    ValidationError,
)
from openstackai_sessions_core.backend import (
    BaseStore,
    Durability,
    Head,
    NewMessage,
    Operation,
    Outcome,
    Record,
    SessionImport,
    Snapshot,
    StoreOptions,
    check_payload,
    check_size,
    encode_outcome,
    from_microseconds,
    recall,
)

LOCK = threading.Lock()


@dataclass
class State:
    """One life of a session, and what writes do to it. `life` is 0 once it is over, `updated_at` until it has begun."""

    life: int
    created_at: int
    updated_at: int = 0
    ttl: int | None = None
    next_position: int = 1
    log: list[tuple[int, str, int, str]] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)

    def records(self) -> list[Record]:
        return [Record(position, id, created_at, data.encode()) for position, id, created_at, data in self.log]

    def values(self) -> dict[str, bytes]:
        return {key: value.encode() for key, value in self.metadata.items()}

    def append(self, messages: Sequence[tuple[str, int, bytes]]) -> Outcome:
        known = {record.id: record for record in self.records()}
        added = [id not in known for id, _, _ in messages]
        for id, created_at, data in messages:
            if id not in known:
                known[id] = Record(self.next_position, id, created_at, data)
                self.log.append((self.next_position, id, created_at, data.decode()))
                self.next_position += 1
            elif known[id].data != data:
                raise ConflictError(f"a message with the id {id!r} and another content is in the session")
        return Outcome(any(added), False, [known[id] for id, _, _ in messages], added)

    def pop(self) -> Outcome:
        popped = self.records()[-1:]
        for record in popped:
            check_payload(record)
        del self.log[-1:]
        return Outcome(bool(popped), False, popped)

    def clear(self) -> Outcome:
        cleared, self.log = self.log, []
        return Outcome(bool(cleared))

    def change(self, values: Mapping[str, bytes], removed: Sequence[str]) -> Outcome:
        gone = [self.metadata.pop(key) for key in removed if key in self.metadata]
        self.metadata.update((key, value.decode()) for key, value in values.items())
        return Outcome(bool(values or gone))

    def replace(self, content: SessionImport) -> Outcome:
        if not content.append:
            self.log, self.metadata = [], {}
            self.created_at = self.created_at if content.created_at is None else content.created_at
        added, changed = self.append(content.messages), self.change(content.metadata, ())
        return Outcome(added.applied or changed.applied or (self.updated_at > 0 and not content.append))

    def end(self) -> Outcome:
        self.life = 0
        return Outcome(self.updated_at > 0)


Operations = dict[str, tuple[int, str, str]]  # by session id and op_id in one: time, digest, outcome
Change = Callable[[State, int], Outcome]


class FileStore(BaseStore):
    def __init__(
        self, path: str | Path, options: StoreOptions | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(options)
        self._path, self._clock, self._closed = Path(path), clock, False

    def append(self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None) -> Outcome:
        def change(state: State, now: int) -> Outcome:
            return state.append([(message.id, now, message.data) for message in messages])

        return self._write(session_id, op, ttl, change, messages)

    def pop(self, session_id: str, op: Operation, *, ttl: int | None) -> Outcome:
        return self._write(session_id, op, ttl, lambda state, _: state.pop())

    def clear(self, session_id: str, op: Operation, *, ttl: int | None) -> Outcome:
        return self._write(session_id, op, ttl, lambda state, _: state.clear())

    def write_metadata(
        self, session_id: str, op: Operation, values: Mapping[str, bytes], removed: Sequence[str], *, ttl: int | None
    ) -> Outcome:
        return self._write(session_id, op, ttl, lambda state, _: state.change(values, removed))

    def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        return self._write(session_id, op, ttl, lambda state, _: state.replace(content))

    def delete(self, session_id: str, op: Operation) -> Outcome:
        return self._write(session_id, op, None, lambda state, _: state.end())

    def read(self, session_id: str, *, limit: int | None, before: int | None) -> Sequence[Record]:
        found = [record for record in self._find(session_id).records() if before is None or record.position < before]
        return found if limit is None else found[max(0, len(found) - limit) :]

    def scan(self, session_id: str, life: int, *, after: int, until: int, limit: int) -> Sequence[Record]:
        state = self._find(session_id)
        return [r for r in state.records() if state.life == life and after < r.position <= until][:limit]

    def head(self, session_id: str) -> Head | None:
        s = self._find(session_id)
        newest = s.log[-1][0] if s.log else 0
        return Head(s.life, len(s.log), newest, s.created_at, s.updated_at) if s.life else None

    def read_metadata(self, session_id: str, keys: Sequence[str] | None) -> Mapping[str, bytes]:
        return {key: value for key, value in self._find(session_id).values().items() if keys is None or key in keys}

    def load(self, session_id: str) -> Snapshot | None:
        s = self._find(session_id)
        return Snapshot(s.created_at, s.records(), s.values()) if s.life else None

    def list_page(self, prefix: str, *, after: str | None, limit: int) -> Sequence[SessionInfo]:
        self.purge()
        with LOCK:
            _, sessions, _, _ = self._open()
        ids = sorted(id for id in sessions if id.startswith(prefix) and (after is None or id > after))[:limit]
        time, found = from_microseconds, [(id, sessions[id]) for id in ids]
        return [SessionInfo(id, len(s.log), time(s.created_at), time(s.updated_at)) for id, s in found]

    def purge(self) -> int:
        with LOCK:
            _, sessions, operations, expired = self._open()
            self._save(sessions, operations)
            return expired

    def durability(self) -> Durability:
        return "process"

    def close(self) -> None:
        self._closed = True

    # -- The file: a write reads all of it, changes that, and puts a new file in its place ----------------------------

    def _write(
        self, session_id: str, op: Operation, ttl: int | None, change: Change, messages: Sequence[NewMessage] = ()
    ) -> Outcome:
        with LOCK:
            now, sessions, operations, _ = self._open()
            key = json.dumps([session_id, op.id])
            if key in operations:
                _, digest, text = operations[key]
                return recall(op, bytes.fromhex(digest), text, messages)
            state = sessions.get(session_id) or State(secrets.randbits(62) + 1, now)
            outcome = change(state, now)
            size = sum(len(key.encode()) + len(value) for key, value in state.values().items())
            check_size("the session's metadata", size, self.limits.metadata_bytes, "metadata_bytes")
            if outcome.applied:
                state.updated_at, state.ttl = now, state.ttl if ttl is None else ttl
                sessions[session_id] = state
            operations[key] = (now, op.digest.hex(), encode_outcome(outcome).decode())
            self._save(sessions, operations)
            return outcome

    def _find(self, session_id: str) -> State:
        with LOCK:
            _, sessions, _, _ = self._open()
            return sessions.get(session_id) or State(0, 0)

    def _open(self) -> tuple[int, dict[str, State], Operations, int]:
        """The time, the sessions that have not expired, the operations that are remembered, how many have expired."""
        if self._closed:
            raise SessionClosedError("the store is closed; open it again")
        now = int(self._clock() * 1_000_000)
        horizon = now - self.options.op_id_ttl * 1_000_000
        try:
            held, operations = json.loads(self._path.read_bytes()) if self._path.exists() else ({}, {})
        except OSError as error:
            raise BackendError(f"{self._path} cannot be read ({error.strerror})") from error
        except ValueError as error:
            raise CorruptDataError(f"{self._path} is damaged ({type(error).__name__})") from None
        states = {id: State(**fields) for id, fields in held.items()}
        alive = {id: state for id, state in states.items() if state.ttl is None or now < state.updated_at + state.ttl}
        remembered = {key: operation for key, operation in operations.items() if operation[0] >= horizon}
        return now, alive, remembered, len(states) - len(alive)

    def _save(self, sessions: dict[str, State], operations: Operations) -> None:
        alive = {id: state for id, state in sessions.items() if state.life}
        fresh = self._path.with_name(f"{self._path.name}.new")
        try:
            fresh.write_text(json.dumps((alive, operations), default=vars))
            fresh.replace(self._path)
        except OSError as error:
            raise BackendError(f"{self._path} cannot be written ({error.strerror}); nothing was applied") from error


def open_file_store(url: str) -> FileStore:
    path, query, _ = url.removeprefix("jsonfile:///").partition("?")
    if query or not path:
        raise ValidationError("the URL must be jsonfile:///path, without a query")
    return FileStore(path)
