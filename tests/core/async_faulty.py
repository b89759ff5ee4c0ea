"""A store whose calls fail as told: before they reach the real store, or after it has applied them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from openstackai_sessions_core import BackendError, SessionInfo
from openstackai_sessions_core.backend import (
    AsyncBaseStore,
    Durability,
    Head,
    NewMessage,
    Operation,
    Outcome,
    RecordTuple,
    SessionImport,
    Snapshot,
)


class AsyncFaultyStore(AsyncBaseStore):
    """Raises `before` (one fault a call, in order) instead of calling, then `after` once the call was applied."""

    def __init__(self, real: AsyncBaseStore) -> None:
        super().__init__(real.options)
        self.real = real
        self.before: list[BackendError | None] = []
        self.after: list[BackendError | None] = []
        self.calls: list[str] = []

    def _enter(self, name: str) -> None:
        self.calls.append(name)
        if self.before and (fault := self.before.pop(0)) is not None:
            raise fault

    def _leave(self) -> None:
        if self.after and (fault := self.after.pop(0)) is not None:
            raise fault

    async def append(
        self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None
    ) -> Outcome:
        self._enter("append")
        outcome = await self.real.append(session_id, op, messages, ttl=ttl)
        self._leave()
        return outcome

    async def pop(self, session_id: str, op: Operation, *, ttl: int | None) -> Outcome:
        self._enter("pop")
        outcome = await self.real.pop(session_id, op, ttl=ttl)
        self._leave()
        return outcome

    async def clear(self, session_id: str, op: Operation, *, ttl: int | None) -> Outcome:
        self._enter("clear")
        outcome = await self.real.clear(session_id, op, ttl=ttl)
        self._leave()
        return outcome

    async def write_metadata(
        self, session_id: str, op: Operation, values: Mapping[str, bytes], removed: Sequence[str], *, ttl: int | None
    ) -> Outcome:
        self._enter("write_metadata")
        outcome = await self.real.write_metadata(session_id, op, values, removed, ttl=ttl)
        self._leave()
        return outcome

    async def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        self._enter("replace")
        outcome = await self.real.replace(session_id, op, content, ttl=ttl)
        self._leave()
        return outcome

    async def delete(self, session_id: str, op: Operation) -> Outcome:
        self._enter("delete")
        outcome = await self.real.delete(session_id, op)
        self._leave()
        return outcome

    async def read(self, session_id: str, *, limit: int | None, before: int | None) -> Sequence[RecordTuple]:
        self._enter("read")
        return await self.real.read(session_id, limit=limit, before=before)

    async def scan(self, session_id: str, life: int, *, after: int, until: int, limit: int) -> Sequence[RecordTuple]:
        self._enter("scan")
        return await self.real.scan(session_id, life, after=after, until=until, limit=limit)

    async def head(self, session_id: str) -> Head | None:
        self._enter("head")
        return await self.real.head(session_id)

    async def read_metadata(self, session_id: str, keys: Sequence[str] | None) -> Mapping[str, bytes]:
        self._enter("read_metadata")
        return await self.real.read_metadata(session_id, keys)

    async def load(self, session_id: str) -> Snapshot | None:
        self._enter("load")
        return await self.real.load(session_id)

    async def list_page(self, prefix: str, *, after: str | None, limit: int) -> Sequence[SessionInfo]:
        self._enter("list_page")
        return await self.real.list_page(prefix, after=after, limit=limit)

    async def purge(self) -> int:
        self._enter("purge")
        return await self.real.purge()

    async def durability(self) -> Durability:
        return await self.real.durability()

    async def close(self) -> None:
        await self.real.close()
