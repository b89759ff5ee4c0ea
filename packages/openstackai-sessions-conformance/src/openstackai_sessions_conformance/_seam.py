"""What cannot be generated for the suite's synchronous side: running, waiting, and several calls at once.

`_async_seam.py` is its asynchronous twin; both are written by hand and offer the same names.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, cast

from openstackai_sessions_conformance._capabilities import Capability
from openstackai_sessions_conformance._harness import bounded
from openstackai_sessions_conformance._place import Place, check_settings, opened
from openstackai_sessions_core.backend import BaseStore

__all__ = ["KINDS", "Runner", "open_on", "run", "sleep", "together", "within"]

T = TypeVar("T")

KINDS = ~Capability.ASYNC

sleep = time.sleep


def run(function: Callable[[], None]) -> None:
    """Run a check to its end."""
    function()


class Runner:
    """Runs one call after another."""

    def do(self, function: Callable[[], T]) -> T:
        return function()

    def close(self) -> None:
        """Nothing is open."""


def open_on(place: Place, **options: object) -> BaseStore:
    """Open a store."""
    store = cast("BaseStore", place.open(**opened(place, options)))
    check_settings(place, store, options)
    return store


def together(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Run all calls at the same time, a thread each that is interrupted often; return their results in order."""
    barrier = threading.Barrier(len(calls))

    def start(call: Callable[[], T]) -> T:
        barrier.wait()
        return call()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.000_01)
    try:
        with ThreadPoolExecutor(len(calls)) as executor:
            return list(executor.map(start, calls))
    finally:
        sys.setswitchinterval(interval)


def within(seconds: float, what: str, call: Callable[[], T]) -> T:
    """Require that a call ends in time; it runs in another thread."""
    results: list[T] = []
    bounded(lambda: results.append(call()), seconds, what)
    return results[0]
