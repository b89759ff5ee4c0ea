"""What other processes do in the tests; each function runs in one that was spawned."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context

from openstackai_sessions_postgres import PostgresSession, PostgresStore


def in_processes(count: int, work: Callable[..., object], *arguments: object) -> list[object]:
    """Run `work(number, *arguments)` in so many processes at once; return what each returned."""
    with get_context("spawn").Pool(count) as pool:
        return [item.get(180) for item in [pool.apply_async(work, (number, *arguments)) for number in range(count)]]


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


def begin(number: int, url: str, schema: str, at: float) -> str:
    """Use an empty database at a moment that many processes share."""
    time.sleep(max(0.0, at - time.time()))
    with PostgresStore(url, schema=schema) as store:
        store.session(f"session-{number}").add_message("user", "Hello")
        return str(store.session(f"session-{number}").get_messages()[0].content)
