# Written by tools/twins.py from _async_checks_events.py: edit that file, then run `make twins`.
"""H. Events: once for each write of the handle, after it is durable, in order."""

from __future__ import annotations

import gc
import logging
import threading
import weakref
from collections.abc import Callable
from typing import Any

from openstackai_sessions_conformance._findings import refuses, require, same
from openstackai_sessions_conformance._scene import Scene, check
from openstackai_sessions_conformance._seam import sleep, together, within
from openstackai_sessions_conformance._views import contents, document, entry, envelope
from openstackai_sessions_core import (
    ConflictError,
    LimitExceededError,
    Message,
    Session,
    SessionClosedError,
    SessionEvent,
    ValidationError,
)

__all__ = ["EventChecks", "Listener", "hear_all"]


class Listener(logging.Handler):
    """Keeps every log record."""

    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__()
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record)


def hear_all(session: Session) -> list[tuple[Any, ...]]:
    """Every event of the handle from now on, with its arguments."""
    heard: list[tuple[Any, ...]] = []
    for event in SessionEvent:
        session.on(event, lambda *arguments, event=event: heard.append((event.name, *arguments)))
    return heard


class EventChecks:
    """The checks of group H."""

    @check(56, cause="events are fired by call and not by what was stored, or by layers twice")
    def test_056_each_success_fires_once(self, scene: Scene) -> None:
        """Every write fires its event once, per message or key, in order, with what was stored."""
        session = scene.session()
        heard = hear_all(session)
        a = session.add_message("user", "a", name="n")
        b, c = session.add_messages([{"n": 1}, {"n": 2}])
        d = session.add_message("user", "d", id="given")
        popped = session.pop_message()
        session.set("k", {"v": 1})
        session.set("k", {"v": 1})
        session.update({"z": 1, "x": None, "y": [1.0]})
        session.update({"y": [1.0], "z": 1})
        session.remove("x")
        exported = session.export()
        session.clear()
        session.import_data(exported)
        session.import_data(document(entry("new", n=1), entry("newer", n=2)), mode="append")
        session.delete()
        wanted: list[tuple[Any, ...]] = [
            ("MESSAGE_ADDED", a),
            ("MESSAGE_ADDED", b),
            ("MESSAGE_ADDED", c),
            ("MESSAGE_ADDED", d),
            ("MESSAGE_REMOVED", popped),
            ("METADATA_CHANGED", "k", {"v": 1}),
            ("METADATA_CHANGED", "k", {"v": 1}),
            ("METADATA_CHANGED", "z", 1),
            ("METADATA_CHANGED", "x", None),
            ("METADATA_CHANGED", "y", [1.0]),
            ("METADATA_CHANGED", "y", [1.0]),
            ("METADATA_CHANGED", "z", 1),
            ("METADATA_REMOVED", "x"),
            ("SESSION_CLEARED",),
            ("SESSION_IMPORTED",),
            ("SESSION_IMPORTED",),
            ("SESSION_DELETED",),
        ]
        same([event[0] for event in heard], [event[0] for event in wanted], "the events in order")
        same(heard, wanted, "the events with their arguments")
        for event, message in zip(heard, (a, b, c, d, popped), strict=False):
            same(envelope(event[1]), envelope(message), "the envelope of the message in the event")

    @check(56, cause="whether an import is a write is read from the document, and not from what it replaces")
    def test_056_an_import_of_nothing_over_a_session_fires(self, scene: Scene) -> None:
        """An empty document over a session that exists, even one without content, is a write and fires its event."""
        session = scene.session()
        session.add_message("user", "x")
        session.set("k", 1)
        for content in ("messages and metadata", "neither messages nor metadata"):
            handle = scene.other()
            heard = hear_all(handle)
            handle.import_data(document())
            same([event[0] for event in heard], ["SESSION_IMPORTED"], f"events of an empty import over {content}")

    @check(56, cause="handlers run in the order of a set or a dict, or each is kept once")
    def test_056_handlers_run_in_the_order_of_registration(self, scene: Scene) -> None:
        """Several handlers, one twice, run in the order in which they were added, on their event alone."""
        session = scene.session()
        order: list[str] = []
        for name in ("first", "second", "third"):
            session.on(SessionEvent.MESSAGE_ADDED, lambda _, name=name: order.append(name))

        def again(*_: object) -> None:
            order.append("again")

        def waits(*_: object) -> None:
            order.append("waits")

        session.on(SessionEvent.MESSAGE_ADDED, again)
        session.on(SessionEvent.MESSAGE_ADDED, waits)
        session.on(SessionEvent.MESSAGE_ADDED, again)
        session.on(SessionEvent.SESSION_CLEARED, again)
        session.add_message("user", "x")
        same(order, ["first", "second", "third", "again", "waits", "again"], "the handlers that ran on an add")
        order.clear()
        session.clear()
        same(order, ["again"], "the handlers that ran on a clear")
        order.clear()
        slow = scene.session("slow")

        def takes_long(message: Message) -> None:
            order.append(f"begins {message.content}")
            sleep(0.02)
            order.append(f"ends {message.content}")

        def takes_none(message: Message) -> None:
            order.append(f"next {message.content}")

        slow.on(SessionEvent.MESSAGE_ADDED, takes_long)
        slow.on(SessionEvent.MESSAGE_ADDED, takes_none)
        slow.add_messages([{"content": 1}, {"content": 2}])
        wanted = [f"{step} {number}" for number in (1, 2) for step in ("begins", "ends", "next")]
        same(order, wanted, "the steps of handlers of which the first takes a while")
        order.clear()

        @session.on(SessionEvent.METADATA_CHANGED)
        def decorated(key: str, value: object) -> None:
            order.append(f"{key}={value}")

        session.set("k", 1)
        same(order, ["k=1"], "the handler subscribed by decorator")
        decorated("called", "still a function")
        same(order[1:], ["called=still a function"], "the decorated function when called")

    @check(56, cause="handlers and caller are given one object")
    def test_056_handlers_get_their_own_copy(self, scene: Scene) -> None:
        """What a handler does to its message or value changes no other handler's, nor the result or what is stored."""
        session = scene.session()
        seen: list[object] = []
        session.on(SessionEvent.MESSAGE_ADDED, lambda message: message.clear())
        session.on(SessionEvent.METADATA_CHANGED, lambda _, value: value.append(9))
        session.on(SessionEvent.MESSAGE_REMOVED, lambda message: message["content"].append(9))
        session.on(SessionEvent.MESSAGE_ADDED, lambda message: seen.append(dict(message)))
        session.on(SessionEvent.METADATA_CHANGED, lambda _, value: seen.append(value))
        session.on(SessionEvent.MESSAGE_REMOVED, lambda message: seen.append(dict(message)))
        message = session.add_message("user", ["a"])
        same(message, {"role": "user", "content": ["a"]}, "the returned message after a handler emptied its own")
        same(session.get_messages(), [message], "the stored message after a handler emptied its own")
        session.set("k", [1])
        same(session.get("k"), [1], "the stored value after a handler changed its own")
        same(session.pop_message(), {"role": "user", "content": ["a"]}, "the popped message")
        expected = [{"role": "user", "content": ["a"]}, [1], {"role": "user", "content": ["a"]}]
        same(seen, expected, "what second handlers were given after the first had changed theirs")

    @check(57, cause="events fire before the store has committed")
    def test_057_handlers_run_after_the_commit(self, scene: Scene) -> None:
        """Inside a handler every other handle, and every other store, sees the write; and the call has not returned."""
        session = scene.session()
        seen: list[tuple[str, object]] = []

        def looks(event: SessionEvent, look: Callable[[Session], object]) -> None:
            def handler(*_: object) -> None:
                for handle in (scene.session(), scene.other()):
                    seen.append(
                        (event.name, within(10, "a read inside a handler", lambda handle=handle: look(handle)))  # type: ignore[misc]
                    )

            session.on(event, handler)

        def read_messages(handle: Session) -> object:
            return [dict(message) for message in handle.get_messages()]

        looks(SessionEvent.MESSAGE_ADDED, read_messages)
        looks(SessionEvent.MESSAGE_REMOVED, read_messages)
        looks(SessionEvent.SESSION_CLEARED, read_messages)
        looks(SessionEvent.METADATA_CHANGED, lambda handle: handle.metadata())
        looks(SessionEvent.METADATA_REMOVED, lambda handle: handle.metadata())
        looks(SessionEvent.SESSION_IMPORTED, read_messages)
        looks(SessionEvent.SESSION_DELETED, lambda handle: handle.metadata())
        steps: list[tuple[str, Callable[[], object], list[object]]] = [
            ("MESSAGE_ADDED", lambda: session.add_messages([{"n": 1}]), [[{"n": 1}]] * 2),
            ("MESSAGE_ADDED", lambda: session.add_messages([{"n": 2}, {"n": 3}]), [[{"n": 1}, {"n": 2}, {"n": 3}]] * 4),
            ("MESSAGE_REMOVED", lambda: session.pop_message(), [[{"n": 1}, {"n": 2}]] * 2),
            ("METADATA_CHANGED", lambda: session.update({"k": 1, "l": 2}), [{"k": 1, "l": 2}] * 4),
            ("METADATA_REMOVED", lambda: session.remove("l"), [{"k": 1}] * 2),
            ("SESSION_CLEARED", lambda: session.clear(), [[]] * 2),
            ("SESSION_IMPORTED", lambda: session.import_data(document(entry("i", n=4))), [[{"n": 4}]] * 2),
            ("SESSION_DELETED", lambda: session.delete(), [{}] * 2),
        ]
        for event, step, wanted in steps:
            step()
            same(
                seen,
                [(event, value) for value in wanted],
                f"what handlers of {event} read, from both stores, before the call returned",
            )
            seen.clear()

    @check(58, cause="events are fired in a finally, or without asking the store whether there was anything to do")
    def test_058_nothing_done_fires_nothing(self, scene: Scene) -> None:
        """No-ops fire no event."""
        session = scene.session()
        heard = hear_all(session)
        session.pop_message()
        session.clear()
        session.delete()
        session.remove("missing")
        session.update({})
        session.add_messages([])
        session.import_data(session.export())
        session.import_data(session.export(), mode="append")
        same(heard, [], "events of calls that had nothing to do")
        session.add_message("user", "a", id="m")
        session.set("k", 1)
        heard.clear()
        session.add_message("user", "a", id="m")
        session.remove("missing")
        session.get_messages()
        session.export()
        same(heard, [], "events of repeating a message by its id, and of reads")
        session.add_messages([{"role": "user", "content": "a"}, {"n": 1}], ids=["m", None])
        same(heard, [("MESSAGE_ADDED", {"n": 1})], "events of a batch of which one message was there already")
        session.clear()
        heard.clear()
        session.clear()
        session.pop_message()
        same(heard, [], "events of clearing and popping what is empty")

    @check(58, cause="events are fired before the store has answered")
    def test_058_failures_fire_nothing(self, scene: Scene) -> None:
        """A write that raises fires no event."""
        session = scene.session()
        session.add_message("user", "a", id="m", op_id="op")
        heard = hear_all(session)
        not_json: Any = (1, 2)
        with refuses(ValidationError, "a message that is not JSON"):
            session.add_message("user", not_json)
        with refuses(ValidationError, "a value that is not JSON"):
            session.set("k", not_json)
        with refuses(ValidationError, "a document that is none"):
            session.import_data("{}")
        with refuses(ConflictError, "another message under the same id"):
            session.add_message("user", "b", id="m")
        with refuses(ConflictError, "a batch with another message under the same id"):
            session.add_messages([{"n": 1}, {"n": 2}], ids=[None, "m"])
        with refuses(ConflictError, "another write under the same op_id"):
            session.add_message("user", "b", op_id="op")
        with refuses(LimitExceededError, "a value over the limit"):
            session.set("k", "x" * (scene.store.limits.metadata_value_bytes + 1))
        same(heard, [], "events of writes that were refused")
        closed = scene.session()
        heard = hear_all(closed)
        closed.close()
        with refuses(SessionClosedError, "a write on a closed handle"):
            closed.add_message("user", "x")
        same(heard, [], "events of a closed handle")

    @check(59, cause="handlers are called in one loop without a try for each")
    def test_059_a_raising_handler_harms_nothing(self, scene: Scene) -> None:
        """An error in a handler reaches neither the caller, nor the write, nor the handlers and events after it."""
        session = scene.session()
        heard: list[object] = []
        kinds: list[type[Exception]] = [
            RuntimeError,
            ValueError,
            KeyError,
            StopIteration,
            ConflictError,
            AssertionError,
        ]

        def failing(kind: type[Exception]) -> Callable[..., None]:
            def fail(*_: object) -> None:
                raise kind("a fault of the handler")

            return fail

        def fails_later(*_: object) -> None:
            raise LookupError("a fault of the handler")

        for event in SessionEvent:
            for kind in kinds:
                session.on(event, failing(kind))
            session.on(event, fails_later)
            session.on(event, lambda *_, event=event: heard.append(event.name))
        records: list[logging.LogRecord] = []
        listener = Listener(records)
        loggers = [logging.getLogger(name) for name in ("", "openstackai_sessions")]
        for logger in loggers:
            logger.addHandler(listener)
        try:
            first = session.add_message("user", "secret content")
            batch = session.add_messages([{"n": 1}, {"n": 2}])
            session.set("k", 1)
            session.remove("k")
            same(session.pop_message(), {"n": 2}, "the popped message though handlers raise")
            session.clear()
            session.import_data(document(entry("i", n=1)))
            session.delete()
        finally:
            for logger in loggers:
                logger.removeHandler(listener)
        same(first, {"role": "user", "content": "secret content"}, "the returned message though handlers raise")
        same(batch, [{"n": 1}, {"n": 2}], "the returned batch though handlers raise")
        wanted = [*["MESSAGE_ADDED"] * 3, "METADATA_CHANGED", "METADATA_REMOVED", "MESSAGE_REMOVED", "SESSION_CLEARED"]
        same(heard, [*wanted, "SESSION_IMPORTED", "SESSION_DELETED"], "what the last handler heard")
        failures = (len(kinds) + 1) * (len(wanted) + 2)
        # Two loggers may have seen the same one.
        logged = len({id(record) for record in records})
        require(logged >= failures, f"a record in a logger for each of {failures} errors of handlers", logged)
        texts = [record.getMessage() for record in records]
        require(not any("secret content" in text for text in texts), "logs without content", texts[:2])

    @check(60, cause="an event fired inside a handler is delivered at once, or after the outer call has returned")
    def test_060_writes_inside_a_handler_queue_their_events(self, scene: Scene) -> None:
        """They fire after the current event's handlers and before the outermost write returns."""
        session, other = scene.session(), scene.session("t")
        order: list[object] = []

        def reply(message: Message) -> None:
            order.append(("first", message.content))
            if message.content == "a":
                session.add_message("assistant", "b")
                other.set("key", 1)
                order.append("written")
            if message.content == "b":
                session.add_message("assistant", "c")
                session.set("k", 1)

        session.on(SessionEvent.MESSAGE_ADDED, reply)
        session.on(SessionEvent.MESSAGE_ADDED, lambda message: order.append(("second", message.content)))
        session.on(SessionEvent.METADATA_CHANGED, lambda key, _: order.append(("changed", key)))
        other.on(SessionEvent.METADATA_CHANGED, lambda key, _: order.append(("other", key)))
        within(20, "a write inside a handler", lambda: session.add_message("user", "a"))
        wanted = [
            ("first", "a"), "written", ("second", "a"), ("first", "b"), ("second", "b"), ("other", "key"),
            ("first", "c"), ("second", "c"), ("changed", "k"),
        ]  # fmt: skip
        same(order, wanted, "the order of the handlers")
        same([m.content for m in session.get_messages()], ["a", "b", "c"], "the messages")
        order.clear()
        within(20, "a write inside a handler", lambda: session.add_messages([{"content": "a"}, {"content": "z"}]))
        heard = [step[1] for step in order if isinstance(step, tuple) and step[0] == "second"]
        same(heard, ["a", "z", "b", "c"], "messages of a batch, then those written inside its handlers")

    @check(60, cause="handlers run in another thread or task, or after the call")
    def test_060_handlers_have_run_when_the_call_returns(self, scene: Scene) -> None:
        """Handlers run in the caller's thread, before the call returns."""
        session = scene.session()
        threads: list[object] = []
        session.on(SessionEvent.MESSAGE_ADDED, lambda _: threads.append(threading.get_ident()))
        for number in range(5):
            session.add_message("user", number)
            require(len(threads) == number + 1, "the handler to have run when the call returns", f"{len(threads)} runs")
        require(set(threads) == {threading.get_ident()}, "handlers in the caller's thread", "another thread")

    @check(61, cause="the store's or the handle's lock is still held while handlers run")
    def test_061_no_lock_is_held_during_handlers(self, scene: Scene) -> None:
        """While a handler waits, everybody else can write and read: the same session and others."""
        session = scene.session()
        done: list[object] = []

        def handler(*_: object) -> None:
            if done:
                return
            for name, handle in (
                ("the same handle", session),
                ("another", scene.session()),
                ("a store", scene.other()),
            ):
                done.append(name)
                within(10, f"an append by {name} during a handler", lambda h=handle: h.add_message("user", "x"))  # type: ignore[misc]
                within(10, f"a read by {name} during a handler", handle.get_messages)
                within(10, f"a set by {name} during a handler", lambda h=handle: h.set("k", 1))  # type: ignore[misc]
            within(10, "a listing during a handler", scene.store.list_sessions)
            within(10, "another session during a handler", lambda: scene.session("t").add_message("user", "x"))

        session.on(SessionEvent.MESSAGE_ADDED, handler)
        session.add_message("user", "x")
        same(done, ["the same handle", "another", "a store"], "what was tried inside the handler")
        same(session.count(), 4, "count() after appends inside a handler")

    @check(61, cause="one kind of write holds a lock of its handle until it returns")
    def test_061_every_write_may_be_made_in_a_handler_of_every_other(self, scene: Scene) -> None:
        """Inside a handler of any kind of write, the same handle makes writes of every kind."""
        doc = document(entry("i", n=1), metadata={"k": 1})
        writes: dict[str, Callable[[Session], object]] = {
            "add_message": lambda s: s.add_message("user", "x"),
            "add_messages": lambda s: s.add_messages([{"n": 1}, {"n": 2}]),
            "pop_message": lambda s: s.pop_message(),
            "set": lambda s: s.set("k", 1),
            "update": lambda s: s.update({"k": 2, "l": 2}),
            "remove": lambda s: s.remove("k"),
            "clear": lambda s: s.clear(),
            "import_data": lambda s: s.import_data(doc),
            "delete": lambda s: s.delete(),
        }
        for outer, write in writes.items():
            session = scene.session(outer)
            session.add_message("user", "old")
            session.set("k", 0)
            made: list[str] = []

            def handler(*_: object, session: Session = session, outer: str = outer) -> None:
                if made:
                    return
                for name, inner in writes.items():
                    made.append(name)
                    within(10, f"{name} inside a handler of {outer}", lambda inner=inner: inner(session))  # type: ignore[misc]

            for event in SessionEvent:
                session.on(event, handler)
            within(60, f"{outer} whose handler writes", lambda write=write: write(session))  # type: ignore[misc]
            same(made, list(writes), f"what was written inside a handler of {outer}")
            same(session.metadata(), {}, f"the metadata after {outer}, whose handler deleted the session at last")

    @check(61, cause="one queue of events serves every thread or task of the handle")
    def test_061_callers_dispatch_independently(self, scene: Scene) -> None:
        """Each of several callers of one handle hears its own writes before its own calls return."""
        session = scene.session()
        heard: list[object] = []
        early: list[object] = []
        session.on(SessionEvent.MESSAGE_ADDED, lambda message: heard.append(message.content))

        def write(worker: int) -> None:
            for number in range(scene.pick(20, 100, 1000)):
                session.add_message("user", f"{worker} {number}")
                if f"{worker} {number}" not in heard:
                    early.append((worker, number))

        together([lambda worker=worker: write(worker) for worker in range(6)])  # type: ignore[misc]
        require(not early, "each call to return after its handlers have run", early[:3])
        require(len(heard) == len(set(map(str, heard))), "each event once", f"{len(heard)} events")
        same(session.count(), len(heard), "count(), beside the number of events")

    @check(62, cause="the list of handlers is changed while it is walked")
    def test_062_unsubscribing_works_also_during_dispatch(self, scene: Scene) -> None:
        """A handler that is unsubscribed is not called again, not even by the dispatch that is under way."""
        session = scene.session()
        heard: list[str] = []
        stops: list[Callable[[], object]] = []

        def first(_: object) -> None:
            heard.append("first")
            stops[0]()
            session.off(SessionEvent.MESSAGE_ADDED, third)
            session.off(SessionEvent.MESSAGE_ADDED, first)

        def second(_: object) -> None:
            heard.append("second")

        def third(_: object) -> None:
            heard.append("third")

        def fourth(_: object) -> None:
            heard.append("fourth")

        session.on(SessionEvent.MESSAGE_ADDED, first)
        stops.append(session.on(SessionEvent.MESSAGE_ADDED, second))
        session.on(SessionEvent.MESSAGE_ADDED, third)
        session.on(SessionEvent.MESSAGE_ADDED, fourth)
        session.add_message("user", "a")
        same(heard, ["first", "fourth"], "the handlers that ran when the first unsubscribed three")
        session.add_message("user", "b")
        same(heard, ["first", "fourth", "fourth"], "the handlers that run afterwards")
        stops[0]()
        session.off(SessionEvent.MESSAGE_ADDED, third)
        session.off(SessionEvent.SESSION_CLEARED, fourth)
        session.add_message("user", "c")
        same(heard[3:], ["fourth"], "the handlers that run after unsubscribing twice, or from another event")
        session.off(SessionEvent.MESSAGE_ADDED, fourth)
        session.add_message("user", "d")
        same(heard[4:], [], "the handlers that run after the last was taken off")
        # A method is another object at each look, and equal to itself.
        messages: list[Message] = []
        session.on(SessionEvent.MESSAGE_ADDED, messages.append)
        session.add_message("user", "e")
        session.off(SessionEvent.MESSAGE_ADDED, messages.append)
        session.add_message("user", "f")
        same(contents(messages), ["e"], "what a method heard that was taken off after one message")

    @check(62, cause="close keeps the handlers, or something else refers to them")
    def test_062_closing_drops_the_handlers(self, scene: Scene) -> None:
        """A closed handle refers to no handler and takes none; wrong subscriptions are refused."""

        class Listener:
            def hear(self, *_: object) -> None:
                """Be called."""

        session, listener = scene.session(), Listener()
        for event in SessionEvent:
            session.on(event, listener.hear)
        session.add_message("user", "x")
        gone = weakref.ref(listener)
        session.close()
        del listener
        gc.collect()
        require(gone() is None, "no reference to the handlers of a closed handle", "the handler is still there")
        with refuses(SessionClosedError, "on() of a closed handle"):
            session.on(SessionEvent.MESSAGE_ADDED, print)
        wrong: Any
        for wrong in ("message_added", None, 5):
            with refuses(ValidationError, f"on({wrong!r}, print)"):
                scene.session().on(wrong, print)
        wrong = 5
        with refuses(ValidationError, "on(event, 5)"):
            scene.session().on(SessionEvent.MESSAGE_ADDED, wrong)

    @check(63, cause="events follow the call and not the write: an 'already applied' answer fires again, or never")
    def test_063_a_repeated_write_fires_once(self, scene: Scene) -> None:
        """A call repeated under its op_id fires nothing more: on this handle or another."""
        session = scene.session()
        session.add_messages([{"old": 1}, {"old": 2}])
        session.update({"k": 0, "l": 0})
        heard = hear_all(session)
        calls: list[Callable[[Session], object]] = [
            lambda handle: handle.add_message("user", "a", op_id="1"),
            lambda handle: handle.add_messages([{"n": 1}, {"n": 2}], op_id="2"),
            lambda handle: handle.pop_message(op_id="3"),
            lambda handle: handle.set("k", 1, op_id="4"),
            lambda handle: handle.update({"k": 2, "m": 3}, op_id="5"),
            lambda handle: handle.remove("l", op_id="6"),
            lambda handle: handle.clear(op_id="7"),
            lambda handle: handle.import_data(document(entry("i", n=1)), op_id="8"),
            lambda handle: handle.delete(op_id="9"),
        ]
        for number, call in enumerate(calls, 1):
            call(session)
            require(heard, f"an event of write {number}", "none")
            heard.clear()
            for handle in (session, scene.session(), scene.other()):
                elsewhere = hear_all(handle) if handle is not session else heard
                call(handle)
                same(elsewhere, [], f"events of repeating write {number} under its op_id")

    @check(64, cause="handlers are kept by session id or by store, and not by handle")
    def test_064_a_handle_never_reports_anothers_writes(self, scene: Scene) -> None:
        """Handlers hear the writes of their own handle alone."""
        one, two, other = scene.session(), scene.session(), scene.other()
        heard_one, heard_other = hear_all(one), hear_all(other)
        two.add_messages([{"n": 1}, {"n": 2}])
        two.set("k", 1)
        two.pop_message()
        two.remove("k")
        two.clear()
        two.import_data(document(entry("i", n=1)))
        two.delete()
        scene.store.delete_session("s")
        same(heard_one, [], "events on another handle of the same session")
        same(heard_other, [], "events on a handle of a second store")
        one.add_message("user", "own")
        same([event[0] for event in heard_one], ["MESSAGE_ADDED"], "events of the handle's own write")
        same(heard_other, [], "events elsewhere of that write")
