"""The shapes of what the statements return."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from openstackai_sessions_core import ConflictError
from openstackai_sessions_core.backend import ImportedMessage, NewMessage, Operation, Outcome, Record, check_size

__all__ = ["Reply", "after_prefix", "outcome", "parts"]

MAX_PART_MESSAGES = 5_000
MAX_PART_BYTES = 8 * 1024 * 1024


class Reply(NamedTuple):
    """What a writing function returns; a repetition has the digest of the first time."""

    digest: bytes | None
    applied: bool | None
    at: int
    first_position: int | None
    ids: list[str] | None
    positions: list[int] | None
    times: list[int] | None
    added: list[bool] | None
    payload: bytes | None
    problem: str | None
    size: int | None


def outcome(reply: Reply, op: Operation, messages: Sequence[NewMessage] | None, metadata_bytes: int) -> Outcome:
    """The outcome of a write; the payloads of an append are those of the call, a repetition having the same.

    Raises `ConflictError` and `LimitExceededError` where the function found that the write may not be.
    """
    if reply.digest is not None and bytes(reply.digest) != op.digest:
        raise ConflictError(f"op_id {op.id!r} was used before for another write to this session; use a new one")
    if reply.problem is not None:
        if reply.size is not None:
            check_size("the session's metadata", reply.size, metadata_bytes, "metadata_bytes")
        raise ConflictError(f"a message with the id {reply.problem!r} and another content is in the session")
    ids = reply.ids or []
    first = reply.first_position or 0
    positions = reply.positions or range(first, first + len(ids))
    times = reply.times or [reply.at] * len(ids)
    payloads = [message.data for message in messages] if messages is not None else [reply.payload or b""]
    added = (reply.added or [True] * len(ids)) if messages is not None else []
    return Outcome(
        bool(reply.applied),
        reply.digest is not None,
        [Record(*fields) for fields in zip(positions, ids, times, payloads, strict=False)],
        added,
    )


def parts(messages: Sequence[ImportedMessage]) -> Iterator[Sequence[ImportedMessage]]:
    """Cut an import into parts that a server takes at once; there is always one."""
    start = size = 0
    for index, message in enumerate(messages):
        if index > start and (index - start >= MAX_PART_MESSAGES or size + len(message.data) > MAX_PART_BYTES):
            yield messages[start:index]
            start, size = index, 0
        size += len(message.data)
    yield messages[start:]


def after_prefix(prefix: str) -> str | None:
    """The first text, by UTF-8 bytes, after all that begin with a prefix; None where there is none."""
    for index in range(len(prefix) - 1, -1, -1):
        code = ord(prefix[index]) + 1
        if code == 0xD800:
            code = 0xE000  # over the surrogates, which no text holds
        if code <= 0x10FFFF:
            return prefix[:index] + chr(code)
    return None
