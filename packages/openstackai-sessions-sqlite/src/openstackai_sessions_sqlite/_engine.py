"""The engine of one file in this process: one writer, three readers, and the order in which work reaches them.

A caller who finds nobody at work runs its transaction itself, which costs a thread hop less than anything else.
Where somebody is at work, jobs queue up, and one thread commits together what is waiting together: each job is
acknowledged only after the commit that covers it. Asynchronous jobs always queue, reads and writes alike, since a
hop is what they want.
"""

from __future__ import annotations

import asyncio
import inspect
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar, cast

from openstackai_sessions_core import BackendError, OutcomeUnknownError, SessionError
from openstackai_sessions_core.backend import AtHand, RecordTuple
from openstackai_sessions_sqlite._connection import (
    MEMORY,
    Channel,
    Connection,
    Identity,
    Synchronous,
    explain,
    patiently,
)
from openstackai_sessions_sqlite._operations import Run, data_version
from openstackai_sessions_sqlite._together import append_together, read_together
from openstackai_sessions_sqlite._wal_reset import report_wal_reset

__all__ = ["Engine", "Run"]

T = TypeVar("T")

READERS = 3
# So many jobs share a commit at most: a hundred small writes cost little more than one.
BATCH = 256
# Seconds without work after which the thread ends.
IDLE = 2.0
DO_NOT_WAIT = (False,)


class Job(Generic[T]):
    """One piece of queued work and whoever waits for it: a thread at the gate, or a future of an event loop."""

    __slots__ = ("deadline", "error", "future", "gate", "result", "run", "withdrawn", "writes")

    def __init__(self, run: Run[T], deadline: float, *, writes: bool, future: asyncio.Future[T] | None = None) -> None:
        self.run = run
        self.deadline = deadline
        self.writes = writes
        self.future = future
        self.result: T | None = None
        self.error: BaseException | None = None
        # The thread that waited for it was interrupted.
        self.withdrawn = False
        # A plain lock, taken now and released when the job is done: an interrupt cannot leave it half way.
        self.gate: threading.Lock | None = None
        if future is None:
            self.gate = threading.Lock()
            self.gate.acquire()

    @property
    def is_wanted(self) -> bool:
        """Whether anybody waits for it still; what nobody waits for is not begun."""
        return not (self.withdrawn if self.future is None else self.future.cancelled())


