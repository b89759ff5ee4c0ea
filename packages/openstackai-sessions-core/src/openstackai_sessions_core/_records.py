"""What passes between a session handle and a store: plain values, all text already encoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

__all__ = [
    "Head",
    "ImportedMessage",
    "NewMessage",
    "Operation",
    "Outcome",
    "Record",
    "SessionImport",
    "Snapshot",
]


class Operation(NamedTuple):
    """The identity of one write.

    `id` is the op_id; `digest` (16 bytes) tells the kind of write and its payload, so that
    a store can tell a repetition (same id, same digest) from a conflict (same id, another digest).
    """

    id: str
    digest: bytes


class NewMessage(NamedTuple):
    """One message to append. `given` says that the id is the caller's own and must be looked for in the log."""

    id: str
    data: bytes
    given: bool


class Record(NamedTuple):
    """One stored message: its position (>= 1), id, time in microseconds since the epoch (UTC), and payload."""

    position: int
    id: str
    created_at: int
    data: bytes


class Head(NamedTuple):
    """The state of a session without its content. `life` names this life of the session: no later one has the same."""

    life: int
    message_count: int
    newest: int
    created_at: int
    updated_at: int


class Outcome(NamedTuple):
    """What a write did.

    `applied`: False where there was nothing to do (pop or clear of an empty session, removal of a missing key, …).
    `repeated`: the store had applied this operation before; the rest is its original outcome.
    `records`: append: one a message, in the order given; pop: the message removed, if any.
    `added`: append: for each record, whether this operation stored it (False: the caller's id was in the log already).
    """

    applied: bool
    repeated: bool = False
    records: Sequence[Record] = ()
    added: Sequence[bool] = ()


class ImportedMessage(NamedTuple):
    """One message of an import: the time, in microseconds since the epoch, comes from the document."""

    id: str
    created_at: int
    data: bytes


class SessionImport(NamedTuple):
    """A whole document to import, checked and encoded. `append` keeps what the session holds."""

    created_at: int | None
    messages: Sequence[ImportedMessage]
    metadata: Mapping[str, bytes]
    append: bool


class Snapshot(NamedTuple):
    """Everything a session held at one instant."""

    created_at: int
    messages: Sequence[Record]
    metadata: Mapping[str, bytes]
