"""The error tree: each class says whether it is safe to try again."""

from __future__ import annotations

__all__ = [
    "BackendError",
    "BackendUnavailableError",
    "ConflictError",
    "CorruptDataError",
    "ImportFormatError",
    "ImportTooLargeError",
    "LimitExceededError",
    "OutcomeUnknownError",
    "PoolTimeoutError",
    "ReadOnlyError",
    "SchemaVersionError",
    "SerializationError",
    "SessionClosedError",
    "SessionError",
    "StorageFullError",
    "UnsupportedError",
    "ValidationError",
    "brief",
]


class SessionError(Exception):
    """Base of every error this library raises."""


class ValidationError(SessionError, ValueError):
    """An argument is not acceptable; nothing was written. Change the argument."""


class SerializationError(ValidationError):
    """A value is not JSON and would not come back as it went in; nothing was written."""


class ImportFormatError(ValidationError):
    """A document is not a valid session export; nothing was changed. The text names the path of the fault."""


class LimitExceededError(SessionError):
    """Something is larger than the store's limits allow; nothing was written."""


class ImportTooLargeError(ImportFormatError, LimitExceededError):
    """A document is larger than the store's limits allow; nothing was changed."""


class SessionClosedError(SessionError):
    """The handle or its store was closed. Make a new handle."""


class UnsupportedError(SessionError):
    """The backend does not offer this; its documentation says so."""


class ConflictError(SessionError):
    """An id was used before for something else; nothing was written by this call."""


class CorruptDataError(SessionError):
    """A stored record cannot be read. It was neither skipped nor removed.

    `position` is the position of the message, or None where the record is not a message.
    """

    def __init__(self, message: str, *, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


class SchemaVersionError(SessionError):
    """The place was written by a newer version of this library; it was left untouched."""


class BackendError(SessionError):
    """The storage engine failed."""


class BackendUnavailableError(BackendError):
    """The engine cannot be reached or is busy. Nothing was applied: it is safe to try again."""


class OutcomeUnknownError(BackendError):
    """The engine may or may not have applied a write. Repeat the call with `op_id=error.op_id`: it lands once.

    `op_id` is None only for errors raised by a store directly, outside a session handle.
    """

    def __init__(self, message: str, *, op_id: str | None = None) -> None:
        super().__init__(message)
        self.op_id = op_id


class ReadOnlyError(BackendError):
    """The place cannot be written to; reads work. Nothing was applied."""


class StorageFullError(BackendError):
    """The disk or the server's memory is full; reads work. Nothing was applied."""


class PoolTimeoutError(BackendError):
    """No connection became free in time. Nothing was applied: it is safe to try again."""


def brief(value: object) -> str:
    """A value as the text of an error shows it: cut short, and never the cause of another error."""
    try:
        text = repr(value) if not isinstance(value, int) or abs(value) < 10**30 else "a huge int"
    except Exception:  # noqa: BLE001 - too deep, a huge int inside, or an object that cannot describe itself
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."
