"""Histories of concurrent runs: recorded, and judged."""

from __future__ import annotations

import asyncio
import itertools
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings, strategies as st

from openstackai_sessions_conformance._history import (
    NEVER,
    Call,
    Kind,
    Outcome,
    Recorder,
    Shown,
    Violation,
    read_histories,
)
from openstackai_sessions_conformance._history_rules import check_appends, check_metadata, check_removals
from openstackai_sessions_conformance._linearizability import (
    HistoryTooLargeError,
    State,
    apply,
    check_linearizable,
)
from openstackai_sessions_core import BackendUnavailableError, InMemorySession, OutcomeUnknownError

OK, FAILED, UNKNOWN = Outcome.OK, Outcome.FAILED, Outcome.UNKNOWN
Told = tuple[str, str, int, int]


def call(kind: Kind, labels: str = "", at: tuple[int, int] = (0, 1), outcome: Outcome = OK, **more: Any) -> Call:
    """A call whose labels are words."""
    client = str(more.pop("client", f"c{at[0]}"))
    return replace(Call(client, kind, *at, outcome, tuple(labels.split())), **more)


def append(labels: str, *at: int, outcome: Outcome = OK, **more: Any) -> Call:
    return call(Kind.APPEND, labels, (at[0], at[1]), outcome, **more)


def read(labels: str, *at: int, **more: Any) -> Call:
    return call(Kind.READ, labels, (at[0], at[1]), **more)


def pop(label: str, *at: int, outcome: Outcome = OK) -> Call:
    return call(Kind.POP, label, (at[0], at[1]), outcome)


def clear(*at: int, outcome: Outcome = OK) -> Call:
    return call(Kind.CLEAR, "", (at[0], at[1]), outcome)


def log(labels: str) -> list[Shown]:
    return [Shown(index + 1, label) for index, label in enumerate(labels.split())]


def rules(found: Sequence[Violation]) -> set[str]:
    return {violation.rule for violation in found}


# -- Recorder -------------------------------------------------------------------------------------------------------


def test_a_recorder_notes_what_a_call_returned_and_what_came_of_it() -> None:
    recorder = Recorder()
    session = InMemorySession()
    with recorder.record("a", Kind.APPEND, labels=["x", "y"]) as first:
        first.positions = [message.position for message in session.add_messages([{"t": "x"}, {"t": "y"}])]
    with recorder.record("a", Kind.READ, limit=1) as second:
        second.show((message.position, str(message["t"])) for message in session.get_messages(1))
    with recorder.record("a", Kind.COUNT) as third:
        third.count = session.count()
    with pytest.raises(BackendUnavailableError), recorder.record("a", Kind.CLEAR):
        raise BackendUnavailableError("nothing was applied")
    for error in (OutcomeUnknownError("who knows"), KeyboardInterrupt(), RuntimeError()):
        with pytest.raises(type(error)), recorder.record("a", Kind.POP):
            raise error
    calls = recorder.calls
    assert [each.outcome for each in calls] == [OK, OK, OK, FAILED, UNKNOWN, UNKNOWN, UNKNOWN]
    assert calls[0].positions == (1, 2)
    assert (calls[1].labels, calls[1].positions, calls[1].limit) == (("y",), (2,), 1)
    assert third.call is calls[2]
    assert calls[2].count == 2
    assert [each.ended for each in calls[3:5]] == [calls[3].completed, NEVER]
    assert check_linearizable(calls) == []


def test_one_call_after_another_is_seen_to_be_so_on_a_clock_that_stands() -> None:
    recorder = Recorder(clock=lambda: 7)
    for _ in range(3):
        with recorder.record("a", Kind.CLEAR):
            pass
    times = [time for each in recorder.calls for time in (each.invoked, each.completed)]
    assert times == sorted(set(times))


