"""The engine: who runs what, what is committed together, and what happens when something goes wrong meanwhile."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import random
import signal
import sqlite3
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from openstackai_sessions_core import (
    BackendError,
    ConflictError,
    OutcomeUnknownError,
    SessionClosedError,
    SessionError,
    SessionEvent,
    StorageFullError,
)
from openstackai_sessions_sqlite import AsyncSQLiteSession, AsyncSQLiteStore, SQLiteSession, SQLiteStore, _engine
from openstackai_sessions_sqlite._engine import Engine

Run = Callable[..., str]


def engine_of(store: SQLiteStore | AsyncSQLiteStore) -> Engine:
    return store._database.engine


def commits(engine: Engine) -> list[str]:
    """The statements that the writer runs from now on."""
    seen: list[str] = []
    assert engine._writer._db is not None
    engine._writer._db.set_trace_callback(seen.append)
    return seen


def in_threads(count: int, work: Callable[[int], object]) -> list[object]:
    """What each of the threads returned or raised."""
    results: list[object] = [None] * count

    def run(number: int) -> None:
        try:
            results[number] = work(number)
        except Exception as error:  # noqa: BLE001 - handed to the test
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


# -- One writer -------------------------------------------------------------------------------------------------------


def test_a_lone_thread_starts_no_other(store: SQLiteStore) -> None:
    session = store.session("a")
    for _ in range(20):
        session.add_message("user", "x")
        session.get_messages()
    assert engine_of(store)._thread is None


def test_writes_that_wait_together_are_committed_together(store: SQLiteStore) -> None:
    session = store.session("a")
    session.add_message("user", "first")
    engine = engine_of(store)
    seen = commits(engine)
    with engine._writer.lock:
        threads = [threading.Thread(target=session.add_message, args=("user", str(number))) for number in range(20)]
        for thread in threads:
            thread.start()
        while engine._queue.qsize() < 19 or not engine._thread_waits:
            time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert seen.count("COMMIT") == 1
    messages = session.get_messages()
    assert [message.position for message in messages] == list(range(1, 22))
    assert sorted(int(str(message.content)) for message in messages[1:]) == list(range(20))


def test_one_bad_write_spoils_none_of_its_neighbours(store: SQLiteStore) -> None:
    store.session("a").add_message("user", "first", id="taken")
    engine = engine_of(store)

    def write(number: int) -> object:
        if number % 3 == 0:
            return store.session("a").add_message("user", "another", id="taken")
        if number % 3 == 1:
            return engine.write(lambda db: db.execute("INSERT INTO nowhere VALUES (1)"), 5)
        return store.session("a").add_message("user", str(number))

    results: list[object] = []
    with engine._writer.lock:
        caller = threading.Thread(target=lambda: results.extend(in_threads(30, write)))
        caller.start()
        while engine._queue.qsize() < 29:
            time.sleep(0.001)
    caller.join()
    for number, result in enumerate(results):
        if number % 3 == 0:
            assert isinstance(result, ConflictError)
        elif number % 3 == 1:
            assert isinstance(result, BackendError)
            assert isinstance(result.__cause__, sqlite3.Error)
        else:
            assert not isinstance(result, Exception)
    assert store.session("a").count() == 11


def test_a_full_disk_in_a_shared_commit_refuses_only_what_does_not_fit(store: SQLiteStore) -> None:
    store.session("a").add_message("user", "x")
    engine = engine_of(store)
    assert engine._writer._db is not None
    engine._writer._db.execute("PRAGMA max_page_count = 60")

    def write(number: int) -> object:
        return store.session("a").add_message("user", "x" * (400_000 if number == 7 else 10))

    results: list[object] = []
    with engine._writer.lock:
        caller = threading.Thread(target=lambda: results.extend(in_threads(15, write)))
        caller.start()
        while engine._queue.qsize() < 14:
            time.sleep(0.001)
    caller.join()
    # The error made the engine drop the connection, and with it the bound: the large write may have fitted alone.
    refused = [number for number, result in enumerate(results) if isinstance(result, Exception)]
    assert refused in ([], [7])
    assert all(isinstance(results[number], StorageFullError) for number in refused)
    assert store.session("a").count() == 16 - len(refused)


class FailingCommit:
    """A connection whose next COMMIT fails, before or after it took effect."""

    def __init__(self, db: sqlite3.Connection, *, applied: bool) -> None:
        self._db = db
        self._applied = applied

    def __getattr__(self, name: str) -> object:
        return getattr(self._db, name)

    def execute(self, statement: str, *arguments: object) -> sqlite3.Cursor:
        if statement == "COMMIT":
            if self._applied:
                self._db.execute(statement)
            raise sqlite3.OperationalError("disk I/O error")
        return self._db.execute(statement, *arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("applied", [True, False])
def test_a_commit_that_failed_is_of_unknown_outcome_and_repeated_under_its_id(path: Path, applied: bool) -> None:
    with SQLiteStore(path, retry_timeout=0) as careful, SQLiteStore(path) as store:
        store.session("a").add_message("user", "first")
        writer = engine_of(store)._writer

        def fail_once() -> None:
            assert writer._db is not None
            writer._db = FailingCommit(writer._db, applied=applied)  # type: ignore[assignment]

        fail_once()
        with pytest.raises(OutcomeUnknownError) as caught:
            careful.session("a").add_message("user", "second")
        careful.session("a").add_message("user", "second", op_id=caught.value.op_id)
        assert store.session("a").count() == 2
        fail_once()
        session = store.session("a")
        events: list[object] = []
        session.on(SessionEvent.MESSAGE_ADDED, events.append)
        session.add_message("user", "third")
        assert [message.content for message in session.get_messages()] == ["first", "second", "third"]
        assert len(events) == 1


def test_a_commit_that_failed_for_many_is_unknown_to_each(path: Path) -> None:
    with SQLiteStore(path, retry_timeout=0) as store:
        store.session("a").add_message("user", "first")
        engine = engine_of(store)
        results: list[object] = []
        with engine._writer.lock:
            assert engine._writer._db is not None
            engine._writer._db = FailingCommit(engine._writer._db, applied=True)  # type: ignore[assignment]
            work = lambda number: store.session("a").add_message("user", str(number))  # noqa: E731
            caller = threading.Thread(target=lambda: results.extend(in_threads(8, work)))
            caller.start()
            while engine._queue.qsize() < 7:
                time.sleep(0.001)
        caller.join()
        assert all(isinstance(result, OutcomeUnknownError) for result in results)
        for number, error in enumerate(results):
            assert isinstance(error, OutcomeUnknownError)
            store.session("a").add_message("user", str(number), op_id=error.op_id)
        assert store.session("a").count() == 9


def test_an_error_that_is_not_ours_rolls_back_and_comes_through(store: SQLiteStore) -> None:
    session = store.session("a")
    session.add_message("user", "x")

    def fail(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM messages")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        engine_of(store).write(fail, 5)
    assert session.count() == len(session.get_messages()) == 1


def test_a_write_inside_a_write_is_refused_and_not_waited_for_for_ever(store: SQLiteStore) -> None:
    session = store.session("a")
    session.add_message("user", "x")

    def interfere(db: sqlite3.Connection) -> int:
        with pytest.raises(BackendError, match="inside another"):
            session.add_message("user", "y")
        return session.count()  # reads are another matter: a reader's connection serves them

    assert engine_of(store).write(interfere, 5) == 1


def test_reads_do_not_wait_for_a_write(store: SQLiteStore) -> None:
    session = store.session("a")
    session.add_message("user", "x")
    began = threading.Event()
    go_on = threading.Event()

    def slow(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM messages")
        began.set()
        assert go_on.wait(10)
        raise ZeroDivisionError

    def write() -> None:
        with pytest.raises(ZeroDivisionError):
            engine_of(store).write(slow, 5)

    writer = threading.Thread(target=write)
    writer.start()
    assert began.wait(10)
    assert [message.content for message in session.get_messages()] == ["x"]
    assert session.count() == 1
    assert len(session.export()["messages"]) == 1  # type: ignore[arg-type]
    go_on.set()
    writer.join()


async def test_async_reads_do_not_wait_for_another_process_that_writes(path: Path) -> None:
    async with AsyncSQLiteStore(path) as store:
        session = store.session("a")
        await session.add_message("user", "x")
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            writes = [asyncio.ensure_future(session.add_message("user", str(number))) for number in range(3)]
            await asyncio.sleep(0.05)
            for _ in range(5):
                assert await asyncio.wait_for(session.count(), 5) == 1
                writes.append(asyncio.ensure_future(session.add_message("user", "later")))
            other.execute("ROLLBACK")
        await asyncio.gather(*writes)
        assert await session.count() == 9
        assert [message.content for message in await session.get_messages()][:4] == ["x", "0", "1", "2"]


async def test_async_writes_are_committed_together_and_reads_see_what_is_committed(path: Path) -> None:
    async with AsyncSQLiteStore(path) as store:
        sessions = [store.session(f"s{number}") for number in range(64)]
        await sessions[0].add_message("user", "x")
        seen = commits(engine_of(store))
        await asyncio.gather(*(session.add_message("user", "y") for session in sessions))
        assert seen.count("COMMIT") <= 8
        counts = await asyncio.gather(*(session.count() for session in sessions))
        assert counts == [2] + [1] * 63


# -- The thread's life ------------------------------------------------------------------------------------------------


async def test_the_thread_ends_when_idle_and_comes_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_engine, "IDLE", 0.02)
    async with AsyncSQLiteStore(path) as store:
        session = store.session("a")
        for number in range(5):
            await session.add_message("user", str(number))
            await asyncio.sleep(0.1)
            assert engine_of(store)._thread is None
        assert await session.count() == 5


async def test_no_job_is_lost_while_the_thread_makes_up_its_mind(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_engine, "IDLE", 0.0005)
    async with AsyncSQLiteStore(path, synchronous="normal") as store:
        session = store.session("a")
        for _ in range(400):
            await asyncio.wait_for(session.count(), 10)
            await asyncio.sleep(random.uniform(0, 0.001))


async def test_a_job_that_comes_as_the_thread_gives_up_is_run(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_engine, "IDLE", 0.05)
    async with AsyncSQLiteStore(path) as store:
        await store.session("a").count()
        engine = engine_of(store)
        ran = threading.Event()
        job: _engine.Job[object] = _engine.Job(lambda _: ran.set(), time.monotonic() + 5, writes=True)

        class Late(SimpleQueue[list[_engine.Job[object]]]):
            """A queue into which somebody who sees that there is a thread puts a job just after it was found empty."""

            def empty(self) -> bool:
                found = super().empty()
                if found and threading.current_thread() is engine._thread and not ran.is_set():
                    self.put([job])
                return found

        engine._queue = Late()
        assert await asyncio.to_thread(ran.wait, 5)


def test_a_transaction_that_was_left_open_is_ended(store: SQLiteStore) -> None:
    session = store.session("a")
    session.add_message("user", "x")
    writer = engine_of(store)._writer._db
    assert writer is not None
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM messages")
    session.add_message("user", "y")
    assert [message.content for message in session.get_messages()] == ["x", "y"]


async def test_without_threads_the_caller_does_the_work(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async with AsyncSQLiteStore(path) as store:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            await store.session("a").add_message("user", "x")
            assert await store.session("a").count() == 1


def test_a_loop_that_was_closed_harms_nobody(path: Path) -> None:
    store = AsyncSQLiteStore(path)
    loop = asyncio.new_event_loop()

    async def leave_behind() -> None:
        operation = store._database.submit(lambda db: db.execute("SELECT 1").fetchall(), writes=True)
        assert not operation.done()

    with store._database.engine._writer.lock:
        loop.run_until_complete(leave_behind())
        loop.close()

    async def go_on() -> int:
        await store.session("a").add_message("user", "x")
        count = await store.session("a").count()
        await store.close()
        return count

    assert asyncio.run(go_on()) == 1


def test_one_store_serves_several_loops(path: Path) -> None:
    session = AsyncSQLiteSession(path)

    async def add() -> None:
        await session.add_message("user", "x")

    in_threads(4, lambda _: [asyncio.run(add()) for _ in range(5)])
    assert asyncio.run(session.count()) == 20


async def test_a_cancelled_read_disturbs_nobody(path: Path) -> None:
    async with AsyncSQLiteStore(path) as store:
        session = store.session("a")
        await session.add_message("user", "x")
        for _ in range(50):
            reads = [asyncio.ensure_future(session.count()) for _ in range(10)]
            await asyncio.sleep(0)
            for read in reads[::2]:
                read.cancel()
            counts = await asyncio.gather(*reads, return_exceptions=True)
            assert counts[1::2] == [1] * 5


async def test_closing_finishes_what_is_queued(path: Path) -> None:
    store = AsyncSQLiteStore(path)
    session = store.session("a")
    writes = [asyncio.ensure_future(session.add_message("user", str(number))) for number in range(50)]
    for _ in range(3):
        await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*writes)
    with pytest.raises(SessionClosedError):
        await session.count()
    await store.close()
    assert SQLiteSession(path, "a").count() == 50


async def test_what_another_thread_has_run_is_not_run_again(path: Path) -> None:
    async with AsyncSQLiteStore(path) as store:
        await store.session("a").count()  # from now on the engine's thread waits for work
        await asyncio.sleep(0.05)
        engine = engine_of(store)
        ran: list[int] = []
        job: _engine.Job[object] = _engine.Job(lambda _: ran.append(1), time.monotonic() + 5, writes=True)
        with engine._writer.lock:
            engine._backlog += [job]
        engine.close()
        assert await asyncio.wait_for(store.session("a").count(), 5) == 0
        assert ran == [1]


async def test_closing_again_and_again_beside_writers_loses_and_doubles_nothing(path: Path) -> None:
    async with AsyncSQLiteStore(path, synchronous="normal", retry_timeout=0) as store:
        engine = engine_of(store)
        stop = threading.Event()

        def close() -> None:
            while not stop.is_set():
                engine.close()
                time.sleep(0.0002)

        closing_thread = threading.Thread(target=close)
        closing_thread.start()
        try:
            for _ in range(100):
                writes = (store.session("a").add_message("user", "x") for _ in range(8))
                await asyncio.wait_for(asyncio.gather(*writes), 30)
        finally:
            stop.set()
            closing_thread.join()
        assert await store.session("a").count() == 800
        assert engine._thread is not None
        assert engine._thread.is_alive()


async def test_the_loop_is_not_held_up_by_large_operations(path: Path) -> None:
    async with AsyncSQLiteStore(path, synchronous="normal") as store:
        session = store.session("a")
        document = {
            "format": "openstackai-session", "version": 1, "session_id": "a", "created_at": None,
            "messages": [{"id": f"m{number}", "created_at": "2024-01-01T00:00:00.000000Z", "data": {"n": number}}
                         for number in range(30_000)], "metadata": {},
        }  # fmt: skip
        await session.import_data(document)
        beats = [time.perf_counter()]

        async def beat() -> None:
            while True:
                await asyncio.sleep(0.005)
                beats.append(time.perf_counter())

        heart = asyncio.ensure_future(beat())
        others = [asyncio.ensure_future(store.session("b").add_message("user", "x")) for _ in range(3)]
        records = await store.read("a", limit=None, before=None)
        snapshot = await store.load("a")
        await asyncio.gather(*others)
        heart.cancel()
        assert len(records) == 30_000
        assert snapshot is not None
        gaps = sorted(later - earlier for earlier, later in itertools.pairwise(beats))
        assert len(gaps) > 3
        assert gaps[len(gaps) // 2] < 0.05


# -- Ctrl-C -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_callbacks() -> Iterator[None]:
    """The garbage collector without callbacks, of which Hypothesis has one: an interrupt that strikes there is lost."""
    callbacks = gc.callbacks.copy()
    gc.callbacks.clear()
    yield
    gc.callbacks[:] = callbacks


@pytest.mark.usefixtures("no_callbacks")
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="interrupts come from an interval timer, which POSIX has")
def test_interrupts_leave_no_lock_held_and_no_half_write(path: Path) -> None:
    store = SQLiteStore(path, synchronous="normal", retry_timeout=0)
    session = store.session("a")
    session.add_message("user", "x")
    busy = threading.Event()

    def others() -> None:
        while not busy.is_set():
            store.session("b").add_messages([{"n": 1}, {"n": 2}])

    threads = [threading.Thread(target=others) for _ in range(2)]
    struck = 0
    numbers = itertools.count()
    previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 4
        while struck < 300 and time.monotonic() < deadline:
            try:
                signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0001, 0.002))
                # Not for ever: Python swallows an interrupt that strikes a callback of its garbage collector.
                armed = time.monotonic()
                while time.monotonic() < armed + 0.5:
                    number = next(numbers)
                    session.add_messages([{"n": number}, {"n": number}])
                    session.count()
            except KeyboardInterrupt:
                struck += 1
            except SessionError as error:
                pytest.fail(f"an interrupt became {error!r}")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
        busy.set()
        for thread in threads:
            thread.join()
    assert struck > 20
    # The last to write: whatever an interrupt left under way is over when this is.
    session.add_messages([{"n": next(numbers)}] * 2)
    written: list[Any] = [message["n"] for message in session.get_messages()[1:]]
    assert session.count() == 1 + len(written)
    # Each pair whole and next to itself, and nothing applied after what the same thread wrote later.
    assert written[::2] == written[1::2] == sorted(set(written))
    assert store.session("b").count() % 2 == 0
    store.close()


@pytest.mark.usefixtures("no_callbacks")
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="interrupts come from an interval timer, which POSIX has")
def test_an_interrupted_write_that_has_not_begun_is_not_applied_later(path: Path) -> None:
    with SQLiteStore(path, retry_timeout=0) as store:
        session = store.session("a")
        session.add_message("user", "first")
        foreign = sqlite3.connect(path, isolation_level=None)
        foreign.execute("BEGIN IMMEDIATE")
        ahead = threading.Thread(target=store.session("b").add_message, args=("user", "x"))
        previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
        try:
            ahead.start()
            while "_begin" not in _stack_of(ahead):
                time.sleep(0.001)
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(KeyboardInterrupt):
                session.add_message("user", "interrupted")
        finally:
            signal.signal(signal.SIGALRM, previous)
            foreign.execute("ROLLBACK")
            foreign.close()
            ahead.join()
        session.add_message("user", "last")
        assert [message["content"] for message in session.get_messages()] == ["first", "last"]
        assert store.session("b").count() == 1


def _stack_of(thread: threading.Thread) -> list[str]:
    frame = sys._current_frames().get(thread.ident or 0)
    return [] if frame is None else [entry.name for entry in traceback.extract_stack(frame)]


# -- Fork -------------------------------------------------------------------------------------------------------------

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")

FORKS = """
    import os, sqlite3, sys, threading, warnings
    warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads, which is what this is about
    from openstackai_sessions_sqlite import SQLiteSession
    path, rounds = sys.argv[1], int(sys.argv[2])
    session = SQLiteSession(path, "a")
    session.add_message("user", "before")
    stop = threading.Event()
    written = [0] * 3
    def write(number):
        while not stop.is_set():
            SQLiteSession(path, "a").add_message("user", f"parent {number} {written[number]}")
            written[number] += 1
    threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    children = []
    for number in range(rounds):
        session.get_messages(5)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                for step in range(3):
                    SQLiteSession(path, "a").add_message("user", f"child {number} {step}")
                    assert session.get_messages()
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    stop.set()
    for thread in threads:
        thread.join()
    expected = {"before"} | {f"parent {number} {step}" for number in range(3) for step in range(written[number])}
    expected |= {f"child {number} {step}" for number in range(rounds) for step in range(3)}
    contents = [message.content for message in session.get_messages()]
    assert len(contents) == len(set(contents)) and set(contents) == expected, (len(contents), len(expected))
    print(len(contents))
