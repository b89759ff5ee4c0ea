"""The asynchronous face of sessions in memory.

Nothing here waits; only big imports leave the event loop. Reads let other tasks run once, or a task that reads in a
loop would starve them (writes do so anyway: the handle settles them in a task of their own).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from openstackai_sessions_core._async_base import AsyncBaseStore
from openstackai_sessions_core._async_session import AsyncSession
from openstackai_sessions_core._async_store import Durability
from openstackai_sessions_core._errors import ValidationError
from openstackai_sessions_core._limits import Limits
from openstackai_sessions_core._memory import InMemoryStore
from openstackai_sessions_core._message import SessionInfo
from openstackai_sessions_core._records import (
    Head,
    NewMessage,
    Operation,
    Outcome,
    Record,
    SessionImport,
    Snapshot,
)

__all__ = ["AsyncInMemorySession", "AsyncInMemoryStore"]

LARGE = 1_000


class AsyncInMemoryStore(AsyncBaseStore):
    """A store in memory, for tests and for what need not outlive the process; see `InMemoryStore` for the settings."""

    def __init__(
        self,
        *,
        retry_timeout: float = 30.0,
        op_id_ttl: float = 600.0,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = InMemoryStore(retry_timeout=retry_timeout, op_id_ttl=op_id_ttl, limits=limits, clock=clock)
        super().__init__(self._store.options)

    def __repr__(self) -> str:
        return repr(self._store).replace("<", "<Async", 1)

    async def append(
        self,
        session_id: str,
        op: Operation,
        messages: Sequence[NewMessage],
        *,
        ttl: int | None,
    ) -> Outcome:
        return self._store.append(session_id, op, messages, ttl=ttl)

    async def pop(self, session_id: str, op: Operation, *, ttl: int | None) -> Outcome:
        return self._store.pop(session_id, op, ttl=ttl)

    async def clear(self, session_id: str, op: Operation, *, ttl: int | None) -> Outcome:
        return self._store.clear(session_id, op, ttl=ttl)

    async def write_metadata(
        self,
        session_id: str,
        op: Operation,
        values: Mapping[str, bytes],
        removed: Sequence[str],
        *,
        ttl: int | None,
    ) -> Outcome:
        return self._store.write_metadata(session_id, op, values, removed, ttl=ttl)

    async def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        if len(content.messages) > LARGE:
            return await asyncio.to_thread(self._store.replace, session_id, op, content, ttl=ttl)
        return self._store.replace(session_id, op, content, ttl=ttl)

    async def delete(self, session_id: str, op: Operation) -> Outcome:
        return self._store.delete(session_id, op)

    async def read(self, session_id: str, *, limit: int | None, before: int | None) -> Sequence[Record]:
        await asyncio.sleep(0)
        return self._store.read(session_id, limit=limit, before=before)

    async def scan(self, session_id: str, life: int, *, after: int, until: int, limit: int) -> Sequence[Record]:
        await asyncio.sleep(0)
        return self._store.scan(session_id, life, after=after, until=until, limit=limit)

    async def head(self, session_id: str) -> Head | None:
        await asyncio.sleep(0)
        return self._store.head(session_id)

    async def read_metadata(self, session_id: str, keys: Sequence[str] | None) -> Mapping[str, bytes]:
        await asyncio.sleep(0)
        return self._store.read_metadata(session_id, keys)

    async def load(self, session_id: str) -> Snapshot | None:
        await asyncio.sleep(0)
        return self._store.load(session_id)

    async def list_page(self, prefix: str, *, after: str | None, limit: int) -> Sequence[SessionInfo]:
        await asyncio.sleep(0)
        return self._store.list_page(prefix, after=after, limit=limit)

    async def purge(self) -> int:
        return self._store.purge()

    async def durability(self) -> Durability:
        """`"unknown"`: memory promises nothing beyond the life of this process."""
        return self._store.durability()

    async def close(self) -> None:
        self._store.close()


class AsyncInMemorySession(AsyncSession):
    """A handle on a session in memory: private to itself, or in a `store` that several handles share.

    `ttl` is in seconds; see `AsyncSession`.
    """

    def __init__(
        self,
        session_id: str = "default",
        *,
        store: AsyncInMemoryStore | None = None,
        ttl: float | None = None,
    ) -> None:
        if store is not None and not isinstance(store, AsyncInMemoryStore):
            raise ValidationError(f"store must be an AsyncInMemoryStore, not {type(store).__name__}")
        super().__init__(AsyncInMemoryStore() if store is None else store, session_id, ttl=ttl)
