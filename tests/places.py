"""Where the behaviour tests keep sessions: one `Place` a backend."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

from openstackai_sessions_core import AsyncInMemoryStore, InMemoryStore, Limits
from openstackai_sessions_core.backend import AsyncBaseStore, BaseStore
from openstackai_sessions_sqlite import AsyncSQLiteStore, SQLiteStore


class Options(TypedDict, total=False):
    """Settings that every store takes."""

    retry_timeout: float
    op_id_ttl: float
    limits: Limits


class Place(ABC):
    """One place that holds sessions. Every store opened on it sees the same ones."""

    multiprocess = False
    """Whether another process can open the place."""

    real_time = False
    """Whether `elapse` really waits, because the clock is a server's."""

    @abstractmethod
    def open(self, **options: object) -> BaseStore:
        """Open a synchronous store; the test closes it."""

    @abstractmethod
    def open_async(self, **options: object) -> AsyncBaseStore:
        """Open an asynchronous store; the test closes it."""

    shifted = 0.0
    """The seconds that have passed on the store's clock and nowhere else."""

    def elapse(self, seconds: float) -> None:
        """Let time pass on the store's clock."""
        if not self.real_time:
            self.shifted += seconds
        self._elapse(seconds)

    def now(self) -> float:
        """A time on the store's clock, in seconds since some moment: a machine that is late moves it too."""
        return time.monotonic() + self.shifted

    @abstractmethod
    def _elapse(self, seconds: float) -> None: ...

    def clean(self) -> None:  # noqa: B027 - most have nothing to do
        """Remove what the test left."""


class Clock:
    """A clock that only tests move."""

    def __init__(self) -> None:
        self._shift = 0.0

    def __call__(self) -> float:
        return time.time() + self._shift

    def elapse(self, seconds: float) -> None:
        self._shift += seconds


class MemoryPlace(Place):
    """Memory: the stores of a place are one store, so the first one opened settles the options."""

    def __init__(self) -> None:
        self.clock = Clock()
        self._store: InMemoryStore | None = None
        self._async_store: AsyncInMemoryStore | None = None

    def open(self, **options: object) -> BaseStore:
        if self._store is None:
            self._store = InMemoryStore(clock=self.clock, **options)  # type: ignore[arg-type]
        return self._store

    def open_async(self, **options: object) -> AsyncBaseStore:
        if self._async_store is None:
            self._async_store = AsyncInMemoryStore(clock=self.clock, **options)  # type: ignore[arg-type]
        return self._async_store

    def _elapse(self, seconds: float) -> None:
        self.clock.elapse(seconds)


class SQLitePlace(Place):
    """A file. Every store opened is another one, as in another process."""

    multiprocess = True

    def __init__(self, folder: Path) -> None:
        self.path = folder / "sessions.db"
        self.clock = Clock()

    def open(self, **options: object) -> BaseStore:
        return SQLiteStore(self.path, clock=self.clock, **options)  # type: ignore[arg-type]

    def open_async(self, **options: object) -> AsyncBaseStore:
        return AsyncSQLiteStore(self.path, clock=self.clock, **options)  # type: ignore[arg-type]

    def _elapse(self, seconds: float) -> None:
        self.clock.elapse(seconds)


class SQLiteMemoryPlace(SQLitePlace):
    """SQLite's `:memory:`, private to its store: the first one opened settles the options."""

    multiprocess = False

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._store: SQLiteStore | None = None
        self._async_store: AsyncSQLiteStore | None = None

    def open(self, **options: object) -> BaseStore:
        if self._store is None:
            self._store = SQLiteStore(":memory:", clock=self.clock, **options)  # type: ignore[arg-type]
        return self._store

    def open_async(self, **options: object) -> AsyncBaseStore:
        if self._async_store is None:
            self._async_store = AsyncSQLiteStore(":memory:", clock=self.clock, **options)  # type: ignore[arg-type]
        return self._async_store


PLACES: dict[str, Callable[[Path], Place]] = {
    "memory": lambda _: MemoryPlace(),
    "sqlite": SQLitePlace,
    "sqlite-memory": SQLiteMemoryPlace,
}
