"""Values that stores like to change, values that are not JSON, and ids that stores like to mix up."""

from __future__ import annotations

import datetime
import decimal
import enum
import pathlib
import random
import unicodedata
import uuid
from typing import Any

__all__ = [
    "BAD_NAMES",
    "CYCLES",
    "EXACT",
    "FLOATS",
    "INTEGERS",
    "LOOKALIKES",
    "NOT_JSON",
    "SURROGATES",
    "TEXTS",
    "alike",
    "hostile_ids",
    "nested",
    "random_json",
]

FLOATS: list[Any] = [
    0.0, -0.0, 1.0, -1.0, 0.1, 1 / 3, -2.5e-10, 1e16, 1e22, 1e300, 5e-324, 2.2250738585072014e-308,
    1.7976931348623157e308, -1.7976931348623157e308, 123456789.0, 9007199254740993.0, 1e-7, 1.5e-5, 100000.0,
]  # fmt: skip
INTEGERS: list[Any] = [
    0, 1, -1, 2**31 - 1, 2**31, -(2**31), 2**32, 2**53 - 1, 2**53, 2**53 + 1, -(2**53) - 1, 10**18, 1234567890123456789,
    2**63 - 1, -(2**63 - 1),
]  # fmt: skip
TEXTS: list[Any] = [
    "", " ", "  two  spaces  ", "\t", "\n", "\r\n", "\r", "a\x00b", "\x00", "\x1f\x7f\x80", "\uffff", "\ufffe",
    "\ufeffbom", "\u2028\u2029", "\u0085", "\u202eRTL\u202c", "שלום", "é", "e\u0301", "\u212b", "Å", "ﬁ", "ı", "ſ",
    "👩‍👩‍👧‍👦", "\U0010ffff", "日本語", "\\", '"', "'", "\\u0000", "\\n", "</script>", "ünïcödé" * 50, "z" * 3000,
]  # fmt: skip
SURROGATES: list[Any] = ["\ud800", "\udfff", "x\udc00y\ud800", "\udcff", "a\ud83d", "\ude00b"]
LOOKALIKES: list[Any] = [
    "null", "true", "1", "1.0", "-0", "NaN", '{"a": 1}', "[1]", '"quoted"', "'; DROP TABLE messages; --", "%s %(x)s {}",
    "{0}", "$1", "$message", "*3\r\n$3\r\nSET\r\n", "+OK\r\n", "gASVBQAAAAAAAABLAS4=", "cos\nsystem\n(S'true'\ntR.",
    "\\x00", "b'bytes'", "2026-01-01T00:00:00Z", "0x10", "1e5", "1_000", "<xml/>", "!!python/object", "__import__('os')",
    "12345678901234567890", "1" * 25, "None", "default",
]  # fmt: skip

EXACT: list[Any] = [
    None, True, False, *INTEGERS, *FLOATS, *TEXTS, *SURROGATES, *LOOKALIKES,
    [], {}, [[]], [{}], {"": ""}, {"a": None}, {"b": 1, "a": 2}, {"z": {"y": {"x": [1, 1.0, True, None]}}},
    [1, 1.0, True, "1"], [0, 0.0, -0.0, False, ""], {"1": 1, "1.0": 1.0, "True": True},
    {"a.b": 1, "$c": 2, "d[0]": 3, "é": 4, "e\u0301": 5, "\ud800": 6, "\x00": 7, " ": 8},
    {"id": 1, "position": 2, "created_at": 3, "role": 4, "content": 5}, {"__class__": "x", "py/object": "y", "$type": "z"},
    {str(number): number for number in range(30, 0, -1)}, "{" * 200, ["[" * 100] * 3, [None] * 50,
]  # fmt: skip
"""One of each kind of value that is JSON and that some store has changed."""


class _Text(str):
    __slots__ = ()


class _Number(int):
    pass


class _Real(float):
    pass


class _Items(list[int]):
    pass


class _Colour(str, enum.Enum):
    RED = "red"


class _Level(enum.IntEnum):
    HIGH = 1


