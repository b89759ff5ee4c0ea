"""Mutants that write what they should not: digests with a gap, ledgers that forget, and races between kinds of write.

What races sits on both sides, as threads meet in a pause and tasks between two awaits.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from openstackai_sessions_core import AsyncInMemoryStore, InMemoryStore, SessionInfo
from openstackai_sessions_core.backend import NewMessage, Operation, Outcome, Record, SessionImport

__all__ = ["ASYNC_RACES", "RACES", "WRITE_FAULTS"]

# As long as another thread needs to come between.
PAUSE = 0.000_05


class _Digests(InMemoryStore):
    """A store to which two writes under one op_id are the same where what `part` says of them is."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._first: dict[Hashable, bytes] = {}

    def _as(self, session_id: str, op: Operation, *part: Hashable) -> Operation:
        return op._replace(digest=self._first.setdefault((session_id, op.id, part), op.digest))


def metadata_digest(part: Callable[[Mapping[str, bytes]], Hashable]) -> type[InMemoryStore]:
    """A store whose digest of metadata sees a part of it; None: all."""

    class Metadata(_Digests):
        def write_metadata(
            self,
            session_id: str,
            op: Operation,
            values: Mapping[str, bytes],
            removed: Sequence[str],
            *,
            ttl: int | None,
        ) -> Outcome:
            seen = part(values)
            op = op if seen is None else self._as(session_id, op, seen)
            return super().write_metadata(session_id, op, values, removed, ttl=ttl)

    return Metadata


def batch_digest(part: Callable[[Sequence[NewMessage]], Hashable]) -> type[InMemoryStore]:
    """A store whose digest of a batch sees a part of it."""

    class Batch(_Digests):
        def append(self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None) -> Outcome:
            if len(messages) > 1:
                op = self._as(session_id, op, tuple(message.data for message in messages), part(messages))
            return super().append(session_id, op, messages, ttl=ttl)

    return Batch


def import_digest(left_out: str) -> type[InMemoryStore]:
    """A store whose digest of an import leaves out a field of the document or of its messages."""

    class Import(_Digests):
        def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
            fields = {**content._asdict(), "metadata": tuple(sorted(content.metadata.items()))}
            messages = [
                tuple(value for name, value in message._asdict().items() if name != left_out)
                for message in content.messages
            ]
            # Of a message the time is `created_at`, as of the document; each is left out alone.
            if left_out == "document":
                messages = [tuple(message) for message in content.messages]
                del fields["created_at"]
            fields["messages"] = tuple(messages)
            fields.pop(left_out if left_out in ("messages", "metadata") else "", None)
            return super().replace(session_id, self._as(session_id, op, tuple(fields.items())), content, ttl=ttl)

    return Import


class EmptyBatchTouches(InMemoryStore):
    """An empty batch with an op_id is a write."""

    def append(self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None) -> Outcome:
        outcome = super().append(session_id, op, messages, ttl=ttl)
        if not messages and not outcome.repeated:
            _touch(self, session_id, ttl)
        return outcome


class EmptyUpdateTouches(InMemoryStore):
    """An empty update with an op_id is a write."""

    def write_metadata(
        self, session_id: str, op: Operation, values: Mapping[str, bytes], removed: Sequence[str], *, ttl: int | None
    ) -> Outcome:
        outcome = super().write_metadata(session_id, op, values, removed, ttl=ttl)
        if not values and not removed and not outcome.repeated:
            _touch(self, session_id, ttl)
        return outcome


def _touch(store: InMemoryStore, session_id: str, ttl: int | None) -> None:
    with store._lock:
        now = store._now()
        store._touch(session_id, store._find(session_id, now), now, ttl)


def forgets_nothing_done(method: str) -> type[InMemoryStore]:
    """A store that remembers a kind of write only if it changed something."""

    def write(self: Any, session_id: str, op: Operation, *arguments: Any, ttl: int | None) -> Outcome:
        outcome: Outcome = getattr(InMemoryStore, method)(self, session_id, op, *arguments, ttl=ttl)
        if not outcome.applied and not outcome.repeated:
            self._operations.pop((session_id, op.id), None)
        return outcome

    return type("ForgetsNothingDone", (InMemoryStore,), {method: write})


