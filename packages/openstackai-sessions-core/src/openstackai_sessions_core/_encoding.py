"""From a caller's arguments to what a store takes: encoded, checked against the limits, with the operation's digest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from itertools import islice
from typing import NamedTuple

from openstackai_sessions_core._codec import encode_object, encode_value
from openstackai_sessions_core._errors import LimitExceededError, ValidationError
from openstackai_sessions_core._ids import check_id, check_key, uuid7
from openstackai_sessions_core._json import JSONObject, JSONValue
from openstackai_sessions_core._limits import Limits, check_extent, check_size
from openstackai_sessions_core._records import NewMessage, SessionImport

__all__ = [
    "EncodedBatch",
    "EncodedMetadata",
    "digest",
    "digest_import",
    "encode_batch",
    "encode_metadata",
    "is_large",
]

LARGE_BATCH = 256
LARGE_TEXT = 256 * 1024
# An item of a list or dict takes about as long as a text of this length.
ITEM = 16


class EncodedBatch(NamedTuple):
    """A batch ready to append, and for each message a fresh copy of it as it will be read back."""

    messages: list[NewMessage]
    copies: list[JSONObject]
    digest: bytes


class EncodedMetadata(NamedTuple):
    """Metadata ready to set, and for each key a fresh copy of its value."""

    values: dict[str, bytes]
    copies: dict[str, JSONValue]
    digest: bytes


def digest(*parts: bytes) -> bytes:
    """16 bytes that tell a write's kind and payload; parts are told apart by their lengths."""
    lengths = ",".join([str(len(part)) for part in parts]).encode()
    return blake2b(b"".join((lengths, b":", *parts)), digest_size=16).digest()


def is_large(messages: Sequence[object]) -> bool:
    """Whether encoding these takes so long that an event loop should not wait for it."""
    if len(messages) > LARGE_BATCH:
        return True
    left = LARGE_TEXT
    waiting: list[object] = list(messages)
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            left -= len(value)
        elif isinstance(value, (dict, list)):
            left -= ITEM * len(value)
            if left > 0:
                waiting += value
                if isinstance(value, dict):
                    waiting += value.values()
        # What contains itself comes to an end here, too.
        if left < 0:
            return True
    return False


def take_batch(messages: object, limits: Limits) -> list[object]:
    """The caller's messages as a list, cut off just over the limit so that an endless iterable ends."""
    if isinstance(messages, (dict, str, bytes)) or not isinstance(messages, Iterable):
        raise ValidationError(f"messages must be a list of dicts, not {type(messages).__name__}")
    return list(islice(messages, limits.batch_messages + 1))


def encode_batch(
    kind: bytes,
    messages: Sequence[object],
    ids: Sequence[str | None] | None,
    limits: Limits,
    *,
    large: bool = True,
) -> EncodedBatch:
    """Encode a batch whole before anything is written; `large` is what `is_large` says of it."""
    if len(messages) > limits.batch_messages:
        raise LimitExceededError(
            f"the batch has over {limits.batch_messages:,} messages, the limit (Limits.batch_messages); split it"
        )
    given = _check_ids(ids, len(messages), limits)
    encoded: list[NewMessage] = []
    copies: list[JSONObject] = []
    parts = [kind]
    total = 0
    for index, message in enumerate(messages):
        if large:
            check_extent(message, f"messages[{index}]", limits.message_bytes, "message_bytes")
        data, copy = encode_object(message, f"messages[{index}]")
        size = len(data)
        check_size(f"messages[{index}]", size, limits.message_bytes, "message_bytes")
        total += size
        id = given[index] if given else None
        encoded.append(NewMessage(uuid7(), data, False) if id is None else NewMessage(id, data, True))
        copies.append(copy)
        parts += (b"" if id is None else id.encode(), data)
    check_size("the batch", total, limits.batch_bytes, "batch_bytes")
    return EncodedBatch(encoded, copies, digest(*parts))


def _check_ids(ids: Sequence[str | None] | None, count: int, limits: Limits) -> list[str | None] | None:
    if ids is None:
        return None
    if isinstance(ids, (str, bytes)) or not isinstance(ids, Sequence):
        raise ValidationError(f"ids must be a list with one id (or None) a message, not {type(ids).__name__}")
    if len(ids) != count:
        raise ValidationError(f"ids has {len(ids)} entries for {count} messages; give one (or None) a message")
    checked = [None if id is None else check_id(f"ids[{index}]", id, limits.id_bytes) for index, id in enumerate(ids)]
    seen: set[str] = set()
    for index, id in enumerate(checked):
        if id is not None and id in seen:
            raise ValidationError(f"ids[{index}]: {id!r} stands twice in the batch")
        if id is not None:
            seen.add(id)
    return checked


def encode_metadata(
    kind: bytes, mapping: Mapping[str, object], limits: Limits, *, large: bool = True
) -> EncodedMetadata:
    """Encode metadata whole before anything is written; `large` is what `is_large` says of it."""
    if not isinstance(mapping, Mapping):
        raise ValidationError(f"metadata must be a dict, not {type(mapping).__name__}")
    values: dict[str, bytes] = {}
    copies: dict[str, JSONValue] = {}
    total = 0
    for key, value in mapping.items():
        check_key(key)
        if large:
            check_extent(value, f"metadata[{key!r}]", limits.metadata_value_bytes, "metadata_value_bytes")
        values[key], copies[key] = encode_value(value, f"metadata[{key!r}]")
        check_size(
            f"metadata[{key!r}]",
            len(values[key]),
            limits.metadata_value_bytes,
            "metadata_value_bytes",
        )
        total += len(key.encode()) + len(values[key])
    check_size("the metadata", total, limits.metadata_bytes, "metadata_bytes")
    parts = [part for key in sorted(values) for part in (key.encode(), values[key])]
    return EncodedMetadata(values, copies, digest(kind, *parts))


def digest_import(content: SessionImport) -> bytes:
    """The digest of an import: its mode and everything the document brings."""
    parts = [b"append" if content.append else b"replace", repr(content.created_at).encode()]
    # By and by, so that a large document is not copied whole.
    parts += [digest(id.encode(), b"%d" % created_at, data) for id, created_at, data in content.messages]
    for key in sorted(content.metadata):
        parts += (key.encode(), content.metadata[key])
    return digest(b"import_data", *parts)
