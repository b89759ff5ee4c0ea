"""The layout of the file, and every step that led to it.

A step is never changed once it is released: a change of the layout is a further step. `PRAGMA user_version` counts
the steps that a file has had, `PRAGMA application_id` says that the file is ours.
"""

from __future__ import annotations

import sqlite3

from openstackai_sessions_core import SchemaVersionError, ValidationError

__all__ = ["APPLICATION_ID", "VERSION", "migrate", "needs_migration"]

APPLICATION_ID = 0x6F617373  # "oass"

STEPS: tuple[tuple[str, ...], ...] = (
    (
        # AUTOINCREMENT: a key names one life of a session, and no later one may have the same.
        """
        CREATE TABLE sessions (
            key INTEGER PRIMARY KEY AUTOINCREMENT,
            life INTEGER,
            session_id TEXT UNIQUE,
            next_position INTEGER NOT NULL,
            count INTEGER NOT NULL,
            metadata_bytes INTEGER NOT NULL,
            created_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL,
            ttl INTEGER,
            expires_at INTEGER
        )
        """,
        "CREATE INDEX sessions_by_deadline ON sessions (expires_at) WHERE expires_at IS NOT NULL",
        # In the order of writing, whatever the session: a commit that serves many sessions fills few pages. Laid out
        # by session, each append makes SQLite even out three pages around the end of its session.
        """
        CREATE TABLE messages (
            number INTEGER PRIMARY KEY,
            session INTEGER NOT NULL,
            position INTEGER NOT NULL,
            id TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            data TEXT NOT NULL
        )
        """,
        "CREATE UNIQUE INDEX messages_by_position ON messages (session, position)",
        # By id first: ids are made in the order of time, so that appends to many sessions touch one page here.
        "CREATE UNIQUE INDEX messages_by_id ON messages (id, session)",
        """
        CREATE TABLE metadata (
            session INTEGER NOT NULL,
            key TEXT NOT NULL,
            value TEXT NOT NULL,
            PRIMARY KEY (session, key)
        ) WITHOUT ROWID
        """,
        # By session id and not by key: what a session did is remembered through its deletion and expiry. The operation
        # comes first for the same reason as above.
        """
        CREATE TABLE operations (
            session_id TEXT NOT NULL,
            op_id TEXT NOT NULL,
            digest BLOB NOT NULL,
            forget_at INTEGER NOT NULL,
            outcome TEXT NOT NULL,
            PRIMARY KEY (op_id, session_id)
        ) WITHOUT ROWID
        """,
    ),
)

VERSION = len(STEPS)


def needs_migration(db: sqlite3.Connection, path: str) -> bool:
    """Whether steps are due; raises, without having touched the file, where it is not for us to use."""
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if application == APPLICATION_ID:
        if version > VERSION:
            raise SchemaVersionError(
                f"{path!r} has version {version} of the layout, newer than the {VERSION} that this version of "
                "openstackai-sessions-sqlite knows; upgrade the library"
            )
        return bool(version < VERSION)
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application or version or tables:
        raise ValidationError(
            f"{path!r} is a SQLite database of another application; give the sessions a file of their own"
        )
    return True


def migrate(db: sqlite3.Connection, path: str) -> None:
    """Take the steps that are due; in a transaction, so that one process does and others find it done."""
    if needs_migration(db, path):
        (version,) = db.execute("PRAGMA user_version").fetchone()
        for step in STEPS[version:]:
            for statement in step:
                db.execute(statement)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {VERSION}")
