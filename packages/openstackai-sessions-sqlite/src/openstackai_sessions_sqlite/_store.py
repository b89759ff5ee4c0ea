"""The store on a SQLite file: each primitive of the contract is one function of `_operations`, run by the engine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from openstackai_sessions_core import Limits, SessionInfo
from openstackai_sessions_core.backend import (
    AtHand,
    BaseStore,
    Durability,
    Head,
    MessagesAtHand,
    NewMessage,
    Operation,
    Outcome,
    RecordTuple,
    SessionImport,
    Snapshot,
    StoreOptions,
)
from openstackai_sessions_sqlite import _operations as operations, _plans as plans
from openstackai_sessions_sqlite._connection import Synchronous
from openstackai_sessions_sqlite._database import Database, absolute_path, check_path

__all__ = ["SQLiteStore"]


class SQLiteStore(BaseStore, MessagesAtHand):
    """The sessions in one SQLite file, safe to share between threads; processes share the file itself.

    The file is made when it is first used, its directory is not. `":memory:"` is a database of this store's own,
    gone with it. With `synchronous="full"` an acknowledged write survives a loss of power, with `"normal"` a kill of
    the process. `timeout` is how long an operation waits for other processes, `retry_timeout` for how long a handle
    tries again, `op_id_ttl` for how long operations are remembered (all in seconds). `clock` returns seconds since
    the epoch. Close the store when you are done with it.

    Raises `ValidationError` for a path that cannot name a file; at first use also for a directory, for one that does
    not exist, and for the database of another application.
    """

    def __init__(
        self,
        db_path: str | os.PathLike[str],
        *,
        synchronous: Synchronous = "full",
        timeout: float = 30.0,
        retry_timeout: float = 30.0,
        op_id_ttl: float = 600.0,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        options = StoreOptions(timeout, retry_timeout, op_id_ttl, Limits() if limits is None else limits)
        path = absolute_path(check_path(db_path))
        self._use(Database(path, options, synchronous=synchronous, clock=clock, owned=True))

    def _use(self, database: Database) -> None:
        super().__init__(database.options)
        self._database = database
        self._settings = database.settings

    @classmethod
    def _shared(cls, database: Database) -> SQLiteStore:
        """A store that handles share and nobody owns."""
        store = cls.__new__(cls)
        store._use(database)
        return store

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._database.path!r}>"

    # -- Writes -----------------------------------------------------------------------------------------------------

    def append(self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None) -> Outcome:
        """Append all messages or none."""
        return self._database.write(operations.Append(self._settings, session_id, op, messages, ttl))

    def pop(self, session_id: str, op: Operation, *, ttl: int | None) -> Outcome:
        """Remove the newest message and return it."""
        return self._database.write(operations.Write(operations.pop, self._settings, session_id, op, ttl))

    def clear(self, session_id: str, op: Operation, *, ttl: int | None) -> Outcome:
        """Remove every message."""
        return self._database.write(operations.Write(operations.clear, self._settings, session_id, op, ttl))

    def write_metadata(
        self, session_id: str, op: Operation, values: Mapping[str, bytes], removed: Sequence[str], *, ttl: int | None
    ) -> Outcome:
        """Set all values and remove the keys."""
        run = operations.Write(operations.write_metadata, self._settings, session_id, op, values, removed, ttl)
        return self._database.write(run)

    def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        """Put a document in the place of what the session holds, or after it."""
        if not content.append and len(content.messages) > plans.LARGE_IMPORT:
            return self._database.run(plans.import_in_steps(self._settings, session_id, op, content, ttl))
        return self._database.write(operations.Write(operations.replace, self._settings, session_id, op, content, ttl))

    def delete(self, session_id: str, op: Operation) -> Outcome:
        """End this life of the session."""
        return self._database.write(operations.Write(operations.delete, self._settings, session_id, op))

    # -- Reads ------------------------------------------------------------------------------------------------------

    def read(self, session_id: str, *, limit: int | None, before: int | None) -> Sequence[RecordTuple]:
        """Read the newest messages, oldest first."""
        if limit is None or limit > plans.LARGE_READ:
            return self._database.run(plans.read_all(self._settings, session_id, limit, before))
        return self._database.read(partial(operations.read, self._settings, session_id, limit, before, None)) or []

    def at_hand(self, session_id: str, limit: int | None) -> AtHand | None:
        """The newest messages if they are remembered and nobody is at work."""
        return self._database.at_hand(session_id, limit)

    def scan(self, session_id: str, life: int, *, after: int, until: int, limit: int) -> Sequence[RecordTuple]:
        """Read the oldest messages at positions in (after, until]."""
        run = partial(operations.scan, self._settings, session_id, life, after, until, limit)
        return self._database.read(run) if limit <= plans.LARGE_READ else self._database.read_aside(run)

    def head(self, session_id: str) -> Head | None:
        """Read the session's state."""
        return self._database.read(partial(operations.head, self._settings, session_id))

    def read_metadata(self, session_id: str, keys: Sequence[str] | None) -> Mapping[str, bytes]:
        """Read some or all metadata."""
        return self._database.read(partial(operations.read_metadata, self._settings, session_id, keys))

    def load(self, session_id: str) -> Snapshot | None:
        """Read everything the session holds at one instant."""
        return self._database.read_aside(partial(operations.load, self._settings, session_id))

    def list_page(self, prefix: str, *, after: str | None, limit: int) -> Sequence[SessionInfo]:
        """List sessions by id, once what has expired is cleared away."""
        return self._database.run(plans.list_sessions(self._settings, prefix, after, limit))

    # -- The store --------------------------------------------------------------------------------------------------

    def purge(self) -> int:
        """Remove from storage what has expired."""
        return self._database.run(plans.purge(self._settings))

    def durability(self) -> Durability:
        """What an acknowledged write survives: `"power"`, `"process"`, or `"unknown"` in memory."""
        return self._database.durability()

    def close(self) -> None:
        """Finish what is under way and close the file, unless others in this process are on it; idempotent."""
        self._database.close()
