"""The few things that cannot be generated: what waiting, taking turns and a place mean on the synchronous side.

`_async_seam.py` is its asynchronous twin; both are written by hand and offer the same names.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any, TypeVar
from weakref import WeakMethod

import psycopg
from psycopg.abc import PQGen
from psycopg.waiting import wait as wait_for
from psycopg_pool import ConnectionPool

from openstackai_sessions_postgres._waiting import until

__all__ = ["Cancelled", "Lock", "Place", "Pool", "Slots", "bound", "here", "is_gone", "sleep", "watch_end"]

T = TypeVar("T")

# How long a signal (Ctrl-C) may go unnoticed, and by how much a deadline may be missed.
INTERVAL = 0.1
# How long a thread that has ended is waited for, at most, until the system has ended it too.
LAST_MOMENTS = 1.0

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


class Pool(ConnectionPool[Any]):
    """A pool that may be collected anywhere, and whose threads are gone once it is closed."""

    def close(self, timeout: float = 5.0) -> None:
        prefix = f"{self.name}-"
        workers = [thread for thread in threading.enumerate() if thread.name.startswith(prefix)]
        super().close(timeout)
        # A thread that has ended for Python may still be ending for the system, and hold a lock of OpenSSL's: a child
        # forked at that moment would find it taken for ever, and no connection of its own would come about.
        deadline = monotonic() + LAST_MOMENTS
        for worker in workers:
            # Pools are called the same; those that go on working are others'.
            while not worker.is_alive() and Path(f"/proc/self/task/{worker.native_id}").exists():
                if monotonic() > deadline:
                    return
                sleep(LAST_MOMENTS / 1000)

    def __del__(self) -> None:
        # Collected by its own worker, it would raise: a thread cannot wait for itself.
        with suppress(RuntimeError):
            super().__del__()


class Cancelled(BaseException):
    """Threads are not cancelled: this is never raised."""


class Slots:
    """A number of turns, given in the order of asking: who comes back at once does not pass those who wait."""

    def __init__(self, number: int) -> None:
        self._lock = threading.Lock()
        self._number = self._free = number
        # Each waits at a gate of its own, which opens when a turn is handed over.
        self._waiting: deque[threading.Lock] = deque()

    @property
    def taken(self) -> int:
        """How many turns are taken."""
        return self._number - self._free

    def acquire(self, timeout: float) -> bool:
        """Wait for a turn; False where there was none in time."""
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            gate = threading.Lock()
            gate.acquire()
            self._waiting.append(gate)
        try:
            if gate.acquire(timeout=max(timeout, 0)):
                return True
        except BaseException:  # an interrupt
            if not self._leave(gate):
                self.release()
            raise
        return not self._leave(gate)

    def _leave(self, gate: threading.Lock) -> bool:
        """Wait no longer; False where a turn was handed over meanwhile."""
        with self._lock:
            if gate not in self._waiting:
                return False
            self._waiting.remove(gate)
            return True

    def release(self) -> None:
        """End a turn."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1


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
