"""Killing what writes."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from openstackai_sessions_conformance._crash import CrashReport, crash_clients, crash_server
from openstackai_sessions_conformance._crash_worker import find

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
pytest.importorskip("openstackai_sessions_sqlite")

SQLITE = "openstackai_sessions_sqlite:SQLiteStore"

STORES = '''
import pathlib, time
from openstackai_sessions_core import BackendError, BackendUnavailableError
from openstackai_sessions_core.backend import NewMessage, Operation, Outcome, Record
from openstackai_sessions_sqlite import SQLiteStore


class Forgetful(SQLiteStore):
    """Acknowledges every third append before it is written."""
    made = 0

    def append(self, session_id, op, messages, *, ttl):
        self.made += 1
        if self.made % 3:
            return super().append(session_id, op, messages, ttl=ttl)
        records = [Record(10**9 + n, m.id, 0, m.data) for n, m in enumerate(messages)]
        return Outcome(True, records=records, added=[True] * len(records))


class Torn(SQLiteStore):
    """Writes a batch message by message."""

    def append(self, session_id, op, messages, *, ttl):
        records = []
        for n, message in enumerate(messages):
            part = Operation(f"{op.id}-{n}", op.digest)
            records += super().append(session_id, part, [message], ttl=ttl).records
            time.sleep(0.01)
        return Outcome(True, records=records, added=[True] * len(records))


class Doubling(SQLiteStore):
    """Tries again under another name."""

    def append(self, session_id, op, messages, *, ttl):
        again = [NewMessage(message.id + "'", message.data, False) for message in messages]
        super().append(session_id, Operation(op.id + "'", op.digest), again, ttl=ttl)
        return super().append(session_id, op, messages, ttl=ttl)


class Served(SQLiteStore):
    """Cannot be reached while a file named "down" lies beside it."""

    def append(self, session_id, op, messages, *, ttl):
        if pathlib.Path(self._database.path).with_name("down").exists():
            raise BackendUnavailableError("down")
        return super().append(session_id, op, messages, ttl=ttl)


class Refusing(SQLiteStore):
    """Takes nothing from anybody."""

    def append(self, session_id, op, messages, *, ttl):
        raise BackendError("the key is too long")


class Raising(SQLiteStore):
    """Falls over."""

    def append(self, session_id, op, messages, *, ttl):
        try:
            raise KeyError("x")
        except KeyError as error:
            raise RuntimeError("two\\nlines") from error
'''


@pytest.fixture
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "stores_that_crash.py").write_text(STORES)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "stores_that_crash"


@pytest.mark.parametrize("writers", [1, 3])
def test_a_store_that_keeps_what_it_acknowledged_passes(tmp_path: Path, writers: int) -> None:
    report = crash_clients(SQLITE, [str(tmp_path / "x.db")], kills=9, writers=writers)
    assert report.violations == [], str(report)
    assert (report.kills, report.lost, report.doubled, report.torn) == (9, 0, 0, 0)
    assert report.acknowledged > 9
    assert "9 kills" in str(report)


def test_whatever_the_seed_something_is_acknowledged_before_the_kills_are_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Every round is one of those that need not write.
    monkeypatch.setattr("openstackai_sessions_conformance._crash.EARLY", 1)
    report = crash_clients(SQLITE, [str(tmp_path / "x.db")], kills=3, span=0)
    assert report.acknowledged > 0


def faults(report: CrashReport) -> tuple[bool, bool, bool]:
    return report.lost > 0, report.doubled > 0, report.torn > 0


@pytest.mark.parametrize(
    ("name", "found"),
    [("Forgetful", (True, False, False)), ("Doubling", (False, True, False)), ("Torn", (False, False, True))],
)
def test_a_store_that_loses_doubles_or_tears_is_found(
    tmp_path: Path, stores: str, name: str, found: tuple[bool, bool, bool]
) -> None:
    report = crash_clients(f"{stores}:{name}", [str(tmp_path / "x.db")], kills=8, batch=30, seed=1)
    assert faults(report) == found, str(report)
    assert {violation.rule for violation in report.violations} & {"exactly once", "whole batches"}


def test_a_store_that_does_not_open_after_a_kill_is_found(tmp_path: Path) -> None:
    path = tmp_path / "x.db"

    def spoil() -> None:
        for file in (path, path.with_name("x.db-wal")):
            file.write_bytes(b"rubbish" * 1000)

    report = crash_server(SQLITE, [str(path)], kill=spoil, restart=lambda: None, kills=1, span=0.1)
    assert "opens" in {violation.rule for violation in report.violations}


def test_a_server_that_comes_back_with_everything_passes(tmp_path: Path, stores: str) -> None:
    down = tmp_path / "down"
    report = crash_server(
        f"{stores}:Served", [str(tmp_path / "x.db")], kill=down.touch, restart=down.unlink, kills=3, span=0.1
    )
    assert report.violations == [], str(report)
    assert report.kills == 3
    assert report.acknowledged > 0


def test_a_server_that_comes_back_empty_is_found(tmp_path: Path, stores: str) -> None:
    path = tmp_path / "x.db"

    def lose() -> None:
        for file in tmp_path.glob("x.db*"):
            file.unlink()

    report = crash_server(SQLITE, [str(path)], kill=lose, restart=lambda: None, kills=1, span=0.1)
    assert report.lost > 0
    assert "lost" in str(report)


def test_a_target_is_a_module_and_a_callable() -> None:
    assert find(SQLITE).__name__ == "SQLiteStore"
    with pytest.raises(ValueError, match="module:callable"):
        find("pathlib.Path")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Refusing", r"no append acknowledged: BackendError: the key is too long \(at stores_that_crash.py:\d+\)"),
        ("Raising", r"no append acknowledged: RuntimeError: two lines \(at stores_that_crash.py:\d+\)"),
    ],
)
def test_a_store_that_takes_nothing_is_told_with_its_error(stores: str, tmp_path: Path, name: str, said: str) -> None:
    before = time.monotonic()
    with pytest.raises(RuntimeError, match=said):
        crash_clients(f"{stores}:{name}", [str(tmp_path / "x.db")], kills=2)
    assert time.monotonic() - before < 30
