"""Mutants of the reference stores, by name: each is a factory that makes a faulty store.

A fault sits where a backend's author would make it: here in the store's primitives. The asynchronous mutants are the
synchronous ones behind core's asynchronous store; what can only go wrong between two awaits is written once more.
Faults of handles are in `async_handle_faults.py`.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from openstackai_sessions_core import AsyncInMemoryStore, AsyncSession, InMemoryStore
from openstackai_sessions_core._memory import _Entry
from openstackai_sessions_core.backend import Head, NewMessage, Operation, Outcome, Record, SessionImport, Snapshot

__all__ = ["ASYNC_FAULTS", "EQUIVALENT", "PUBLIC", "STORE_FAULTS", "asynchronous"]


class OldestFirst(InMemoryStore):
    """1: `limit` returns the oldest n."""

    def read(self, session_id: str, *, limit: int | None, before: int | None) -> Sequence[Record]:
        records = super().read(session_id, limit=None, before=before)
        return records if limit is None else records[:limit]


class LimitDropsOne(InMemoryStore):
    """2: `limit=len+1` drops one."""

    def read(self, session_id: str, *, limit: int | None, before: int | None) -> Sequence[Record]:
        records = super().read(session_id, limit=None, before=before)
        if limit is not None and limit == len(records) + 1:
            return records[1:]
        return super().read(session_id, limit=limit, before=before)


class ClearDropsMetadata(InMemoryStore):
    """3: clear drops metadata."""

    def clear(self, session_id: str, op: Operation, *, ttl: int | None) -> Outcome:
        outcome = super().clear(session_id, op, ttl=ttl)
        if outcome.applied and not outcome.repeated:
            self._sessions[session_id].metadata = {}
        return outcome


class RowByRow(InMemoryStore):
    """4: a batch is committed row by row."""

    def append(self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None) -> Outcome:
        if len(messages) < 2:
            return super().append(session_id, op, messages, ttl=ttl)
        records: list[Record] = []
        added: list[bool] = []
        repeated = False
        for number, message in enumerate(messages):
            outcome = super().append(session_id, Operation(f"{op.id}/{number}", op.digest), [message], ttl=ttl)
            records += [Record(*record) for record in outcome.records]
            added += outcome.added
            repeated = outcome.repeated
            time.sleep(0)
        return Outcome(any(added), repeated, records, added)


def renamed(name: Callable[[str], str]) -> type[InMemoryStore]:
    """A store in which sessions whose ids `name` makes equal are one."""

    class Renamed(InMemoryStore):
        def _find(self, session_id: str, now: int) -> _Entry | None:
            return super()._find(name(session_id), now)

        def _touch(self, session_id: str, entry: _Entry | None, now: int, ttl: int | None) -> _Entry:
            return super()._touch(name(session_id), entry, now, ttl)

        def delete(self, session_id: str, op: Operation) -> Outcome:
            return super().delete(name(session_id), op)

    return Renamed


class ImportAppends(InMemoryStore):
    """9: import appends."""

    def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        return super().replace(session_id, op, content._replace(append=True), ttl=ttl)


class ExportInTwoReads(InMemoryStore):
    """10: export is no snapshot."""

    def load(self, session_id: str) -> Snapshot | None:
        head = self.head(session_id)
        if head is None:
            return None
        messages = self.read(session_id, limit=None, before=None)
        time.sleep(0)
        return Snapshot(head.created_at, messages, self.read_metadata(session_id, None))


def changed(change: Callable[[bytes], bytes]) -> type[InMemoryStore]:
    """A store that changes payloads on their way in."""

    class Changed(InMemoryStore):
        def append(self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None) -> Outcome:
            stored = [message._replace(data=change(message.data)) for message in messages]
            return super().append(session_id, op, stored, ttl=ttl)

        def write_metadata(
            self,
            session_id: str,
            op: Operation,
            values: Mapping[str, bytes],
            removed: Sequence[str],
            *,
            ttl: int | None,
        ) -> Outcome:
            stored = {key: change(value) for key, value in values.items()}
            return super().write_metadata(session_id, op, stored, removed, ttl=ttl)

    return Changed


def through_json(hook: Callable[[Any], Any], **options: Any) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        try:
            value = json.loads(data)
        except ValueError:
            return data
        return json.dumps(walk(value, hook), separators=(",", ":"), **options).encode("utf-8", "surrogatepass")

    return change


def walk(value: Any, hook: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {hook(key): walk(item, hook) for key, item in value.items()}
    if isinstance(value, list):
        return [walk(item, hook) for item in value]
    return hook(value)


class AppendKeepsDeadline(InMemoryStore):
    """14: an append does not refresh the time to live."""

    def append(self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None) -> Outcome:
        before = self._sessions.get(session_id)
        deadline = before.deadline if before is not None else None
        outcome = super().append(session_id, op, messages, ttl=ttl)
        after = self._sessions.get(session_id)
        if before is not None and after is before:
            after.deadline = deadline
        return outcome


class WholeMap(InMemoryStore):
    """15: metadata is read, changed and written back whole."""

    def write_metadata(
        self, session_id: str, op: Operation, values: Mapping[str, bytes], removed: Sequence[str], *, ttl: int | None
    ) -> Outcome:
        held = dict(self.read_metadata(session_id, None))
        time.sleep(0.000_05)
        outcome = super().write_metadata(session_id, op, values, removed, ttl=ttl)
        if outcome.applied and not outcome.repeated:
            merged = {key: value for key, value in {**held, **values}.items() if key not in removed}
            self._sessions[session_id].metadata = merged
        return outcome


class PositionBeforeLock(InMemoryStore):
    """16: the position is taken before the lock."""

    def append(self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None) -> Outcome:
        entry = self._sessions.get(session_id)
        if entry is None or len(messages) != 1:
            return super().append(session_id, op, messages, ttl=ttl)
        with self._lock:
            entry.next_position += 1
            position = entry.next_position
        time.sleep(0.000_05)
        outcome = super().append(session_id, op, messages, ttl=ttl)
        if not outcome.applied or outcome.repeated or self._sessions.get(session_id) is not entry:
            return outcome
        with self._lock:
            old = Record(*outcome.records[0])
            new = old._replace(position=position)
            entry.log = sorted([new if record.id == old.id else record for record in entry.log])
            entry.by_id[new.id] = new
            self._operations[session_id, op.id] = (
                old.created_at, op.digest, outcome._replace(records=[new])
            )  # fmt: skip
        return outcome._replace(records=[new])


class DriverRetries(InMemoryStore):
    """17: the driver sends an append again, and it lands twice."""

    calls = 0

    def append(self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None) -> Outcome:
        outcome = super().append(session_id, op, messages, ttl=ttl)
        self.calls += 1
        if self.calls % 7 == 0 and not any(message.given for message in messages):
            again = [message._replace(id=message.id + "'") for message in messages]
            super().append(session_id, Operation(op.id + "'", op.digest), again, ttl=ttl)
        return outcome


class SkipsCorruptRows(InMemoryStore):
    """20: a corrupt row is skipped silently."""

    def read(self, session_id: str, *, limit: int | None, before: int | None) -> Sequence[Record]:
        return [record for record in super().read(session_id, limit=limit, before=before) if readable(record)]


def readable(record: Record) -> bool:
    try:
        return isinstance(json.loads(record.data), dict)
    except ValueError:
        return False


def swallow() -> type[AsyncInMemoryStore]:
    class Deaf(AsyncSession):
        async def _write(self, *arguments: Any) -> Any:
            task = asyncio.ensure_future(super()._write(*arguments))
            while not task.done():
                try:
                    await asyncio.shield(task)
                except asyncio.CancelledError:
                    continue
            return task.result()

    class Swallows(AsyncInMemoryStore):
        def session(self, session_id: str, *, ttl: float | None = None) -> AsyncSession:
            return Deaf(self, session_id, ttl=ttl)

    return Swallows


def coerced_float(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value == int(value) and abs(value) < 1e9 else value


def question_mark(value: Any) -> Any:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


PUBLIC: dict[str, type[InMemoryStore]] = {
    "01 limit returns the oldest": OldestFirst,
    "02 limit=len+1 drops one": LimitDropsOne,
    "03 clear drops metadata": ClearDropsMetadata,
    "04 batch row by row": RowByRow,
    "05 two ids share a key": renamed(lambda name: name.replace("::", ":")),
    "06 ids case-folded": renamed(str.casefold),
    "09 import appends": ImportAppends,
    "10 export is no snapshot": ExportInTwoReads,
    "11 1.0 becomes 1": changed(through_json(coerced_float)),
    "12 surrogate becomes ?": changed(through_json(question_mark)),
    "14 append keeps the deadline": AppendKeepsDeadline,
    "15 metadata as a whole map": WholeMap,
    "16 position before the lock": PositionBeforeLock,
    "17 driver retries": DriverRetries,
    "20 corrupt row skipped": SkipsCorruptRows,
}


class ReusesPositions(InMemoryStore):
    """A position is the number of messages plus one."""

    def append(self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None) -> Outcome:
        entry = self._sessions.get(session_id)
        if entry is not None:
            entry.next_position = entry.log[-1].position + 1 if entry.log else 1
        return super().append(session_id, op, messages, ttl=ttl)


class ForgetsOnClear(InMemoryStore):
    """The ledger goes with the messages."""

    def clear(self, session_id: str, op: Operation, *, ttl: int | None) -> Outcome:
        outcome = super().clear(session_id, op, ttl=ttl)
        self._operations = {key: value for key, value in self._operations.items() if key[0] != session_id}
        return outcome


class ForgetsOnDelete(InMemoryStore):
    def delete(self, session_id: str, op: Operation) -> Outcome:
        outcome = super().delete(session_id, op)
        self._operations = {key: value for key, value in self._operations.items() if key[0] != session_id}
        return outcome


class NeverForgets(InMemoryStore):
    def _horizon(self, now: int) -> int:
        return 0


class GlobalOperations(InMemoryStore):
    def _recall(self, session_id: str, op: Operation, now: int) -> Outcome | None:
        return super()._recall("", op, now)

    def _remember(self, session_id: str, op: Operation, now: int, outcome: Outcome) -> Outcome:
        return super()._remember("", op, now, outcome)


class DigestIgnored(InMemoryStore):
    def _recall(self, session_id: str, op: Operation, now: int) -> Outcome | None:
        found = self._operations.get((session_id, op.id))
        return None if found is None else found[2]._replace(repeated=True)


class RepeatedFiresAgain(InMemoryStore):
    def _recall(self, session_id: str, op: Operation, now: int) -> Outcome | None:
        found = super()._recall(session_id, op, now)
        return None if found is None else found._replace(repeated=False)


class ReadsRefresh(InMemoryStore):
    def read(self, session_id: str, *, limit: int | None, before: int | None) -> Sequence[Record]:
        found = super().read(session_id, limit=limit, before=before)
        entry = self._sessions.get(session_id)
        if found and entry is not None and entry.ttl is not None:
            entry.deadline = self._now() + entry.ttl
        return found


class SetKeepsDeadline(InMemoryStore):
    def write_metadata(
        self, session_id: str, op: Operation, values: Mapping[str, bytes], removed: Sequence[str], *, ttl: int | None
    ) -> Outcome:
        before = self._sessions.get(session_id)
        deadline = before.deadline if before is not None else None
        outcome = super().write_metadata(session_id, op, values, removed, ttl=ttl)
        if before is not None and self._sessions.get(session_id) is before:
            before.deadline = deadline
        return outcome


class PlainWritesDropTtl(InMemoryStore):
    def _touch(self, session_id: str, entry: _Entry | None, now: int, ttl: int | None) -> _Entry:
        touched = super()._touch(session_id, entry, now, ttl)
        if ttl is None:
            touched.ttl = touched.deadline = None
        return touched


class MetadataOutlivesExpiry(InMemoryStore):
    def read_metadata(self, session_id: str, keys: Sequence[str] | None) -> Mapping[str, bytes]:
        entry = self._sessions.get(session_id)
        held = entry.metadata if entry is not None else {}
        return dict(held) if keys is None else {key: held[key] for key in keys if key in held}


class ExpiredComesBack(InMemoryStore):
    def _touch(self, session_id: str, entry: _Entry | None, now: int, ttl: int | None) -> _Entry:
        return super()._touch(session_id, entry or self._sessions.get(session_id), now, ttl)


class ListsExpired(InMemoryStore):
    def _purge(self, now: int, most: int | None) -> int:
        return 0


class AfterIsInclusive(InMemoryStore):
    def list_page(self, prefix: str, *, after: str | None, limit: int) -> Any:
        page = list(super().list_page(prefix, after=after, limit=limit))
        if after in self._sessions and after.startswith(prefix):
            page = [*[info for info in super().list_page(after, after=None, limit=1) if info.id == after], *page][
                :limit
            ]
        return page


class PrefixIsPattern(InMemoryStore):
    def list_page(self, prefix: str, *, after: str | None, limit: int) -> Any:
        page = super().list_page("", after=after, limit=100_000)
        start = prefix.replace("%", "").replace("*", "")
        return [info for info in page if info.id.startswith(start)][:limit]


class Utf16Order(InMemoryStore):
    def list_page(self, prefix: str, *, after: str | None, limit: int) -> Any:
        page = super().list_page(prefix, after=after, limit=100_000)
        return sorted(page, key=lambda info: info.id.encode("utf-16-be"))[:limit]


class PopTakesOldest(InMemoryStore):
    def pop(self, session_id: str, op: Operation, *, ttl: int | None) -> Outcome:
        entry = self._sessions.get(session_id)
        if entry is not None:
            entry.log.reverse()
        outcome = super().pop(session_id, op, ttl=ttl)
        if entry is not None:
            entry.log.reverse()
        return outcome


class DeleteKeepsMetadata(InMemoryStore):
    def delete(self, session_id: str, op: Operation) -> Outcome:
        entry = self._sessions.get(session_id)
        held = dict(entry.metadata) if entry is not None else {}
        outcome = super().delete(session_id, op)
        if held and outcome.applied and not outcome.repeated:
            super()._touch(session_id, None, self._now(), None).metadata = held
        return outcome


class ConflictStoresHalf(InMemoryStore):
    """A batch stores what stands before the conflict."""

    def append(self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None) -> Outcome:
        from openstackai_sessions_core import ConflictError

        try:
            return super().append(session_id, op, messages, ttl=ttl)
        except ConflictError:
            if len(messages) > 1 and not messages[0].given:
                super().append(session_id, Operation(op.id + "-", op.digest), messages[:1], ttl=ttl)
            raise


class GivenIdOverwrites(InMemoryStore):
    def append(self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None) -> Outcome:
        return super().append(session_id, op, [message._replace(given=False) for message in messages], ttl=ttl)


class ImportRestartsPositions(InMemoryStore):
    def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        entry = self._sessions.get(session_id)
        if entry is not None and not content.append:
            entry.next_position = 1
        return super().replace(session_id, op, content, ttl=ttl)


class ImportForgetsCreation(InMemoryStore):
    def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        return super().replace(session_id, op, content._replace(created_at=None), ttl=ttl)


class ImportStampsNow(InMemoryStore):
    def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        messages = [message._replace(created_at=self._now()) for message in content.messages]
        return super().replace(session_id, op, content._replace(messages=messages), ttl=ttl)


class ImportMergesMetadata(InMemoryStore):
    def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        held = dict(self.read_metadata(session_id, None))
        return super().replace(session_id, op, content._replace(metadata={**held, **content.metadata}), ttl=ttl)


class OrderedByTime(InMemoryStore):
    def read(self, session_id: str, *, limit: int | None, before: int | None) -> Sequence[Record]:
        records = sorted(super().read(session_id, limit=None, before=before), key=lambda record: record.created_at)
        return records if limit is None else records[max(0, len(records) - limit) :]


class BeforeIsInclusive(InMemoryStore):
    def read(self, session_id: str, *, limit: int | None, before: int | None) -> Sequence[Record]:
        return super().read(session_id, limit=limit, before=None if before is None else before + 1)


class ScanGrows(InMemoryStore):
    def scan(self, session_id: str, life: int, *, after: int, until: int, limit: int) -> Sequence[Record]:
        return super().scan(session_id, life, after=after, until=10**15, limit=limit)


class ScanIgnoresLife(InMemoryStore):
    def scan(self, session_id: str, life: int, *, after: int, until: int, limit: int) -> Sequence[Record]:
        head = self.head(session_id)
        return super().scan(session_id, head.life if head else life, after=after, until=until, limit=limit)


class PopInTwoSteps(InMemoryStore):
    def pop(self, session_id: str, op: Operation, *, ttl: int | None) -> Outcome:
        newest = self.read(session_id, limit=1, before=None)
        time.sleep(0)
        outcome = super().pop(session_id, op, ttl=ttl)
        return outcome._replace(records=newest) if outcome.records and newest else outcome


class ClearInTwoSteps(InMemoryStore):
    def clear(self, session_id: str, op: Operation, *, ttl: int | None) -> Outcome:
        kept = self._sessions.get(session_id)
        log = list(kept.log) if kept is not None else []
        time.sleep(0)
        outcome = super().clear(session_id, op, ttl=ttl)
        entry = self._sessions.get(session_id)
        if outcome.applied and entry is kept and entry is not None and log and len(log) > 3:
            entry.next_position = max(1, log[-1].position)
        return outcome


class CountsWrong(InMemoryStore):
    def head(self, session_id: str) -> Head | None:
        head = super().head(session_id)
        return None if head is None else head._replace(message_count=head.newest)


class Shared(InMemoryStore):
    """Every store of the process has the same sessions."""

    everything: dict[str, _Entry] = {}  # noqa: RUF012 - the fault itself

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._sessions = self.everything


class Leaky(InMemoryStore):
    """Content in repr."""

    def __repr__(self) -> str:
        return f"<Leaky {self._sessions and [e.log for e in self._sessions.values()]}>"


class ReadingMakesSessions(InMemoryStore):
    def read(self, session_id: str, *, limit: int | None, before: int | None) -> Sequence[Record]:
        with self._lock:
            self._touch(session_id, self._find(session_id, self._now()), self._now(), None)
        return super().read(session_id, limit=limit, before=before)


class MergesValues(InMemoryStore):
    """A dict that is set is merged into the one that is held."""

    def write_metadata(
        self, session_id: str, op: Operation, values: Mapping[str, bytes], removed: Sequence[str], *, ttl: int | None
    ) -> Outcome:
        held = self.read_metadata(session_id, list(values))
        merged = dict(values)
        for key in held:
            old, new = json.loads(held[key]), json.loads(values[key])
            if isinstance(old, dict) and isinstance(new, dict):
                merged[key] = json.dumps({**old, **new}).encode()
        return super().write_metadata(session_id, op, merged, removed, ttl=ttl)


def cut(data: bytes) -> bytes:
    value = json.loads(data) if len(data) >= 1_000_000 else None
    return json.dumps({**value, "content": value["content"][:65_535]}).encode() if isinstance(value, dict) else data


class PurgeCountsOne(InMemoryStore):
    """Purging says one, however many it removed."""

    def purge(self) -> int:
        return min(1, super().purge())


class LocksInTwoOrders(InMemoryStore):
    """Clear and delete take two locks of the session in different orders."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._first, self._second = threading.Lock(), threading.Lock()

    def clear(self, session_id: str, op: Operation, *, ttl: int | None) -> Outcome:
        with self._first:
            time.sleep(0.001)
            with self._second:
                return super().clear(session_id, op, ttl=ttl)

    def delete(self, session_id: str, op: Operation) -> Outcome:
        with self._second:
            time.sleep(0.001)
            with self._first:
                return super().delete(session_id, op)


