"""Where the stores under test keep their sessions, and what a backend's author may add: the hooks."""

from __future__ import annotations

import inspect
import sqlite3
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeAlias

from openstackai_sessions_conformance._elsewhere import HERE, address_of
from openstackai_sessions_conformance._findings import require
from openstackai_sessions_conformance._sweep import Target
from openstackai_sessions_core.backend import AsyncBaseStore, BaseStore

__all__ = ["OPTIONS", "CallablePlace", "Clock", "Place", "Store", "check_settings", "hold_file", "opened"]

Store: TypeAlias = BaseStore | AsyncBaseStore

OPTIONS = frozenset({"timeout", "retry_timeout", "op_id_ttl", "limits", "clock"})
"""The settings that checks may pass to `Place.open`."""


HOOKS = (
    "elapse", "kill_server", "endpoint", "address", "named", "secrets", "driver_calls", "driver_error", "few",
    "unwritable", "unsafe", "impostors",
)  # fmt: skip


class Clock:
    """The time that only checks move: seconds since the epoch, as `time.time` gives them."""

    def __init__(self) -> None:
        self._shift = 0.0
        self._stopped: float | None = None

    def __call__(self) -> float:
        return self._stopped if self._stopped is not None else time.time() + self._shift

    def elapse(self, seconds: float) -> None:
        """Move on, or back where negative."""
        self._shift += seconds
        if self._stopped is not None:
            self._stopped += seconds

    def stop(self) -> None:
        """Give the same time until it is moved."""
        self._stopped = self()


class Place:
    """Somewhere sessions are kept: every store opened on one place sees the same ones.

    Subclass it where a callable that makes a store does not say enough, and return one from the fixture `place` of
    your test class. The hooks are optional: a check that needs one that is absent is skipped, with that reason.
    """

    options: Collection[str] = frozenset()
    """Which of `timeout`, `retry_timeout`, `op_id_ttl`, `limits` and `clock` your `open` takes."""

    single = False
    """Whether there is only ever one store on this place, as in memory: then `open` returns that one each time."""

    clock: Clock | None = None
    """The clock that checks move, where `options` names `clock`: `open` is given it, as that option, each time.

    Without one, expiry is checked by really waiting.
    """

    elapse: Callable[[float], None] | None = None
    """Hook: let so many seconds pass for all stores of the place, where they take no clock."""

    corrupt: Callable[[str, int], None] | None = None
    """Hook: damage, behind the store's back, the stored message of that session id at that position."""

    secrets: Collection[str] = ()
    """Hook: the passwords that are in use, none of which may appear in any text."""

    kill_server: Callable[[], None] | None = None
    """Hook: kill the server (no farewell) and start it again on the same data."""

    endpoint: Callable[[str, int], Place] | None = None
    """Hook: the same place, reached through another host and port."""

    address: tuple[str, int] | None = None
    """Hook: the server's host and port, which `endpoint` stands in for."""

    named: Callable[[str], Place] | None = None
    """Hook: another place on the same engine, under a table, schema or prefix of that name."""

    opener: tuple[str, Sequence[str]] | None = None
    """Hook: `module:callable` and the texts to call it with, by which another process opens this place."""

    database: Path | None = None
    """Hook: the SQLite file that the place is."""

    reopen: Callable[[Path], Store] | None = None
    """Hook: open a copy of `database`, which is called the same and lies in another folder."""

    driver_calls: Sequence[Target] = ()
    """Hook: the functions through which the store calls its driver, as `sweep` takes them."""

    driver_error: Callable[[], BaseException] | None = None
    """Hook: makes the error that the driver raises where a call of it failed, applied or not."""

    few: Mapping[str, object] | None = None
    """Hook: options with which `open` makes a store of one connection that waits for it for under a second."""

    hold: Callable[[Sequence[str]], AbstractContextManager[object]] | None = None
    """Hook: a block within which another connection holds what every write of these sessions waits for."""

    unwritable: Mapping[str, Callable[[], AbstractContextManager[object]]] | None = None
    """Hook: by name, blocks within which the place takes no writes: read-only, full, out of memory."""

    unsafe: Mapping[str, Callable[[], AbstractContextManager[object]]] | None = None
    """Hook: by name, blocks within which the server's settings risk what was acknowledged."""

    impostors: Mapping[str, Callable[[], Place]] | None = None
    """Hook: by name, places that claim TLS with a bad certificate, another host's, or none."""

    renew: Callable[[], None] | None = None
    """Hook: mark what is stored as made by a newer version of the backend."""

    opened_class: type | None = None
    """The class of the stores that were opened; the suite notes it."""

    def open(self, **options: object) -> Store:  # noqa: ARG002 - for those who override it
        """Open a store; the suite closes it. An async one is opened inside a running event loop."""
        raise TypeError(f"{type(self).__name__} must say how to open a store")

    def fresh(self) -> Place:
        """Another, empty place of the same kind, with the same hooks."""
        raise TypeError(f"{type(self).__name__} must say how to make another place")

    def close(self) -> None:
        """Remove what checks have left."""


