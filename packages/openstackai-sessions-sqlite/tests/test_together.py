"""Appends and reads that wait at the same time share their statements; each gives what it would have given alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from openstackai_sessions_core import ConflictError, LimitExceededError, Limits
from openstackai_sessions_sqlite import AsyncSQLiteStore
from openstackai_sessions_sqlite._sql import FOUND_TOGETHER

NOW = 1_800_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


async def test_a_batch_of_every_kind_gives_what_each_would_give_alone(tmp_path: Path) -> None:
    clock = Clock()
    async with AsyncSQLiteStore(tmp_path / "s.db", clock=clock) as store:
        names = [f"plain-{number}" for number in range(3 * FOUND_TOGETHER)]
        for name in [*names, "repeats", "conflicts", "given", "popped", "cleared"]:
            await store.session(name).add_message("user", "first", op_id=f"{name}-1")
        await store.session("expires", ttl=10).add_message("user", "gone", op_id="gone")
        await store.session("lives", ttl=100).add_message("user", "first")
        known = await store.session("given").add_message("user", "mine", id="mine")
        clock.now += 20

        def add(name: str, op_id: str | None = None) -> asyncio.Future[object]:
            return asyncio.ensure_future(store.session(name).add_messages([{"n": 1}, {"n": 2}], op_id=op_id))

        plain = [add(name) for name in names]
        repeated = asyncio.ensure_future(store.session("repeats").add_message("user", "first", op_id="repeats-1"))
        conflict = add("conflicts", "conflicts-1")
        fresh = add("fresh")
        expired = add("expires", "again")
        lives = add("lives")
        given = asyncio.ensure_future(store.session("given").add_message("user", "mine", id="mine"))
        pop = asyncio.ensure_future(store.session("popped").pop_message())
        after_pop = add("popped")
        twice = [add("twice"), add("twice")]
        clear = asyncio.ensure_future(store.session("cleared").clear())
        after_clear = add("cleared")
        await asyncio.gather(
            *plain,
            repeated,
            conflict,
            fresh,
            expired,
            lives,
            given,
            pop,
            after_pop,
            *twice,
            clear,
            return_exceptions=True,
        )
        await after_clear

        for name, future in zip(names, plain, strict=True):
            messages = await store.session(name).get_messages()
            assert [message.get("n", message.content) for message in messages] == ["first", 1, 2]
            assert messages[1:] == future.result()
            assert [message.position for message in messages] == [1, 2, 3]
            assert await store.session(name).count() == 3
        assert repeated.result().position == 1
        assert await store.session("repeats").count() == 1
        assert isinstance(conflict.exception(), ConflictError)
        assert await store.session("conflicts").count() == 1
        assert await store.session("fresh").get_messages() == fresh.result()
        assert [message.position for message in await store.session("expires").get_messages()] == [1, 2]
        assert await store.session("lives").count() == 3
        assert (given.result().id, given.result().position) == ("mine", known.position)
        assert await store.session("given").count() == 2
        assert pop.result() == {"role": "user", "content": "first"}
        assert [message["n"] for message in await store.session("popped").get_messages()] == [1, 2]
        assert [message.position for message in await store.session("twice").get_messages()] == [1, 2, 3, 4]
        assert [message.position for message in await store.session("cleared").get_messages()] == [2, 3]


async def test_appends_together_are_remembered_and_refresh_the_deadline(tmp_path: Path) -> None:
    clock = Clock()
    names = [f"s{number}" for number in range(FOUND_TOGETHER)]
    async with AsyncSQLiteStore(tmp_path / "s.db", clock=clock) as store:
        for name in names:
            await store.session(name, ttl=10).add_message("user", "first")
        for _ in range(5):
            clock.now += 6
            await asyncio.gather(
                *(store.session(name).add_message("user", "x", op_id=f"{clock.now}") for name in names)
            )
            await asyncio.gather(
                *(store.session(name).add_message("user", "x", op_id=f"{clock.now}") for name in names)
            )
        assert [await store.session(name).count() for name in names] == [6] * len(names)
        clock.now += 10
        assert await asyncio.gather(*(store.session(name).get_messages(5) for name in names)) == [[]] * len(names)


async def test_reads_together_see_what_another_process_would_have_committed(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    names = [f"s{number}" for number in range(20)]
    async with AsyncSQLiteStore(path) as store:
        for name in names:
            await store.session(name).add_message("user", "ours")
        stranger = AsyncSQLiteStore(f"{tmp_path}/../{tmp_path.name}/./s.db", synchronous="normal")
        try:
            for round in range(3):
                before = await asyncio.gather(*(store.session(name).get_messages(50) for name in names))
                assert [len(messages) for messages in before] == [1 + round] * len(names)
                for name in names:
                    await stranger.session(name).add_message("user", "theirs")
        finally:
            await stranger.close()


async def test_one_that_is_refused_does_not_spoil_the_others(tmp_path: Path) -> None:
    async with AsyncSQLiteStore(tmp_path / "s.db", limits=Limits(message_bytes=100)) as store:
        sessions = [store.session(f"s{number}") for number in range(2 * FOUND_TOGETHER)]
        for session in sessions:
            await session.add_message("user", "x", id="id")
        results = await asyncio.gather(
            *(
                session.add_message("user", "y" * (200 if number % 5 == 0 else 1), id="id" if number % 7 == 0 else None)
                for number, session in enumerate(sessions)
            ),
            return_exceptions=True,
        )
        for number, (session, result) in enumerate(zip(sessions, results, strict=True)):
            expected = LimitExceededError if number % 5 == 0 else ConflictError if number % 7 == 0 else dict
            assert isinstance(result, expected), number
            assert await session.count() == (2 if expected is dict else 1)


@pytest.mark.parametrize("kind", ["add", "get"])
async def test_a_closed_store_refuses_a_whole_batch(tmp_path: Path, kind: str) -> None:
    store = AsyncSQLiteStore(tmp_path / "s.db")
    await store.session("a").add_message("user", "x")
    await store.close()
    calls = [
        store.session(f"s{number}").add_message("user", "x") if kind == "add" else store.session("a").get_messages(5)
        for number in range(20)
    ]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(result).__name__ for result in results} == {"SessionClosedError"}
