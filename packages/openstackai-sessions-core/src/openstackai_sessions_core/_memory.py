"""Sessions in this process's memory: a full backend, gone with the process."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from openstackai_sessions_core._arguments import check_callable
from openstackai_sessions_core._base import BaseStore
from openstackai_sessions_core._codec import check_payload
from openstackai_sessions_core._errors import (
    ConflictError,
    SessionClosedError,
    ValidationError,
)
from openstackai_sessions_core._fork import watch_forks
from openstackai_sessions_core._ledger import used_before
from openstackai_sessions_core._limits import Limits, check_metadata_size
from openstackai_sessions_core._message import SessionInfo, from_microseconds
from openstackai_sessions_core._options import StoreOptions
from openstackai_sessions_core._records import (
    Head,
    ImportedMessage,
    NewMessage,
    Operation,
    Outcome,
    Record,
    SessionImport,
    Snapshot,
)
from openstackai_sessions_core._session import Session
from openstackai_sessions_core._store import Durability

__all__ = ["InMemorySession", "InMemoryStore"]

# How many remembered operations and expired sessions one write clears away.
SWEEP = 4


class _Entry:
    """One life of a session. A deadline of None never comes."""

    __slots__ = (
        "by_id",
        "created_at",
        "deadline",
        "life",
        "log",
        "metadata",
        "next_position",
        "queued",
        "ttl",
        "updated_at",
    )

    def __init__(self, life: int, now: int) -> None:
        self.life = life
        self.log: list[Record] = []
        self.by_id: dict[str, Record] = {}
        self.metadata: dict[str, bytes] = {}
        self.next_position = 1
        self.created_at = now
        self.updated_at = now
        self.ttl: int | None = None
        self.deadline: int | None = None
        # Its entry in the queue of deadlines: no later than the deadline, which moves on with every write.
        self.queued: int | None = None


class InMemoryStore(BaseStore):
    """A store in memory, for tests and for what need not outlive the process. Safe to share between threads.

    `clock` returns seconds since the epoch; tests pass their own. The other settings are those of every store.
    """

    def __init__(
        self,
        *,
        retry_timeout: float = 30.0,
        op_id_ttl: float = 600.0,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(
            StoreOptions(
                retry_timeout=retry_timeout,
                op_id_ttl=op_id_ttl,
                limits=Limits() if limits is None else limits,
            )
        )
        self._clock = check_callable("clock", clock)
        self._lock = threading.Lock()
        self._sessions: dict[str, _Entry] = {}
        self._lives = itertools.count(1)
        self._operations: dict[tuple[str, str], tuple[int, bytes, Outcome]] = {}
        self._remembered: deque[tuple[int, tuple[str, str]]] = deque()
        # A heap of (deadline, life, session id): each session that has a deadline has an entry no later than that.
        self._deadlines: list[tuple[int, int, str]] = []
        self._closed = False
        watch_forks(self)

    def __repr__(self) -> str:
        return f"<InMemoryStore with {len(self._sessions)} sessions>"

    # -- Writes -----------------------------------------------------------------------------------------------------

    def append(
        self,
        session_id: str,
        op: Operation,
        messages: Sequence[NewMessage],
        *,
        ttl: int | None,
    ) -> Outcome:
        with self._lock:
            now = self._now()
            if (before := self._recall(session_id, op, now)) is not None:
                return before
            entry = self._find(session_id, now)
            known = _known(entry, messages)
            if len(known) < len(messages):
                entry = self._touch(session_id, entry, now, ttl)
            fresh: list[Record] = []
            records: list[Record] = []
            added: list[bool] = []
            for id, data, _ in messages:
                if id in known:
                    records.append(known[id])
                    added.append(False)
                    continue
                assert entry is not None
                record = Record(entry.next_position + len(fresh), id, now, data)
                fresh.append(record)
                records.append(record)
                added.append(True)
            if entry is not None:
                _add(entry, fresh, {record.id: record for record in fresh})
            return self._remember(session_id, op, now, Outcome(any(added), False, records, added))

    def pop(self, session_id: str, op: Operation, *, ttl: int | None) -> Outcome:
        with self._lock:
            now = self._now()
            if (before := self._recall(session_id, op, now)) is not None:
                return before
            entry = self._find(session_id, now)
            if entry is None or not entry.log:
                return self._remember(session_id, op, now, Outcome(False))
            check_payload(entry.log[-1])
            self._touch(session_id, entry, now, ttl)
            record = entry.log.pop()
            entry.by_id.pop(record.id, None)
            return self._remember(session_id, op, now, Outcome(True, False, (record,)))

    def clear(self, session_id: str, op: Operation, *, ttl: int | None) -> Outcome:
        with self._lock:
            now = self._now()
            if (before := self._recall(session_id, op, now)) is not None:
                return before
            entry = self._find(session_id, now)
            if entry is None or not entry.log:
                return self._remember(session_id, op, now, Outcome(False))
            self._touch(session_id, entry, now, ttl)
            entry.log = []
            entry.by_id = {}
            return self._remember(session_id, op, now, Outcome(True))

    def write_metadata(
        self,
        session_id: str,
        op: Operation,
        values: Mapping[str, bytes],
        removed: Sequence[str],
        *,
        ttl: int | None,
    ) -> Outcome:
        with self._lock:
            now = self._now()
            if (before := self._recall(session_id, op, now)) is not None:
                return before
            entry = self._find(session_id, now)
            held = entry.metadata if entry is not None else {}
            if not values and not any(key in held for key in removed):
                return self._remember(session_id, op, now, Outcome(False))
            metadata = {key: value for key, value in {**held, **values}.items() if key not in removed}
            self._check_metadata(metadata)
            self._touch(session_id, entry, now, ttl).metadata = metadata
            return self._remember(session_id, op, now, Outcome(True))

    def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        # A million records take a second to build, in which other sessions need not wait.
        prepared = [] if content.append else _number(content.messages, self._next_position(session_id))
        with self._lock:
            now = self._now()
            if (before := self._recall(session_id, op, now)) is not None:
                return before
            entry = self._find(session_id, now)
            if not content.messages and not content.metadata and (content.append or entry is None):
                return self._remember(session_id, op, now, Outcome(False))
            metadata = {
                **(entry.metadata if entry is not None and content.append else {}),
                **content.metadata,
            }
            self._check_metadata(metadata)
            fresh = content.messages
            if content.append:
                known = _known(
                    entry,
                    [NewMessage(id, data, True) for id, _, data in content.messages],
                )
                fresh = [message for message in content.messages if message.id not in known]
                if not fresh and not content.metadata:
                    return self._remember(session_id, op, now, Outcome(False))
            entry = self._touch(session_id, entry, now, ttl)
            if prepared and prepared[0].position == entry.next_position:
                records = prepared
            else:
                records = _number(fresh, entry.next_position)
            by_id = {record.id: record for record in records}
            if not content.append:
                entry.log = []
                entry.by_id = {}
                entry.created_at = entry.created_at if content.created_at is None else content.created_at
            _add(entry, records, by_id)
            entry.metadata = metadata
            return self._remember(session_id, op, now, Outcome(True))

    def _next_position(self, session_id: str) -> int:
        with self._lock:
            entry = self._find(session_id, self._now())
            return entry.next_position if entry is not None else 1

    def delete(self, session_id: str, op: Operation) -> Outcome:
        with self._lock:
            now = self._now()
            if (before := self._recall(session_id, op, now)) is not None:
                return before
            entry = self._find(session_id, now)
            if entry is not None:
                del self._sessions[session_id]
            return self._remember(session_id, op, now, Outcome(entry is not None))

    # -- Reads ------------------------------------------------------------------------------------------------------

    def read(self, session_id: str, *, limit: int | None, before: int | None) -> Sequence[Record]:
        with self._lock:
            entry = self._find(session_id, self._now())
            if entry is None:
                return []
            end = len(entry.log) if before is None else bisect_left(entry.log, (before,))
            return entry.log[0 if limit is None else max(0, end - limit) : end]

    def scan(self, session_id: str, life: int, *, after: int, until: int, limit: int) -> Sequence[Record]:
        with self._lock:
            entry = self._find(session_id, self._now())
            if entry is None or entry.life != life:
                return []
            start = bisect_left(entry.log, (after + 1,))
            return entry.log[start : min(start + limit, bisect_left(entry.log, (until + 1,)))]

    def head(self, session_id: str) -> Head | None:
        with self._lock:
            entry = self._find(session_id, self._now())
            if entry is None:
                return None
            newest = entry.log[-1].position if entry.log else 0
            return Head(entry.life, len(entry.log), newest, entry.created_at, entry.updated_at)

    def read_metadata(self, session_id: str, keys: Sequence[str] | None) -> Mapping[str, bytes]:
        with self._lock:
            entry = self._find(session_id, self._now())
            held = entry.metadata if entry is not None else {}
            return dict(held) if keys is None else {key: held[key] for key in keys if key in held}

    def load(self, session_id: str) -> Snapshot | None:
        with self._lock:
            entry = self._find(session_id, self._now())
            return None if entry is None else Snapshot(entry.created_at, entry.log.copy(), entry.metadata.copy())

    def list_page(self, prefix: str, *, after: str | None, limit: int) -> Sequence[SessionInfo]:
        with self._lock:
            now = self._now()
            self._purge(now, None)
            # Python orders text by code points, which is the order of the UTF-8 bytes.
            wanted = (id for id in self._sessions if id.startswith(prefix) and (after is None or id > after))
            page = [(id, self._sessions[id]) for id in heapq.nsmallest(limit, wanted)]
            return [
                SessionInfo(
                    id,
                    len(entry.log),
                    from_microseconds(entry.created_at),
                    from_microseconds(entry.updated_at),
                )
                for id, entry in page
            ]

    # -- The store --------------------------------------------------------------------------------------------------

    def purge(self) -> int:
        with self._lock:
            return self._purge(self._now(), None)

    def durability(self) -> Durability:
        """`"unknown"`: memory promises nothing beyond the life of this process."""
        return "unknown"

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._sessions.clear()
            self._operations.clear()
            self._remembered.clear()
            self._deadlines.clear()

    def before_fork(self) -> None:
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def after_fork_in_child(self) -> None:
        self._lock = threading.Lock()

    # -- Under the lock ---------------------------------------------------------------------------------------------

    def _now(self) -> int:
        if self._closed:
            raise SessionClosedError("the store is closed; make a new one")
        return int(self._clock() * 1_000_000)

    def _find(self, session_id: str, now: int) -> _Entry | None:
        """The session's present life, if it has one."""
        entry = self._sessions.get(session_id)
        return None if entry is None or _is_over(entry, now) else entry

    def _touch(self, session_id: str, entry: _Entry | None, now: int, ttl: int | None) -> _Entry:
        """Begin a life where there is none, and note a write."""
        if entry is None:
            entry = self._sessions[session_id] = _Entry(next(self._lives), now)
        entry.updated_at = now
        entry.ttl = entry.ttl if ttl is None else ttl
        if entry.ttl is not None:
            entry.deadline = now + entry.ttl
            if entry.queued is None or entry.deadline < entry.queued:
                self._queue(session_id, entry, entry.deadline)
        return entry

    def _queue(self, session_id: str, entry: _Entry, deadline: int) -> None:
        entry.queued = deadline
        heapq.heappush(self._deadlines, (deadline, entry.life, session_id))

    def _recall(self, session_id: str, op: Operation, now: int) -> Outcome | None:
        found = self._operations.get((session_id, op.id))
        if found is None or found[0] < self._horizon(now):
            return None
        if found[1] != op.digest:
            raise used_before(op)
        return found[2]._replace(repeated=True)

    def _remember(self, session_id: str, op: Operation, now: int, outcome: Outcome) -> Outcome:
        key = (session_id, op.id)
        self._operations[key] = (now, op.digest, outcome)
        self._remembered.append((now, key))
        horizon = self._horizon(now)
        for _ in range(SWEEP):
            if not self._remembered or self._remembered[0][0] >= horizon:
                break
            at, old = self._remembered.popleft()
            if old in self._operations and self._operations[old][0] == at:
                del self._operations[old]
        self._purge(now, SWEEP)
        return outcome

    def _horizon(self, now: int) -> int:
        """What was remembered before this time is forgotten."""
        return now - int(self.options.op_id_ttl * 1_000_000)

    def _purge(self, now: int, most: int | None) -> int:
        """Drop sessions past their deadline, at most `most` steps of work."""
        dropped = 0
        steps = 0
        while self._deadlines and self._deadlines[0][0] <= now and (most is None or steps < most):
            steps += 1
            queued, life, session_id = heapq.heappop(self._deadlines)
            entry = self._sessions.get(session_id)
            if entry is None or entry.life != life or entry.queued != queued or entry.deadline is None:
                continue
            if _is_over(entry, now):
                del self._sessions[session_id]
                dropped += 1
            else:
                self._queue(session_id, entry, entry.deadline)
        return dropped

    def _check_metadata(self, metadata: Mapping[str, bytes]) -> None:
        check_metadata_size(metadata, self.limits)


