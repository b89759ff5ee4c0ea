# Written by tools/twins.py from test_async_concurrency.py: edit that file, then run `make twins`.
"""Many callers at once: one order, nothing lost, nothing doubled, nothing torn."""

from __future__ import annotations

from functools import partial
from typing import Any

from behaviour.seam import together
from openstackai_sessions_core import Session
from openstackai_sessions_core.backend import BaseStore

WORKERS = 8
EACH = 25


def test_concurrent_appends_each_land_once_in_one_order(store: BaseStore) -> None:
    def work(worker: int) -> None:
        session = store.session("s")
        for number in range(EACH):
            session.add_message("user", [worker, number])

    together([partial(work, worker) for worker in range(WORKERS)])
    messages = store.session("s").get_messages()
    contents: list[Any] = [message.content for message in messages]
    positions = [message.position for message in messages]
    assert positions == sorted(set(positions))
    for worker in range(WORKERS):
        own = [content for content in contents if content[0] == worker]
        assert own == [[worker, number] for number in range(EACH)]
    assert len(messages) == WORKERS * EACH


def test_one_handle_serves_many(store: BaseStore) -> None:
    session = store.session("s")

    def work(worker: int) -> None:
        for number in range(EACH):
            session.add_message("user", [worker, number])
            session.set(f"{worker} {number}", number)

    together([partial(work, worker) for worker in range(WORKERS)])
    assert session.count() == WORKERS * EACH
    assert len(session.metadata()) == WORKERS * EACH


def test_batches_stay_whole(store: BaseStore) -> None:
    done = []

    def write(worker: int) -> None:
        session = store.session("s")
        for number in range(EACH):
            session.add_messages([{"batch": [worker, number], "of": 3}] * 3)
        done.append(worker)

    def read(_: int) -> None:
        session = store.session("s")
        while len(done) < 4:
            messages = session.get_messages()
            batches = [message["batch"] for message in messages]
            assert len(batches) % 3 == 0
            for start in range(0, len(batches), 3):
                assert batches[start] == batches[start + 1] == batches[start + 2]

    together([*(partial(write, worker) for worker in range(4)), *(partial(read, 0) for _ in range(2))])
    assert store.session("s").count() == 4 * EACH * 3


def test_concurrent_pops_return_different_messages(store: BaseStore) -> None:
    session = store.session("s")
    session.add_messages([{"n": index} for index in range(WORKERS * EACH)])

    def work() -> list[Any]:
        handle = store.session("s")
        popped = [handle.pop_message() for _ in range(EACH)]
        return [message["n"] for message in popped if message is not None]

    taken = [number for numbers in together([work] * WORKERS) for number in numbers]
    assert sorted(taken) == list(range(WORKERS * EACH))
    assert session.count() == 0


def test_readers_see_a_growing_prefix(store: BaseStore) -> None:
    reads: list[list[int]] = []
    done = []

    def write(worker: int) -> None:
        for number in range(EACH):
            store.session("s").add_message("user", [worker, number])
        done.append(worker)

    def read(_: int) -> None:
        while len(done) < 4:
            reads.append([message.position for message in store.session("s").get_messages()])

    together([*(partial(write, worker) for worker in range(4)), partial(read, 0)])
    final = [message.position for message in store.session("s").get_messages()]
    for positions in reads:
        assert positions == final[: len(positions)]


def test_clear_and_append_never_bring_back_or_lose(store: BaseStore) -> None:
    cleared_after: list[int] = []

    def write(worker: int) -> list[int]:
        session = store.session("s")
        return [(session.add_message("user", [worker, number])).position for number in range(EACH)]

    def clear(_: int) -> list[int]:
        session: Session = store.session("s")
        for _ in range(EACH):
            newest = session.get_messages(1)
            session.clear()
            if newest:
                cleared_after.append(newest[0].position)
        return []

    written = together([*(partial(write, worker) for worker in range(4)), partial(clear, 0)])
    left = [message.position for message in store.session("s").get_messages()]
    everything = {position for positions in written for position in positions}
    assert len(everything) == 4 * EACH
    assert left == sorted(set(left))
    assert set(left) <= everything
    floor = max(cleared_after, default=0)
    assert all(position > floor for position in left), "cleared messages came back"
    assert (store.session("s").count()) == len(left)


def test_exports_are_snapshots(store: BaseStore) -> None:
    session = store.session("s")
    session.add_messages([{"n": 0}] * 2)
    session.set("n", 0)
    done: list[bool] = []

    def write() -> None:
        writer = store.session("s")
        document: Any = writer.export()
        for number in range(1, 15):
            for entry in document["messages"]:
                entry["data"] = {"n": number}
            document["metadata"] = {"n": number}
            writer.import_data(document)
        done.append(True)

    def read() -> None:
        while not done:
            document: Any = store.session("s").export()
            numbers = {entry["data"]["n"] for entry in document["messages"]}
            assert numbers == {document["metadata"]["n"]}

    together([write, read, read])
