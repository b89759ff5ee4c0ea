# Written by tools/twins.py from test_async_operations.py: edit that file, then run `make twins`.
"""Exactly once: a write repeated under its op_id lands once and returns its first result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from openstackai_sessions_core import (
    ConflictError,
    LimitExceededError,
    Message,
    Session,
    SessionEvent,
    ValidationError,
)
from openstackai_sessions_core.backend import BaseStore
from places import Place

DOCUMENT = {
    "format": "openstackai-session",
    "version": 1,
    "session_id": "x",
    "created_at": None,
    "messages": [{"id": "i", "created_at": "2026-01-01T00:00:00Z", "data": {"imported": 1}}],
    "metadata": {"imported": 1},
}
WRITES: dict[str, Callable[[Session, str], Any]] = {
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


def fill(session: Session) -> None:
    session.add_messages([{"old": 1}, {"old": 2}, {"old": 3}])
    session.update({"k": "old", "m": "old"})


@pytest.mark.parametrize("kind", WRITES)
@pytest.mark.parametrize("filled", [True, False])
def test_a_repeat_returns_the_first_result_and_writes_nothing(store: BaseStore, kind: str, *, filled: bool) -> None:
    session = store.session("s")
    if filled:
        fill(session)
    first = WRITES[kind](session, "op")
    session.add_message("user", "between")
    session.set("between", 1)
    state = session.export()
    for handle in (session, store.session("s")):
        seen: list[object] = []
        for event in SessionEvent:
            handle.on(event, lambda *arguments, seen=seen: seen.append(arguments))
        again = WRITES[kind](handle, "op")
        assert again == first
        assert _envelopes(again) == _envelopes(first)
        assert session.export() == state
        assert seen == []


def _envelopes(result: object) -> list[object]:
    messages = result if isinstance(result, list) else [result] if isinstance(result, Message) else []
    return [(message.id, message.position, message.created_at) for message in messages]


@pytest.mark.parametrize("first", WRITES)
def test_an_op_id_is_good_for_one_write(store: BaseStore, first: str) -> None:
    session = store.session("s")
    fill(session)
    WRITES[first](session, "op")
    state = session.export()
    for kind, write in WRITES.items():
        if kind != first:
            with pytest.raises(ConflictError, match="op"):
                write(session, "op")
    with pytest.raises(ConflictError):
        session.add_message("user", "another payload", op_id="op")
    with pytest.raises(ConflictError):
        session.add_message("user", "x", id="m", op_id="op")
    assert session.export() == state


def test_op_ids_belong_to_their_session(store: BaseStore) -> None:
    for id in ("s", "t"):
        store.session(id).add_message("user", id, op_id="op")
    assert store.session("s").get_messages() == [{"role": "user", "content": "s"}]
    assert store.session("t").get_messages() == [{"role": "user", "content": "t"}]


@pytest.mark.parametrize("end", ["clear", "delete", "pop_message", "expiry"])
def test_a_repeat_never_brings_back_what_was_removed(store: BaseStore, place: Place, end: str) -> None:
    session = store.session("s", ttl=1)
    first = session.add_message("user", "once", op_id="op")
    if end == "expiry":
        place.elapse(1.5)
    else:
        getattr(session, end)()
    again = session.add_message("user", "once", op_id="op")
    assert (again, again.id, again.position) == (first, first.id, first.position)
    assert session.count() == 0
    assert session.get_messages() == []


def test_a_repeated_pop_returns_the_same_message(store: BaseStore) -> None:
    session = store.session("s")
    session.add_messages([{"n": index} for index in range(3)])
    first = session.pop_message(op_id="pop")
    again = session.pop_message(op_id="pop")
    assert first == again == {"n": 2}
    assert first is not None
    assert again is not None
    assert (first.id, first.position, first.created_at) == (again.id, again.position, again.created_at)
    assert session.count() == 2
    assert session.pop_message() == {"n": 1}


def test_operations_are_forgotten_in_time(place: Place) -> None:
    if place.real_time:
        pytest.skip("half a minute would really pass")
    store = place.open(op_id_ttl=30, retry_timeout=1)
    session = store.session("s")
    session.add_message("user", "x", op_id="op")
    place.elapse(29)
    session.add_message("user", "x", op_id="op")
    assert session.count() == 1
    place.elapse(2)
    session.add_message("user", "x", op_id="op")
    assert session.count() == 2
    store.close()


def test_bad_op_ids_are_refused(store: BaseStore) -> None:
    session = store.session("s")
    for write in WRITES.values():
        bad: Any
        for bad in ("", 5, b"x", "a\x00", "\ud800"):
            with pytest.raises(ValidationError, match="op_id"):
                write(session, bad)
        with pytest.raises(LimitExceededError, match="op_id"):
            write(session, "x" * 201)
    assert store.list_sessions() == []
