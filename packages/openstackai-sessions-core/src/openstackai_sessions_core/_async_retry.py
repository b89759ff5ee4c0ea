"""Trying again, for a bounded time, what may be tried again."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from openstackai_sessions_core._async_seam import Cancellation, settle, sleep
from openstackai_sessions_core._errors import (
    BackendError,
    BackendUnavailableError,
    OutcomeUnknownError,
    SessionClosedError,
)
from openstackai_sessions_core._records import Operation, Outcome

__all__ = ["retry_read", "retry_write"]

T = TypeVar("T")

FIRST_DELAY = 0.01
MAX_DELAY = 1.0


class Backoff:
    """Waits that grow from 10 ms to 1 s, with jitter, until the deadline (monotonic)."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._delay = FIRST_DELAY

    def next(self) -> float | None:
        """How long to wait before the next attempt, or None where the time is up."""
        delay = self._delay * random.uniform(0.5, 1.0)
        self._delay = min(self._delay * 2, MAX_DELAY)
        return delay if time.monotonic() + delay < self._deadline else None


async def retry_read(timeout: float, attempt: Callable[[], Awaitable[T]]) -> T:
    """Run a read, again while the engine is unavailable."""
    deadline = time.monotonic() + timeout
    backoff: Backoff | None = None
    while True:
        try:
            return await attempt()
        except BackendUnavailableError:
            backoff = backoff or Backoff(deadline)
            delay = backoff.next()
            if delay is None:
                raise
        await sleep(delay)


async def retry_write(
    op: Operation,
    call: Callable[[Operation], Awaitable[Outcome]],
    timeout: float,
    retry_timeout: float,
    on_unknown: Callable[[str], None],
) -> tuple[Outcome, Cancellation]:
    """Run a write under its operation id, again while its outcome is unknown or the engine unavailable.

    Each attempt is settled, for at most `timeout` seconds once the caller is cancelled; see `settle`.

    Once one attempt's outcome is unknown, a failure to reach the engine is reported as `OutcomeUnknownError`: that
    attempt may have been applied.
    """
    deadline = time.monotonic() + retry_timeout
    backoff: Backoff | None = None
    unknown = False
    while True:
        try:
            return await settle(call(op), timeout)
        except OutcomeUnknownError as error:
            unknown = True
            on_unknown(op.id)
            failure: Exception = error
        except BackendUnavailableError as error:
            failure = error
        except (BackendError, SessionClosedError) as error:
            if unknown:
                raise OutcomeUnknownError(_unknown_text(error, op.id), op_id=op.id) from error
            raise
        backoff = backoff or Backoff(deadline)
        delay = backoff.next()
        if delay is None:
            if unknown:
                cause = failure.__cause__ if isinstance(failure, OutcomeUnknownError) else failure
                raise OutcomeUnknownError(_unknown_text(failure, op.id), op_id=op.id) from cause
            raise failure
        await sleep(delay)


def _unknown_text(failure: Exception, op_id: str) -> str:
    return (
        f"the write may or may not have been applied ({failure}); repeat the call with op_id={op_id!r} to land it once"
    )
