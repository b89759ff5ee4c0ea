"""What happened in a concurrent run: who called what, when, and what came of it."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, TextIO

from openstackai_sessions_core import OutcomeUnknownError, SessionError

__all__ = ["Call", "Kind", "Outcome", "Recorder", "Recording", "Shown", "Violation", "read_histories"]

# Later than every time: when a call has ended whose outcome is unknown.
NEVER = sys.maxsize


class Kind(str, Enum):
    """What was called."""

    APPEND = "append"
    POP = "pop"
    CLEAR = "clear"
    DELETE = "delete"
    IMPORT = "import"
    """Of a document without metadata, in the place of everything."""
    READ = "read"
    COUNT = "count"
    SET = "set"
    REMOVE = "remove"
    GET = "get"


class Outcome(str, Enum):
    """What came of a call."""

    OK = "ok"
    """It was acknowledged."""
    FAILED = "failed"
    """It had no effect, and never will."""
    UNKNOWN = "unknown"
    """It took effect once, at some time after it was called, or it never does."""


class Shown(NamedTuple):
    """A message as a read shows it: its position, and the label by which the run knows it."""

    position: int
    label: str


@dataclass(frozen=True)
class Call:
    """One call on one session. Every message of a run has a label of its own, written once.

    `invoked` and `completed` are nanoseconds on one monotonic clock, which processes of one machine share on Linux.
    """

    client: str
    kind: Kind
    invoked: int
    completed: int = NEVER
    outcome: Outcome = Outcome.OK
    labels: tuple[str, ...] = ()
    """Append: the batch. Import: the content. Read: what it showed, oldest first. Pop: the one it removed, if any."""
    positions: tuple[int, ...] = ()
    """Of these labels, one each; or empty where they are not known."""
    limit: int | None = None
    """Of a read."""
    count: int | None = None
    """What a count returned."""
    key: str | None = None
    value: str | None = None
    """What was set, or what a get showed; None where the key was missing."""

    @property
    def ended(self) -> int:
        """The time after which the call has no effect any more."""
        return NEVER if self.outcome is Outcome.UNKNOWN else self.completed

    @property
    def is_ok(self) -> bool:
        """Whether it was acknowledged."""
        return self.outcome is Outcome.OK

    @property
    def may_have_happened(self) -> bool:
        """Whether it was acknowledged or may have taken effect."""
        return self.outcome is not Outcome.FAILED

    def __str__(self) -> str:
        said = [self.kind.value, *self.labels]
        said += [f"{name}={value}" for name in ("limit", "count", "key", "value") if (value := getattr(self, name))]
        until = "?" if self.completed == NEVER else self.completed
        return f"{self.client}: {' '.join(said)} [{self.outcome.value}, {self.invoked}..{until}]"


@dataclass(frozen=True)
class Violation:
    """A rule that a history breaks, the calls that show it, and what to look at."""

    rule: str
    detail: str
    calls: tuple[Call, ...] = ()

    def __str__(self) -> str:
        return "\n  ".join([f"{self.rule}: {self.detail}", *map(str, self.calls)])


@dataclass
class Recording:
    """A call under way; what it returns is noted here before the `with` block ends."""

    labels: Sequence[str] = ()
    positions: Sequence[int] = ()
    count: int | None = None
    value: str | None = None
    call: Call | None = None
    """The finished call, after the block."""
    _finish: Callable[[Recording, BaseException | None], None] = field(default=lambda *_: None, repr=False)

    def show(self, shown: Iterable[tuple[int, str]]) -> None:
        """Note messages that were read, popped or stored: (position, label) pairs."""
        pairs = list(shown)
        self.positions = [position for position, _ in pairs]
        self.labels = [label for _, label in pairs]

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._finish(self, error)


class Recorder:
    """Records calls; threads, tasks and callers may share one, and each process has its own.

    With a `path`, every beginning and every end is a line of JSON there, flushed at once: what a process that was
    killed leaves is complete but for the calls under way, which `read_histories` takes as unknown.

        with recorder.record("worker 1", Kind.APPEND, labels=["a"]) as call:
            call.positions = [session.add_message("user", "a").position]
    """

    def __init__(
        self, path: str | PathLike[str] | None = None, *, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._calls: list[Call] = []
        self._last = 0
        self._begun = 0
        self._file: TextIO | None = None if path is None else Path(path).open("a", encoding="utf-8")  # noqa: SIM115

    @property
    def calls(self) -> list[Call]:
        """What has ended so far, in the order of its end."""
        with self._lock:
            return list(self._calls)

    def record(
        self,
        client: str,
        kind: Kind,
        *,
        labels: Sequence[str] = (),
        limit: int | None = None,
        key: str | None = None,
        value: str | None = None,
    ) -> Recording:
        """Begin a call, of which the `with` block is the duration.

        It is acknowledged where the block ends without an error, failed where it raises a `SessionError` that says so,
        and unknown where it raises `OutcomeUnknownError`, is cancelled, or ends by an error of another kind. Errors
        propagate.
        """
        with self._lock:
            begun = Call(client, kind, self._now(), labels=tuple(labels), limit=limit, key=key, value=value)
            self._begun += 1
            number = self._begun
            self._write("begun", number, begun)
        return Recording(
            labels, value=value, _finish=lambda recording, error: self._finish(number, begun, recording, error)
        )

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _finish(self, number: int, begun: Call, recording: Recording, error: BaseException | None) -> None:
        with self._lock:
            call = recording.call = Call(
                begun.client,
                begun.kind,
                begun.invoked,
                self._now(),
                outcome_of(error),
                tuple(recording.labels),
                tuple(recording.positions),
                begun.limit,
                recording.count,
                begun.key,
                recording.value,
            )
            self._calls.append(call)
            self._write("ended", number, call)

    def _now(self) -> int:
        """The time; never the same twice, so that one call after another is seen to be so on any clock."""
        self._last = max(self._clock(), self._last + 1)
        return self._last

    def _write(self, what: str, number: int, call: Call) -> None:
        if self._file is not None:
            self._file.write(json.dumps({what: number, **asdict(call)}) + "\n")
            self._file.flush()


def outcome_of(error: BaseException | None) -> Outcome:
    """What an error of the library says of the call that raised it."""
    if error is None:
        return Outcome.OK
    if isinstance(error, OutcomeUnknownError) or not isinstance(error, SessionError):
        return Outcome.UNKNOWN
    return Outcome.FAILED


def read_histories(*paths: str | PathLike[str]) -> list[Call]:
    """The calls that recorders wrote to these files, in the order of their beginning.

    A call that has no end (its process was killed) is unknown; a last line that was cut short is left out.
    """
    calls: list[Call] = []
    for path in paths:
        begun: dict[int, Call] = {}
        for line in Path(path).read_text(encoding="utf-8").splitlines(keepends=True):
            if not line.endswith("\n"):
                break
            told = json.loads(line)
            ended = told.pop("ended", None)
            number = told.pop("begun", ended)
            told |= {"kind": Kind(told["kind"]), "outcome": Outcome(told["outcome"])}
            told |= {"labels": tuple(told["labels"]), "positions": tuple(told["positions"])}
            if ended is None:
                told["outcome"] = Outcome.UNKNOWN
            begun[number] = Call(**told)
        calls += begun.values()
    return sorted(calls, key=lambda call: call.invoked)
