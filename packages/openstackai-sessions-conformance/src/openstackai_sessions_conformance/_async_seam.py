"""What cannot be generated for the suite's asynchronous side: running, waiting, and several calls at once.

`_seam.py` is its synchronous twin; both are written by hand and offer the same names.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar, cast

from openstackai_sessions_conformance._capabilities import Capability
from openstackai_sessions_conformance._findings import fail
from openstackai_sessions_conformance._place import Place, check_settings, opened
from openstackai_sessions_core.backend import AsyncBaseStore

__all__ = ["KINDS", "Runner", "open_on", "run", "sleep", "together", "within"]

T = TypeVar("T")

KINDS = ~Capability.THREADS

sleep = asyncio.sleep


def run(function: Callable[[], Awaitable[None]]) -> None:
    """Run a check to its end, in an event loop of its own."""

    async def main() -> None:
        await function()

    asyncio.run(main())


class Runner:
    """Runs one call after another in one event loop, for callers that cannot wait themselves."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()

    def do(self, function: Callable[[], Awaitable[T]]) -> T:
        async def main() -> T:
            return await function()

        return self._loop.run_until_complete(main())

    def close(self) -> None:
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


async def open_on(place: Place, **options: object) -> AsyncBaseStore:
    """Open a store, whether the place's `open` is a plain function or not."""
    store: object = place.open(**opened(place, options))
    if inspect.isawaitable(store):
        store = await store
    made = cast("AsyncBaseStore", store)
    check_settings(place, made, options)
    return made


async def together(calls: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """Run all calls at the same time; return their results in order."""
    return list(await asyncio.gather(*(call() for call in calls)))


async def within(seconds: float, what: str, call: Callable[[], Awaitable[T]]) -> T:
    """Require that a call ends in time."""

    async def main() -> T:
        return await call()

    try:
        return await asyncio.wait_for(main(), seconds)
    except asyncio.TimeoutError:
        fail(f"{what} ends within {seconds:g} s", "it does not end", cause="a lock held while others need it")
