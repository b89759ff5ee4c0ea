"""Time to live: the whole session, on the store's clock, from its last write."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from openstackai_sessions_core import SessionEvent, ValidationError
from openstackai_sessions_core.backend import AsyncBaseStore
from places import Place


async def test_before_the_deadline_all_is_there_and_after_it_nothing(async_store: AsyncBaseStore, place: Place) -> None:
    session = async_store.session("s", ttl=2)
    await session.add_message("user", "a")
    await session.set("key", 1)
    place.elapse(1)
    assert await session.count() == 1
    assert await session.metadata() == {"key": 1}
    place.elapse(1.5)
    assert await session.get_messages() == []
    assert await session.pop_message() is None
    assert await session.metadata() == {}
    assert await session.get("key", "gone") == "gone"
    assert (await session.export())["messages"] == []
    assert await async_store.list_sessions() == []
    assert [m async for m in session.iter_messages()] == []


async def test_every_write_refreshes_and_reads_do_not(async_store: AsyncBaseStore, place: Place) -> None:
    session = async_store.session("s", ttl=2)
    await session.add_messages([{"n": index} for index in range(3)])
    document = await session.export()
    writes: list[Callable[[], Awaitable[object]]] = [
        lambda: session.add_message("user", "x"),
        lambda: session.set("k", 1),
        lambda: session.update({"k": 2}),
        lambda: session.remove("k"),
        session.pop_message,
        session.clear,
        lambda: session.import_data(document),
    ]
    for write in writes:
        place.elapse(1.2)
        await write()
        place.elapse(1.2)
        assert [info.id for info in await async_store.list_sessions()] == ["s"]
        await session.set("again", 1)
    for _ in range(2):
        place.elapse(1.2)
        await session.get_messages()
        await session.metadata()
        await session.export()
    assert await async_store.list_sessions() == []


async def test_what_does_nothing_does_not_refresh(async_store: AsyncBaseStore, place: Place) -> None:
    session = async_store.session("s", ttl=2)
    await session.set("k", 1)
    place.elapse(1.2)
    await session.pop_message()
    await session.clear()
    await session.remove("missing")
    await session.add_messages([])
    await session.update({})
    place.elapse(1.2)
    assert await async_store.list_sessions() == []


async def test_the_ttl_is_stored_with_the_session(async_store: AsyncBaseStore, place: Place) -> None:
    await async_store.session("s", ttl=2).add_message("user", "a")
    plain = async_store.session("s")
    place.elapse(1.2)
    await plain.add_message("user", "b")
    place.elapse(1.2)
    assert await plain.count() == 2
    await plain.clear()
    place.elapse(1.2)
    assert [info.id for info in await async_store.list_sessions()] == ["s"]
    await async_store.session("s", ttl=100).add_message("user", "c")
    place.elapse(3)
    assert await plain.count() == 1


async def test_a_write_after_expiry_starts_clean(async_store: AsyncBaseStore, place: Place) -> None:
    session = async_store.session("s", ttl=1)
    await session.add_messages([{"old": 1}, {"old": 2}], ids=["m", None])
    await session.set("old", 1)
    place.elapse(1.5)
    seen: list[object] = []
    session.on(SessionEvent.MESSAGE_ADDED, seen.append)
    fresh = async_store.session("s")
    message = await fresh.add_message("user", "new", id="m")
    assert message.position >= 1
    assert await fresh.get_messages() == [message]
    assert await fresh.metadata() == {}
    place.elapse(1.5)
    assert await fresh.count() == 1, "the old life's ttl went with it"


async def test_expired_sessions_are_purged(async_store: AsyncBaseStore, place: Place) -> None:
    for index in range(5):
        await async_store.session(f"short {index}", ttl=1).add_message("user", "x")
        await async_store.session(f"long {index}", ttl=1000).add_message("user", "x")
    assert await async_store.purge_expired() == 0
    place.elapse(1.5)
    assert await async_store.purge_expired() <= 5
    assert await async_store.purge_expired() == 0
    assert [info.id for info in await async_store.list_sessions()] == [f"long {index}" for index in range(5)]


@pytest.mark.parametrize("ttl", [0, -1, 0.0005, math.nan, math.inf, True, "60", 4e9, b"1"])
async def test_bad_ttls_are_refused(async_store: AsyncBaseStore, ttl: Any) -> None:
    with pytest.raises(ValidationError, match="ttl"):
        async_store.session("s", ttl=ttl)


@pytest.mark.parametrize("ttl", [0.001, 1, 86400, 0.5, 3155760000])
async def test_good_ttls_are_taken(async_store: AsyncBaseStore, ttl: float) -> None:
    await async_store.session("s", ttl=ttl).add_message("user", "x")