class EmptyImportIsNone(InMemoryStore):
    """An import of nothing over an emptied session is no write."""

    def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        entry = self._sessions.get(session_id)
        empty = entry is not None and not entry.log and not entry.metadata
        outcome = super().replace(session_id, op, content, ttl=ttl)
        nothing = not content.messages and not content.metadata
        return outcome._replace(applied=False) if empty and nothing else outcome


class RepeatsWhatIsThere(InMemoryStore):
    """A repeated append looks up its messages by their ids."""

    def _recall(self, session_id: str, op: Operation, now: int) -> Outcome | None:
        found = super()._recall(session_id, op, now)
        entry = self._find(session_id, now)
        if found is None or not found.added or entry is None:
            return found
        return found._replace(records=[entry.by_id.get(record[1], record) for record in found.records])


class RepeatsFromTheFirst(InMemoryStore):
    """Of an append the ledger keeps where its first message stood, and a repeat counts on from there."""

    def _recall(self, session_id: str, op: Operation, now: int) -> Outcome | None:
        found = super()._recall(session_id, op, now)
        if found is None or not found.added:
            return found
        places = range(found.records[0][0], found.records[0][0] + len(found.records))
        return found._replace(
            records=[Record(place, *record[1:]) for place, record in zip(places, found.records, strict=True)]
        )


class AppendKnowsWhatExpired(InMemoryStore):
    """An import that appends leaves out what the session held before it expired."""

    def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        with self._lock:
            held = self._sessions.get(session_id)
            if content.append and held is not None and self._find(session_id, self._now()) is None:
                known = {(record.id, record.data) for record in held.log}
                fresh = [message for message in content.messages if (message.id, message.data) not in known]
                content = content._replace(messages=fresh)
        return super().replace(session_id, op, content, ttl=ttl)


class ThousandOperations(InMemoryStore):
    """A ledger of the newest thousand operations."""

    def _remember(self, session_id: str, op: Operation, now: int, outcome: Outcome) -> Outcome:
        outcome = super()._remember(session_id, op, now, outcome)
        while len(self._operations) > 1_000:
            del self._operations[next(iter(self._operations))]
        return outcome


class RecentIds(InMemoryStore):
    """A given id is looked up among the newest hundred messages."""

    def append(self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None) -> Outcome:
        entry = self._sessions.get(session_id)
        if entry is not None and len(entry.log) > 100:
            near = {record.id for record in entry.log[-100:]}
            messages = [message._replace(given=message.given and message.id in near) for message in messages]
        return super().append(session_id, op, messages, ttl=ttl)


class AppendsLoosely(InMemoryStore):
    """An append of a document compares payloads as values."""

    def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        entry = self._sessions.get(session_id)
        if content.append and entry is not None:
            messages = []
            for message in content.messages:
                held = entry.by_id.get(message.id)
                equal = held is not None and json.loads(held.data) == json.loads(message.data)
                messages.append(message._replace(data=held.data) if held is not None and equal else message)
            content = content._replace(messages=messages)
        return super().replace(session_id, op, content, ttl=ttl)


class AppendTakesCreation(InMemoryStore):
    """A session that an append makes was created when the document was."""

    def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        fresh = self.head(session_id) is None
        outcome = super().replace(session_id, op, content, ttl=ttl)
        if content.append and fresh and outcome.applied and content.created_at is not None:
            self._sessions[session_id].created_at = content.created_at
        return outcome


class AppendMergesValues(InMemoryStore):
    """Dicts in the metadata of an appended document are merged with ours."""

    def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        if content.append:
            metadata = dict(content.metadata)
            for key, held in self.read_metadata(session_id, list(metadata)).items():
                ours, theirs = json.loads(held), json.loads(metadata[key])
                if isinstance(ours, dict) and isinstance(theirs, dict):
                    metadata[key] = json.dumps({**ours, **theirs}, separators=(",", ":")).encode()
            content = content._replace(metadata=metadata)
        return super().replace(session_id, op, content, ttl=ttl)


class RepeatRenews(InMemoryStore):
    """A repeated operation is remembered from then on."""

    def _recall(self, session_id: str, op: Operation, now: int) -> Outcome | None:
        found = super()._recall(session_id, op, now)
        if found is not None:
            _, digest, outcome = self._operations[session_id, op.id]
            self._operations[session_id, op.id] = (now, digest, outcome)
            self._remembered.append((now, (session_id, op.id)))
        return found


