"""How large things may be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

from openstackai_sessions_core._errors import LimitExceededError, ValidationError, brief

__all__ = ["MAX_DEPTH", "Limits", "check_extent", "check_metadata_size", "check_size"]

MIB = 1024 * 1024
MAX_DEPTH = 64


@dataclass(frozen=True)
class Limits:
    """The sizes a store accepts, checked before any I/O; what is larger raises `LimitExceededError`.

    Sizes of messages and metadata are those of their stored form: compact JSON in UTF-8.
    """

    message_bytes: int = 16 * MIB
    batch_messages: int = 10_000
    batch_bytes: int = 64 * MIB
    metadata_value_bytes: int = MIB
    metadata_bytes: int = 16 * MIB
    id_bytes: int = 200
    import_messages: int = 1_000_000

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is not int or value < 1:
                raise ValidationError(f"Limits.{field.name} must be an int of at least 1, not {brief(value)}")


def check_extent(value: object, what: str, limit: int, setting: str) -> None:
    """Raise `LimitExceededError` where a value is over `limit` for certain, before it is encoded.

    Every element takes a byte at least, and every character of a text. What refers to the same list many times is small
    in memory and may be endless in JSON. What is too deep, or no JSON, is left to those who encode.
    """
    left = limit
    # The containers that the walk is in, by identity: one that contains itself is none of our business.
    inside: dict[int, Iterator[object]] = {0: iter((value,))}
    while inside:
        at, items = next(reversed(inside.items()))
        for item in items:
            left -= len(item) if isinstance(item, str) else 1
            if isinstance(item, (dict, list)):
                if id(item) in inside or len(inside) > MAX_DEPTH:
                    return
                left -= len(item) - 1  # commas
                inside[id(item)] = iter(item.values() if isinstance(item, dict) else item)
                break
            if left < 0:
                break
        else:
            del inside[at]
        if left < 0:
            raise LimitExceededError(f"{what} is over the limit of {limit:,} (Limits.{setting})")


def check_size(what: str, size: int, limit: int, setting: str) -> None:
    """Raise `LimitExceededError` where `size` is over `limit`.

    `what` is the thing that is too large, with which the error's text begins; `setting` is the name of the limit among
    the fields of `Limits`. Core has checked all sizes but one before a store is called: that of a session's metadata
    after the write, which is the bytes of its keys in UTF-8 and of its values.
    """
    if size > limit:
        raise LimitExceededError(f"{what} is {size:,}, over the limit of {limit:,} (Limits.{setting})")


def check_metadata_size(metadata: Mapping[str, bytes], limits: Limits) -> None:
    """Raise `LimitExceededError` where a session's metadata, as it would be after a write, is too large."""
    size = sum(len(key.encode()) + len(value) for key, value in metadata.items())
    check_size("the session's metadata", size, limits.metadata_bytes, "metadata_bytes")
