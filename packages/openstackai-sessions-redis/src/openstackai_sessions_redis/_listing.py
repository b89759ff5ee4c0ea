"""Merging the buckets of a listing into one order. No I/O here."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence

from openstackai_sessions_redis._keys import BUCKETS

__all__ = ["Listing"]

# So many ids are fetched at once; a longer page takes several fetches.
MOST = 100_000


class Listing:
    """The ids of all buckets in the order of their bytes, fetched a few at a time."""

    def __init__(self, prefix: bytes, after: bytes | None, limit: int) -> None:
        start = b"[" + prefix if prefix else b"-"
        if after is not None and after >= prefix:
            start = b"(" + after
        # No byte of UTF-8 is 0xff: this end is just above all that begins with the prefix.
        self._end = b"(" + prefix + b"\xff" if prefix else b"+"
        # Where to go on in each bucket that may hold more.
        self._open = dict.fromkeys(range(BUCKETS), start)
        self._fetched: list[bytes] = []
        self._asked = False
        # Ids fall into the buckets at random: a few more than the mean will nearly always do.
        mean = min(limit, MOST) / BUCKETS
        self.size = min(limit, math.ceil(mean + 4 * math.sqrt(mean) + 2))

    def take(self, most: int) -> list[bytes]:
        """The next ids, as far as they are certain: beyond the last id of a bucket that may hold more, none is."""
        if not self._asked:
            return []
        certain = min((start[1:] for start in self._open.values()), default=None)
        taken: list[bytes] = []
        while self._fetched and len(taken) < most and (certain is None or self._fetched[0] <= certain):
            taken.append(heapq.heappop(self._fetched))
        return taken

    def asks(self) -> list[tuple[int, bytes, bytes]]:
        """The buckets to ask for `size` ids, each with the range; none where everything has been fetched."""
        return [(bucket, start, self._end) for bucket, start in self._open.items()]

    def feed(self, replies: Sequence[bytes]) -> None:
        """Take in what the buckets of `asks` answered."""
        self._asked = True
        for bucket, reply in zip(list(self._open), replies, strict=True):
            ids = reply.split(b"\n") if reply else []
            for id in ids:
                heapq.heappush(self._fetched, id)
            if len(ids) < self.size:
                del self._open[bucket]
            else:
                self._open[bucket] = b"(" + ids[-1]
