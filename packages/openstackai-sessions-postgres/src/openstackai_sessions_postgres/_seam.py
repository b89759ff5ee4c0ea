"""The few things that cannot be generated: what waiting, taking turns and a place mean on the synchronous side.

`_async_seam.py` is its asynchronous twin; both are written by hand and offer the same names.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any, TypeVar
from weakref import WeakMethod

import psycopg
from psycopg.abc import PQGen
from psycopg.waiting import wait as wait_for

from openstackai_sessions_postgres._waiting import until

__all__ = ["Cancelled", "Lock", "Place", "Slots", "bound", "here", "insist", "is_gone", "watch_end"]

T = TypeVar("T")

# How long a signal (Ctrl-C) may go unnoticed, and by how much a deadline may be missed.
INTERVAL = 0.1

Place = int
Lock = threading.Lock


def here() -> Place:
    """Where connections live: in a process."""
    return os.getpid()


def is_gone(place: Place) -> bool:
    """Whether nobody can be in that place any more: so it is with the parent's, seen from a child."""
    return place != os.getpid()


def watch_end(end: Callable[[], None]) -> object:
    """Have a method called when the interpreter exits, if its object is still there."""
    method = WeakMethod(end, _ends.discard)
    _ends.add(method)
    return method


_ends: set[WeakMethod[Callable[[], None]]] = set()


@atexit.register
def _end_all() -> None:
    for method in list(_ends):
        if (call := method()) is not None:
            call()


class Cancelled(BaseException):
    """Threads are not cancelled: this is never raised."""


def insist() -> None:
    """Threads are not cancelled."""


class Slots:
    """A number of turns."""

    def __init__(self, number: int) -> None:
        self._free = threading.Semaphore(number)
        self._lock = threading.Lock()
        self.taken = 0

    def acquire(self, timeout: float) -> bool:
        """Wait for a turn; False where there was none in time."""
        if not self._free.acquire(timeout=max(timeout, 0)):
            return False
        with self._lock:
            self.taken += 1
        return True

    def release(self) -> None:
        """End a turn."""
        with self._lock:
            self.taken -= 1
        self._free.release()


def bound(connection: psycopg.Connection[Any], timeout: float) -> None:
    """Let everything that the connection waits for, from now on, take `timeout` seconds in all.

    What exceeds that, or is interrupted, closes the connection: nobody else may read the answer that is on its way.
    """
    deadline = monotonic() + timeout

    def wait(gen: PQGen[T], interval: float = 0.0, timeout: float | None = None) -> T:  # noqa: ARG001 - the driver's signature
        try:
            remaining = max(deadline - monotonic(), 0.001)
            return wait_for(until(gen, deadline), connection.pgconn.socket, min(remaining, INTERVAL))
        except psycopg.Error:
            raise
        except BaseException:
            connection.pgconn.finish()
            raise

    vars(connection)["wait"] = wait