class TenMinutes(InMemoryStore):
    """Operations are remembered for ten minutes at most."""

    def _horizon(self, now: int) -> int:
        return max(super()._horizon(now), now - 600_000_000)


class LimitBeforeLedger(InMemoryStore):
    """The limit of metadata is checked before the ledger is asked."""

    def write_metadata(
        self, session_id: str, op: Operation, values: Mapping[str, bytes], removed: Sequence[str], *, ttl: int | None
    ) -> Outcome:
        if values:
            self._check_metadata({**self.read_metadata(session_id, None), **values})
        return super().write_metadata(session_id, op, values, removed, ttl=ttl)


class ForgetsLargePops(InMemoryStore):
    """Of a popped message of over 64 KiB nothing is remembered."""

    def _remember(self, session_id: str, op: Operation, now: int, outcome: Outcome) -> Outcome:
        large = not outcome.added and any(len(record[3]) > 65_536 for record in outcome.records)
        super()._remember(session_id, op, now, outcome._replace(records=()) if large else outcome)
        return outcome


class RemembersAThousandRecords(InMemoryStore):
    """Of an append a thousand records are remembered; a repeat has the others without their places."""

    def _recall(self, session_id: str, op: Operation, now: int) -> Outcome | None:
        found = super()._recall(session_id, op, now)
        if found is None or len(found.records) <= 1_000:
            return found
        last = found.records[999]
        lost = [(last[0], last[1], last[2], record[3]) for record in found.records[1_000:]]
        return found._replace(records=[*found.records[:1_000], *lost])


class KnownIdsSetTtl(InMemoryStore):
    """An append of nothing new sets the handle's ttl."""

    def append(self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None) -> Outcome:
        outcome = super().append(session_id, op, messages, ttl=ttl)
        if messages and not outcome.applied and not outcome.repeated and ttl is not None:
            _touch(self, session_id, ttl)
        return outcome


class KnownIdsUpdate(InMemoryStore):
    """An append of nothing new moves `updated_at`."""

    def append(self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None) -> Outcome:
        outcome = super().append(session_id, op, messages, ttl=ttl)
        entry = self._sessions.get(session_id)
        if messages and not outcome.applied and not outcome.repeated and entry is not None:
            entry.updated_at = self._now()
        return outcome


class ImportCountsFromTheLog(InMemoryStore):
    """A replacing import goes on after the newest message, though a newer one was popped."""

    def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        entry = self._sessions.get(session_id)
        if not content.append and entry is not None and entry.log and (session_id, op.id) not in self._operations:
            entry.next_position = entry.log[-1].position + 1
        return super().replace(session_id, op, content, ttl=ttl)


class LooksUp999Ids(InMemoryStore):
    """Of a batch the first 999 ids are looked up."""

    def append(self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None) -> Outcome:
        some = [*messages[:999], *(message._replace(given=False) for message in messages[999:])]
        return super().append(session_id, op, some, ttl=ttl)


class AppendLooksUp999Ids(InMemoryStore):
    """Of an appended document the first 999 ids are looked up."""

    def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        entry = self._sessions.get(session_id)
        if content.append and entry is not None:
            for message in content.messages[999:]:
                entry.by_id.pop(message.id, None)
        return super().replace(session_id, op, content, ttl=ttl)


