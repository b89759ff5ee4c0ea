"""Exactly once: a write repeated under its op_id lands once and returns its first result."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from openstackai_sessions_core import (
    AsyncSession,
    ConflictError,
    LimitExceededError,
    Message,
    SessionEvent,
    ValidationError,
)
from openstackai_sessions_core.backend import AsyncBaseStore
from places import Place

DOCUMENT = {
    "format": "openstackai-session",
    "version": 1,
    "session_id": "x",
    "created_at": None,
    "messages": [{"id": "i", "created_at": "2026-01-01T00:00:00Z", "data": {"imported": 1}}],
    "metadata": {"imported": 1},
}
WRITES: dict[str, Callable[[AsyncSession, str], Awaitable[Any]]] = {
    "add_message": lambda session, op: session.add_message("user", "x", op_id=op),
    "add_messages": lambda session, op: session.add_messages([{"n": 1}, {"n": 2}], op_id=op),
    "add_messages of nothing": lambda session, op: session.add_messages([], op_id=op),
    "pop_message": lambda session, op: session.pop_message(op_id=op),
    "clear": lambda session, op: session.clear(op_id=op),
    "set": lambda session, op: session.set("k", 1, op_id=op),
    "update": lambda session, op: session.update({"k": 1, "l": 2}, op_id=op),
    "remove": lambda session, op: session.remove("k", op_id=op),
    "import_data": lambda session, op: session.import_data(DOCUMENT, op_id=op),
    "import_data append": lambda session, op: session.import_data(DOCUMENT, mode="append", op_id=op),
    "delete": lambda session, op: session.delete(op_id=op),
}


async def fill(session: AsyncSession) -> None:
    await session.add_messages([{"old": 1}, {"old": 2}, {"old": 3}])
    await session.update({"k": "old", "m": "old"})


@pytest.mark.parametrize("kind", WRITES)
@pytest.mark.parametrize("filled", [True, False])
async def test_a_repeat_returns_the_first_result_and_writes_nothing(
    async_store: AsyncBaseStore, kind: str, *, filled: bool
) -> None:
    session = async_store.session("s")
    if filled:
        await fill(session)
    first = await WRITES[kind](session, "op")
    await session.add_message("user", "between")
    await session.set("between", 1)
    state = await session.export()
    for handle in (session, async_store.session("s")):
        seen: list[object] = []
        for event in SessionEvent:
            handle.on(event, lambda *arguments, seen=seen: seen.append(arguments))
        again = await WRITES[kind](handle, "op")
        assert again == first
        assert _envelopes(again) == _envelopes(first)
        assert await session.export() == state
        assert seen == []


def _envelopes(result: object) -> list[object]:
    messages = result if isinstance(result, list) else [result] if isinstance(result, Message) else []
    return [(message.id, message.position, message.created_at) for message in messages]


@pytest.mark.parametrize("first", WRITES)
async def test_an_op_id_is_good_for_one_write(async_store: AsyncBaseStore, first: str) -> None:
    session = async_store.session("s")
    await fill(session)
    await WRITES[first](session, "op")
    state = await session.export()
    for kind, write in WRITES.items():
        if kind != first:
            with pytest.raises(ConflictError, match="op"):
                await write(session, "op")
    with pytest.raises(ConflictError):
        await session.add_message("user", "another payload", op_id="op")
    with pytest.raises(ConflictError):
        await session.add_message("user", "x", id="m", op_id="op")
    assert await session.export() == state


async def test_op_ids_belong_to_their_session(async_store: AsyncBaseStore) -> None:
    for id in ("s", "t"):
        await async_store.session(id).add_message("user", id, op_id="op")
    assert await async_store.session("s").get_messages() == [{"role": "user", "content": "s"}]
    assert await async_store.session("t").get_messages() == [{"role": "user", "content": "t"}]


@pytest.mark.parametrize("end", ["clear", "delete", "pop_message", "expiry"])
async def test_a_repeat_never_brings_back_what_was_removed(async_store: AsyncBaseStore, place: Place, end: str) -> None:
    session = async_store.session("s", ttl=1)
    first = await session.add_message("user", "once", op_id="op")
    if end == "expiry":
        place.elapse(1.5)
    else:
        await getattr(session, end)()
    again = await session.add_message("user", "once", op_id="op")
    assert (again, again.id, again.position) == (first, first.id, first.position)
    assert await session.count() == 0
    assert await session.get_messages() == []


async def test_a_repeated_pop_returns_the_same_message(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    await session.add_messages([{"n": index} for index in range(3)])
    first = await session.pop_message(op_id="pop")
    again = await session.pop_message(op_id="pop")
    assert first == again == {"n": 2}
    assert first is not None
    assert again is not None
    assert (first.id, first.position, first.created_at) == (again.id, again.position, again.created_at)
    assert await session.count() == 2
    assert await session.pop_message() == {"n": 1}


async def test_operations_are_forgotten_in_time(place: Place) -> None:
    if place.real_time:
        pytest.skip("half a minute would really pass")
    store = place.open_async(op_id_ttl=30, retry_timeout=1)
    session = store.session("s")
    await session.add_message("user", "x", op_id="op")
    place.elapse(29)
    await session.add_message("user", "x", op_id="op")
    assert await session.count() == 1
    place.elapse(2)
    await session.add_message("user", "x", op_id="op")
    assert await session.count() == 2
    await store.close()


async def test_bad_op_ids_are_refused(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    for write in WRITES.values():
        bad: Any
        for bad in ("", 5, b"x", "a\x00", "\ud800"):
            with pytest.raises(ValidationError, match="op_id"):
                await write(session, bad)
        with pytest.raises(LimitExceededError, match="op_id"):
            await write(session, "x" * 201)
    assert await async_store.list_sessions() == []
