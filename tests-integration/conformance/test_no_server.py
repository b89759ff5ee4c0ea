"""The backends that need no server pass the suite."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from openstackai_sessions_conformance import (
    DEFAULT,
    OPTIONS,
    AsyncSessionStoreConformance,
    Capability,
    SessionStoreConformance,
)
from openstackai_sessions_core import AsyncInMemoryStore, InMemoryStore
from openstackai_sessions_sqlite import AsyncSQLiteStore, SQLiteStore

FILE = (
    DEFAULT | Capability.PROC | Capability.POWER | Capability.MULTIPROC | Capability.FORK | Capability.MIGRATE
)  # fmt: skip


class InAFile:
    """What a SQLite file lets the suite do with it."""

    capabilities = FILE
    options = OPTIONS
    database = "sessions.db"
    driver_calls = ("openstackai_sessions_sqlite._connection.Connection.execute",)

    @staticmethod
    def driver_error() -> Exception:
        return sqlite3.OperationalError("disk I/O error")

    @staticmethod
    def corrupt(folder: Path, session_id: str, position: int) -> None:
        with closing(sqlite3.connect(folder / "sessions.db")) as db:
            damaged = db.execute(
                "UPDATE messages SET data = '{\"con' WHERE position = ? "
                "AND session = (SELECT key FROM sessions WHERE session_id = ?)",
                (position, session_id),
            )
            assert damaged.rowcount == 1
            db.commit()

    @staticmethod
    def renew(folder: Path) -> None:
        with closing(sqlite3.connect(folder / "sessions.db")) as db:
            db.execute("PRAGMA user_version = 1000")


class TestInMemoryStore(SessionStoreConformance):
    capabilities = DEFAULT | Capability.FORK
    make_store = InMemoryStore


class TestAsyncInMemoryStore(AsyncSessionStoreConformance):
    capabilities = DEFAULT | Capability.FORK
    make_store = AsyncInMemoryStore


class TestSQLiteStore(InAFile, SessionStoreConformance):
    opener = "openstackai_sessions_sqlite:SQLiteStore"

    def make_store(self, folder: Path, **options: object) -> SQLiteStore:
        return SQLiteStore(folder / "sessions.db", **options)  # type: ignore[arg-type]


class TestAsyncSQLiteStore(InAFile, AsyncSessionStoreConformance):
    opener = "openstackai_sessions_sqlite:AsyncSQLiteStore"

    def make_store(self, folder: Path, **options: object) -> AsyncSQLiteStore:
        return AsyncSQLiteStore(folder / "sessions.db", **options)  # type: ignore[arg-type]


class TestSQLiteInMemory(SessionStoreConformance):
    options = OPTIONS

    def make_store(self, **options: object) -> SQLiteStore:
        return SQLiteStore(":memory:", **options)  # type: ignore[arg-type]


class TestAsyncSQLiteInMemory(AsyncSessionStoreConformance):
    options = OPTIONS

    def make_store(self, **options: object) -> AsyncSQLiteStore:
        return AsyncSQLiteStore(":memory:", **options)  # type: ignore[arg-type]
