"""Driver errors become ours here, and only here; what holds a secret is scrubbed, and its chain cut."""

from __future__ import annotations

import re
import ssl
from urllib.parse import quote, quote_plus

from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ReadOnlyError as ReadOnlyReply,
    RedisClusterException,
    RedisError,
    ResponseError,
)

from openstackai_sessions_core import (
    BackendError,
    BackendUnavailableError,
    CorruptDataError,
    OutcomeUnknownError,
    PoolTimeoutError,
    ReadOnlyError,
    SessionError,
    StorageFullError,
)

__all__ = ["ANSWERS", "DRIVER_ERRORS", "MISREADINGS", "Failures", "answered", "misread"]

# What a driver raises while it connects, sends or waits.
DRIVER_ERRORS = (RedisError, RedisClusterException, OSError, EOFError)

CREDENTIALS = (AuthenticationError, AuthorizationError)
# What a server answers and the driver takes for the connection's failure.
ANSWERS = (*CREDENTIALS, BusyLoadingError)

# The code of an error reply stands at its beginning, or, where a script met it, after what the server says of that.
CODE = re.compile(
    r"\b(OOM|READONLY|MISCONF|LOADING|BUSY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|NOREPLICAS|WRONGTYPE|NOPERM|NOAUTH|WRONGPASS)\b"
)
# How a server says NOPERM of a command within a script.
NOT_PERMITTED = re.compile(
    r"can't run this command|can't access at least one|this user has no permissions", re.IGNORECASE
)
UNREADABLE = re.compile(r"openstackai-unreadable (-?\d+)")
# So short a secret may be anywhere in a text: to replace it would say where, and nothing would be left to read.
LONGEST_UNSURE = 3
NO_CONNECTION = ("No connection available", "Too many connections")

UNAVAILABLE = {
    "LOADING": "the server is loading its data",
    "BUSY": "the server is busy with a script",
    "MASTERDOWN": "the server has lost its primary",
    "CLUSTERDOWN": "the cluster is down, or a part of it",
    "TRYAGAIN": "the keys are being moved to another node",
    "NOREPLICAS": "the server has too few replicas to take a write (min-replicas-to-write)",
}


