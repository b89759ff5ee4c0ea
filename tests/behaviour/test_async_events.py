"""Events: once for each write of the handle, after it is durable, in order."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from openstackai_sessions_core import AsyncSession, Message, SessionEvent, ValidationError
from openstackai_sessions_core.backend import AsyncBaseStore


def record_all(session: AsyncSession) -> list[tuple[Any, ...]]:
    seen: list[tuple[Any, ...]] = []
    for event in SessionEvent:
        session.on(event, lambda *arguments, event=event: seen.append((event, *arguments)))
    return seen


async def test_every_write_fires_its_event_once(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    seen = record_all(session)
    a = await session.add_message("user", "a")
    b, c = await session.add_messages([{"n": 1}, {"n": 2}])
    popped = await session.pop_message()
    await session.set("k", {"v": 1})
    await session.update({"x": 1, "y": None})
    await session.remove("x")
    document = await session.export()
    await session.clear()
    await session.import_data(document)
    await session.delete()
    assert seen == [
        (SessionEvent.MESSAGE_ADDED, a),
        (SessionEvent.MESSAGE_ADDED, b),
        (SessionEvent.MESSAGE_ADDED, c),
        (SessionEvent.MESSAGE_REMOVED, popped),
        (SessionEvent.METADATA_CHANGED, "k", {"v": 1}),
        (SessionEvent.METADATA_CHANGED, "x", 1),
        (SessionEvent.METADATA_CHANGED, "y", None),
        (SessionEvent.METADATA_REMOVED, "x"),
        (SessionEvent.SESSION_CLEARED,),
        (SessionEvent.SESSION_IMPORTED,),
        (SessionEvent.SESSION_DELETED,),
    ]
    assert [(m.id, m.position) for _, m in seen[:3]] == [(m.id, m.position) for m in (a, b, c)]


async def test_each_handler_has_a_copy_of_its_own(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    seen: list[object] = []
    for event in (SessionEvent.MESSAGE_ADDED, SessionEvent.MESSAGE_REMOVED):
        session.on(event, lambda message: message["content"].append("scrubbed"))
        session.on(event, seen.append)
    session.on(SessionEvent.METADATA_CHANGED, lambda _, value: value.append(9))
    session.on(SessionEvent.METADATA_CHANGED, lambda _, value: seen.append(value))
    added = await session.add_message("user", ["a"])
    await session.set("k", [1])
    popped = await session.pop_message()
    assert seen == [{"role": "user", "content": ["a"]}, [1], {"role": "user", "content": ["a"]}]
    assert [message.position for message in (seen[0], seen[2]) if isinstance(message, Message)] == [1, 1]
    assert added == popped == seen[0]


async def test_no_event_for_what_did_nothing(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    seen = record_all(session)
    await session.pop_message()
    await session.clear()
    await session.delete()
    await session.remove("missing")
    await session.update({})
    await session.add_messages([])
    await session.import_data(await session.export())
    await session.import_data(await session.export(), mode="append")
    assert seen == []


async def test_no_event_for_what_failed(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    seen = record_all(session)
    with pytest.raises(ValidationError):
        await session.add_message("user", (1, 2))
    with pytest.raises(ValidationError):
        await session.import_data("{}")
    assert seen == []


async def test_a_message_already_in_the_log_fires_nothing(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    await session.add_message("user", "a", id="m")
    seen = record_all(session)
    await session.add_message("user", "a", id="m")
    await session.add_messages([{"role": "user", "content": "a"}, {"n": 1}], ids=["m", None])
    assert seen == [(SessionEvent.MESSAGE_ADDED, {"n": 1})]


async def test_handlers_see_the_write(async_store: AsyncBaseStore) -> None:
    session, other = async_store.session("s"), async_store.session("s")
    counts: list[int] = []

    async def look(_: object) -> None:
        counts.append(await other.count())

    def subscribe() -> None:
        session.on(SessionEvent.MESSAGE_ADDED, look)

    subscribe()
    await session.add_message("user", "a")
    await session.add_messages([{}, {}])
    assert counts == [1, 3, 3]


async def test_a_handle_never_reports_anothers_writes(async_store: AsyncBaseStore) -> None:
    one, two = async_store.session("s"), async_store.session("s")
    seen = record_all(one)
    await two.add_message("user", "a")
    await two.clear()
    assert seen == []


async def test_a_raising_handler_is_logged_and_harms_nothing(
    async_store: AsyncBaseStore, caplog: pytest.LogCaptureFixture
) -> None:
    session = async_store.session("s")

    def fail(_: object) -> None:
        raise RuntimeError("handler fault")

    seen: list[object] = []
    session.on(SessionEvent.MESSAGE_ADDED, fail)
    session.on(SessionEvent.MESSAGE_ADDED, seen.append)
    with caplog.at_level(logging.ERROR, logger="openstackai_sessions"):
        message = await session.add_message("user", "secret content")
    assert seen == [message]
    assert await session.count() == 1
    (logged,) = caplog.records
    assert "MESSAGE_ADDED" in logged.getMessage()
    assert logged.exc_info is not None
    assert "secret content" not in caplog.text


async def test_writes_inside_a_handler_queue_their_events(async_store: AsyncBaseStore) -> None:
    session, other = async_store.session("s"), async_store.session("t")
    order: list[object] = []

    async def reply(message: Message) -> None:
        order.append(("first", message.content))
        if message.content == "a":
            await session.add_message("assistant", "b")
            await other.set("key", 1)
            order.append("written")

    session.on(SessionEvent.MESSAGE_ADDED, reply)
    session.on(SessionEvent.MESSAGE_ADDED, lambda message: order.append(("second", message.content)))
    other.on(SessionEvent.METADATA_CHANGED, lambda key, _: order.append(("other", key)))
    await session.add_message("user", "a")
    assert order == [("first", "a"), "written", ("second", "a"), ("first", "b"), ("second", "b"), ("other", "key")]


async def test_unsubscribing_works_also_during_dispatch(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    seen: list[str] = []
    stop: list[Callable[[], None]] = []

    def first(_: object) -> None:
        seen.append("first")
        stop[0]()

    def second(_: object) -> None:
        seen.append("second")

    session.on(SessionEvent.MESSAGE_ADDED, first)
    stop.append(session.on(SessionEvent.MESSAGE_ADDED, second))
    await session.add_message("user", "a")
    assert seen == ["first"]
    stop[0]()
    session.off(SessionEvent.MESSAGE_ADDED, first)
    session.off(SessionEvent.MESSAGE_ADDED, first)
    await session.add_message("user", "b")
    assert seen == ["first"]


async def test_on_is_a_decorator_too(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    seen: list[object] = []

    @session.on(SessionEvent.SESSION_CLEARED)
    def cleared() -> None:
        seen.append("cleared")

    await session.add_message("user", "a")
    await session.clear()
    assert seen == ["cleared"]
    cleared()
    session.off(SessionEvent.SESSION_CLEARED, cleared)
    assert seen == ["cleared", "cleared"]


async def test_bad_subscriptions_are_refused(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    wrong: Any
    for wrong in ("message_added", None):
        with pytest.raises(ValidationError, match="SessionEvent"):
            session.on(wrong, print)
        with pytest.raises(ValidationError, match="SessionEvent"):
            session.off(wrong, print)
    wrong = 5
    with pytest.raises(ValidationError, match="callable"):
        session.on(SessionEvent.MESSAGE_ADDED, wrong)


async def test_handlers_get_their_own_copy(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    session.on(SessionEvent.MESSAGE_ADDED, lambda message: message.clear())
    message = await session.add_message("user", "a")
    assert message == {"role": "user", "content": "a"}
    assert await session.get_messages() == [message]


async def test_closing_drops_the_handlers(async_store: AsyncBaseStore) -> None:
    import gc
    import weakref

    class Listener:
        def hear(self, _: object) -> None:
            """Be called."""

    session, listener = async_store.session("s"), Listener()
    session.on(SessionEvent.MESSAGE_ADDED, listener.hear)
    gone = weakref.ref(listener)
    await session.close()
    del listener
    gc.collect()
    assert gone() is None
