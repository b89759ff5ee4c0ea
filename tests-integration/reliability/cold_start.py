"""Many processes that all begin at once on a place where there is nothing yet."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
from functools import partial
from multiprocessing.context import ForkContext
from typing import TYPE_CHECKING

from openstackai_sessions_core import AsyncSession, Session
from reliability._framework import Campaign, Skip, Tally
from reliability._places import Place, place

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue
    from multiprocessing.synchronize import Barrier

__all__ = ["CAMPAIGNS"]

PROCESSES = 64


def start_cold(name: str, tally: Tally) -> None:
    """Start rounds of processes, each of which writes to one session that all share, and to one of its own."""
    if not hasattr(os, "fork"):
        raise Skip("this system cannot fork")
    with place(name) as somewhere:
        tally.place = somewhere.version
        context = multiprocessing.get_context("fork")
        while tally.left:
            somewhere.new()
            _round(somewhere, context, tally)
            tally.step()


def _round(somewhere: Place, context: ForkContext, tally: Tally) -> None:
    barrier, told = context.Barrier(PROCESSES), context.SimpleQueue()
    gc.freeze()
    processes = [context.Process(target=_work, args=(somewhere, number, barrier, told)) for number in range(PROCESSES)]
    for process in processes:
        process.start()
    for _ in processes:
        error: str | None = told.get()
        if error is not None:
            tally.violate(error)
    for process in processes:
        process.join()
    with somewhere.open() as store:
        texts = sorted(str(message["content"]) for message in Session(store, "all").get_messages())
        tally.expect(texts == sorted(map(str, range(PROCESSES))), f"the session of all holds {texts}")
        infos = store.list_sessions(limit=1000)
        tally.expect(len(infos) == PROCESSES + 1, f"{len(infos)} sessions where {PROCESSES + 1} processes wrote")
    tally.numbers["processes"] += PROCESSES


def _work(somewhere: Place, number: int, barrier: Barrier, told: SimpleQueue[str | None]) -> None:
    try:
        barrier.wait(60)
        if number % 2:
            asyncio.run(_async_work(somewhere, number))
        else:
            with somewhere.open() as store:
                for id in ("all", f"own-{number}"):
                    Session(store, id).add_message("user", str(number))
        told.put(None)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the table tells it
        told.put(f"process {number}: {error!r}")


async def _async_work(somewhere: Place, number: int) -> None:
    async with somewhere.open_async() as store:
        for id in ("all", f"own-{number}"):
            await AsyncSession(store, id).add_message("user", str(number))


CAMPAIGNS = [
    Campaign(
        f"cold_start/{name}",
        "rounds",
        f"{PROCESSES} processes on an empty place: 0 errors, each write there once",
        100,
        0 if name == "redis" else 1,
        partial(start_cold, name),
    )
    for name in ("sqlite", "valkey", "redis", "postgres")
]