class Engine:
    """The connections to one file (or to one database in memory), shared by all its stores in this process.

    `opened` is called, with no lock held, after the file has been opened.
    """

    def __init__(self, path: str, synchronous: Synchronous, opened: Callable[[Engine], None] | None = None) -> None:
        self.path = path
        self.synchronous = synchronous
        # When it was last used, in a count that all engines share; which stores keep it open.
        self.used = 0
        self.owners: set[int] = set()
        self._opened = opened
        self._writer = Channel(path, synchronous, remembers=True)
        self._readers = [] if path == MEMORY else [Channel(path, synchronous) for _ in range(READERS)]
        # Something to tell once no lock is held: a file was opened, or others turned out to write to it.
        self._news = False
        self._shared = False
        self._resting: list[Channel] = []
        self._start_afresh()

    def _start_afresh(self) -> None:
        self._queue: SimpleQueue[list[Job[object]]] = SimpleQueue()
        # Jobs that were taken from the queue before their turn.
        self._backlog: list[Job[object]] = []
        # What the tasks of an event loop ask for in one turn of the loop, to be queued at its end.
        self._asked: dict[asyncio.AbstractEventLoop, list[Job[object]]] = {}
        self._thread: threading.Thread | None = None
        self._thread_lock = threading.Lock()
        # The thread holds jobs that it has not begun: newcomers join the queue behind them.
        self._thread_waits = False

    def __repr__(self) -> str:
        return f"<Engine of {self.path!r}>"

    @property
    def identity(self) -> Identity | None:
        """The file that is open, if one is."""
        return next((channel.identity for channel in (self._writer, *self._readers) if channel.identity), None)

    # -- For threads ------------------------------------------------------------------------------------------------

    def write(self, run: Run[T], timeout: float) -> T:
        """Run a write in a transaction of its own or, where others are waiting too, in one with theirs."""
        deadline = time.monotonic() + timeout
        if self._is_idle():
            # A plain `with`, which an interrupt cannot leave half way; it waits only if somebody came in between.
            with self._writer.lock:
                result = self._transact(run, deadline)
            if self._news:
                self._tell()
            return result
        if self._is_mine(self._writer):
            raise BackendError("a signal handler or a finalizer began a write inside another one; nothing was applied")
        job = Job(run, deadline, writes=True)
        assert job.gate is not None
        try:
            self._enqueue([cast("Job[object]", job)])
            job.gate.acquire()
        except BaseException:
            # An interrupt. Unless it has begun, it must not be applied after what this thread writes next.
            job.withdrawn = True
            raise
        if job.error is not None:
            raise job.error
        return cast(T, job.result)

    def read(self, run: Run[T], timeout: float) -> T:
        """Run a read of one statement: on the writer's connection if it is free, else on a reader's."""
        if self._is_idle():
            with self._writer.lock:
                result = self._read(self._writer, run, time.monotonic() + timeout)
            if self._news:
                self._tell()
            return result
        return self.read_aside(run, timeout)

    def read_aside(self, run: Run[T], timeout: float) -> T:
        """Run a read that may take long, or needs several statements to see one instant: on a reader's connection."""
        deadline = time.monotonic() + timeout
        channels = self._readers or [self._writer]
        free = (channel for channel in channels if not channel.lock.locked())
        channel = next(free, None)
        if channel is None:
            others = [channel for channel in channels if not self._is_mine(channel)]
            if not others:
                raise BackendError("a signal handler or a finalizer began a read inside of what uses the connection")
            channel = random.choice(others)
        with channel.lock:
            result = self._read(channel, run, deadline, whole=True)
        if self._news:
            self._tell()
        return result

    def read_at_hand(self, session_id: str, limit: int | None, now: int) -> AtHand | None:
        """The newest messages of a session where that takes no waiting and no query but for one number."""
        writer = self._writer
        taken: list[bool] = []
        try:
            # In one call of C's, so that an interrupt finds noted what was taken.
            taken.extend(map(writer.lock.acquire, DO_NOT_WAIT))
            if not taken[0]:
                return None
            writer.user = threading.get_ident()
            db = writer.at_hand()
            if db is None or db.recent is None:
                return None
            return db.recent.at_hand(data_version(db), session_id, limit, now)
        except sqlite3.Error:
            return None
        finally:
            if taken and taken[0]:
                writer.user = 0
                writer.lock.release()

    def _is_mine(self, channel: Channel) -> bool:
        """Whether an operation of this thread, which a signal or a finalizer interrupted, may hold the channel."""
        if channel.user:
            return channel.user == threading.get_ident()
        # Somebody is just taking it or leaving it.
        return channel.lock.locked() and _is_inside(self, asking=True)

    def _is_idle(self) -> bool:
        return not self._writer.lock.locked() and not self._thread_waits and self._queue.empty()

    # -- For tasks --------------------------------------------------------------------------------------------------

    def submit(self, run: Run[T], timeout: float, *, writes: bool) -> asyncio.Future[T]:
        """Queue a read or a write; the future belongs to the running event loop."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        asked = self._asked.get(loop)
        if asked is None:
            asked = self._asked[loop] = []
            loop.call_soon(self.flush, loop)
        asked.append(cast("Job[object]", Job(run, time.monotonic() + timeout, writes=writes, future=future)))
        return future

    def flush(self, loop: asyncio.AbstractEventLoop) -> None:
        """Queue what the loop's tasks have asked for: at once, so that it shares a commit, and one hop."""
        asked = self._asked.pop(loop, None)
        if asked:
            self._enqueue(asked)

    # -- The queue and its thread -----------------------------------------------------------------------------------

    def _enqueue(self, jobs: list[Job[object]]) -> None:
        self._queue.put(jobs)
        if self._thread is None:
            self._start_thread()

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._work, name="openstackai-sessions-sqlite", daemon=True)
        try:
            if self._take_place(thread):
                thread.start()
        except RuntimeError:
            # The interpreter is shutting down, or the system gives no more threads: the caller does the work.
            self._thread = None
            self._drain()
        except BaseException:
            # An interrupt. Others may count on this thread already; if it does run, one of the two leaves.
            if self._thread is thread and not thread.is_alive():
                self._thread = None
                self._start_thread()
            raise

    def _drain(self) -> None:
        while not self._queue.empty():
            with self._writer.lock:
                _deliver(self._run_batch(self._take()))

    def _work(self) -> None:
        me = threading.current_thread()
        if not self._take_place(me):
            return
        while True:
            jobs: list[Job[object]] = []
            with suppress(Empty):
                jobs = self._queue.get(timeout=0 if self._backlog else IDLE)
            if not jobs and not self._backlog and self._queue.empty():
                # First give up the place, then look again: whoever queued a job before that is seen here, whoever
                # does so after it starts another thread.
                self._thread = None
                if self._queue.empty() or not self._take_place(me):
                    return
                continue
            self._thread_waits = True
            with self._writer.lock:
                self._thread_waits = False
                self._backlog += jobs  # which others change too, under the lock
                done = self._run_batch(self._take())
            # Only now, as what the callers do next may want the connection.
            _deliver(done)
            # While it waits for more, the thread keeps no part of what it has done.
            del jobs, done
            if self._news:
                self._tell()

    def _take_place(self, thread: threading.Thread) -> bool:
        """Let the thread be the one that serves the queue, unless there is one."""
        with self._thread_lock:
            if self._thread is None:
                self._thread = thread
            return self._thread is thread

    def _take(self) -> list[Job[object]]:
        waiting = self._backlog
        while len(waiting) < BATCH:
            try:
                waiting += self._queue.get_nowait()
            except Empty:
                break
        self._backlog = waiting[BATCH:]
        return waiting[:BATCH]

    def _run_batch(self, batch: list[Job[object]]) -> list[Job[object]]:
        """Run the reads, which see what is committed, then the writes; return those whose callers are to be told."""
        batch = [job for job in batch if job.is_wanted]
        done = [job for job in batch if not job.writes]
        self._run_reads(done)
        writes = [job for job in batch if job.writes]
        if not writes:
            return done
        _deliver(done)
        alone = self._transact_together(writes) if len(writes) > 1 else writes
        done = [job for job in writes if job not in alone]
        for job in alone:
            _deliver(done)
            try:
                job.result = self._transact(job.run, job.deadline)
            except BaseException as error:  # noqa: BLE001 - it is the caller's
                job.error = error
            done = [job]
        return done

    def _run_reads(self, jobs: list[Job[object]]) -> None:
        known: dict[int, list[RecordTuple]] = {}
        if len(jobs) > 1:
            with suppress(SessionError):  # whatever it is, each of them will meet it
                known = self._read(self._writer, partial(read_together, [job.run for job in jobs]), jobs[0].deadline)
        for index, job in enumerate(jobs):
            try:
                job.result = known[index] if index in known else self._read(self._writer, job.run, job.deadline)
            except BaseException as error:  # noqa: BLE001 - it is the caller's
                job.error = error

    # -- Holding the lock -------------------------------------------------------------------------------------------

    def _transact(self, run: Run[T], deadline: float) -> T:
        writer = self._writer
        committing = False
        try:
            db = self._begin(deadline)
            result = run(db)
            committing = True
            patiently(lambda: db.execute("COMMIT"), deadline)
            if db.recent is not None:
                db.recent.commit()
        except BaseException as error:
            writer.undo(error)
            if isinstance(error, sqlite3.Error):
                raise explain(error, self.path, committing=committing) from error
            raise
        finally:
            writer.user = 0
        return result

    def _begin(self, deadline: float) -> Connection:
        db = self._use(self._writer, deadline)
        meanwhile = self._serve_reads if threading.current_thread() is self._thread else None
        patiently(lambda: db.execute("BEGIN IMMEDIATE"), deadline, meanwhile)
        return db

    def _serve_reads(self) -> None:
        """While another process holds the file's write lock, run what does not need it."""
        with suppress(Empty):
            while True:
                self._backlog += self._queue.get_nowait()
        reads = [job for job in self._backlog if not job.writes]
        self._backlog = [job for job in self._backlog if job.writes]
        self._run_reads(reads)
        _deliver(reads)
        self._writer.user = threading.get_ident()

    def _transact_together(self, jobs: list[Job[object]]) -> list[Job[object]]:
        """Commit several writes at once; return those that are to be run again, each alone."""
        committing = False
        try:
            deadline = min(job.deadline for job in jobs)
            db = self._begin(deadline)
            results = append_together([job.run for job in jobs], db)
            for index, job in enumerate(jobs):
                try:
                    result = results[index] if index in results else job.run(db)
                    if isinstance(result, SessionError):
                        job.error = result
                    else:
                        job.result = result
                except SessionError as error:  # refused before it wrote anything
                    job.error = error
            committing = True
            patiently(lambda: db.execute("COMMIT"), deadline)
            if db.recent is not None:
                db.recent.commit()
        except BaseException as error:  # noqa: BLE001 - whose it is, running alone will show
            self._writer.undo(error)
            for job in jobs:
                job.error = job.result = None
                if committing and isinstance(error, sqlite3.Error):
                    job.error = explain(error, self.path, committing=True)
                    job.error.__cause__ = error
            again = [job for job in jobs if not isinstance(job.error, OutcomeUnknownError)]
            for job in again:
                job.error = None
            return again
        finally:
            self._writer.user = 0
        return []

    def _read(self, channel: Channel, run: Run[T], deadline: float, *, whole: bool = False) -> T:
        """Run a read; `whole`: in a transaction, so that all its statements see one instant."""
        try:
            return patiently(lambda: self._read_once(channel, run, deadline, whole=whole), deadline)
        except BaseException as error:
            channel.undo(error)
            if isinstance(error, sqlite3.Error):
                raise explain(error, self.path) from error
            raise
        finally:
            channel.user = 0
            if channel.is_shared and not self._shared:
                self._shared = self._news = True

    def _read_once(self, channel: Channel, run: Run[T], deadline: float, *, whole: bool) -> T:
        db = self._use(channel, deadline)
        if not whole:
            return run(db)
        db.execute("BEGIN")
        result = run(db)
        db.execute("COMMIT")
        return result

    def _use(self, channel: Channel, deadline: float) -> Connection:
        channel.user = threading.get_ident()
        before = channel.identity
        db = channel.use(deadline)
        if channel.identity != before:
            self._news = True
        return db

    def _tell(self) -> None:
        self._news = False
        if self._shared:
            report_wal_reset()
        if self._opened is not None:
            self._opened(self)

    # -- Closing ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Finish what is queued and close the connections; the next use opens others.

        A connection that a signal handler has interrupted in its use stays open, as does its queue.
        """
        if not self._is_mine(self._writer):
            with self._writer.lock:
                while self._backlog or not self._queue.empty():
                    _deliver(self._run_batch(self._take()))
                self._writer.close()
        for reader in self._readers:
            if not self._is_mine(reader):
                with reader.lock:
                    reader.close()

    def destroy(self) -> None:
        """Close for good, also what is in memory only."""
        self.close()
        if not self._is_mine(self._writer):
            with self._writer.lock:
                self._writer.destroy()

    def stop_thread(self) -> None:
        """Let the thread end now rather than when it has been idle for a while."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            self._queue.put([])
            thread.join(IDLE)

    def abandon(self, _: object = None) -> None:
        """Close for good if nobody is at work, without waiting."""
        if self._writer.lock.acquire(blocking=False):
            try:
                self._writer.destroy()
            finally:
                self._writer.lock.release()

    def close_if_idle(self) -> bool:
        """Close unless it is at work; return whether it is closed."""
        if not self._is_idle() or any(reader.lock.locked() for reader in self._readers):
            return False
        self.close()
        return True

    # -- Fork: no connection may be open when it happens --------------------------------------------------------------

    def before_fork(self) -> None:
        """Wait for what is under way, keep all else from beginning, and close the connections."""
        inside = _is_inside(self)
        self._resting = [channel for channel in (self._writer, *self._readers) if channel.rest(inside=inside)]
        for channel in self._resting:
            channel.close()

    def after_fork_in_parent(self) -> None:
        """Go on; connections are opened when they are needed."""
        for channel in self._resting:
            channel.lock.release()

    def after_fork_in_child(self) -> None:
        """Go on with locks, a queue and a thread of the child's own."""
        for channel in (self._writer, *self._readers):
            channel.begin_in_child(rested=len(self._resting) == 1 + len(self._readers))
        self._start_afresh()


