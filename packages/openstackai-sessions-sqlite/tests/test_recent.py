"""What is kept of recent messages is never anything but what a query would have given."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from openstackai_sessions_core import ConflictError, InMemoryStore, JSONInput
from openstackai_sessions_core.backend import Record, flat_value
from openstackai_sessions_sqlite import AsyncSQLiteStore, SQLiteStore
from openstackai_sessions_sqlite._recent import MOST, SESSION_BYTES, Recent


@pytest.fixture
def store(tmp_path: Path) -> SQLiteStore:
    return SQLiteStore(tmp_path / "sessions.db")


def record(position: int, size: int = 10) -> Record:
    return Record(position, f"id {position}", 0, b"x" * size)


STEPS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["add", "batch", "pop", "clear", "set", "delete", "import", "read", "read", "read"]),
        st.integers(1, 4),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_connections_that_write_in_turn_all_read_the_same(
    steps: list[tuple[int, str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("turns") / "sessions.db"
    # Two engines, since their settings differ, and one that opens the file anew each time.
    stores = [SQLiteStore(path), SQLiteStore(path, synchronous="normal")]
    model = InMemoryStore().session("s")
    for who, what, number in steps:
        fresh = SQLiteStore(path, timeout=7.0) if who == 2 else None
        session = (fresh or stores[who]).session("s")
        for side in (session, model):
            if what == "add":
                side.add_message("user", number)
            elif what == "batch":
                side.add_messages([{"n": index} for index in range(number)])
            elif what == "pop":
                side.pop_message()
            elif what == "clear":
                side.clear()
            elif what == "set":
                side.set("k", number)
            elif what == "delete":
                side.delete()
            elif what == "import":
                side.import_data({**model.export(), "metadata": {"n": number}})
        for store in stores:
            assert store.session("s").get_messages(number) == model.get_messages(number)
            assert store.session("s").get_messages() == model.get_messages()
        if fresh is not None:
            fresh.close()
    for store in stores:
        store.close()


def test_a_change_by_another_program_is_seen(store: SQLiteStore, tmp_path: Path) -> None:
    session = store.session("s")
    session.add_messages([{"n": 1}, {"n": 2}])
    assert session.get_messages(2) == session.get_messages() == [{"n": 1}, {"n": 2}]
    other = sqlite3.connect(tmp_path / "sessions.db", isolation_level=None)
    other.execute("""UPDATE messages SET data = '{"n":3}' WHERE position = 2""")
    assert session.get_messages(2) == session.get_messages() == [{"n": 1}, {"n": 3}]
    other.close()
    store.close()


def test_a_write_that_failed_leaves_nothing(store: SQLiteStore) -> None:
    session = store.session("s")
    session.add_message("user", "a", id="m")
    assert session.count() == len(session.get_messages(5)) == 1
    with pytest.raises(ConflictError):
        session.add_messages([{"n": 1}, {"role": "user", "content": "b"}], ids=[None, "m"])
    assert len(session.get_messages(5)) == 1
    store.close()


def test_an_interrupt_after_the_commit_hides_nothing(store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    session = store.session("s")
    session.add_message("user", "a")
    assert len(session.get_messages(5)) == 1

    def interrupt(_: Recent) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Recent, "commit", interrupt)
        with pytest.raises(KeyboardInterrupt):
            session.add_message("user", "b")
    assert [message.content for message in session.get_messages(5)] == ["a", "b"]
    store.close()


def test_expiry_is_by_the_clock(tmp_path: Path) -> None:
    now = 1_000_000.0
    with SQLiteStore(tmp_path / "sessions.db", clock=lambda: now) as store:
        session = store.session("s", ttl=10)
        session.add_message("user", "a")
        assert len(session.get_messages(1)) == 1
        now += 11
        assert session.get_messages(1) == []
        store.purge_expired()
        now -= 11
        assert session.get_messages(1) == [], "what was purged does not come back with a clock that goes backward"


def test_long_and_large_sessions_are_kept_in_part() -> None:
    recent = Recent()
    assert recent.find(1, "s", 1, 0) is None
    recent.note_append("s", [record(position) for position in range(1, 6)], None, begins=True)
    recent.commit()
    found = recent.find(1, "s", 10, 0)
    assert found is not None
    assert [entry[0] for entry in found] == [1, 2, 3, 4, 5]
    recent.note_append("s", [record(position) for position in range(6, 2 * MOST)], None, begins=False)
    recent.commit()
    assert recent.find(1, "s", MOST, 0) is None
    found = recent.find(1, "s", 50, 0)
    assert found is not None
    assert [entry[0] for entry in found] == list(range(2 * MOST - 50, 2 * MOST))
    recent.note_append("s", [record(2 * MOST, SESSION_BYTES)], None, begins=False)
    recent.commit()
    assert recent.find(1, "s", 1, 0) is None
    for number in range(100):
        recent.note_append(f"s{number}", [record(1, SESSION_BYTES // 3)], None, begins=True)
        recent.commit()
    kept = [number for number in range(100) if recent.find(1, f"s{number}", 1, 0) is not None]
    assert kept == list(range(100 - len(kept), 100))
    assert 20 <= len(kept) <= 24


def test_what_is_at_hand_is_decoded_right_whatever_came_and_went() -> None:
    recent = Recent()
    recent.find(1, "s", 1, 0)
    recent.note_append("s", [flat(1)], None, begins=True)
    recent.commit()
    for position in range(2, 3 * MOST):
        if position % 7 == 0:
            recent.note_pop("s", position - 1, None)
        recent.note_append("s", [flat(position) if position % 5 else Record(position, "id", 0, b'{"n":[1]}')], None,
                           begins=False)  # fmt: skip
        recent.commit()
        if position % 11 == 0:
            found = recent.at_hand(1, "s", 1 + position % 50, 0)
            assert found is not None
            assert [flat_value(entry[3]) for entry in found.records] == list(found.values)
            assert recent.find(1, "s", 1 + position % 50, 0) == found.records
    assert recent.at_hand(1, "s", None, 0) is None, "not all of them are kept"


def flat(position: int) -> Record:
    return Record(position, f"id {position}", 0, b'{"n":%d}' % position)


def test_nothing_is_at_hand_while_the_connection_is_in_use(store: SQLiteStore) -> None:
    session = store.session("s")
    session.add_messages([{"n": 1}, {"n": {"a": [1]}}])
    assert session.get_messages() == [{"n": 1}, {"n": {"a": [1]}}]
    found = store.at_hand("s", 2)
    assert found is not None
    assert list(found.values) == [{"n": 1}, None], "what holds containers is decoded anew each time"
    assert store.at_hand("s", None) == found
    with store._database.engine._writer.lock:
        assert store.at_hand("s", 2) is None
    store.close()
    assert store.at_hand("s", 2) is None


async def test_tasks_that_read_what_is_at_hand_let_others_have_their_turn(tmp_path: Path) -> None:
    store = AsyncSQLiteStore(tmp_path / "sessions.db")
    session = store.session("s")
    await session.add_messages([{"n": number} for number in range(1_000)])
    await session.get_messages(1_000)
    reads = turns = 0

    async def read_on_and_on() -> None:
        nonlocal reads
        while turns < 20:
            assert len(await session.get_messages(1_000)) == 1_000
            reads += 1

    async def take_turns() -> None:
        nonlocal turns
        while turns < 20:
            turns += 1
            await asyncio.sleep(0)

    await asyncio.wait_for(asyncio.gather(read_on_and_on(), take_turns()), 30)
    assert reads < 20 * 20
    await store.close()


@pytest.mark.parametrize("content", ["hi", ["x" * 500_000], [{"row": number} for number in range(10_000)]])
async def test_however_large_the_messages_are_that_a_task_reads_on_and_on(tmp_path: Path, content: JSONInput) -> None:
    store = AsyncSQLiteStore(tmp_path / "sessions.db")
    session = store.session("s")
    await session.add_message("user", content)
    await session.get_messages(1)
    longest, ending = 0.0, time.thread_time() + 0.3

    async def read_on_and_on() -> None:
        while time.thread_time() < ending:
            assert len(await session.get_messages(1)) == 1

    async def take_turns() -> None:
        nonlocal longest
        while time.thread_time() < ending:
            began = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - began)

    gc.disable()  # a full collection would be counted too
    try:
        await asyncio.wait_for(asyncio.gather(take_turns(), read_on_and_on()), 60)
    finally:
        gc.enable()
    assert longest < 0.1
    await store.close()


def test_nothing_is_kept_across_a_commit_by_others() -> None:
    recent = Recent()
    assert recent.find(1, "s", 1, 0) is None
    recent.keep(2, "s", [record(1)], whole=True, expires_at=None)
    assert recent.find(2, "s", 1, 0) is None
    recent.keep(2, "s", [record(1)], whole=True, expires_at=None)
    assert recent.find(2, "s", 1, 0) == [record(1)]
    assert recent.find(3, "s", 1, 0) is None
    assert recent.find(2, "s", 1, 0) is None


def test_an_uncommitted_change_is_not_in_force() -> None:
    recent = Recent()
    recent.find(1, "s", 1, 0)
    recent.note_append("s", [record(1)], None, begins=True)
    assert recent.find(1, "s", 1, 0) is None
    recent.rollback()
    recent.commit()
    assert recent.find(1, "s", 1, 0) is None
    recent.note_append("s", [record(1)], None, begins=True)
    recent.note_append("s", [record(2)], 5, begins=False)
    recent.note_pop("s", 2, 5)
    recent.commit()
    assert recent.find(1, "s", 1, 4) == [record(1)]
    assert recent.find(1, "s", 1, 5) is None
