"""JSON that comes back exactly as it went in.

A compiled library encodes and decodes. What it wrote is decoded at once and compared with the original, type by type
and bit by bit; only where the two differ does the slow walk below find out why: it names the value that is not JSON,
or, where all of it is (lone surrogates), has the standard library write it.
"""

from __future__ import annotations

import json
import marshal
import re
from collections.abc import Iterable, Mapping
from itertools import repeat
from math import isfinite

import msgspec

from openstackai_sessions_core._errors import CorruptDataError, SerializationError, brief
from openstackai_sessions_core._json import JSONObject, JSONValue
from openstackai_sessions_core._limits import MAX_DEPTH
from openstackai_sessions_core._message import Message, fill_message, new_message
from openstackai_sessions_core._records import RecordTuple

__all__ = [
    "check_payload",
    "decode_messages",
    "decode_metadata",
    "decode_value",
    "encode_object",
    "encode_value",
    "flat_value",
]

MAX_INT = 2**63 - 1
NOTHING_KNOWN = repeat(None)
CONTAINERS = frozenset((dict, list))
MOST_FIELDS = 16

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_surrogate_pair = re.compile("[\ud800-\udbff][\udc00-\udfff]").search
# The compiled library takes integers up to 2**64 - 1; whatever may be beyond 2**63 - 1 has 19 digits or more. Every
# digit becomes a 0, as a regular expression would take many times longer, during which no other thread runs.
_zeros = bytes.maketrans(b"123456789", b"000000000")
LONG_NUMBER = b"0" * 19


def encode_object(value: object, path: str) -> tuple[bytes, JSONObject]:
    """Encode a JSON object; return its stored form and a copy decoded from that.

    Raises `SerializationError`, naming the place under `path`, for what is not a dict or would not come back exactly.
    """
    if not isinstance(value, dict):
        hint = "; pass a list of messages" if isinstance(value, (list, tuple)) else ""
        raise SerializationError(f"{path} must be a dict (a JSON object), not {type(value).__name__}{hint}")
    data, copy = encode_value(value, path)
    assert isinstance(copy, dict)
    return data, copy


def encode_value(value: object, path: str) -> tuple[bytes, JSONValue]:
    """Encode any JSON value; return its stored form and a copy decoded from that."""
    data = b""
    copy: JSONValue = None
    try:
        data = _encode(value)
        copy = _decode(data)
        # Version 0 of marshal writes types, signs of zero and key order apart, and refuses subclasses.
        same = marshal.dumps(value, 0) == marshal.dumps(copy, 0)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError):
        same = False
    if not same or LONG_NUMBER in data.translate(_zeros) or data.count(b"[") + data.count(b"{") > MAX_DEPTH:
        plain = _checked(value, path, 0)
        data = _dump(plain)
        copy = _decode_any(data)
    return data, copy


def _dump(plain: JSONValue) -> bytes:
    text = json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:  # lone surrogates have a form in JSON, though not in UTF-8
        return json.dumps(plain, allow_nan=False, separators=(",", ":")).encode()


