# Written by tools/twins.py from test_async_expiry.py: edit that file, then run `make twins`.
"""Time to live: the whole session, on the store's clock, from its last write."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from openstackai_sessions_core import Session, SessionEvent, ValidationError
from openstackai_sessions_core.backend import BaseStore
from places import Place

# In seconds. A machine that is busy may be late; then what was found shows nothing, and is looked for once more.
TTL = 2
ATTEMPTS = 10


def test_before_the_deadline_all_is_there_and_after_it_nothing(store: BaseStore, place: Place) -> None:
    attempt = 0
    while True:
        attempt += 1
        session = store.session(f"s {attempt}", ttl=TTL)
        began = place.now()
        session.add_message("user", "a")
        session.set("key", 1)
        place.elapse(1)
        found = (session.count(), session.metadata())
        if place.now() - began < TTL or attempt == ATTEMPTS:
            break
    assert found == (1, {"key": 1})
    place.elapse(TTL)
    assert session.get_messages() == []
    assert session.pop_message() is None
    assert session.metadata() == {}
    assert session.get("key", "gone") == "gone"
    assert (session.export())["messages"] == []
    assert store.list_sessions() == []
    assert [m for m in session.iter_messages()] == []


WRITES: dict[str, Callable[[Session], object]] = {
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


def test_every_write_refreshes(store: BaseStore, place: Place) -> None:
    for name, write in WRITES.items():
        attempt = 0
        while True:
            attempt += 1
            session = store.session(f"{name} {attempt}", ttl=TTL)
            began = place.now()
            session.add_messages([{"n": index} for index in range(3)])
            session.set("k", 0)
            place.elapse(1.2)
            written = place.now()
            write(session)
            in_time = place.now() - began < TTL
            place.elapse(1.2)
            found = [info.id for info in store.list_sessions(prefix=name)]
            if (in_time and place.now() - written < TTL) or attempt == ATTEMPTS:
                break
        assert session.session_id in found, name


def test_reads_do_not_refresh(store: BaseStore, place: Place) -> None:
    session = store.session("s", ttl=TTL)
    session.add_message("user", "a")
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
    attempt = 0
    while True:
        attempt += 1
        name = f"s {attempt}"
        plain = store.session(name)
        first = place.now()
        store.session(name, ttl=TTL).add_message("user", "a")
        place.elapse(1.2)
        second = place.now()
        plain.add_message("user", "b")
        in_time = place.now() - first < TTL
        place.elapse(1.2)
        count = plain.count()
        third = place.now()
        plain.clear()
        in_time = in_time and place.now() - second < TTL
        place.elapse(1.2)
        found = [info.id for info in store.list_sessions(prefix=name)]
        store.session(name, ttl=100).add_message("user", "c")
        if (in_time and place.now() - third < TTL) or attempt == ATTEMPTS:
            break
    assert (count, found) == (2, [name])
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
    attempt = 0
    while True:
        attempt += 1
        began = place.now()
        for index in range(5):
            store.session(f"short {index}", ttl=TTL).add_message("user", "x")
            store.session(f"long {index}", ttl=1000).add_message("user", "x")
        purged = store.purge_expired()
        if place.now() - began < TTL or attempt == ATTEMPTS:
            break
    assert purged == 0
    place.elapse(TTL + 0.5)
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
