"""The handles: from a path and a session id to a store that all handles on the file share."""

# ruff: noqa: PLR0917 - its private functions take what the documented signatures have
from __future__ import annotations

import os
import warnings
import weakref
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from openstackai_sessions_core import AsyncSession, Limits, Session
from openstackai_sessions_core.backend import StoreOptions
from openstackai_sessions_sqlite._async_store import AsyncSQLiteStore
from openstackai_sessions_sqlite._connection import MEMORY, Synchronous
from openstackai_sessions_sqlite._database import Database, absolute_path, check_path
from openstackai_sessions_sqlite._store import SQLiteStore

__all__ = ["AsyncSQLiteSession", "SQLiteSession"]

StoreT = TypeVar("StoreT", SQLiteStore, AsyncSQLiteStore)

ENDINGS = (".db", ".db3", ".sqlite", ".sqlite3", MEMORY)
# So many stores are kept between one handle and the next; they hold no file open, engines do.
KEPT_STORES = 16


class _SharedStores(Generic[StoreT]):
    """One store for all handles with the same file and settings.

    It is found in two steps: by the arguments as they were given, which takes a microsecond, then by what they mean.
    """

    def __init__(self, make: Callable[[Database], StoreT]) -> None:
        self._make: Callable[[Database], StoreT] = make
        self._by_arguments: weakref.WeakValueDictionary[tuple[object, ...], StoreT] = weakref.WeakValueDictionary()
        self._by_meaning: weakref.WeakValueDictionary[tuple[object, ...], StoreT] = weakref.WeakValueDictionary()
        self._recent: deque[StoreT] = deque(maxlen=KEPT_STORES)

    def get(
        self,
        db_path: str | os.PathLike[str],
        synchronous: Synchronous,
        timeout: float,
        retry_timeout: float,
        op_id_ttl: float,
        limits: Limits | None,
    ) -> StoreT:
        """The store that these arguments name."""
        try:
            # A relative path means another file wherever the process stands.
            place = None if type(db_path) is str and db_path[:1] == "/" else os.getcwd()
            # The types are part of the key: True, 1 and 1.0 are equal, and not equally good.
            types = (type(db_path), type(timeout), type(retry_timeout), type(op_id_ttl))
            key = (db_path, place, synchronous, timeout, retry_timeout, op_id_ttl, limits, types)
            store = self._by_arguments.get(key)
        except (OSError, TypeError):  # the working directory is gone, or something is unhashable: found out below
            key, store = None, None
        if store is not None and not store._database.closed:
            return store
        options = StoreOptions(timeout, retry_timeout, op_id_ttl, Limits() if limits is None else limits)
        database = Database(absolute_path(check_path(db_path)), options, synchronous=synchronous)
        if database.path == MEMORY:
            return self._make(database)
        meaning = (database.path, options, synchronous)
        store = self._by_meaning.get(meaning)
        if store is None or store._database.closed:
            store = self._by_meaning[meaning] = self._make(database)
            self._recent.append(store)
        if key is not None:
            self._by_arguments[key] = store
        return store


_stores = _SharedStores(SQLiteStore._shared)
_async_stores = _SharedStores(AsyncSQLiteStore._shared)


class SQLiteSession(Session):
    """A handle on a session in a SQLite file: `SQLiteSession("conversations.db", "user-123")`.

    Making one opens nothing; all handles on a file share its few connections. `":memory:"` is private to the handle.
    `ttl` (seconds) is stored with the session by this handle's next write; see `SQLiteStore` for the other settings.
    """

    def __init__(
        self,
        db_path: str | os.PathLike[str],
        session_id: str = "default",
        *,
        ttl: float | None = None,
        synchronous: Synchronous = "full",
        timeout: float = 30.0,
        retry_timeout: float = 30.0,
        op_id_ttl: float = 600.0,
        limits: Limits | None = None,
    ) -> None:
        store = _stores.get(db_path, synchronous, timeout, retry_timeout, op_id_ttl, limits)
        super().__init__(store, session_id, ttl=ttl)
        if session_id.endswith(ENDINGS):
            _warn_if_swapped(db_path, session_id)


class AsyncSQLiteSession(AsyncSession):
    """An asynchronous handle on a session in a SQLite file; see `SQLiteSession`."""

    def __init__(
        self,
        db_path: str | os.PathLike[str],
        session_id: str = "default",
        *,
        ttl: float | None = None,
        synchronous: Synchronous = "full",
        timeout: float = 30.0,
        retry_timeout: float = 30.0,
        op_id_ttl: float = 600.0,
        limits: Limits | None = None,
    ) -> None:
        store = _async_stores.get(db_path, synchronous, timeout, retry_timeout, op_id_ttl, limits)
        super().__init__(store, session_id, ttl=ttl)
        if session_id.endswith(ENDINGS):
            _warn_if_swapped(db_path, session_id)


def _warn_if_swapped(db_path: str | os.PathLike[str], session_id: str) -> None:
    """Other libraries take the session id first."""
    if not os.fspath(db_path).endswith(ENDINGS):
        warnings.warn(
            f"db_path={os.fspath(db_path)!r} looks like a session id and session_id={session_id!r} like a file: "
            "the file comes first, as in SQLiteSession('conversations.db', 'user-123'). If they are meant like this, "
            "give the file a name that ends in .db",
            UserWarning,
            stacklevel=3,
        )
