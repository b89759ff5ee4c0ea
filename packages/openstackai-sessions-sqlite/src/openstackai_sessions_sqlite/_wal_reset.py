"""The fault of SQLite's own that can harm a file which several connections write to, and how it is reported."""

from __future__ import annotations

import logging
import sqlite3

__all__ = ["report_wal_reset"]

# https://www.sqlite.org/wal.html#walresetbug: from 3.7.0 to 3.51.2.
MENDED = (3, 51, 3)

logger = logging.getLogger("openstackai_sessions_sqlite")
_reported = False


def report_wal_reset(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> None:
    """Warn, once in a process, where this SQLite has the WAL-reset bug."""
    global _reported  # noqa: PLW0603 - once in a process is what it is about
    if version >= MENDED or _reported:
        return
    _reported = True
    logger.warning(
        "SQLite %s has the WAL-reset bug: very rarely, processes that write to the same file at the same moment can"
        " damage it. Use an interpreter with SQLite 3.51.3 or newer, or let one process alone write to the file.",
        ".".join(map(str, version)),
    )