class CallablePlace(Place):
    """The place of a callable that makes a store: `make()`, or `make(folder)` with a folder of its own.

    Without a folder each call makes a store with sessions of its own, so that the place has a single store.
    """

    def __init__(self, make: Callable[..., Store], folder: Path, hooks: object = None) -> None:
        self._make = make
        self._folder = folder
        self._hooks = hooks
        self._store: Store | None = None
        self._set: dict[str, object] = {}
        parameters = inspect.signature(make).parameters.values()
        required = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        # The folder is the first parameter that has no default, or is called so.
        self._takes_folder = bool(required) and (required[0].default is inspect.Parameter.empty or
                                                 required[0].name in ("folder", "directory", "path"))  # fmt: skip
        self._any = any(p.kind is p.VAR_KEYWORD for p in parameters)
        self._named = {p.name for p in parameters}
        self.single = bool(getattr(hooks, "single", not self._takes_folder))
        declared = getattr(hooks, "options", None)
        self.options = frozenset(declared) if declared is not None else self._find_options()
        self.clock = Clock() if "clock" in self.options else None
        for hook in ("corrupt", "renew", "hold"):
            # They look into the folder, and are told which.
            if getattr(hooks, hook, None) is not None:
                setattr(
                    self, hook, partial(getattr(hooks, hook), folder) if self._takes_folder else getattr(hooks, hook)
                )
        for hook in HOOKS:
            if getattr(hooks, hook, None) is not None:
                setattr(self, hook, getattr(hooks, hook))
        # What a test class sets for every place is a name; here it is about this folder.
        file = getattr(hooks, "database", None)
        if self._takes_folder and file is not None:
            self.database = folder / file
            self.reopen = lambda copy: make(copy.parent)
        target = getattr(hooks, "opener", None)
        where = address_of(make)
        if self._takes_folder and target is not None:
            self.opener = (target, [str(self.database or folder)])
        elif self._takes_folder and where is not None:
            self.opener = (HERE, [*where, str(folder)])

    @property
    def folder(self) -> Path:
        """Where the callable keeps what it stores."""
        return self._folder

    def _find_options(self) -> frozenset[str]:
        found = {option for option in OPTIONS if option in self._named}
        if self._any:
            # `**options` may or may not take a clock: the classes it passes them to say.
            kinds = inspect.getmro(self._make) if inspect.isclass(self._make) else ()
            names = {name for kind in kinds for name in _parameters(kind)}
            found |= (OPTIONS & names) if names else (OPTIONS - {"clock"})
        return frozenset(found)

    def open(self, **options: object) -> Store:
        if self.single and self._store is not None:
            return self._store
        arguments = (self._folder,) if self._takes_folder else ()
        store = self._make(*arguments, **options)
        if self.single:
            self._store = store
        return store

    def fresh(self) -> Place:
        folder = Path(tempfile.mkdtemp(dir=self._folder.parent, prefix=f"{self._folder.name[:40]}-"))
        return CallablePlace(self._make, folder, self._hooks)


def opened(place: Place, options: Mapping[str, object]) -> dict[str, object]:
    """The options to open a store with: those of the check, and the place's clock where its stores take one."""
    clock = {} if place.clock is None or "clock" not in place.options else {"clock": place.clock}
    return {**clock, **options}


def check_settings(place: Place, store: Store, options: Mapping[str, object]) -> None:
    """Note a store's class, and require the settings that it was opened with; a place's only store may have others."""
    place.opened_class = type(store)
    for name in ("timeout", "retry_timeout", "limits"):
        if name in options and not place.single:
            wanted, seen = options[name], getattr(store, name, None)
            cause = f"the callable or place takes `{name}` and does not hand it to the store"
            require(seen == wanted, f"a store opened with {name}={wanted!r} to have it", seen, cause=cause)


@contextmanager
def hold_file(database: Path) -> Iterator[None]:
    """Hold the write lock of a SQLite file."""
    with closing(sqlite3.connect(database, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def _parameters(kind: type) -> list[str]:
    with suppress(TypeError, ValueError):
        return list(inspect.signature(kind.__init__).parameters)  # type: ignore[misc]
    return []
