"""The asynchronous face of the same store: what takes long happens in the engine's thread, never on the event loop."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from openstackai_sessions_core import Limits, SessionInfo
from openstackai_sessions_core.backend import (
    AsyncBaseStore,
    AtHand,
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

__all__ = ["AsyncSQLiteStore"]

# In seconds: for so long of one turn of an event loop tasks may read what is at hand. Then they wait for others.
TURN = 0.01


class AsyncSQLiteStore(AsyncBaseStore, MessagesAtHand):
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
        # Until when each event loop may have messages at hand in this turn of it.
        self._until: dict[asyncio.AbstractEventLoop, float] = {}

    @classmethod
    def _shared(cls, database: Database) -> AsyncSQLiteStore:
        """A store that handles share and nobody owns."""
        store = cls.__new__(cls)
        store._use(database)
        return store

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._database.path!r}>"

    # -- Writes -----------------------------------------------------------------------------------------------------

    def append(
        self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None
    ) -> Awaitable[Outcome]:
        """Append all messages or none."""
        run = operations.Append(self._settings, session_id, op, messages, ttl)
        return self._database.submit(run, writes=True)

    def pop(self, session_id: str, op: Operation, *, ttl: int | None) -> Awaitable[Outcome]:
        """Remove the newest message and return it."""
        run = operations.Write(operations.pop, self._settings, session_id, op, ttl)
        return self._database.submit(run, writes=True)

    def clear(self, session_id: str, op: Operation, *, ttl: int | None) -> Awaitable[Outcome]:
        """Remove every message."""
        run = operations.Write(operations.clear, self._settings, session_id, op, ttl)
        return self._database.submit(run, writes=True)

    def write_metadata(
        self, session_id: str, op: Operation, values: Mapping[str, bytes], removed: Sequence[str], *, ttl: int | None
    ) -> Awaitable[Outcome]:
        """Set all values and remove the keys."""
        run = operations.Write(operations.write_metadata, self._settings, session_id, op, values, removed, ttl)
        return self._database.submit(run, writes=True)

    async def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        """Put a document in the place of what the session holds, or after it."""
        if not content.append and len(content.messages) > plans.LARGE_IMPORT:
            return await self._database.run_async(plans.import_in_steps(self._settings, session_id, op, content, ttl))
        run = operations.Write(operations.replace, self._settings, session_id, op, content, ttl)
        return await self._database.submit(run, writes=True)

    def delete(self, session_id: str, op: Operation) -> Awaitable[Outcome]:
        """End this life of the session."""
        return self._database.submit(operations.Write(operations.delete, self._settings, session_id, op), writes=True)

    # -- Reads ------------------------------------------------------------------------------------------------------

    def read(self, session_id: str, *, limit: int | None, before: int | None) -> Awaitable[Sequence[RecordTuple]]:
        """Read the newest messages, oldest first."""
        if limit is None or limit > plans.LARGE_READ:
            return self._database.run_async(plans.read_all(self._settings, session_id, limit, before))
        return self._database.submit(operations.Read(self._settings, session_id, limit, before), writes=False)

    def at_hand(self, session_id: str, limit: int | None) -> AtHand | None:
        """The newest messages if they are remembered, and if this turn of the event loop has not taken long."""
        loop = asyncio.get_running_loop()
        now = time.monotonic()
        until = self._until.get(loop)
        if until is None:
            until = self._until[loop] = now + TURN
            loop.call_soon(self._until.pop, loop, None)
        return self._database.at_hand(session_id, limit) if now < until else None

    async def scan(self, session_id: str, life: int, *, after: int, until: int, limit: int) -> Sequence[RecordTuple]:
        """Read the oldest messages at positions in (after, until]."""
        run = partial(operations.scan, self._settings, session_id, life, after, until, limit)
        if limit <= plans.LARGE_READ:
            return await self._database.submit(run, writes=False)
        return await asyncio.to_thread(self._database.read_aside, run)

    def head(self, session_id: str) -> Awaitable[Head | None]:
        """Read the session's state."""
        return self._database.submit(partial(operations.head, self._settings, session_id), writes=False)

    def read_metadata(self, session_id: str, keys: Sequence[str] | None) -> Awaitable[Mapping[str, bytes]]:
        """Read some or all metadata."""
        run = partial(operations.read_metadata, self._settings, session_id, keys)
        return self._database.submit(run, writes=False)

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
