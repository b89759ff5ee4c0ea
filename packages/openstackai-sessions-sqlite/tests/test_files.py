"""What a store does with the file at its path, whatever lies there."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from openstackai_sessions_core import (
    BackendUnavailableError,
    CorruptDataError,
    ReadOnlyError,
    SchemaVersionError,
    SessionClosedError,
    SessionError,
    StorageFullError,
    ValidationError,
)
from openstackai_sessions_sqlite import AsyncSQLiteStore, SQLiteSession, SQLiteStore, _migrations
from openstackai_sessions_sqlite._registry import registry

Start = Callable[..., "subprocess.Popen[str]"]

NOBODY = 65534


def fingerprint(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def refusal(path: Path) -> SessionError:
    """The error of the first use, which is the same for reads and writes and for both faces."""
    store = SQLiteStore(path, retry_timeout=0)
    with pytest.raises(SessionError) as caught:
        store.session("a").add_message("user", "x")
    with pytest.raises(type(caught.value)):
        store.session("a").get_messages()
    store.close()

    async def first_use() -> None:
        async with AsyncSQLiteStore(path, retry_timeout=0) as store:
            await store.session("a").get_messages()

    with pytest.raises(type(caught.value)):
        asyncio.run(first_use())
    return caught.value


# -- What lies at the path --------------------------------------------------------------------------------------------


def test_the_file_is_made_at_first_use_and_not_before(path: Path) -> None:
    with SQLiteStore(path) as store:
        session = store.session("a")
        assert not path.exists()
        session.get_messages()
        assert path.exists()


def test_a_missing_directory_is_named_and_not_made(tmp_path: Path) -> None:
    error = refusal(tmp_path / "missing" / "sessions.db")
    assert isinstance(error, ValidationError)
    assert str(tmp_path / "missing") in str(error)
    assert not (tmp_path / "missing").exists()


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    assert isinstance(refusal(tmp_path), ValidationError)


def test_a_file_in_the_place_of_the_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert isinstance(refusal(tmp_path / "file" / "sessions.db"), ValidationError)


@pytest.mark.parametrize("content", [b"This is a letter.\n" * 100, b"SQLite format 3\0" + b"\xff" * 2000, b"x" * 5000])
def test_what_is_not_a_database_is_left_as_it_is(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert isinstance(refusal(path), CorruptDataError)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        ("UPDATE messages SET created_at = 'abc'", "time"),
        ("UPDATE messages SET created_at = 9223372036854775807", "time"),
        ("UPDATE operations SET outcome = '{'", "operation"),
        ("UPDATE sessions SET next_position = 'abc'", "row"),
        ("UPDATE sessions SET created_at = 'abc'", "row"),
        ("UPDATE messages SET position = 'abc'", "row"),
    ],
)
def test_damage_to_what_is_not_a_payload_is_told_too(path: Path, damage: str, what: str) -> None:
    with SQLiteStore(path) as store:
        store.session("s").add_message("user", "a", op_id="op")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(damage)
    with SQLiteStore(path) as store:
        session = store.session("s")
        calls: dict[str, list[Callable[[], object]]] = {
            "time": [session.export, lambda: session.get_messages()[0].created_at],
            "operation": [lambda: session.add_message("user", "a", op_id="op")],
            "row": [lambda: session.add_message("user", "b") and list(session.iter_messages())],
        }
        for call in calls[what]:
            with pytest.raises(CorruptDataError):
                call()


def test_a_path_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(ValidationError, match="no file name"):
        SQLiteSession("\ud800.db")


def test_an_empty_file_is_taken(path: Path) -> None:
    path.touch()
    with SQLiteStore(path) as store:
        store.session("a").add_message("user", "x")
        assert store.session("a").count() == 1


@pytest.mark.parametrize(
    "made",
    [
        "CREATE TABLE users (id INTEGER)",
        "CREATE TABLE sessions (key INTEGER); CREATE TABLE messages (id INTEGER)",
        "PRAGMA user_version = 3",
        "PRAGMA application_id = 77",
        "PRAGMA encoding = 'UTF-16'; CREATE TABLE t (x)",
    ],
)
def test_the_database_of_another_application_is_left_as_it_is(path: Path, made: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executescript(made)
    before = fingerprint(path)
    error = refusal(path)
    assert isinstance(error, ValidationError)
    assert "another application" in str(error)
    assert fingerprint(path) == before
    assert sorted(other.name for other in path.parent.iterdir()) == [path.name]


def test_a_newer_layout_is_left_as_it_is(path: Path) -> None:
    with SQLiteStore(path) as store:
        store.session("a").add_message("user", "x")
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {_migrations.VERSION + 1}")
    before = fingerprint(path)
    assert isinstance(refusal(path), SchemaVersionError)
    assert fingerprint(path) == before


def test_an_older_layout_is_brought_up_to_date_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with SQLiteStore(path) as store:
        store.session("a").add_message("user", "x")
    step = ("CREATE TABLE added (x)", "INSERT INTO added VALUES (1)")
    monkeypatch.setattr(_migrations, "STEPS", (*_migrations.STEPS, step))
    monkeypatch.setattr(_migrations, "VERSION", len(_migrations.STEPS))
    for _ in range(2):
        with SQLiteStore(path) as store:
            assert store.session("a").count() == 1
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT * FROM added").fetchall() == [(1,)]


def test_a_step_that_fails_leaves_the_older_layout(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with SQLiteStore(path) as store:
        store.session("a").add_message("user", "x")
    with monkeypatch.context() as patch:
        patch.setattr(
            _migrations, "STEPS", (*_migrations.STEPS, ("CREATE TABLE added (x)", "CREATE TABLE sessions (x)"))
        )
        patch.setattr(_migrations, "VERSION", 2)
        refusal(path)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT name FROM sqlite_master WHERE name = 'added'").fetchall() == []
    with SQLiteStore(path) as store:
        assert store.session("a").count() == 1


def test_names_that_sqlite_would_read_as_something_else(tmp_path: Path) -> None:
    for name in ("a?mode=memory", "b%20c", "d#e", "memory", "ü 日本.db", "x:y", os.fsdecode(b"\xff.db")):
        with SQLiteStore(tmp_path / name) as store:
            store.session("a").add_message("user", name.encode(errors="replace").decode())
        assert (tmp_path / name).stat().st_size > 0


# -- A file that cannot be written ------------------------------------------------------------------------------------


READ_AND_TRY_TO_WRITE = """
    import os, sys
    from openstackai_sessions_core import ReadOnlyError
    from openstackai_sessions_sqlite import SQLiteStore
    path, user = sys.argv[1], int(sys.argv[2])
    if os.getuid() == 0:  # who can write everywhere
        os.setgroups([]); os.setgid(user); os.setuid(user)
    store = SQLiteStore(path)
    session = store.session("a")
    for _ in range(2):
        print(session.get_messages()[0].content, session.count(), session.get("k"), len(session.export()["messages"]),
              [info.id for info in store.list_sessions()])
        try:
            session.add_message("user", "no")
        except ReadOnlyError:
            print("read-only")
    store.close()
