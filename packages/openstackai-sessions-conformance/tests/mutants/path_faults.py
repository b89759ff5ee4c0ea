"""Mutants faulty on one path only: one way of reading or writing, past some size, or in a call that is refused.

What goes the usual way is right, so that a check which goes no other does not see them.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from mutants.faults import coerced_float, question_mark, through_json
from openstackai_sessions_core import (
    AsyncInMemoryStore,
    AsyncSession,
    ConflictError,
    CorruptDataError,
    InMemoryStore,
    LimitExceededError,
    Session,
    SessionInfo,
)
from openstackai_sessions_core._limits import check_size
from openstackai_sessions_core._memory import _Entry, _is_over
from openstackai_sessions_core._message import from_microseconds
from openstackai_sessions_core.backend import (
    AtHand,
    MessagesAtHand,
    NewMessage,
    Operation,
    Outcome,
    Record,
    SessionImport,
    Snapshot,
)

__all__ = ["ASYNC_PATH_FAULTS", "PATH_FAULTS"]

# As long as a server takes to answer.
PAGE = 0.001


class StopsAfterAPage(InMemoryStore):
    """An iteration in pages of 500 or more ends after the first."""

    def scan(self, session_id: str, life: int, *, after: int, until: int, limit: int) -> Sequence[Record]:
        return [] if limit >= 500 and after else super().scan(session_id, life, after=after, until=until, limit=limit)


class SkipsAtABorder(InMemoryStore):
    """An iteration in pages of 500 or more leaves out one message between two."""

    def scan(self, session_id: str, life: int, *, after: int, until: int, limit: int) -> Sequence[Record]:
        start = after + 1 if limit >= 500 and after else after
        return super().scan(session_id, life, after=start, until=until, limit=limit)


def iterated(change: Callable[[bytes], bytes]) -> type[InMemoryStore]:
    """A store whose iteration changes payloads."""

    class Iterated(InMemoryStore):
        def scan(self, session_id: str, life: int, *, after: int, until: int, limit: int) -> Sequence[Record]:
            found = super().scan(session_id, life, after=after, until=until, limit=limit)
            return [record._replace(data=change(record.data)) for record in found]

    return Iterated


def paged(change: Callable[[bytes], bytes]) -> type[InMemoryStore]:
    """A store in which reads of a part change payloads."""

    class Paged(InMemoryStore):
        def read(self, session_id: str, *, limit: int | None, before: int | None) -> Sequence[Record]:
            found = super().read(session_id, limit=limit, before=before)
            if limit is None and before is None:
                return found
            return [record._replace(data=change(record.data)) for record in found]

    return Paged


def imported(change: Callable[[bytes], bytes], *, append: bool) -> type[InMemoryStore]:
    """A store in which imports of one mode change the payloads of messages."""

    class Imported(InMemoryStore):
        def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
            if content.append is append:
                messages = [message._replace(data=change(message.data)) for message in content.messages]
                content = content._replace(messages=messages)
            return super().replace(session_id, op, content, ttl=ttl)

    return Imported


def cut(data: bytes) -> bytes:
    """Cut what is longer than 64 KiB."""
    return data if len(data) <= 65_535 else through_json(_cut_text)(data)


def _cut_text(value: Any) -> Any:
    return value[:65_435] if isinstance(value, str) else value


class CutsMetadata(InMemoryStore):
    def write_metadata(
        self, session_id: str, op: Operation, values: Mapping[str, bytes], removed: Sequence[str], *, ttl: int | None
    ) -> Outcome:
        stored = {key: cut(value) for key, value in values.items()}
        return super().write_metadata(session_id, op, stored, removed, ttl=ttl)


class ReadCaps(InMemoryStore):
    def read(self, session_id: str, *, limit: int | None, before: int | None) -> Sequence[Record]:
        most = 10_000 if limit is None else min(limit, 10_000)
        return super().read(session_id, limit=most, before=before)


class ExportCaps(InMemoryStore):
    def load(self, session_id: str) -> Snapshot | None:
        found = super().load(session_id)
        return None if found is None else found._replace(messages=found.messages[:5_000])


class MetadataCaps(InMemoryStore):
    def read_metadata(self, session_id: str, keys: Sequence[str] | None) -> Mapping[str, bytes]:
        return dict(list(super().read_metadata(session_id, keys).items())[:500])


class ExportCapsMetadata(InMemoryStore):
    def load(self, session_id: str) -> Snapshot | None:
        found = super().load(session_id)
        return None if found is None else found._replace(metadata=dict(list(found.metadata.items())[:200]))


def steps(op: Operation, values: Mapping[str, bytes]) -> list[tuple[Operation, dict[str, bytes]]]:
    """A large update in parts of 100 keys, but for the last."""
    items = list(values.items())
    return [
        (Operation(f"{op.id}/{start}", op.digest), dict(items[start : start + 100]))
        for start in range(0, len(items) - 100, 100)
    ]


class UpdatesInSteps(InMemoryStore):
    def write_metadata(
        self, session_id: str, op: Operation, values: Mapping[str, bytes], removed: Sequence[str], *, ttl: int | None
    ) -> Outcome:
        for step, some in steps(op, values):
            super().write_metadata(session_id, step, some, (), ttl=ttl)
            time.sleep(0)
        return super().write_metadata(session_id, op, values, removed, ttl=ttl)


class AsyncUpdatesInSteps(AsyncInMemoryStore):
    """The same, with other tasks running between the steps."""

    async def write_metadata(
        self, session_id: str, op: Operation, values: Mapping[str, bytes], removed: Sequence[str], *, ttl: int | None
    ) -> Outcome:
        for step, some in steps(op, values):
            await super().write_metadata(session_id, step, some, (), ttl=ttl)
            await asyncio.sleep(0)
        return await super().write_metadata(session_id, op, values, removed, ttl=ttl)


class LimitBeforePrefix(InMemoryStore):
    def list_page(self, prefix: str, *, after: str | None, limit: int) -> Sequence[SessionInfo]:
        return [info for info in super().list_page("", after=after, limit=limit) if info.id.startswith(prefix)]


class Traces(InMemoryStore):
    """A store in which refused writes can leave a trace."""

    def begin(self, session_id: str, ttl: int | None) -> None:
        """Write nothing to a session: it exists from then on, and its deadline moves."""
        with self._lock:
            now = self._now()
            self._touch(session_id, self._find(session_id, now), now, ttl)


class MetadataOverLimitTouches(Traces):
    def write_metadata(
        self, session_id: str, op: Operation, values: Mapping[str, bytes], removed: Sequence[str], *, ttl: int | None
    ) -> Outcome:
        try:
            return super().write_metadata(session_id, op, values, removed, ttl=ttl)
        except LimitExceededError:
            self.begin(session_id, ttl)
            raise


class CorruptPopTouches(Traces):
    def pop(self, session_id: str, op: Operation, *, ttl: int | None) -> Outcome:
        try:
            return super().pop(session_id, op, ttl=ttl)
        except CorruptDataError:
            self.begin(session_id, ttl)
            raise


class ConflictTouches(Traces):
    def append(self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None) -> Outcome:
        try:
            return super().append(session_id, op, messages, ttl=ttl)
        except ConflictError:
            self.begin(session_id, ttl)
            raise


class ImportConflictTouches(Traces):
    def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        try:
            return super().replace(session_id, op, content, ttl=ttl)
        except ConflictError:
            self.begin(session_id, ttl)
            raise


class ImportOverLimit(InMemoryStore):
    """The limit of all metadata is not looked at by an import in mode append."""

    appends = False

    def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        self.appends = content.append
        try:
            return super().replace(session_id, op, content, ttl=ttl)
        finally:
            self.appends = False

    def _check_metadata(self, metadata: Mapping[str, bytes]) -> None:
        if not self.appends:
            super()._check_metadata(metadata)


class CountsCharacters(InMemoryStore):
    def _check_metadata(self, metadata: Mapping[str, bytes]) -> None:
        size = sum(len(key) + len(value) for key, value in metadata.items())
        check_size("the session's metadata", size, self.limits.metadata_bytes, "metadata_bytes")


class WholeSeconds(InMemoryStore):
    """A time to live is rounded up to seconds."""

    def _touch(self, session_id: str, entry: _Entry | None, now: int, ttl: int | None) -> _Entry:
        rounded = None if ttl is None else -(-ttl // 1_000_000) * 1_000_000
        return super()._touch(session_id, entry, now, rounded)


class Refreshes(InMemoryStore):
    """A store in which reads can move the deadline."""

    def refresh(self, session_id: str) -> None:
        entry = self._sessions.get(session_id)
        if entry is not None and entry.ttl is not None:
            entry.deadline = self._now() + entry.ttl


class IterationRefreshes(Refreshes):
    def scan(self, session_id: str, life: int, *, after: int, until: int, limit: int) -> Sequence[Record]:
        found = super().scan(session_id, life, after=after, until=until, limit=limit)
        if found:
            self.refresh(session_id)
        return found


class PagedReadRefreshes(Refreshes):
    def read(self, session_id: str, *, limit: int | None, before: int | None) -> Sequence[Record]:
        found = super().read(session_id, limit=limit, before=before)
        if found and before is not None:
            self.refresh(session_id)
        return found


class IteratesPastTheDeadline(InMemoryStore):
    """Only the first page looks at the deadline."""

    def scan(self, session_id: str, life: int, *, after: int, until: int, limit: int) -> Sequence[Record]:
        with self._lock:
            entry = self._sessions.get(session_id)
            if entry is None or entry.life != life:
                return []
            start = bisect_left(entry.log, (after + 1,))
            return entry.log[start : min(start + limit, bisect_left(entry.log, (until + 1,)))]


class PurgesMessagesOnly(InMemoryStore):
    """Purging looks for messages that have expired: a session without any is left."""

    def purge(self) -> int:
        with self._lock:
            now = self._now()
            gone = [id for id, entry in self._sessions.items() if _is_over(entry, now) and entry.log]
            for id in gone:
                del self._sessions[id]
            return len(gone)


class SendsTtlOnce(InMemoryStore):
    """A handle's ttl goes with its first write alone."""

    def session(self, session_id: str, *, ttl: float | None = None) -> Session:
        class Once(Session):
            def _write(self, *arguments: Any) -> Any:
                result = super()._write(*arguments)
                self._ttl = None
                return result

        return Once(self, session_id, ttl=ttl)


