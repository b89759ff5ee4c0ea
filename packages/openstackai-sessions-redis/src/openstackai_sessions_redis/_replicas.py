"""Waiting until replicas have a write: what is sent right after it, and what the answers say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.exceptions import ResponseError

from openstackai_sessions_core import OutcomeUnknownError
from openstackai_sessions_redis._errors import Failures
from openstackai_sessions_redis._scripts import pack
from openstackai_sessions_redis._settings import Settings

__all__ = ["check_replicas", "waiting_commands"]


def waiting_commands(settings: Settings, key: bytes) -> list[bytes]:
    """What follows a write of this key on its connection.

    WAIT asks for what its own connection wrote. A repeated operation writes nothing, although its first attempt, on
    another connection, may not have arrived; so something is written, which arrives after it.
    """
    stem, brace, _ = key.partition(b"}:")
    marker = pack([b"SET", stem + brace + b"waited", b"", b"PX", b"1000"])
    return [marker, pack([b"WAIT", b"%d" % settings.wait_replicas, b"%d" % round(settings.wait_timeout * 1000)])]


def check_replicas(settings: Settings, failures: Failures, replies: Sequence[Any]) -> list[Any]:
    """The replies but for those to `waiting_commands`; `OutcomeUnknownError` where too few replicas have the write."""
    *answers, marked, reached = replies
    answer = answers[-1]
    if isinstance(answer, ResponseError) or (isinstance(answer, bytes) and answer.startswith(b"!")):
        return answers  # nothing was written
    for error in (marked, reached):
        if isinstance(error, ResponseError):
            raise failures.raised(
                OutcomeUnknownError(f"{settings.place}: replicas cannot be waited for: {failures.scrub(str(error))}"),
                error,
            )
    if reached < settings.wait_replicas:
        raise OutcomeUnknownError(
            f"{settings.place}: the write stands on the primary, and {reached} of {settings.wait_replicas} replicas "
            f"have it after {settings.wait_timeout:g} s (wait_replicas, wait_timeout)"
        )
    return answers
