"""The stores that handles share: one for all handles with equal settings."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from contextlib import suppress
from time import monotonic
from typing import Any
from weakref import WeakValueDictionary

from psycopg_pool import AsyncConnectionPool

from openstackai_sessions_core.backend import watch_forks
from openstackai_sessions_postgres._async_home import AsyncHome
from openstackai_sessions_postgres._async_store import AsyncPostgresStore
from openstackai_sessions_postgres._settings import Settings

__all__ = ["AsyncSharedStore", "share"]

# Beyond so many stores with open connections, those that nobody is using are closed, the longest unused first.
MOST_OPEN = 16


class AsyncSharedStore(AsyncPostgresStore):
    """A store that belongs to all handles with its settings: nobody closes it for the others."""

    def __init__(self, settings: Settings, pool: AsyncConnectionPool[Any] | None) -> None:
        self._start(settings, pool)
        self.used_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether it may hold connections."""
        return bool(self._homes)

    async def close(self) -> None:
        """Close its connections in this place; the next call of a handle opens new ones."""
        await self.park()

    async def _home(self) -> AsyncHome:
        self.used_at = monotonic()
        if not self._homes:
            for store in _shelf.opened(self):
                await store.park()
        return await super()._home()


class _Shelf:
    """All shared stores: weakly, except for those with open connections."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_arguments: WeakValueDictionary[Hashable, AsyncSharedStore] = WeakValueDictionary()
        self._by_settings: WeakValueDictionary[Hashable, AsyncSharedStore] = WeakValueDictionary()
        self._open: list[AsyncSharedStore] = []
        watch_forks(self)

    def find(self, arguments: Hashable) -> AsyncSharedStore | None:
        return self._by_arguments.get(arguments)

    def put(self, arguments: Hashable, settings: Settings, pool: AsyncConnectionPool[Any] | None) -> AsyncSharedStore:
        with self._lock:
            key = (settings.key(), id(pool))
            store = self._by_settings.get(key)
            if store is None:
                store = self._by_settings[key] = AsyncSharedStore(settings, pool)
            self._by_arguments[arguments] = store
            return store

    def opened(self, store: AsyncSharedStore) -> list[AsyncSharedStore]:
        """Note that a store opens connections; return those that should now close theirs."""
        with self._lock:
            self._open = [other for other in self._open if other.is_open and other is not store]
            idle = sorted((other for other in self._open if other.is_idle), key=lambda other: other.used_at)
            surplus = idle[: max(0, len(self._open) + 1 - MOST_OPEN)]
            self._open.append(store)
            return surplus

    def before_fork(self) -> None:
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def after_fork_in_child(self) -> None:
        self._lock = threading.Lock()


_shelf = _Shelf()


def share(
    arguments: Hashable, check: Callable[[], Settings], pool: AsyncConnectionPool[Any] | None
) -> AsyncSharedStore:
    """The store for these arguments, made where there is none; `check` reads them, and raises `ValidationError`."""
    store = None
    with suppress(TypeError):  # an argument of a kind that `check` refuses
        store = _shelf.find(arguments)
    return store or _shelf.put(arguments, check(), pool)
