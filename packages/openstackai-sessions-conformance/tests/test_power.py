"""Losing power under SQLite."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from openstackai_sessions_conformance import _disk_log
from openstackai_sessions_conformance._disk_log import DiskLog, FileEvent, FileEventKind
from openstackai_sessions_conformance._history import NEVER, Call, Kind, Outcome, Recorder
from openstackai_sessions_conformance._power import (
    PowerReport,
    Unsynced,
    calls_until,
    check_power_loss,
    power_images,
)
from openstackai_sessions_core import UnsupportedError
from openstackai_sessions_sqlite import SQLiteStore

WRITE, SYNC, TRUNCATE = FileEventKind.WRITE, FileEventKind.SYNC, FileEventKind.TRUNCATE
CREATE, DELETE = FileEventKind.CREATE, FileEventKind.DELETE


@pytest.fixture
def disk(tmp_path: Path) -> DiskLog:
    try:
        with DiskLog(tmp_path) as disk:
            return disk
    except UnsupportedError as error:
        pytest.skip(str(error))


def run(disk: DiskLog, synchronous: str, *, appends: int = 25) -> list[Call]:
    """Two threads append messages and batches to one session."""
    recorder = Recorder(clock=disk.tick)

    def work(client: str) -> None:
        session = store.session("s")
        for number in range(appends):
            labels = [f"{client}-{number}.{part}" for part in range(1 + number % 3)]
            with recorder.record(client, Kind.APPEND, labels=labels) as call:
                stored = session.add_messages([{"role": "user", "content": label} for label in labels])
                call.positions = [message.position for message in stored]

    with disk, SQLiteStore(disk.folder / "x.db", synchronous=synchronous) as store:  # type: ignore[arg-type]
        threads = [threading.Thread(target=work, args=(f"t{number}",)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return recorder.calls


def check(disk: DiskLog, calls: Sequence[Call], *, images: int = 150, seed: int = 0) -> PowerReport:
    return check_power_loss(disk, calls, SQLiteStore, name="x.db", session_id="s", images=images, seed=seed)


def test_a_store_that_syncs_before_it_acknowledges_loses_nothing(disk: DiskLog) -> None:
    report = check(disk, run(disk, "full"))
    assert (report.losing, report.unreadable, report.wrong) == (0, 0, 0), str(report)
    assert report.images > 100


def test_a_store_that_syncs_later_loses_messages_and_stays_readable(disk: DiskLog) -> None:
    report = check(disk, run(disk, "normal"))
    assert report.losing > report.images // 4, str(report)
    assert report.unreadable == 0
    assert "is lost (power lost at" in str(report)


def test_a_store_that_never_syncs_is_unreadable_at_times(disk: DiskLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openstackai_sessions_sqlite._database.check_synchronous", lambda value: value)
    calls = run(disk, "off", appends=4)
    # One image in a hundred or two is torn where it hurts.
    reports = [check(disk, calls, images=300, seed=seed) for seed in range(4)]
    assert all(report.losing > 0 for report in reports), [str(report) for report in reports]
    assert sum(report.unreadable for report in reports) > 0, [str(report) for report in reports]


def test_what_is_recorded_is_what_the_files_hold(disk: DiskLog) -> None:
    """The image of a loss of power that loses nothing is the folder itself, after every commit."""
    with disk, closing(sqlite3.connect(disk.folder / "x.db", isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA wal_autocheckpoint = 3")
        db.execute("CREATE TABLE t (x)")
        for number in range(20):
            db.execute("INSERT INTO t VALUES (?)", ["x" * 500 * number])
            files = {path.name: path.read_bytes() for path in disk.folder.iterdir() if not path.name.endswith("-shm")}
            last = [image for image in power_images(disk.events, images=10_000) if image.at == NEVER]
            kept = [image.files for image in last if image.unsynced is Unsynced.KEPT or len(last) == 1]
            assert kept == [files]
    assert {event.kind for event in disk.events} == set(FileEventKind)


def test_what_was_there_before_is_on_the_disk_for_certain(disk: DiskLog) -> None:
    with SQLiteStore(disk.folder / "x.db") as store:
        store.session("other").add_message("user", "old")
    calls = run(disk, "full", appends=4)
    assert set(disk.found) == {"x.db"}
    report = check(disk, calls, images=60)
    assert report.wrong == 0, str(report)
    images = power_images(disk.events, found=disk.found, images=40)
    assert all(image.files["x.db"].startswith(b"SQLite format 3") for image in images)


def test_only_the_folder_is_recorded_and_only_within_the_block(disk: DiskLog, tmp_path_factory: object) -> None:
    other = disk.folder / "inner"
    other.mkdir()
    with disk:
        with closing(sqlite3.connect(other / "x.db")) as db:
            db.execute("CREATE TABLE t (x)")
        assert disk.events == []
    with closing(sqlite3.connect(disk.folder / "x.db")) as db:
        db.execute("CREATE TABLE t (x)")
    assert disk.events == []


def test_a_library_that_cannot_be_reached_is_said_to_be_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr(_disk_log, "import_module", none)
    with pytest.raises(UnsupportedError, match="cannot be watched"):
        DiskLog(tmp_path)


# -- The model of a disk, by hand -----------------------------------------------------------------------------------


def events(*told: tuple[FileEventKind, str] | tuple[FileEventKind, str, int, bytes]) -> list[FileEvent]:
    return [FileEvent(index + 1, *each) for index, each in enumerate(told)]


def contents(log: Sequence[FileEvent], unsynced: Unsynced, name: str = "f") -> set[bytes | None]:
    """What the file may be at the end."""
    images = [image for seed in range(60) for image in power_images(log, images=10_000, seed=seed)]
    return {image.files.get(name) for image in images if image.at == NEVER and image.unsynced is unsynced}


A, B, C = (letter.encode() * 512 for letter in "abc")
LOG = events((CREATE, "f"), (WRITE, "f", 0, A), (SYNC, "f"), (WRITE, "f", 512, B + C), (WRITE, "f", 0, C))


def test_what_was_synced_stays_and_the_rest_may_go() -> None:
    assert contents(LOG, Unsynced.DROPPED) == {A}
    assert contents(LOG, Unsynced.KEPT) == {C + B + C}
    assert contents(LOG, Unsynced.TORN) == {A, A + B, A + B + C, C + B + C}


def test_sectors_that_were_not_synced_are_kept_in_any_choice() -> None:
    hole = bytes(512)
    assert contents(LOG, Unsynced.SCATTERED) == {first + rest for first in (A, C) for rest in (b"", B, hole + C, B + C)}


def test_a_truncation_that_was_not_synced_may_be_undone() -> None:
    log = events((CREATE, "f"), (WRITE, "f", 0, A + B), (SYNC, "f"), (TRUNCATE, "f", 512, b""))
    assert contents(log, Unsynced.DROPPED) == {A + B}
    assert contents(log, Unsynced.SCATTERED) == {A, A + B}


def test_a_deletion_is_undone_unless_the_folder_was_synced() -> None:
    log = events((CREATE, "f"), (WRITE, "f", 0, A), (SYNC, "f"), (DELETE, "f"))
    assert contents(log, Unsynced.DROPPED) == {A}
    assert contents(log, Unsynced.KEPT) == {None}
    synced = [*log, FileEvent(5, CREATE, "g"), FileEvent(6, SYNC, "g", syncs_folder=True)]
    assert contents(synced, Unsynced.DROPPED) == {None}


def test_a_file_that_was_never_synced_may_not_be_there() -> None:
    assert contents(LOG[:2], Unsynced.DROPPED) == {None}
    assert contents(LOG[:2], Unsynced.KEPT) == {A}


def test_a_history_is_cut_where_the_power_was_lost() -> None:
    calls = [Call("c", Kind.APPEND, at, at + 2, labels=(str(at),)) for at in (1, 4, 7)]
    assert [(call.labels, call.outcome) for call in calls_until(calls, 5)] == [
        (("1",), Outcome.OK),
        (("4",), Outcome.UNKNOWN),
    ]