"""


@needs_fork
def test_forks_beside_writing_threads_lose_nothing(path: Path, run: Run) -> None:
    total = int(run(FORKS, path, 15))
    with SQLiteStore(path) as store:
        assert store.session("a").count() == total
        positions = [message.position for message in store.session("a").get_messages()]
        assert positions == sorted(set(positions))


FORK_AND_CLOSE = """
    import os, sys
    from openstackai_sessions_sqlite import SQLiteStore
    store = SQLiteStore(sys.argv[1])
    session = store.session("a")
    for number in range(3):
        session.add_message("user", f"before {number}")
    waiting, go = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(go)
            session.add_message("user", "child 0")
            os.read(waiting, 1)
            for number in range(1, 6):
                session.add_message("user", f"child {number}")
            status = 0
        finally:
            os._exit(status)
    session.add_message("user", "parent")
    store.close()
    os.close(go)
    assert os.waitpid(child, 0)[1] == 0
"""


@needs_fork
def test_what_a_child_writes_after_its_parent_closed_is_there(path: Path, run: Run) -> None:
    for _ in range(5):
        run(FORK_AND_CLOSE, path)
    with SQLiteStore(path) as store:
        assert store.session("a").count() == 5 * 10
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


FORK_WITH_ASYNC = """
    import asyncio, os, sys, warnings
    warnings.simplefilter("ignore", DeprecationWarning)
    from openstackai_sessions_sqlite import AsyncSQLiteSession
    path = sys.argv[1]
    session = AsyncSQLiteSession(path, "a")
    memory = AsyncSQLiteSession(":memory:")
    async def work(name):
        await asyncio.gather(*(session.add_message("user", f"{name} {number}") for number in range(20)))
        await memory.add_message("user", name)
    asyncio.run(work("before"))
    child = os.fork()
    if child == 0:
        status = 1
        try:
            asyncio.run(work("child"))
            assert asyncio.run(memory.count()) == 2
            status = 0
        finally:
            os._exit(status)
    asyncio.run(work("parent"))
    assert asyncio.run(memory.count()) == 2
    assert os.waitpid(child, 0)[1] == 0
    assert asyncio.run(session.count()) == 60
