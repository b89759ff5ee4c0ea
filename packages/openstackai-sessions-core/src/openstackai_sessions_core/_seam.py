"""The few things that cannot be generated: what waiting, settling and calling mean on the synchronous side.

`_async_seam.py` is its asynchronous twin; both are written by hand and offer the same names.
"""

from __future__ import annotations

import inspect
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TypeAlias, TypeVar

from openstackai_sessions_core._arguments import refuse_store
from openstackai_sessions_core._errors import ValidationError
from openstackai_sessions_core._events import Firing, Handler, is_async_handler
from openstackai_sessions_core._store import SessionStore

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

sleep = time.sleep
Cancellation: TypeAlias = None


def in_thread(function: Callable[..., T], *arguments: object) -> T:
    """A synchronous caller waits anyway."""
    return function(*arguments)


def settle(result: T, timeout: float) -> tuple[T, Cancellation]:  # noqa: ARG001 - as its twin
    """A synchronous write has ended by the time there is a result."""
    return result, None


def reraise(cancellation: Cancellation) -> None:
    """Synchronous callers are not cancelled."""


def check_store(store: object) -> None:
    """Refuse what is no synchronous store, before a call of it has done anything."""
    if SessionStore not in type(store).__mro__:
        refuse_store(store, "Session", awaited=False)


def check_handler(handler: Handler) -> None:
    """Refuse handlers that would have to be awaited."""
    if is_async_handler(handler):
        raise ValidationError(
            "an async handler cannot run on a sync session; use the Async session, or a plain function"
        )


def call_handler(handler: Handler, arguments: tuple[object, ...]) -> None:
    result = handler(*arguments)
    if inspect.iscoroutine(result):
        result.close()
        raise ValidationError("a handler on a sync session returned a coroutine, which nobody can await")


_local = threading.local()


def running_dispatch() -> deque[Firing] | None:
    """The queue of the dispatch in which this thread's handlers are running, if any."""
    queue: deque[Firing] | None = getattr(_local, "queue", None)
    return queue


def start_dispatch(queue: deque[Firing]) -> None:
    _local.queue = queue


def end_dispatch() -> None:
    _local.queue = None
