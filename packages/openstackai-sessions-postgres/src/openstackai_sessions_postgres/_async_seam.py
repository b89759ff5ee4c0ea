"""The few things that cannot be generated: what waiting, taking turns and a place mean on the asynchronous side.

`_seam.py` is its synchronous twin; both are written by hand and offer the same names.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from time import monotonic
from typing import Any, TypeVar
from weakref import WeakMethod

import psycopg
from psycopg.abc import PQGen
from psycopg.waiting import wait_async
from psycopg_pool import AsyncConnectionPool

from openstackai_sessions_postgres._waiting import until

__all__ = ["Cancelled", "Lock", "Place", "Pool", "Slots", "bound", "here", "is_gone", "sleep", "watch_end"]

T = TypeVar("T")

Cancelled = asyncio.CancelledError
Place = asyncio.AbstractEventLoop
Lock = asyncio.Lock
sleep = asyncio.sleep


def here() -> Place:
    """Where connections live: in an event loop."""
    return asyncio.get_running_loop()


def is_gone(place: Place) -> bool:
    """Whether nobody can be in that place any more."""
    return place.is_closed()


async def watch_end(end: Callable[[], None]) -> object:
    """Have a method called when the event loop shuts down; keep what is returned for as long as that is wanted."""
    method = WeakMethod(end)

    # The loop closes every asynchronous generator that was begun in it and is still there.
    async def wait_for_end() -> AsyncGenerator[None]:
        try:
            yield
        finally:
            if (call := method()) is not None:
                call()

    generator = wait_for_end()
    await generator.__anext__()
    return generator


class Pool(AsyncConnectionPool[Any]):
    """A pool whose tasks end when they are cancelled.

    A worker takes a cancellation, wherever that strikes it, for a failure of what it was doing, and goes on waiting for
    work: the event loop, which cancels each task once and then waits for it, would never end.
    """

    _guard: asyncio.Task[None] | None = None

    async def open(self, wait: bool = False, timeout: float = 30.0) -> None:  # noqa: FBT002 - as in psycopg
        before = asyncio.all_tasks()
        await super().open(wait, timeout)
        prefix = f"{self.name}-"
        own = {task for task in asyncio.all_tasks() - before if task.get_name().startswith(prefix)}
        if own:
            self._guard = asyncio.create_task(_see_off(own), name=f"{prefix}guard")

    def __del__(self) -> None:
        # Forgotten without being closed, perhaps in another thread or after its loop: nobody else ends its tasks.
        if self._guard is not None and not self._guard.done():
            with suppress(RuntimeError):
                self._guard.get_loop().call_soon_threadsafe(self._guard.cancel)


async def _see_off(tasks: set[asyncio.Task[Any]]) -> None:
    """Wait until all have ended; cancelled before that, have them end."""
    try:
        await asyncio.wait(tasks)
    finally:
        for task in tasks:
            _cancel_until_done(task)


def _cancel_until_done(task: asyncio.Task[Any]) -> None:
    if not task.done():
        task.cancel()
        task.get_loop().call_later(0.01, _cancel_until_done, task)


class Slots:
    """A number of turns, given in the order of asking."""

    def __init__(self, number: int) -> None:
        self._free = number
        self._waiting: deque[asyncio.Future[bool]] = deque()
        self.taken = 0

    async def acquire(self, timeout: float) -> bool:
        """Wait for a turn; False where there was none in time."""
        if self._free == 0:
            loop = asyncio.get_running_loop()
            turn: asyncio.Future[bool] = loop.create_future()
            self._waiting.append(turn)
            timer = loop.call_later(timeout, _give_up, turn)
            try:
                if not await turn:
                    return False
            except asyncio.CancelledError:
                # A turn that came together with the cancellation goes to the next.
                if turn.done() and not turn.cancelled() and turn.result():
                    self._free += 1
                    self._call_next()
                raise
            finally:
                timer.cancel()
        else:
            self._free -= 1
        self.taken += 1
        return True

    def release(self) -> None:
        """End a turn."""
        self.taken -= 1
        self._free += 1
        self._call_next()

    def _call_next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                self._free -= 1
                turn.set_result(True)
                return


def _give_up(turn: asyncio.Future[bool]) -> None:
    if not turn.done():
        turn.set_result(False)


def bound(connection: psycopg.AsyncConnection[Any], timeout: float) -> None:
    """Let everything that the connection waits for, from now on, take `timeout` seconds in all.

    What exceeds that, or is cancelled, closes the connection: nobody else may read the answer that is on its way.
    """
    deadline = monotonic() + timeout

    async def wait(gen: PQGen[T], interval: float = 0.0, timeout: float | None = None) -> T:  # noqa: ARG001 - the driver's signature
        try:
            remaining = max(deadline - monotonic(), 0.001)
            return await wait_async(until(gen, deadline), connection.pgconn.socket, interval=remaining)
        except psycopg.Error:
            raise
        except BaseException:
            connection.pgconn.finish()
            raise

    vars(connection)["wait"] = wait
