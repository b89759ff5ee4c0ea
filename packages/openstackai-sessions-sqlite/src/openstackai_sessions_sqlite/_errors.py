"""From the driver's errors to ours, in one place."""

from __future__ import annotations

import sqlite3

from openstackai_sessions_core import (
    BackendError,
    BackendUnavailableError,
    CorruptDataError,
    OutcomeUnknownError,
    ReadOnlyError,
    SessionError,
    StorageFullError,
)

__all__ = ["is_busy", "translate"]

BUSY, LOCKED, READONLY, INTERRUPT, IOERR = 5, 6, 8, 9, 10
CORRUPT, FULL, CANTOPEN, PROTOCOL, TOOBIG, NOTADB = 11, 13, 14, 15, 18, 26

# Python 3.10 gives no code, only SQLite's text for it.
TEXTS = {
    "database is locked": BUSY,
    "database table is locked": LOCKED,
    "database schema is locked": LOCKED,
    "attempt to write a readonly database": READONLY,
    "interrupted": INTERRUPT,
    "disk I/O error": IOERR,
    "database disk image is malformed": CORRUPT,
    "malformed database schema": CORRUPT,
    "Could not decode to UTF-8": CORRUPT,
    "database or disk is full": FULL,
    "unable to open database": CANTOPEN,
    "locking protocol": PROTOCOL,
    "string or blob too big": TOOBIG,
    "file is not a database": NOTADB,
    "file is encrypted or is not a database": NOTADB,
}


def code_of(error: sqlite3.Error) -> int:
    """SQLite's primary result code, or 0 where there is none."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code:
        return code & 0xFF
    text = str(error)
    return next((code for start, code in TEXTS.items() if text.startswith(start)), 0)


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection was in the way, so that trying again is all that is needed."""
    return code_of(error) in (BUSY, LOCKED, PROTOCOL)


def translate(error: sqlite3.Error, path: str, *, committing: bool = False) -> SessionError:
    """The error of ours that says the same; `committing` where it struck while a transaction was being made durable."""
    code = code_of(error)
    if code in (BUSY, LOCKED, PROTOCOL):
        return BackendUnavailableError(f"{path!r} was locked by another process for too long; nothing was applied")
    if code == READONLY:
        return ReadOnlyError(f"{path!r} cannot be written to: the file, its directory or its disk is read-only")
    if code == FULL:
        return StorageFullError(f"the disk that holds {path!r} is full; nothing was applied")
    if code == NOTADB:
        return CorruptDataError(f"{path!r} is not a SQLite database")
    if code == CORRUPT:
        return CorruptDataError(f"{path!r} is damaged ({error})")
    if committing:
        return OutcomeUnknownError(f"writing to {path!r} failed while committing ({error})")
    return BackendError(f"SQLite failed on {path!r} ({error}); nothing was applied")
