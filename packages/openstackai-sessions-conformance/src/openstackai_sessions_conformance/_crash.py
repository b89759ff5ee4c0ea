"""Kill what writes, or the server that it writes to, again and again, and see what was kept."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from openstackai_sessions_conformance._blocking import handle_of, opened
from openstackai_sessions_conformance._crash_worker import FAILED, Orders, find
from openstackai_sessions_conformance._history import Call, Kind, Outcome, Shown, Violation, read_histories
from openstackai_sessions_conformance._history_rules import check_appends, check_metadata
from openstackai_sessions_core import BackendUnavailableError, Session

__all__ = ["CrashReport", "Worker", "crash_clients", "crash_server"]

# A worker needs none of what this package imports as a whole.
START = """
import sys, types
package = types.ModuleType("openstackai_sessions_conformance")
package.__path__ = [sys.argv[1]]
sys.modules[package.__name__] = package

def load(name):
    # A target that itself imports from the package gets all of it.
    del package.__getattr__
    with open(sys.argv[1] + "/__init__.py", encoding="utf-8") as file:
        exec(compile(file.read(), file.name, "exec"), vars(package))
    return getattr(package, name)

package.__getattr__ = load
from openstackai_sessions_conformance._blocking import handle_of, opened
from openstackai_sessions_conformance._crash_worker import work
work()
"""
# Workers that wait, having imported what they need.
AHEAD = 2
# One round in so many is over before anything need have been written.
EARLY = 4
# In seconds: how long a server may take to be back.
PATIENCE = 30.0


@dataclass
class CrashReport:
    """What was killed, what had been written, and what became of it. Messages are counted, not calls."""

    kills: int = 0
    acknowledged: int = 0
    """Messages whose append returned."""
    unknown: int = 0
    """Messages whose append was under way, or ended in `OutcomeUnknownError`."""
    lost: int = 0
    """Acknowledged, and not there."""
    doubled: int = 0
    """There more than once."""
    torn: int = 0
    """Batches of which a part is there."""
    seconds: float = 0.0
    violations: list[Violation] = field(default_factory=list)

    def __str__(self) -> str:
        summary = (
            f"{self.kills} kills in {self.seconds:.1f} s ({self.kills / max(self.seconds, 1e-9):.1f}/s), "
            f"{self.acknowledged} messages acknowledged, {self.unknown} unknown; "
            f"lost {self.lost}, doubled {self.doubled}, torn {self.torn}"
        )
        return "\n".join([summary, *map(str, self.violations)])


def crash_clients(
    target: str,
    args: Sequence[str] = (),
    *,
    kills: int = 50,
    writers: int = 1,
    span: float = 0.05,
    batch: int = 5,
    seed: int = 0,
) -> CrashReport:
    """Kill (SIGKILL) processes that write, at random points, and check the store that is then opened anew.

    `target` is `module:callable`; called with `args` it opens the store, always the same one: in the workers, which are
    new processes each time, and here. Name the backend's own callable, so that it is imported before the clock starts.
    In each round `writers` processes write to one new session, and are killed one after another, within `span` seconds
    of the first append, or (one in four, but not the first) of being told to open the store. Then the session is
    checked: everything acknowledged is there once, everything else at most once, no batch in part, all in order. At the
    end every session is checked again.
    """
    scene = _Scene(target, args, writers=writers, batch=batch, seed=seed)
    with scene.resources:
        while scene.report.kills < kills:
            workers = scene.begin()
            # Whatever the seed, something was acknowledged in the end.
            if scene.random.randrange(EARLY) or not scene.report.acknowledged:
                workers[0].wait_for_append()
            for worker in workers:
                time.sleep(scene.random.uniform(0, span / writers))
                worker.kill()
                scene.report.kills += 1
            scene.check(workers)
        return scene.finish()


def crash_server(
    target: str,
    args: Sequence[str] = (),
    *,
    kill: Callable[[], None],
    restart: Callable[[], None],
    kills: int = 10,
    writers: int = 2,
    span: float = 0.3,
    batch: int = 5,
    seed: int = 0,
) -> CrashReport:
    """Kill a server under processes that write to it, restart it, and check it; see `crash_clients`.

    `kill` ends the server at once, as SIGKILL does; `restart` starts it on the same data, and may return before it
    answers. The workers write on until the server has been back for up to `span` seconds, so that what they retried
    is checked too.
    """
    scene = _Scene(target, args, writers=writers, batch=batch, seed=seed)
    with scene.resources:
        while scene.report.kills < kills:
            workers = scene.begin()
            workers[0].wait_for_append()
            time.sleep(scene.random.uniform(0, span))
            kill()
            scene.report.kills += 1
            restart()
            time.sleep(scene.random.uniform(span / 10, span))
            for worker in workers:
                worker.kill()
            scene.check(workers)
        return scene.finish()


@dataclass
class _Round:
    session_id: str
    calls: list[Call]


class _Scene:
    def __init__(self, target: str, args: Sequence[str], *, writers: int, batch: int, seed: int) -> None:
        self.report = CrashReport()
        self.random = random.Random(seed)
        self.resources = ExitStack()
        self._target = target
        self._args = list(args)
        self._open = find(target)
        self._writers = writers
        self._batch = batch
        self._name = f"crash-{os.getpid()}-{time.time_ns()}"
        self._rounds: list[_Round] = []
        self._folder = Path(self.resources.enter_context(tempfile.TemporaryDirectory()))
        self._waiting = [self._start() for _ in range(writers + AHEAD)]
        self._began = time.monotonic()

    def begin(self) -> list[Worker]:
        """Let waiting workers write to a session that is new."""
        session_id = f"{self._name}-{len(self._rounds)}"
        self._rounds.append(_Round(session_id, []))
        workers = [self._waiting.pop(0) for _ in range(self._writers)]
        for number, worker in enumerate(workers):
            worker.write(
                {
                    "target": self._target,
                    "args": self._args,
                    "session_id": session_id,
                    "client": f"w{number}",
                    "history": str(self._folder / f"{len(self._rounds)}-{number}"),
                    "seed": self.random.randrange(2**32),
                    "batch": self._batch,
                    "work": "write",
                    "count": 0,
                }
            )
        self._waiting += [self._start() for _ in workers]
        return workers

    def check(self, workers: Sequence[Worker]) -> None:
        """Take the workers' notes, and look whether the store agrees."""
        done = self._rounds[-1]
        done.calls = read_histories(*(worker.history for worker in workers if worker.history.exists()))
        for call in done.calls:
            self.report.acknowledged += len(call.labels) if call.is_ok else 0
            self.report.unknown += len(call.labels) if call.outcome is Outcome.UNKNOWN else 0
        self._compare([done])

    def finish(self) -> CrashReport:
        """Look once more at every session."""
        self.report.seconds = time.monotonic() - self._began
        found = self._compare(self._rounds)
        self.report.lost, self.report.doubled, self.report.torn = found.lost, found.doubled, found.torn
        return self.report

    def _start(self) -> Worker:
        worker = Worker(self._target)
        self.resources.callback(worker.kill)
        return worker

    def _compare(self, rounds: Sequence[_Round]) -> CrashReport:
        """What a store opened anew says of these rounds; what is wrong is reported, once."""
        deadline = time.monotonic() + PATIENCE
        while True:
            found = CrashReport()
            try:
                store = opened(self._open, *self._args)
                try:
                    for each in rounds:
                        _look(each, handle_of(store, each.session_id), found)
                finally:
                    store.close()
            except BackendUnavailableError as error:
                if time.monotonic() < deadline:
                    time.sleep(0.05)
                    continue
                found.violations.append(Violation("opens", f"the store is not back after {PATIENCE:g} s: {error}"))
            except Exception as error:
                found.violations.append(Violation("opens", f"the store cannot be read: {error!r}"))
            known = set(map(str, self.report.violations))
            self.report.violations += [violation for violation in found.violations if str(violation) not in known]
            return found


