"""What passes between a session handle and a store: plain values, all text already encoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

__all__ = [
    "Head",
    "ImportedMessage",
    "NewMessage",
    "Operation",
    "Outcome",
    "Record",
    "RecordTuple",
    "SessionImport",
    "Snapshot",
]


class Operation(NamedTuple):
    """The identity of one write to one session.

    - `id`: the op_id.
    - `digest`: 16 bytes that tell the kind of write and its payload, so that a store can tell a repetition (same id,
      same digest) from a conflict (same id, another digest).
    """

    id: str
    digest: bytes


class NewMessage(NamedTuple):
    """One message to append; the store gives it a position and a time.

    - `id`: the message's id, text.
    - `data`: the payload, JSON in UTF-8.
    - `given`: whether the id is the caller's own and must be looked for in the log.
    """

    id: str
    data: bytes
    given: bool


class Record(NamedTuple):
    """One stored message.

    - `position`: its place in the session's order, at least 1.
    - `id`: the message's id, text.
    - `created_at`: microseconds since the epoch (UTC): when the store took it or, where it was imported, what the
      document says.
    - `data`: the payload, JSON in UTF-8.
    """

    position: int
    id: str
    created_at: int
    data: bytes


RecordTuple: TypeAlias = tuple[int, str, int, bytes]
"""A `Record`, or a plain tuple of its four values: as drivers return rows, and lighter on the garbage collector."""


class Head(NamedTuple):
    """The state of a session without its content.

    - `life`: names this life of the session; no later one has the same.
    - `message_count`: how many messages it holds.
    - `newest`: the position of the newest message that it holds, 0 where it holds none.
    - `created_at`: when this life began, or what a document that replaced its content said; microseconds since the
      epoch.
    - `updated_at`: when a write last did something; microseconds since the epoch.
    """

    life: int
    message_count: int
    newest: int
    created_at: int
    updated_at: int


class Outcome(NamedTuple):
    """What a write did.

    - `applied`: whether it did something: False for a pop or clear of an empty session, a removal of missing keys, a
      delete where there is no session, an append that stored no message; see `SessionStore.replace` for an import.
    - `repeated`: the store had applied this operation before; the rest is its original outcome.
    - `records`: of an append, one a message, in the order given; of a pop, the message removed, if any; else none.
    - `added`: of an append, for each record whether this operation stored it (False: the caller's id was in the log
      already); else empty.
    """

    applied: bool
    repeated: bool = False
    records: Sequence[RecordTuple] = ()
    added: Sequence[bool] = ()


class ImportedMessage(NamedTuple):
    """One message of an import; the store gives it a position.

    - `id`: the message's id, text.
    - `created_at`: the time that the document gives it, in microseconds since the epoch; negative before 1970.
    - `data`: the payload, JSON in UTF-8.
    """

    id: str
    created_at: int
    data: bytes


class SessionImport(NamedTuple):
    """A whole document to import, checked and encoded.

    - `created_at`: of the session, in microseconds since the epoch, or None where the document has none.
    - `messages`: in the order of the document; no id stands twice.
    - `metadata`: values by key, JSON in UTF-8.
    - `append`: whether it comes after what the session holds (True) or in its place (False).
    """

    created_at: int | None
    messages: Sequence[ImportedMessage]
    metadata: Mapping[str, bytes]
    append: bool


class Snapshot(NamedTuple):
    """Everything a session held at one instant.

    - `created_at`: that of its `Head`, in microseconds since the epoch.
    - `messages`: all of them, oldest first.
    - `metadata`: values by key, JSON in UTF-8, in any order.
    """

    created_at: int
    messages: Sequence[RecordTuple]
    metadata: Mapping[str, bytes]