class LockAcrossFork(InMemoryStore):
    """A thread of the store holds its lock most of the time, at a fork too."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._guard, self._busy = threading.Lock(), True
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        while self._busy:
            with self._guard:
                time.sleep(0.005)
            time.sleep(0.000_1)

    def append(self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None) -> Outcome:
        with self._guard:
            return super().append(session_id, op, messages, ttl=ttl)

    def close(self) -> None:
        self._busy = False
        super().close()


class CallersLockAcrossFork(InMemoryStore):
    """A thread that writes holds a lock for as long as writing takes; the child of a fork inherits it as it is."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._guard = threading.Lock()

    def append(self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None) -> Outcome:
        with self._guard:
            time.sleep(0.002)
            return super().append(session_id, op, messages, ttl=ttl)


STORE_FAULTS: dict[str, type[InMemoryStore]] = {
    "purge counts one": PurgeCountsOne,
    "locks in two orders": LocksInTwoOrders,
    "a lock held across fork": LockAcrossFork,
    "a caller's lock held across fork": CallersLockAcrossFork,
    "positions reused": ReusesPositions,
    "ledger cleared with the messages": ForgetsOnClear,
    "ledger deleted with the session": ForgetsOnDelete,
    "ledger never forgets": NeverForgets,
    "op_ids of all sessions in one": GlobalOperations,
    "digest ignored": DigestIgnored,
    "a repeat fires again": RepeatedFiresAgain,
    "reads refresh the ttl": ReadsRefresh,
    "set keeps the deadline": SetKeepsDeadline,
    "a write without ttl drops it": PlainWritesDropTtl,
    "metadata outlives expiry": MetadataOutlivesExpiry,
    "what expired comes back": ExpiredComesBack,
    "expired sessions are listed": ListsExpired,
    "after is inclusive": AfterIsInclusive,
    "prefix is a pattern": PrefixIsPattern,
    "listing in UTF-16 order": Utf16Order,
    "pop takes the oldest": PopTakesOldest,
    "delete keeps metadata": DeleteKeepsMetadata,
    "a conflict stores half": ConflictStoresHalf,
    "a given id is stored again": GivenIdOverwrites,
    "import restarts positions": ImportRestartsPositions,
    "import forgets created_at": ImportForgetsCreation,
    "import stamps the time": ImportStampsNow,
    "import merges metadata": ImportMergesMetadata,
    "ordered by created_at": OrderedByTime,
    "before is inclusive": BeforeIsInclusive,
    "iteration has no end": ScanGrows,
    "iteration enters another life": ScanIgnoresLife,
    "pop in two steps": PopInTwoSteps,
    "clear takes the counter back": ClearInTwoSteps,
    "count is the newest position": CountsWrong,
    "ids normalised": renamed(lambda name: unicodedata.normalize("NFC", name)),
    "ids trimmed": renamed(str.strip),
    "ids cut at 255": renamed(lambda name: name[:255]),
    "text normalised": changed(through_json(lambda v: unicodedata.normalize("NFC", v) if isinstance(v, str) else v)),
    "keys sorted": changed(through_json(lambda v: v, sort_keys=True)),
    "NUL dropped": changed(through_json(lambda v: v.replace("\0", "") if isinstance(v, str) else v)),
    "-0.0 becomes 0.0": changed(through_json(lambda v: 0.0 if isinstance(v, float) and v == 0 else v)),
    "data in the class": Shared,
    "content in repr": Leaky,
    "reading makes sessions": ReadingMakesSessions,
    "values are merged": MergesValues,
    "large content is cut": changed(cut),
}


