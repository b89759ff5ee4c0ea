"""What holds a lock or a connection is told when the process forks."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol

__all__ = ["ForkAware", "watch_forks"]


class ForkAware(Protocol):
    """Something that must come to rest before a fork and wake up on both sides of it."""

    def before_fork(self) -> None:
        """Finish what is under way and keep anything new from starting."""

    def after_fork_in_parent(self) -> None:
        """Go on."""

    def after_fork_in_child(self) -> None:
        """Go on, with locks and threads that belong to the child."""


class _Watchers:
    """The living objects that are told, weakly held. `resting` are those a fork under way has stopped."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: weakref.WeakSet[ForkAware] = weakref.WeakSet()
        self._resting: list[ForkAware] = []

    def add(self, member: ForkAware) -> None:
        with self._lock:
            self._all.add(member)

    def before(self) -> None:
        self._lock.acquire()
        self._resting = list(self._all)
        for member in self._resting:
            member.before_fork()

    def after_in_parent(self) -> None:
        for member in reversed(self._resting):
            member.after_fork_in_parent()
        self._resting = []
        self._lock.release()

    def after_in_child(self) -> None:
        for member in reversed(self._resting):
            member.after_fork_in_child()
        self._resting = []
        self._lock = threading.Lock()


_watchers = _Watchers()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_watchers.before,
        after_in_parent=_watchers.after_in_parent,
        after_in_child=_watchers.after_in_child,
    )


def watch_forks(member: ForkAware) -> None:
    """Tell this object of every fork for as long as it lives."""
    _watchers.add(member)
