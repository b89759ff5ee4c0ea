"""The same random trace of calls on the reference (memory) and on each backend gives the same results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from openstackai_sessions_core import ConflictError, Message, Session, SessionError, SessionEvent
from places import MemoryPlace, Place

SESSIONS = ["a", "A", "a b"]
VALUES = st.one_of(
    st.none(), st.integers(-3, 3), st.text(max_size=3), st.floats(-1, 1), st.lists(st.booleans(), max_size=2)
)
OP_IDS = st.none() | st.sampled_from(["op1", "op2", "op3"])
IDS = st.none() | st.sampled_from(["m1", "m2", "m3"])
TTLS = st.none() | st.sampled_from([5.0, 50.0])
STEPS = st.one_of(
    st.tuples(st.just("add"), VALUES, IDS, OP_IDS),
    st.tuples(st.just("batch"), st.lists(VALUES, max_size=4), st.none() | st.just("ids"), OP_IDS),
    st.tuples(st.just("pop"), st.none(), st.none(), OP_IDS),
    st.tuples(st.just("clear"), st.none(), st.none(), OP_IDS),
    st.tuples(st.just("set"), VALUES, st.sampled_from(["k", "l"]), OP_IDS),
    st.tuples(st.just("update"), st.dictionaries(st.sampled_from(["k", "l", "m"]), VALUES), st.none(), OP_IDS),
    st.tuples(st.just("remove"), st.none(), st.sampled_from(["k", "l"]), OP_IDS),
    st.tuples(st.just("copy"), st.sampled_from(SESSIONS), st.sampled_from(["replace", "append"]), OP_IDS),
    st.tuples(st.just("delete"), st.none(), st.none(), OP_IDS),
    st.tuples(st.just("read"), st.integers(0, 5), st.none() | st.integers(1, 9), st.none()),
    st.tuples(st.just("elapse"), st.sampled_from([1.0, 6.0, 100.0, 700.0]), st.none(), st.none()),
    st.tuples(st.just("purge"), st.none(), st.none(), st.none()),
)
TRACE = st.lists(st.tuples(st.sampled_from(SESSIONS), st.booleans(), TTLS, STEPS), max_size=40)


class Side:
    """One of the two places, with two handles on each session and what their handlers heard."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.store = place.open()
        self.heard: list[object] = []
        self._handles: dict[tuple[str, bool, float | None], Session] = {}
        # Automatic ids differ from side to side: each is known by the order in which it was first seen.
        self._numbers: dict[str, int] = {}

    def handle(self, id: str, second: bool, ttl: float | None) -> Session:
        key = (id, second, ttl)
        if key not in self._handles:
            session = self._handles[key] = self.store.session(id, ttl=ttl)
            for event in SessionEvent:
                session.on(event, self._hear(event))
        return self._handles[key]

    def _hear(self, event: SessionEvent) -> Callable[..., None]:
        return lambda *arguments: self.heard.append((event, [self.plain(argument) for argument in arguments]))

    def plain(self, value: object) -> object:
        if isinstance(value, Message):
            return (dict(value), self.name(value.id))
        if isinstance(value, list):
            return [self.plain(item) for item in value]
        return value

    def name(self, id: str) -> object:
        return id if id in ("m1", "m2", "m3") else self._numbers.setdefault(id, len(self._numbers))

    def take(self, id: str, second: bool, ttl: float | None, step: tuple[Any, ...]) -> object:
        session = self.handle(id, second, ttl)
        kind, first, other, op_id = step
        calls: dict[str, Callable[[], object]] = {
            "add": lambda: session.add_message("user", first, id=other, op_id=op_id),
            "batch": lambda: session.add_messages(
                [{"n": value} for value in first],
                ids=other and [None, "m1", "m2", "m3"][: len(first)],
                op_id=op_id,
            ),
            "pop": lambda: session.pop_message(op_id=op_id),
            "clear": lambda: session.clear(op_id=op_id),
            "set": lambda: session.set(other, first, op_id=op_id),
            "update": lambda: session.update(first, op_id=op_id),
            "remove": lambda: session.remove(other, op_id=op_id),
            "copy": lambda: session.import_data(
                self.store.session(first).export(), mode=other, op_id=op_id if first == id else None
            ),
            "delete": lambda: session.delete(op_id=op_id),
            "read": lambda: session.get_messages(first, before=other),
            "elapse": lambda: self.place.elapse(first),
            "purge": lambda: self.store.purge_expired() and None,
        }
        try:
            return self.plain(calls[kind]())
        except ConflictError:
            return "conflict"
        except SessionError as error:
            return type(error)

    def state(self) -> object:
        return [
            (
                info.id,
                info.message_count,
                [self.plain(message) for message in self.store.session(info.id).iter_messages(page_size=2)],
                self.store.session(info.id).metadata(),
            )
            for info in self.store.list_sessions()
        ]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trace=TRACE)
def test_the_same_trace_gives_the_same_results(
    trace: list[tuple[str, bool, float | None, tuple[Any, ...]]],
    place: Place,
    new_place: Callable[[], Place],
) -> None:
    if place.real_time:
        pytest.skip("minutes would really pass")
    reference, subject = Side(MemoryPlace()), Side(new_place())
    for id, second, ttl, step in trace:
        expected = reference.take(id, second, ttl, step)
        assert subject.take(id, second, ttl, step) == expected, (id, step)
        assert subject.state() == reference.state(), (id, step)
    assert subject.heard == reference.heard
    subject.store.close()
    subject.place.clean()
