# Written by tools/twins.py from _async_machine.py: edit that file, then run `make twins`.
"""The state machine: random calls on a store and on the model, compared at every step.

Several sessions, two handles on each (on two stores of the same place), and a clock. Usable alone:
`run_machine(place, ...)` raises with a sequence of calls that differs; the shortest that is found, with `shrink`.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, seed as seeded, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from openstackai_sessions_conformance._capabilities import Capability
from openstackai_sessions_conformance._findings import fail, note, require, same
from openstackai_sessions_conformance._model import Conflict, Held, Model, Told
from openstackai_sessions_conformance._place import Place
from openstackai_sessions_conformance._seam import Runner, open_on
from openstackai_sessions_conformance._views import TIME, document
from openstackai_sessions_core import ConflictError, Message, Session, SessionEvent
from openstackai_sessions_core.backend import BaseStore

__all__ = ["run_machine"]

NAMES = ("a", "A", "a b")
OPTIONAL = ("bound", "id", "limit", "op", "ttl")
# So many more are drawn than are wanted: Hypothesis begins with the simplest sequence that there is, twice, and in that
# only time passes; of the others one in fourteen writes nothing.
SPARE = 4
# So many calls are shown of a sequence that fails.
MOST_STEPS = 40
SESSIONS = st.sampled_from(NAMES)
SIDES = st.booleans()
TTLS = st.sampled_from([None, None, None, 5.0, 50.0])
OPS = st.sampled_from([None, None, None, "op1", "op2", "op3"])
IDS = st.sampled_from([None, None, "m1", "m2", "m3"])
KEYS = st.sampled_from(["k", "l", "m"])
VALUES: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.floats(-2, 2), st.text(max_size=3), st.lists(st.none(), max_size=2)
)
BATCHES = st.lists(st.tuples(VALUES, IDS), max_size=4)
DOCUMENTS = st.tuples(
    st.lists(st.tuples(st.sampled_from(["m1", "m2", "m3", "m4"]), VALUES), max_size=3, unique_by=lambda pair: pair[0]),
    st.dictionaries(KEYS, VALUES, max_size=2),
)


def run_machine(
    place: Place, capabilities: Capability, *, seed: int, examples: int, steps: int, shrink: bool, seconds: float
) -> None:
    """Run so many random sequences of calls on fresh places like this one, and begin none after so many seconds.

    One that writes nothing, or came before, is not counted.
    """
    until = time.monotonic() + seconds
    failures: list[BaseException] = []
    done: set[tuple[str, ...]] = set()

    class Bound(_Machine):
        def __init__(self) -> None:
            # A sequence that failed is repeated, however late; those that are left over cost nothing but the drawing.
            active = bool(failures) or (len(done) < examples and time.monotonic() < until)
            super().__init__(place.fresh() if active else place, capabilities, failures, active)

        def teardown(self) -> None:
            super().teardown()
            if self.wrote:
                done.add(tuple(self.steps))

    for attempt in itertools.count():
        wanted = examples - len(done)
        if wanted <= 0 or (attempt and time.monotonic() >= until):
            break
        run_state_machine_as_test(
            # As text: numbers that differ in their sign alone are the same seed.
            seeded(f"{seed} {attempt}")(Bound),
            settings=settings(
                max_examples=wanted + SPARE,
                stateful_step_count=steps,
                deadline=None,
                database=None,
                print_blob=False,
                verbosity=Verbosity.quiet,
                phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )


def told(method: Callable[..., None]) -> Callable[..., None]:
    """Have a machine remember the calls of a rule, so that a failure can say what led to it."""

    @wraps(method)
    def call(self: _Machine, **arguments: Any) -> None:
        if self.active:
            self.steps.append(_described(method.__name__, **arguments))
        method(self, **arguments)

    return call


def _described(name: str, *, session: str | None = None, side: bool | None = None, **arguments: object) -> str:
    given = ", ".join(
        f"{key}={value!r}" for key, value in arguments.items() if value is not None or key not in OPTIONAL
    )
    where = "" if session is None else f"session {session!r}: "
    return f"{where}{name}({given}){'' if side is None else f' on store {side:d}'}"


class _Machine(RuleBasedStateMachine):
    def __init__(self, place: Place, capabilities: Capability, failures: list[BaseException], active: bool) -> None:
        super().__init__()
        self.place = place
        self.capabilities = capabilities
        self.active = active
        self.failures = failures
        self.model = Model()
        self.runner = Runner()
        self.opened: list[BaseStore] = []
        self.handles: dict[tuple[str, bool, float | None], Session] = {}
        self.heard: list[tuple[Any, ...]] = []
        self.names: dict[int, tuple[str, int]] = {}
        self.steps: list[str] = []
        self.wrote = False

    @property
    def stores(self) -> list[BaseStore]:
        """The two that the calls are made on, opened when the first call is."""
        if not self.opened:
            first = self.runner.do(lambda: open_on(self.place))
            self.opened = [first, first if self.place.single else self.runner.do(lambda: open_on(self.place))]
        return self.opened

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Remember that a step failed, and say which led to it."""
        try:
            yield
        except Exception as error:
            self.failures.append(error)
            left_out = len(self.steps) - MOST_STEPS
            lines = [f"{number:3d}. {step}" for number, step in enumerate(self.steps, 1)]
            head = [f"     ... {left_out} before these"] if left_out > 0 else []
            note(error, "the calls, of which the last one differs:", *head, *lines[-MOST_STEPS:])
            raise

    def teardown(self) -> None:
        for store in dict.fromkeys(self.opened):
            self.runner.do(store.close)
        self.runner.close()
        if self.active:
            self.place.close()

    # -- Calls ------------------------------------------------------------------------------------------------------

    @rule(session=SESSIONS, side=SIDES, ttl=TTLS, content=VALUES, id=IDS, op=OPS)
    @told
    def add_message(
        self, session: str, side: bool, ttl: float | None, content: Any, id: str | None, op: str | None
    ) -> None:
        data = {"role": "user", "content": content}
        self.write(
            lambda ttl: self.model.add(session, "one", [data], [id], op, ttl),
            lambda handle: handle.add_message("user", content, id=id, op_id=op),
            session, side, ttl, one=True,
        )  # fmt: skip

    @rule(session=SESSIONS, side=SIDES, ttl=TTLS, batch=BATCHES, op=OPS)
    @told
    def add_messages(
        self, session: str, side: bool, ttl: float | None, batch: list[tuple[Any, str | None]], op: str | None
    ) -> None:
        seen: set[str] = set()
        ids = [None if id is None or id in seen else (seen.add(id), id)[1] for _, id in batch]  # type: ignore[func-returns-value]
        objects = [{"n": value} for value, _ in batch]
        self.write(
            lambda ttl: self.model.add(session, "many", objects, ids, op, ttl),
            lambda handle: handle.add_messages(objects, ids=ids, op_id=op),
            session, side, ttl,
        )  # fmt: skip

    @rule(session=SESSIONS, side=SIDES, ttl=TTLS, op=OPS)
    @told
    def pop_message(self, session: str, side: bool, ttl: float | None, op: str | None) -> None:
        self.write(
            lambda ttl: self.model.pop(session, op, ttl),
            lambda handle: handle.pop_message(op_id=op),
            session,
            side,
            ttl,
        )

    @rule(session=SESSIONS, side=SIDES, ttl=TTLS, op=OPS)
    @told
    def clear(self, session: str, side: bool, ttl: float | None, op: str | None) -> None:
        self.write(
            lambda ttl: self.model.clear(session, op, ttl), lambda handle: handle.clear(op_id=op), session, side, ttl
        )

    @rule(session=SESSIONS, side=SIDES, ttl=TTLS, key=KEYS, value=VALUES, op=OPS)
    @told
    def set(self, session: str, side: bool, ttl: float | None, key: str, value: Any, op: str | None) -> None:
        self.write(
            lambda ttl: self.model.put(session, "set", {key: value}, op, ttl),
            lambda handle: handle.set(key, value, op_id=op),
            session, side, ttl,
        )  # fmt: skip

    @rule(session=SESSIONS, side=SIDES, ttl=TTLS, values=st.dictionaries(KEYS, VALUES, max_size=3), op=OPS)
    @told
    def update(self, session: str, side: bool, ttl: float | None, values: dict[str, Any], op: str | None) -> None:
        self.write(
            lambda ttl: self.model.put(session, "update", values, op, ttl),
            lambda handle: handle.update(values, op_id=op),
            session, side, ttl,
        )  # fmt: skip

    @rule(session=SESSIONS, side=SIDES, ttl=TTLS, key=KEYS, op=OPS)
    @told
    def remove(self, session: str, side: bool, ttl: float | None, key: str, op: str | None) -> None:
        self.write(
            lambda ttl: self.model.remove(session, key, op, ttl),
            lambda handle: handle.remove(key, op_id=op),
            session, side, ttl,
        )  # fmt: skip

    @rule(
        session=SESSIONS, side=SIDES, ttl=TTLS, content=DOCUMENTS, mode=st.sampled_from(["replace", "append"]), op=OPS
    )
    @told
    def import_data(self, session: str, side: bool, ttl: float | None, content: Any, mode: Any, op: str | None) -> None:
        messages = [(id, {"n": value}) for id, value in content[0]]
        entries = [{"id": id, "created_at": TIME, "data": data} for id, data in messages]
        self.write(
            lambda ttl: self.model.load(session, messages, content[1], mode, op, ttl),
            lambda handle: handle.import_data(document(*entries, metadata=content[1]), mode=mode, op_id=op),
            session, side, ttl,
        )  # fmt: skip

    @rule(session=SESSIONS, side=SIDES, op=OPS)
    @told
    def delete(self, session: str, side: bool, op: str | None) -> None:
        self.write(
            lambda _: self.model.delete(session, op), lambda handle: handle.delete(op_id=op), session, side, None
        )

    @precondition(lambda self: self.place.clock is not None)
    @rule(seconds=st.sampled_from([1.3, 7.1, 97.3, 701.7]))
    @told
    def elapse(self, seconds: float) -> None:
        if self.place.clock is None or not self.active:
            return
        self.place.clock.elapse(seconds)
        self.model.now += seconds
        if self.wrote:
            with self.noting():
                self.compare("time passed", *NAMES)

    @rule(side=SIDES)
    @told
    def purge(self, side: bool) -> None:
        if not self.active:
            return
        self.runner.do(self.stores[side].purge_expired)
        if self.wrote:
            with self.noting():
                self.compare("purge_expired()", *NAMES)

    @rule(session=SESSIONS, side=SIDES, limit=st.none() | st.integers(0, 5), bound=st.none() | st.integers(0, 6))
    @told
    def read(self, session: str, side: bool, limit: int | None, bound: int | None) -> None:
        if not self.active:
            return
        # Made out here: to make the first one of all, stores are opened, by the same runner.
        handle = self.handle(session, side, None)
        held = self.model.messages(session)
        before = None
        if bound is not None and bound < len(held):
            stored = self.runner.do(handle.get_messages)
            before, held = stored[bound].position, held[:bound]
        wanted = held if limit is None else held[max(0, len(held) - limit) :]
        got = self.runner.do(lambda: handle.get_messages(limit, before=before))
        with self.noting():
            same([dict(m) for m in got], [h.data for h in wanted], f"get_messages({limit}, before={before})")

    # -- Comparing --------------------------------------------------------------------------------------------------

    def handle(self, session: str, side: bool, ttl: float | None) -> Session:
        if not self.capabilities & Capability.TTL or self.place.clock is None:
            ttl = None
        key = (session, side, ttl)
        if key not in self.handles:
            store = self.stores[side]
            handle = self.handles[key] = store.session(session) if ttl is None else store.session(session, ttl=ttl)
            for event in SessionEvent:
                handle.on(event, self.hears(event.name))
        return self.handles[key]

    def hears(self, name: str) -> Callable[..., None]:
        return lambda *arguments: self.heard.append((name, *arguments))

    def write(
        self, expect: Callable[[float | None], Told], call: Callable[[Session], Any], session: str,
        side: bool, ttl: float | None, *, one: bool = False,
    ) -> None:  # fmt: skip
        if not self.capabilities & Capability.TTL or self.place.clock is None:
            ttl = None
        if not self.active:
            return
        with self.noting():
            self.both(expect, call, session, side, ttl, one=one)

    def both(
        self, expect: Callable[[float | None], Told], call: Callable[[Session], Any], session: str,
        side: bool, ttl: float | None, *, one: bool,
    ) -> None:  # fmt: skip
        """Make the call on the model and on the store, and compare."""
        handle = self.handle(session, side, ttl)
        self.heard.clear()
        try:
            wanted: Told | None = expect(ttl)
        except Conflict:
            wanted = None
        self.wrote = self.wrote or bool(self.model.sessions())
        try:
            result = self.runner.do(lambda: call(handle))
        except ConflictError:
            require(wanted is None, "no conflict", "ConflictError")
            same(self.heard, [], "the events of a conflict")
        else:
            if wanted is None:
                fail("ConflictError", "no error")
            self.match(result, wanted.result[0] if one else wanted.result, f"the result of {self.steps[-1]}")
            self.match(self.heard, wanted.events, f"the events of {self.steps[-1]}")
        self.compare(self.steps[-1], session)

    def match(self, seen: Any, wanted: Any, what: str) -> None:
        if isinstance(wanted, Held):
            require(isinstance(seen, Message), f"{what}: a message", seen)
            same(dict(seen), wanted.data, what)
            if isinstance(wanted.id, str):
                same(seen.id, wanted.id, f"{what}: its id")
            else:
                known = self.names.setdefault(wanted.id, (seen.id, seen.position))
                same((seen.id, seen.position), known, f"{what}: its id and position, as before")
        elif isinstance(wanted, (list, tuple)):
            same(len(seen), len(wanted), f"{what}: how many")
            for one, other in zip(seen, wanted, strict=True):
                self.match(one, other, what)
        else:
            same(seen, wanted, what)

    def compare(self, after: str, *sessions: str) -> None:
        """What these sessions hold, and which there are, on both stores."""
        for number, store in enumerate(dict.fromkeys(self.stores)):
            listed = self.runner.do(store.list_sessions)
            what = f"on store {number} after {after}"
            same([(info.id, info.message_count) for info in listed], self.model.sessions(), f"list_sessions() {what}")
            for session in sessions:
                handle = self.handle(session, number == 1, None)
                messages = self.runner.do(handle.get_messages)
                self.match(messages, self.model.messages(session), f"the messages of {session!r} {what}")
                positions = [message.position for message in messages]
                require(positions == sorted({*positions}), f"increasing positions {what}", positions)
                same(
                    self.runner.do(handle.metadata), self.model.metadata(session), f"the metadata of {session!r} {what}"
                )
                same(self.runner.do(handle.count), len(messages), f"count() of {session!r} {what}")
