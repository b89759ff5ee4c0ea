"""One database as one store sees it: what both faces of a store, the sync and the async one, have in common."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
import weakref
from collections.abc import Callable
from typing import TypeVar, cast

from openstackai_sessions_core import SessionClosedError, ValidationError
from openstackai_sessions_core.backend import AtHand, Durability, StoreOptions
from openstackai_sessions_sqlite._connection import MEMORY, Synchronous
from openstackai_sessions_sqlite._engine import Engine, Run
from openstackai_sessions_sqlite._operations import Settings
from openstackai_sessions_sqlite._plans import How, Plan, Step
from openstackai_sessions_sqlite._registry import registry
from openstackai_sessions_sqlite._wal_reset import report_wal_reset

__all__ = ["Database", "absolute_path", "check_path"]

T = TypeVar("T")

_ticks = itertools.count(1)


def check_path(db_path: str | os.PathLike[str]) -> str:
    """The text of a path that may name a database file, or `ValidationError`."""
    try:
        path = os.fspath(db_path)
    except TypeError:
        raise ValidationError(f"db_path must be a str or a path, not {type(db_path).__name__}") from None
    if type(path) is not str:
        raise ValidationError(f"db_path must be a str or a path, not {type(path).__name__}")
    if not path:
        raise ValidationError('db_path must not be empty; for a database in memory pass ":memory:"')
    if "\0" in path:
        raise ValidationError("db_path must not hold a NUL character")
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise ValidationError(f"db_path {path!r} holds a character that no file name can have") from None
    if path.startswith("file:"):
        raise ValidationError("db_path must be a path, not a file: URI")
    if path.startswith("sqlite:"):
        raise ValidationError("db_path must be a path, not a URL; open_store() takes sqlite:/// URLs")
    if path.endswith((os.sep, os.altsep or os.sep)):
        raise ValidationError(f"db_path {path!r} names a directory; name a file in it")
    return path


def check_synchronous(value: object) -> Synchronous:
    """The setting, or `ValidationError`."""
    if value == "full":
        return "full"
    if value == "normal":
        return "normal"
    raise ValidationError(f"synchronous must be 'full' or 'normal', not {value!r}")


def check_clock(value: object) -> Callable[[], float]:
    """A function that tells the time, or `ValidationError`."""
    if not callable(value):
        raise ValidationError(f"clock must be callable, not {value!r}")
    return value


def absolute_path(path: str) -> str:
    """The path from the root: where a store finds its file also after the working directory has changed."""
    if path == MEMORY:
        return path
    try:
        return os.path.abspath(path)
    except OSError as error:
        raise ValidationError(f"db_path {path!r} is relative, and the working directory is gone") from error


class Database:
    """A file (or a database in memory), the settings of a store on it, and the engine that it finds when first used.

    `owned`: the store was made by a user, who closes it; until then its engine stays open.
    """

    def __init__(
        self,
        path: str,
        options: StoreOptions,
        *,
        synchronous: Synchronous,
        clock: Callable[[], float] = time.time,
        owned: bool = False,
    ) -> None:
        self.path = path
        self.options = options
        self.synchronous = check_synchronous(synchronous)
        self.settings = Settings(check_clock(clock), options.op_id_ttl, options.limits)
        self.closed = False
        self._owned = owned
        # Empty, or the one engine: of several threads that come first, `setdefault` lets one put theirs in.
        self._engines: dict[None, Engine] = {}

    @property
    def engine(self) -> Engine:
        """The engine of the file that lies at the path when this is first asked for."""
        engine = self._engines.get(None)
        if engine is None:
            if self.closed:
                raise SessionClosedError("the store is closed; make a new one")
            found = registry.engine(self.path, self.synchronous)
            engine = self._engines.setdefault(None, found)
            if engine is found:
                self._begin_with(engine)
        engine.used = next(_ticks)
        return engine

    def _begin_with(self, engine: Engine) -> None:
        if self._owned:
            engine.owners.add(id(self))
        # Finalizers run anywhere, even while this thread holds a lock: neither of these waits for one.
        forget = engine.abandon if self.path == MEMORY else engine.owners.discard
        weakref.finalize(self, forget, id(self)).atexit = False

    def write(self, run: Run[T]) -> T:
        """Run a write and return once it is durable."""
        return self.engine.write(run, self.options.timeout)

    def read(self, run: Run[T]) -> T:
        """Run a short read."""
        return self.engine.read(run, self.options.timeout)

    def read_aside(self, run: Run[T]) -> T:
        """Run a read that may take long, or that has several statements."""
        return self.engine.read_aside(run, self.options.timeout)

    def at_hand(self, session_id: str, limit: int | None) -> AtHand | None:
        """The newest messages, if they are remembered and nobody is at work."""
        engine = self._engines.get(None)
        if engine is None:
            return None
        engine.used = next(_ticks)
        return engine.read_at_hand(session_id, limit, self.settings.now())

    def submit(self, run: Run[T], *, writes: bool) -> asyncio.Future[T]:
        """Queue a write or a short read, for a task."""
        return self.engine.submit(run, self.options.timeout, writes=writes)

    def flush(self) -> None:
        """Let the engine have what the running loop's tasks have asked for."""
        engine = self._engines.get(None)
        if engine is not None:
            engine.flush(asyncio.get_running_loop())

    def run(self, plan: Plan[T]) -> T:
        """Take the steps of a plan, in this thread."""
        try:
            step = next(plan)
            while True:
                try:
                    result = self.take(step)
                except Exception as error:  # noqa: BLE001 - the plan may know what to do about it
                    step = plan.throw(error)
                else:
                    step = plan.send(result)
        except StopIteration as end:
            return cast(T, end.value)

    async def run_async(self, plan: Plan[T]) -> T:
        """Take the steps of a plan, away from the event loop."""
        try:
            step = next(plan)
            while True:
                try:
                    if step.how is How.ASIDE:
                        result = await asyncio.to_thread(self.take, step)
                    else:
                        result = await self.submit(step.run, writes=step.how is How.WRITE)
                except Exception as error:  # noqa: BLE001 - the plan may know what to do about it
                    step = plan.throw(error)
                else:
                    step = plan.send(result)
        except StopIteration as end:
            return cast(T, end.value)

    def take(self, step: Step) -> object:
        """Take one step of a plan, in this thread."""
        return {How.WRITE: self.write, How.READ: self.read, How.ASIDE: self.read_aside}[step.how](step.run)

    def durability(self) -> Durability:
        """`"power"`, or `"process"` where the user chose so, or `"unknown"` in memory."""
        if self.path == MEMORY:
            return "unknown"
        report_wal_reset()
        return "power" if self.synchronous == "full" else "process"

    def close(self) -> None:
        """Finish what is queued; close the file unless others in this process are on it."""
        self.closed = True
        engine = self._engines.pop(None, None)
        if engine is None:
            return
        if self.path == MEMORY:
            engine.stop_thread()
            engine.destroy()
        else:
            engine.owners.discard(id(self))
            registry.close_unless_owned(engine)
