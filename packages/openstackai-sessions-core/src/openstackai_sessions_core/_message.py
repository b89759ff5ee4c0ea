"""What users hold: messages, and descriptions of sessions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from openstackai_sessions_core._json import JSONValue

__all__ = [
    "Message",
    "SessionInfo",
    "from_microseconds",
    "restore_message",
    "to_microseconds",
]

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
MICROSECOND = timedelta(microseconds=1)


def from_microseconds(number: int) -> datetime:
    """The aware UTC time that lies `number` microseconds after the epoch."""
    return EPOCH + timedelta(microseconds=number)


def to_microseconds(time: datetime) -> int:
    """The exact count of microseconds between the epoch and an aware time."""
    return (time - EPOCH) // MICROSECOND


class Message(dict[str, JSONValue]):
    """One stored message: a dict of exactly the object that was stored, with its envelope as attributes.

    It compares equal to the plain dict and goes straight to a model client. It is the caller's own copy: changing it
    changes nothing that is stored.
    """

    __slots__ = ("_created_at", "_id", "_position")

    _id: str
    _position: int
    _created_at: int

    def __init__(
        self,
        data: Mapping[str, JSONValue],
        *,
        id: str,
        position: int,
        created_at: datetime,
    ) -> None:
        super().__init__(data)
        self._id = id
        self._position = position
        self._created_at = to_microseconds(created_at)

    @property
    def id(self) -> str:
        """The message's id: a UUID version 7 unless the caller gave another; opaque."""
        return self._id

    @property
    def position(self) -> int:
        """The place in the session's order: at least 1, strictly increasing, never reused, gaps allowed."""
        return self._position

    @property
    def created_at(self) -> datetime:
        """When the store took the message (aware, UTC, the store's clock). For information: order is by position."""
        return from_microseconds(self._created_at)

    @property
    def role(self) -> JSONValue:
        """The object's field `role`, or None."""
        return self.get("role")

    @property
    def content(self) -> JSONValue:
        """The object's field `content`, or None."""
        return self.get("content")

    def __repr__(self) -> str:
        return f"Message({super().__repr__()}, id={self._id!r}, position={self._position})"

    def __reduce__(
        self,
    ) -> tuple[Callable[..., Message], tuple[dict[str, JSONValue], str, int, int]]:
        return restore_message, (dict(self), self._id, self._position, self._created_at)


_new: Callable[[type[Message]], Message] = Message.__new__
_fill: Callable[[Message, dict[str, JSONValue]], None] = Message.update


def restore_message(data: dict[str, JSONValue], id: str, position: int, created_at: int) -> Message:
    """Build a message from its parts; the time is in microseconds since the epoch.

    Reading a thousand messages is mostly this function, so it goes around `__init__` and its datetime.
    """
    message = _new(Message)
    _fill(message, data)
    message._id = id  # noqa: SLF001 - this is its constructor
    message._position = position  # noqa: SLF001 - this is its constructor
    message._created_at = created_at  # noqa: SLF001 - this is its constructor
    return message


@dataclass(frozen=True)
class SessionInfo:
    """One line of a listing of sessions; times are aware and in UTC, on the store's clock."""

    id: str
    message_count: int
    created_at: datetime
    updated_at: datetime