class FromAMillion(InMemoryStore):
    """Equivalent: positions from 1,000,000."""

    def _touch(self, session_id: str, entry: _Entry | None, now: int, ttl: int | None) -> _Entry:
        touched = super()._touch(session_id, entry, now, ttl)
        if entry is None:
            touched.next_position = 1_000_000
        return touched


class WithGaps(InMemoryStore):
    """Equivalent: gaps between writes."""

    def append(self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None) -> Outcome:
        entry = self._sessions.get(session_id)
        if entry is not None:
            entry.next_position += 16
        return super().append(session_id, op, messages, ttl=ttl)


class OtherIds(InMemoryStore):
    """Equivalent: ids of another format."""

    made = 0

    def append(self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None) -> Outcome:
        renamed = []
        for message in messages:
            OtherIds.made += 1
            renamed.append(message if message.given else message._replace(id=f"msg_{OtherIds.made}"))
        return super().append(session_id, op, renamed, ttl=ttl)


EQUIVALENT: dict[str, type[InMemoryStore]] = {
    "from a million": FromAMillion,
    "with gaps": WithGaps,
    "other ids": OtherIds,
}


class AsyncRowByRow(AsyncInMemoryStore):
    """4, with other tasks running between the rows."""

    async def append(
        self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None
    ) -> Outcome:
        if len(messages) < 2:
            return await super().append(session_id, op, messages, ttl=ttl)
        outcomes = []
        for number, message in enumerate(messages):
            outcomes.append(
                await super().append(session_id, Operation(f"{op.id}/{number}", op.digest), [message], ttl=ttl)
            )
            await asyncio.sleep(0)
        records = [record for outcome in outcomes for record in outcome.records]
        added = [one for outcome in outcomes for one in outcome.added]
        return Outcome(any(added), outcomes[0].repeated, records, added)


