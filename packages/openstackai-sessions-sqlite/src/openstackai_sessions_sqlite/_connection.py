"""Connections: what may be opened, how it is set up, and what to say where it cannot be."""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, TypeVar

from openstackai_sessions_core import BackendError, ReadOnlyError, SessionClosedError, SessionError, ValidationError
from openstackai_sessions_sqlite._errors import CANTOPEN, READONLY, code_of, is_busy, translate
from openstackai_sessions_sqlite._migrations import migrate, needs_migration
from openstackai_sessions_sqlite._recent import Recent

__all__ = ["MEMORY", "Channel", "Connection", "Identity", "Synchronous", "explain", "identify", "patiently"]

T = TypeVar("T")

Synchronous: TypeAlias = Literal["full", "normal"]

MEMORY = ":memory:"
JOURNAL_BYTES = 64 * 1024 * 1024
# So long, 16 MiB with pages of 4 KiB, the log grows before it is copied into the file: what many commits changed again
# and again is copied once.
CHECKPOINT_PAGES = 4_000
CACHED_STATEMENTS = 256
# At most, of each connection: enough for the newest messages of a few hundred conversations.
CACHE_KIB = 16 * 1024
# In seconds. SQLite's own waiting lets one process starve the others; short waits of random length are fair.
WAIT = (0.0001, 0.001)


class Identity(NamedTuple):
    """What tells one file from another, whatever their paths. `state` is 0 where SQLite watches for changes itself."""

    device: int
    inode: int
    state: int = 0


