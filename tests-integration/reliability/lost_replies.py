"""Writes whose replies are cut off after they were applied: the library tries again, and each lands once."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from random import Random
from typing import Any

from openstackai_sessions_conformance._proxy import Fault, FaultProxy, Rule
from openstackai_sessions_core import AsyncSession, Session, SessionError
from openstackai_sessions_core.backend import AsyncBaseStore, BaseStore, Operation
from reliability._actor import Actor, Threaded
from reliability._framework import Campaign, Tally
from reliability._places import Place, place

__all__ = ["CAMPAIGNS"]

CLIENTS = 16
# Steps of one session; then its client takes a new one.
STEPS = 60
# How many of the requests lose their replies.
SHARE = 0.4
WRITES = ("append", "pop", "clear", "write_metadata", "replace", "delete")
# So many of a session's attempts are kept, to tell what led to a violation.
KEPT = 40


class Attempts:
    """What became of each attempt to write, as the store told it to the handle."""

    def __init__(self, store: BaseStore | AsyncBaseStore) -> None:
        self._by_session: defaultdict[str, deque[tuple[str, str]]] = defaultdict(lambda: deque(maxlen=KEPT))
        watch = self._watch_async if isinstance(store, AsyncBaseStore) else self._watch
        for name in WRITES:
            setattr(store, name, watch(name, getattr(store, name)))

    def _watch(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(session_id: str, op: Operation, *arguments: object, **named: object) -> object:
            try:
                outcome = call(session_id, op, *arguments, **named)
            except BaseException as error:
                self._note(session_id, op, f"{name}: {error!r} from {error.__cause__!r}")
                raise
            self._note(session_id, op, f"{name}: {outcome!r}")
            return outcome

        return watched

    def _watch_async(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        async def watched(session_id: str, op: Operation, *arguments: object, **named: object) -> object:
            try:
                outcome = await call(session_id, op, *arguments, **named)
            except BaseException as error:
                self._note(session_id, op, f"{name}: {error!r} from {error.__cause__!r}")
                raise
            self._note(session_id, op, f"{name}: {outcome!r}")
            return outcome

        return watched

    def _note(self, session_id: str, op: Operation, text: str) -> None:
        self._by_session[session_id].append((op.id, text))

    def of_last(self, session_id: str) -> str:
        """The attempts of the newest operation on a session."""
        noted = list(self._by_session[session_id])
        newest = noted[-1][0] if noted else ""
        lines = [text for op_id, text in noted if op_id == newest]
        return "\n    ".join([f"; attempts of operation {newest!r}:", *lines])


def cut_replies(name: str, style: str, tally: Tally) -> None:
    """Let clients work through a wire that swallows replies, until so many have been swallowed."""
    with place(name) as somewhere, somewhere.proxy() as proxy:
        tally.place = somewhere.version
        # Whoever comes first makes what the place needs; that is `cold_start`'s business.
        with somewhere.open() as store:
            store.list_sessions()
        asyncio.run(_work(somewhere, proxy, style, tally))


async def _work(somewhere: Place, proxy: FaultProxy, style: str, tally: Tally) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(CLIENTS))
    chance = Random(tally.random.random())
    rule = proxy.add(
        Fault.CUT_AFTER,
        when=lambda request: somewhere.is_call(request) and chance.random() < SHARE,
        times=None,
    )
    seeds = [tally.random.random() for _ in range(CLIENTS)]
    if style == "async":
        async with somewhere.open_async(via=proxy) as store:
            attempts = Attempts(store)
            await asyncio.gather(
                *(
                    _client(
                        partial(AsyncSession, store), number, Random(seed), rule=rule, tally=tally, attempts=attempts
                    )
                    for number, seed in enumerate(seeds)
                )
            )
    else:
        with somewhere.open(via=proxy) as plain:
            attempts = Attempts(plain)
            await asyncio.gather(
                *(
                    _client(
                        lambda name: Threaded(Session(plain, name)),
                        number,
                        Random(seed),
                        rule=rule,
                        tally=tally,
                        attempts=attempts,
                    )
                    for number, seed in enumerate(seeds)
                )
            )


async def _client(
    make: Callable[[str], AsyncSession | Threaded],
    number: int,
    random: Random,
    *,
    rule: Rule,
    tally: Tally,
    attempts: Attempts,
) -> None:
    life = 0
    while tally.left:
        life += 1
        actor = Actor(make(f"client {number} life {life}"), random)
        for _ in range(STEPS):
            step = actor.next()
            try:
                answer = await step.call()
            except SessionError as error:
                tally.violate(f"{step.name} on {actor.id!r} raised {error!r}{attempts.of_last(actor.id)}")
                return
            actor.take(step)
            tally.numbers["calls"] += 1
            wrong = actor.wrong_answer(step, answer)
            if wrong is not None:
                tally.violate(f"{wrong}{attempts.of_last(actor.id)}")
                return
            tally.step(rule.hits - tally.done)
            if not tally.left:
                break
        held = await actor.holds()
        tally.expect(held == (actor.log, actor.metadata), f"{actor.id!r} holds {held}, not {actor.log}")


CAMPAIGNS = [
    Campaign(
        f"lost_replies/{name}-{style}",
        "replies cut",
        "0 doubled, 0 lost, the right answer, one event each",
        10_000,
        0 if name == "redis" else 150,
        partial(cut_replies, name, style),
    )
    for name in ("valkey", "redis", "postgres")
    for style in ("sync", "async")
]
