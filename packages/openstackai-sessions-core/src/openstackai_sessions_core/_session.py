# Written by tools/twins.py from _async_session.py: edit that file, then run `make twins`.
"""The session handle: everything a user does with one conversation, the same on every backend."""

from __future__ import annotations

from collections.abc import (
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from functools import partial
from types import TracebackType
from typing import Literal, NoReturn, TypeVar, overload

from openstackai_sessions_core._arguments import (
    check_before,
    check_limit,
    check_page_size,
    check_ttl,
)
from openstackai_sessions_core._at_hand import MessagesAtHand
from openstackai_sessions_core._codec import (
    decode_messages,
    decode_metadata,
    decode_value,
)
from openstackai_sessions_core._dispatch import fire
from openstackai_sessions_core._document import parse_document, write_document
from openstackai_sessions_core._encoding import (
    EncodedBatch,
    EncodedMetadata,
    digest,
    digest_import,
    encode_batch,
    encode_metadata,
    is_large,
    take_batch,
)
from openstackai_sessions_core._errors import (
    OutcomeUnknownError,
    SessionClosedError,
    SessionError,
    ValidationError,
    brief,
)
from openstackai_sessions_core._events import (
    Firing,
    Handler,
    MessageEvent,
    SessionEvent,
    SessionWideEvent,
    Subscriptions,
    check_event,
)
from openstackai_sessions_core._ids import check_id, check_key, check_session_id, uuid7
from openstackai_sessions_core._json import JSONInput, JSONObject, JSONValue
from openstackai_sessions_core._message import Message, restore_message
from openstackai_sessions_core._records import Operation, Outcome, RecordTuple
from openstackai_sessions_core._retry import retry_read, retry_write
from openstackai_sessions_core._seam import (
    check_handler,
    check_store,
    in_thread,
    reraise,
)
from openstackai_sessions_core._store import SessionStore

__all__ = ["Session"]

T = TypeVar("T")
HandlerT = TypeVar("HandlerT", bound=Handler)
Self = TypeVar("Self", bound="Session")
EventArguments = tuple[SessionEvent, tuple[object, ...]]

LARGE_READ = 512
MAX_UNKNOWN = 10_000


class Session:
    """A handle on one conversation: a store and a session id.

    Making one opens nothing and costs microseconds; any number may be in use at once, from any thread. `ttl` (seconds,
    0.001 to 100 years) is stored with the session by this handle's next write; None keeps what the session has.

    Every writing method takes an `op_id`: repeat a call with the same one and it lands once, the repeat returning the
    first result. Without one, each call makes its own, under which the library retries what failed on the way.

    Raises `ValidationError` for a bad id or ttl.
    """

    def __init__(self, store: SessionStore, session_id: str, *, ttl: float | None = None) -> None:
        check_store(store)
        self._store = store
        self._at_hand = store.at_hand if isinstance(store, MessagesAtHand) else None
        self._session_id = check_session_id(session_id)
        self._ttl = check_ttl(ttl)
        self._closed = False
        self._subscriptions = Subscriptions()
        # Operations of this handle whose outcome it has not learned; the first call that does fires their events.
        self._unknown: dict[str, None] = {}

    @property
    def session_id(self) -> str:
        """The id of the session that this handle is on."""
        return self._session_id

    @property
    def store(self) -> SessionStore:
        """The store that holds the session."""
        return self._store

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._session_id!r}{' (closed)' if self._closed else ''}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} cannot be pickled: make a new handle where it is needed")

    # -- Messages ---------------------------------------------------------------------------------------------------

    def add_message(
        self,
        role: str,
        content: JSONInput,
        *,
        id: str | None = None,
        op_id: str | None = None,
        **fields: JSONInput,
    ) -> Message:
        """Append one message, `{"role": role, "content": content, **fields}`, and return it as stored.

        `id` names the message: one that is in the log already is not stored twice (`ConflictError` if it differs).
        """
        if type(role) is not str:
            raise ValidationError(f"role must be a str, not {type(role).__name__}")
        message = {"role": role, "content": content, **fields}
        ids = None if id is None else (id,)
        return (self._append(b"add_message", [message], ids, op_id))[0]

    def add_messages(
        self,
        messages: Iterable[Mapping[str, object]],
        *,
        ids: Sequence[str | None] | None = None,
        op_id: str | None = None,
    ) -> list[Message]:
        """Append a batch of JSON objects of any shape: all of them or none, next to each other.

        `ids` gives each message an id, or None for a new one. An empty batch does nothing.
        """
        batch = take_batch(messages, self._store.limits)
        return self._append(b"add_messages", batch, ids, op_id)

    def _append(
        self,
        kind: bytes,
        batch: Sequence[object],
        ids: Sequence[str | None] | None,
        op_id: str | None,
    ) -> list[Message]:
        op_id = self._operation_id(op_id)
        encoded: EncodedBatch
        if is_large(batch):
            encoded = in_thread(encode_batch, kind, batch, ids, self._store.limits)
        else:
            encoded = encode_batch(kind, batch, ids, self._store.limits, large=False)
        if not batch and op_id is None:
            return []
        outcome = self._write(
            op_id,
            encoded.digest,
            lambda op: self._store.append(self._session_id, op, encoded.messages, ttl=self._ttl),
            _added,
        )
        return [
            restore_message(copy, id, position, created_at)
            for copy, (position, id, created_at, _) in zip(encoded.copies, outcome.records, strict=True)
        ]

    def get_messages(self, limit: int | None = None, *, before: int | None = None) -> list[Message]:
        """The newest `limit` messages (None: all), oldest first; with `before`, of those at positions below it."""
        if limit is not None:
            check_limit(limit)
        if before is not None:
            check_before(before)
        self._check_open()
        if limit == 0:
            return []
        if self._at_hand is not None and before is None:
            found = self._at_hand(self._session_id, limit)
            if found is not None:
                return decode_messages(found.records, found.values)
        records = self._read(lambda: self._store.read(self._session_id, limit=limit, before=before))
        return self._decode(records)

    def iter_messages(self, *, page_size: int = 500) -> Iterator[Message]:
        """Stream the log, oldest first, up to the newest message at its start, `page_size` messages a read.

        Memory stays constant. Messages appended meanwhile are left out, those popped or cleared before their turn too.
        """
        check_page_size(page_size)
        self._check_open()
        return self._iterate(page_size)

    def _iterate(self, page_size: int) -> Iterator[Message]:
        head = self._read(lambda: self._store.head(self._session_id))
        if head is None:
            return
        after = 0
        while after < head.newest:
            self._check_open()
            page = partial(
                self._store.scan, self._session_id, head.life, after=after, until=head.newest, limit=page_size
            )
            records = self._read(page)
            if not records:
                return
            for message in self._decode(records):
                yield message
            after = records[-1][0]

    def pop_message(self, *, op_id: str | None = None) -> Message | None:
        """Remove the newest message and return it; None where there is none."""
        outcome = self._write(
            self._operation_id(op_id),
            digest(b"pop_message"),
            lambda op: self._store.pop(self._session_id, op, ttl=self._ttl),
            lambda outcome: [(SessionEvent.MESSAGE_REMOVED, (m,)) for m in decode_messages(outcome.records)],
        )
        return decode_messages(outcome.records)[0] if outcome.records else None

    def count(self) -> int:
        """How many messages the session holds."""
        self._check_open()
        head = self._read(lambda: self._store.head(self._session_id))
        return head.message_count if head is not None else 0

    def clear(self, *, op_id: str | None = None) -> None:
        """Remove every message. Metadata, ttl and handlers stay; positions go on."""
        self._write(
            self._operation_id(op_id),
            digest(b"clear"),
            lambda op: self._store.clear(self._session_id, op, ttl=self._ttl),
            lambda _: [(SessionEvent.SESSION_CLEARED, ())],
        )

    # -- Metadata ---------------------------------------------------------------------------------------------------

    def set(self, key: str, value: JSONInput, *, op_id: str | None = None) -> None:
        """Store a metadata value under a key."""
        check_key(key)
        self._set(b"set", {key: value}, op_id)

    def update(self, mapping: Mapping[str, object], *, op_id: str | None = None) -> None:
        """Store several metadata values in one step. None is stored as a value; nothing is removed."""
        self._set(b"update", mapping, op_id)

    def _set(self, kind: bytes, mapping: Mapping[str, object], op_id: str | None) -> None:
        op_id = self._operation_id(op_id)
        encoded: EncodedMetadata
        if is_large((mapping,)):
            encoded = in_thread(encode_metadata, kind, mapping, self._store.limits)
        else:
            encoded = encode_metadata(kind, mapping, self._store.limits, large=False)
        if not encoded.values and op_id is None:
            return
        self._write(
            op_id,
            encoded.digest,
            lambda op: self._store.write_metadata(self._session_id, op, encoded.values, (), ttl=self._ttl),
            lambda _: [(SessionEvent.METADATA_CHANGED, (key, value)) for key, value in encoded.copies.items()],
        )

    @overload
    def get(self, key: str) -> JSONValue: ...
    @overload
    def get(self, key: str, default: T) -> JSONValue | T: ...
    def get(self, key: str, default: object = None) -> object:
        """The metadata value of a key; `default` where the key is missing (a stored None is None)."""
        check_key(key)
        self._check_open()
        values = self._read(lambda: self._store.read_metadata(self._session_id, (key,)))
        return decode_value(values[key], f"the metadata value {key!r}") if key in values else default

    def remove(self, key: str, *, op_id: str | None = None) -> None:
        """Remove a metadata key; nothing happens where it is missing."""
        check_key(key)
        self._write(
            self._operation_id(op_id),
            digest(b"remove", key.encode()),
            lambda op: self._store.write_metadata(self._session_id, op, {}, (key,), ttl=self._ttl),
            lambda _: [(SessionEvent.METADATA_REMOVED, (key,))],
        )

    def metadata(self) -> dict[str, JSONValue]:
        """All metadata, sorted by key."""
        self._check_open()
        return decode_metadata(self._read(lambda: self._store.read_metadata(self._session_id, None)))

    # -- The whole session ------------------------------------------------------------------------------------------

    def export(self) -> JSONObject:
        """A consistent snapshot of the session as a JSON-able document (see the JSON Schema in the docs)."""
        self._check_open()
        snapshot = self._read(lambda: self._store.load(self._session_id))
        if snapshot is not None and len(snapshot.messages) > LARGE_READ:
            return in_thread(write_document, self._session_id, snapshot)
        return write_document(self._session_id, snapshot)

    def import_data(
        self,
        data: Mapping[str, object] | str | bytes,
        *,
        mode: Literal["replace", "append"] = "replace",
        op_id: str | None = None,
    ) -> None:
        """Put an exported document in the place of the session's content, or after it, in one step.

        Ids, order and times are the document's, positions go on, the session keeps its own id. Importing twice is
        the same as once. Raises `ImportFormatError` with the path of the fault; then nothing has changed.
        """
        if mode not in ("replace", "append"):
            raise ValidationError(f"mode must be 'replace' or 'append', not {brief(mode)}")
        op_id = self._operation_id(op_id)
        append = mode == "append"
        content = in_thread(lambda: parse_document(data, self._store.limits, append=append))
        payload = in_thread(digest_import, content)
        self._write(
            op_id,
            payload,
            lambda op: self._store.replace(self._session_id, op, content, ttl=self._ttl),
            lambda _: [(SessionEvent.SESSION_IMPORTED, ())],
        )

    def delete(self, *, op_id: str | None = None) -> None:
        """Remove the session, metadata and all. The handle stays usable; its next write begins a new session."""
        self._write(
            self._operation_id(op_id),
            digest(b"delete"),
            lambda op: self._store.delete(self._session_id, op),
            lambda _: [(SessionEvent.SESSION_DELETED, ())],
        )

    # -- Events -----------------------------------------------------------------------------------------------------

    @overload
    def on(self, event: MessageEvent, handler: Callable[[Message], object]) -> Callable[[], None]: ...
    @overload
    def on(
        self, event: Literal[SessionEvent.METADATA_CHANGED], handler: Callable[[str, JSONValue], object]
    ) -> Callable[[], None]: ...
    @overload
    def on(
        self, event: Literal[SessionEvent.METADATA_REMOVED], handler: Callable[[str], object]
    ) -> Callable[[], None]: ...
    @overload
    def on(self, event: SessionWideEvent, handler: Callable[[], object]) -> Callable[[], None]: ...
    @overload
    def on(self, event: SessionEvent, handler: Handler) -> Callable[[], None]: ...
    @overload
    def on(self, event: SessionEvent) -> Callable[[HandlerT], HandlerT]: ...
    def on(self, event: SessionEvent, handler: Handler | None = None) -> Callable[..., object]:
        """Call `handler` after each such write of this handle; return a function that unsubscribes it.

        Without a handler it is a decorator. Handlers run once the write is durable and before the call returns, in
        the caller's thread; one that raises is logged. A write inside a handler fires its events after the
        current event's handlers.
        """
        check_event(event)
        self._check_open()
        if handler is None:
            return lambda function: (self.on(event, function), function)[1]
        if not callable(handler):
            raise ValidationError(f"handler must be callable, not {brief(handler)}")
        check_handler(handler)
        return self._subscriptions.add(event, handler)

    def off(self, event: SessionEvent, handler: Handler) -> None:
        """Unsubscribe a handler; nothing happens where it is not subscribed."""
        check_event(event)
        self._subscriptions.remove(event, handler)

    # -- Life -------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the handle and drop its handlers; the store, which others may use, stays open. Idempotent."""
        self._closed = True
        self._subscriptions.clear()

    def __enter__(self: Self) -> Self:
        self._check_open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise SessionClosedError(f"the handle on session {self._session_id!r} is closed; make a new one")

    # -- How every write and read runs ------------------------------------------------------------------------------

    def _operation_id(self, op_id: str | None) -> str | None:
        self._check_open()
        return None if op_id is None else check_id("op_id", op_id, self._store.limits.id_bytes)

    def _write(
        self,
        op_id: str | None,
        payload: bytes,
        call: Callable[[Operation], Outcome],
        events: Callable[[Outcome], list[EventArguments]],
    ) -> Outcome:
        op = Operation(op_id or uuid7(), payload)
        store = self._store
        try:
            outcome, cancellation = retry_write(op, call, store.timeout, store.retry_timeout, self._remember_unknown)
        except BaseException as error:
            if not isinstance(error, SessionError) or isinstance(error, OutcomeUnknownError):
                self._remember_unknown(op.id)
            raise
        # Popping is atomic: of several calls that learn of the same success, one fires.
        learned = self._unknown.pop(op.id, op) is None if self._unknown else False
        # Whatever an earlier attempt was told as: what has this call's own id is this call's write.
        own = op_id is None
        if outcome.applied and self._subscriptions and (own or learned or not outcome.repeated):
            subscriptions = self._subscriptions
            fire(Firing(subscriptions, event, arguments) for event, arguments in events(outcome))
        reraise(cancellation)
        return outcome

    def _remember_unknown(self, op_id: str) -> None:
        self._unknown[op_id] = None
        while len(self._unknown) > MAX_UNKNOWN:
            self._unknown.pop(next(iter(self._unknown)), None)

    def _read(self, attempt: Callable[[], T]) -> T:
        return retry_read(self._store.retry_timeout, attempt)

    def _decode(self, records: Sequence[RecordTuple]) -> list[Message]:
        if len(records) > LARGE_READ:
            return in_thread(decode_messages, records)
        return decode_messages(records)


def _added(outcome: Outcome) -> list[EventArguments]:
    added = [record for record, added in zip(outcome.records, outcome.added, strict=True) if added]
    return [(SessionEvent.MESSAGE_ADDED, (message,)) for message in decode_messages(added)]
