"""Handles that are told the same share one store: ten thousand of them, a handful of connections."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from openstackai_sessions_core.backend import watch_forks
from openstackai_sessions_redis._settings import Settings, settings_of

__all__ = ["Shared"]

# How many stores that nobody uses just now keep their connections.
MAX_IDLE = 16


class Resting(Protocol):
    """A store that can close its idle connections, and is told by whom it is shared."""

    @property
    def settings(self) -> Settings: ...

    def rest(self) -> None: ...


S = TypeVar("S", bound=Resting)


class Shared(Generic[S]):
    """The shared stores of this process: the last ones used are kept, the others live as long as a handle does."""

    def __init__(self, make: Callable[[Settings], S], check_client: Callable[[object], None]) -> None:
        self._make = make
        self._check_client = check_client
        self._lock = threading.Lock()
        self._stores: weakref.WeakValueDictionary[Settings, S] = weakref.WeakValueDictionary()
        # The same by arguments as they were given, so that a handle need not check them once more.
        self._by_arguments: weakref.WeakValueDictionary[object, S] = weakref.WeakValueDictionary()
        self._recent: OrderedDict[Settings, S] = OrderedDict()
        self.newest: S | None = None
        watch_forks(self)

    def find(self, arguments: dict[str, object]) -> S:
        """The store that these arguments stand for. Raises `ValidationError` where they cannot be right."""
        values = tuple(arguments.values())
        # 1, 1.0 and True are one key to a dict, but not one argument.
        key = (values, tuple(map(type, values)))
        try:
            known = self._by_arguments.get(key)
        except TypeError:
            # Something unhashable: the check says what.
            known = None
        if known is None:
            settings = settings_of(arguments)
            if settings.client is not None:
                # Before it is looked up: what is no client may not even be hashable.
                self._check_client(settings.client)
            with self._lock:
                known = self._stores.get(settings)
                if known is None:
                    known = self._stores[settings] = self._make(settings)
                self._by_arguments[key] = known
        if self.newest is not known:
            self.touch(known)
        return known

    def touch(self, store: S) -> None:
        """Note that a store is used; the one unused for longest closes its idle connections if there are too many."""
        if store.settings.client is not None:
            return
        resting: list[S] = []
        with self._lock:
            self._recent[store.settings] = store
            self._recent.move_to_end(store.settings)
            self.newest = store
            while len(self._recent) > MAX_IDLE:
                resting.append(self._recent.popitem(last=False)[1])
        for one in resting:
            one.rest()

    def before_fork(self) -> None:
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def after_fork_in_child(self) -> None:
        self._lock = threading.Lock()