def nested(depth: int) -> Any:
    """A list in a list in a list, `depth` deep."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


_cycle: list[Any] = []
_cycle.append(_cycle)
_loop: dict[str, Any] = {}
_loop["self"] = _loop

CYCLES: list[Any] = [_cycle, _loop, nested(65), nested(5_000), {"a": nested(64)}]
NOT_JSON: list[Any] = [
    (1, 2), (), [(1,)], {1, 2}, frozenset(), b"bytes", b"", bytearray(b"x"), memoryview(b"x"), 1j, decimal.Decimal("1.0"),
    datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc), datetime.date(2026, 1, 1), datetime.timedelta(1),
    uuid.UUID(int=1), pathlib.PurePosixPath("x"), object(), print, int, range(3), iter([]),
    {1: "a"}, {None: 1}, {True: 1}, {1.5: 1}, {(1,): 1}, {b"a": 1}, {_Text("a"): 1}, _Text("a"), _Number(1), _Real(1.0),
    _Items([1]), _Colour.RED, _Level.HIGH, [1, {"a": [{2}]}],
]  # fmt: skip
"""What JSON cannot hold, or what would come back as something else."""

BAD_NAMES: list[Any] = [
    "", None, 5, 5.0, True, b"x", ["x"], ("x",), "a\x00", "\x00", "\n", "a\tb", "\x7f", "\x85", "\x9f", "\ud800", "x\udfff",
    "a" * 513, "é" * 257, "😀" * 129,
]  # fmt: skip
"""What no session id and no metadata key may be."""


def alike(most: int) -> list[str]:
    """Ids of messages or operations that differ, up to so many bytes long, and yet are alike to some engine."""
    ids = [
        "id",
        "ID",
        "Id",
        "id ",
        " id",
        "id  ",
        "é",
        "e\u0301",
        "É",
        "ß",
        "ss",
        "1",
        "01",
        "1.0",
        "id:1",
        "id/1",
        "i%",
        "i_",
        "*",
    ]
    long = "x" * (most - 1)
    return [*ids, long, long + "1", long + "2", "x" * (most // 2), "x" * (most // 2 + 1)]


def hostile_ids() -> list[str]:
    """Over three hundred ids that differ and yet are alike to some engine; in the order of their UTF-8 bytes."""
    ids = {
        "x", "X", "x ", " x", "x  ", "xx", "default", "DEFAULT", "session", "sessions", "messages", "metadata", "meta",
        "0", "00", "1", "1.0", "01", "True", "None", "null", "NULL", "nil", "{}", "{", "}", "[]", "%", "_", "*", "?",
        "**", "%%", "__", ".", "..", "../x", "./x", "/", "//", "\\", "\\\\", "'", "''", '"', "`", "--", ";", "#",
        "' OR 1=1 --", "x'; DROP TABLE sessions; --", 'x" OR ""="', "$1", "$x", ":x", ":1", "?1", "@x", "!x", "~x",
        "á", "a\u0301", "Å", "A\u030a", "\u212b", "ß", "ss", "SS", "ẞ", "ſ", "ı", "i", "I", "İ", "i\u0307", "ﬁ", "fi",
        "Σ", "σ", "ς", "K", "\u212a", "k", "日本語", "日本", "ア", "ｱ", "１", "①", "\u200b", "x\u200b", "x\u200d", "\u2028",
        "x\u00a0", "\u00a0", "\ufeff", "\ufeffx", "\ue000", "\uffff", "\ufffd", "\U00010000", "\U0001f600",
        "\U0010ffff", "😀" * 128, "😀" * 127 + "abcd", "é" * 256, "a" * 512, "a" * 511, "a" * 510, "a" * 256, "a" * 255,
        "a" * 64, "a" * 63, "a" * 511 + "b", "a" * 255 + "b", "a" * 63 + "b", "-", "+", "=", "&", "|", ",", "(", ")", "<", ">",
        "NaN", "inf", "-0", "0x1", "1e3", "undefined", "true", "false", "a", "A", "aB", "Ab", "ab", "AB",
    }  # fmt: skip
    for separator in (":", "::", "/", "|", "-", "_", ".", ",", "#", "@", "~", "%", "*", "?", "+", "=", "&", " ", "\\"):
        for other in ("messages", "x", "1"):
            ids |= {f"x{separator}{other}", f"{separator}x", f"x{separator}"}
    ids |= {f"{{{id}}}" for id in ("x", "x}:y{", "a", "x:y")} | {"{x}:messages", "{x}y", "x{y}", "[x]", "x[0]", "x[1]"}
    ids |= {f"x%{code}" for code in ("20", "2F", "00", "25", "3A", "s", "d", "(x)s")} | {
        "x*y",
        "x?y",
        "x_y",
        "xzy",
        "x%y",
    }
    ids |= {
        unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKC", "NFKD") for text in ("Åﬁé", "가", "ḍ̇", "½")
    }
    ids |= {f"{prefix}{number}" for prefix in ("s", "S", "s-", "s ", "user:") for number in (1, 2, 10, 11, 100)}
    ids |= {f"{word}{tail}" for word in ("op", "ttl", "lock", "seq", "life", "index") for tail in ("", ":x", "s")}
    ids |= {
        f"x:{word}" for word in ("m", "h", "l", "o", "z", "meta", "ops", "log", "ttl", "head", "ids", "data", "lock")
    }
    return sorted(ids, key=str.encode)


def random_json(source: random.Random, depth: int) -> Any:
    """A JSON value of any shape, at most `depth` deep."""
    kind = source.randrange(11 if depth else 8)
    if kind == 0:
        return source.choice([None, True, False])
    if kind == 1:
        return source.choice([source.randint(-9, 9), source.randint(-(2**63) + 1, 2**63 - 1)])
    if kind == 2:
        return source.choice([source.uniform(-10, 10), float(source.randint(-9, 9)), *FLOATS])
    if kind < 8:
        return _random_text(source)
    if kind == 8:
        return [random_json(source, depth - 1) for _ in range(source.randrange(5))]
    return {_random_text(source): random_json(source, depth - 1) for _ in range(source.randrange(5))}


def _random_text(source: random.Random) -> str:
    codes = [
        source.choice([source.randrange(128), source.randrange(0x3000), source.randrange(0x110000)]) for _ in range(8)
    ]
    # A low surrogate after a high one would be joined with it, and is refused.
    return "".join(chr(code) for code in codes[: source.randrange(9)] if not 0xDC00 <= code < 0xE000)
