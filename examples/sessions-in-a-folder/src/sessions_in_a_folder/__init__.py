"""Sessions in a folder, a JSON file each: for the threads of many processes, on one disk, without a server.

A write takes the session's lock, reads its file, changes that, and puts a new file in its place. So a session should be
short: each write costs as much as all of it.
"""

import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from threading import get_ident

from filelock import FileLock, Timeout

from openstackai_sessions_core import (
    BackendError,
    BackendUnavailableError,
    ConflictError,
    CorruptDataError,
    SessionClosedError,
    SessionInfo,
    UnsupportedError,
    ValidationError,
)
from openstackai_sessions_core.backend import (
    BaseStore,
    Durability,
    Head,
    NewMessage,
    Operation,
    Outcome,
    RecordTuple,
    SessionImport,
    Snapshot,
    StoreOptions,
    check_payload,
    check_size,
    encode_outcome,
    from_microseconds,
    recall,
)

Change = Callable[["State"], Outcome]


@dataclass
class State:
    """All there is of a session, and what writes do to it. `life` is 0 where there is none; `now` is this write's."""

    id: str
    life: int = 0
    created_at: int = 0
    updated_at: int = 0
    ttl: int | None = None
    next_position: int = 1
    log: list[tuple[int, str, int, str]] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    operations: dict[str, tuple[int, str, str]] = field(default_factory=dict)  # by op_id: forget at, digest, outcome
    now: int = 0

    def records(self) -> list[RecordTuple]:
        return [(position, id, created_at, data.encode()) for position, id, created_at, data in self.log]

    def values(self) -> dict[str, bytes]:
        return {key: value.encode() for key, value in self.metadata.items()}

    def append(self, messages: Sequence[tuple[str, int, bytes]]) -> Outcome:
        known = {record[1]: record for record in self.records()}
        added = [id not in known for id, _, _ in messages]
        for id, created_at, data in messages:
            if id not in known:
                known[id] = (self.next_position, id, created_at, data)
                self.log.append((self.next_position, id, created_at, data.decode()))
                self.next_position += 1
            elif known[id][3] != data:
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

    def delete(self) -> Outcome:
        self.life = 0
        return Outcome(self.updated_at > 0)


