"""Sync sessions and the event loop: threads, order, cancellation, streams that are left, forks."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import itertools
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import agents
import pytest
from stand_in import StandInModel, call, outline, say, stored

from openstackai_sessions_agents import Agent, Runner, as_agents_session
from openstackai_sessions_core import (
    AsyncSession,
    InMemorySession,
    InMemoryStore,
    Session,
    SessionEvent,
    StorageFullError,
)

SLOW = 0.3


class SlowStore(InMemoryStore):
    """A store whose every message takes its time to be written and read, and that keeps a list of who was here."""

    def __init__(self, seconds: float = SLOW) -> None:
        super().__init__()
        self.seconds = seconds
        self.threads: list[int] = []
        self.reading = threading.Event()
        self.writing = threading.Event()

    def append(self, *arguments: Any, **options: Any) -> Any:
        self._wait(self.writing)
        return super().append(*arguments, **options)

    def read(self, *arguments: Any, **options: Any) -> Any:
        self._wait(self.reading)
        return super().read(*arguments, **options)

    def _wait(self, event: threading.Event) -> None:
        self.threads.append(threading.get_ident())
        event.set()
        time.sleep(self.seconds)


class FullStore(InMemoryStore):
    """A store on a disk that is full."""

    def append(self, *_: Any, **__: Any) -> Any:
        raise StorageFullError("the disk is full")


@pytest.mark.parametrize("streamed", [False, True], ids=["run", "streamed"])
async def test_a_slow_sync_session_does_not_hold_up_the_loop(streamed: bool) -> None:
    store = SlowStore()
    agent = Agent(name="Assistant", session=Session(store, "a"), model=StandInModel(say("Hello"), say("Hello")))
    beats: list[float] = []

    async def beat() -> None:
        while True:
            beats.append(time.monotonic())
            await asyncio.sleep(0.01)

    heart = asyncio.create_task(beat())
    began = time.monotonic()
    if streamed:
        async for _ in Runner.run_streamed(agent, "Hi").stream_events():
            pass
    else:
        await Runner.run(agent, "Hi")
    heart.cancel()
    assert time.monotonic() - began >= 3 * SLOW
    assert max(after - before for before, after in itertools.pairwise(beats)) < SLOW * 0.8
    assert threading.get_ident() not in store.threads


@pytest.mark.usefixtures("default_loop")
def test_run_sync_uses_a_sync_session_from_another_thread_too() -> None:
    store = SlowStore(0)
    Runner.run_sync(Agent(name="Assistant", session=Session(store, "a"), model=StandInModel(say("Hello"))), "Hi")
    assert len(store.threads) == 3
    assert threading.get_ident() not in store.threads


async def test_tools_that_fill_the_loops_own_threads_do_not_hold_up_sessions() -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))
    release = threading.Event()
    tool = loop.run_in_executor(None, release.wait)
    agent = Agent(name="Assistant", session=InMemorySession(), model=StandInModel(say("Hello")))
    try:
        result = await asyncio.wait_for(Runner.run(agent, "Hi"), 5)
    finally:
        release.set()
        await tool
    assert result.final_output == "Hello"


async def test_handlers_that_run_agents_themselves_never_wait_for_a_thread_of_their_own() -> None:
    ran: list[str] = []

    def handler(_: object) -> None:
        # A handler of a sync session runs in a worker thread, where no loop is running.
        inner = Agent(name="Inner", session=InMemorySession(), model=StandInModel(say("inner")))
        ran.append(asyncio.run(Runner.run(inner, "Go")).final_output)

    async def outer() -> None:
        session = InMemorySession()
        session.on(SessionEvent.MESSAGE_ADDED, handler)
        await Runner.run(Agent(name="Outer", session=session, model=StandInModel(say("outer"))), "Hi")

    await asyncio.wait_for(asyncio.gather(*(outer() for _ in range(40))), 60)
    assert ran == ["inner"] * 80


async def test_handlers_see_the_context_of_the_run() -> None:
    user: contextvars.ContextVar[str] = contextvars.ContextVar("user")
    seen: list[str] = []
    session = InMemorySession()
    session.on(SessionEvent.MESSAGE_ADDED, lambda _: seen.append(user.get()))
    user.set("Alice")
    await Runner.run(Agent(name="Assistant", session=session, model=StandInModel(say("Hello"))), "Hi")
    assert seen == ["Alice", "Alice"]


async def test_a_store_that_fails_ends_the_run_with_its_own_error() -> None:
    agent = Agent(name="Assistant", session=Session(FullStore(), "a"), model=StandInModel(say("Hello")))
    with pytest.raises(StorageFullError, match="the disk is full"):
        await Runner.run(agent, "Hi")


async def test_a_cancelled_run_ends_after_the_write_that_it_had_begun() -> None:
    store = SlowStore()
    session = Session(store, "a")
    model = StandInModel(say("Hello"), say("Hello again"))
    agent = Agent(name="Assistant", session=session, model=model)
    task = asyncio.create_task(Runner.run(agent, "Hi"))
    await asyncio.to_thread(store.writing.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert session.count() == 1

    await Runner.run(agent, "Are you there?")
    assert outline(await stored(session))[:2] == ["user: Hi", "user: Are you there?"]


async def test_a_cancelled_run_waits_no_longer_than_the_stores_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    store = SlowStore(1.0)
    monkeypatch.setattr(type(store), "timeout", 0.1)
    agent = Agent(name="Assistant", session=Session(store, "a"), model=StandInModel(say("Hello")))
    task = asyncio.create_task(Runner.run(agent, "Hi"))
    await asyncio.to_thread(store.writing.wait)
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < 0.5


async def test_a_cancelled_read_is_not_waited_for() -> None:
    store = SlowStore(1.0)
    agent = Agent(name="Assistant", session=Session(store, "a"), model=StandInModel(say("Hello")))
    task = asyncio.create_task(Runner.run(agent, "Hi"))
    await asyncio.to_thread(store.reading.wait)
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < 0.5


async def test_a_write_that_fails_after_its_cancellation_is_nobodys_unasked_exception() -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))

    class SlowAndFull(SlowStore):
        def append(self, *_: Any, **__: Any) -> Any:
            self._wait(self.writing)
            raise StorageFullError("the disk is full")

    store = SlowAndFull()
    task = asyncio.create_task(as_agents_session(Session(store, "a")).add_items([{"role": "user", "content": "Hi"}]))
    await asyncio.to_thread(store.writing.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    del task
    await asyncio.sleep(0)
    gc.collect()
    assert complaints == []


async def test_a_stream_that_nobody_reads_to_its_end_is_kept_whole(session: Session | AsyncSession) -> None:
    model = StandInModel(say("one two three four"))
    result = Runner.run_streamed(Agent(name="Assistant", session=session, model=model), "Count")
    async for event in result.stream_events():
        assert event.type
        break
    for _ in range(200):
        if len(await stored(session)) == 2:
            break
        await asyncio.sleep(0.01)
    assert outline(await stored(session)) == ["user: Count", "assistant: one two three four"]


async def test_a_cancelled_stream_keeps_whole_turns_only(session: Session | AsyncSession) -> None:
    @agents.function_tool
    async def wait() -> str:
        result.cancel()
        return "waited"

    model = StandInModel(call("wait", "c1"), say("Done"), say("Hello again"))
    agent = Agent(name="Assistant", session=session, model=model, tools=[wait])
    result = Runner.run_streamed(agent, "Go")
    async for _ in result.stream_events():
        pass
    course = outline(await stored(session))
    assert course in (["user: Go"], ["user: Go", "call c1: wait", "output c1: waited"])

    # Whatever the cancellation left is a history that the next run can go on from.
    model.turns = model.turns[-1:]
    await Runner.run(agent, "Are you there?")
    assert outline(await stored(session)) == [*course, "user: Are you there?", "assistant: Hello again"]


async def test_a_stream_cancelled_after_its_turn_keeps_that_turn(session: Session | AsyncSession) -> None:
    @agents.function_tool
    async def wait() -> str:
        result.cancel(mode="after_turn")
        return "waited"

    model = StandInModel(call("wait", "c1"), say("Done"))
    result = Runner.run_streamed(Agent(name="Assistant", session=session, model=model, tools=[wait]), "Go")
    async for _ in result.stream_events():
        pass
    assert outline(await stored(session)) == ["user: Go", "call c1: wait", "output c1: waited"]
    assert len(model.inputs) == 1


async def test_runs_side_by_side_on_sessions_of_their_own_keep_apart(session: Session | AsyncSession) -> None:
    handles: list[Session | AsyncSession] = [
        Session(session.store, str(number))
        if isinstance(session, Session)
        else AsyncSession(session.store, str(number))
        for number in range(50)
    ]

    async def converse(number: int) -> None:
        model = StandInModel(say(f"{number} a"), say(f"{number} b"))
        agent = Agent(name="Assistant", session=handles[number], model=model)
        for turn in "ab":
            await Runner.run(agent, f"{number} {turn}?")

    await asyncio.gather(*(converse(number) for number in range(50)))
    for number, handle in enumerate(handles):
        assert outline(await stored(handle)) == [
            f"user: {number} a?",
            f"assistant: {number} a",
            f"user: {number} b?",
            f"assistant: {number} b",
        ]


def _our_threads() -> Sequence[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("openstackai-sessions")]


def test_threads_go_with_their_loop() -> None:
    gc.collect()
    before = len(_our_threads())
    for _ in range(20):
        agent = Agent(name="Assistant", session=InMemorySession(), model=StandInModel(say("Hello")))
        asyncio.run(Runner.run(agent, "Hi"))
    gc.collect()
    for thread in _our_threads():
        thread.join(0.05)
    assert len(_our_threads()) <= before + 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_agents_run_on_both_sides_of_a_fork() -> None:
    program = """
        import os, signal, sys, warnings
        warnings.simplefilter("ignore")
        sys.path.insert(0, sys.argv[1])
        import agents
        from stand_in import StandInModel, outline, say
        from openstackai_sessions_agents import Agent, Runner, as_agents_session
        from openstackai_sessions_core import InMemorySession
        agents.set_tracing_disabled(True)
        session = InMemorySession()
        agent = Agent(name="Assistant", session=session, model=StandInModel(*[say("Hello")] * 3))
        Runner.run_sync(agent, "parent, before")
        child = os.fork()
        signal.alarm(20)
        # Until Python 3.12 both sides have one loop, on which only one of them may run at a time.
        status = os.waitpid(child, 0)[1] if child else 0
        Runner.run_sync(agent, "parent, after" if child else "child")
        print(f"{outline(session.get_messages())[2:]}\\n", end="", flush=True)
        os._exit(status)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "['user: child', 'assistant: Hello']",
        "['user: parent, after', 'assistant: Hello']",
    ]
