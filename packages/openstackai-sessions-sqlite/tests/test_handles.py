"""Handles are cheap, share what they may share, and refuse arguments before touching anything."""

from __future__ import annotations

import gc
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from openstackai_sessions_core import Limits, ValidationError, open_async_store, open_store
from openstackai_sessions_sqlite import (
    AsyncSQLiteSession,
    AsyncSQLiteStore,
    SQLiteSession,
    SQLiteStore,
    open_sqlite_store,
)
from openstackai_sessions_sqlite._connection import Synchronous
from openstackai_sessions_sqlite._engine import Engine
from openstackai_sessions_sqlite._registry import registry

Make = Callable[..., object]
MAKERS: list[Make] = [SQLiteSession, AsyncSQLiteSession, SQLiteStore, AsyncSQLiteStore]


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts descriptors where Linux lists them")


# -- Arguments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    "db_path", ["", b"sessions.db", None, 1, "a\0b", "file:sessions.db", "sqlite:///x.db", "folder/", []]
)
def test_a_path_that_names_no_file_is_refused_at_once(make: Make, db_path: object) -> None:
    with pytest.raises(ValidationError, match="db_path"):
        make(db_path)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    "option",
    [
        {"synchronous": "off"},
        {"synchronous": None},
        {"synchronous": []},
        {"timeout": 0},
        {"timeout": True},
        {"timeout": "1"},
        {"retry_timeout": -1},
        {"retry_timeout": float("inf")},
        {"op_id_ttl": 29.9},
        {"op_id_ttl": None},
        {"limits": {}},
        {"limits": 5},
    ],
)
def test_a_bad_setting_is_refused_at_once(make: Make, option: dict[str, object], tmp_path: Path) -> None:
    make(tmp_path / "s.db", timeout=1, retry_timeout=1)  # which a shared store is kept for: True is equal to 1
    with pytest.raises(ValidationError, match=next(iter(option))):
        make(tmp_path / "s.db", **{"timeout": 1, "retry_timeout": 1, **option})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", [SQLiteStore, AsyncSQLiteStore])
def test_a_clock_must_be_callable(make: Make) -> None:
    with pytest.raises(ValidationError, match="clock"):
        make("s.db", clock=5)


@pytest.mark.parametrize("make", [SQLiteSession, AsyncSQLiteSession])
def test_a_bad_session_id_or_ttl_is_refused_at_once(make: Make, path: Path) -> None:
    for arguments in [(path, ""), (path, 5), (path, "a\n"), (path, None)]:
        with pytest.raises(ValidationError, match="session_id"):
            make(*arguments)
    for ttl in (0, True, float("nan"), "1"):
        with pytest.raises(ValidationError, match="ttl"):
            make(path, ttl=ttl)


@pytest.mark.parametrize("make", [SQLiteSession, AsyncSQLiteSession])
@pytest.mark.parametrize("swapped", ["chat.db", "x/chat.sqlite3", ":memory:"])
def test_swapped_arguments_are_noticed(make: Make, swapped: str) -> None:
    with pytest.warns(UserWarning, match="the file comes first") as caught:
        make("user-123", swapped)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make("chat.db", "user-123")
        make("chat.db", "session.db")
        make("chat", "user-123")


def test_a_path_keeps_its_meaning_when_the_working_directory_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    session = SQLiteSession("s.db")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    other = SQLiteSession("s.db")
    session.add_message("user", "x")
    assert (session.count(), other.count()) == (1, 0)
    assert (tmp_path / "s.db").exists()
    assert (tmp_path / "below" / "s.db").exists()


def test_a_relative_path_from_nowhere_is_an_error_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ValidationError, match="working directory"):
        SQLiteSession("s.db")
    assert SQLiteSession(tmp_path / "s.db").count() == 0


# -- URLs -------------------------------------------------------------------------------------------------------------


def test_urls_name_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url, file in [
        ("sqlite:///relative.db", "relative.db"),
        (f"sqlite:///{tmp_path}/absolute.db", "absolute.db"),
        ("sqlite:///with%20space%23%3F.db?timeout=5&synchronous=normal", "with space#?.db"),
        ("sqlite:///%E6%97%A5.db?op_id_ttl=60.5&retry_timeout=0", "日.db"),
    ]:
        with open_store(url) as store:
            assert isinstance(store, SQLiteStore)
            store.session("a").add_message("user", "x")
        assert (tmp_path / file).exists()
    store = open_sqlite_store("sqlite:///s.db?timeout=5&op_id_ttl=60.5&synchronous=normal&retry_timeout=0")
    assert (store.timeout, store.retry_timeout, store.options.op_id_ttl) == (5, 0, 60.5)
    assert store.durability() == "process"
    assert open_sqlite_store("sqlite:///:memory:").durability() == "unknown"


