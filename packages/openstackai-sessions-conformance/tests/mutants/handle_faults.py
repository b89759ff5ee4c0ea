# Written by tools/twins.py from async_handle_faults.py: edit that file, then run `make twins`.
"""Mutants whose fault is in the handle, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mutants.inside import begin, foreseen
from openstackai_sessions_core import InMemoryStore, Message, Session, SessionEvent
from openstackai_sessions_core._codec import decode_messages
from openstackai_sessions_core._dispatch import fire
from openstackai_sessions_core._encoding import encode_batch
from openstackai_sessions_core._events import Firing, Subscription, Subscriptions
from openstackai_sessions_core._ids import uuid7
from openstackai_sessions_core._message import restore_message
from openstackai_sessions_core._seam import call_handler
from openstackai_sessions_core.backend import Operation

__all__ = ["HANDLE_FAULTS"]


def handled(kind: type[Session]) -> type[InMemoryStore]:
    """A store that makes handles of another kind."""

    class Handled(InMemoryStore):
        def session(self, session_id: str, *, ttl: float | None = None) -> Session:
            return kind(self, session_id, ttl=ttl)

    return Handled


class HandlerBeforeCommit(Session):
    """7: the handlers of an append run before the commit."""

    def _append(self, kind: bytes, batch: Any, ids: Any, op_id: str | None) -> list[Message]:
        op_id = self._operation_id(op_id)
        encoded = encode_batch(kind, batch, ids, self._store.limits)
        if not batch and op_id is None:
            return []
        op = Operation(op_id or uuid7(), encoded.digest)
        if self._subscriptions is not None:
            subscriptions = self._subscriptions
            due = decode_messages(foreseen(self._store, self._session_id, op, encoded.messages))
            fire([Firing(subscriptions, SessionEvent.MESSAGE_ADDED, (message,)) for message in due])
        outcome = self._write(
            op.id,
            op.digest,
            lambda op: self._store.append(self._session_id, op, encoded.messages, ttl=self._ttl),
            lambda _: [],
        )
        return [
            restore_message(copy, id, position, created_at)
            for copy, (position, id, created_at, _) in zip(encoded.copies, outcome.records, strict=True)
        ]


class OneAfterTheOther(Subscriptions):
    """Calls the handlers of an event as one."""

    def of(self, event: SessionEvent) -> tuple[Subscription, ...]:
        found = super().of(event)

        def every(*arguments: object) -> None:
            for subscription in found:
                if subscription.active:
                    call_handler(subscription.handler, arguments)

        return (Subscription(every),) if found else ()


class HandlerStops(Session):
    """8: a handler that raises skips the later ones."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._subscriptions = OneAfterTheOther()


class ListsTuples(Session):
    """13: a tuple silently becomes a list."""

    def add_message(
        self, role: str, content: Any, *, id: str | None = None, op_id: str | None = None, **fields: Any
    ) -> Message:
        fields = {key: listed(value) for key, value in fields.items()}
        return super().add_message(role, listed(content), id=id, op_id=op_id, **fields)


def listed(value: Any, depth: int = 0) -> Any:
    if depth > 64:
        return value
    if isinstance(value, (tuple, list)):
        return [listed(item, depth + 1) for item in value]
    return {key: listed(item, depth + 1) for key, item in value.items()} if isinstance(value, dict) else value


class OneIsAMessage(Session):
    """A batch of one message is added as that message, under the same digest."""

    def add_messages(self, messages: Any, *, ids: Any = None, op_id: str | None = None) -> list[Message]:
        if type(messages) is list and len(messages) == 1 and ids is None:
            only = messages[0]
            if isinstance(only, dict) and set(only) == {"role", "content"}:
                return [self.add_message(only["role"], only["content"], op_id=op_id)]
        return super().add_messages(messages, ids=ids, op_id=op_id)


class UpdatesKeyByKey(Session):
    def update(self, mapping: Any, *, op_id: str | None = None) -> None:
        if not isinstance(mapping, Mapping) or op_id is not None or len(mapping) < 2:
            super().update(mapping, op_id=op_id)
            return
        for key, value in mapping.items():
            self.set(key, value)


class UpdateDropsNone(Session):
    def update(self, mapping: Any, *, op_id: str | None = None) -> None:
        if isinstance(mapping, Mapping):
            mapping = {key: value for key, value in mapping.items() if value is not None}
        super().update(mapping, op_id=op_id)