class AsyncExportInTwoReads(AsyncInMemoryStore):
    """10, with other tasks running between the reads."""

    async def load(self, session_id: str) -> Snapshot | None:
        head = await self.head(session_id)
        if head is None:
            return None
        messages = await self.read(session_id, limit=None, before=None)
        return Snapshot(head.created_at, messages, await self.read_metadata(session_id, None))


class AsyncWholeMap(AsyncInMemoryStore):
    """15, with other tasks running between reading and writing."""

    async def write_metadata(
        self, session_id: str, op: Operation, values: Mapping[str, bytes], removed: Sequence[str], *, ttl: int | None
    ) -> Outcome:
        held = dict(await self.read_metadata(session_id, None))
        await asyncio.sleep(0)
        outcome = await super().write_metadata(session_id, op, values, removed, ttl=ttl)
        if outcome.applied and not outcome.repeated:
            merged = {key: value for key, value in {**held, **values}.items() if key not in removed}
            self._store._sessions[session_id].metadata = merged
        return outcome


class AsyncPositionBeforeLock(AsyncInMemoryStore):
    """16, with other tasks running between taking the position and writing."""

    turn = 0

    async def append(
        self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None
    ) -> Outcome:
        entry = self._store._sessions.get(session_id)
        self.turn += 1
        if entry is None or len(messages) != 1:
            return await super().append(session_id, op, messages, ttl=ttl)
        entry.next_position += 1
        position = entry.next_position
        for _ in range(self.turn % 4):
            await asyncio.sleep(0)
        outcome = await super().append(session_id, op, messages, ttl=ttl)
        if not outcome.applied or outcome.repeated or self._store._sessions.get(session_id) is not entry:
            return outcome
        old = Record(*outcome.records[0])
        new = old._replace(position=position)
        entry.log = sorted([new if record.id == old.id else record for record in entry.log])
        entry.by_id[new.id] = new
        kept = (old.created_at, op.digest, outcome._replace(records=[new]))
        self._store._operations[session_id, op.id] = kept
        return outcome._replace(records=[new])