async def test_urls_open_async_stores(path: Path) -> None:
    async with open_async_store(f"sqlite:///{path}") as store:
        assert isinstance(store, AsyncSQLiteStore)
        await store.session("a").add_message("user", "x")
    assert SQLiteSession(path, "a").count() == 1


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:",
        "sqlite://",
        "sqlite:///",
        "sqlite:relative.db",
        "sqlite:/absolute.db",
        "sqlite://host/s.db",
        "sqlite:///s.db#part",
        "sqlite:///s.db#",
        "sqlite:///s.db?ttl=5",
        "sqlite:///s.db?mode=ro",
        "sqlite:///s.db?timeout",
        "sqlite:///s.db?timeout=",
        "sqlite:///s.db?timeout=soon",
        "sqlite:///s.db?timeout=nan",
        "sqlite:///s.db?timeout=-1",
        "sqlite:///s.db?timeout=1&timeout=2",
        "sqlite:///s.db?synchronous=off",
        "sqlite:///s.db?synchronous=FULL",
        "sqlite:///%00.db",
        "sqlite:///%FF.db",
        "sqlite:///file:x.db",
        "sqlite:///s.db?",
    ],
)
def test_other_urls_are_refused(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if url.endswith("?"):
        open_store(url)  # an empty query says nothing
        return
    with pytest.raises(ValidationError):
        open_store(url)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_parameter_is_told_what_is_known() -> None:
    with pytest.raises(ValidationError, match="synchronous, timeout, retry_timeout, op_id_ttl"):
        open_store("sqlite:///s.db?ttl=5")


# -- Sharing ----------------------------------------------------------------------------------------------------------


def test_handles_on_one_file_with_one_setting_share_one_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = SQLiteSession("s.db").store
    for same in ("./s.db", tmp_path / "s.db", str(tmp_path / "x" / ".." / "s.db"), Path("s.db")):
        assert SQLiteSession(same, "other", ttl=5).store is store
    assert SQLiteSession("s.db", timeout=5).store is not store
    assert SQLiteSession("s.db", synchronous="normal").store is not store
    assert SQLiteSession("s.db", limits=Limits(id_bytes=5)).store is not store
    assert SQLiteSession("t.db").store is not store


def test_both_faces_and_explicit_stores_share_one_engine(path: Path) -> None:
    session = SQLiteSession(path)
    engine = session.store._database.engine  # type: ignore[attr-defined]
    assert AsyncSQLiteSession(path).store._database.engine is engine  # type: ignore[attr-defined]
    store = SQLiteStore(path)
    assert store._database.engine is engine
    session.add_message("user", "x")
    store.close()
    assert session.count() == 1


def test_a_shared_store_that_was_closed_is_not_handed_out(path: Path) -> None:
    first = SQLiteSession(path)
    first.add_message("user", "x")
    first.store.close()
    assert SQLiteSession(path).count() == 1


def test_an_explicit_store_closes_its_file(path: Path) -> None:
    with SQLiteStore(path) as store:
        store.session("a").add_message("user", "x")
        assert path.with_name("sessions.db-wal").exists()
    assert [other.name for other in path.parent.iterdir()] == [path.name]


@needs_proc
def test_ten_thousand_handles_in_use_cost_a_handful_of_descriptors_and_threads(path: Path) -> None:
    threads, files = threading.active_count(), descriptors()
    handles = [SQLiteSession(path, f"user-{number}") for number in range(10_000)]
    assert descriptors() == files
    for handle in handles[::10]:
        handle.set("k", 1)
    work = [threading.Thread(target=lambda part=part: [handle.get("k") for handle in part]) for part in
            (handles[number::20] for number in range(20))]  # fmt: skip
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert descriptors() - files <= 16
    assert threading.active_count() - threads <= 2


def test_a_handle_takes_microseconds(path: Path) -> None:
    name = str(path)
    SQLiteSession(name, "warm")

    def once() -> float:
        began = time.perf_counter()
        for _ in range(1_000):
            SQLiteSession(name, "user-123")
        return (time.perf_counter() - began) / 1_000

    assert min(once() for _ in range(20)) < 20e-6
    assert not path.exists()


@needs_proc
def test_only_so_many_files_stay_open(tmp_path: Path) -> None:
    files = descriptors()
    sessions = [SQLiteSession(tmp_path / f"{number}.db") for number in range(60)]
    for _ in range(2):
        for session in sessions:
            session.add_message("user", "x")
            assert descriptors() - files <= 3 * (16 + 1)
    assert [session.count() for session in sessions] == [2] * 60
    with SQLiteStore(tmp_path / "mine.db") as mine:
        mine.session("a").add_message("user", "x")
        writer = mine._database.engine._writer._db
        for session in sessions:
            session.add_message("user", "x")
        assert mine._database.engine._writer._db is writer, "what a user opened stays open until the user closes it"


@needs_proc
def test_a_thousand_stores_opened_and_closed_leave_nothing(tmp_path: Path) -> None:
    def cycle(number: int) -> None:
        with SQLiteStore(tmp_path / f"{number % 5}.db", synchronous="normal") as store:
            store.session("a").add_message("user", "x")
        with SQLiteStore(":memory:") as store:
            store.session("a").add_message("user", "x")

    cycle(0)
    files, threads = descriptors(), threading.active_count()
    for number in range(500):
        cycle(number)
    assert (descriptors(), threading.active_count()) == (files, threads)


@needs_proc
def test_a_database_in_memory_goes_with_its_handle(path: Path) -> None:
    session = SQLiteSession(":memory:")
    session.add_message("user", "x")
    engine = session.store._database.engine  # type: ignore[attr-defined]
    del session
    gc.collect()
    assert engine._writer._db is None
    del engine
    gc.collect()  # an unclosed connection would warn, and a warning fails the test
    assert not path.exists()


def test_threads_that_come_first_to_a_store_in_memory_share_one_database(monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2)
    make = registry.engine

    def make_slowly(path: str, synchronous: Synchronous) -> Engine:
        both.wait(5)
        return make(path, synchronous)

    monkeypatch.setattr(registry, "engine", make_slowly)
    with SQLiteStore(":memory:") as store:
        threads = [threading.Thread(target=store.session("a").set, args=(key, 1)) for key in ("one", "two")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.session("a").metadata() == {"one": 1, "two": 1}
