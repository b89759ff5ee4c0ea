"""Many callers at once: one order, nothing lost, nothing doubled, nothing torn."""

from __future__ import annotations

from functools import partial
from typing import Any

from behaviour.async_seam import together
from openstackai_sessions_core import AsyncSession
from openstackai_sessions_core.backend import AsyncBaseStore

WORKERS = 8
EACH = 25


async def test_concurrent_appends_each_land_once_in_one_order(async_store: AsyncBaseStore) -> None:
    async def work(worker: int) -> None:
        session = async_store.session("s")
        for number in range(EACH):
            await session.add_message("user", [worker, number])

    await together([partial(work, worker) for worker in range(WORKERS)])
    messages = await async_store.session("s").get_messages()
    contents: list[Any] = [message.content for message in messages]
    positions = [message.position for message in messages]
    assert positions == sorted(set(positions))
    for worker in range(WORKERS):
        own = [content for content in contents if content[0] == worker]
        assert own == [[worker, number] for number in range(EACH)]
    assert len(messages) == WORKERS * EACH


async def test_one_handle_serves_many(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")

    async def work(worker: int) -> None:
        for number in range(EACH):
            await session.add_message("user", [worker, number])
            await session.set(f"{worker} {number}", number)

    await together([partial(work, worker) for worker in range(WORKERS)])
    assert await session.count() == WORKERS * EACH
    assert len(await session.metadata()) == WORKERS * EACH


async def test_batches_stay_whole(async_store: AsyncBaseStore) -> None:
    done = []

    async def write(worker: int) -> None:
        session = async_store.session("s")
        for number in range(EACH):
            await session.add_messages([{"batch": [worker, number], "of": 3}] * 3)
        done.append(worker)

    async def read(_: int) -> None:
        session = async_store.session("s")
        while len(done) < 4:
            messages = await session.get_messages()
            batches = [message["batch"] for message in messages]
            assert len(batches) % 3 == 0
            for start in range(0, len(batches), 3):
                assert batches[start] == batches[start + 1] == batches[start + 2]

    await together([*(partial(write, worker) for worker in range(4)), *(partial(read, 0) for _ in range(2))])
    assert await async_store.session("s").count() == 4 * EACH * 3


async def test_concurrent_pops_return_different_messages(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    await session.add_messages([{"n": index} for index in range(WORKERS * EACH)])

    async def work() -> list[Any]:
        handle = async_store.session("s")
        popped = [await handle.pop_message() for _ in range(EACH)]
        return [message["n"] for message in popped if message is not None]

    taken = [number for numbers in await together([work] * WORKERS) for number in numbers]
    assert sorted(taken) == list(range(WORKERS * EACH))
    assert await session.count() == 0


async def test_readers_see_a_growing_prefix(async_store: AsyncBaseStore) -> None:
    reads: list[list[int]] = []
    done = []

    async def write(worker: int) -> None:
        for number in range(EACH):
            await async_store.session("s").add_message("user", [worker, number])
        done.append(worker)

    async def read(_: int) -> None:
        while len(done) < 4:
            reads.append([message.position for message in await async_store.session("s").get_messages()])

    await together([*(partial(write, worker) for worker in range(4)), partial(read, 0)])
    final = [message.position for message in await async_store.session("s").get_messages()]
    for positions in reads:
        assert positions == final[: len(positions)]


async def test_clear_and_append_never_bring_back_or_lose(async_store: AsyncBaseStore) -> None:
    cleared_after: list[int] = []

    async def write(worker: int) -> list[int]:
        session = async_store.session("s")
        return [(await session.add_message("user", [worker, number])).position for number in range(EACH)]

    async def clear(_: int) -> list[int]:
        session: AsyncSession = async_store.session("s")
        for _ in range(EACH):
            newest = await session.get_messages(1)
            await session.clear()
            if newest:
                cleared_after.append(newest[0].position)
        return []

    written = await together([*(partial(write, worker) for worker in range(4)), partial(clear, 0)])
    left = [message.position for message in await async_store.session("s").get_messages()]
    everything = {position for positions in written for position in positions}
    assert len(everything) == 4 * EACH
    assert left == sorted(set(left))
    assert set(left) <= everything
    floor = max(cleared_after, default=0)
    assert all(position > floor for position in left), "cleared messages came back"
    assert (await async_store.session("s").count()) == len(left)


async def test_exports_are_snapshots(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    await session.add_messages([{"n": 0}] * 2)
    await session.set("n", 0)
    done: list[bool] = []

    async def write() -> None:
        writer = async_store.session("s")
        document: Any = await writer.export()
        for number in range(1, 15):
            for entry in document["messages"]:
                entry["data"] = {"n": number}
            document["metadata"] = {"n": number}
            await writer.import_data(document)
        done.append(True)

    async def read() -> None:
        while not done:
            document: Any = await async_store.session("s").export()
            numbers = {entry["data"]["n"] for entry in document["messages"]}
            assert numbers == {document["metadata"]["n"]}

    await together([write, read, read])