class AsyncPopInTwoSteps(AsyncInMemoryStore):
    async def pop(self, session_id: str, op: Operation, *, ttl: int | None) -> Outcome:
        newest = await self.read(session_id, limit=1, before=None)
        await asyncio.sleep(0)
        outcome = await super().pop(session_id, op, ttl=ttl)
        return outcome._replace(records=newest) if outcome.records and newest else outcome


class AsyncBlocks(AsyncInMemoryStore):
    """A blocking call on the event loop's thread."""

    async def delete(self, session_id: str, op: Operation) -> Outcome:
        time.sleep(0.1)  # noqa: ASYNC251 - the fault itself
        return await super().delete(session_id, op)


class AsyncForgetsHandlers(AsyncInMemoryStore):
    """Handlers run in tasks of their own, after the call."""

    def session(self, session_id: str, *, ttl: float | None = None) -> AsyncSession:
        class Later(AsyncSession):
            def on(self, event: Any, handler: Any = None) -> Any:
                if handler is None:
                    return super().on(event)

                async def run(*arguments: Any) -> None:
                    result = handler(*arguments)
                    if asyncio.iscoroutine(result):
                        await result

                def later(*arguments: Any) -> None:
                    tasks.append(asyncio.ensure_future(run(*arguments)))

                return super().on(event, later)

        tasks: list[Any] = []
        return Later(self, session_id, ttl=ttl)


# What an asynchronous store does wrong in its own way: between two awaits.
ASYNC_FAULTS: dict[str, Callable[..., AsyncInMemoryStore]] = {
    "04 batch row by row (async)": AsyncRowByRow,
    "10 export is no snapshot (async)": AsyncExportInTwoReads,
    "15 metadata as a whole map (async)": AsyncWholeMap,
    "16 position before the lock (async)": AsyncPositionBeforeLock,
    "19 cancellation swallowed (async)": swallow(),
    "pop in two steps (async)": AsyncPopInTwoSteps,
    "a blocking delete (async)": AsyncBlocks,
    "handlers run later (async)": AsyncForgetsHandlers,
}


def asynchronous(kind: type[InMemoryStore]) -> Callable[..., AsyncInMemoryStore]:
    """The same fault behind the asynchronous store: its primitives are those of a synchronous one."""

    class Behind(AsyncInMemoryStore):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self._store = kind(**options)

    return Behind
