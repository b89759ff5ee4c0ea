"""Blocking calls away from the event loop."""

from __future__ import annotations

import asyncio
import contextvars
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from weakref import WeakKeyDictionary

__all__ = ["read_in_thread", "write_in_thread"]

T = TypeVar("T")

THREADS = 16

# The loop's default executor is the one in which the SDK runs tools: a few slow tools would hold up every session.
# One pool for all loops would not do either, as a handler in one of its threads may run an agent in a loop of its own.
_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, ThreadPoolExecutor] = WeakKeyDictionary()

if hasattr(os, "register_at_fork"):
    # A child has the pools but not their threads.
    os.register_at_fork(after_in_child=_pools.clear)


async def read_in_thread(call: Callable[[], T]) -> T:
    """Run a call in a thread; a cancelled caller does not wait for it."""
    return await _start(call)


async def write_in_thread(call: Callable[[], T], timeout: float) -> T:
    """Run a call in a thread; a cancelled caller waits for its end, for at most `timeout` seconds.

    Whoever goes on after the cancellation finds the write done, and cannot overtake it.
    """
    future = _start(call)
    cancellation: asyncio.CancelledError | None = None
    deadline: float | None = None
    while not future.done():
        remaining = None if deadline is None else deadline - time.monotonic()
        if remaining is not None and remaining <= 0:
            break
        try:
            await asyncio.wait([future], timeout=remaining)
        except asyncio.CancelledError as error:
            cancellation = error
            deadline = deadline or time.monotonic() + timeout
    if cancellation is not None:
        if not future.cancel():
            # An exception that nobody asks for is logged as an oversight.
            future.exception()
        raise cancellation
    return future.result()


def _start(call: Callable[[], T]) -> asyncio.Future[T]:
    loop = asyncio.get_running_loop()
    pool = _pools.get(loop)
    if pool is None:
        pool = _pools[loop] = ThreadPoolExecutor(THREADS, thread_name_prefix="openstackai-sessions")
    return loop.run_in_executor(pool, contextvars.copy_context().run, call)