def identify(path: str, *, unwatched: bool = False) -> Identity | None:
    """The identity of the file at a path, or None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    if not unwatched:
        return Identity(found.st_dev, found.st_ino)
    return Identity(found.st_dev, found.st_ino, -1 if _has_journal(path) else found.st_mtime_ns)


def _has_journal(path: str) -> bool:
    """Whether there are writes that have not reached the file itself yet."""
    return any(os.path.exists(path + ending) for ending in ("-wal", "-journal"))


def patiently(attempt: Callable[[], T], deadline: float, meanwhile: Callable[[], None] | None = None) -> T:
    """Try until no other connection is in the way, or the deadline (monotonic) has passed."""
    while True:
        try:
            return attempt()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() >= deadline:
                raise
        if meanwhile is not None:
            meanwhile()
        time.sleep(random.uniform(*WAIT))


def explain(error: sqlite3.Error, path: str, *, committing: bool = False) -> SessionError:
    """The error of ours that says what was wrong; where SQLite cannot open a file, the file system says why."""
    if code_of(error) != CANTOPEN or path == MEMORY:
        return translate(error, path, committing=committing)
    directory = os.path.dirname(path)
    if os.path.isdir(path):
        return ValidationError(f"db_path {path!r} is a directory; name a file in it")
    if not os.path.isdir(directory):
        return ValidationError(f"the directory {directory!r} of db_path does not exist; create it first")
    if os.path.exists(path) and not os.access(path, os.R_OK):
        return BackendError(f"{path!r} cannot be read: permission denied")
    if not os.access(directory, os.W_OK):
        return ReadOnlyError(f"{path!r} cannot be written to: its directory is read-only")
    return translate(error, path, committing=committing)


class Connection(sqlite3.Connection):
    """A connection; that of a writer also remembers the newest messages."""

    recent: Recent | None = None


# Connections that a fork struck in the middle of their use: to close one in the child would harm the parent.
_untouchable: list[sqlite3.Connection | None] = []


class Channel:
    """One connection, opened when it is first used, and the lock that its user holds."""

    def __init__(self, path: str, synchronous: Synchronous, *, remembers: bool = False) -> None:
        self.path = path
        self.lock = threading.Lock()
        self._remembers = remembers
        self._synchronous = synchronous
        self._db: Connection | None = None
        self._identity: Identity | None = None
        self._unwatched = False
        # Why there will be no connection any more.
        self._refusal: SessionError | None = None
        # The thread that is using it, which holds the lock.
        self.user = 0

    @property
    def identity(self) -> Identity | None:
        """The file that the connection is on."""
        return self._identity

    @property
    def is_shared(self) -> bool:
        """Whether another connection has been seen to write to the file."""
        db = self._db
        return db is not None and db.recent is not None and db.recent.shared

    def use(self, deadline: float) -> Connection:
        """The connection to the file that lies at the path now, with no transaction under way."""
        db = self._db
        if db is not None:
            if not self._is_current():
                self.close()
            else:
                if db.in_transaction:  # an interrupt struck while an earlier one was being dealt with
                    db.execute("ROLLBACK")
                    self._remember(db)
                return db
        if self._refusal is not None:
            raise self._refusal
        db = self._open(deadline)
        self._remember(db)
        self._db = db
        if self.path != MEMORY:
            self._identity = identify(self.path, unwatched=self._unwatched)
        return db

    def at_hand(self) -> Connection | None:
        """The connection if it is open, on the file that lies at the path now, and in no transaction."""
        db = self._db
        if db is None or db.in_transaction or not self._is_current():
            return None
        return db

    def _is_current(self) -> bool:
        return self.path == MEMORY or identify(self.path, unwatched=self._unwatched) == self._identity

    def _remember(self, db: Connection) -> None:
        """Begin to remember, with nothing."""
        if self._remembers:
            db.recent = Recent()

    def undo(self, error: BaseException) -> None:
        """End the transaction that an error struck; drop a connection that cannot be trusted any more."""
        db = self._db
        try:
            if db is not None and db.in_transaction:
                db.execute("ROLLBACK")
                if db.recent is not None:
                    db.recent.rollback()
            elif db is not None:
                # The error may have struck between a commit and the noting of it.
                self._remember(db)
        except sqlite3.Error:
            self.close()
        else:
            if isinstance(error, sqlite3.Error) and not is_busy(error):
                self.close()

    def close(self) -> None:
        """Close the connection; the next use opens another. What is in memory only stays as it is."""
        db = self._db
        if db is None or self.path == MEMORY:
            return
        self._db = self._identity = None
        with suppress(sqlite3.Error):
            db.close()

    def destroy(self) -> None:
        """Close the connection for good, also of what is in memory only."""
        self._refusal = SessionClosedError("the store is closed; make a new one")
        db, self._db = self._db, None
        if db is not None:
            db.close()

    # -- Fork -------------------------------------------------------------------------------------------------------

    def rest(self, *, inside: bool) -> bool:
        """Take the lock for a fork; False where this thread holds it already.

        `inside`: this thread is somewhere in an operation, which a signal handler that forks has interrupted. It may
        hold the lock, or wait for the thread that does; whoever holds it is `user` but for a moment.
        """
        nobody = 0
        while not self.lock.acquire(timeout=0.01 if inside else -1):
            nobody = nobody + 1 if self.user == 0 else 0
            if self.user == threading.get_ident() or nobody > 10:
                return False
        return True

    def begin_in_child(self, *, rested: bool) -> None:
        """Begin with a lock of the child's own. A connection that was in use at the fork cannot be used or closed."""
        self.lock = threading.Lock()
        self.user = 0
        if not rested:
            _untouchable.append(self._db)
            self._db = self._identity = None
            self._refusal = BackendError(
                f"this process was forked by a signal handler in the middle of an operation on {self.path!r}, which it "
                "cannot use; fork where no operation is under way"
            )

    # -- Opening ----------------------------------------------------------------------------------------------------

    def _open(self, deadline: float) -> Connection:
        self._unwatched = False
        db = _connect(self.path)
        try:
            try:
                due = patiently(lambda: self._is_migration_due(db), deadline)
            except sqlite3.OperationalError as error:
                if code_of(error) not in (CANTOPEN, READONLY):
                    raise
                db.close()
                return self._open_unchanging(error)
            self._set_up(db, deadline)
            if due:
                patiently(lambda: db.execute("BEGIN IMMEDIATE"), deadline)
                migrate(db, self.path)
                db.execute("COMMIT")
        except BaseException:
            db.close()
            raise
        return db

    def _is_migration_due(self, db: Connection) -> bool:
        db.execute("BEGIN")  # so as not to look at a file half before and half after another process made its layout
        try:
            return needs_migration(db, self.path)
        finally:
            db.execute("ROLLBACK")

    def _set_up(self, db: Connection, deadline: float) -> None:
        try:
            patiently(lambda: db.execute("PRAGMA journal_mode = WAL").fetchall(), deadline)
        except sqlite3.OperationalError as error:
            if code_of(error) != READONLY:
                raise
        db.execute(f"PRAGMA synchronous = {self._synchronous}")
        if self._synchronous == "full":
            # macOS alone needs to be told that a sync should reach the disk itself.
            db.execute("PRAGMA fullfsync = ON")
        db.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES}")
        db.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")

    def _open_unchanging(self, error: sqlite3.OperationalError) -> Connection:
        """Open a file where nothing can be created beside it: SQLite reads it only as one that never changes."""
        if not os.path.isfile(self.path) or _has_journal(self.path):
            raise error
        self._unwatched = True
        db = _connect(f"{Path(self.path).as_uri()}?mode=ro&immutable=1", uri=True)
        try:
            if needs_migration(db, self.path):
                raise ReadOnlyError(
                    f"{self.path!r} has an older layout, and cannot be written to for bringing it up to date"
                )
        except BaseException:
            db.close()
            raise
        return db


def _connect(path: str, *, uri: bool = False) -> Connection:
    return sqlite3.connect(
        path,
        timeout=0,
        isolation_level=None,
        check_same_thread=False,
        factory=Connection,
        cached_statements=CACHED_STATEMENTS,
        uri=uri,
    )
