"""The checks of the asynchronous side alone: cancellation (59, 100), the event loop (101). `_own.py` is its twin."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from openstackai_sessions_conformance._async_checks_events import hear_all
from openstackai_sessions_conformance._async_scene import AsyncScene, check
from openstackai_sessions_conformance._findings import fail, require, same
from openstackai_sessions_conformance._views import contents, document, entry
from openstackai_sessions_core import AsyncSession, Message, SessionEvent

__all__ = ["AsyncOwnChecks"]

CALLS: dict[str, tuple[Callable[[AsyncSession], Awaitable[Any]], object]] = {
    "add_message": (lambda s: s.add_message("user", "x"), [["old", "x"], {"k": 1}]),
    "add_messages": (lambda s: s.add_messages([{"content": 1}, {"content": 2}]), [["old", 1, 2], {"k": 1}]),
    "pop_message": (lambda s: s.pop_message(), [[], {"k": 1}]),
    "clear": (lambda s: s.clear(), [[], {"k": 1}]),
    "set": (lambda s: s.set("k", 2), [["old"], {"k": 2}]),
    "update": (lambda s: s.update({"k": 2, "l": 3}), [["old"], {"k": 2, "l": 3}]),
    "remove": (lambda s: s.remove("k"), [["old"], {}]),
    "import_data": (lambda s: s.import_data(document(entry("n", content=1))), [[1], {}]),
    "delete": (lambda s: s.delete(), [[], {}]),
    "get_messages": (lambda s: s.get_messages(), [["old"], {"k": 1}]),
    "export": (lambda s: s.export(), [["old"], {"k": 1}]),
}
BEFORE = [["old"], {"k": 1}]
# More than most pools hold.
MANY = 12


class AsyncOwnChecks:
    """The checks 100 and 101, and the part of 59 that only tasks have."""

    @check(59, cause="`except Exception` around a handler, which a cancellation inside it passes by")
    async def test_059_a_handler_that_meets_a_cancellation_of_its_own_harms_nothing(self, scene: AsyncScene) -> None:
        """A handler that waits for something which was cancelled has failed; its caller was not cancelled."""
        if not hasattr(asyncio.Task, "cancelling"):
            return  # Python 3.10, where tasks do not tell who was cancelled

        async def waits(_: Message) -> None:
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future

        session = scene.session()
        heard: list[object] = []
        session.on(SessionEvent.MESSAGE_ADDED, waits)
        session.on(SessionEvent.MESSAGE_ADDED, lambda message: heard.append(message.content))
        call = asyncio.ensure_future(_main(lambda s: s.add_messages([{"content": 1}, {"content": 2}]), session))
        await asyncio.wait([call], timeout=10)
        require(call.done(), "add_messages() to end", "it still runs")
        require(not call.cancelled(), "add_messages() to return", "CancelledError, of a handler's own")
        same(contents(call.result()), [1, 2], "what add_messages() returned")
        same(heard, [1, 2], "what the next handler heard")

    @check(100, cause="the cancellation is caught and forgotten, or leaves a connection with an answer in it")
    async def test_100_cancelled_calls_are_all_or_nothing(self, scene: AsyncScene) -> None:
        """A call that is cancelled, at whatever moment, raises `CancelledError` and is applied whole or not at all."""
        for name, (call, after) in CALLS.items():
            for steps in range(scene.pick(14, 40, 100)):
                session = scene.session(f"{name} {steps}")
                await session.add_message("user", "old")
                await session.set("k", 1)
                heard = hear_all(session)
                task = asyncio.ensure_future(_main(call, session))
                for _ in range(steps):
                    await asyncio.sleep(0)
                cancelled = task.cancel()
                done, _ = await asyncio.wait([task], timeout=10)
                what = f"{name}, cancelled after {steps} steps of the loop"
                require(done, f"{what}, to end", "it still runs")
                if cancelled and not task.cancelled():
                    fail(f"{what}, to raise CancelledError", task.exception() or "its result")
                state = [contents(await session.get_messages()), await session.metadata()]
                require(state in (BEFORE, after), f"{what}: {BEFORE} or {after}", state)
                wanted = 0 if state == BEFORE else 2 if name in ("add_messages", "update") else 1
                same(len(heard), wanted, f"the number of events of {what}, once it has ended: what was written fires")
                message = await scene.session(f"{name} {steps}").add_message("user", "next")
                same(message.content, "next", f"the answer of the call after {what}")
                same((await session.get_messages(1))[0].content, "next", f"what is read after {what}")
                if not cancelled:
                    break

    @check(100, cause="a connection, a lock or a slot that a cancelled call took is not given back")
    async def test_100_cancelled_calls_leave_nothing_taken(self, scene: AsyncScene) -> None:
        """However many calls were cancelled, as many are served afterwards."""
        session = scene.session()
        await session.add_message("user", "old")
        for name, (call, _) in CALLS.items():
            for steps in range(scene.pick(5, 12, 40)):
                for _ in range(MANY):
                    task = asyncio.ensure_future(_main(call, scene.session(name)))
                    for _ in range(steps):
                        await asyncio.sleep(0)
                    task.cancel()
                    await asyncio.wait([task], timeout=10)
                reads = [asyncio.ensure_future(_main(lambda s: s.get_messages(1), session)) for _ in range(MANY)]
                _, pending = await asyncio.wait(reads, timeout=10)
                what = f"each of {MANY} reads after {MANY} calls of {name}, cancelled after {steps} steps of the loop,"
                require(not pending, f"{what} to end", f"{len(pending)} still wait")
                failed = [read.exception() for read in reads if read.exception() is not None]
                require(not failed, f"{what} to return", failed[:1])

    @check(100, cause="waiting callers are not told apart")
    async def test_100_neighbours_of_a_cancelled_call_are_unharmed(self, scene: AsyncScene) -> None:
        """Cancelling some of many calls on one handle leaves the results of the others their own."""
        session = scene.session()
        rounds = scene.pick(6, 40, 400)
        for turn in range(rounds):
            tasks = [
                asyncio.ensure_future(_main(lambda s, n=n, t=turn: s.add_message("user", [t, n]), session))  # type: ignore[misc]
                for n in range(20)
            ]
            for _ in range(scene.random.randrange(6)):
                await asyncio.sleep(0)
            for number in range(0, 20, 2):
                tasks[number].cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            for number, result in enumerate(results):
                if number % 2:
                    require(not isinstance(result, BaseException), "no error where nothing was cancelled", result)
                    content = result["content"] if isinstance(result, Message) else result
                    same(content, [turn, number], "the answer of a call that was not cancelled")
        seen = [str(message.content) for message in await session.get_messages()]
        require(len(seen) == len(set(seen)), "each message at most once", f"{len(seen) - len(set(seen))} are doubled")
        kept = [str([turn, number]) for turn in range(rounds) for number in range(1, 20, 2)]
        require(
            set(kept) <= set(seen), "every message that was not cancelled", f"{len(set(kept) - set(seen))} are lost"
        )

    @check(101, cause="a blocking driver, file, lock or sleep, or much JSON, on the event loop's thread", seconds=120)
    async def test_101_the_loop_is_never_blocked(self, scene: AsyncScene) -> None:
        """While calls run, other tasks run: the loop is never held for over 50 ms."""
        session = scene.session()
        many = [{"content": number, "text": "x" * 100} for number in range(3_000)]
        loaded = document(*[entry(f"m{number}", n=number) for number in range(3_000)])
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "add_message": lambda: session.add_message("user", "x"),
            "add_messages of 3,000": lambda: session.add_messages(many),
            "get_messages of 3,000": lambda: session.get_messages(3_000),
            "set": lambda: session.set("k", "x" * 1000),
            "metadata": session.metadata,
            "pop_message": session.pop_message,
            "count": session.count,
            "export": session.export,
            "clear": session.clear,
            "import_data of 3,000": lambda: session.import_data(loaded),
            "list_sessions": scene.store.list_sessions,
            "delete": session.delete,
            "add_message while another store writes": lambda: _contended(scene),
        }
        for name, call in calls.items():
            # A busy machine holds anything up now and then; a call that blocks does so each time.
            gaps = []
            for _ in range(5):
                gaps.append(await _longest_gap(call))
                if gaps[-1] <= 0.05:
                    break
            require(min(gaps) <= 0.05, f"{name} to hold the loop for at most 50 ms", f"{min(gaps) * 1000:.0f} ms")

    @check(101, cause="a lock, a future or a connection that belongs to the loop that is gone")
    async def test_101_a_second_loop_works_or_says_so(self, scene: AsyncScene) -> None:
        """In a second event loop a new store works, and the first loop's store works or raises.

        What a loop has acknowledged does not depend on how long it lives.
        """
        await scene.session().add_message("user", "x")
        results: list[object] = []

        async def elsewhere() -> None:
            results.append(await scene.session().count())
            # The last that this loop does.
            await scene.session().add_message("user", "y")
            results.append("acknowledged")

        def run() -> None:
            try:
                asyncio.run(asyncio.wait_for(elsewhere(), 15))
            except Exception as error:
                results.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        deadline = time.monotonic() + 20
        while thread.is_alive() and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        require(results, "a second loop to get an answer or an error", "neither, for 20 s")
        if isinstance(results[0], asyncio.TimeoutError):
            fail("a second loop to get an answer or a clear error", "it waited for ever")
        if not isinstance(results[0], Exception):
            same(results[0], 1, "count() in a second loop")
        count = await scene.session().count()
        kept = count == 2 if "acknowledged" in results else count in (1, 2)
        require(kept, "both messages in the first loop afterwards, as both were acknowledged", f"count() is {count}")


async def _main(call: Callable[[AsyncSession], Awaitable[Any]], session: AsyncSession) -> Any:
    return await call(session)


async def _contended(scene: AsyncScene) -> None:
    await asyncio.gather(
        *[(scene.store if n % 2 else scene.second).session("t").add_message("user", n) for n in range(20)]
    )


async def _longest_gap(call: Callable[[], Awaitable[object]]) -> float:
    """For how long at most the loop was held while the call ran, less what threads spent waiting for a core."""
    gaps = [0.0]

    async def beat() -> None:
        last, waited = time.perf_counter(), _kept_waiting()
        while True:
            await asyncio.sleep(0.001)
            now, waits = time.perf_counter(), _kept_waiting()
            gaps.append(now - last - max((waits[id] - waited.get(id, 0.0) for id in waits), default=0.0))
            last, waited = time.perf_counter(), waits

    heart = asyncio.ensure_future(beat())
    await asyncio.sleep(0.005)
    await call()
    await asyncio.sleep(0.002)
    heart.cancel()
    await asyncio.wait([heart])
    return max(gaps)


def _kept_waiting() -> dict[str, float]:
    """Seconds for which each thread of this process was ready to run and had no core so far, where the system tells."""
    waits = {}
    for path in Path("/proc/self/task").glob("*/schedstat"):
        with suppress(OSError, ValueError, IndexError):  # the thread has ended, or the kernel keeps no count
            waits[path.parent.name] = int(path.read_text("ascii").split()[1]) / 1e9
    return waits