"""


@needs_fork
def test_async_stores_and_memory_work_on_both_sides_of_a_fork(path: Path, run: Run) -> None:
    run(FORK_WITH_ASYNC, path)


USE_IN_A_SIGNAL_HANDLER = """
    import random, signal, sys
    from openstackai_sessions_core import BackendError, SessionClosedError
    from openstackai_sessions_sqlite import SQLiteStore
    path, close = sys.argv[1:]
    store = SQLiteStore(path, synchronous="normal", retry_timeout=0)
    session = store.session("a")
    other = store.session("b")
    session.add_message("user", "x")
    session.export()
    struck, written = 0, 1
    def use(*_):
        global struck
        struck += 1
        for call in (session.count, session.export, other.pop_message, lambda: other.add_message("user", "y")):
            try:
                call()
            except BackendError as error:
                assert "signal handler" in str(error)
        if close and struck == 60:
            store.close()
    signal.signal(signal.SIGALRM, use)
    try:
        while struck < 60:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0001, 0.001))
            while signal.getitimer(signal.ITIMER_REAL)[0]:
                session.add_message("user", "x")
                written += 1
                session.count()
        assert session.count() == written
    except SessionClosedError:
        assert close
    print(struck)
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="signals come from an interval timer, which POSIX has")
@pytest.mark.parametrize("close", ["", "close"])
@pytest.mark.parametrize("where", ["file", "memory"])
def test_a_signal_handler_in_the_middle_of_an_operation_never_hangs(
    path: Path, run: Run, where: str, close: str
) -> None:
    assert int(run(USE_IN_A_SIGNAL_HANDLER, path if where == "file" else ":memory:", close)) >= 60


