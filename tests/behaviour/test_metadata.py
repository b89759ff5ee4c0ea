# Written by tools/twins.py from test_async_metadata.py: edit that file, then run `make twins`.
"""Metadata: values under keys, set in one step, removed by name."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from behaviour.seam import together
from openstackai_sessions_core import LimitExceededError, Limits, ValidationError
from openstackai_sessions_core.backend import BaseStore
from places import Place

KEYS = ["a.b", "$set", "it's", '"', "a:b", "x[0]", "é", "e\u0301", "A", "a", "%", "*", "{x}", " ", "日本", "key" * 100]


def test_missing_and_none_differ(store: BaseStore) -> None:
    session = store.session("s")
    assert session.get("key") is None
    assert session.get("key", "default") == "default"
    session.set("key", None)
    assert session.get("key", "default") is None
    assert session.metadata() == {"key": None}


def test_set_overwrites_and_remove_is_idempotent(store: BaseStore) -> None:
    session = store.session("s")
    session.set("key", 1)
    session.set("key", {"theme": "dark"})
    assert session.get("key") == {"theme": "dark"}
    session.remove("key")
    session.remove("key")
    assert session.metadata() == {}
    assert [info.message_count for info in store.list_sessions()] == [0]


def test_keys_are_literal(store: BaseStore) -> None:
    session = store.session("s")
    for index, key in enumerate(KEYS):
        session.set(key, index)
    assert session.metadata() == {key: index for index, key in enumerate(KEYS)}
    assert list(session.metadata()) == sorted(KEYS)
    for index, key in enumerate(KEYS):
        assert session.get(key) == index
        session.remove(key)
        assert session.get(key) is None
        assert len(session.metadata()) == len(KEYS) - index - 1


def test_a_key_that_cannot_be_hashed_is_refused_like_any_other(store: BaseStore) -> None:
    session = store.session("s")
    unhashable: Any = ["key"]
    for call in (
        partial(session.set, unhashable, 1),
        partial(session.get, unhashable),
        partial(session.remove, unhashable),
    ):
        with pytest.raises(ValidationError, match="key"):
            call()


@pytest.mark.parametrize("key", ["", 5, None, "a\x00b", "a\nb", "\x9f", "\ud800", "é" * 257, b"key"])
def test_bad_keys_are_refused(store: BaseStore, key: Any) -> None:
    session = store.session("s")
    for call in (
        partial(session.set, key, 1),
        partial(session.get, key),
        partial(session.remove, key),
        partial(session.update, {"fine": 1, key: 2}),
    ):
        with pytest.raises(ValidationError, match="key"):
            call()
    assert store.list_sessions() == []


def test_update_is_one_step_and_removes_nothing(store: BaseStore) -> None:
    session = store.session("s")
    session.update({"a": 1, "b": 2})
    session.update({"b": None, "c": 3})
    session.update({})
    assert session.metadata() == {"a": 1, "b": None, "c": 3}


@pytest.mark.parametrize("mapping", [None, 5, "ab", [("a", 1)]])
def test_update_takes_a_mapping(store: BaseStore, mapping: Any) -> None:
    with pytest.raises(ValidationError):
        store.session("s").update(mapping)


def test_distinct_keys_set_at_once_all_survive(store: BaseStore) -> None:
    handles = [store.session("s") for _ in range(16)]
    together([partial(handle.set, f"key {index}", index) for index, handle in enumerate(handles)])
    assert handles[0].metadata() == {f"key {index}": index for index in range(16)}


def test_metadata_limits_are_exact(place: Place) -> None:
    store = place.open(limits=Limits(metadata_value_bytes=12, metadata_bytes=30))
    session = store.session("s")
    session.set("a", "x" * 10)
    with pytest.raises(LimitExceededError, match="metadata_value_bytes"):
        session.set("a", "x" * 11)
    session.set("b", "x" * 10)  # 2 keys of 1 byte, 2 values of 12: 26
    session.set("a", "y" * 10)
    with pytest.raises(LimitExceededError, match="metadata_bytes"):
        session.set("c", "1234")
    session.set("c", "1")
    with pytest.raises(LimitExceededError, match="metadata_bytes"):
        session.set("d", 1)
    session.remove("a")
    session.set("d", 1)
    assert session.metadata() == {"b": "x" * 10, "c": "1", "d": 1}
    store.close()
