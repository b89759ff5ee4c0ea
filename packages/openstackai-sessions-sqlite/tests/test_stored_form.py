"""What lies in the file is public: these tests pin it, row by row."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from openstackai_sessions_core import CorruptDataError
from openstackai_sessions_core.backend import NewMessage, Operation
from openstackai_sessions_sqlite import SQLiteStore

NOW = 1_700_000_000_000_000
DIGEST = hashlib.blake2b(b"x", digest_size=16).digest()


@contextmanager
def plain(path: Path) -> Iterator[sqlite3.Connection]:
    """The file as anybody sees it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        yield db


def rows(path: Path, statement: str) -> list[tuple[object, ...]]:
    with plain(path) as db:
        return db.execute(statement).fetchall()


def test_the_file_says_what_it_is(store: SQLiteStore, path: Path) -> None:
    assert store.session("a").count() == 0
    with plain(path) as db:
        assert db.execute("PRAGMA application_id").fetchone() == (0x6F617373,)
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        names = db.execute(
            "SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite%' ORDER BY 1, 2"
        ).fetchall()
    assert names == [
        ("index", "messages_by_id"),
        ("index", "messages_by_position"),
        ("index", "sessions_by_deadline"),
        ("table", "messages"),
        ("table", "metadata"),
        ("table", "operations"),
        ("table", "sessions"),
    ]


def test_rows_of_a_session(store: SQLiteStore, path: Path) -> None:
    store.append(
        "ann", Operation("op-1", DIGEST), [NewMessage("m-1", b'{"content":"h\xc3\xa9"}', True)], ttl=60_000_000
    )
    store.append("ann", Operation("op-2", DIGEST), [NewMessage("m-2", b"{}", False)], ttl=None)
    store.write_metadata("ann", Operation("op-3", DIGEST), {"name": b'"Ann"'}, [], ttl=None)
    store.pop("ann", Operation("op-4", DIGEST), ttl=None)
    assert rows(path, "SELECT * FROM sessions") == [(1, None, "ann", 3, 1, 9, NOW, NOW, 60_000_000, NOW + 60_000_000)]
    assert rows(path, "SELECT * FROM messages") == [(1, 1, 1, "m-1", NOW, '{"content":"hé"}')]
    assert rows(path, "SELECT * FROM metadata") == [(1, "name", '"Ann"')]
    forget_at = NOW + 600_000_000
    assert rows(path, "SELECT * FROM operations") == [
        ("ann", "op-1", DIGEST, forget_at, f'[true,[[1,"m-1",{NOW}]],[true],null]'),
        ("ann", "op-2", DIGEST, forget_at, f'[true,[[2,"m-2",{NOW}]],[true],null]'),
        ("ann", "op-3", DIGEST, forget_at, "[true,[],[],null]"),
        ("ann", "op-4", DIGEST, forget_at, f'[true,[[2,"m-2",{NOW}]],[],"{{}}"]'),
    ]


def test_payloads_are_text_that_sqlite_itself_can_search(store: SQLiteStore, path: Path) -> None:
    session = store.session("a")
    session.add_message("user", "naïve 🐍\0")
    session.set("k", {"deep": [1]})
    found = rows(path, "SELECT typeof(data), json_extract(CAST(data AS TEXT), '$.role') FROM messages")
    assert found == [("text", "user")]
    assert rows(path, "SELECT typeof(value), json_extract(value, '$.deep[0]') FROM metadata") == [("text", 1)]


def test_a_clear_moves_the_session_to_a_fresh_key_and_keeps_its_life(store: SQLiteStore, path: Path) -> None:
    session = store.session("a")
    session.add_message("user", "one")
    session.set("k", 1)
    session.clear()
    session.add_message("user", "two")
    assert rows(path, "SELECT key, life, session_id, next_position, count FROM sessions") == [(2, 1, "a", 3, 1)]
    assert rows(path, "SELECT session, position FROM messages") == [(2, 2)]
    assert rows(path, "SELECT session, key FROM metadata") == [(2, "k")]
    session.clear()
    assert rows(path, "SELECT key, life FROM sessions") == [(3, 1)]


def test_what_is_deleted_cleared_and_replaced_leaves_the_file_at_once(store: SQLiteStore, path: Path) -> None:
    for name in ("deleted", "cleared", "replaced"):
        store.session(name).add_messages([{"n": number} for number in range(300)])
        store.session(name).set("k", "v")
    store.session("deleted").delete()
    store.session("cleared").clear()
    store.session("replaced").import_data({**store.session("replaced").export(), "messages": [], "metadata": {}})
    assert rows(path, "SELECT count(*) FROM messages") == [(0,)]
    assert rows(path, "SELECT count(*) FROM metadata") == [(1,)]
    assert rows(path, "SELECT session_id FROM sessions ORDER BY 1") == [("cleared",), ("replaced",)]


