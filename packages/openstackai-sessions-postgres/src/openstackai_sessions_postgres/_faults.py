"""Driver errors become ours here and nowhere else; what holds a secret is cut off."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable

import psycopg
from psycopg_pool import PoolClosed, PoolTimeout

from openstackai_sessions_core import (
    BackendError,
    BackendUnavailableError,
    OutcomeUnknownError,
    PoolTimeoutError,
    ReadOnlyError,
    SessionClosedError,
    SessionError,
    StorageFullError,
    UnsupportedError,
)

__all__ = [
    "POOL_NAME",
    "NoAnswerError",
    "NoSchemaError",
    "Secrets",
    "connect_failure",
    "forget_connection",
    "redact_pool_logs",
    "translate",
]

POOL_NAME = "openstackai-sessions"

LONGEST_UNSURE = 3


class NoSchemaError(BackendUnavailableError):
    """The tables are not there (any more): make them, then try again."""


# For what an SQLSTATE that a server answers with stands: in each case the transaction was rolled back.
PASSING = (BackendUnavailableError, "PostgreSQL cannot do this just now")
NO_SCHEMA = (NoSchemaError, "the tables of this library are not there")
FULL = (StorageFullError, "the server has no room")
ENCODING = (UnsupportedError, "the database cannot hold this text; make one with ENCODING 'UTF8'")
OTHER_STATE: tuple[type[SessionError], str] = (BackendError, "PostgreSQL refused the statement")
STATES: dict[str, tuple[type[SessionError], str]] = {
    "40001": PASSING,  # serialization_failure
    "40P01": PASSING,  # deadlock_detected
    "55P03": PASSING,  # lock_not_available
    "57014": PASSING,  # query_canceled, by statement_timeout or an administrator
    "57P01": PASSING,  # admin_shutdown
    "57P02": PASSING,  # crash_shutdown
    "57P03": PASSING,  # cannot_connect_now
    "57P05": PASSING,  # idle_session_timeout
    "25P03": PASSING,  # idle_in_transaction_session_timeout
    "53300": PASSING,  # too_many_connections
    "53200": PASSING,  # out_of_memory, of one backend
    "0A000": PASSING,  # a plan made before a migration
    "26000": PASSING,  # a prepared statement that is not there: an unrecognised pooler
    "42P05": PASSING,  # one that is there already: the same
    "42P01": NO_SCHEMA,  # undefined_table
    "42883": NO_SCHEMA,  # undefined_function
    "3F000": NO_SCHEMA,  # invalid_schema_name
    "53100": FULL,  # disk_full
    "53400": FULL,  # configuration_limit_exceeded, such as temp_file_limit
    "22P05": ENCODING,  # untranslatable_character
    "22021": ENCODING,  # character_not_in_repertoire
    "25006": (ReadOnlyError, "the server takes no writes"),
    "42501": (BackendError, "the role may not do this; see the permissions in the documentation"),
}
# What a server or a handshake says that no later try will change.
FINAL_CONNECT_ERROR = re.compile(
    r"authentication failed|no password supplied|no pg_hba\.conf entry|does not exist|not permitted to log in"
    r"|certificate verify failed|server certificate|certificate file|does not support SSL|no encryption"
    r"|permission denied for database|root\.crt|invalid \S+ value: |sslmode value|unsupported frontend protocol"
    # What the connection string, the environment or a service file asks for, and there is no such thing.
    r"|invalid integer value|invalid port number|bad value for connect_timeout|could not parse network address"
    r"|definition of service|service file .* not found|could not match \d+|socket path .* is too long"
    r"|unrecognized configuration parameter|invalid value for parameter|invalid command-line argument"
)


class NoAnswerError(Exception):
    """The server was silent for longer than an operation may take."""


class Secrets:
    """Texts that must not get out, and how they are kept in."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._texts = frozenset(text for text in texts if text)

    def __repr__(self) -> str:
        return "<Secrets>"

    def _all(self) -> list[str]:
        # libpq takes a password from the environment too.
        found = {*self._texts, os.environ.get("PGPASSWORD") or ""} - {""}
        return sorted(found, key=len, reverse=True)

    def in_text(self, text: str) -> bool:
        return any(secret in text for secret in self._all())

    def scrub(self, text: str) -> str:
        for secret in self._all():
            if secret in text:
                if len(secret) <= LONGEST_UNSURE:
                    return "(the text is withheld: it holds a secret)"
                text = text.replace(secret, "***")
        return text


