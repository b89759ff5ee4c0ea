"""Calls that are cancelled, at each of their awaits and at any other moment: all of a write or none, and no mix-ups."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from random import Random
from typing import Any

from openstackai_sessions_conformance._proxy import Fault
from openstackai_sessions_core import AsyncSession, SessionError
from openstackai_sessions_core.backend import AsyncBaseStore
from reliability._actor import Actor, Step
from reliability._framework import Campaign, Tally
from reliability._places import FEW, Place, place

__all__ = ["CAMPAIGNS"]

CLIENTS = 8
STEPS = 50
# At this await at the latest a call is cancelled; few have as many.
AWAITS = 12
# Where the wire is slow: how long an operation may take, and how late some requests arrive, in seconds.
TIMEOUT, LATE = 0.15, 0.4


class CancelledAt:
    """Awaits a call, and cancels the task that does as the call awaits for the n-th time."""

    def __init__(self, call: Callable[[], Awaitable[Any]], nth: int, times: int) -> None:
        self._call = call
        self._nths = range(nth, nth + times)

    def __await__(self) -> Generator[Any, Any, Any]:
        steps: Any = self._call().__await__()
        resume: Callable[[], Any] = partial(steps.send, None)
        awaits = 0
        while True:
            try:
                awaited = resume()
            except StopIteration as end:
                return end.value
            awaits += 1
            if awaits in self._nths:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            try:
                resume = partial(steps.send, (yield awaited))
            except BaseException as error:  # noqa: BLE001 - it is the call's
                resume = partial(steps.throw, error)


async def _await(call: Awaitable[Any]) -> Any:
    return await call


def cancel_calls(name: str, tally: Tally, *, slow: bool = False) -> None:
    """Let clients share few connections and cancel most of their calls."""
    with contextlib.ExitStack() as stack:
        somewhere = stack.enter_context(place(name))
        tally.place = somewhere.version
        options: dict[str, Any] = dict(somewhere.few)
        if slow:
            proxy = stack.enter_context(somewhere.proxy())
            chance = Random(tally.random.random())
            when = lambda request: somewhere.is_call(request) and chance.random() < 0.1  # noqa: E731 - a proxy's rule
            proxy.add(Fault.DELAY, seconds=LATE, when=when, times=None)
            # Whoever comes first makes what the place needs, which takes longer.
            with somewhere.open() as first:
                first.list_sessions()
            store = somewhere.open_async(via=proxy, timeout=TIMEOUT, **options)
        else:
            store = somewhere.open_async(**options)
        before = somewhere.connections()
        asyncio.run(_work(somewhere, store, tally, slow=slow))
        deadline = time.monotonic() + 10
        while somewhere.connections() > before and time.monotonic() < deadline:
            time.sleep(0.05)
        leaked = somewhere.connections() - before
        tally.expect(leaked <= 0, f"{leaked} connections are left after the store was closed")


async def _work(somewhere: Place, store: AsyncBaseStore, tally: Tally, *, slow: bool) -> None:
    before = somewhere.connections()
    seeds = [tally.random.random() for _ in range(CLIENTS)]
    async with store:
        await asyncio.gather(
            *(_client(store, number, Random(seed), tally, slow=slow) for number, seed in enumerate(seeds))
        )
        if slow:
            # What was dropped stays on the server's side until the late requests on it have arrived.
            await asyncio.sleep(3 * LATE)
        held = somewhere.connections() - before
        tally.expect(held <= FEW, f"{held} connections where there may be {FEW}")
        left = asyncio.all_tasks() - {asyncio.current_task()}
        tally.numbers["tasks at the end"] = max(tally.numbers["tasks at the end"], len(left))


async def _client(store: AsyncBaseStore, number: int, random: Random, tally: Tally, *, slow: bool) -> None:
    life = 0
    while tally.left:
        life += 1
        actor = Actor(AsyncSession(store, f"client {number} life {life}"), random)
        for _ in range(STEPS):
            step = actor.next()
            wrong = await _cancel(step, actor, random, tally, slow=slow)
            if wrong is not None:
                tally.violate(wrong)
                break


async def _cancel(step: Step, actor: Actor, random: Random, tally: Tally, *, slow: bool) -> str | None:
    """Cancel a call, and look what became of it; says what is wrong."""
    way = random.random()
    if way < 0.5:
        task = asyncio.create_task(_await(CancelledAt(step.call, random.randint(1, AWAITS), random.choice((1, 1, 3)))))
    else:
        task = asyncio.create_task(_await(step.call()))
        if way < 0.9:
            delay = random.expovariate(1 / (LATE if slow else 0.002))
            asyncio.get_running_loop().call_later(delay, task.cancel)
    await asyncio.wait([task])
    if not task.cancelled():
        error = task.exception()
        if error is not None:
            return f"{step.name} on {actor.id!r} raised {error!r}"
        tally.numbers["calls that ended first"] += 1
        actor.take(step)
        return actor.wrong_answer(step, task.result())
    tally.step()
    if slow:
        # What was on its way when its connection was dropped may still arrive.
        await asyncio.sleep(LATE + TIMEOUT)
    try:
        held = await actor.holds()
    except SessionError as error:
        return f"after the cancelled {step.name} on {actor.id!r}, reading raised {error!r}"
    events, actor.events = actor.events, []
    if held == (step.log, step.metadata) and held != (actor.log, actor.metadata):
        tally.numbers["applied"] += 1
        actor.take(step)
        # Where it was given up, the handle cannot know.
        return (
            None if events == step.events or (slow and not events) else f"{step.name} was applied, and fired {events}"
        )
    if held != (actor.log, actor.metadata):
        return f"after the cancelled {step.name}, {actor.id!r} holds {held}, not {actor.log} or {step.log}"
    return None if not events else f"the cancelled {step.name} was not applied, and fired {events}"


CAMPAIGNS = [
    *(
        Campaign(
            f"cancellations/{name}",
            "cancellations",
            "0 part batches, 0 answers to the wrong caller, 0 leaked connections",
            10_000,
            500,
            partial(cancel_calls, name),
        )
        for name in ("memory", "sqlite", "valkey", "postgres")
    ),
    *(
        Campaign(
            f"cancellations/{name}-slow",
            "cancellations",
            "the same where requests are late and connections are dropped",
            1_000,
            30,
            partial(cancel_calls, name, slow=True),
        )
        for name in ("valkey", "postgres")
    ),
]