class AsyncSendsTtlOnce(AsyncInMemoryStore):
    """The same, with handles of the other kind."""

    def session(self, session_id: str, *, ttl: float | None = None) -> AsyncSession:
        class Once(AsyncSession):
            async def _write(self, *arguments: Any) -> Any:
                result = await super()._write(*arguments)
                self._ttl = None
                return result

        return Once(self, session_id, ttl=ttl)


FAR = 10**18


def finds_expired(method: str) -> type[InMemoryStore]:
    """A store in which one kind of write finds what has expired and was not cleared away."""

    def write(self: Any, session_id: str, op: Operation, *arguments: Any, **options: Any) -> Outcome:
        call: Callable[[], Outcome] = partial(
            getattr(InMemoryStore, method), self, session_id, op, *arguments, **options
        )
        entry = self._sessions.get(session_id)
        if entry is None or not _is_over(entry, self._now()):
            return call()
        deadline, entry.deadline = entry.deadline, FAR
        outcome = call()
        if entry.deadline == FAR and self._sessions.get(session_id) is entry:
            entry.deadline = deadline
            self._queue(session_id, entry, deadline)
        return outcome

    return type("FindsExpired", (InMemoryStore,), {method: write})


class CreationOutlivesExpiry(InMemoryStore):
    """A new life has the time of creation of the one that expired and was not cleared away."""

    def _touch(self, session_id: str, entry: _Entry | None, now: int, ttl: int | None) -> _Entry:
        old = self._sessions.get(session_id) if entry is None else None
        new = super()._touch(session_id, entry, now, ttl)
        new.created_at = new.created_at if old is None else old.created_at
        return new