def _is_over(entry: _Entry, now: int) -> bool:
    return entry.deadline is not None and entry.deadline <= now


def _add(entry: _Entry, records: list[Record], by_id: dict[str, Record]) -> None:
    """Put new records into the log, in a few steps however many they are: Ctrl-C may strike between any two."""
    entry.next_position += len(records)
    entry.log += records
    entry.by_id.update(by_id)


def _number(messages: Sequence[ImportedMessage], first: int) -> list[Record]:
    return [Record(position, id, created_at, data) for position, (id, created_at, data) in enumerate(messages, first)]


def _known(entry: _Entry | None, messages: Sequence[NewMessage]) -> dict[str, Record]:
    """The records, by id, of those messages that are in the log already; `ConflictError` where a payload differs."""
    known: dict[str, Record] = {}
    if entry is not None:
        for id, data, given in messages:
            record = entry.by_id.get(id) if given else None
            if record is None:
                continue
            if record.data != data:
                raise ConflictError(f"a message with the id {id!r} and another content is in the session")
            known[id] = record
    return known


class InMemorySession(Session):
    """A handle on a session in memory: private to itself, or in a `store` that several handles share.

    `ttl` is in seconds; see `Session`.
    """

    def __init__(
        self,
        session_id: str = "default",
        *,
        store: InMemoryStore | None = None,
        ttl: float | None = None,
    ) -> None:
        if store is not None and not isinstance(store, InMemoryStore):
            raise ValidationError(f"store must be an InMemoryStore, not {type(store).__name__}")
        super().__init__(InMemoryStore() if store is None else store, session_id, ttl=ttl)