class _Redaction(logging.Filter):
    """Keeps the secrets of every store of this process out of the pool's log, and our own pools quiet."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        # A call that fails raises, and one that was tried again did not fail: the pool need not warn of either.
        if record.levelno == logging.WARNING and _is_ours(record.args):
            if not logging.getLogger(record.name).isEnabledFor(logging.DEBUG):
                return False
            record.levelno, record.levelname = logging.DEBUG, logging.getLevelName(logging.DEBUG)
        secrets = Secrets(self.texts)
        text = record.getMessage()
        if secrets.in_text(text):
            record.msg, record.args = secrets.scrub(text), ()
        if record.exc_info and secrets.in_text(str(record.exc_info[1])):
            record.exc_info = None
        return True


def _is_ours(arguments: object) -> bool:
    values = arguments if isinstance(arguments, tuple) else ()
    return any(
        value == POOL_NAME or type(value).__module__.startswith("openstackai_sessions_postgres.") for value in values
    )


_redaction = _Redaction()


def redact_pool_logs(texts: Iterable[str]) -> None:
    """Have these secrets redacted in what psycopg and its pool log."""
    _redaction.texts.update(texts)
    for name in ("psycopg", "psycopg.pool"):
        logging.getLogger(name).addFilter(_redaction)


def translate(error: Exception, secrets: Secrets, *, doubt: bool) -> SessionError:
    """Our error for one of the driver's, its cause unless that holds a secret; for the caller to raise.

    `doubt`: a write had been sent and the connection was lost, so that it may have been applied.
    """
    failure = _doubtful(error) if doubt else _certain(error)
    text = secrets.scrub(str(failure))
    if text != str(failure):
        failure = type(failure)(text)
    return _with_cause(failure, error, secrets)


def connect_failure(error: Exception, secrets: Secrets, where: str) -> SessionError:
    """Our error for a connection that could not be made."""
    text = secrets.scrub(" ".join(str(error).split()))
    kind = BackendError if FINAL_CONNECT_ERROR.search(str(error)) else BackendUnavailableError
    return _with_cause(kind(secrets.scrub(f"cannot connect to {where}: {text}")), error, secrets)


def _with_cause(failure: SessionError, error: Exception, secrets: Secrets) -> SessionError:
    # The frames of the driver, which hold connection parameters, stay out of what is shown.
    error.__traceback__ = None
    chain: BaseException | None = error
    while chain is not None:
        forget_connection(chain)
        if secrets.in_text(f"{chain!r} {chain} {vars(chain)!r}"):
            return failure
        chain = chain.__cause__ or chain.__context__
    failure.__cause__ = error
    return failure


def forget_connection(error: BaseException) -> None:
    """Part an error of connecting from what it was to connect with, the password too."""
    if isinstance(error, psycopg.Error) and error.pgconn is not None:
        vars(error)["_pgconn"] = None


def _doubtful(error: Exception) -> SessionError:
    return OutcomeUnknownError(f"the connection to PostgreSQL was lost in the middle of a write: {_text(error)}")


def _certain(error: Exception) -> SessionError:
    if isinstance(error, NoAnswerError):
        return BackendUnavailableError(str(error))
    if isinstance(error, PoolTimeout):
        return PoolTimeoutError(f"the pool had no free connection in time: {error}")
    if isinstance(error, PoolClosed):
        return SessionClosedError("the connection pool is not open; open it before use, and close it last")
    state = error.sqlstate if isinstance(error, psycopg.Error) else None
    if state is None:
        return BackendUnavailableError(f"the connection to PostgreSQL was lost: {_text(error)}")
    kind, meaning = STATES.get(state, OTHER_STATE)
    if state.startswith("08"):
        kind, meaning = PASSING
    return kind(f"{meaning}: {_text(error)} (SQLSTATE {state})")


def _text(error: Exception) -> str:
    """The driver's text without its details, which may quote values."""
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return error.diag.message_primary
    return " ".join(str(error).split())