def _look(each: _Round, session: Session, found: CrashReport) -> None:
    final = [Shown(message.position, str(message.content)) for message in session.get_messages()]
    metadata = {key: str(value) for key, value in session.metadata().items()}
    times = Counter(label for _, label in final)
    appends = [call for call in each.calls if call.kind is Kind.APPEND]
    found.lost += sum(call.is_ok and not times[label] for call in appends for label in call.labels)
    found.doubled += sum(count > 1 for count in times.values())
    found.torn += sum(0 < sum(times[label] > 0 for label in call.labels) < len(call.labels) for call in appends)
    found.violations += [*check_appends(each.calls, final), *check_metadata(each.calls, metadata)]


class Worker:
    """A process that waits for orders."""

    def __init__(self, target: str) -> None:
        self.history = Path(os.devnull)
        self.error = "it ended; what it wrote to standard error says why"
        """Why it ended, once `hears` has returned False."""
        self._process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-c", START, str(Path(__file__).parent)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            text=True,
        )
        self.tell({"target": target})

    def write(self, orders: Orders) -> None:
        """Wait until the worker is ready, and let it write."""
        if not self.hears("ready"):
            raise RuntimeError(f"a process that is to write ended before it began: {self.error}")
        self.history = Path(orders["history"])
        self.tell(orders)

    def wait_for_append(self) -> None:
        """Wait until an append was acknowledged."""
        if not self.hears("acknowledged"):
            raise RuntimeError(f"a process that is to write had no append acknowledged: {self.error}")

    def hears(self, word: str) -> bool:
        """Wait for the next line; whether it is that word."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line.startswith(FAILED):
            self.error = line[len(FAILED) :].rstrip()
        return line == f"{word}\n"

    def kill(self) -> None:
        """End the process at once, if it has not ended."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def tell(self, told: Orders | dict[str, str]) -> None:
        """Send one line."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()
