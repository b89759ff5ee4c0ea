"""The asynchronous face of the same store: what takes long happens in the engine's thread, never on the event loop."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from openstackai_sessions_core import Limits, SessionInfo
from openstackai_sessions_core.backend import (
    AsyncBaseStore,
    Durability,
    Head,
    NewMessage,
    Operation,
    Outcome,
    Record,
    SessionImport,
    Snapshot,
    StoreOptions,
)
from openstackai_sessions_sqlite import _operations as operations, _plans as plans
from openstackai_sessions_sqlite._connection import Synchronous
from openstackai_sessions_sqlite._database import Database, absolute_path, check_path

__all__ = ["AsyncSQLiteStore"]


class AsyncSQLiteStore(AsyncBaseStore):
    """The sessions in one SQLite file, for tasks of any event loop; see `SQLiteStore` for the settings.

    Writes that wait at the same time are made durable together. Synchronous stores on the same file are welcome.
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
    def _shared(cls, database: Database) -> AsyncSQLiteStore:
        """A store that handles share and nobody owns."""
        store = cls.__new__(cls)
        store._use(database)
        return store

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._database.path!r}>"

    # -- Writes -----------------------------------------------------------------------------------------------------

    async def append(
        self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None
    ) -> Outcome:
        """Append all messages or none."""
        run = partial(operations.append, self._settings, session_id, op, messages, ttl)
        return await self._database.submit(run, writes=True)

    async def pop(self, session_id: str, op: Operation, *, ttl: int | None) -> Outcome:
        """Remove the newest message and return it."""
        run = partial(operations.pop, self._settings, session_id, op, ttl)
        return await self._database.submit(run, writes=True)

    async def clear(self, session_id: str, op: Operation, *, ttl: int | None) -> Outcome:
        """Remove every message."""
        run = partial(operations.clear, self._settings, session_id, op, ttl)
        return await self._database.submit(run, writes=True)

    async def write_metadata(
        self, session_id: str, op: Operation, values: Mapping[str, bytes], removed: Sequence[str], *, ttl: int | None
    ) -> Outcome:
        """Set all values and remove the keys."""
        run = partial(operations.write_metadata, self._settings, session_id, op, values, removed, ttl)
        return await self._database.submit(run, writes=True)

    async def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        """Put a document in the place of what the session holds, or after it."""
        if not content.append and len(content.messages) > plans.LARGE_IMPORT:
            return await self._database.run_async(plans.import_in_steps(self._settings, session_id, op, content, ttl))
        run = partial(operations.replace, self._settings, session_id, op, content, ttl)
        return await self._database.submit(run, writes=True)

    async def delete(self, session_id: str, op: Operation) -> Outcome:
        """End this life of the session."""
        return await self._database.submit(partial(operations.delete, self._settings, session_id, op), writes=True)

    # -- Reads ------------------------------------------------------------------------------------------------------

    async def read(self, session_id: str, *, limit: int | None, before: int | None) -> Sequence[Record]:
        """Read the newest messages, oldest first."""
        if limit is None or limit > plans.LARGE_READ:
            return await self._database.run_async(plans.read_all(self._settings, session_id, limit, before))
        run = partial(operations.read, self._settings, session_id, limit, before, None)
        return await self._database.submit(run, writes=False) or []

    async def scan(self, session_id: str, life: int, *, after: int, until: int, limit: int) -> Sequence[Record]:
        """Read the oldest messages at positions in (after, until]."""
        run = partial(operations.scan, self._settings, session_id, life, after, until, limit)
        if limit <= plans.LARGE_READ:
            return await self._database.submit(run, writes=False)
        return await asyncio.to_thread(self._database.read_aside, run)

    async def head(self, session_id: str) -> Head | None:
        """Read the session's state."""
        return await self._database.submit(partial(operations.head, self._settings, session_id), writes=False)

    async def read_metadata(self, session_id: str, keys: Sequence[str] | None) -> Mapping[str, bytes]:
        """Read some or all metadata."""
        run = partial(operations.read_metadata, self._settings, session_id, keys)
        return await self._database.submit(run, writes=False)

    async def load(self, session_id: str) -> Snapshot | None:
        """Read everything the session holds at one instant."""
        run = partial(operations.load, self._settings, session_id)
        return await asyncio.to_thread(self._database.read_aside, run)

    async def list_page(self, prefix: str, *, after: str | None, limit: int) -> Sequence[SessionInfo]:
        """List sessions by id, once what has expired is cleared away."""
        return await self._database.run_async(plans.list_sessions(self._settings, prefix, after, limit))

    # -- The store --------------------------------------------------------------------------------------------------

    async def purge(self) -> int:
        """Remove from storage what has expired."""
        return await self._database.run_async(plans.purge(self._settings))

    async def durability(self) -> Durability:
        """What an acknowledged write survives: `"power"`, `"process"`, or `"unknown"` in memory."""
        return self._database.durability()

    async def close(self) -> None:
        """Finish what is under way and close the file, unless others in this process are on it; idempotent."""
        self._database.flush()
        await asyncio.to_thread(self._database.close)