async def test_threads_and_tasks_share_a_recorder() -> None:
    recorder = Recorder()

    def work(client: str) -> None:
        for number in range(200):
            with recorder.record(client, Kind.APPEND, labels=[f"{client}-{number}"]):
                pass

    async def task(client: str) -> None:
        with recorder.record(client, Kind.APPEND, labels=[client]):
            await asyncio.sleep(0)

    threads = [threading.Thread(target=work, args=(f"t{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    await asyncio.gather(*(task(f"a{number}") for number in range(50)))
    for thread in threads:
        thread.join()
    assert len({label for each in recorder.calls for label in each.labels}) == 8 * 200 + 50


def test_the_files_of_processes_are_merged_and_a_killed_ones_last_call_is_unknown(tmp_path: Path) -> None:
    worker = (
        "import os, signal, sys; from openstackai_sessions_conformance._history import *\n"
        "recorder = Recorder(sys.argv[1])\n"
        "for number in range(3):\n"
        "    with recorder.record(sys.argv[2], Kind.APPEND, labels=[f'{sys.argv[2]}-{number}']) as call:\n"
        "        call.positions = [number + 1]\n"
        "        if number == 2: os._exit(9)\n"
    )
    paths = [tmp_path / name for name in "ab"]
    for path in paths:
        subprocess.run([sys.executable, "-c", worker, str(path), path.name], check=False)
    with paths[0].open("a") as file:
        file.write('{"begun": 4, "client')
    calls = read_histories(*paths)
    assert [each.labels for each in calls] == [(f"{name}-{number}",) for name in "ab" for number in range(3)]
    assert [each.outcome for each in calls] == [OK, OK, UNKNOWN] * 2
    assert [each.positions for each in calls] == [(1,), (2,), ()] * 2
    assert calls[2].completed == NEVER


# -- Rules, by hand -------------------------------------------------------------------------------------------------

GOOD = [
    append("a", 0, 10),
    append("b1 b2 b3", 5, 20),
    append("c", 30, 40),
    append("u", 31, 50, outcome=UNKNOWN),
    append("f", 32, 50, outcome=FAILED),
    append("v", 33, 50, outcome=UNKNOWN),
    read("a", 6, 12),
    read("a b1 b2 b3", 21, 29),
    read("b3 c", 41, 45, limit=2),
    read("", 1, 2),
    call(Kind.COUNT, at=(60, 61), count=6),
]
FINAL = "a b1 b2 b3 c v"


def test_a_good_history_of_appends_is_accepted() -> None:
    assert check_appends(GOOD, log(FINAL)) == []
    assert check_removals(GOOD, log(FINAL)) == []
    assert check_linearizable([*GOOD, read(FINAL, 100, 101)]) == []


@pytest.mark.parametrize(
    ("rule", "extra", "final"),
    [
        ("exactly once", [], "a b1 b2 b3 v"),
        ("exactly once", [], "a b1 b2 b3 c v c"),
        ("exactly once", [], "a b1 b2 b3 c v v"),
        ("exactly once", [], "a b1 b2 b3 c v f"),
        ("exactly once", [], "a b1 b2 b3 c v stranger"),
        ("whole batches", [append("w1 w2", 70, 80, outcome=UNKNOWN)], FINAL + " w1"),
        ("whole batches", [append("w", 1, 80)], "a b1 w b2 b3 c v"),
        ("whole batches", [], "a b2 b1 b3 c v"),
        ("real time", [], "a c b1 b2 b3 v"),
        ("real time", [append("late", 70, 80)], "a b1 b2 b3 late c v"),
        ("own order", [append("p", 70, 71, client="me"), append("q", 72, 73, client="me")], FINAL + " q p"),
        ("prefix", [read("b1 b2 b3", 50, 51)], FINAL),
        ("prefix", [read("a b1 b2 b3 v", 50, 51)], FINAL),
        ("prefix", [read("b1 b2", 22, 23, limit=3)], FINAL),
        ("prefix", [read("a nobody", 22, 23)], FINAL),
        ("freshness", [read("a", 25, 26)], FINAL),
        ("freshness", [read(FINAL, 70, 71), read("a b1 b2 b3 c", 72, 73)], FINAL),
        ("freshness", [read("a b1 b2 b3 c", 25, 26)], FINAL),
        ("freshness", [call(Kind.COUNT, at=(70, 71), count=2)], FINAL),
        ("prefix", [call(Kind.COUNT, at=(70, 71), count=9)], FINAL),
        ("positions", [read("a", 8, 9, positions=(2,))], FINAL),
        ("positions", [append("w", 70, 71, positions=(1,))], FINAL + " w"),
    ],
)
def test_a_history_of_appends_that_breaks_a_rule_is_found(rule: str, extra: list[Call], final: str) -> None:
    assert rule in rules(check_appends([*GOOD, *extra], log(final)))


def test_positions_that_do_not_increase_are_found() -> None:
    calls = [append("a", 0, 1), append("b", 2, 3)]
    for positions in ((2, 2), (3, 1)):
        final = [Shown(position, label) for position, label in zip(positions, "ab", strict=True)]
        assert rules(check_appends(calls, final)) == {"positions"}


def test_a_violation_says_what_to_look_at() -> None:
    (violation,) = check_appends([append("a", 0, 10, client="me")], [])
    assert str(violation) == "exactly once: acknowledged, and 'a' is lost\n  me: append a [ok, 0..10]"


def test_a_history_with_removals_is_not_judged_as_one_of_appends() -> None:
    with pytest.raises(ValueError, match="check_removals"):
        check_appends([clear(0, 1)], [])


REMOVALS = [
    append("a", 0, 1),
    append("b1 b2 b3", 2, 3),
    pop("b3", 4, 5),
    read("a b1 b2", 6, 7),
    read("b1 b2", 6, 7, limit=2),
    clear(8, 9),
    append("c", 10, 11),
    append("d", 10, 12, outcome=UNKNOWN),
    pop("", 6, 20, outcome=UNKNOWN),
    read("c", 13, 14),
]


def test_a_good_history_with_removals_is_accepted() -> None:
    for final in ("c", "c d", "d", ""):
        assert check_removals(REMOVALS, log(final)) == []
    assert check_linearizable([*REMOVALS, read("c d", 100, 101)]) == []


@pytest.mark.parametrize(
    ("rule", "extra", "final"),
    [
        ("disjoint pops", [pop("b3", 4, 6)], "c"),
        ("resurrected", [], "c b3"),
        ("resurrected", [], "a c"),
        ("resurrected", [read("b3", 6, 7)], "c"),
        ("resurrected", [read("a c", 13, 14)], "c"),
        ("resurrected", [pop("a", 15, 16)], "c"),
        ("exactly once", [append("e", 21, 22), append("f", 21, 22)], ""),
        ("exactly once", [append("e", 21, 22, outcome=FAILED)], "c e"),
        ("exactly once", [append("e", 21, 22)], "c e e"),
        ("exactly once", [pop("nobody", 21, 22)], "c"),
        ("whole batches", [append("w1 w2", 21, 22), read("c w1", 21, 22)], "c w1 w2"),
        ("whole batches", [append("w1 w2 w3", 21, 22), append("x", 21, 22)], "c w1 x w2 w3"),
        ("real time", [append("w", 21, 22), append("x", 23, 24)], "c x w"),
        ("freshness", [append("w", 23, 24), read("c w", 21, 22)], "c w"),
        ("positions", [append("w", 21, 22, positions=(9,))], "c w"),
    ],
)
def test_a_history_with_removals_that_breaks_a_rule_is_found(rule: str, extra: list[Call], final: str) -> None:
    assert rule in rules(check_removals([*(c for c in REMOVALS if c.outcome is OK), *extra], log(final)))


def test_positions_begin_again_only_after_a_delete() -> None:
    calls = [append("a", 0, 1, positions=(1,)), clear(2, 3), append("b", 4, 5, positions=(1,))]
    assert rules(check_removals(calls, log("b"))) == {"positions"}
    calls[1] = replace(calls[1], kind=Kind.DELETE)
    assert check_removals(calls, log("b")) == []


def test_an_import_removes_what_was_and_brings_what_it_holds() -> None:
    calls = [append("a", 0, 1), call(Kind.IMPORT, "i j", (2, 3)), read("i j", 4, 5)]
    assert check_removals(calls, log("i j")) == check_linearizable(calls) == []
    assert "resurrected" in rules(check_removals(calls, log("a i j")))
    assert "exactly once" in rules(check_removals(calls, log("")))


def write(key: str, value: str | None, *at: int, outcome: Outcome = OK) -> Call:
    return call(Kind.REMOVE if value is None else Kind.SET, "", (at[0], at[1]), outcome, key=key, value=value)


def get(key: str, value: str | None, *at: int) -> Call:
    return call(Kind.GET, "", (at[0], at[1]), key=key, value=value)


METADATA = [
    write("k", "1", 0, 5),
    write("k", "2", 3, 6),
    write("other", "x", 4, 7),
    get("k", "1", 7, 8),
    write("gone", "y", 0, 1),
    write("gone", None, 2, 3),
    write("maybe", "z", 0, 1, outcome=UNKNOWN),
    get("gone", None, 4, 5),
]


def test_good_metadata_is_accepted() -> None:
    for final in ({"k": "1", "other": "x"}, {"k": "2", "other": "x", "maybe": "z"}):
        assert check_metadata(METADATA, final) == []
    assert check_metadata([*METADATA, call(Kind.DELETE, at=(9, 10))], {}) == []


@pytest.mark.parametrize(
    ("extra", "final"),
    [
        ([], {"k": "1"}),
        ([], {"k": "3", "other": "x"}),
        ([], {"k": "1", "other": "x", "gone": "y"}),
        ([], {"k": "1", "other": "x", "stranger": "y"}),
        ([write("k", "3", 10, 11)], {"k": "1", "other": "x"}),
        ([get("other", None, 8, 9)], {"k": "1", "other": "x"}),
        ([get("late", "1", 1, 2), write("late", "1", 3, 4)], {"k": "1", "other": "x", "late": "1"}),
        ([write("late", "1", 3, 4, outcome=FAILED)], {"k": "1", "other": "x", "late": "1"}),
    ],
)
def test_metadata_that_is_lost_stale_or_invented_is_found(extra: list[Call], final: dict[str, str]) -> None:
    assert rules(check_metadata([*METADATA, *extra], final)) == {"metadata"}


# -- Search, by hand ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "calls",
    [
        [append("a", 0, 1), read("", 2, 3)],
        [append("a", 0, 1), read("a", 2, 3), read("", 4, 5)],
        [append("a", 0, 3), read("a", 1, 2), read("", 4, 5)],
        [append("a", 0, 9), append("b", 0, 9), read("a", 1, 2), read("b a", 3, 4)],
        [append("a b", 0, 9), pop("a", 1, 2)],
        [append("a", 0, 1), pop("a", 2, 9), pop("a", 2, 9)],
        [append("a", 0, 1), call(Kind.POP, "", (2, 3))],
        [append("a", 0, 1), clear(2, 3), call(Kind.COUNT, at=(4, 5), count=1)],
        [append("a", 0, 1, outcome=FAILED), read("a", 2, 3)],
        [write("k", "1", 0, 1), call(Kind.DELETE, at=(2, 3)), get("k", "1", 4, 5)],
        [write("k", "1", 0, 1), clear(2, 3), get("k", None, 4, 5)],
        [append("a", 5, 6, outcome=UNKNOWN), read("a", 0, 1)],
    ],
)
def test_what_no_order_explains_is_found(calls: list[Call]) -> None:
    (violation,) = check_linearizable(calls)
    assert violation.rule == "linearizable"
    assert violation.calls


def test_calls_that_would_each_have_to_come_after_another_are_named_without_a_search() -> None:
    many = [append(f"m{number}", 10, 20) for number in range(30)]
    circle = [pop("a", 30, 31), read("a", 40, 41)]
    (violation,) = check_linearizable([append("a", 0, 1), *many, *circle], most_states=0)
    assert sorted(violation.calls, key=lambda each: each.invoked) == circle


@pytest.mark.parametrize(
    "calls",
    [
        [append("a", 0, 9), append("b", 0, 9), read("b a", 10, 11)],
        [append("a", 0, 1, outcome=UNKNOWN), read("", 2, 3), read("a", 4, 5)],
        [append("a", 0, 1), pop("a", 2, 9), clear(2, 9), call(Kind.COUNT, at=(10, 11), count=0)],
        [append("a", 0, 1), pop("", 2, 3, outcome=UNKNOWN), read("a", 4, 5), read("", 6, 7)],
        [append("a", 0, 1), read("a", 2, 3, limit=5), read("", 2, 3, limit=0)],
        [],
    ],
)
def test_what_some_order_explains_is_accepted(calls: list[Call]) -> None:
    assert check_linearizable(calls) == []


def test_a_search_that_would_take_for_ever_says_so() -> None:
    calls = [append(f"m{number}", 0, 100) for number in range(20)]
    with pytest.raises(HistoryTooLargeError, match="21 calls"):
        check_linearizable([*calls, call(Kind.COUNT, at=(101, 102), count=21)], most_states=1_000)


# -- Against a simulation -------------------------------------------------------------------------------------------

EVERY = [*Kind]
APPENDS = [Kind.APPEND, Kind.APPEND, Kind.READ, Kind.COUNT]


@dataclass
class Run:
    """Clients of a store that is linearizable by construction: each call takes effect at one moment, or never."""

    random: random.Random
    kinds: Sequence[Kind]
    state: State = field(default_factory=State)
    positions: dict[str, int] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    late: list[Call] = field(default_factory=list)
    now: int = 0
    written: int = 0

    def tick(self) -> int:
        self.now += self.random.choice((1, 1, 2))
        return self.now

    def begin(self, client: str) -> Call:
        kind = self.random.choice(self.kinds)
        begun = Call(client, kind, self.tick())
        if kind in (Kind.APPEND, Kind.IMPORT):
            size = self.random.choice((1, 1, 2, 3))
            self.written += size
            return replace(begun, labels=tuple(f"m{self.written - left}" for left in range(size, 0, -1)))
        if kind in (Kind.SET, Kind.REMOVE, Kind.GET):
            self.written += 1
            value = f"v{self.written}" if kind is Kind.SET else None
            return replace(begun, key=self.random.choice("kl"), value=value)
        return replace(begun, limit=self.random.choice((None, None, 0, 1, 3)) if kind is Kind.READ else None)

    def happen(self, begun: Call) -> Call:
        """The call as it returns, having taken effect now."""
        log, metadata = self.state
        if begun.kind is Kind.POP:
            begun = replace(begun, labels=log[-1:])
        elif begun.kind is Kind.READ:
            begun = replace(begun, labels=log if begun.limit is None else log[max(0, len(log) - begun.limit) :])
        elif begun.kind is Kind.COUNT:
            begun = replace(begun, count=len(log))
        elif begun.kind is Kind.GET:
            begun = replace(begun, value=dict(metadata).get(begun.key or ""))
        after = apply(begun, self.state)
        assert after is not None
        self.state = after
        for label in begun.labels:
            self.positions.setdefault(label, len(self.positions) + 1)
        return replace(begun, positions=tuple(self.positions[label] for label in begun.labels))

    def end(self, begun: Call, happened: Call | None) -> None:
        chance = self.random.random()
        if happened is not None and chance < 0.8:
            call = replace(happened, completed=self.tick())
        elif happened is None and chance < 0.5:
            call = replace(begun, completed=self.tick(), outcome=FAILED)
        else:
            call = replace(begun, completed=self.tick(), outcome=UNKNOWN)
            if happened is None:
                self.late.append(begun)
        self.calls.append(call)

    def go(self, clients: int, count: int) -> None:
        under_way: dict[str, tuple[Call, Call | None]] = {}
        while len(self.calls) < count:
            client = f"c{self.random.randrange(clients)}"
            if client not in under_way:
                under_way[client] = self.begin(client), None
                continue
            begun, happened = under_way[client]
            if happened is None and self.random.random() < 0.85:
                under_way[client] = begun, self.happen(begun)
                continue
            self.end(*under_way.pop(client))
            if self.late and self.random.random() < 0.2:
                self.happen(self.late.pop())
        for begun, happened in under_way.values():
            self.end(begun, happened)

    @property
    def final(self) -> list[Shown]:
        return [Shown(self.positions[label], label) for label in self.state.log]

    def with_the_end(self, final: Sequence[Shown] | None = None) -> list[Call]:
        shown = self.state.log if final is None else tuple(label for _, label in final)
        return [*self.calls, Call("end", Kind.READ, self.now + 1, self.now + 2, labels=shown)]


def simulate(seed: int, kinds: Sequence[Kind], *, clients: int = 4, count: int = 40) -> Run:
    run = Run(random.Random(seed), kinds)
    run.go(clients, count)
    return run


seeds = st.integers(0, 2**32)


@given(seeds)
@settings(max_examples=80, deadline=None)
def test_every_correct_run_of_appends_is_accepted(seed: int) -> None:
    run = simulate(seed, [*APPENDS, Kind.SET, Kind.REMOVE, Kind.GET], count=200)
    assert check_appends(run.calls, run.final) == []
    assert check_removals(run.calls, run.final) == []
    assert check_metadata(run.calls, dict(run.state.metadata)) == []


@given(seeds)
@settings(max_examples=80, deadline=None)
def test_every_correct_run_with_removals_is_accepted(seed: int) -> None:
    run = simulate(seed, EVERY, count=200)
    assert check_removals(run.calls, run.final) == []
    assert check_metadata(run.calls, dict(run.state.metadata)) == []


@given(seeds)
@settings(max_examples=100, deadline=None)
def test_every_correct_small_run_has_an_order(seed: int) -> None:
    run = simulate(seed, EVERY, count=40)
    assert check_linearizable(run.with_the_end()) == []


def lose(run: Run, final: list[Shown]) -> bool:
    acknowledged = {label for each in run.calls if each.is_ok and each.kind is Kind.APPEND for label in each.labels}
    there = [shown for shown in final if shown.label in acknowledged]
    if there:
        final.remove(run.random.choice(there))
    return bool(there)


def double(run: Run, final: list[Shown]) -> bool:
    if final:
        final.append(Shown(final[-1].position + 1, run.random.choice(final).label))
    return bool(final)


def swap(run: Run, final: list[Shown]) -> bool:
    author = {label: each for each in run.calls for label in each.labels if each.kind is Kind.APPEND}
    numbers = [
        (one, other)
        for one, other in itertools.combinations(range(len(final)), 2)
        if author[final[one].label].ended < author[final[other].label].invoked
    ]
    if numbers:
        one, other = run.random.choice(numbers)
        first, second = final[one], final[other]
        final[one], final[other] = Shown(first.position, second.label), Shown(second.position, first.label)
    return bool(numbers)


def fail(run: Run, final: list[Shown]) -> bool:
    failed = [each for each in run.calls if each.outcome is FAILED and each.kind is Kind.APPEND]
    if failed:
        final.append(Shown(10_000, run.random.choice(failed).labels[0]))
    return bool(failed)


def reuse(run: Run, final: list[Shown]) -> bool:
    if len(final) > 1:
        final[-1] = Shown(final[-2].position, final[-1].label)
    return len(final) > 1


def stale(run: Run, final: list[Shown]) -> bool:
    acknowledged = {label: each.ended for each in run.calls if each.kind is Kind.APPEND for label in each.labels}
    numbers = [
        number
        for number, each in enumerate(run.calls)
        if each.kind is Kind.READ and each.is_ok and each.labels and acknowledged[each.labels[-1]] < each.invoked
    ]
    if numbers:
        number = run.random.choice(numbers)
        each = run.calls[number]
        run.calls[number] = replace(each, labels=each.labels[:-1], positions=each.positions[:-1])
    return bool(numbers)


@pytest.mark.parametrize("spoil", [lose, double, swap, fail, reuse, stale])
@given(seed=seeds)
@settings(max_examples=40, deadline=None)
def test_one_fault_in_a_run_of_appends_is_found(spoil: Callable[[Run, list[Shown]], bool], seed: int) -> None:
    run = simulate(seed, APPENDS)
    final = run.final
    assume(spoil(run, final))
    assert check_appends(run.calls, final)
    if spoil is not reuse:
        assert check_linearizable(run.with_the_end(final))


@given(seeds)
@settings(max_examples=40, deadline=None)
def test_a_message_that_came_back_is_found(seed: int) -> None:
    run = simulate(seed, EVERY)
    popped = [each for each in run.calls if each.kind is Kind.POP and each.is_ok and each.labels]
    assume(popped)
    final = [*run.final, Shown(10_000, run.random.choice(popped).labels[0])]
    assert "resurrected" in rules(check_removals(run.calls, final))
    assert check_linearizable(run.with_the_end(final))


@given(seeds)
@settings(max_examples=200, deadline=None)
def test_what_the_quick_rules_find_has_no_order(seed: int) -> None:
    """Whatever one changes in a correct run: the quick rules accuse none that the search explains."""
    run = simulate(seed, [*EVERY, Kind.APPEND, Kind.READ], clients=3, count=14)
    final = [replace_label(run, shown) for shown in run.final]
    number = run.random.randrange(len(run.calls))
    told = run.calls[number]
    labels = tuple(run.random.sample([*told.labels, *run.positions], k=min(len(run.positions), len(told.labels))))
    if told.kind in (Kind.READ, Kind.POP):
        run.calls[number] = replace(told, labels=labels, positions=())
    else:
        run.calls[number] = replace(told, outcome=run.random.choice((OK, UNKNOWN)))
    found = check_removals([replace(each, positions=()) for each in run.calls], final)
    if rules(found) - {"positions"}:
        assert check_linearizable(run.with_the_end(final))


def replace_label(run: Run, shown: Shown) -> Shown:
    if run.random.random() < 0.9:
        return shown
    return Shown(shown.position, run.random.choice(list(run.positions)))


def explains(calls: Sequence[Call]) -> bool:
    """Whether some order explains the calls, found by trying all of them."""
    needed = [each for each in calls if each.is_ok]
    maybe = [each for each in calls if each.outcome is UNKNOWN]
    for size in range(len(maybe) + 1):
        for chosen in itertools.combinations(maybe, size):
            for order in itertools.permutations([*needed, *chosen]):
                if any(later.ended < earlier.invoked for earlier, later in itertools.combinations(order, 2)):
                    continue
                state: State | None = State()
                for each in order:
                    state = None if state is None else apply(each, state)
                if state is not None:
                    return True
    return False


@given(seeds)
@settings(max_examples=80, deadline=None)
def test_the_search_is_exact(seed: int) -> None:
    run = simulate(seed, EVERY, clients=3, count=4)
    calls = run.with_the_end()
    number = run.random.randrange(len(calls))
    told = calls[number]
    if told.kind is Kind.COUNT:
        calls[number] = replace(told, count=run.random.randrange(3))
    elif told.kind in (Kind.READ, Kind.POP):
        calls[number] = replace(
            told, labels=tuple(run.random.sample(sorted(run.positions), k=min(1, len(run.positions))))
        )
    assert (check_linearizable(calls) == []) is explains(calls)


def test_a_large_history_is_judged_in_seconds() -> None:
    run = simulate(1, [Kind.APPEND], clients=16, count=20_000)
    assert check_appends(run.calls, run.final) == []
    assert check_removals(run.calls, run.final) == []
