"""Metadata: values under keys, set in one step, removed by name."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from behaviour.async_seam import together
from openstackai_sessions_core import LimitExceededError, Limits, ValidationError
from openstackai_sessions_core.backend import AsyncBaseStore
from places import Place

KEYS = ["a.b", "$set", "it's", '"', "a:b", "x[0]", "é", "e\u0301", "A", "a", "%", "*", "{x}", " ", "日本", "key" * 100]


async def test_missing_and_none_differ(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    assert await session.get("key") is None
    assert await session.get("key", "default") == "default"
    await session.set("key", None)
    assert await session.get("key", "default") is None
    assert await session.metadata() == {"key": None}


async def test_set_overwrites_and_remove_is_idempotent(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    await session.set("key", 1)
    await session.set("key", {"theme": "dark"})
    assert await session.get("key") == {"theme": "dark"}
    await session.remove("key")
    await session.remove("key")
    assert await session.metadata() == {}
    assert [info.message_count for info in await async_store.list_sessions()] == [0]


async def test_keys_are_literal(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    for index, key in enumerate(KEYS):
        await session.set(key, index)
    assert await session.metadata() == {key: index for index, key in enumerate(KEYS)}
    assert list(await session.metadata()) == sorted(KEYS)
    for index, key in enumerate(KEYS):
        assert await session.get(key) == index
        await session.remove(key)
        assert await session.get(key) is None
        assert len(await session.metadata()) == len(KEYS) - index - 1


async def test_a_key_that_cannot_be_hashed_is_refused_like_any_other(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    unhashable: Any = ["key"]
    for call in (
        partial(session.set, unhashable, 1),
        partial(session.get, unhashable),
        partial(session.remove, unhashable),
    ):
        with pytest.raises(ValidationError, match="key"):
            await call()


@pytest.mark.parametrize("key", ["", 5, None, "a\x00b", "a\nb", "\x9f", "\ud800", "é" * 257, b"key"])
async def test_bad_keys_are_refused(async_store: AsyncBaseStore, key: Any) -> None:
    session = async_store.session("s")
    for call in (
        partial(session.set, key, 1),
        partial(session.get, key),
        partial(session.remove, key),
        partial(session.update, {"fine": 1, key: 2}),
    ):
        with pytest.raises(ValidationError, match="key"):
            await call()
    assert await async_store.list_sessions() == []


async def test_update_is_one_step_and_removes_nothing(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    await session.update({"a": 1, "b": 2})
    await session.update({"b": None, "c": 3})
    await session.update({})
    assert await session.metadata() == {"a": 1, "b": None, "c": 3}


@pytest.mark.parametrize("mapping", [None, 5, "ab", [("a", 1)]])
async def test_update_takes_a_mapping(async_store: AsyncBaseStore, mapping: Any) -> None:
    with pytest.raises(ValidationError):
        await async_store.session("s").update(mapping)


async def test_distinct_keys_set_at_once_all_survive(async_store: AsyncBaseStore) -> None:
    handles = [async_store.session("s") for _ in range(16)]
    await together([partial(handle.set, f"key {index}", index) for index, handle in enumerate(handles)])
    assert await handles[0].metadata() == {f"key {index}": index for index in range(16)}


async def test_metadata_limits_are_exact(place: Place) -> None:
    store = place.open_async(limits=Limits(metadata_value_bytes=12, metadata_bytes=30))
    session = store.session("s")
    await session.set("a", "x" * 10)
    with pytest.raises(LimitExceededError, match="metadata_value_bytes"):
        await session.set("a", "x" * 11)
    await session.set("b", "x" * 10)  # 2 keys of 1 byte, 2 values of 12: 26
    await session.set("a", "y" * 10)
    with pytest.raises(LimitExceededError, match="metadata_bytes"):
        await session.set("c", "1234")
    await session.set("c", "1")
    with pytest.raises(LimitExceededError, match="metadata_bytes"):
        await session.set("d", 1)
    await session.remove("a")
    await session.set("d", 1)
    assert await session.metadata() == {"b": "x" * 10, "c": "1", "d": 1}
    await store.close()
