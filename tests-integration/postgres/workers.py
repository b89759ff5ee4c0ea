"""What other processes do in the tests; each function runs in one that was spawned."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context

from openstackai_sessions_postgres import PostgresSession, PostgresStore


def in_processes(count: int, work: Callable[..., object], *arguments: object) -> list[object]:
    """Run `work(number, *arguments)` in so many processes at once; return what each returned."""
    with get_context("spawn").Pool(count) as pool:
        return [item.get(900) for item in [pool.apply_async(work, (number, *arguments)) for number in range(count)]]


def pop_all(number: int, url: str, threads: int) -> list[str]:
    """Pop until nothing is left, by several threads."""

    def pop(_: int) -> list[str]:
        session = PostgresSession(url, "popped")
        found = []
        while (message := session.pop_message()) is not None:
            found.append(str(message.content))
        return found

    with ThreadPoolExecutor(threads) as executor:
        return [content for contents in executor.map(pop, range(threads)) for content in contents]


def append_and_set(number: int, url: str, threads: int, times: int) -> None:
    """Append and set metadata by several threads, each message and key its own."""

    def write(thread: int) -> None:
        session = PostgresSession(url, "shared")
        for index in range(times):
            session.add_message("user", f"{number}-{thread}-{index}")
            if index % 10 == 0:
                session.set(f"key-{number}-{thread}-{index}", index)

    with ThreadPoolExecutor(threads) as executor:
        list(executor.map(write, range(threads)))


def start_together(number: int, url: str, rounds: int, children: int) -> list[int]:
    """In each round let so many new processes use an empty schema at one moment; return how each ended."""
    ends = []
    for round_ in range(rounds):
        wait, go = os.pipe()
        born = []
        for child in range(children):
            pid = os.fork()
            if pid == 0:
                os.close(go)
                os.read(wait, 1)  # ends when the parent closes the other end
                os._exit(_begin(url, f"start_{number}_{round_}", child))
            born.append(pid)
        os.close(wait)
        os.close(go)
        ends += [os.waitpid(pid, 0)[1] for pid in born]
    return ends


def _begin(url: str, schema: str, number: int) -> int:
    try:
        with PostgresStore(url, schema=schema) as store:
            session = store.session(f"session-{number}")
            session.add_message("user", "Hello")
            return 0 if [message.content for message in session.get_messages()] == ["Hello"] else 2
    except BaseException:  # noqa: BLE001 - whatever it is must not run on in a child
        traceback.print_exc()
        return 1
