"""Rules that a history keeps at any size: quick to check, and each break of one says what went wrong."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, groupby, pairwise

from openstackai_sessions_conformance._history import NEVER, Call, Kind, Outcome, Shown, Violation

__all__ = ["check_appends", "check_metadata", "check_removals"]

# Later than NEVER: what is read when everything is over.
AT_LAST = NEVER + 1


def check_appends(calls: Sequence[Call], final: Sequence[Shown]) -> list[Violation]:
    """Check a run that only appended and read, in time n log n of what it appended and read.

    `final` is the whole log, read when everything was over. Rules: *exactly once* (an acknowledged message is there
    once; one that failed is not; an unknown one at most once), *whole batches* (contiguous, in their order, all or
    none), *real time* and *own order* (what was acknowledged before another call began precedes it), *prefix* (every
    read showed the newest messages of a prefix of the final order), *freshness* (which holds what had been acknowledged
    and nothing that was not yet asked for, and never shrinks), *positions* (they increase and name one message each).
    """
    other = next((call for call in calls if call.kind in (Kind.POP, Kind.CLEAR, Kind.DELETE, Kind.IMPORT)), None)
    if other is not None:
        raise ValueError(f"a history with {other.kind.value}: use check_removals")
    return [*_once(calls, final), *_order(calls, final), *_reads(calls, final), *_positions(calls, final)]


def check_removals(calls: Sequence[Call], final: Sequence[Shown]) -> list[Violation]:
    """Check what must hold of any run, also with pop, clear, delete and import, in time n log n.

    These rules are necessary; for small histories `check_linearizable` is exact. *Disjoint pops*; *exactly once* (what
    was popped and what remains is what was appended, less what a clear, a delete or an import may have removed);
    *resurrected* (what a removal must have met is never shown after it); *whole batches* (a read shows all of a batch
    but what was popped off its end); *real time* and *positions* in everything that was shown at once.
    """
    return [
        *_pops(calls),
        *_balance(calls, final),
        *_resurrected(calls, final),
        *_parts(calls, final),
        *_views(calls, final),
        *_positions(calls, final),
    ]


def check_metadata(calls: Sequence[Call], final: Mapping[str, str]) -> list[Violation]:
    """Check what was set and shown, key by key: each key is a register of its own (*metadata*).

    What a get or the end shows was set by a call that had begun, and not for certain overwritten or removed before.
    So no key is lost to a write of another key.
    """
    found: list[Violation] = []
    by_key: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        if call.key is not None and call.may_have_happened:
            by_key[call.key].append(call)
    wipes = [call for call in calls if call.kind in (Kind.DELETE, Kind.IMPORT) and call.may_have_happened]
    for key in by_key.keys() | final.keys():
        its = by_key[key]
        writes = [*wipes, *(call for call in its if call.kind in (Kind.SET, Kind.REMOVE))]
        by_value: dict[str | None, list[Call]] = defaultdict(list)
        for call in writes:
            by_value[call.value].append(call)
        acknowledged = sorted((call for call in writes if call.is_ok), key=lambda call: call.completed)
        ends = [call.completed for call in acknowledged]
        # After so many acknowledged writes, whatever had ended before this time is overwritten.
        overwritten = list(accumulate((call.invoked for call in acknowledged), max, initial=-1))
        gets = [
            (call.value, call.invoked, call.completed, [call]) for call in its if call.kind is Kind.GET and call.is_ok
        ]
        for value, invoked, completed, shown_by in [*gets, (final.get(key), AT_LAST, AT_LAST, [])]:
            before = overwritten[bisect_left(ends, invoked)]
            sources = [call for call in by_value[value] if call.invoked < completed]
            if value is None and before < 0:
                continue  # not set yet
            if not any(call.ended >= before for call in sources):
                detail = f"{key!r} was shown as {value!r}, which had been overwritten or was never set"
                found.append(Violation("metadata", detail, (*shown_by, *sources, *acknowledged[-1:])))
    return found


# -- Append-only ----------------------------------------------------------------------------------------------------


def _appends(calls: Iterable[Call]) -> Iterator[Call]:
    return (call for call in calls if call.kind in (Kind.APPEND, Kind.IMPORT))


def _once(calls: Sequence[Call], final: Sequence[Shown]) -> Iterator[Violation]:
    times = Counter(label for _, label in final)
    for call in _appends(calls):
        counts = [times.pop(label, 0) for label in call.labels]
        if call.outcome is Outcome.FAILED and any(counts):
            yield Violation("exactly once", "an append that failed is in the log", (call,))
        elif max(counts, default=0) > 1:
            yield Violation("exactly once", f"in the log {max(counts)} times", (call,))
        elif call.is_ok and 0 in counts:
            yield Violation("exactly once", f"acknowledged, and {call.labels[counts.index(0)]!r} is lost", (call,))
        elif 0 in counts and 1 in counts:
            yield Violation("whole batches", "a part of a batch is in the log", (call,))
    for label in times:
        yield Violation("exactly once", f"{label!r} is in the log, and nobody appended it")


def _order(calls: Sequence[Call], final: Sequence[Shown]) -> Iterator[Violation]:
    """Whole batches, real time and own order."""
    author = {label: call for call in _appends(calls) for label in call.labels}
    known = [label for _, label in final if label in author]
    runs = [(call, [label for label, _ in group]) for call, group in _runs(known, author)]
    met = Counter(id(call) for call, _ in runs)
    for call, labels in runs:
        if met[id(call)] > 1:
            yield Violation("whole batches", "another message stands inside the batch", (call,))
        elif len(labels) == len(call.labels) and tuple(labels) != call.labels:
            yield Violation("whole batches", f"the batch is stored in another order: {labels}", (call,))
    yield from _real_time([call for call, _ in runs])


def _runs(labels: Iterable[str], author: Mapping[str, Call]) -> Iterator[tuple[Call, list[tuple[str, Call]]]]:
    for _, group in groupby(((label, author[label]) for label in labels), key=lambda pair: id(pair[1])):
        its = list(group)
        yield its[0][1], its


def _real_time(order: Sequence[Call]) -> Iterator[Violation]:
    """No call stands before one that had ended when it began."""
    first: Call | None = None  # of those that stand further on, the one that ended first
    for call in reversed(order):
        if first is not None and first is not call and first.ended < call.invoked:
            rule = "own order" if first.client == call.client else "real time"
            yield Violation(
                rule, "the first was acknowledged before the second began, and stands after it", (first, call)
            )
        if first is None or call.ended < first.ended:
            first = call


def _reads(calls: Sequence[Call], final: Sequence[Shown]) -> Iterator[Violation]:
    """Prefix and freshness."""
    place = {label: index for index, (_, label) in enumerate(final)}
    order = [label for _, label in final]
    author = {label: call for call in _appends(calls) for label in call.labels}
    # For a prefix of each length: when the last of its messages was asked for.
    asked = list(accumulate((author[label].invoked if label in author else 0 for label in order), max, initial=0))
    seen: list[tuple[int, Call]] = []  # how long a prefix each read has shown
    for call in calls:
        if not call.is_ok or call.kind not in (Kind.READ, Kind.COUNT) or call.limit == 0:
            continue
        if call.kind is Kind.COUNT:
            until = call.count or 0
            fits = until <= len(order)
        else:
            until = place.get(call.labels[-1], -1) + 1 if call.labels else 0
            begin = until - len(call.labels)
            whole = begin == 0 or (call.limit is not None and len(call.labels) == call.limit)
            fits = begin >= 0 and whole and tuple(order[begin:until]) == call.labels
        if not fits:
            yield Violation("prefix", "a read that shows the end of no prefix of the final order", (call,))
        elif asked[until] > call.completed:
            late = max((author[label] for label in order[:until] if label in author), key=lambda each: each.invoked)
            yield Violation("freshness", "a read that shows what was not asked for yet", (call, late))
        else:
            seen.append((until, call))
    ends = [(call.completed, max(place.get(label, -1) for label in call.labels) + 1, call)
            for call in _appends(calls) if call.is_ok and call.labels]  # fmt: skip
    ends += [(call.completed, until, call) for until, call in seen]
    ends.sort(key=lambda end: end[0])
    times = [time for time, _, _ in ends]
    furthest = list(accumulate(ends, _further))
    for until, call in seen:
        before = bisect_left(times, call.invoked)
        if before and furthest[before - 1][1] > until:
            yield Violation("freshness", "a read that lacks what had been acknowledged or shown before it began",
                            (furthest[before - 1][2], call))  # fmt: skip


def _further(one: tuple[int, int, Call], other: tuple[int, int, Call]) -> tuple[int, int, Call]:
    return one if one[1] >= other[1] else other


def _earlier(one: Call, other: Call) -> Call:
    return one if one.completed <= other.completed else other


def _positions(calls: Sequence[Call], final: Sequence[Shown]) -> Iterator[Violation]:
    """They increase wherever several are shown, and name one message each, as long as the session lives."""
    views = [(Call("the end", Kind.READ, AT_LAST, AT_LAST, labels=_labels(final), positions=_numbers(final)))]
    views += [call for call in calls if call.is_ok and len(call.positions) == len(call.labels)]
    one_life = not any(call.kind is Kind.DELETE for call in calls)
    position_of: dict[str, tuple[int, Call]] = {}
    label_at: dict[int, tuple[str, Call]] = {}
    for call in views:
        if any(one >= other for one, other in pairwise(call.positions)):
            yield Violation("positions", f"they do not increase: {list(call.positions)[:20]}", (call,))
        for position, label in zip(call.positions, call.labels, strict=True):
            earlier = position_of.setdefault(label, (position, call))
            holder = label_at.setdefault(position, (label, call))
            if earlier[0] != position:
                detail = f"{label!r} is at {position}, and was at {earlier[0]}"
                yield Violation("positions", detail, (earlier[1], call))
            elif one_life and holder[0] != label:
                yield Violation("positions", f"{position} is that of {label!r} and {holder[0]!r}", (holder[1], call))


def _labels(shown: Sequence[Shown]) -> tuple[str, ...]:
    return tuple(label for _, label in shown)


def _numbers(shown: Sequence[Shown]) -> tuple[int, ...]:
    return tuple(position for position, _ in shown)


# -- With removals --------------------------------------------------------------------------------------------------


def _sweeps(calls: Iterable[Call]) -> list[Call]:
    """What removes everything, in the order of its beginning."""
    kinds = (Kind.CLEAR, Kind.DELETE, Kind.IMPORT)
    return sorted((call for call in calls if call.kind in kinds and call.may_have_happened), key=lambda c: c.invoked)


def _pops(calls: Sequence[Call]) -> Iterator[Violation]:
    popped: dict[str, Call] = {}
    for call in calls:
        if call.kind is Kind.POP and call.is_ok:
            for label in call.labels:
                if popped.setdefault(label, call) is not call:
                    yield Violation("disjoint pops", f"{label!r} was popped twice", (popped[label], call))


def _balance(calls: Sequence[Call], final: Sequence[Shown]) -> Iterator[Violation]:
    remaining = Counter(label for _, label in final)
    popped = {label for call in calls if call.kind is Kind.POP and call.is_ok for label in call.labels}
    lost: list[tuple[str, Call]] = []
    sweeps = [None, None, *sorted(_sweeps(calls), key=lambda call: call.ended)]
    for call in _appends(calls):
        last = sweeps[-2] if call is sweeps[-1] else sweeps[-1]
        swept = -1 if last is None else last.ended
        for label in call.labels:
            times = remaining.pop(label, 0)
            if times > 1:
                yield Violation("exactly once", f"{label!r} remains {times} times", (call,))
            if call.outcome is Outcome.FAILED and (times or label in popped):
                yield Violation("exactly once", "a call that failed has left a message", (call,))
            if call.is_ok and not times and label not in popped and swept < call.invoked:
                lost.append((label, call))
        popped.difference_update(call.labels)
    unknown_pops = sum(call.kind is Kind.POP and call.outcome is Outcome.UNKNOWN for call in calls)
    if len(lost) > unknown_pops:
        detail = f"{[label for label, _ in lost][:20]} are lost; pops of unknown outcome: {unknown_pops}"
        yield Violation("exactly once", detail, tuple(dict.fromkeys(call for _, call in lost)))
    for label in [*remaining, *popped]:
        yield Violation("exactly once", f"{label!r} was shown, and nobody appended it")


def _resurrected(calls: Sequence[Call], final: Sequence[Shown]) -> Iterator[Violation]:
    shows = [call for call in calls if call.is_ok and call.kind in (Kind.READ, Kind.POP)]
    # When each message is known to have been there, and when it is known to be gone.
    known: dict[str, int] = {}
    for call in [*shows, *(call for call in _appends(calls) if call.is_ok)]:
        for label in call.labels:
            known[label] = min(known.get(label, NEVER), call.completed)
    sweeps = [call for call in _sweeps(calls) if call.is_ok]
    begins = [call.invoked for call in sweeps]
    # Of the sweeps from each one on, the one that ended first.
    first = list(accumulate(reversed(sweeps), _earlier))[::-1]
    gone = {label: call for call in shows if call.kind is Kind.POP for label in call.labels}
    for label, since in known.items():
        index = bisect_right(begins, since)
        if index < len(first) and (label not in gone or first[index].completed < gone[label].completed):
            gone[label] = first[index]
    for call in shows:
        for label in call.labels:
            if label in gone and gone[label].completed < call.invoked:
                yield Violation("resurrected", f"{label!r} is shown after its removal", (gone[label], call))
    for _, label in final:
        if label in gone:
            yield Violation("resurrected", f"{label!r} is there at the end, after its removal", (gone[label],))


def _parts(calls: Sequence[Call], final: Sequence[Shown]) -> Iterator[Violation]:
    """What every read and the end show of a batch: all but what may have been popped off its end."""
    author = {label: call for call in _appends(calls) for label in call.labels}
    popped_from = {
        label: call.invoked for call in calls if call.kind is Kind.POP and call.is_ok for label in call.labels
    }
    unknown = sorted(call.invoked for call in calls if call.kind is Kind.POP and call.outcome is Outcome.UNKNOWN)
    for view in _all_views(calls, final):
        met: set[int] = set()
        missing = 0
        runs = list(_runs((label for label in view.labels if label in author), author))
        for number, (batch, pairs) in enumerate(runs):
            labels = tuple(label for label, _ in pairs)
            begin = batch.labels.index(labels[0])
            cut_by_window = number == 0 and view.limit is not None and len(view.labels) == view.limit
            if id(batch) in met or batch.labels[begin : begin + len(labels)] != labels or (begin and not cut_by_window):
                yield Violation("whole batches", f"a read shows {list(labels)} of a batch", (batch, view))
            met.add(id(batch))
            rest = batch.labels[begin + len(labels) :]
            missing += sum(popped_from.get(label, AT_LAST) >= view.completed for label in rest)
        if missing > bisect_left(unknown, view.completed):
            yield Violation("whole batches", f"a read lacks {missing} messages of the batches it shows", (view,))


def _views(calls: Sequence[Call], final: Sequence[Shown]) -> Iterator[Violation]:
    """Real time, in everything shown at once; nothing twice; nothing of what failed or was not yet asked for."""
    author = {label: call for call in _appends(calls) for label in call.labels}
    for view in _all_views(calls, final):
        if len(set(view.labels)) < len(view.labels):
            yield Violation("exactly once", "a read shows a message twice", (view,))
        runs = [call for call, _ in _runs((label for label in view.labels if label in author), author)]
        yield from _real_time(runs)
        for call in runs:
            if call.outcome is Outcome.FAILED or call.invoked > view.completed:
                yield Violation("freshness", "a read shows what failed, or was not asked for yet", (call, view))


def _all_views(calls: Sequence[Call], final: Sequence[Shown]) -> list[Call]:
    reads = [call for call in calls if call.kind is Kind.READ and call.is_ok]
    return [*reads, Call("the end", Kind.READ, AT_LAST, AT_LAST, labels=_labels(final), positions=_numbers(final))]
