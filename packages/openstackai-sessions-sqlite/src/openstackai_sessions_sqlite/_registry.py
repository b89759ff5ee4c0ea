"""Which engine serves which file in this process, and how many stay open."""

from __future__ import annotations

import atexit
import threading
import weakref

from openstackai_sessions_core.backend import watch_forks
from openstackai_sessions_sqlite._connection import MEMORY, Identity, Synchronous, identify
from openstackai_sessions_sqlite._engine import Engine

__all__ = ["Registry", "registry"]

# So many engines that nobody owns stay open; of more, the least recently used are closed until their next use.
OPEN_ENGINES = 16


class Registry:
    """One engine for each file and setting, whatever the paths that lead to it.

    Its lock is never held while an engine's is being waited for, nor the other way round.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: weakref.WeakSet[Engine] = weakref.WeakSet()
        self._by_path: weakref.WeakValueDictionary[tuple[str, Synchronous], Engine] = weakref.WeakValueDictionary()
        self._by_file: weakref.WeakValueDictionary[tuple[Identity, Synchronous], Engine] = weakref.WeakValueDictionary()
        # What is open is kept, in the order of opening, though no store may refer to it for the moment.
        self._open: dict[Engine, None] = {}
        self._resting: list[Engine] = []
        watch_forks(self)
        atexit.register(self._close_all)

    def engine(self, path: str, synchronous: Synchronous) -> Engine:
        """The engine for the file at a path; opens nothing."""
        with self._lock:
            if path == MEMORY:
                return self._new(path, synchronous)
            engine = self._by_path.get((path, synchronous))
            if engine is None:
                engine = self._by_path[path, synchronous] = self._same_file(path, synchronous)
            return engine

    def _same_file(self, path: str, synchronous: Synchronous) -> Engine:
        identity = identify(path)
        if identity is None:
            return self._new(path, synchronous)
        engine = self._by_file.get((identity, synchronous))
        # A number may have passed on from a file that was deleted to another.
        if engine is None or identify(engine.path) != identity:
            engine = self._by_file[identity, synchronous] = self._new(path, synchronous)
        return engine

    def _new(self, path: str, synchronous: Synchronous) -> Engine:
        engine = Engine(path, synchronous, None if path == MEMORY else self._has_opened)
        self._all.add(engine)
        return engine

    def close_unless_owned(self, engine: Engine) -> None:
        """Close an engine that an owner has given back; others that use it open it again."""
        if not engine.owners:
            engine.stop_thread()
            self._close(engine)

    def _has_opened(self, engine: Engine) -> None:
        with self._lock:
            identity = engine.identity
            if identity is not None:
                self._by_file[identity._replace(state=0), engine.synchronous] = engine
            self._open[engine] = None
            unowned = sorted((other for other in self._open if not other.owners), key=lambda other: other.used)
        for other in unowned[: max(0, len(unowned) - OPEN_ENGINES)]:
            if other is not engine and other.close_if_idle():
                self._has_closed(other)

    def _close(self, engine: Engine) -> None:
        engine.close()
        self._has_closed(engine)

    def _has_closed(self, engine: Engine) -> None:
        with self._lock:
            if engine.identity is None:
                self._open.pop(engine, None)

    def _close_all(self) -> None:
        """When the process ends: leave each file whole in itself, with nothing in its write-ahead log."""
        for engine in list(self._all):
            if engine.path != MEMORY:
                engine.close()

    # -- Fork -------------------------------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Bring every engine to rest; hold the lock, so that there comes no other."""
        self._resting = []
        while True:
            self._lock.acquire()
            waiting = [engine for engine in self._all if engine not in self._resting]
            if not waiting:
                return
            self._lock.release()
            for engine in waiting:
                engine.before_fork()
                self._resting.append(engine)

    def after_fork_in_parent(self) -> None:
        """Let every engine go on."""
        self._lock.release()
        for engine in self._resting:
            engine.after_fork_in_parent()
        self._resting = []

    def after_fork_in_child(self) -> None:
        """Let every engine go on."""
        self._lock = threading.Lock()
        self._open.clear()
        for engine in self._resting:
            engine.after_fork_in_child()
        self._resting = []


registry = Registry()