class FolderStore(BaseStore):
    def __init__(
        self, folder: str | Path, *, options: StoreOptions | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(options)
        self._folder, self._clock, self._closed = Path(folder).absolute(), clock, False

    def append(self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None) -> Outcome:
        def change(state: State) -> Outcome:
            return state.append([(message.id, state.now, message.data) for message in messages])

        return self._write(session_id, op, ttl, change, messages)

    def pop(self, session_id: str, op: Operation, *, ttl: int | None) -> Outcome:
        return self._write(session_id, op, ttl, State.pop)

    def clear(self, session_id: str, op: Operation, *, ttl: int | None) -> Outcome:
        return self._write(session_id, op, ttl, State.clear)

    def write_metadata(
        self, session_id: str, op: Operation, values: Mapping[str, bytes], removed: Sequence[str], *, ttl: int | None
    ) -> Outcome:
        return self._write(session_id, op, ttl, lambda state: state.change(values, removed))

    def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        return self._write(session_id, op, ttl, lambda state: state.replace(content))

    def delete(self, session_id: str, op: Operation) -> Outcome:
        return self._write(session_id, op, None, State.delete)

    def read(self, session_id: str, *, limit: int | None, before: int | None) -> Sequence[RecordTuple]:
        found = [record for record in self._find(session_id).records() if before is None or record[0] < before]
        return found if limit is None else found[max(0, len(found) - limit) :]

    def scan(self, session_id: str, life: int, *, after: int, until: int, limit: int) -> Sequence[RecordTuple]:
        raise UnsupportedError("a session's file is read whole, whatever its length: use get_messages()")

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
        states = [self._find(state.id) for state in self._states()]
        wanted = [s for s in states if s.life and s.id.startswith(prefix) and (after is None or s.id > after)]
        time, found = from_microseconds, sorted(wanted, key=lambda state: state.id)[:limit]
        return [SessionInfo(s.id, len(s.log), time(s.created_at), time(s.updated_at)) for s in found]

    def purge(self) -> int:
        """What has expired leaves; so does a file that remembers nothing any more."""
        expired = 0
        for held in self._states():
            with self._locked(held.id) as path:
                state = self._load(path, held.id)
                expired += held.life > 0 and state.life == 0
                if state.life == 0 and not state.operations:
                    path.unlink(missing_ok=True)
                elif state.life != held.life:
                    self._save(path, state)
        return expired

    def durability(self) -> Durability:
        return "power"

    def close(self) -> None:
        self._closed = True

    # -- The files ----------------------------------------------------------------------------------------------------

    def _write(
        self, session_id: str, op: Operation, ttl: int | None, change: Change, messages: Sequence[NewMessage] = ()
    ) -> Outcome:
        with self._locked(session_id) as path:
            state = self._load(path, session_id)
            if op.id in state.operations:
                _, digest, text = state.operations[op.id]
                return recall(op, bytes.fromhex(digest), text, messages)
            if state.life == 0:
                state = State(
                    session_id, secrets.randbits(62) + 1, state.now, operations=state.operations, now=state.now
                )
            outcome = change(state)
            size = sum(len(key.encode()) + len(value) for key, value in state.values().items())
            check_size("the session's metadata", size, self.limits.metadata_bytes, "metadata_bytes")
            if outcome.applied:
                state.updated_at, state.ttl = state.now, state.ttl if ttl is None else ttl
            if state.updated_at == 0 or state.life == 0:  # nothing has begun, or all has ended
                state = State(session_id, operations=state.operations, now=state.now)
            forget_at = state.now + int(self.options.op_id_ttl * 1_000_000)
            state.operations[op.id] = (forget_at, op.digest.hex(), encode_outcome(outcome).decode())
            self._save(path, state)
            return outcome

    def _find(self, session_id: str) -> State:
        return self._load(self._path(session_id), session_id)

    def _path(self, session_id: str) -> Path:
        if self._closed:
            raise SessionClosedError("the store is closed; open it again")
        return self._folder / f"{sha256(session_id.encode()).hexdigest()}.json"

    @contextmanager
    def _locked(self, session_id: str) -> Iterator[Path]:
        path = self._path(session_id)
        try:
            lock = FileLock(path.with_suffix(".lock"), timeout=self.timeout, is_singleton=False)
            with lock.acquire(poll_interval=0.002):
                yield path
        except Timeout as error:
            raise BackendUnavailableError(f"{path} was locked for {self.timeout:g} s; nothing was applied") from error
        except OSError as error:
            raise BackendError(f"{path} cannot be written ({error.strerror}); nothing was applied") from error

    def _load(self, path: Path, session_id: str) -> State:
        """The session as it is now: what has expired or is past remembering is not there."""
        now = int(self._clock() * 1_000_000)
        try:
            state = State(**json.loads(path.read_bytes()))
        except FileNotFoundError:
            state = State(session_id)
        except OSError as error:
            raise BackendError(f"{path} cannot be read ({error.strerror})") from error
        except (TypeError, ValueError) as error:
            raise CorruptDataError(f"{path} is damaged ({type(error).__name__})") from None
        operations = {op_id: operation for op_id, operation in state.operations.items() if operation[0] > now}
        if state.ttl is not None and state.updated_at + state.ttl <= now:
            state = State(session_id)
        state.operations, state.now = operations, now
        return state

    def _save(self, path: Path, state: State) -> None:
        fresh = path.with_name(f"{path.name}.{os.getpid()}-{get_ident()}")
        with fresh.open("w") as file:
            json.dump(asdict(state), file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        folder = os.open(self._folder, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    def _states(self) -> Iterator[State]:
        for path in self._folder.glob("*.json"):
            with suppress(FileNotFoundError):
                yield State(**json.loads(path.read_bytes()))


def open_folder_store(url: str) -> FolderStore:
    scheme, _, path = url.partition(":///")
    if scheme != "folder" or not path or "?" in path or "#" in path:
        raise ValidationError("the URL must be folder:///path, without a query")
    return FolderStore(path)
