"""What users hold: messages, and descriptions of sessions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TypeAlias

from openstackai_sessions_core._errors import CorruptDataError, brief
from openstackai_sessions_core._json import JSONValue
from openstackai_sessions_core._records import RecordTuple

__all__ = [
    "Message",
    "SessionInfo",
    "fill_message",
    "from_microseconds",
    "new_message",
    "restore_message",
    "to_microseconds",
]

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
MICROSECOND = timedelta(microseconds=1)


def from_microseconds(number: int) -> datetime:
    """The aware UTC time that lies `number` microseconds after the epoch."""
    try:
        return EPOCH + timedelta(microseconds=number)
    except (TypeError, OverflowError):
        raise CorruptDataError(f"a stored time cannot be read: {brief(number)}") from None


def to_microseconds(time: datetime) -> int:
    """The exact count of microseconds between the epoch and an aware time."""
    return (time - EPOCH) // MICROSECOND


# Position, id and time (in microseconds since the epoch); the payload, where a record was taken whole.
Envelope: TypeAlias = "tuple[int, str, int] | RecordTuple"


class Message(dict[str, JSONValue]):
    """One stored message: a dict of exactly the object that was stored, with its envelope as attributes.

    It compares equal to the plain dict and goes straight to a model client. It is the caller's own copy: changing it
    changes nothing that is stored.
    """

    # One slot, which a record fits as it is: what a read of many messages touches is most of what it costs.
    __slots__ = ("_envelope",)

    _envelope: Envelope

    def __init__(
        self,
        data: Mapping[str, JSONValue],
        *,
        id: str,
        position: int,
        created_at: datetime,
    ) -> None:
        super().__init__(data)
        self._envelope = position, id, to_microseconds(created_at)

    @property
    def id(self) -> str:
        """The message's id: a UUID version 7 unless the caller gave another; opaque."""
        return self._envelope[1]

    @property
    def position(self) -> int:
        """The place in the session's order: at least 1, strictly increasing, never reused, gaps allowed."""
        return self._envelope[0]

    @property
    def created_at(self) -> datetime:
        """When the store took the message (aware, UTC, the store's clock). For information: order is by position."""
        try:
            return from_microseconds(self._envelope[2])
        except CorruptDataError as error:
            raise CorruptDataError(
                f"{error}, of the message at position {self.position}", position=self.position
            ) from None

    @property
    def role(self) -> JSONValue:
        """The object's field `role`, or None."""
        return self.get("role")

    @property
    def content(self) -> JSONValue:
        """The object's field `content`, or None."""
        return self.get("content")

    def __repr__(self) -> str:
        return f"Message({super().__repr__()}, id={self.id!r}, position={self.position})"

    def __reduce__(
        self,
    ) -> tuple[Callable[..., Message], tuple[dict[str, JSONValue], str, int, int]]:
        position, id, created_at = self._envelope[:3]
        return restore_message, (dict(self), id, position, created_at)


new_message: Callable[[type[Message]], Message] = Message.__new__
fill_message: Callable[[Message, dict[str, JSONValue]], None] = Message.update


def restore_message(data: dict[str, JSONValue], id: str, position: int, created_at: int) -> Message:
    """Build a message from its parts, around `__init__` and its datetime; the time is in microseconds."""
    message = new_message(Message)
    fill_message(message, data)
    message._envelope = position, id, created_at  # noqa: SLF001 - this is its constructor
    return message


@dataclass(frozen=True)
class SessionInfo:
    """One line of a listing of sessions; times are aware and in UTC, on the store's clock."""

    id: str
    message_count: int
    created_at: datetime
    updated_at: datetime
