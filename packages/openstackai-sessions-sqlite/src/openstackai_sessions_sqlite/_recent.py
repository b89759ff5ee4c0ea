"""The newest messages of the sessions in use, kept so that reading them again runs no query.

They belong to one connection and are used under its lock. What that connection commits is noted when it has been
committed; that anybody else has committed, SQLite tells by `PRAGMA data_version`, which is asked before every use:
then everything is forgotten. So a read from here sees what a query at that instant would have seen.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from openstackai_sessions_core import JSONObject
from openstackai_sessions_core.backend import AtHand, RecordTuple, flat_value

__all__ = ["MOST", "Recent"]

# So many messages of one session are kept, so much of one session and of all; sizes are payloads, which are kept
# twice, as text and decoded, and an allowance for the objects around them, in bytes.
MOST = 1_000
SESSION_BYTES = 2 * 1024 * 1024
ALL_BYTES = 32 * 1024 * 1024
ALLOWANCE = 800


class _Window:
    """The newest messages of one session, oldest first. `whole`: the session has no others."""

    __slots__ = ("expires_at", "records", "size", "values", "whole")

    def __init__(self, records: list[RecordTuple], *, whole: bool, expires_at: int | None) -> None:
        self.records = records
        # Of the oldest records on, those that have been asked for: what they decode to.
        self.values: list[JSONObject | None] = []
        self.whole = whole
        self.expires_at = expires_at
        self.size = _size(records)

    def append(self, records: Sequence[RecordTuple]) -> None:
        self.records += records
        self.size += _size(records)
        if len(self.records) > MOST or self.size > SESSION_BYTES:
            # By half, so that a long session is not trimmed at every message.
            kept = self.records[-MOST // 2 :]
            while kept and _size(kept) > SESSION_BYTES // 2:
                kept = kept[len(kept) // 2 + 1 :]
            del self.values[: len(self.records) - len(kept)]
            self.records, self.size, self.whole = kept, _size(kept), False

    def pop(self, position: int) -> bool:
        """Drop the newest message, which should be at that position; False where it is not."""
        if not self.records or self.records[-1][0] != position:
            return False
        self.size -= _size((self.records.pop(),))
        del self.values[len(self.records) :]
        return True

    def newest(self, limit: int) -> AtHand:
        """The newest messages, with what they decode to."""
        records, values = self.records, self.values
        if len(values) < len(records):
            values += [flat_value(record[3]) for record in records[len(values) :]]
        return AtHand(records[-limit:], values[-limit:])


class Recent:
    """The windows of one connection. A `version` is SQLite's data version at that moment."""

    def __init__(self) -> None:
        self._version: int | None = None
        # Whether another connection has been seen to write to the file.
        self.shared = False
        self._windows: OrderedDict[str, _Window] = OrderedDict()
        self._size = 0
        # What the transaction under way changes, to be noted once it is committed.
        self._changes: list[Callable[[], object]] = []

    # -- Reading ----------------------------------------------------------------------------------------------------

    def find(self, version: int, session_id: str, limit: int, now: int) -> list[RecordTuple] | None:
        """The newest `limit` messages of a session, or None where they have to be read."""
        window = self._find(version, session_id, limit, now)
        if window is None:
            return None
        return window.records[-limit:] if limit else []

    def at_hand(self, version: int, session_id: str, limit: int | None, now: int) -> AtHand | None:
        """The same for any `limit` but 0 (None: all), with what the messages decode to."""
        window = self._find(version, session_id, MOST + 1 if limit is None else limit, now)
        return None if window is None else window.newest(MOST if limit is None else limit)

    def _find(self, version: int, session_id: str, limit: int, now: int) -> _Window | None:
        if version != self._version:
            self.shared = self.shared or self._version is not None
            self._clear()
            self._version = version
        window = self._windows.get(session_id)
        if window is None or not (window.whole or limit <= len(window.records)):
            return None
        if window.expires_at is not None and window.expires_at <= now:
            return None
        self._windows.move_to_end(session_id)
        return window

    def keep(
        self, version: int, session_id: str, records: list[RecordTuple], *, whole: bool, expires_at: int | None
    ) -> None:
        """Keep what has been read since `find`, unless somebody has committed in between."""
        if version == self._version:
            self._drop(session_id)
            self._put(session_id, _Window(records.copy(), whole=whole, expires_at=expires_at))

    # -- Writing: noted now, in force after the commit ----------------------------------------------------------------

    def note_append(
        self, session_id: str, records: Sequence[RecordTuple], expires_at: int | None, *, begins: bool
    ) -> None:
        """Messages are appended; `begins`: they are the first of this life of the session."""
        self._changes.append(lambda: self._append(session_id, records, expires_at, begins=begins))

    def note_pop(self, session_id: str, position: int, expires_at: int | None) -> None:
        """The newest message, at that position, is removed."""
        self._changes.append(lambda: self._pop(session_id, position, expires_at))

    def note_other(self, session_id: str) -> None:
        """The session changes in another way."""
        self._changes.append(lambda: self._drop(session_id))

    def note_sweep(self) -> None:
        """Sessions leave storage."""
        self._changes.append(self._clear)

    def commit(self) -> None:
        """The transaction was committed."""
        changes, self._changes = self._changes, []
        for change in changes:
            change()

    def rollback(self) -> None:
        """The transaction was not committed, or nobody knows."""
        self._changes = []

    # -- The windows ------------------------------------------------------------------------------------------------

    def _append(self, session_id: str, records: Sequence[RecordTuple], expires_at: int | None, *, begins: bool) -> None:
        window = self._drop(session_id)
        if begins:
            window = _Window([], whole=True, expires_at=None)
        if window is not None:
            window.append(records)
            window.expires_at = expires_at
            self._put(session_id, window)

    def _pop(self, session_id: str, position: int, expires_at: int | None) -> None:
        window = self._drop(session_id)
        if window is not None and window.pop(position):
            window.expires_at = expires_at
            self._put(session_id, window)

    def _put(self, session_id: str, window: _Window) -> None:
        if window.size > SESSION_BYTES:
            return
        self._windows[session_id] = window
        self._size += window.size + ALLOWANCE
        while self._size > ALL_BYTES:
            self._drop(next(iter(self._windows)))

    def _drop(self, session_id: str) -> _Window | None:
        window = self._windows.pop(session_id, None)
        if window is not None:
            self._size -= window.size + ALLOWANCE
        return window

    def _clear(self) -> None:
        self._windows.clear()
        self._size = 0


def _size(records: Sequence[RecordTuple]) -> int:
    return 2 * sum([len(record[3]) for record in records]) + ALLOWANCE * len(records)
