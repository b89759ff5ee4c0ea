"""Time to live: the whole session, on the store's clock, from its last write."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from openstackai_sessions_core import AsyncSession, SessionEvent, ValidationError
from openstackai_sessions_core.backend import AsyncBaseStore
from places import Place

# In seconds. A machine that is busy may be late; then what was found shows nothing, and is looked for once more.
TTL = 2
ATTEMPTS = 10


async def test_before_the_deadline_all_is_there_and_after_it_nothing(async_store: AsyncBaseStore, place: Place) -> None:
    attempt = 0
    while True:
        attempt += 1
        session = async_store.session(f"s {attempt}", ttl=TTL)
        began = place.now()
        await session.add_message("user", "a")
        await session.set("key", 1)
        place.elapse(1)
        found = (await session.count(), await session.metadata())
        if place.now() - began < TTL or attempt == ATTEMPTS:
            break
    assert found == (1, {"key": 1})
    place.elapse(TTL)
    assert await session.get_messages() == []
    assert await session.pop_message() is None
    assert await session.metadata() == {}
    assert await session.get("key", "gone") == "gone"
    assert (await session.export())["messages"] == []
    assert await async_store.list_sessions() == []
    assert [m async for m in session.iter_messages()] == []


WRITES: dict[str, Callable[[AsyncSession], Awaitable[object]]] = {
    "add_message": lambda session: session.add_message("user", "x"),
    "set": lambda session: session.set("k", 1),
    "update": lambda session: session.update({"k": 2}),
    "remove": lambda session: session.remove("k"),
    "pop_message": lambda session: session.pop_message(),
    "clear": lambda session: session.clear(),
    "import_data": lambda session: session.import_data(DOCUMENT),
}
DOCUMENT: dict[str, object] = {
    "format": "openstackai-session",
    "version": 1,
    "session_id": "another",
    "created_at": None,
    "messages": [],
    "metadata": {"k": 3},
}


async def test_every_write_refreshes(async_store: AsyncBaseStore, place: Place) -> None:
    for name, write in WRITES.items():
        attempt = 0
        while True:
            attempt += 1
            session = async_store.session(f"{name} {attempt}", ttl=TTL)
            began = place.now()
            await session.add_messages([{"n": index} for index in range(3)])
            await session.set("k", 0)
            place.elapse(1.2)
            written = place.now()
            await write(session)
            in_time = place.now() - began < TTL
            place.elapse(1.2)
            found = [info.id for info in await async_store.list_sessions(prefix=name)]
            if (in_time and place.now() - written < TTL) or attempt == ATTEMPTS:
                break
        assert session.session_id in found, name


async def test_reads_do_not_refresh(async_store: AsyncBaseStore, place: Place) -> None:
    session = async_store.session("s", ttl=TTL)
    await session.add_message("user", "a")
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
    attempt = 0
    while True:
        attempt += 1
        name = f"s {attempt}"
        plain = async_store.session(name)
        first = place.now()
        await async_store.session(name, ttl=TTL).add_message("user", "a")
        place.elapse(1.2)
        second = place.now()
        await plain.add_message("user", "b")
        in_time = place.now() - first < TTL
        place.elapse(1.2)
        count = await plain.count()
        third = place.now()
        await plain.clear()
        in_time = in_time and place.now() - second < TTL
        place.elapse(1.2)
        found = [info.id for info in await async_store.list_sessions(prefix=name)]
        await async_store.session(name, ttl=100).add_message("user", "c")
        if (in_time and place.now() - third < TTL) or attempt == ATTEMPTS:
            break
    assert (count, found) == (2, [name])
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
    attempt = 0
    while True:
        attempt += 1
        began = place.now()
        for index in range(5):
            await async_store.session(f"short {index}", ttl=TTL).add_message("user", "x")
            await async_store.session(f"long {index}", ttl=1000).add_message("user", "x")
        purged = await async_store.purge_expired()
        if place.now() - began < TTL or attempt == ATTEMPTS:
            break
    assert purged == 0
    place.elapse(TTL + 0.5)
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
