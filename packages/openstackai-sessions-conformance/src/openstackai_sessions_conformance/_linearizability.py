"""Whether there is one order of the calls that explains everything they returned: an exact search."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from openstackai_sessions_conformance._history import NEVER, Call, Kind, Outcome, Violation

__all__ = ["HistoryTooLargeError", "check_linearizable"]


SWEEPS = (Kind.CLEAR, Kind.DELETE, Kind.IMPORT)


class HistoryTooLargeError(ValueError):
    """The search went through as many states as it may and has found neither an order nor that there is none."""


class State(NamedTuple):
    """What a session holds: the labels of its messages, oldest first, and its metadata."""

    log: tuple[str, ...] = ()
    metadata: frozenset[tuple[str, str]] = frozenset()


def check_linearizable(calls: Sequence[Call], *, most_states: int = 500_000) -> list[Violation]:
    """Look for one order of all acknowledged calls, and some of the unknown ones, that keeps real time.

    A session that begins empty must show, call after call in that order, exactly what the calls returned. This is the
    search of Wing and Gong with Lowe's memory of what was tried, and is meant for histories of up to about 60 calls;
    others raise `HistoryTooLargeError` after `most_states`. Returns one violation where there is no order, else none.
    """
    return _Search(_worth_trying(calls)).run(most_states)


def _worth_trying(calls: Sequence[Call]) -> list[Call]:
    """All calls but those that can be left out of every order: they failed, or nothing tells whether they happened."""
    seen = {label for call in calls if call.is_ok and call.kind in (Kind.READ, Kind.POP) for label in call.labels}
    counted = any(call.is_ok and call.kind is Kind.COUNT for call in calls)

    def is_worth(call: Call) -> bool:
        if call.outcome is not Outcome.UNKNOWN:
            return call.is_ok
        return _is_write(call) and (call.kind is not Kind.APPEND or counted or not seen.isdisjoint(call.labels))

    return [call for call in calls if is_worth(call)]


def _is_write(call: Call) -> bool:
    return call.kind not in (Kind.READ, Kind.COUNT, Kind.GET)


class _Search:
    """Sets of calls are the bits of an int."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self.calls = sorted(calls, key=lambda call: call.invoked)
        self.invoked = [call.invoked for call in self.calls]
        self.needed = sum(1 << number for number, call in enumerate(self.calls) if call.is_ok)
        self.reads = sum(1 << number for number, call in enumerate(self.calls) if not _is_write(call))
        self.by_end = sorted(range(len(self.calls)), key=lambda number: self.calls[number].ended)
        self.author = {
            label: 1 << number
            for number, call in enumerate(self.calls)
            if call.kind in (Kind.APPEND, Kind.IMPORT)
            for label in call.labels
        }
        self.after = self._must_follow()
        # For each call that shows what the log holds: the pops and the sweeps that may precede it.
        self.shows = [
            (1 << number, call, self._before(call, (Kind.POP,)), self._before(call, SWEEPS))
            for number, call in enumerate(self.calls)
            if call.is_ok and call.kind in (Kind.READ, Kind.POP, Kind.COUNT)
        ]

    def _before(self, call: Call, kinds: tuple[Kind, ...]) -> int:
        return sum(
            1 << number
            for number, other in enumerate(self.calls)
            if other is not call and other.kind in kinds and other.invoked <= call.completed
        )

    def _must_follow(self) -> list[int]:
        """For each call those that come before it in every order, by what it shows; when they ran is left out here."""
        readers: dict[str, int] = {}
        for number, call in enumerate(self.calls):
            if call.is_ok and call.kind in (Kind.READ, Kind.POP):
                for label in call.labels:
                    readers[label] = readers.get(label, 0) | 1 << number
        after = [0] * len(self.calls)
        for number, call in enumerate(self.calls):
            if call.is_ok and call.kind in (Kind.READ, Kind.POP):
                for label in call.labels:
                    # A label is written once: whoever else shows what a pop removed did so before it.
                    others = readers[label] & ~(1 << number) if call.kind is Kind.POP else 0
                    after[number] |= self.author.get(label, 0) | others
        return after

    def _circle(self) -> list[Call]:
        """Calls each of which would have to come after another of them; empty where there are none."""
        done = 0
        while ready := self._candidates(done):
            done |= sum(1 << number for number in ready)
        left = [number for number in range(len(self.calls)) if not done >> number & 1]
        while loose := [number for number in left if not any(self._is_after(other, number) for other in left)]:
            left = [number for number in left if number not in loose]
        return [self.calls[number] for number in left]

    def _is_after(self, number: int, other: int) -> bool:
        return bool(self.after[number] >> other & 1) or self.calls[other].ended < self.calls[number].invoked

    def run(self, most_states: int) -> list[Violation]:
        if circle := self._circle():
            text = "by what they show and when they ran, each of these would have to come after another of them"
            return [Violation("linearizable", text, tuple(circle))]
        tried: set[tuple[int, State]] = set()
        ahead = [(0, State())]
        best = ahead[0]
        while ahead:
            done, state = ahead.pop()
            done = self._read(done, state)
            if done & self.needed == self.needed:
                return []
            if (done, state) in tried:
                continue
            if len(tried) >= most_states:
                raise HistoryTooLargeError(f"no answer for {len(self.calls)} calls within {most_states:,} states")
            tried.add((done, state))
            if (done & self.needed).bit_count() > (best[0] & self.needed).bit_count():
                best = done, state
            ahead += reversed(self._next(done, state))
        return [self._violation(*best)]

    def _next(self, done: int, state: State) -> list[tuple[int, State]]:
        """What to try next, the likeliest first: acknowledged calls before unknown ones, in the order of beginning."""
        found = []
        alike: set[tuple[Kind, str | None]] = set()
        for number in sorted(self._candidates(done), key=lambda number: not self.calls[number].is_ok):
            call = self.calls[number]
            after = apply(call, state)
            if after is None:
                continue
            if call.outcome is Outcome.UNKNOWN and not call.labels and call.value is None:
                if after == state or (call.kind, call.key) in alike:
                    continue  # it would change nothing, or the same as one that began before it
                alike.add((call.kind, call.key))
            if not self._is_hopeless(done | 1 << number, after):
                found.append((done | 1 << number, after))
        return found

    def _candidates(self, done: int) -> list[int]:
        """The calls that may come next: no call that is still to come had ended before they began."""
        first_end = next(
            (self.calls[number].ended for number in self.by_end if not done >> number & 1),
            NEVER,
        )
        until = bisect_right(self.invoked, first_end)
        return [number for number in range(until) if not done >> number & 1 and not self.after[number] & ~done]

    def _read(self, done: int, state: State) -> int:
        """Take every read that may come next and shows this state: nothing is lost by taking it at once."""
        while True:
            taken = done
            for number in self._candidates(done):
                if self.reads >> number & 1 and apply(self.calls[number], state) is not None:
                    taken |= 1 << number
            if taken == done:
                return done
            done = taken

    def _is_hopeless(self, done: int, state: State) -> bool:
        """Whether a call that is still to come shows what this log can no longer become."""
        log = state.log
        held = set(log)
        for bit, call, pops, sweeps in self.shows:
            if done & bit:
                continue
            if any(self.author.get(label, 0) & done and label not in held for label in call.labels):
                return True
            if call.kind is Kind.POP or sweeps & ~done:
                continue
            kept = max(0, len(log) - (pops & ~done).bit_count())
            if call.kind is Kind.COUNT:
                if (call.count or 0) < kept:
                    return True
            elif call.limit is None and call.labels[:kept] != log[:kept]:
                return True
        return False

    def _violation(self, done: int, state: State) -> Violation:
        stuck = [self.calls[number] for number in self._candidates(done) if self.calls[number].is_ok]
        explained = (done & self.needed).bit_count()
        return Violation(
            "linearizable",
            f"at most {explained} of {self.needed.bit_count()} acknowledged calls have an order that explains them; "
            f"with the session holding {list(state.log)} and {dict(sorted(state.metadata))}, none of these can be next",
            tuple(stuck),
        )


def apply(call: Call, state: State) -> State | None:
    """The state after a call, or None where it cannot have returned what it did."""
    log, metadata = state
    if call.kind is Kind.APPEND:
        return State(log + call.labels, metadata)
    if call.kind is Kind.POP:
        fits = not call.is_ok or log[-1:] == call.labels
        return State(log[:-1], metadata) if fits else None
    if call.kind is Kind.CLEAR:
        return State((), metadata)
    if call.kind is Kind.DELETE:
        return State()
    if call.kind is Kind.IMPORT:
        return State(call.labels)
    if call.kind in (Kind.SET, Kind.REMOVE):
        others = frozenset(pair for pair in metadata if pair[0] != call.key)
        if call.kind is Kind.REMOVE or call.key is None or call.value is None:
            return State(log, others)
        return State(log, others | {(call.key, call.value)})
    if call.kind is Kind.GET:
        shown = dict(metadata).get(call.key or "")
        return state if shown == call.value else None
    if call.kind is Kind.COUNT:
        return state if call.count == len(log) else None
    window = log if call.limit is None else log[max(0, len(log) - call.limit) :]
    return state if call.labels == window else None
