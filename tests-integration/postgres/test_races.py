"""What many threads and processes do to one session at once."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from openstackai_sessions_postgres import PostgresSession, PostgresStore
from postgres.locks import wait_for_a_lock
from postgres.workers import append_and_set, in_processes, pop_all, start_together

FULL = os.environ.get("INTEGRATION_FULL") == "1"


def test_pops_of_many_threads_and_processes_are_all_different(database: str) -> None:
    session = PostgresSession(database, "popped")
    session.add_messages([{"role": "user", "content": str(number)} for number in range(2_000)])
    found = [content for contents in in_processes(2, pop_all, database, 8) for content in contents]  # type: ignore[attr-defined]
    assert sorted(map(int, found)) == list(range(2_000))
    assert session.count() == 0


def test_appends_and_metadata_of_many_processes_all_land_once(database: str) -> None:
    processes, threads, times = (8, 4, 250) if FULL else (4, 4, 50)
    in_processes(processes, append_and_set, database, threads, times)
    session = PostgresSession(database, "shared")
    messages = session.get_messages()
    expected = [f"{p}-{t}-{i}" for p in range(processes) for t in range(threads) for i in range(times)]
    assert sorted(str(message.content) for message in messages) == sorted(expected)
    positions = [message.position for message in messages]
    assert positions == sorted(set(positions))
    # Each writer's own order is kept, whoever came between.
    for process in range(processes):
        for thread in range(threads):
            mine = [str(m.content) for m in messages if str(m.content).startswith(f"{process}-{thread}-")]
            assert mine == [f"{process}-{thread}-{index}" for index in range(times)]
    keys = {f"key-{p}-{t}-{i}" for p in range(processes) for t in range(threads) for i in range(0, times, 10)}
    assert set(session.metadata()) == keys


# A hundred rounds take minutes: ten tests of ten, each with the time that a test has.
@pytest.mark.parametrize("part", range(10 if FULL else 1))
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_sixty_four_processes_start_at_once_on_an_empty_server(database: str, part: int) -> None:
    del part
    rounds = 10 if FULL else 3
    assert in_processes(1, start_together, database, rounds, 64) == [[0] * 64 * rounds]


@pytest.mark.parametrize("end", ["clear", "delete", "replace", "append", "pop"])
def test_a_write_that_waited_for_another_sees_what_that_one_did(database: str, end: str) -> None:
    """Hold the session's lock in a transaction that has appended; what waits for it must see the appended message."""
    store = PostgresStore(database, retry_timeout=0)
    session = store.session("s")
    session.add_message("user", "first")
    session.set("key", 1)
    other = PostgresStore(database, retry_timeout=0).session("s")
    document = {**session.export(), "messages": []} if end == "replace" else session.export()
    calls: dict[str, Callable[[], object]] = {
        "clear": other.clear,
        "delete": other.delete,
        "replace": lambda: other.import_data(document),
        "append": lambda: other.import_data(document, mode="append"),
        "pop": other.pop_message,
    }
    with psycopg.connect(database) as holder:
        digest = b"0" * 16
        rows = holder.execute(
            "SELECT o_first_position FROM openstackai_sessions.append('s', 'held', %s, 600000000, NULL,"
            " ARRAY['late']::varchar[], ARRAY[%s]::bytea[], NULL)",
            (digest, b'{"role": "user", "content": "late"}'),
        ).fetchall()
        assert rows == [(2,)]
        with ThreadPoolExecutor(1) as executor:
            waiting = executor.submit(calls[end])
            wait_for_a_lock(database)
            assert not waiting.done()
            holder.commit()
            result = waiting.result(10)
    contents = [message.content for message in session.get_messages()]
    expected = {
        "clear": [],
        "delete": [],
        "replace": [],
        "append": ["first", "late"],
        "pop": ["first"],
    }
    assert contents == expected[end]
    if end == "pop":
        assert result == {"role": "user", "content": "late"}
    with psycopg.connect(database) as connection:
        held = connection.execute("SELECT count(*) FROM openstackai_sessions.messages").fetchone()
    assert held == (len(contents),)


@pytest.mark.parametrize("end", ["clear", "delete"])
def test_an_append_that_waited_for_an_end_begins_after_it(database: str, end: str) -> None:
    store = PostgresStore(database, retry_timeout=0)
    session = store.session("s")
    session.add_messages([{"n": number} for number in range(3)])
    with psycopg.connect(database) as holder:
        ttl = "" if end == "delete" else ", NULL"
        holder.execute(
            f"SELECT o_applied FROM openstackai_sessions.{end}('s', 'held', '\\x00', 600000000{ttl})"  # noqa: S608
        )
        with ThreadPoolExecutor(1) as executor:
            waiting = executor.submit(session.add_message, "user", "after")
            wait_for_a_lock(database)
            holder.commit()
            message = waiting.result(10)
    assert [m.content for m in session.get_messages()] == ["after"]
    assert message.position == (4 if end == "clear" else 1)


def test_two_sends_of_one_operation_at_once_land_once(database: str) -> None:
    stores = [PostgresStore(database, retry_timeout=0) for _ in range(8)]
    PostgresStore(database).session("s").add_message("user", "before")
    for number in range(30):
        barrier = threading.Barrier(len(stores))

        def send(store: PostgresStore, number: int = number, barrier: threading.Barrier = barrier) -> tuple[str, int]:
            barrier.wait()
            message = store.session("s").add_message("user", number, op_id=f"op-{number}")
            return message.id, message.position

        with ThreadPoolExecutor(len(stores)) as executor:
            assert len(set(executor.map(send, stores))) == 1
    session = stores[0].session("s")
    assert [message.content for message in session.get_messages()] == ["before", *range(30)]
    assert session.count() == 31


def test_a_slow_session_does_not_hold_up_another(database: str) -> None:
    store = PostgresStore(database)
    store.session("slow").add_message("user", "one")
    store.session("other").add_message("user", "one")
    with psycopg.connect(database) as holder:
        holder.execute("SELECT FROM openstackai_sessions.sessions WHERE session_id = 'slow' FOR UPDATE")
        began = time.monotonic()
        store.session("other").add_message("user", "two")
        store.session("other").pop_message()
        assert [message.content for message in store.session("slow").get_messages()] == ["one"]
        assert store.purge_expired() == 0
        assert len(store.list_sessions()) == 2
        assert time.monotonic() - began < 5


def test_clear_and_delete_racing_appends_leave_no_message_behind_or_twice(database: str) -> None:
    store = PostgresStore(database)
    stop = threading.Event()
    written: list[tuple[int, int, str]] = []

    def append(thread: int) -> None:
        session = store.session("s")
        index = 0
        while not stop.is_set():
            message = session.add_message("user", f"{thread}-{index}")
            written.append((thread, message.position, message.id))
            index += 1

    def end() -> None:
        session = store.session("s")
        document = {**session.export(), "messages": [], "created_at": None, "metadata": {}}
        for number in range(60):
            [session.clear, session.delete, lambda: session.import_data(document)][number % 3]()
            contents = [str(message.content) for message in session.get_messages()]
            assert len(contents) == len(set(contents))

    threads = [threading.Thread(target=append, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    end()
    stop.set()
    for thread in threads:
        thread.join()
    session = store.session("s")
    session.clear()
    assert session.get_messages() == []
    assert session.count() == 0
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM openstackai_sessions.messages").fetchone() == (0,)