class NoneIsMissing(Session):
    def get(self, key: str, default: Any = None) -> Any:
        value = super().get(key)
        return default if value is None else value


class Suppresses(Session):
    """What a `with` block raises is lost."""

    def __exit__(self, *_: object) -> Any:
        self.close()
        return True


class ClosesTheStore(Session):
    def close(self) -> None:
        super().close()
        self.store.close()


class Unsorted(Session):
    def metadata(self) -> Any:
        return dict(reversed((super().metadata()).items()))


class EmptyBatchWrites(Session):
    def add_messages(self, messages: Any, *, ids: Any = None, op_id: str | None = None) -> list[Message]:
        added = super().add_messages(messages, ids=ids, op_id=op_id)
        if not added and op_id is None:
            begin(self._store, self._session_id)
        return added


class Caches(Session):
    """Two reads return the same objects."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._kept: dict[str, Message] = {}

    def get_messages(self, limit: Any = None, *, before: Any = None) -> list[Message]:
        messages = super().get_messages(limit, before=before)
        return [self._kept.setdefault(message.id, message) for message in messages]


class IteratesTheList(Session):
    """Iteration reads everything at its start."""

    def iter_messages(self, *, page_size: int = 500) -> Iterator[Message]:
        super().iter_messages(page_size=page_size)
        return self._listed()

    def _listed(self) -> Iterator[Message]:
        for message in self.get_messages():
            yield message


class AnyVersion(Session):
    """Documents of a newer version are read as if they were ours."""

    def import_data(self, data: Any, *, mode: Any = "replace", op_id: str | None = None) -> None:
        if isinstance(data, dict) and data.get("version") == 2:
            data = {**data, "version": 1}
        super().import_data(data, mode=mode, op_id=op_id)


class CoercesLimit(Session):
    def get_messages(self, limit: Any = None, *, before: Any = None) -> list[Message]:
        if isinstance(limit, bool) or (isinstance(limit, float) and limit.is_integer()):
            limit = int(limit)
        return super().get_messages(limit, before=before)


class OffByIdentity(Session):
    """`off` looks for the handler itself; of a method there is a new one at each look."""

    def off(self, event: Any, handler: Any) -> None:
        self._subscriptions._drop(event, lambda other: other.handler is handler)


class IdsAreTrimmedFirst(InMemoryStore):
    def session(self, session_id: str, *, ttl: float | None = None) -> Session:
        given: Any = session_id
        return super().session(given[:512] if isinstance(given, str) else given, ttl=ttl)


class AnyTtl(InMemoryStore):
    def session(self, session_id: str, *, ttl: float | None = None) -> Session:
        if isinstance(ttl, (int, float)) and (ttl <= 0 or ttl > 3_155_760_000):
            ttl = None
        return super().session(session_id, ttl=ttl)


class HandlersByStore(InMemoryStore):
    """Handlers are kept by session id, for all handles."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._kept: dict[str, Subscriptions] = {}

    def session(self, session_id: str, *, ttl: float | None = None) -> Session:
        made = super().session(session_id, ttl=ttl)
        made._subscriptions = self._kept.setdefault(session_id, Subscriptions())
        return made


HANDLE_FAULTS: dict[str, type[InMemoryStore]] = {
    "07 handler before commit": handled(HandlerBeforeCommit),
    "08 a raising handler stops others": handled(HandlerStops),
    "13 tuple becomes list": handled(ListsTuples),
    "a batch of one is a message": handled(OneIsAMessage),
    "update key by key": handled(UpdatesKeyByKey),
    "update drops None": handled(UpdateDropsNone),
    "None is missing": handled(NoneIsMissing),
    "with suppresses": handled(Suppresses),
    "close closes the store": handled(ClosesTheStore),
    "metadata unsorted": handled(Unsorted),
    "an empty batch writes": handled(EmptyBatchWrites),
    "ids cut before they are checked": IdsAreTrimmedFirst,
    "any ttl is taken": AnyTtl,
    "handlers kept by session id": HandlersByStore,
    "messages are cached": handled(Caches),
    "iteration reads everything": handled(IteratesTheList),
    "newer documents are read": handled(AnyVersion),
    "limit coerced": handled(CoercesLimit),
    "off by identity": handled(OffByIdentity),
}