"""


def make_for_reading(folder: Path) -> Path:
    path = folder / "sessions.db"
    with SQLiteStore(path) as store:
        store.session("a").add_message("user", "hello")
        store.session("a").set("k", "v")
        store.session("expired", ttl=0.001).set("k", "v")
    return path


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that any user can enter, which those of the test runner are not."""
    with TemporaryDirectory(prefix="sqlite-read-only-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o755)


@pytest.mark.parametrize("directory_mode", [0o555, 0o777])
def test_a_read_only_file_can_be_read(public: Path, start: Start, directory_mode: int) -> None:
    path = make_for_reading(public)
    path.chmod(0o444)
    public.chmod(directory_mode)
    before = fingerprint(path)
    process = start(READ_AND_TRY_TO_WRITE, path, NOBODY)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert output.splitlines() == ["hello 1 v 1 ['a']", "read-only"] * 2
    assert fingerprint(path) == before


WRITE_UNTIL_TOLD = """
    import sys
    from openstackai_sessions_sqlite import SQLiteStore
    store = SQLiteStore(sys.argv[1])
    store.session("a").add_message("user", "hello")
    print("ready", flush=True)
    for line in sys.stdin:
        store.session("a").add_message("user", line.strip())
        print("written", flush=True)
    store.close()
"""


def test_a_file_that_another_process_writes_can_be_read_without_the_right_to_write(public: Path, start: Start) -> None:
    path = public / "sessions.db"
    writer = start(WRITE_UNTIL_TOLD, path)
    assert writer.stdout is not None
    assert writer.stdin is not None
    assert writer.stdout.readline() == "ready\n"
    for name in path.parent.iterdir():
        name.chmod(0o644)
    reader = start(READ_AND_TRY_TO_WRITE, path, NOBODY)
    output, errors = reader.communicate(timeout=60)
    assert reader.returncode == 0, errors
    assert output.splitlines() == ["hello 1 None 1 ['a']", "read-only"] * 2
    writer.communicate(timeout=60)


def test_writes_work_again_once_they_may(path: Path) -> None:
    store = SQLiteStore(path, retry_timeout=0)
    session = store.session("a")
    session.add_message("user", "x")
    writer = store._database.engine._writer._db
    assert writer is not None
    writer.execute("PRAGMA query_only = ON")
    with pytest.raises(ReadOnlyError):
        session.add_message("user", "y")
    assert session.count() == 1
    session.add_message("user", "z")
    assert session.count() == 2
    store.close()


def test_a_full_disk_refuses_writes_and_serves_reads(path: Path) -> None:
    store = SQLiteStore(path, retry_timeout=0)
    session = store.session("a")
    session.add_message("user", "x")
    writer = store._database.engine._writer._db
    assert writer is not None
    writer.execute("PRAGMA max_page_count = 20")
    with pytest.raises(StorageFullError):
        session.add_messages([{"content": "x" * 4_000}] * 30)
    assert session.count() == 1
    assert len(session.get_messages()) == 1
    session.add_messages([{"content": "x" * 4_000}] * 30)  # the connection is another now, without the bound
    assert session.count() == 31
    store.close()


def test_a_write_lock_that_another_process_keeps_is_waited_for_and_no_longer(path: Path) -> None:
    store = SQLiteStore(path, timeout=0.2, retry_timeout=0)
    session = store.session("a")
    session.add_message("user", "x")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BackendUnavailableError) as caught:
            session.add_message("user", "y")
        assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
        assert session.count() == 1
        other.execute("ROLLBACK")
    session.add_message("user", "z")
    assert [message.content for message in session.get_messages()] == ["x", "z"]
    store.close()