WRITE_FAULTS: dict[str, type[InMemoryStore]] = {
    "digest joins without lengths": metadata_digest(
        lambda values: b"".join(key.encode() + value for key, value in values.items()) if _long(values) else None
    ),
    "update's digest without values": metadata_digest(
        lambda values: tuple(sorted(values)) if len(values) > 1 else None
    ),
    "batch's digest without ids": batch_digest(lambda _: None),
    "batch's digest without the order of ids": batch_digest(
        lambda messages: tuple(sorted(message.id for message in messages if message.given))
    ),
    "import's digest without metadata": import_digest("metadata"),
    "import's digest without messages": import_digest("messages"),
    "import's digest without ids": import_digest("id"),
    "import's digest without times": import_digest("created_at"),
    "import's digest without created_at": import_digest("document"),
    "an empty batch touches": EmptyBatchTouches,
    "an empty update touches": EmptyUpdateTouches,
    "a remove of nothing is forgotten": forgets_nothing_done("write_metadata"),
    "an append of nothing new is forgotten": forgets_nothing_done("append"),
    "an import of nothing new is forgotten": forgets_nothing_done("replace"),
    "an empty import is no write": EmptyImportIsNone,
    "a repeat returns what is there": RepeatsWhatIsThere,
    "a repeat counts from the first": RepeatsFromTheFirst,
    "an append knows what expired": AppendKnowsWhatExpired,
    "a ledger of a thousand": ThousandOperations,
    "recent ids alone": RecentIds,
    "append compares values": AppendsLoosely,
    "append takes created_at": AppendTakesCreation,
    "append merges values": AppendMergesValues,
    "a repeat renews what is remembered": RepeatRenews,
    "a ledger of ten minutes at most": TenMinutes,
    "limit of metadata before the ledger": LimitBeforeLedger,
    "a ledger without large pops": ForgetsLargePops,
    "a ledger of a thousand records": RemembersAThousandRecords,
    "known ids set the ttl": KnownIdsSetTtl,
    "known ids move updated_at": KnownIdsUpdate,
    "an import counts from the log": ImportCountsFromTheLog,
    "999 ids of a batch": LooksUp999Ids,
    "999 ids of a document": AppendLooksUp999Ids,
}


def _long(values: Mapping[str, bytes]) -> bool:
    """Whether this is one key with its value, of more than one byte each or the other."""
    return len(values) == 1 and sum(len(key.encode()) + len(value) for key, value in values.items()) > 2


# What a racing write notes before it pauses, and what it does with that afterwards.
Note = Callable[[InMemoryStore, str], Any]
Undo = Callable[[Any], None]


def note_log(store: InMemoryStore, session_id: str) -> Any:
    entry = store._sessions.get(session_id)
    return None if entry is None else (entry, list(entry.log), dict(entry.by_id))


def old_log(noted: Any) -> None:
    noted[0].log, noted[0].by_id = noted[1:]


def note_metadata(store: InMemoryStore, session_id: str) -> Any:
    entry = store._sessions.get(session_id)
    return None if entry is None else (entry, entry.metadata)


def old_metadata(noted: Any) -> None:
    noted[0].metadata = noted[1]


def _write_back(store: InMemoryStore, session_id: str, outcome: Outcome, noted: Any, undo: Undo) -> Outcome:
    if noted is not None and outcome.applied and not outcome.repeated and store._sessions.get(session_id) is noted[0]:
        undo(noted)
    return outcome


def writes_back(method: str, note: Note, undo: Undo) -> type[InMemoryStore]:
    """A store one of whose writes reads the session, and later writes all of it back."""

    def write(self: Any, session_id: str, op: Operation, *arguments: Any, ttl: int | None) -> Outcome:
        noted = note(self, session_id)
        time.sleep(PAUSE)
        outcome = getattr(InMemoryStore, method)(self, session_id, op, *arguments, ttl=ttl)
        return _write_back(self, session_id, outcome, noted, undo)

    return type("WritesBack", (InMemoryStore,), {method: write})


def async_writes_back(method: str, note: Note, undo: Undo) -> type[AsyncInMemoryStore]:
    async def write(self: Any, session_id: str, op: Operation, *arguments: Any, ttl: int | None) -> Outcome:
        noted = note(self._store, session_id)
        await asyncio.sleep(0)
        outcome = await getattr(AsyncInMemoryStore, method)(self, session_id, op, *arguments, ttl=ttl)
        return _write_back(self._store, session_id, outcome, noted, undo)

    return type("AsyncWritesBack", (AsyncInMemoryStore,), {method: write})


def reads_ledger_early(method: str) -> type[InMemoryStore]:
    """A store that asks its ledger, and later writes without asking again."""

    def write(self: Any, session_id: str, op: Operation, *arguments: Any, ttl: int | None) -> Any:
        with self._lock:
            found = self._recall(session_id, op, self._now())
        if found is not None:
            return found
        time.sleep(PAUSE)
        self._operations.pop((session_id, op.id), None)
        return getattr(InMemoryStore, method)(self, session_id, op, *arguments, ttl=ttl)

    return type("ReadsLedgerEarly", (InMemoryStore,), {method: write})