class Failures:
    """Makes our errors from the driver's. `place` says where the server is; no error shows one of `secrets`."""

    def __init__(self, place: str, secrets: tuple[str, ...]) -> None:
        self.place = place
        forms = {form for s in secrets if s for form in (s, quote(s, safe=""), quote(s), quote_plus(s), repr(s)[1:-1])}
        self._secrets = sorted(forms, key=len, reverse=True)

    def raised(self, error: SessionError, cause: BaseException) -> SessionError:
        """Our error with its cause, or, where that shows a secret, without it: `raise` what this returns."""
        for one in _chain(cause):
            # The driver's frames hold the password in their variables, which some tools show.
            one.__traceback__ = None
        if self._shows_secret(cause):
            error.__suppress_context__ = True
        else:
            error.__cause__ = cause
        return error

    def scrub(self, text: str) -> str:
        for secret in self._secrets:
            if secret in text:
                if len(secret) <= LONGEST_UNSURE:
                    return "(the text is withheld: it holds a secret)"
                text = text.replace(secret, "***")
        return text

    def _shows_secret(self, error: BaseException) -> bool:
        texts = [f"{one} {one!r} {one.args!r}" for one in _chain(error)]
        return any(secret in text for text in texts for secret in self._secrets)

    def unreachable(self, error: BaseException) -> SessionError:
        """No connection: nothing has been sent."""
        text = self.scrub(str(error)) or type(error).__name__
        if text.startswith(NO_CONNECTION):
            return self.raised(self.no_connection(), error)
        if isinstance(error, ResponseError):
            return self.refused(error)
        if any(isinstance(one, CREDENTIALS) for one in (error, error.__cause__)):
            return self.raised(BackendError(f"{self.place} refused the credentials: {text}"), error)
        if any(isinstance(one, ssl.SSLCertVerificationError) for one in _chain(error)):
            return self.raised(
                BackendError(f"{self.place} shows a certificate that is not to be trusted: {text}"), error
            )
        return self.raised(BackendUnavailableError(f"{self.place} cannot be reached: {text}"), error)

    def no_connection(self) -> PoolTimeoutError:
        return PoolTimeoutError(f"no connection to {self.place} became free in time (max_connections, pool_timeout)")

    def cut_off(self, error: BaseException, *, write: bool) -> SessionError:
        """The connection broke, or time ran out, after a command may have been sent."""
        text = self.scrub(str(error)) or type(error).__name__
        if isinstance(error, CREDENTIALS):
            # To the driver the connection has failed; it was an answer.
            return self.raised(BackendError(f"{self.place} refused the credentials: {text}"), error)
        if answered(error):
            # The same: loading, or a former primary that Sentinel's connection has just left.
            return self.raised(BackendUnavailableError(f"{self.place} takes no commands now: {text}"), error)
        if write:
            return self.raised(OutcomeUnknownError(f"{self.place} did not answer: {text}"), error)
        return self.raised(BackendUnavailableError(f"{self.place} did not answer: {text}"), error)

    def refused(self, error: BaseException) -> SessionError:
        """The server answered with an error: it has applied nothing."""
        text = self.scrub(str(error))
        code = _code(error, text)
        kind: SessionError
        unreadable = UNREADABLE.search(text)
        if unreadable:
            kind = CorruptDataError(
                f"message number {int(unreadable[1]) + 1} of the log is not a record of this library"
            )
        elif code in UNAVAILABLE:
            kind = BackendUnavailableError(f"{self.place}: {UNAVAILABLE[code]}: {text}")
        elif code == "READONLY":
            kind = ReadOnlyError(f"{self.place} is a replica, which takes no writes: {text}")
        elif code == "OOM":
            kind = StorageFullError(f"{self.place} has no memory left (maxmemory): {text}")
        elif code == "MISCONF":
            kind = StorageFullError(f"{self.place} cannot write its data to disk: {text}")
        elif code == "WRONGTYPE":
            kind = BackendError(f"another program has put something else under a key of ours; choose a prefix: {text}")
        elif code in ("NOPERM", "NOAUTH", "WRONGPASS"):
            kind = BackendError(f"{self.place} does not permit this; the docs list the permissions needed: {text}")
        else:
            kind = BackendError(f"{self.place} refused the command: {text}")
        return self.raised(kind, error)


def answered(error: BaseException) -> bool:
    """Whether a connection's failure was the server's answer: it has applied nothing."""
    return isinstance(error, ANSWERS) or isinstance(error.__context__, ReadOnlyReply)


# What comes of taking an answer apart that none of the scripts gives.
MISREADINGS = (ValueError, TypeError, AttributeError, LookupError, AssertionError)


def misread(error: Exception, *, write: bool) -> SessionError:
    """Our error for an answer that is not of Redis."""
    kind = OutcomeUnknownError if write else BackendError
    failure = kind("the server gave an answer that cannot be of Redis; what listens there, or stands between?")
    failure.__cause__ = error
    return failure


def _chain(error: BaseException) -> list[BaseException]:
    """An error with all its causes and contexts."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and not any(one is other for other in found):
            found.append(one)
            waiting += (one.__cause__, one.__context__)
    return found


# The driver takes the code of some errors away and makes a class of it.
CLASSES = {
    "OutOfMemoryError": "OOM",
    "ReadOnlyError": "READONLY",
    "BusyLoadingError": "LOADING",
    "MasterDownError": "MASTERDOWN",
    "ClusterDownError": "CLUSTERDOWN",
    "TryAgainError": "TRYAGAIN",
    "NoPermissionError": "NOPERM",
    "AuthenticationError": "NOAUTH",
    "AuthenticationWrongNumberOfArgsError": "NOAUTH",
}


def _code(error: BaseException, text: str) -> str | None:
    for kind in type(error).__mro__:
        if kind.__name__ in CLASSES:
            return CLASSES[kind.__name__]
    found = CODE.search(text)
    if found:
        return found[1]
    return "NOPERM" if NOT_PERMITTED.search(text) else None
