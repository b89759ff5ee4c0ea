"""Mutants that only tasks and event loops can show: what a cancelled call keeps, and what dies with its loop."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Sequence
from typing import Any

from openstackai_sessions_core import AsyncInMemoryStore, AsyncSession, PoolTimeoutError
from openstackai_sessions_core.backend import NewMessage, Operation, Outcome, Record

__all__ = ["TASK_FAULTS"]

CONNECTIONS = 8


class KeepsItsConnection(AsyncInMemoryStore):
    """A read that is cancelled while it waits for its answer gives nothing back to the pool."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._free = CONNECTIONS

    async def read(self, session_id: str, *, limit: int | None, before: int | None) -> Sequence[Record]:
        deadline = time.monotonic() + 1
        while not self._free:
            if time.monotonic() > deadline:
                raise PoolTimeoutError("no connection became free in time")
            await asyncio.sleep(0.001)
        self._free -= 1
        await asyncio.sleep(0)
        self._free += 1
        return await super().read(session_id, limit=limit, before=before)


class CommitsAtTheEnd(AsyncInMemoryStore):
    """A timer of the loop commits what was acknowledged; what a loop leaves behind is rolled back."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._open: dict[Operation, tuple[asyncio.AbstractEventLoop, str, Outcome]] = {}

    async def append(
        self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None
    ) -> Outcome:
        self._roll_back()
        outcome = await super().append(session_id, op, messages, ttl=ttl)
        loop = asyncio.get_running_loop()
        if outcome.applied and not outcome.repeated:
            self._open[op] = loop, session_id, outcome
            loop.call_later(0.05, self._open.pop, op, None)
        return outcome

    async def head(self, session_id: str) -> Any:
        self._roll_back()
        return await super().head(session_id)

    def _roll_back(self) -> None:
        for op, (loop, session_id, outcome) in list(self._open.items()):
            entry = self._store._sessions.get(session_id)
            if not loop.is_closed() or entry is None:
                continue
            del self._open[op]
            self._store._operations.pop((session_id, op.id), None)
            for record in outcome.records:
                entry.log = [kept for kept in entry.log if kept[0] != record[0]]
                entry.by_id.pop(record[1], None)


class TakesItForTheCallers(AsyncSession):
    """A cancellation that an async handler meets is raised as if the caller had been cancelled."""

    def on(self, event: Any, handler: Callable[..., Any] | None = None) -> Any:
        if not inspect.iscoroutinefunction(handler):
            return super().on(event, handler) if handler is not None else super().on(event)

        async def called(*arguments: object) -> None:
            try:
                await handler(*arguments)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                raise

        return super().on(event, called)


class TakesIt(AsyncInMemoryStore):
    def session(self, session_id: str, *, ttl: float | None = None) -> AsyncSession:
        return TakesItForTheCallers(self, session_id, ttl=ttl)


TASK_FAULTS: dict[str, Callable[..., AsyncInMemoryStore]] = {
    "a cancelled read keeps its connection (async)": KeepsItsConnection,
    "appends die with their loop (async)": CommitsAtTheEnd,
    "a handler's cancellation is the caller's (async)": TakesIt,
}
