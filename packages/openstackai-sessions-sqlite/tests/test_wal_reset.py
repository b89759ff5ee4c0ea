"""SQLite's WAL-reset bug is reported where it matters, once, with what to do about it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from openstackai_sessions_sqlite import AsyncSQLiteStore, SQLiteStore, _wal_reset

affected = pytest.mark.skipif(
    sqlite3.sqlite_version_info >= _wal_reset.MENDED, reason="this SQLite does not have the bug"
)

WRITE = "import sys; from openstackai_sessions_sqlite import SQLiteSession; SQLiteSession(sys.argv[1]).set('k', 1)"


@pytest.fixture(autouse=True)
def unreported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_wal_reset, "_reported", False)


def test_an_affected_version_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    _wal_reset.report_wal_reset((3, 51, 3))
    _wal_reset.report_wal_reset((3, 53, 0))
    assert caplog.messages == []
    _wal_reset.report_wal_reset((3, 51, 2))
    _wal_reset.report_wal_reset((3, 40, 1))
    (message,) = caplog.messages
    assert "SQLite 3.51.2 " in message
    assert "3.51.3 or newer" in message


@affected
async def test_whoever_asks_for_the_durability_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with SQLiteStore(tmp_path / "s.db") as store:
        store.session("a").add_message("user", "x")
        assert caplog.messages == []
        assert store.durability() == "power"
        assert len(caplog.messages) == 1
    async with AsyncSQLiteStore(tmp_path / "s.db") as store:
        assert await store.durability() == "power"
    assert len(caplog.messages) == 1


@affected
def test_it_is_reported_when_another_process_writes_to_the_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "s.db"
    with SQLiteStore(path) as store:
        session = store.session("a")
        session.add_message("user", "x")
        assert len(session.get_messages(5)) == 1
        assert caplog.messages == []
        subprocess.run([sys.executable, "-c", WRITE, path], check=True)
        assert len(session.get_messages(5)) == 1
        assert len(caplog.messages) == 1
        assert len(session.get_messages(5)) == 1
    assert len(caplog.messages) == 1


def test_nothing_is_said_of_what_is_in_memory(caplog: pytest.LogCaptureFixture) -> None:
    with SQLiteStore(":memory:") as store:
        assert store.durability() == "unknown"
    assert caplog.messages == []