# -- A file that goes away under a store ------------------------------------------------------------------------------


def remove(path: Path) -> None:
    for name in path.parent.glob(f"{path.name}*"):
        name.unlink()


@pytest.mark.parametrize("use", ["write", "read", "export"])
def test_a_file_that_was_deleted_is_begun_anew(store: SQLiteStore, path: Path, use: str) -> None:
    session = store.session("a")
    session.add_message("user", "old")
    session.export()
    remove(path)
    if use == "write":
        session.add_message("user", "new")
        assert path.exists()
    expected = ["new"] if use == "write" else []
    if use == "export":
        assert session.export()["messages"] == []
    assert [message.content for message in session.get_messages()] == expected


def test_a_file_that_was_replaced_is_the_one_that_is_used(tmp_path: Path) -> None:
    one, two = tmp_path / "one.db", tmp_path / "two.db"
    with SQLiteStore(two) as store:
        store.session("a").add_message("user", "from two")
    with SQLiteStore(one) as store:
        session = store.session("a")
        session.add_message("user", "from one")
        remove(one)
        two.rename(one)
        session.add_message("user", "later")
        assert [message.content for message in session.get_messages()] == ["from two", "later"]
    assert hashlib.sha256(b"").hexdigest() != fingerprint(one)


def test_paths_to_one_file_share_one_engine(tmp_path: Path) -> None:
    real = tmp_path / "real.db"
    session = SQLiteSession(real, "a")
    session.add_message("user", "x")
    (tmp_path / "symbolic.db").symlink_to(real)
    (tmp_path / "hard.db").hardlink_to(real)
    (tmp_path / "folder").symlink_to(tmp_path)
    for alias in ("symbolic.db", "hard.db", "folder/real.db"):
        other = SQLiteSession(tmp_path / alias, "a")
        assert other.count() == 1
        assert other.store._database.engine is session.store._database.engine  # type: ignore[attr-defined]
        other.pop_message()
        other.add_message("user", alias)
    assert [message.content for message in session.get_messages()] == ["folder/real.db"]


def test_a_number_that_passed_on_to_another_file_misleads_nobody(tmp_path: Path) -> None:
    passed_on = 0
    for number in range(20):
        old, new = tmp_path / f"{number}-old.db", tmp_path / f"{number}-new.db"
        handle = SQLiteSession(old)
        handle.add_message("user", "old")
        inode = old.stat().st_ino
        SQLiteStore(old).close()
        handle.store.close()
        engine = registry.engine(str(old), "full")  # whoever still refers to it
        remove(old)
        new.touch()
        passed_on += new.stat().st_ino == inode
        with SQLiteStore(new) as other:
            other.session("a").add_message("user", "new")
            assert other._database.engine is not engine
            assert not old.exists()
            assert other.session("a").count() == 1
    if not passed_on:
        pytest.skip("this file system gives no number twice, at least not at once")


# -- Memory -----------------------------------------------------------------------------------------------------------


def test_each_database_in_memory_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one, two = SQLiteSession(":memory:"), SQLiteSession(":memory:")
    one.add_message("user", "x")
    assert (one.count(), two.count()) == (1, 0)
    assert SQLiteSession(":memory:").store.durability() == "unknown"
    assert list(tmp_path.iterdir()) == []
    store = SQLiteStore(":memory:")
    store.session("a").add_messages([{"n": number} for number in range(3_000)])
    assert store.session("a").export()["messages"] != []
    assert len(store.session("a").get_messages()) == 3_000
    store.close()
    with pytest.raises(SessionClosedError):
        store.session("a").count()
