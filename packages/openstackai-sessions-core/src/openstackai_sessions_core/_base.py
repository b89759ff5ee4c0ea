# Written by tools/twins.py from _async_base.py: edit that file, then run `make twins`.
"""The half of a store that is the same on every backend: what users call on it."""

from __future__ import annotations

from types import TracebackType
from typing import NoReturn, TypeVar

from openstackai_sessions_core._arguments import check_limit
from openstackai_sessions_core._errors import ValidationError
from openstackai_sessions_core._ids import check_session_id
from openstackai_sessions_core._limits import Limits
from openstackai_sessions_core._message import SessionInfo
from openstackai_sessions_core._options import StoreOptions
from openstackai_sessions_core._retry import retry_read
from openstackai_sessions_core._session import Session
from openstackai_sessions_core._store import SessionStore

__all__ = ["BaseStore"]

Self = TypeVar("Self", bound="BaseStore")


class BaseStore(SessionStore):
    """Inherit from this and write the primitives of `SessionStore`; the rest of a store is here.

    `options` are the settings that your own `__init__` was given, as a `StoreOptions`; None stands for the defaults.
    """

    def __init__(self, options: StoreOptions | None = None) -> None:
        self._options = StoreOptions() if options is None else options

    @property
    def options(self) -> StoreOptions:
        """The settings of this store."""
        return self._options

    @property
    def limits(self) -> Limits:
        """The sizes this store accepts."""
        return self._options.limits

    @property
    def retry_timeout(self) -> float:
        """For how many seconds a handle retries what failed but may be tried again; 0: not at all."""
        return self._options.retry_timeout

    @property
    def timeout(self) -> float:
        """How many seconds one operation may take."""
        return self._options.timeout

    def session(self, session_id: str, *, ttl: float | None = None) -> Session:
        """A handle on one session of this store; opens nothing."""
        return Session(self, session_id, ttl=ttl)

    def list_sessions(self, prefix: str = "", *, after: str | None = None, limit: int = 100) -> list[SessionInfo]:
        """The first `limit` sessions in the order of the UTF-8 bytes of their ids.

        `prefix` is literal. For the next page pass the last id seen as `after`; it is exclusive and need not exist.
        """
        check_limit(limit)
        if prefix != "":
            _check_text("prefix", prefix)
        if after is not None:
            _check_text("after", after)
        return list(
            retry_read(
                self.retry_timeout,
                lambda: self.list_page(prefix, after=after, limit=limit),
            )
        )

    def delete_session(self, session_id: str, *, op_id: str | None = None) -> None:
        """Remove a session, metadata and all; nothing happens where it does not exist."""
        self.session(session_id).delete(op_id=op_id)

    def purge_expired(self) -> int:
        """Remove from storage what has expired; return how many sessions that was."""
        return retry_read(self.retry_timeout, self.purge)

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} cannot be pickled: open the store where it is needed")

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _check_text(name: str, value: object) -> None:
    try:
        check_session_id(value)
    except ValidationError as error:
        raise ValidationError(str(error).replace("session_id", name, 1)) from None