FORK_IN_A_SIGNAL_HANDLER = """
    import os, random, signal, sys
    from openstackai_sessions_sqlite import SQLiteSession
    path = sys.argv[1]
    session = SQLiteSession(path, "a")
    session.add_message("user", "x")
    forked = 0
    def fork(*_):
        global forked
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        forked += 1
    signal.signal(signal.SIGALRM, fork)
    written = 1
    while forked < 150:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0001, 0.002))
        while signal.getitimer(signal.ITIMER_REAL)[0]:
            session.add_message("user", "x")
            written += 1
    assert session.count() == written
    print(written)
"""


@needs_fork
def test_a_signal_handler_that_forks_in_the_middle_of_a_write(path: Path, run: Run) -> None:
    written = int(run(FORK_IN_A_SIGNAL_HANDLER, path))
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("SELECT count(*) FROM messages").fetchall() == [(written,)]


AT_EXIT = """
    import asyncio, sys
    from openstackai_sessions_sqlite import AsyncSQLiteSession
    asyncio.run(AsyncSQLiteSession(sys.argv[1], "a").add_message("user", "x"))
"""


def test_a_process_that_ends_leaves_the_file_whole_in_itself(path: Path, run: Run) -> None:
    run(AT_EXIT, path)
    assert [other.name for other in path.parent.iterdir()] == [path.name]
