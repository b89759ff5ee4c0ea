"""The document of export and import: format "openstackai-session", version 1.

A document may come from anywhere, so it is read with suspicion: a text is taken apart one message at a time, so that
memory stays in proportion to what will be stored, and every fault is named by its path (`$.messages[3].data.x`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from importlib.resources import files
from typing import NoReturn, TypeVar

from openstackai_sessions_core._codec import (
    decode_messages,
    decode_metadata,
    encode_object,
    encode_value,
)
from openstackai_sessions_core._errors import (
    ImportFormatError,
    ImportTooLargeError,
    LimitExceededError,
    ValidationError,
    brief,
)
from openstackai_sessions_core._ids import check_id, check_key, check_session_id
from openstackai_sessions_core._json import JSONObject
from openstackai_sessions_core._limits import Limits, check_extent, check_size
from openstackai_sessions_core._message import from_microseconds, to_microseconds
from openstackai_sessions_core._records import ImportedMessage, SessionImport, Snapshot

__all__ = ["FORMAT", "VERSION", "document_schema", "parse_document", "write_document"]

FORMAT = "openstackai-session"
VERSION = 1
FIELDS = ("format", "version", "session_id", "created_at", "messages", "metadata")
MESSAGE_FIELDS = ("id", "created_at", "data")


def document_schema() -> JSONObject:
    """The JSON Schema (draft 2020-12) of the documents that `export()` writes and `import_data()` reads."""
    text = files("openstackai_sessions_core").joinpath("session-document-v1.schema.json").read_text("utf-8")
    schema: JSONObject = json.loads(text)
    return schema


def write_document(session_id: str, snapshot: Snapshot | None) -> JSONObject:
    """The document of a snapshot; one of nothing (no message, no metadata) has no `created_at`."""
    held = snapshot if snapshot is not None and (snapshot.messages or snapshot.metadata) else None
    records = held.messages if held else ()
    return {
        "format": FORMAT,
        "version": VERSION,
        "session_id": session_id,
        "created_at": _format_time(held.created_at) if held else None,
        "messages": [
            {
                "id": id,
                "created_at": _format_time(created_at),
                "data": dict(message),
            }
            for (_, id, created_at, _), message in zip(records, decode_messages(records), strict=True)
        ],
        "metadata": decode_metadata(held.metadata) if held else {},
    }


def parse_document(document: object, limits: Limits, *, append: bool) -> SessionImport:
    """Check and encode a whole document (a dict, or JSON text as str or bytes).

    Raises `ImportFormatError` with the path of the first fault; over a limit, the subclass that is also a
    `LimitExceededError`.
    """
    try:
        if isinstance(document, (str, bytes, bytearray)):
            fields = _Reader(document).document(limits)
        elif isinstance(document, Mapping):
            fields = dict(document)
            _check_version(fields)
            if "messages" in fields:
                fields["messages"] = _encode_messages(_elements(fields["messages"]), limits)
        else:
            raise ImportFormatError(f"$: a document is a dict, str or bytes, not {type(document).__name__}")
        return _check_fields(fields, limits, append=append)
    except ImportFormatError:
        raise
    except LimitExceededError as error:
        raise ImportTooLargeError(str(error)) from None
    except ValidationError as error:
        raise ImportFormatError(str(error)) from None


def _check_fields(fields: dict[str, object], limits: Limits, *, append: bool) -> SessionImport:
    _check_version(fields)
    _check_names(fields, FIELDS, "$")
    _at("$.session_id", check_session_id, fields["session_id"])
    created = fields["created_at"]
    messages = fields["messages"]
    assert isinstance(messages, list)
    return SessionImport(
        None if created is None else _parse_time(created, "$.created_at"),
        messages,
        _encode_metadata(fields["metadata"], limits),
        append,
    )


def _check_version(fields: dict[str, object]) -> None:
    if fields.get("format") != FORMAT:
        raise ImportFormatError(f"$.format: must be {FORMAT!r}; this is not a session export")
    version = fields.get("version")
    if type(version) is not int or version < 1:
        raise ImportFormatError(f"$.version: must be {VERSION}, not {brief(version)}")
    if version > VERSION:
        raise ImportFormatError(
            f"$.version: {brief(version)} is newer than {VERSION}, which this library reads; upgrade"
        )


def _check_names(fields: dict[str, object], wanted: tuple[str, ...], path: str) -> None:
    for name in wanted:
        if name not in fields:
            raise ImportFormatError(f"{path}.{name}: is missing")
    for name in fields:
        if name not in wanted:
            raise ImportFormatError(f"{path}: {brief(name)} is not a field of version {VERSION}")


def _elements(messages: object) -> Iterable[object]:
    if type(messages) is not list:
        raise ImportFormatError(f"$.messages: must be a list, not {type(messages).__name__}")
    return messages


def _encode_messages(elements: Iterable[object], limits: Limits) -> list[ImportedMessage]:
    messages: list[ImportedMessage] = []
    seen: set[str] = set()
    for index, element in enumerate(elements):
        path = f"$.messages[{index}]"
        if index >= limits.import_messages:
            raise ImportTooLargeError(
                f"{path}: over the limit of {limits.import_messages:,} messages (Limits.import_messages)"
            )
        if not isinstance(element, dict):
            raise ImportFormatError(f"{path}: must be an object, not {type(element).__name__}")
        _check_names(element, MESSAGE_FIELDS, path)
        id = _at(
            f"{path}.id",
            lambda value: check_id("id", value, limits.id_bytes),
            element["id"],
        )
        if id in seen:
            raise ImportFormatError(f"{path}.id: {brief(id)} stands twice in the document")
        seen.add(id)
        created_at = _parse_time(element["created_at"], f"{path}.created_at")
        check_extent(element["data"], f"{path}.data", limits.message_bytes, "message_bytes")
        data, _ = encode_object(element["data"], f"{path}.data")
        check_size(f"{path}.data", len(data), limits.message_bytes, "message_bytes")
        messages.append(ImportedMessage(id, created_at, data))
    return messages


def _encode_metadata(metadata: object, limits: Limits) -> dict[str, bytes]:
    if not isinstance(metadata, dict):
        raise ImportFormatError(f"$.metadata: must be an object, not {type(metadata).__name__}")
    encoded: dict[str, bytes] = {}
    total = 0
    for key, value in metadata.items():
        _at("$.metadata", check_key, key)
        check_extent(value, f"$.metadata.{key}", limits.metadata_value_bytes, "metadata_value_bytes")
        data, _ = encode_value(value, f"$.metadata.{key}")
        check_size(
            f"$.metadata.{key}",
            len(data),
            limits.metadata_value_bytes,
            "metadata_value_bytes",
        )
        total += len(key.encode()) + len(data)
        encoded[key] = data
    check_size("$.metadata", total, limits.metadata_bytes, "metadata_bytes")
    return encoded


T = TypeVar("T")


def _at(path: str, check: Callable[[object], T], value: object) -> T:
    try:
        return check(value)
    except LimitExceededError as error:
        raise ImportTooLargeError(f"{path}: {error}") from None
    except ValidationError as error:
        raise ImportFormatError(f"{path}: {error}") from None


_time = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?(?:[Zz]|([+-])(\d\d):(\d\d))",
    re.ASCII,
).fullmatch


def _format_time(number: int) -> str:
    return from_microseconds(number).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def _parse_time(value: object, path: str) -> int:
    found = _time(value) if type(value) is str else None
    try:
        if found is None:
            raise ValueError
        year, month, day, hour, minute, second = map(int, found.groups()[:6])
        fraction, sign, hours, minutes = found.groups()[6:]
        offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
        micros = int((fraction or "0").ljust(6, "0"))
        time = datetime(year, month, day, hour, minute, second, micros, timezone(offset))
        # In UTC it must still be a time: the offset may lead out of the years from 1 to 9999.
        return to_microseconds(time.astimezone(timezone.utc))
    except (ValueError, OverflowError):
        raise ImportFormatError(
            f"{path}: must be a time such as '2026-01-31T12:00:00.000000Z', not {brief(value)}"
        ) from None


class _Fault:
    """Stands in a decoded value where the text had something that JSON objects must not have."""

    def __init__(self, text: str) -> None:
        self.text = text


_space = re.compile(r"[ \t\n\r]*").match


class _Reader:
    """Takes the text of a document apart, the messages one at a time."""

    def __init__(self, text: str | bytes | bytearray) -> None:
        if not isinstance(text, str):
            try:
                text = bytes(text).decode("utf-8-sig")
            except UnicodeDecodeError as error:
                raise ImportFormatError(f"$: not UTF-8 text (byte {error.start}); not a session export") from None
        self._text = text
        self._at = 0
        self._faulty = False
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_int=self._int,
            parse_constant=self._constant,
        )

    def _object(self, pairs: list[tuple[str, object]]) -> object:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys: set[str] = set()
            twice = next(key for key, _ in pairs if key in keys or keys.add(key))  # type: ignore[func-returns-value]
            return self._fault(f"the key {brief(twice)} stands twice")
        return found

    def _int(self, digits: str) -> object:
        return int(digits) if len(digits) <= 20 else self._fault("an int beyond ±(2**63 - 1)")

    def _constant(self, name: str) -> object:
        return self._fault(f"{name} is not JSON")

    def _fault(self, text: str) -> _Fault:
        self._faulty = True
        return _Fault(text)

    def document(self, limits: Limits) -> dict[str, object]:
        """The document's fields, `messages` encoded already."""
        fields: dict[str, object] = {}
        if self._peek() != "{":
            self._fail("$", "not a JSON object; not a session export")
        for _ in self._items("$", "}"):
            key = self._key()
            if key in fields:
                raise ImportFormatError(f"$: the key {brief(key)} stands twice")
            if key not in FIELDS:  # at once: what it holds may be anything
                if "format" in fields and "version" in fields:
                    _check_version(fields)
                raise ImportFormatError(
                    f"$: {brief(key)} is not a field of version {VERSION}, which this library reads"
                )
            path = f"$.{key}"
            if key == "messages" and self._peek() == "[":
                if (
                    "format" in fields and "version" in fields
                ):  # before its messages, which may have another shape, are found faulty
                    _check_version(fields)
                fields[key] = _encode_messages(self._messages(), limits)
            else:
                value = self._value(path)
                fields[key] = _elements(value) if key == "messages" else value
        if self._peek():
            self._fail("$", "text after the end of the document")
        return fields

    def _key(self) -> str:
        if self._peek() != '"':
            self._fail("$", "expected a key")
        key = str(self._value("$"))
        if self._peek() != ":":
            self._fail("$", "expected ':'")
        self._at += 1
        return key

    def _messages(self) -> Iterator[object]:
        for index in self._items("$.messages", "]"):
            yield self._value(f"$.messages[{index}]")

    def _items(self, path: str, close: str) -> Iterator[int]:
        """Step over an opening bracket, then over what separates items, up to the closing one."""
        self._at += 1
        index = 0
        while self._peek() != close or index:
            yield index
            index += 1
            follows = self._peek()
            self._at += 1
            if follows == close:
                return
            if follows != ",":
                self._fail(path, f"expected ',' or '{close}' after item {index - 1}")
        self._at += 1

    def _peek(self) -> str:
        found = _space(self._text, self._at)
        assert found is not None
        self._at = found.end()
        return self._text[self._at : self._at + 1]

    def _value(self, path: str) -> object:
        self._peek()
        try:
            value, self._at = self._decoder.raw_decode(self._text, self._at)
            if self._faulty:
                _find_fault(value, path)
        except ImportFormatError:
            raise
        except RecursionError:
            raise ImportFormatError(f"{path}: nested too deep") from None
        except ValueError as error:
            raise ImportFormatError(f"{path}: not JSON ({error})") from None
        return value

    def _fail(self, path: str, text: str) -> NoReturn:
        raise ImportFormatError(f"{path}: {text} (at character {self._at})")


def _find_fault(value: object, path: str) -> None:
    if isinstance(value, _Fault):
        raise ImportFormatError(f"{path}: {value.text}")
    if isinstance(value, dict):
        for key, item in value.items():
            _find_fault(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _find_fault(item, f"{path}[{index}]")
