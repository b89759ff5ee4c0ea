"""Values that stores like to change, and values that are not JSON."""

from __future__ import annotations

import datetime
import decimal
import enum
import math
import struct
from typing import Any

EXACT: list[Any] = [
    None, True, False, 0, 1, -1, 1.0, 0.0, -0.0, 1e16, 1e22, 5e-324, 1.7976931348623157e308, 0.1, 1 / 3, -2.5e-10,
    2**53, 2**53 + 1, 2**63 - 1, -(2**63 - 1), 10**18, 1e300, 123456789.0, "", " ", "\x00", "a\x00b", "\uffff",
    "\ufeffbom", "\r\n", "\u2028\u2029", "é", "e\u0301", "\u202eRTL", "👩‍👩‍👧‍👦", "\U0010ffff", "\ud800", "\udfff",
    "x\udc00y\ud800", "\x1f\x7f\x80", '{"a": 1}', "[1]", "null", "1.0", "'; DROP TABLE messages; --",
    "*3\r\n$3\r\nSET\r\n", "gASVBQAAAAAAAABLAS4=", "\\u0000", "\\", '"', "%s %(x)s {} {0}", "ünïcödé" * 50, "1" * 25,
    [], {}, [[]], [{}], {"": ""}, {"a": None}, {"b": 1, "a": 2}, {"z": {"y": {"x": [1, 1.0, True, None]}}},
    [1, 1.0, True, "1"], {"1": 1, "1.0": 1.0}, {"a.b": 1, "$c": 2, "d[0]": 3, "é": 4, "e\u0301": 5, "\ud800": 6},
    {"id": 1, "position": 2, "created_at": 3}, "{" * 200, ["[" * 100] * 3, 1234567890123456789,
    "12345678901234567890",
]  # fmt: skip


def nested(depth: int) -> object:
    """A list in a list in a list, `depth` deep."""
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Items(list[int]):
    pass


class Colour(str, enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 1


cycle: list[Any] = []
cycle.append(cycle)
loop: dict[str, Any] = {}
loop["self"] = loop

NOT_JSON: list[Any] = [
    math.nan, math.inf, -math.inf, 2**63, -(2**63), 2**64, 10**5000, b"bytes", bytearray(b"x"), memoryview(b"x"),
    (1, 2), (), {1, 2}, frozenset(), 1j, decimal.Decimal("1.0"),
    datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc), datetime.date(2026, 1, 1), object(), print, int,
    {1: "a"}, {None: 1}, {True: 1}, {(1,): 1}, {b"a": 1}, {Text("a"): 1}, Text("a"), Number(1), Items([1]),
    Colour.RED, Level.HIGH, cycle, loop, nested(65), range(3), iter([]), [1, {"a": [{2}]}], "\ud83d\ude00",
    {"\ud83d\ude00": 1},
]  # fmt: skip


def exact(value: object) -> object:
    """A form of a JSON value in which everything that must come back tells: types, bits, order of keys."""
    if isinstance(value, dict):
        return ("dict", [(exact(key), exact(item)) for key, item in value.items()])
    if isinstance(value, list):
        return ("list", [exact(item) for item in value])
    if isinstance(value, float):
        return ("float", struct.pack(">d", value))
    return (type(value).__name__, value)
