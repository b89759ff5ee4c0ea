"""Sessions in a folder, a file each: for the threads of many processes, on one disk, without a server.

A write takes the session's lock, reads its file, and puts a new file in its place: the one atomic step. A read needs no
lock. Each costs as much as all of the session, so that should be short.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from hashlib import sha256
from pathlib import Path

from filelock import FileLock, Timeout

from openstackai_sessions_core import (
    BackendError,
    BackendUnavailableError,
    OutcomeUnknownError,
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
    SessionState,
    Snapshot,
    StoreOptions,
)


class FolderStore(BaseStore):
    def __init__(
        self, folder: str | Path, *, options: StoreOptions | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(options)
        self._place, self._clock, self._closed = Path(folder).absolute(), clock, False

    def append(self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None) -> Outcome:
        with self._changed(session_id) as state:
            return state.append(op, messages, ttl=ttl)

    def pop(self, session_id: str, op: Operation, *, ttl: int | None) -> Outcome:
        with self._changed(session_id) as state:
            return state.pop(op, ttl=ttl)

    def clear(self, session_id: str, op: Operation, *, ttl: int | None) -> Outcome:
        with self._changed(session_id) as state:
            return state.clear(op, ttl=ttl)

    def write_metadata(
        self, session_id: str, op: Operation, values: Mapping[str, bytes], removed: Sequence[str], *, ttl: int | None
    ) -> Outcome:
        with self._changed(session_id) as state:
            return state.write_metadata(op, values, removed, ttl=ttl)

    def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        with self._changed(session_id) as state:
            return state.replace(op, content, ttl=ttl)

    def delete(self, session_id: str, op: Operation) -> Outcome:
        with self._changed(session_id) as state:
            return state.delete(op)

    def read(self, session_id: str, *, limit: int | None, before: int | None) -> Sequence[RecordTuple]:
        return self._find(session_id).read(limit=limit, before=before)

    def scan(self, session_id: str, life: int, *, after: int, until: int, limit: int) -> Sequence[RecordTuple]:
        raise UnsupportedError("a session's file is read whole, whatever its length: use get_messages()")

    def head(self, session_id: str) -> Head | None:
        return self._find(session_id).head()

    def read_metadata(self, session_id: str, keys: Sequence[str] | None) -> Mapping[str, bytes]:
        return self._find(session_id).read_metadata(keys)

    def load(self, session_id: str) -> Snapshot | None:
        return self._find(session_id).load()

    def list_page(self, prefix: str, *, after: str | None, limit: int) -> Sequence[SessionInfo]:
        infos = [info for state in self._sweep() if (info := state.info()) and info.id.startswith(prefix)]
        return sorted((i for i in infos if after is None or i.id > after), key=lambda info: info.id)[:limit]

    def purge(self) -> int:
        return sum(state.expired for state in self._sweep())

    def durability(self) -> Durability:
        return "power"

    def close(self) -> None:
        self._closed = True

    # -- The files ----------------------------------------------------------------------------------------------------

    @property
    def _folder(self) -> Path:
        if self._closed:
            raise SessionClosedError("the store is closed; open it again")
        return self._place

    def _file(self, session_id: str) -> Path:
        """Under a hash: an id may be longer than the name of a file, and hold letters that none has."""
        return self._folder / f"{sha256(session_id.encode()).hexdigest()}.session"

    def _state(self, session_id: str | None, stored: bytes | None) -> SessionState:
        return SessionState(session_id, stored, now=int(self._clock() * 1_000_000), options=self.options)

    def _find(self, session_id: str) -> SessionState:
        return self._state(session_id, self._read(self._file(session_id)))

    def _changed(self, session_id: str) -> AbstractContextManager[SessionState]:
        return self._locked(self._file(session_id), session_id)

    @contextmanager
    def _locked(self, file: Path, session_id: str | None = None) -> Iterator[SessionState]:
        """A session's state, under its lock; what becomes of it takes the place of what was stored."""
        lock = FileLock(file.with_suffix(".lock"), timeout=self.timeout, is_singleton=False)
        try:
            with lock.acquire(poll_interval=0.002):
                stored = self._read(file)
                state = self._state(session_id, stored)
                yield state
                # A write is stored also where it is a repetition: the first may have been killed before its sync.
                if (changed := state.encode()) != stored or session_id is not None:
                    self._write(file, changed)
        except Timeout as error:
            raise BackendUnavailableError(f"{file} was locked for {self.timeout:g} s; nothing was applied") from error
        except OSError as error:
            raise BackendError(f"{file} cannot be written ({error.strerror}); nothing was applied") from error

    def _sweep(self) -> Iterator[SessionState]:
        """Every session that is stored: what has expired leaves, and so does a file that remembers nothing."""
        for file in self._folder.glob("*.session"):
            with self._locked(file) as state:
                pass
            yield state

    def _read(self, file: Path) -> bytes | None:
        try:
            return file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BackendError(f"{file} cannot be read ({error.strerror})") from error

    def _write(self, file: Path, data: bytes | None) -> None:
        if data is None:
            return file.unlink()
        fresh = file.with_suffix(".new")
        with fresh.open("wb") as target:
            target.write(data)
            target.flush()
            os.fsync(target.fileno())
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            fresh.replace(file)
            os.fsync(folder)  # the new name, too, is to outlast a loss of power
        except OSError as error:
            raise OutcomeUnknownError(f"{file} may have been replaced, or not for good ({error.strerror})") from error
        finally:
            os.close(folder)


def open_folder_store(url: str) -> FolderStore:
    scheme, _, path = url.partition(":///")
    if scheme != "folder" or not path or "?" in path or "#" in path:
        raise ValidationError("the URL must be folder:///path, without a query")
    return FolderStore(path)