def async_reads_ledger_early(method: str) -> type[AsyncInMemoryStore]:
    async def write(self: Any, session_id: str, op: Operation, *arguments: Any, ttl: int | None) -> Any:
        memory = self._store
        found = memory._recall(session_id, op, memory._now())
        if found is not None:
            return found
        await asyncio.sleep(0)
        memory._operations.pop((session_id, op.id), None)
        return await getattr(AsyncInMemoryStore, method)(self, session_id, op, *arguments, ttl=ttl)

    return type("AsyncReadsLedgerEarly", (AsyncInMemoryStore,), {method: write})


def _ids(store: InMemoryStore, session_id: str) -> set[str]:
    with store._lock:
        entry = store._find(session_id, store._now())
        return set() if entry is None else set(entry.by_id)


def _as_their_own(messages: Sequence[NewMessage], known: set[str]) -> list[NewMessage]:
    return [message if message.id in known else message._replace(given=False) for message in messages]


class IdBeforeLock(InMemoryStore):
    """A given id is looked up before the lock."""

    def append(self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None) -> Outcome:
        known = _ids(self, session_id)
        time.sleep(PAUSE)
        return super().append(session_id, op, _as_their_own(messages, known), ttl=ttl)


class AsyncIdBeforeLock(AsyncInMemoryStore):
    async def append(
        self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None
    ) -> Outcome:
        known = _ids(self._store, session_id)
        await asyncio.sleep(0)
        return await super().append(session_id, op, _as_their_own(messages, known), ttl=ttl)


def _marked(content: SessionImport, known: set[str], op: Operation) -> SessionImport:
    """What is not known goes in under ids that nothing in the log has."""
    messages = [one if one.id in known else one._replace(id=f"{one.id}\0{op.id}") for one in content.messages]
    return content._replace(messages=messages)


def _unmark(store: InMemoryStore, session_id: str) -> None:
    with store._lock:
        entry = store._sessions.get(session_id)
        if entry is not None:
            entry.log = [Record(*record)._replace(id=record[1].partition("\0")[0]) for record in entry.log]
            entry.by_id = {record.id: record for record in entry.log}


class AppendBeforeLock(InMemoryStore):
    """The ids of an appended document are looked up before the lock."""

    def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        if not content.append:
            return super().replace(session_id, op, content, ttl=ttl)
        known = _ids(self, session_id)
        time.sleep(PAUSE)
        outcome = super().replace(session_id, op, _marked(content, known, op), ttl=ttl)
        _unmark(self, session_id)
        return outcome


class AsyncAppendBeforeLock(AsyncInMemoryStore):
    async def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        if not content.append:
            return await super().replace(session_id, op, content, ttl=ttl)
        known = _ids(self._store, session_id)
        await asyncio.sleep(0)
        outcome = await super().replace(session_id, op, _marked(content, known, op), ttl=ttl)
        _unmark(self._store, session_id)
        return outcome


class NumbersBeforeLock(InMemoryStore):
    """An import takes its positions before the lock."""

    def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        first = self._next_position(session_id)
        time.sleep(PAUSE)
        _number_from(self, session_id, first, content)
        return super().replace(session_id, op, content, ttl=ttl)


class AsyncNumbersBeforeLock(AsyncInMemoryStore):
    async def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        first = self._store._next_position(session_id)
        await asyncio.sleep(0)
        _number_from(self._store, session_id, first, content)
        return await super().replace(session_id, op, content, ttl=ttl)


def _number_from(store: InMemoryStore, session_id: str, first: int, content: SessionImport) -> None:
    with store._lock:
        entry = store._sessions.get(session_id)
        if entry is not None and not content.append:
            entry.next_position = first


def _over(store: InMemoryStore) -> list[str]:
    with store._lock:
        now = store._now()
        entries = store._sessions.items()
        return [id for id, entry in entries if entry.deadline is not None and entry.deadline <= now]


def _drop(store: InMemoryStore, ids: Sequence[str]) -> int:
    with store._lock:
        return sum(store._sessions.pop(id, None) is not None for id in ids)


class PurgesLate(InMemoryStore):
    """A purge looks up what is over, and later deletes it whatever it is by then."""

    def purge(self) -> int:
        ids = _over(self)
        time.sleep(4 * PAUSE)
        return _drop(self, ids)


class AsyncPurgesLate(AsyncInMemoryStore):
    async def purge(self) -> int:
        ids = _over(self._store)
        await asyncio.sleep(0)
        return _drop(self._store, ids)