class IteratesTheNextLife(InMemoryStore):
    """An iteration goes on in the life that follows one that expired and was not cleared away."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._older: dict[int, int] = {}

    def _touch(self, session_id: str, entry: _Entry | None, now: int, ttl: int | None) -> _Entry:
        old = self._sessions.get(session_id) if entry is None else None
        new = super()._touch(session_id, entry, now, ttl)
        if old is not None:
            self._older[new.life] = old.life
        return new

    def scan(self, session_id: str, life: int, *, after: int, until: int, limit: int) -> Sequence[Record]:
        entry = self._sessions.get(session_id)
        if entry is not None and self._older.get(entry.life) == life:
            life = entry.life
        return super().scan(session_id, life, after=after, until=until, limit=limit)


class TtlOutlivesExpiry(InMemoryStore):
    """A new life has the ttl of the one that expired and was not cleared away."""

    def _touch(self, session_id: str, entry: _Entry | None, now: int, ttl: int | None) -> _Entry:
        old = self._sessions.get(session_id)
        kept = old.ttl if entry is None and ttl is None and old is not None else ttl
        return super()._touch(session_id, entry, now, kept)


class TtlOverflows(InMemoryStore):
    """A ttl of over 2**31 milliseconds, about 25 days, becomes a second."""

    def _touch(self, session_id: str, entry: _Entry | None, now: int, ttl: int | None) -> _Entry:
        short = ttl is not None and ttl >= 2**31 * 1_000
        return super()._touch(session_id, entry, now, 1_000_000 if short else ttl)


class PurgeCountsTheDue(InMemoryStore):
    """A purge counts the deadlines that have come, also of what was renewed or deleted since."""

    def purge(self) -> int:
        with self._lock:
            now = self._now()
            due = sum(deadline <= now for deadline, _, _ in self._deadlines)
            return max(due, self._purge(now, None))


class PurgesAPage(InMemoryStore):
    """A purge ends after a hundred sessions."""

    def purge(self) -> int:
        with self._lock:
            return self._purge(self._now(), 100)


class ListingPurgesAPage(InMemoryStore):
    """A listing drops a hundred sessions that have expired, and lists the others."""

    _listing = False

    def list_page(self, prefix: str, *, after: str | None, limit: int) -> Sequence[SessionInfo]:
        self._listing = True
        found = super().list_page(prefix, after=after, limit=limit)
        self._listing = False
        return found

    def _purge(self, now: int, most: int | None) -> int:
        return super()._purge(now, 100 if self._listing and most is None else most)


class ListsFrom1970(InMemoryStore):
    """A listing tells no time before 1970."""

    def list_page(self, prefix: str, *, after: str | None, limit: int) -> Sequence[SessionInfo]:
        found = super().list_page(prefix, after=after, limit=limit)
        return [replace(info, created_at=max(info.created_at, from_microseconds(0))) for info in found]


class ReadsInSteps(InMemoryStore):
    """The messages of a long log are read 500 at a time."""

    def read(self, session_id: str, *, limit: int | None, before: int | None) -> Sequence[Record]:
        found = list(super().read(session_id, limit=limit, before=before))
        if len(found) <= 500:
            return found
        time.sleep(PAGE)
        later = super().read(session_id, limit=limit, before=before)
        return found[:500] + [record for record in later if record.position > found[499].position]


class AsyncReadsInSteps(AsyncInMemoryStore):
    async def read(self, session_id: str, *, limit: int | None, before: int | None) -> Sequence[Record]:
        found = list(await super().read(session_id, limit=limit, before=before))
        if len(found) <= 500:
            return found
        await asyncio.sleep(PAGE)
        later = await super().read(session_id, limit=limit, before=before)
        return found[:500] + [record for record in later if record.position > found[499].position]


def _joined(found: Snapshot, later: Snapshot | None) -> Snapshot:
    """The first 500 messages of one snapshot, and the rest of another."""
    head = list(found.messages[:500])
    rest = [] if later is None else [record for record in later.messages if record[0] > head[-1][0]]
    return found._replace(messages=[*head, *rest])


class ExportsInSteps(InMemoryStore):
    """The messages of a long log are exported 500 at a time."""

    def load(self, session_id: str) -> Snapshot | None:
        found = super().load(session_id)
        if found is None or len(found.messages) <= 500:
            return found
        time.sleep(PAGE)
        return _joined(found, super().load(session_id))


class AsyncExportsInSteps(AsyncInMemoryStore):
    async def load(self, session_id: str) -> Snapshot | None:
        found = await super().load(session_id)
        if found is None or len(found.messages) <= 500:
            return found
        await asyncio.sleep(PAGE)
        return _joined(found, await super().load(session_id))


def _clear_some(store: InMemoryStore, session_id: str, op: Operation) -> None:
    with store._lock:
        now = store._now()
        entry = store._find(session_id, now)
        if entry is not None and len(entry.log) > 500 and store._recall(session_id, op, now) is None:
            gone, entry.log = entry.log[:500], entry.log[500:]
            for record in gone:
                entry.by_id.pop(record.id, None)


class ClearsInSteps(InMemoryStore):
    """A long log is cleared in two steps."""

    def clear(self, session_id: str, op: Operation, *, ttl: int | None) -> Outcome:
        _clear_some(self, session_id, op)
        time.sleep(PAGE)
        return super().clear(session_id, op, ttl=ttl)


class AsyncClearsInSteps(AsyncInMemoryStore):
    async def clear(self, session_id: str, op: Operation, *, ttl: int | None) -> Outcome:
        _clear_some(self._store, session_id, op)
        await asyncio.sleep(PAGE)
        return await super().clear(session_id, op, ttl=ttl)


def _drop_log(store: InMemoryStore, session_id: str, op: Operation) -> None:
    with store._lock:
        now = store._now()
        entry = store._find(session_id, now)
        if entry is not None and store._recall(session_id, op, now) is None:
            entry.log, entry.by_id = [], {}


class DeletesInSteps(InMemoryStore):
    """The messages of a session are deleted, and then the rest of it."""

    def delete(self, session_id: str, op: Operation) -> Outcome:
        _drop_log(self, session_id, op)
        time.sleep(PAGE)
        return super().delete(session_id, op)


class AsyncDeletesInSteps(AsyncInMemoryStore):
    async def delete(self, session_id: str, op: Operation) -> Outcome:
        _drop_log(self._store, session_id, op)
        await asyncio.sleep(PAGE)
        return await super().delete(session_id, op)


class AtHandAfterClose(MessagesAtHand, InMemoryStore):
    """What was read last is at hand until the next write, also once the store is closed."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._read: dict[str, Sequence[Record]] = {}
        self._writes = 0

    def read(self, session_id: str, *, limit: int | None, before: int | None) -> Sequence[Record]:
        writes = self._writes
        found = super().read(session_id, limit=limit, before=before)
        with self._lock:
            if limit is None and before is None and writes == self._writes:
                self._read[session_id] = found
        return found

    def _remember(self, session_id: str, op: Operation, now: int, outcome: Outcome) -> Outcome:
        self._writes += 1
        self._read.pop(session_id, None)
        return super()._remember(session_id, op, now, outcome)

    def at_hand(self, session_id: str, limit: int | None) -> AtHand | None:
        found = self._read.get(session_id)
        alive = self._closed or self._find(session_id, self._now()) is not None
        return None if found is None or limit is not None or not alive else AtHand(found, [None] * len(found))


