"""Stores of either side, called so that each call ends before it returns: for processes and images of a disk."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from openstackai_sessions_core import AsyncSession, Session
from openstackai_sessions_core.backend import BaseStore

__all__ = ["handle_of", "opened"]

T = TypeVar("T")


def opened(opener: Callable[..., Any], *arguments: object) -> BaseStore:
    """The store that a callable opens; an asynchronous one runs in an event loop of its own."""
    loop = asyncio.new_event_loop()

    async def call() -> object:
        store = opener(*arguments)
        return await store if inspect.isawaitable(store) else store

    try:
        store = loop.run_until_complete(call())
    except BaseException:
        loop.close()
        raise
    if inspect.iscoroutinefunction(getattr(store, "close", None)):
        return cast("BaseStore", _Waiting(store, loop))
    loop.close()
    return cast("BaseStore", store)


def handle_of(store: Any, session_id: str) -> Session:
    """A handle, made by the store where it makes them itself."""
    if hasattr(store, "session"):
        return cast("Session", store.session(session_id))
    return Session(store, session_id)


class _Waiting:
    """Something asynchronous whose calls are waited for."""

    def __init__(self, what: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._what = what
        self._loop = loop

    def session(self, session_id: str) -> _Waiting:
        return _Waiting(self._what.session(session_id), self._loop)

    def close(self) -> None:
        self._wait(self._what.close())
        if not isinstance(self._what, AsyncSession):
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()

    def __getattr__(self, name: str) -> Callable[..., object]:
        method = getattr(self._what, name)
        return lambda *arguments, **keywords: self._wait(method(*arguments, **keywords))

    def _wait(self, result: Awaitable[T] | T) -> T:
        async def wait() -> T:
            return await cast("Awaitable[T]", result)

        return self._loop.run_until_complete(wait()) if inspect.isawaitable(result) else result
