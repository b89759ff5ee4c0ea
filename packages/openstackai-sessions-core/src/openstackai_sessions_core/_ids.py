"""Identifiers: making them, and telling good ones from bad."""

from __future__ import annotations

import os
import random
import time
import unicodedata

from openstackai_sessions_core._errors import LimitExceededError, ValidationError

__all__ = ["check_id", "check_key", "check_session_id", "uuid7"]

MAX_NAME_BYTES = 512

# Seeded by the system, and again in every child of a fork. Asking the system each time takes longer than all the rest.
_random = random.Random()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_random.seed)


def uuid7() -> str:
    """A new UUID version 7 (RFC 9562): milliseconds since the epoch, then 74 random bits."""
    now = time.time_ns() // 1_000_000
    bits = _random.getrandbits
    # Before 12 of the random bits stands the version (7), before the other 62 the variant (binary 10).
    parts = (now >> 16, now & 0xFFFF, 0x7000 | bits(12), 0x8000 | bits(14), bits(48))
    return "%08x-%04x-%04x-%04x-%012x" % parts  # noqa: UP031 - takes two thirds of an f-string's time


def _check_text(what: str, value: object, most: int) -> int:
    """Return the length of a good name in UTF-8 bytes, or of one above `most`, or raise `ValidationError`."""
    if type(value) is not str:
        raise ValidationError(f"{what} must be a str, not {type(value).__name__}")
    if not value:
        raise ValidationError(f"{what} must not be empty")
    if value.isascii() and value.isprintable():
        return len(value)
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise ValidationError(f"{what} {value!r} holds a lone surrogate; use well-formed text") from None
    # Checked before the walk below, so that a huge name costs nothing.
    if size <= most and any(unicodedata.category(character) == "Cc" for character in value):
        raise ValidationError(f"{what} {value!r} holds a control character; remove it")
    return size


def _check_name(what: str, value: object) -> str:
    size = _check_text(what, value, MAX_NAME_BYTES)
    if size > MAX_NAME_BYTES:
        raise ValidationError(f"{what} is {size} bytes long in UTF-8; at most {MAX_NAME_BYTES} are allowed")
    assert type(value) is str
    return value


def check_session_id(value: object) -> str:
    """Return a session id that every backend accepts, or raise `ValidationError`."""
    return _check_name("session_id", value)


def check_key(value: object) -> str:
    """Return a metadata key that every backend accepts, or raise `ValidationError`."""
    return _check_name("metadata key", value)


def check_id(what: str, value: object, limit: int) -> str:
    """Return a caller's message id or op_id, or raise `ValidationError` / `LimitExceededError`."""
    size = _check_text(what, value, limit)
    if size > limit:
        raise LimitExceededError(f"{what} is {size} bytes long in UTF-8, over the limit of {limit} (Limits.id_bytes)")
    assert type(value) is str
    return value