def _is_inside(engine: Engine, *, asking: bool = False) -> bool:
    """Whether this thread has begun an operation that has not returned; `asking`: another than the one that asks."""
    frame = inspect.currentframe()
    if asking:
        while frame is not None and frame.f_globals is globals():
            frame = frame.f_back
    while frame is not None:
        if frame.f_code in _OPERATIONS and frame.f_locals.get("self") is engine:
            return True
        frame = frame.f_back
    return False


_OPERATIONS = {
    method.__code__
    for method in (
        Engine.write,
        Engine.read,
        Engine.read_aside,
        Engine.read_at_hand,
        Engine.close,
        Engine._drain,
        Engine._work,
    )
}


def _deliver(jobs: list[Job[object]]) -> None:
    """Tell those who wait: threads at once, tasks with one call for each of their event loops."""
    loops: dict[asyncio.AbstractEventLoop, list[Job[object]]] = {}
    for job in jobs:
        if job.gate is not None:
            job.gate.release()
        elif job.future is not None:
            loops.setdefault(job.future.get_loop(), []).append(job)
    for loop, done in loops.items():
        try:
            loop.call_soon_threadsafe(_settle, done)
        except RuntimeError:  # the loop was closed, and nobody waits any more
            continue


def _settle(jobs: list[Job[object]]) -> None:
    for job in jobs:
        future = job.future
        if future is None or future.done():
            continue
        if job.error is not None:
            future.set_exception(job.error)
        else:
            future.set_result(job.result)
