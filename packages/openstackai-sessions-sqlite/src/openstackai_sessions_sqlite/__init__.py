"""Conversations in a SQLite file: durable by default, safe across threads, tasks, processes and fork."""

from openstackai_sessions_sqlite._async_store import AsyncSQLiteStore
from openstackai_sessions_sqlite._open import open_async_sqlite_store, open_sqlite_store
from openstackai_sessions_sqlite._session import AsyncSQLiteSession, SQLiteSession
from openstackai_sessions_sqlite._store import SQLiteStore
from openstackai_sessions_sqlite._version import __version__

__all__ = [
    "AsyncSQLiteSession",
    "AsyncSQLiteStore",
    "SQLiteSession",
    "SQLiteStore",
    "__version__",
    "open_async_sqlite_store",
    "open_sqlite_store",
]
