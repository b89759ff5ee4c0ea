"""A cancelled async write settles: all or nothing, its event fired, and the cancellation goes on."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable, Sequence

import pytest

from core.async_faulty import AsyncFaultyStore
from openstackai_sessions_core import (
    AsyncInMemoryStore,
    AsyncSession,
    Message,
    OutcomeUnknownError,
    SessionEvent,
    _async_session,
)
from openstackai_sessions_core.backend import NewMessage, Operation, Outcome


class SlowStore(AsyncFaultyStore):
    """Takes `steps` turns of the event loop before and after each append."""

    steps = 3

    async def append(
        self,
        session_id: str,
        op: Operation,
        messages: Sequence[NewMessage],
        *,
        ttl: int | None,
    ) -> Outcome:
        for _ in range(self.steps):
            await asyncio.sleep(0)
        outcome = await super().append(session_id, op, messages, ttl=ttl)
        for _ in range(self.steps):
            await asyncio.sleep(0)
        return outcome


@pytest.mark.parametrize("turns", range(14))
async def test_cancelling_at_every_turn_leaves_all_or_nothing(turns: int) -> None:
    store = SlowStore(AsyncInMemoryStore())
    session = store.session("s")
    seen: list[Message] = []
    session.on(SessionEvent.MESSAGE_ADDED, seen.append)
    task = asyncio.create_task(session.add_messages([{"n": 1}, {"n": 2}, {"n": 3}]))
    for _ in range(turns):
        await asyncio.sleep(0)
    cancelled = task.cancel()
    if cancelled:
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await session.count() in ((0, 3) if cancelled else (3,))
    assert seen == await session.get_messages(), "what landed has its events, what did not has none"
    assert (await session.add_message("user", "next")).content == "next"


async def test_time_outs_and_groups_see_the_cancellation() -> None:
    class Hanging(AsyncFaultyStore):
        async def append(
            self,
            session_id: str,
            op: Operation,
            messages: Sequence[NewMessage],
            *,
            ttl: int | None,
        ) -> Outcome:
            await asyncio.sleep(0.1)
            return await super().append(session_id, op, messages, ttl=ttl)

    session = Hanging(AsyncInMemoryStore()).session("s")
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(session.add_message("user", "x"), 0.02)
    assert await session.count() == 1


async def test_a_write_that_never_settles_is_dropped_in_time(caplog: pytest.LogCaptureFixture) -> None:
    dropped = []

    class Stuck(AsyncFaultyStore):
        async def append(
            self,
            session_id: str,
            op: Operation,
            messages: Sequence[NewMessage],
            *,
            ttl: int | None,
        ) -> Outcome:
            try:
                never: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
                return await never
            finally:
                dropped.append(op.id)

        @property
        def timeout(self) -> float:
            return 0.05

    session = Stuck(AsyncInMemoryStore()).session("s")
    task = asyncio.create_task(session.add_message("user", "x"))
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.sleep(0.01)
    task.cancel()
    with caplog.at_level(logging.DEBUG), pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 2)
    await asyncio.sleep(0)
    assert len(dropped) == 1


async def test_a_cancelled_write_with_a_lost_reply_can_be_repeated() -> None:
    store = SlowStore(AsyncInMemoryStore(retry_timeout=0))
    session = store.session("s")
    seen: list[object] = []
    session.on(SessionEvent.MESSAGE_ADDED, seen.append)
    store.after = [OutcomeUnknownError("reply lost")]
    task = asyncio.create_task(session.add_message("user", "x", op_id="op"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == []
    message = await session.add_message("user", "x", op_id="op")
    assert seen == [message]
    assert await session.count() == 1


async def test_a_cancelled_handler_loses_no_event() -> None:
    session: AsyncSession = AsyncInMemoryStore().session("s")
    seen: list[tuple[str, Message]] = []

    async def slow(message: Message) -> None:
        seen.append(("slow", message))
        await asyncio.sleep(0.05)

    session.on(SessionEvent.MESSAGE_ADDED, slow)
    session.on(SessionEvent.MESSAGE_ADDED, lambda message: seen.append(("plain", message)))
    task = asyncio.create_task(session.add_messages([{"n": 1}, {"n": 2}]))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [(kind, message["n"]) for kind, message in seen] == [("slow", 1), ("plain", 1), ("slow", 2), ("plain", 2)]


async def test_tasks_started_by_a_handler_dispatch_their_own_events() -> None:
    session = AsyncInMemoryStore().session("s")
    seen: list[object] = []
    started: list[asyncio.Task[object]] = []

    async def start(message: object) -> None:
        seen.append(message.content)  # type: ignore[attr-defined]
        if message.content == "a":  # type: ignore[attr-defined]
            started.append(asyncio.create_task(session.add_message("user", "b")))

    session.on(SessionEvent.MESSAGE_ADDED, start)
    await session.add_message("user", "a")
    await asyncio.gather(*started)
    assert seen == ["a", "b"]


async def test_sync_sessions_refuse_async_handlers() -> None:
    from functools import partial

    from openstackai_sessions_core import InMemorySession, ValidationError

    async def handler(*_: object) -> None:
        """Would have to be awaited."""

    class Callable:
        async def __call__(self, *_: object) -> None:
            """Would have to be awaited."""

    session = InMemorySession()
    for asynchronous in (handler, partial(handler, 1), Callable(), partial(partial(Callable(), 1), 2)):
        with pytest.raises(ValidationError, match="async"):
            session.on(SessionEvent.MESSAGE_ADDED, asynchronous)
    with pytest.raises(ValidationError, match="async"):
        session.on(SessionEvent.MESSAGE_ADDED)(handler)
    session.on(SessionEvent.MESSAGE_ADDED, lambda message: handler(message))  # noqa: PLW0108 - the point
    session.add_message("user", "the lambda's coroutine is closed and logged")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tasks of Python 3.10 do not tell whether they were cancelled")
async def test_a_handler_that_waits_for_something_cancelled_harms_no_write(caplog: pytest.LogCaptureFixture) -> None:
    session: AsyncSession = AsyncInMemoryStore().session("s")
    seen: list[Message] = []

    async def waits(_: Message) -> None:
        other = asyncio.ensure_future(asyncio.sleep(10))
        other.cancel()
        await other

    session.on(SessionEvent.MESSAGE_ADDED, waits)
    session.on(SessionEvent.MESSAGE_ADDED, seen.append)
    assert [await session.add_message("user", "x")] == seen
    assert "waits" in caplog.text


async def test_large_writes_of_every_shape_are_encoded_away_from_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []

    def noting(function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, large: bool = True) -> object:
            threads.append(threading.get_ident())
            return function(*arguments, large=large)

        return call

    for name in ("encode_batch", "encode_metadata"):
        monkeypatch.setattr(_async_session, name, noting(getattr(_async_session, name)))
    session: AsyncSession = AsyncInMemoryStore().session("s")
    text = "x" * 1_000_000
    await session.add_message("user", [{"type": "image", "data": text}])
    await session.add_message("user", {"data": {"deep": text}})
    await session.add_messages([{"content": "x" * 10_000}] * 100)
    await session.add_messages([{"content": {str(number): number for number in range(50_000)}}])
    await session.set("key", [text])
    await session.update({str(number): "x" * 100_000 for number in range(10)})
    assert len(threads) == 6
    assert threading.get_ident() not in threads
    await session.add_message("user", "small")
    await session.set("key", "small")
    assert threads[6:] == [threading.get_ident()] * 2
