"""The connections of a store to one server, for threads: the driver's blocking pool at a third of its price."""

from __future__ import annotations

import select
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias

from redis.exceptions import ConnectionError as NoConnectionError

__all__ = ["Link", "ThreadPool"]

# A connection of the driver's, whose types do not cover all that is done with it here.
Link: TypeAlias = Any


class ThreadPool:
    """At most `most` connections, the last used first; who finds none free waits `patience` seconds for one.

    A connection opens with the time-outs that it was made with; once open, it waits `timeout` seconds.
    """

    def __init__(self, make: Callable[[], Link], most: int, patience: float, timeout: float) -> None:
        self._make = make
        self._patience = patience
        self._timeout = timeout
        self._places = threading.Semaphore(most)
        self._free: deque[Link] = deque()

    def get_connection(self) -> Link:
        """A connection that is open and has nothing to say."""
        if not self._places.acquire(timeout=self._patience):
            raise NoConnectionError("No connection available.")
        link: Link = None
        try:
            try:
                link = self._free.pop()
            except IndexError:
                link = self._make()
            if link._sock is None:  # noqa: SLF001 - the only sign of it in every version of the driver
                self._open(link)
            elif _has_news(link):
                # The server has closed it, or answers a question that nobody waits for.
                link.disconnect()
                self._open(link)
        except BaseException:
            self.release(link)
            raise
        return link

    def _open(self, link: Link) -> None:
        link.connect()
        link._sock.settimeout(self._timeout)  # noqa: SLF001 - the driver has one time-out for both

    def release(self, link: Link) -> None:
        if link is not None:
            self._free.append(link)
        self._places.release()

    def rest(self) -> None:
        """Close the connections that are free; they open again when they are taken."""
        for _ in range(len(self._free)):
            if not self._places.acquire(blocking=False):
                return
            link: Link = None
            try:
                link = self._free.popleft()
                link.disconnect()
            except IndexError:
                # Other threads have taken them.
                return
            finally:
                self.release(link)


def _has_news(link: Link) -> bool:
    """Whether there is something to read, if only the end."""
    if not hasattr(select, "poll"):
        return bool(select.select([link._sock], [], [], 0)[0])  # noqa: SLF001 - can_read() sets another time-out
    poller = select.poll()
    poller.register(link._sock, select.POLLIN)  # noqa: SLF001 - can_read() takes four system calls for one
    return bool(poller.poll(0))