def _checked(value: object, path: str, depth: int) -> JSONValue:
    """Copy a value whose every part is JSON by exact type (dict subclasses become dict), or say which part is not."""
    kind = type(value)
    if kind is str:
        assert isinstance(value, str)
        return _checked_text(value, path)
    if value is None or kind is bool:
        return value  # type: ignore[return-value]
    if kind is int:
        assert isinstance(value, int)
        if not -MAX_INT <= value <= MAX_INT:
            raise SerializationError(f"{path}: an int beyond ±(2**63 - 1) cannot be stored; store it as a str")
        return value
    if kind is float:
        assert isinstance(value, float)
        if not isfinite(value):
            raise SerializationError(f"{path}: {value} is not JSON; store None or a str")
        return value
    if kind is list or isinstance(value, dict):
        if depth >= MAX_DEPTH:
            raise SerializationError(f"{path[:200]}…: nested more than {MAX_DEPTH} deep, or containing itself")
        if isinstance(value, dict):
            return {_key(key, path): _checked(item, f"{path}.{key}", depth + 1) for key, item in value.items()}
        assert isinstance(value, list)
        return [_checked(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
    raise SerializationError(
        f"{path}: {_describe(kind)} is not JSON and would not come back as it went in{_hint(kind)}"
    )


def _key(key: object, path: str) -> str:
    if type(key) is not str:
        raise SerializationError(f"{path}: the key {brief(key)} is a {type(key).__name__}; keys must be str")
    return _checked_text(key, path)


def _checked_text(text: str, path: str) -> str:
    if _surrogate_pair(text):
        raise SerializationError(f"{path}: a surrogate pair kept as two characters cannot be told from one in JSON")
    return text


def _describe(kind: type) -> str:
    base = next((base for base in (str, int, float, list) if issubclass(kind, base)), None)
    return f"{kind.__name__} (a subclass of {base.__name__})" if base else kind.__name__


def _hint(kind: type) -> str:
    if hasattr(kind, "model_dump"):
        return "; use .model_dump(mode='json')"
    if issubclass(kind, (tuple, set, frozenset)):
        return "; use a list"
    if issubclass(kind, (bytes, bytearray)):
        return "; use base64 text"
    return "; convert it first"


def _decode_any(data: bytes) -> JSONValue:
    try:
        value: JSONValue = _decode(data)
    except (ValueError, msgspec.DecodeError):
        # The compiled library refuses escaped lone surrogates, which the standard one reads.
        value = json.loads(data.decode(), parse_constant=_refuse_constant)
    return value


def _refuse_constant(text: str) -> JSONValue:
    raise ValueError(f"{text} is not JSON")


def decode_value(data: bytes, what: str, position: int | None = None) -> JSONValue:
    """Decode a stored value; `what` names it in a `CorruptDataError`."""
    try:
        return _decode_any(data)
    except (ValueError, RecursionError) as error:
        # The cause would quote the content.
        raise CorruptDataError(f"{what} cannot be read ({type(error).__name__})", position=position) from None


def decode_messages(
    records: Iterable[RecordTuple], values: Iterable[JSONObject | None] = NOTHING_KNOWN
) -> list[Message]:
    """Decode stored messages; one that is not a JSON object raises `CorruptDataError` naming its position.

    `values`: what `flat_value` made of each payload, where that is known.
    """
    messages: list[Message] = []
    add, decode, new, fill = messages.append, _decode, new_message, fill_message
    for record, known in zip(records, values, strict=False):
        value: JSONValue = known
        if value is None:
            try:
                value = decode(record[3])
            except Exception:  # noqa: BLE001 - whatever went wrong: the careful path reads it, or names its position
                value = decode_value(record[3], f"the message at position {record[0]}", record[0])
        if type(value) is not dict:
            text = f"the message at position {record[0]} is not a JSON object"
            raise CorruptDataError(text, position=record[0])
        # As `restore_message`, without a call for each message: reading a thousand is mostly this loop.
        message = new(Message)
        fill(message, value)
        # Where the value is kept, so is the record; elsewhere the payload goes.
        message._envelope = record[:3] if known is None else record  # noqa: SLF001 - this is its constructor
        add(message)
    return messages


def flat_value(data: bytes) -> JSONObject | None:
    """What a payload decodes to where a shallow copy is a copy of all of it; None where it is anything else.

    Objects of more than a few fields are not worth keeping, and None too.
    """
    try:
        value = _decode(data)
    except Exception:  # noqa: BLE001 - decoding it as a message says what is wrong
        return None
    if type(value) is not dict or len(value) > MOST_FIELDS or not CONTAINERS.isdisjoint(map(type, value.values())):
        return None
    return value


def check_payload(record: RecordTuple) -> None:
    """Raise `CorruptDataError` with the position of a message that could not be read; stores call it before a pop."""
    decode_messages((record,))


def decode_metadata(values: Mapping[str, bytes]) -> dict[str, JSONValue]:
    """Decode stored metadata, sorted by key."""
    return {key: decode_value(values[key], f"the metadata value {key!r}") for key in sorted(values)}