def test_a_large_delete_takes_little_and_later_writes_take_the_rest(store: SQLiteStore, path: Path) -> None:
    session = store.session("large")
    session.add_messages([{"n": number} for number in range(5_000)])
    session.delete()
    assert session.get_messages() == []
    assert rows(path, "SELECT count(*) FROM messages") == [(4_000,)]
    other = store.session("other")
    for _ in range(33):
        other.set("k", 1)
    assert 3_000 < rows(path, "SELECT count(*) FROM messages")[0][0] < 4_000  # type: ignore[operator]
    assert store.purge_expired() == 0
    assert rows(path, "SELECT count(*) FROM messages") == [(0,)]
    assert rows(path, "SELECT session_id FROM sessions") == [("other",)]


def test_expired_sessions_leave_with_a_listing(store: SQLiteStore, path: Path, clock: list[float]) -> None:
    store.session("brief", ttl=10).add_message("user", "gone soon")
    store.session("lasting").add_message("user", "here")
    clock[0] += 11
    assert [info.id for info in store.list_sessions()] == ["lasting"]
    assert rows(path, "SELECT session_id FROM sessions") == [("lasting",)]
    assert rows(path, "SELECT count(*) FROM messages") == [(1,)]


def test_expired_sessions_leave_with_later_writes(store: SQLiteStore, path: Path, clock: list[float]) -> None:
    for number in range(10):
        store.session(f"brief-{number}", ttl=10).add_message("user", "gone soon")
    clock[0] += 11
    for _ in range(40):
        store.session("other").set("k", 1)
    assert rows(path, "SELECT session_id FROM sessions") == [("other",)]


def test_operations_are_forgotten_with_later_writes(store: SQLiteStore, path: Path, clock: list[float]) -> None:
    for number in range(50):
        store.session("a").set("k", number)
    clock[0] += 601
    for number in range(50):
        store.session("b").set("k", number)
    assert rows(path, "SELECT DISTINCT session_id FROM operations") == [("b",)]


def test_a_purge_forgets_all_that_is_past_remembering(store: SQLiteStore, path: Path, clock: list[float]) -> None:
    for name in ("a", "b", "c"):
        for number in range(900):
            store.append(name, Operation(f"op-{number}", DIGEST), [], ttl=None)
    assert rows(path, "SELECT count(*) FROM operations") == [(2_700,)]
    clock[0] += 601
    store.session("b").set("k", 1)
    store.purge_expired()
    assert rows(path, "SELECT session_id FROM operations") == [("b",)]


def test_an_operation_past_remembering_is_forgotten_though_it_lies_there(
    store: SQLiteStore, clock: list[float]
) -> None:
    session = store.session("a")
    session.add_message("user", "x", op_id="same")
    clock[0] += 599
    session.add_message("user", "x", op_id="same")
    assert session.count() == 1
    clock[0] += 2
    session.add_message("user", "another", op_id="same")
    assert session.count() == 2


def test_the_ledger_outlives_the_session(store: SQLiteStore, path: Path) -> None:
    session = store.session("a")
    session.add_message("user", "x", op_id="same")
    session.delete()
    assert session.add_message("user", "x", op_id="same").position == 1
    assert session.count() == 0
    assert rows(path, "SELECT count(*) FROM operations") == [(2,)]


@pytest.mark.parametrize("damage", [b"{", b"\xff\xfe", b"", b"[1]", b'{"a":"\x1e"', b"\x1e", b"null", b'{"a":\0}'])
def test_a_damaged_row_is_named_and_neither_skipped_nor_popped(store: SQLiteStore, path: Path, damage: bytes) -> None:
    session = store.session("a")
    session.add_messages([{"n": number} for number in range(3)])
    with plain(path) as db:
        db.execute("UPDATE messages SET data = CAST(? AS TEXT) WHERE position = 3", (damage,))
    for attempt in (session.get_messages, lambda: list(session.iter_messages()), session.export, session.pop_message):
        with pytest.raises(CorruptDataError) as caught:
            attempt()
        assert caught.value.position == 3
    assert [message.position for message in session.get_messages(before=3)] == [1, 2]
    assert session.count() == 3


def test_json_in_another_encoding_is_not_popped(store: SQLiteStore, path: Path) -> None:
    session = store.session("a")
    session.add_message("user", "x")
    with plain(path) as db:
        db.execute("UPDATE messages SET data = CAST(? AS TEXT)", (json.dumps({"a": 1}).encode("utf-16"),))
    with pytest.raises(CorruptDataError) as caught:
        session.pop_message()
    assert caught.value.position == 1
    assert session.count() == 1


def test_a_damaged_id_is_an_error_of_ours(store: SQLiteStore, path: Path) -> None:
    session = store.session("a")
    session.add_message("user", "x")
    with plain(path) as db:
        db.execute("UPDATE messages SET id = CAST(? AS TEXT)", (b"\xff",))
    with pytest.raises(CorruptDataError):
        session.get_messages()
    assert session.count() == 1
