# Written by tools/twins.py from test_async_expiry.py: edit that file, then run `make twins`.
"""Time to live: the whole session, on the store's clock, from its last write."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from openstackai_sessions_core import SessionEvent, ValidationError
from openstackai_sessions_core.backend import BaseStore
from places import Place


def test_before_the_deadline_all_is_there_and_after_it_nothing(store: BaseStore, place: Place) -> None:
    session = store.session("s", ttl=2)
    session.add_message("user", "a")
    session.set("key", 1)
    place.elapse(1)
    assert session.count() == 1
    assert session.metadata() == {"key": 1}
    place.elapse(1.5)
    assert session.get_messages() == []
    assert session.pop_message() is None
    assert session.metadata() == {}
    assert session.get("key", "gone") == "gone"
    assert (session.export())["messages"] == []
    assert store.list_sessions() == []
    assert [m for m in session.iter_messages()] == []


def test_every_write_refreshes_and_reads_do_not(store: BaseStore, place: Place) -> None:
    session = store.session("s", ttl=2)
    session.add_messages([{"n": index} for index in range(3)])
    document = session.export()
    writes: list[Callable[[], object]] = [
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
        write()
        place.elapse(1.2)
        assert [info.id for info in store.list_sessions()] == ["s"]
        session.set("again", 1)
    for _ in range(2):
        place.elapse(1.2)
        session.get_messages()
        session.metadata()
        session.export()
    assert store.list_sessions() == []


def test_what_does_nothing_does_not_refresh(store: BaseStore, place: Place) -> None:
    session = store.session("s", ttl=2)
    session.set("k", 1)
    place.elapse(1.2)
    session.pop_message()
    session.clear()
    session.remove("missing")
    session.add_messages([])
    session.update({})
    place.elapse(1.2)
    assert store.list_sessions() == []


def test_the_ttl_is_stored_with_the_session(store: BaseStore, place: Place) -> None:
    store.session("s", ttl=2).add_message("user", "a")
    plain = store.session("s")
    place.elapse(1.2)
    plain.add_message("user", "b")
    place.elapse(1.2)
    assert plain.count() == 2
    plain.clear()
    place.elapse(1.2)
    assert [info.id for info in store.list_sessions()] == ["s"]
    store.session("s", ttl=100).add_message("user", "c")
    place.elapse(3)
    assert plain.count() == 1


def test_a_write_after_expiry_starts_clean(store: BaseStore, place: Place) -> None:
    session = store.session("s", ttl=1)
    session.add_messages([{"old": 1}, {"old": 2}], ids=["m", None])
    session.set("old", 1)
    place.elapse(1.5)
    seen: list[object] = []
    session.on(SessionEvent.MESSAGE_ADDED, seen.append)
    fresh = store.session("s")
    message = fresh.add_message("user", "new", id="m")
    assert message.position >= 1
    assert fresh.get_messages() == [message]
    assert fresh.metadata() == {}
    place.elapse(1.5)
    assert fresh.count() == 1, "the old life's ttl went with it"


def test_expired_sessions_are_purged(store: BaseStore, place: Place) -> None:
    for index in range(5):
        store.session(f"short {index}", ttl=1).add_message("user", "x")
        store.session(f"long {index}", ttl=1000).add_message("user", "x")
    assert store.purge_expired() == 0
    place.elapse(1.5)
    assert store.purge_expired() <= 5
    assert store.purge_expired() == 0
    assert [info.id for info in store.list_sessions()] == [f"long {index}" for index in range(5)]


@pytest.mark.parametrize("ttl", [0, -1, 0.0005, math.nan, math.inf, True, "60", 4e9, b"1"])
def test_bad_ttls_are_refused(store: BaseStore, ttl: Any) -> None:
    with pytest.raises(ValidationError, match="ttl"):
        store.session("s", ttl=ttl)


@pytest.mark.parametrize("ttl", [0.001, 1, 86400, 0.5, 3155760000])
def test_good_ttls_are_taken(store: BaseStore, ttl: float) -> None:
    store.session("s", ttl=ttl).add_message("user", "x")
