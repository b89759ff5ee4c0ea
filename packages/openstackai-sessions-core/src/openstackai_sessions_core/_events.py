"""The events a handle fires, and who listens to them."""

from __future__ import annotations

import contextlib
import enum
import functools
import inspect
import logging
from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

from openstackai_sessions_core._errors import ValidationError, brief

__all__ = [
    "Firing",
    "Handler",
    "MessageEvent",
    "SessionEvent",
    "SessionWideEvent",
    "Subscription",
    "Subscriptions",
    "check_event",
    "is_async_handler",
    "log_failure",
]

Handler: TypeAlias = Callable[..., object]

logger = logging.getLogger("openstackai_sessions")


class SessionEvent(enum.Enum):
    """What a handle tells its handlers after a write of its own is durable; in brackets, what a handler receives."""

    MESSAGE_ADDED = "message_added"
    """A message was appended (the `Message`)."""
    MESSAGE_REMOVED = "message_removed"
    """A message was popped (the `Message`)."""
    SESSION_CLEARED = "session_cleared"
    """Every message was removed ()."""
    METADATA_CHANGED = "metadata_changed"
    """A metadata value was set (key, value)."""
    METADATA_REMOVED = "metadata_removed"
    """A metadata key was removed (key)."""
    SESSION_IMPORTED = "session_imported"
    """A document was imported ()."""
    SESSION_DELETED = "session_deleted"
    """The session was deleted ()."""


MessageEvent: TypeAlias = Literal[SessionEvent.MESSAGE_ADDED, SessionEvent.MESSAGE_REMOVED]
SessionWideEvent: TypeAlias = Literal[
    SessionEvent.SESSION_CLEARED, SessionEvent.SESSION_IMPORTED, SessionEvent.SESSION_DELETED
]


class Subscription:
    """One handler's place in the order of registration; inactive once unsubscribed."""

    __slots__ = ("active", "handler")

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.active = True


class Subscriptions:
    """The handlers of one handle. Every change is one step on a list, so that threads need no lock."""

    __slots__ = ("_by_event",)

    def __init__(self) -> None:
        self._by_event: dict[SessionEvent, list[Subscription]] = {}

    def __bool__(self) -> bool:
        """Whether there may be a handler: without any, nobody needs to make an event's arguments."""
        return bool(self._by_event)

    def add(self, event: SessionEvent, handler: Handler) -> Callable[[], None]:
        subscription = Subscription(handler)
        self._by_event.setdefault(event, []).append(subscription)
        return functools.partial(self._drop, event, lambda other: other is subscription)

    def remove(self, event: SessionEvent, handler: Handler) -> None:
        self._drop(event, lambda other: other.handler == handler)

    def _drop(self, event: SessionEvent, chosen: Callable[[Subscription], bool]) -> None:
        held = self._by_event.get(event, [])
        for subscription in filter(chosen, held.copy()):
            subscription.active = False
            with contextlib.suppress(ValueError):  # another thread was faster
                held.remove(subscription)

    def clear(self) -> None:
        for event in list(self._by_event):
            self._drop(event, lambda _: True)
        self._by_event.clear()

    def of(self, event: SessionEvent) -> tuple[Subscription, ...]:
        return tuple(self._by_event.get(event, ()))


class Firing(NamedTuple):
    """One event that is due, and where to find its handlers when its turn comes."""

    subscriptions: Subscriptions
    event: SessionEvent
    arguments: tuple[object, ...]


def check_event(event: object) -> SessionEvent:
    if not isinstance(event, SessionEvent):
        raise ValidationError(f"event must be a SessionEvent, such as SessionEvent.MESSAGE_ADDED, not {brief(event)}")
    return event


def is_async_handler(handler: Handler) -> bool:
    """Whether calling the handler gives a coroutine: functions, methods, partials and callable objects alike."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(type(handler).__call__)


def log_failure(firing: Firing, handler: Handler, error: Exception) -> None:
    """Log that a handler raised. The traceback says where; the arguments, which are content, are left out."""
    name = getattr(handler, "__qualname__", type(handler).__name__)
    text = "handler %s of %s raised; the write and the other handlers go on"
    logger.error(text, name, firing.event.name, exc_info=error)
