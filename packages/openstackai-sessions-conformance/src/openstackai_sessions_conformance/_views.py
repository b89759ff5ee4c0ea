"""Plain views of what sessions return, and documents to import."""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from openstackai_sessions_conformance._findings import require
from openstackai_sessions_core import AsyncSession, Message, Session

__all__ = [
    "TIME",
    "contents",
    "document",
    "entry",
    "envelope",
    "envelopes",
    "hostile_documents",
    "require_signatures",
    "whole",
]

TIME = "2026-01-02T03:04:05.000006Z"


def contents(messages: Sequence[Message]) -> list[object]:
    """The messages' contents."""
    return [message.content for message in messages]


def envelope(message: Message | None) -> tuple[str, int, datetime] | None:
    """What a message carries beside its object."""
    return None if message is None else (message.id, message.position, message.created_at)


def envelopes(messages: Sequence[Message]) -> list[object]:
    return [envelope(message) for message in messages]


def whole(messages: Sequence[Message]) -> list[object]:
    """Objects and envelopes."""
    return [(dict(message), envelope(message)) for message in messages]


def document(*messages: object, **changes: object) -> dict[str, Any]:
    """A document of version 1, with some fields changed."""
    return {
        "format": "openstackai-session",
        "version": 1,
        "session_id": "elsewhere",
        "created_at": TIME,
        "messages": list(messages),
        "metadata": {},
        **changes,
    }


def entry(id: str, created_at: str = TIME, **data: object) -> dict[str, object]:
    """A message of a document."""
    return {"id": id, "created_at": created_at, "data": data}


def require_signatures(handle: object) -> None:
    """Require that a handle has every public method of both of core's handles, called in the same way."""
    for kind in (Session, AsyncSession):
        for name, wanted in inspect.getmembers(kind, inspect.isfunction):
            if name.startswith("_"):
                continue
            method = getattr(handle, name, None)
            require(callable(method), f"the handle has the method {name}", f"{type(handle).__name__} has none")
            assert method is not None
            expected = [(p.name, p.kind, p.default) for p in inspect.signature(wanted).parameters.values()][1:]
            seen = [(p.name, p.kind, p.default) for p in inspect.signature(method).parameters.values()]
            require(seen == expected, f"{name}{inspect.signature(wanted)}", f"{name}{inspect.signature(method)}")


def _any(*values: Any) -> tuple[Any, ...]:
    return values


def hostile_documents() -> list[tuple[str, Any, str]]:
    """Faulty documents: what is wrong, the document, and the path that its error must name."""
    good = json.dumps(document(entry("a", n=1)))

    def n(text: str) -> str:
        return good.replace('"n": 1', text)

    head = "$.messages[0].data"
    return [
        *[(f"{value!r} as a document", value, "$") for value in _any(None, 5, [], (), "", b"", "null", "[]", "{", "\x00", '"x"')],
        ("an empty object", "{}", "$.format"),
        ("an empty dict", {}, "$.format"),
        ("a pickle", b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00K\x01.", "$"),
        ("a pickle of text", b"cos\nsystem\n(S'true'\ntR.", "$"),
        ("text that breaks off", good[:-1], "$"),
        ("text after the end", good + "x", "$"),
        ("two documents", good + good, "$"),
        ("NaN", n('"n": NaN'), head + ".n"),
        ("-Infinity", n('"n": -Infinity'), head + ".n"),
        ("a float beyond all", n('"n": 1e999'), head + ".n"),
        ("a key twice in a message", n('"n": 1, "n": 2'), head),
        ("a key twice inside", n('"n": {"x": 1, "x": 1}'), head + ".n"),
        ("a key twice in an entry", good.replace('"id": "a"', '"id": "a", "id": "b"'), "$.messages[0]"),
        ("a key twice at the top", good.replace('"version": 1', '"version": 1, "version": 1'), "$"),
        ("a key twice in metadata", good.replace('"metadata": {}', '"metadata": {"k": 1, "k": 1}'), "$.metadata"),
        ("NaN in metadata", good.replace('"metadata": {}', '"metadata": {"k": NaN}'), "$.metadata.k"),
        ("5,000 brackets", n('"n": ' + "[" * 5000 + "]" * 5000), "$.messages[0]"),
        ("a million brackets", n('"n": ' + "[" * 1_000_000), "$.messages[0]"),
        ("65 levels", n('"n": ' + "[" * 65 + "]" * 65), head),
        ("a number of a million digits", n('"n": ' + "9" * 1_000_000), head + ".n"),
        ("2**63", n('"n": 9223372036854775808'), head + ".n"),
        ("-2**63", n('"n": -9223372036854775808'), head + ".n"),
        ("a broken word", n('"n": tru'), "$.messages[0]"),
        ("ten million items", n('"n": 1') .replace('"messages": [', '"messages": [' + "0," * 10_000_000), "$.messages[0]"),
        ("another format", document(format="other"), "$.format"),
        *[(f"version {value!r}"[:40], document(version=value), "$.version") for value in _any(2, 0, -1, True, 1.0, "1", None, 10**400)],
        ("a field that is unknown", {**document(), "extra": 1}, "extra"),
        *[(f"no {name}", {k: v for k, v in document().items() if k != name}, f"$.{name}") for name in document()],
        ("no session id", document(session_id=None), "$.session_id"),
        ("a bad session id", document(session_id="\n"), "$.session_id"),
        *[(f"created_at {value!r}", document(created_at=value), "$.created_at")
          for value in _any(5, "yesterday", "", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00", "2026-01-01", [], True)],
        *[(f"messages {value!r}", document(messages=value), "$.messages") for value in _any(None, {}, (), "x", 5)],
        *[(f"a message {value!r}", document(entry("z"), value), "$.messages[1]") for value in _any(None, 5, "x", [], {})],
        ("an id twice", document(entry("z"), entry("y"), entry("z")), "$.messages[2].id"),
        ("no data", document({"id": "z", "created_at": TIME}), "$.messages[0].data"),
        ("no id", document({"created_at": TIME, "data": {}}), "$.messages[0].id"),
        ("no time", document({"id": "z", "data": {}}), "$.messages[0].created_at"),
        ("a field too many", document({**entry("z"), "position": 1}), "position"),
        *[(f"the id {value!r}"[:40], document({**entry("z"), "id": value}), "$.messages[0].id")
          for value in _any(5, "", None, "x" * 201, "a\x00", "\ud800", True)],
        *[(f"the data {value!r}", document({**entry("z"), "data": value}), "$.messages[0].data")
          for value in _any([], None, "x", 5, {"x": (1,)}, {1: 2}, {"x": b"y"}, {"x": float("nan")}, {"x": 2**63})],
        *[(f"the time {value!r}", document({**entry("z"), "created_at": value}), "$.messages[0].created_at")
          for value in _any(None, 5, "", "now", "2026-02-30T00:00:00Z", "2026-01-01T00:00:00.0000001Z", TIME + "x")],
        *[(f"metadata {value!r}", document(metadata=value), "$.metadata")
          for value in _any(None, [], "x", 5, {"": 1}, {"a\n": 1}, {1: 1}, {"a": {1}}, {"x" * 513: 1}, {"a": float("inf")})],
        ("a fault after good messages", document(entry("y", n=1), entry("z", n=2), {"id": "x"}), "$.messages[2]"),
    ]  # fmt: skip
