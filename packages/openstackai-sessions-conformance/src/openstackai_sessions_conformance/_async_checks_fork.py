"""Check 99: a fork leaves parent and child working."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections import Counter

from openstackai_sessions_conformance._async_scene import plain_check
from openstackai_sessions_conformance._async_seam import KINDS, Runner, open_on
from openstackai_sessions_conformance._capabilities import Capability
from openstackai_sessions_conformance._findings import fail, require, same
from openstackai_sessions_conformance._harness import leave_out
from openstackai_sessions_conformance._place import Place
from openstackai_sessions_conformance._settings import Tier
from openstackai_sessions_core import AsyncSession
from openstackai_sessions_core.backend import AsyncBaseStore

__all__ = ["AsyncForkChecks"]

PATIENCE = 20.0
EACH = 3
# How long the parent rests before each fork, in seconds: what a store does by itself goes on meanwhile.
RESTS = (0.0, 0.02, 0.003)
WAYS = ("inherited handle", "inherited store", "own store")
LOST = "one side's connection, file descriptor or log is used, or closed, by the other"


class AsyncForkChecks:
    """The check of forks."""

    @plain_check(99, cause="connections, locks or threads of the parent are used in the child")
    def test_099_a_fork_leaves_both_sides_working(
        self, place: Place, capabilities: Capability, seed: int, tier: Tier
    ) -> None:
        """The child writes and reads, by what it inherits too; the parent goes on; what both wrote is there once."""
        if not hasattr(os, "fork"):
            leave_out("this system has no fork")
        del seed
        runner = Runner()
        try:
            store = runner.do(lambda: open_on(place))
            busy = _Busy(store) if Capability.THREADS in capabilities & KINDS else None
            try:
                _fork_often(runner, place, store, {"quick": 3, "full": 20, "soak": 200}[tier])
            finally:
                if busy is not None:
                    busy.end()
            if busy is not None:
                busy.judge(runner)
            runner.do(store.close)
        finally:
            runner.close()


class _Busy:
    """A thread of the parent that writes all the time, so that forks happen in the middle of its calls too."""

    def __init__(self, store: AsyncBaseStore) -> None:
        self._session, self._on = store.session("busy"), True
        self._acknowledged: list[str] = []
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def _write(self) -> None:
        runner = Runner()
        try:
            while self._on:
                label = f"busy {len(self._acknowledged)}"
                runner.do(lambda label=label: self._session.add_message("user", label))  # type: ignore[misc]
                self._acknowledged.append(label)
                time.sleep(0.000_1)
        except Exception as error:
            self._error = error
        finally:
            runner.close()

    def end(self) -> None:
        self._on = False
        self._thread.join(PATIENCE)

    def judge(self, runner: Runner) -> None:
        """What was acknowledged is there once, and no call failed or is stuck."""
        what = "a thread of the parent that writes while another one forks"
        require(not self._thread.is_alive(), f"{what} to end", f"it hangs after {len(self._acknowledged)} calls")
        require(self._error is None, f"{what} to meet no error", f"{type(self._error).__name__}: {self._error}")
        seen = [str(message.content) for message in runner.do(self._session.get_messages)]
        same(seen, self._acknowledged, f"the messages of {what}", cause=LOST)


def _fork_often(runner: Runner, place: Place, store: AsyncBaseStore, children: int) -> None:
    """Fork again and again; each child uses what it inherits, and a store of its own, while the parent goes on."""
    session, late = store.session("s"), store.session("late")
    runner.do(lambda: session.add_message("user", "before"))
    for number in range(children):
        listener, teller = os.pipe()
        known = [str(message.content) for message in runner.do(session.get_messages)]
        time.sleep(RESTS[number % len(RESTS)])
        child = _fork()
        if child == 0:
            os.close(listener)
            _be_the_child(place, store, session, known, number, teller)
        os.close(teller)
        try:
            for part in range(EACH):
                runner.do(lambda label=f"parent {number}.{part}": session.add_message("user", label))  # type: ignore[misc]
            _wait(child, listener)
        finally:
            os.close(listener)
        runner.do(lambda number=number: session.add_message("user", f"parent {number}, afterwards"))  # type: ignore[misc]
        runner.do(lambda number=number: late.set(f"child {number}", "has ended"))  # type: ignore[misc]
    wanted = ["before"]
    for number in range(children):
        wanted += [f"parent {number}.{part}" for part in range(EACH)] + [f"parent {number}, afterwards"]
        if not place.single:
            wanted += _of_child(number)
    seen = Counter(str(message.content) for message in runner.do(session.get_messages))
    lost = [label for label in wanted if not seen[label]]
    more = [label for label in seen if label not in wanted or seen[label] > 1]
    what = f"each message of the parent and of {children} forked children once, {len(wanted)} in all"
    require(not lost, what, f"{len(lost)} that were acknowledged are lost, such as {lost[:3]}", cause=LOST)
    require(not more, what, f"{len(more)} are there twice, or by nobody, such as {more[:3]}", cause=LOST)
    same(len(runner.do(late.metadata)), children, "the keys that the parent has set after each child")


def _of_child(number: int) -> list[str]:
    """What a child writes: by the handle it inherits, by a new one on the store it inherits, by a store of its own."""
    return [f"child {number}, {way} {part}" for way in WAYS for part in range(EACH)]


def _fork() -> int:
    with warnings.catch_warnings():
        # Python warns of forks in processes with threads: that they work is what is checked.
        warnings.simplefilter("ignore")
        return os.fork()


def _be_the_child(
    place: Place, store: AsyncBaseStore, inherited: AsyncSession, known: list[str], number: int, teller: int
) -> None:
    """Write, read, tell the parent what went wrong, and end without running what the parent has registered."""
    code, doing = 1, "starting"
    try:
        # An event loop is not to be inherited; handles and stores are.
        runner = Runner()
        for way, session in zip(WAYS, (inherited, store.session("s"), None), strict=True):
            doing = f"by the {way}"
            used = runner.do(lambda: open_on(place)).session("s") if session is None else session
            for part in range(EACH):
                label = f"child {number}, {way} {part}"
                runner.do(lambda used=used, label=label: used.add_message("user", label))  # type: ignore[misc]
            seen = [str(message.content) for message in runner.do(used.get_messages)]
            own = [label for label in seen if label.startswith(f"child {number}, {way}")]
            same(own, [f"child {number}, {way} {part}" for part in range(EACH)], f"what it has written {doing}, read")
            missing = [label for label in known if label not in seen]
            require(not missing, f"what was there at the fork, read {doing}", f"{missing[:3]} missing")
        code = 0
    except BaseException as error:
        os.write(teller, f"{doing}: {type(error).__name__}: {error}"[:4000].encode("utf-8", "replace"))
    finally:
        os._exit(code)


def _wait(child: int, listener: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            if status:
                said = os.read(listener, 4000).decode("utf-8", "replace") or "nothing"
                fail("the child to write and to read what it wrote", f"wait status {status}; it said: {said}")
            return
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    fail(
        f"the child to write, read and end within {PATIENCE:g} s",
        "it hangs",
        cause="a lock that another thread of the parent held when the process was forked, or its handle on the engine",
    )
