# Written by tools/twins.py from _async_checks_histories.py: edit that file, then run `make twins`.
"""G. Concurrency, judged by what was noted of every call: long runs by rules, short ones exactly."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial

from openstackai_sessions_conformance._findings import require
from openstackai_sessions_conformance._history import Kind, Recorder, Violation
from openstackai_sessions_conformance._history_rules import check_appends, check_removals
from openstackai_sessions_conformance._linearizability import HistoryTooLargeError, check_linearizable
from openstackai_sessions_conformance._recorded import noted, shown
from openstackai_sessions_conformance._scene import Scene, check
from openstackai_sessions_conformance._seam import together
from openstackai_sessions_core import Session

__all__ = ["HistoryChecks"]

ADDS = (Kind.APPEND, Kind.APPEND, Kind.APPEND, Kind.READ)
REMOVALS = (*ADDS, Kind.POP, Kind.POP, Kind.CLEAR, Kind.DELETE)
EVERYTHING = (*ADDS, Kind.POP, Kind.CLEAR, Kind.DELETE, Kind.IMPORT, Kind.COUNT, Kind.COUNT)


def _run(
    scene: Scene,
    kinds: Sequence[Kind],
    workers: int,
    each: int,
    *,
    shared: Session | None = None,
    turn: int = 0,
) -> Recorder:
    """Let workers call what `kinds` holds on one session, by handles of two stores or by one that they share."""
    recorder, id = Recorder(), f"run {turn}"

    def work(worker: int) -> None:
        chance = random.Random(f"{scene.seed} {turn} {worker}")
        session = shared if shared is not None else (scene.store if worker % 2 else scene.second).session(id)
        for number in range(each):
            kind = chance.choice(kinds)
            size = chance.choice((1, 1, 2, 3)) if kind in (Kind.APPEND, Kind.IMPORT) else 0
            labels = [f"{worker}-{number}.{part}" for part in range(size)]
            noted(recorder, f"worker {worker}", session, kind, labels)

    together([partial(work, worker) for worker in range(workers)])
    return recorder


def _judge(violations: Sequence[Violation]) -> None:
    said = "\n".join(str(violation) for violation in violations[:3])
    require(not violations, "a history that keeps the rules", f"{len(violations)} violations:\n{said}")


def _long(scene: Scene, kinds: Sequence[Kind], workers: int, each: int, shared: Session | None) -> None:
    recorder = _run(scene, kinds, workers, each, shared=shared)
    final = shown((shared or scene.session("run 0")).get_messages())
    _judge(check_appends(recorder.calls, final) if kinds is ADDS else check_removals(recorder.calls, final))


def _short(scene: Scene, kinds: Sequence[Kind], rounds: int) -> None:
    """Runs short enough to look for the one order that explains everything that they returned."""
    for turn in range(1, rounds + 1):
        recorder = _run(scene, kinds, 4, 6, turn=turn)
        noted(recorder, "the end", scene.session(f"run {turn}"), Kind.READ)
        try:
            _judge(check_linearizable(recorder.calls, most_states=60_000))
        except HistoryTooLargeError:
            continue


class HistoryChecks:
    """The checks 46 to 51 and 53, on recorded histories."""

    @check(46, cause="a position that two writers take, or a write that is sent twice")
    def test_046_a_history_of_appends_keeps_the_rules(self, scene: Scene) -> None:
        """Each acknowledged append is there once, in one order that keeps real time; every read is a prefix of it."""
        _long(scene, ADDS, 8, scene.pick(25, 200, 2000), None)

    @check(47, cause="reads from a cache or a replica; positions that are given out before they are taken")
    def test_047_short_histories_of_appends_have_one_order(self, scene: Scene) -> None:
        """One order of all calls, keeping real time, explains everything that appends, reads and counts returned."""
        _short(scene, (*ADDS, Kind.COUNT), scene.pick(10, 80, 800))

    @check(49, cause="pop reads, and then deletes what it has read")
    def test_049_a_history_of_removals_keeps_the_rules(self, scene: Scene) -> None:
        """With pops, clears and deletes: nothing is popped twice, nothing comes back, nothing else is lost."""
        _long(scene, REMOVALS, 8, scene.pick(25, 150, 1500), None)

    @check(50, cause="clear, delete or import work in two steps")
    def test_050_short_histories_have_one_order(self, scene: Scene) -> None:
        """One order of all calls, keeping real time, explains what writes of every kind, reads and counts returned."""
        _short(scene, EVERYTHING, scene.pick(20, 150, 1500))

    @check(51, cause="state of the handle that is changed without a lock")
    def test_051_a_history_of_threads_on_one_handle_keeps_the_rules(self, scene: Scene) -> None:
        """Sixteen threads on one handle keep the rules of appends, and of removals."""
        _long(scene, ADDS, 16, scene.pick(10, 80, 800), scene.session("one"))
        _long(scene, REMOVALS, 16, scene.pick(10, 80, 800), scene.session("two"))

    @check(53, cause="state of the handle or connection that is changed while a call waits")
    def test_053_a_history_of_tasks_on_one_handle_keeps_the_rules(self, scene: Scene) -> None:
        """Two hundred tasks on one handle keep the rules of appends, and of removals."""
        _long(scene, ADDS, 200, scene.pick(2, 10, 50), scene.session("one"))
        _long(scene, REMOVALS, 200, scene.pick(2, 10, 50), scene.session("two"))