class AsyncAtHandAfterClose(MessagesAtHand, AsyncInMemoryStore):
    """The same fault: the handle asks the asynchronous store."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._store: AtHandAfterClose = AtHandAfterClose(**options)

    def at_hand(self, session_id: str, limit: int | None) -> AtHand | None:
        return self._store.at_hand(session_id, limit)


FLOATS, SURROGATES = through_json(coerced_float), through_json(question_mark)

PATH_FAULTS: dict[str, type[InMemoryStore]] = {
    "iteration stops after a page of 500": StopsAfterAPage,
    "iteration skips one at a border of 500": SkipsAtABorder,
    "iteration loses floats": iterated(FLOATS),
    "iteration loses surrogates": iterated(SURROGATES),
    "paged read loses floats": paged(FLOATS),
    "paged read loses surrogates": paged(SURROGATES),
    "import append loses floats": imported(FLOATS, append=True),
    "import append loses surrogates": imported(SURROGATES, append=True),
    "imported messages are cut": imported(cut, append=False),
    "metadata values are cut": CutsMetadata,
    "reads cap at 10,000": ReadCaps,
    "export caps at 5,000": ExportCaps,
    "metadata caps at 500 keys": MetadataCaps,
    "export caps at 200 keys": ExportCapsMetadata,
    "large update in steps": UpdatesInSteps,
    "limit before prefix": LimitBeforePrefix,
    "metadata over its limit leaves a trace": MetadataOverLimitTouches,
    "a pop of a corrupt message leaves a trace": CorruptPopTouches,
    "a conflicting append leaves a trace": ConflictTouches,
    "a conflicting import leaves a trace": ImportConflictTouches,
    "import append ignores the limit of metadata": ImportOverLimit,
    "metadata keys counted in characters": CountsCharacters,
    "ttl in whole seconds": WholeSeconds,
    "iteration refreshes the ttl": IterationRefreshes,
    "a paged read refreshes the ttl": PagedReadRefreshes,
    "iteration goes on past the deadline": IteratesPastTheDeadline,
    "purge leaves sessions without messages": PurgesMessagesOnly,
    "a handle sends its ttl once": SendsTtlOnce,
    "a pop finds what has expired": finds_expired("pop"),
    "a clear finds what has expired": finds_expired("clear"),
    "metadata finds what has expired": finds_expired("write_metadata"),
    "an import finds what has expired": finds_expired("replace"),
    "a delete finds what has expired": finds_expired("delete"),
    "created_at outlives expiry": CreationOutlivesExpiry,
    "the life outlives expiry": IteratesTheNextLife,
    "the ttl outlives expiry": TtlOutlivesExpiry,
    "a long ttl overflows": TtlOverflows,
    "purge counts deadlines": PurgeCountsTheDue,
    "purge ends after a hundred": PurgesAPage,
    "the expired are listed after a hundred": ListingPurgesAPage,
    "a listing begins in 1970": ListsFrom1970,
    "long reads in steps": ReadsInSteps,
    "long exports in steps": ExportsInSteps,
    "long clears in steps": ClearsInSteps,
    "a delete in steps": DeletesInSteps,
    "at hand after close": AtHandAfterClose,
}

# Those that have to be written once more: what another task sees between two awaits, and what is in the handle.
ASYNC_PATH_FAULTS: dict[str, Callable[..., AsyncInMemoryStore]] = {
    "large update in steps (async)": AsyncUpdatesInSteps,
    "a handle sends its ttl once (async)": AsyncSendsTtlOnce,
    "long reads in steps (async)": AsyncReadsInSteps,
    "long exports in steps (async)": AsyncExportsInSteps,
    "long clears in steps (async)": AsyncClearsInSteps,
    "a delete in steps (async)": AsyncDeletesInSteps,
    "at hand after close (async)": AsyncAtHandAfterClose,
}
