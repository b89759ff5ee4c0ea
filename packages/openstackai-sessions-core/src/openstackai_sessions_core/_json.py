"""The types of JSON values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

__all__ = ["JSONInput", "JSONObject", "JSONValue"]

# What is read.
JSONValue: TypeAlias = "bool | int | float | str | list[JSONValue] | dict[str, JSONValue] | None"
JSONObject: TypeAlias = "dict[str, JSONValue]"

# What may be written, wide enough for TypedDicts and for lists of one type; what is not JSON is refused when it comes.
JSONInput: TypeAlias = "bool | int | float | str | Sequence[JSONInput] | Mapping[str, object] | None"
