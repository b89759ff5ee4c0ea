"""The few things that cannot be generated: what waiting, settling and calling mean on the asynchronous side.

`_seam.py` is its synchronous twin; both are written by hand and offer the same names.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeAlias, TypeVar

from openstackai_sessions_core._arguments import refuse_store
from openstackai_sessions_core._async_store import AsyncSessionStore
from openstackai_sessions_core._events import Firing, Handler

__all__ = [
    "Cancellation",
    "call_handler",
    "check_handler",
    "check_store",
    "end_dispatch",
    "in_thread",
    "reraise",
    "running_dispatch",
    "settle",
    "sleep",
    "start_dispatch",
]

T = TypeVar("T")

sleep = asyncio.sleep
# The cancellation that a settled write has held back.
Cancellation: TypeAlias = "asyncio.CancelledError | None"


async def in_thread(function: Callable[..., T], *arguments: object) -> T:
    """Run what takes long away from the event loop."""
    return await asyncio.to_thread(function, *arguments)


async def settle(call: Awaitable[T], timeout: float) -> tuple[T, Cancellation]:
    """Await a write to its end even if the caller is cancelled meanwhile; return its result and that cancellation.

    A cancelled write is given `timeout` seconds, then it is cancelled itself. Where it fails after the caller was
    cancelled, the cancellation is what is raised.
    """
    task = asyncio.ensure_future(call)
    cancellation: Cancellation = None
    deadline: float | None = None
    while not task.done():
        try:
            if deadline is None:
                await _finished(task)
            elif (remaining := deadline - time.monotonic()) > 0:
                await asyncio.wait([task], timeout=remaining)
            else:
                break
        except asyncio.CancelledError as error:
            cancellation = error
            deadline = deadline or time.monotonic() + timeout
    if cancellation is not None and (not task.done() or task.cancelled() or task.exception() is not None):
        task.cancel()
        raise cancellation
    return task.result(), cancellation


def _finished(task: asyncio.Future[T]) -> asyncio.Future[None]:
    """A future that is done when the task is, and whose cancellation does not reach the task."""
    waiter = task.get_loop().create_future()
    task.add_done_callback(partial(_release, waiter))
    return waiter


def _release(waiter: asyncio.Future[None], _: object) -> None:
    if not waiter.done():
        waiter.set_result(None)


def reraise(cancellation: Cancellation) -> None:
    """Raise the cancellation that `settle` held back."""
    if cancellation is not None:
        raise cancellation


def check_store(store: object) -> None:
    """Refuse what is no asynchronous store, before a call of it has done anything."""
    if AsyncSessionStore not in type(store).__mro__:
        refuse_store(store, "AsyncSession", awaited=True)


def check_handler(handler: Handler) -> None:
    """Asynchronous handles take plain and `async` handlers alike."""


async def call_handler(handler: Handler, arguments: tuple[object, ...]) -> None:
    before = _cancellations()
    try:
        result: Any = handler(*arguments)
        if inspect.isawaitable(result):
            await result
    except asyncio.CancelledError as error:
        if before is None or _cancellations() != before:
            raise
        raise RuntimeError("the handler waited for something that was cancelled") from error


def _cancellations() -> int | None:
    """How often this task has been asked to end; None on Python 3.10, where tasks do not tell."""
    if sys.version_info >= (3, 11):
        task = asyncio.current_task()
        return task.cancelling() if task is not None else None
    return None


# A task that a handler starts inherits the context, so the queue names the task that it belongs to.
_dispatch: ContextVar[tuple[object, deque[Firing]] | None] = ContextVar("openstackai_sessions_dispatch", default=None)


def running_dispatch() -> deque[Firing] | None:
    """The queue of the dispatch in which this task's handlers are running, if any."""
    entry = _dispatch.get()
    return entry[1] if entry is not None and entry[0] is asyncio.current_task() else None


def start_dispatch(queue: deque[Firing]) -> None:
    _dispatch.set((asyncio.current_task(), queue))


def end_dispatch() -> None:
    _dispatch.set(None)
