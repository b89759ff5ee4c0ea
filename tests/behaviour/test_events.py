# Written by tools/twins.py from test_async_events.py: edit that file, then run `make twins`.
"""Events: once for each write of the handle, after it is durable, in order."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from openstackai_sessions_core import Message, Session, SessionEvent, ValidationError
from openstackai_sessions_core.backend import BaseStore


def record_all(session: Session) -> list[tuple[Any, ...]]:
    seen: list[tuple[Any, ...]] = []
    for event in SessionEvent:
        session.on(event, lambda *arguments, event=event: seen.append((event, *arguments)))
    return seen


def test_every_write_fires_its_event_once(store: BaseStore) -> None:
    session = store.session("s")
    seen = record_all(session)
    a = session.add_message("user", "a")
    b, c = session.add_messages([{"n": 1}, {"n": 2}])
    popped = session.pop_message()
    session.set("k", {"v": 1})
    session.update({"x": 1, "y": None})
    session.remove("x")
    document = session.export()
    session.clear()
    session.import_data(document)
    session.delete()
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


def test_each_handler_has_a_copy_of_its_own(store: BaseStore) -> None:
    session = store.session("s")
    seen: list[object] = []
    for event in (SessionEvent.MESSAGE_ADDED, SessionEvent.MESSAGE_REMOVED):
        session.on(event, lambda message: message["content"].append("scrubbed"))
        session.on(event, seen.append)
    session.on(SessionEvent.METADATA_CHANGED, lambda _, value: value.append(9))
    session.on(SessionEvent.METADATA_CHANGED, lambda _, value: seen.append(value))
    added = session.add_message("user", ["a"])
    session.set("k", [1])
    popped = session.pop_message()
    assert seen == [{"role": "user", "content": ["a"]}, [1], {"role": "user", "content": ["a"]}]
    assert [message.position for message in (seen[0], seen[2]) if isinstance(message, Message)] == [1, 1]
    assert added == popped == seen[0]


def test_no_event_for_what_did_nothing(store: BaseStore) -> None:
    session = store.session("s")
    seen = record_all(session)
    session.pop_message()
    session.clear()
    session.delete()
    session.remove("missing")
    session.update({})
    session.add_messages([])
    session.import_data(session.export())
    session.import_data(session.export(), mode="append")
    assert seen == []


def test_no_event_for_what_failed(store: BaseStore) -> None:
    session = store.session("s")
    seen = record_all(session)
    with pytest.raises(ValidationError):
        session.add_message("user", (1, 2))
    with pytest.raises(ValidationError):
        session.import_data("{}")
    assert seen == []


def test_a_message_already_in_the_log_fires_nothing(store: BaseStore) -> None:
    session = store.session("s")
    session.add_message("user", "a", id="m")
    seen = record_all(session)
    session.add_message("user", "a", id="m")
    session.add_messages([{"role": "user", "content": "a"}, {"n": 1}], ids=["m", None])
    assert seen == [(SessionEvent.MESSAGE_ADDED, {"n": 1})]


def test_handlers_see_the_write(store: BaseStore) -> None:
    session, other = store.session("s"), store.session("s")
    counts: list[int] = []

    def look(_: object) -> None:
        counts.append(other.count())

    def subscribe() -> None:
        session.on(SessionEvent.MESSAGE_ADDED, look)

    subscribe()
    session.add_message("user", "a")
    session.add_messages([{}, {}])
    assert counts == [1, 3, 3]


def test_a_handle_never_reports_anothers_writes(store: BaseStore) -> None:
    one, two = store.session("s"), store.session("s")
    seen = record_all(one)
    two.add_message("user", "a")
    two.clear()
    assert seen == []


def test_a_raising_handler_is_logged_and_harms_nothing(store: BaseStore, caplog: pytest.LogCaptureFixture) -> None:
    session = store.session("s")

    def fail(_: object) -> None:
        raise RuntimeError("handler fault")

    seen: list[object] = []
    session.on(SessionEvent.MESSAGE_ADDED, fail)
    session.on(SessionEvent.MESSAGE_ADDED, seen.append)
    with caplog.at_level(logging.ERROR, logger="openstackai_sessions"):
        message = session.add_message("user", "secret content")
    assert seen == [message]
    assert session.count() == 1
    (logged,) = caplog.records
    assert "MESSAGE_ADDED" in logged.getMessage()
    assert logged.exc_info is not None
    assert "secret content" not in caplog.text


def test_writes_inside_a_handler_queue_their_events(store: BaseStore) -> None:
    session, other = store.session("s"), store.session("t")
    order: list[object] = []

    def reply(message: Message) -> None:
        order.append(("first", message.content))
        if message.content == "a":
            session.add_message("assistant", "b")
            other.set("key", 1)
            order.append("written")

    session.on(SessionEvent.MESSAGE_ADDED, reply)
    session.on(SessionEvent.MESSAGE_ADDED, lambda message: order.append(("second", message.content)))
    other.on(SessionEvent.METADATA_CHANGED, lambda key, _: order.append(("other", key)))
    session.add_message("user", "a")
    assert order == [("first", "a"), "written", ("second", "a"), ("first", "b"), ("second", "b"), ("other", "key")]


def test_unsubscribing_works_also_during_dispatch(store: BaseStore) -> None:
    session = store.session("s")
    seen: list[str] = []
    stop: list[Callable[[], None]] = []

    def first(_: object) -> None:
        seen.append("first")
        stop[0]()

    def second(_: object) -> None:
        seen.append("second")

    session.on(SessionEvent.MESSAGE_ADDED, first)
    stop.append(session.on(SessionEvent.MESSAGE_ADDED, second))
    session.add_message("user", "a")
    assert seen == ["first"]
    stop[0]()
    session.off(SessionEvent.MESSAGE_ADDED, first)
    session.off(SessionEvent.MESSAGE_ADDED, first)
    session.add_message("user", "b")
    assert seen == ["first"]


def test_on_is_a_decorator_too(store: BaseStore) -> None:
    session = store.session("s")
    seen: list[object] = []

    @session.on(SessionEvent.SESSION_CLEARED)
    def cleared() -> None:
        seen.append("cleared")

    session.add_message("user", "a")
    session.clear()
    assert seen == ["cleared"]
    cleared()
    session.off(SessionEvent.SESSION_CLEARED, cleared)
    assert seen == ["cleared", "cleared"]


def test_bad_subscriptions_are_refused(store: BaseStore) -> None:
    session = store.session("s")
    wrong: Any
    for wrong in ("message_added", None):
        with pytest.raises(ValidationError, match="SessionEvent"):
            session.on(wrong, print)
        with pytest.raises(ValidationError, match="SessionEvent"):
            session.off(wrong, print)
    wrong = 5
    with pytest.raises(ValidationError, match="callable"):
        session.on(SessionEvent.MESSAGE_ADDED, wrong)


def test_handlers_get_their_own_copy(store: BaseStore) -> None:
    session = store.session("s")
    session.on(SessionEvent.MESSAGE_ADDED, lambda message: message.clear())
    message = session.add_message("user", "a")
    assert message == {"role": "user", "content": "a"}
    assert session.get_messages() == [message]


def test_closing_drops_the_handlers(store: BaseStore) -> None:
    import gc
    import weakref

    class Listener:
        def hear(self, _: object) -> None:
            """Be called."""

    session, listener = store.session("s"), Listener()
    session.on(SessionEvent.MESSAGE_ADDED, listener.hear)
    gone = weakref.ref(listener)
    session.close()
    del listener
    gc.collect()
    assert gone() is None
