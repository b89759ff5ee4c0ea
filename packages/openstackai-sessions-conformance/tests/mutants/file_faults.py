"""Mutants that only a file, several processes, a fork or a loss of power can show, each as a class of the suite."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from openstackai_sessions_conformance import (
    DEFAULT,
    OPTIONS,
    AsyncSessionStoreConformance,
    Capability,
    SessionStoreConformance,
)
from openstackai_sessions_conformance._harness import Conformance
from openstackai_sessions_core.backend import NewMessage, Operation, Outcome, Record, SessionImport
from openstackai_sessions_sqlite import AsyncSQLiteStore, SQLiteStore

__all__ = ["FILE_FAULTS"]

Store = TypeVar("Store", SQLiteStore, AsyncSQLiteStore)


class InAFile:
    """A SQLite file that claims all that ours does."""

    capabilities = DEFAULT | Capability.PROC | Capability.POWER | Capability.MULTIPROC | Capability.MIGRATE
    options = OPTIONS
    database = "sessions.db"


class SynchronousOff(InAFile, SessionStoreConformance):
    """18: `synchronous=OFF`."""

    def make_store(self, folder: Path, **options: object) -> SQLiteStore:
        return _unsynced(SQLiteStore(folder / "sessions.db", **options), "off")  # type: ignore[arg-type]


class AsyncSynchronousOff(InAFile, AsyncSessionStoreConformance):
    """18, asynchronous."""

    def make_store(self, folder: Path, **options: object) -> AsyncSQLiteStore:
        return _unsynced(AsyncSQLiteStore(folder / "sessions.db", **options), "off")  # type: ignore[arg-type]


class SynchronousNormal(InAFile, SessionStoreConformance):
    """`synchronous=NORMAL`: a commit is not synced, a checkpoint is."""

    def make_store(self, folder: Path, **options: object) -> SQLiteStore:
        return _unsynced(SQLiteStore(folder / "sessions.db", **options), "normal")  # type: ignore[arg-type]


def _unsynced(store: Store, synchronous: Any) -> Store:
    store._database.synchronous = synchronous
    return store


class PopsInTwoSteps(SQLiteStore):
    """Reads the newest message, and then removes whatever is the newest."""

    def pop(self, session_id: str, op: Operation, *, ttl: int | None) -> Outcome:
        newest = list(self.read(session_id, limit=1, before=None))
        outcome = super().pop(session_id, op, ttl=ttl)
        return outcome._replace(records=newest) if outcome.records and newest else outcome


class WritesRowByRow(SQLiteStore):
    """A transaction for each message of a batch."""

    def append(self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None) -> Outcome:
        if len(messages) < 2:
            return super().append(session_id, op, messages, ttl=ttl)
        records: list[Record] = []
        for number, message in enumerate(messages):
            outcome = super().append(session_id, Operation(f"{op.id}/{number}", op.digest), [message], ttl=ttl)
            records += [Record(*record) for record in outcome.records]
        return Outcome(True, False, records, [True] * len(records))


class ImportsInSteps(SQLiteStore):
    """An import deletes in one transaction and writes in another."""

    def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        self.clear(session_id, Operation(f"{op.id}/clear", op.digest), ttl=ttl)
        return super().replace(session_id, op, content, ttl=ttl)


class ImportsMetadataLater(SQLiteStore):
    """An import writes the messages in one transaction and the metadata in another."""

    def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        first = Operation(f"{op.id}/messages", op.digest)
        super().replace(session_id, first, content._replace(metadata=self.read_metadata(session_id, None)), ttl=ttl)
        time.sleep(0.02)
        return super().replace(session_id, op, content, ttl=ttl)


class CommitsLater(SQLiteStore):
    """Acknowledges an append, and commits it before this store's next write or read of the log."""

    held: tuple[str, Operation, Sequence[NewMessage], int | None] | None = None

    def append(self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None) -> Outcome:
        newest = [Record(*record).position for record in self.read(session_id, limit=1, before=None)]
        if not messages or any(message.given for message in messages):
            return super().append(session_id, op, messages, ttl=ttl)
        self.held = (session_id, op, messages, ttl)
        now = int(time.time() * 1_000_000)
        records = [Record(place, id, now, data) for place, (id, data, _) in enumerate(messages, sum(newest) + 1)]
        return Outcome(True, False, records, [True] * len(records))

    def read(self, session_id: str, *, limit: int | None, before: int | None) -> Sequence[Record]:
        held, self.held = self.held, None
        if held is not None:
            super().append(*held[:3], ttl=held[3])
        return [Record(*record) for record in super().read(session_id, limit=limit, before=before)]

    def close(self) -> None:
        self.read("", limit=0, before=None)
        super().close()


class AcknowledgesEarly(SQLiteStore):
    """Keeps every third message in memory until the next write."""

    writes = 0
    held: tuple[Any, ...] | None = None

    def append(self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None) -> Outcome:
        held, AcknowledgesEarly.held = AcknowledgesEarly.held, None
        if held is not None:
            super().append(*held, ttl=None)
        newest = [Record(*record) for record in self.read(session_id, limit=1, before=None)]
        AcknowledgesEarly.writes += 1
        if AcknowledgesEarly.writes % 3 or not newest or len(messages) != 1 or messages[0].given:
            return super().append(session_id, op, messages, ttl=ttl)
        AcknowledgesEarly.held = (session_id, op, messages)
        record = Record(newest[0].position + 1, messages[0].id, newest[0].created_at, messages[0].data)
        return Outcome(True, False, [record], [True])


def _suite(kind: type[SQLiteStore]) -> type[Conformance]:
    def make_store(self: object, folder: Path, **options: object) -> SQLiteStore:
        return kind(folder / "sessions.db", **options)  # type: ignore[arg-type]

    opener = f"{__name__}:{kind.__name__}"
    return type(f"Of{kind.__name__}", (InAFile, SessionStoreConformance), {"make_store": make_store, "opener": opener})


FILE_FAULTS: dict[str, type[Conformance]] = {
    "18 synchronous=OFF (SQLite)": SynchronousOff,
    "18 synchronous=OFF (SQLite, async)": AsyncSynchronousOff,
    "synchronous=NORMAL (SQLite)": SynchronousNormal,
    "pop in two steps (SQLite)": _suite(PopsInTwoSteps),
    "batch row by row (SQLite)": _suite(WritesRowByRow),
    "import in two steps (SQLite)": _suite(ImportsInSteps),
    "import in two transactions (SQLite)": _suite(ImportsMetadataLater),
    "acknowledged before the commit (SQLite)": _suite(CommitsLater),
    "acknowledged from memory (SQLite)": _suite(AcknowledgesEarly),
}
