# Written by tools/twins.py from _async_store.py: edit that file, then run `make twins`.
"""The contract between the session handles and a backend."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, TypeAlias

from openstackai_sessions_core._limits import Limits
from openstackai_sessions_core._message import SessionInfo
from openstackai_sessions_core._records import (
    Head,
    NewMessage,
    Operation,
    Outcome,
    RecordTuple,
    SessionImport,
    Snapshot,
)

__all__ = ["Durability", "SessionStore"]

Durability: TypeAlias = Literal["process", "server", "power", "unknown"]


class SessionStore(Protocol):
    """The primitives that a backend writes: each is one atomic step on its engine.

    Session ids, keys and ids arrive validated and payloads encoded (UTF-8 JSON, opaque to the store). Times are
    microseconds since the epoch on the store's clock; a ttl is in microseconds, or None to keep what the session has.

    Every write first looks its operation up in the store's ledger, per session id: the same id and digest returns the
    outcome of the first time (`repeated=True`) and writes nothing, another digest raises `ConflictError`. The outcome
    is remembered in the same atomic step as the write, also where there was nothing to do. A write that did something
    refreshes `updated_at` and the deadline; one past the deadline first ends that life of the session.

    Methods are `def`, or plain ones that return a future: a write that is cancelled is awaited all the same.

    Errors: `BackendUnavailableError` where nothing was applied and trying again may help, `OutcomeUnknownError` where
    the engine may have applied the write, other `BackendError`s where nothing was applied.
    """

    @property
    @abstractmethod
    def limits(self) -> Limits:
        """The sizes this store accepts."""

    @property
    @abstractmethod
    def retry_timeout(self) -> float:
        """For how many seconds a handle retries what failed but may be tried again; 0 turns retrying off."""

    @property
    @abstractmethod
    def timeout(self) -> float:
        """How many seconds one operation may take; a cancelled write is given as long to settle."""

    @abstractmethod
    def append(
        self,
        session_id: str,
        op: Operation,
        messages: Sequence[NewMessage],
        *,
        ttl: int | None,
    ) -> Outcome:
        """Append all messages or none, contiguous, after everything already stored.

        A message with a `given` id that is in the log is not stored again: its record is returned if the payloads are
        equal, else `ConflictError` is raised and nothing is stored. Where all are in the log, `applied` and all of
        `added` are False, and this is no write. An empty batch only remembers its operation.
        """

    @abstractmethod
    def pop(self, session_id: str, op: Operation, *, ttl: int | None) -> Outcome:
        """Remove the newest message and return it.

        One whose payload cannot be read (see `check_payload`) is not removed: `CorruptDataError` with its position.
        """

    @abstractmethod
    def clear(self, session_id: str, op: Operation, *, ttl: int | None) -> Outcome:
        """Remove every message; positions go on, metadata stays."""

    @abstractmethod
    def write_metadata(
        self,
        session_id: str,
        op: Operation,
        values: Mapping[str, bytes],
        removed: Sequence[str],
        *,
        ttl: int | None,
    ) -> Outcome:
        """Set all values and remove the keys in one step.

        `LimitExceededError` where the session's metadata would be over `limits.metadata_bytes`; see `check_size`.
        """

    @abstractmethod
    def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        """Put an imported document in the place of what the session holds (or after it), in one step.

        Positions go on. A replaced session takes the document's `created_at` where it has one. Appending treats every
        id as given, sets the document's metadata over the session's, and never takes the document's `created_at`: a
        session that it makes was created now. `LimitExceededError` as in `write_metadata`.

        Nothing is done (`applied=False`) by a document that is empty where there is no session and, when appending, by
        one that adds no message and has no metadata; any other import is a write. The outcome has no records.
        """

    @abstractmethod
    def delete(self, session_id: str, op: Operation) -> Outcome:
        """End this life of the session: messages, metadata, ttl and positions. What is remembered stays."""

    @abstractmethod
    def read(self, session_id: str, *, limit: int | None, before: int | None) -> Sequence[RecordTuple]:
        """The newest `limit` messages (None: all) at positions below `before` (None: no bound), oldest first."""

    @abstractmethod
    def scan(self, session_id: str, life: int, *, after: int, until: int, limit: int) -> Sequence[RecordTuple]:
        """The oldest `limit` messages at positions in (after, until], or none where that life has ended."""

    @abstractmethod
    def head(self, session_id: str) -> Head | None:
        """The session's state, or None where it does not exist."""

    @abstractmethod
    def read_metadata(self, session_id: str, keys: Sequence[str] | None) -> Mapping[str, bytes]:
        """The values of those keys that exist (None: of all keys), in any order: core sorts them."""

    @abstractmethod
    def load(self, session_id: str) -> Snapshot | None:
        """Everything the session holds at one instant, or None where it does not exist."""

    @abstractmethod
    def list_page(self, prefix: str, *, after: str | None, limit: int) -> Sequence[SessionInfo]:
        """The first `limit` sessions whose id starts with `prefix` and sorts after `after`, by UTF-8 bytes."""

    @abstractmethod
    def purge(self) -> int:
        """Remove from storage what has expired; return how many sessions that was."""

    @abstractmethod
    def durability(self) -> Durability:
        """What an acknowledged write survives: a kill of this process, of the server, or a loss of power."""

    @abstractmethod
    def close(self) -> None:
        """Release what the store opened itself; idempotent.

        From then on every other primitive raises `SessionClosedError`: the backend sees to that. `durability` may still
        answer.
        """