class ListingPurgesLate(InMemoryStore):
    """A listing does so."""

    def list_page(self, prefix: str, *, after: str | None, limit: int) -> Sequence[SessionInfo]:
        ids = _over(self)
        time.sleep(4 * PAUSE)
        _drop(self, ids)
        return super().list_page(prefix, after=after, limit=limit)


class AsyncListingPurgesLate(AsyncInMemoryStore):
    async def list_page(self, prefix: str, *, after: str | None, limit: int) -> Sequence[SessionInfo]:
        ids = _over(self._store)
        await asyncio.sleep(0)
        _drop(self._store, ids)
        return await super().list_page(prefix, after=after, limit=limit)


def _check_early(
    store: InMemoryStore, session_id: str, op: Operation, values: Mapping[str, bytes], *, over: bool
) -> None:
    with store._lock:
        now = store._now()
        entry = store._find(session_id, now)
        held = entry.metadata if entry is not None and over else {}
        if store._recall(session_id, op, now) is None:
            InMemoryStore._check_metadata(store, {**held, **values})


class _Unchecked(InMemoryStore):
    def _check_metadata(self, metadata: Mapping[str, bytes]) -> None:
        """It has been checked."""


class LimitBeforeLock(_Unchecked):
    """The size of the metadata is looked up before the lock."""

    def write_metadata(
        self, session_id: str, op: Operation, values: Mapping[str, bytes], removed: Sequence[str], *, ttl: int | None
    ) -> Outcome:
        if values:
            _check_early(self, session_id, op, values, over=True)
        time.sleep(PAUSE)
        return super().write_metadata(session_id, op, values, removed, ttl=ttl)

    def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        _check_early(self, session_id, op, content.metadata, over=content.append)
        return super().replace(session_id, op, content, ttl=ttl)


class AsyncLimitBeforeLock(AsyncInMemoryStore):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._store = _Unchecked(**options)

    async def write_metadata(
        self, session_id: str, op: Operation, values: Mapping[str, bytes], removed: Sequence[str], *, ttl: int | None
    ) -> Outcome:
        if values:
            _check_early(self._store, session_id, op, values, over=True)
        await asyncio.sleep(0)
        return await super().write_metadata(session_id, op, values, removed, ttl=ttl)

    async def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        _check_early(self._store, session_id, op, content.metadata, over=content.append)
        return await super().replace(session_id, op, content, ttl=ttl)


RACES: dict[str, type[InMemoryStore]] = {
    "set writes back an old log": writes_back("write_metadata", note_log, old_log),
    "append writes back old metadata": writes_back("append", note_metadata, old_metadata),
    "pop writes back old metadata": writes_back("pop", note_metadata, old_metadata),
    "clear writes back old metadata": writes_back("clear", note_metadata, old_metadata),
    "set reads the ledger early": reads_ledger_early("write_metadata"),
    "import reads the ledger early": reads_ledger_early("replace"),
    "id before the lock": IdBeforeLock,
    "appended ids before the lock": AppendBeforeLock,
    "import numbers before the lock": NumbersBeforeLock,
    "purge deletes what was renewed": PurgesLate,
    "listing deletes what was renewed": ListingPurgesLate,
    "limit of metadata before the lock": LimitBeforeLock,
}

ASYNC_RACES: dict[str, type[AsyncInMemoryStore]] = {
    "set writes back an old log": async_writes_back("write_metadata", note_log, old_log),
    "append writes back old metadata": async_writes_back("append", note_metadata, old_metadata),
    "pop writes back old metadata": async_writes_back("pop", note_metadata, old_metadata),
    "clear writes back old metadata": async_writes_back("clear", note_metadata, old_metadata),
    "set reads the ledger early": async_reads_ledger_early("write_metadata"),
    "import reads the ledger early": async_reads_ledger_early("replace"),
    "id before the lock": AsyncIdBeforeLock,
    "appended ids before the lock": AsyncAppendBeforeLock,
    "import numbers before the lock": AsyncNumbersBeforeLock,
    "purge deletes what was renewed": AsyncPurgesLate,
    "listing deletes what was renewed": AsyncListingPurgesLate,
    "limit of metadata before the lock": AsyncLimitBeforeLock,
}
