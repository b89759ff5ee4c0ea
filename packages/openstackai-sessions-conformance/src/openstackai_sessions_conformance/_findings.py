"""How a check says what is wrong: what was expected, what was seen, and what usually causes it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from openstackai_sessions_core import Message

__all__ = ["Finding", "accepts", "brief", "exact", "fail", "note", "refuses", "require", "same"]

MOST = 600


class Finding(AssertionError):
    """A rule that a store breaks."""

    def __init__(self, expected: str, seen: str, cause: str | None = None) -> None:
        super().__init__(f"expected {expected}; saw {seen}")
        self.expected = expected
        self.seen = seen
        self.cause = cause


def fail(expected: str, seen: object, *, cause: str | None = None) -> NoReturn:
    """Report a broken rule; `cause` speaks where it is another than the check's usual one."""
    raise Finding(expected, seen if isinstance(seen, str) else brief(seen), cause)


def require(condition: object, expected: str, seen: object, *, cause: str | None = None) -> None:
    """Report a broken rule unless the condition holds."""
    if not condition:
        fail(expected, seen, cause=cause)


def same(seen: object, expected: object, what: str, *, cause: str | None = None) -> None:
    """Require that two JSON values, or lists of them, are equal with their types, bits and order of keys."""
    if exact(seen) != exact(expected):
        one, other = _shortened(seen, expected)
        fail(f"{what}: {other}", one, cause=cause)


@contextmanager
def refuses(wanted: type[Exception], what: str, *, cause: str | None = None) -> Iterator[None]:
    """Require that what stands in the block raises such an error."""
    try:
        yield
    except wanted:
        return
    except Exception as error:
        raise Finding(f"{what} raises {wanted.__name__}", f"{type(error).__name__}: {error}", cause) from error
    fail(f"{what} raises {wanted.__name__}", "no error", cause=cause)


@contextmanager
def accepts(what: str, *, cause: str | None = None) -> Iterator[None]:
    """Require that what stands in the block raises nothing."""
    try:
        yield
    except Finding:
        raise
    except Exception as error:
        raise Finding(f"{what} is accepted", f"{type(error).__name__}: {error}", cause) from error


def brief(value: object) -> str:
    """A value's text, cut in the middle where it is long."""
    text = f"{type(value).__name__} {value!r}" if isinstance(value, Message) else repr(value)
    return text if len(text) <= MOST else f"{text[: MOST // 2]} ... {text[-MOST // 2 :]}"


def note(error: BaseException, *lines: str) -> None:
    """Add lines to what is shown of an error, on every version of Python."""
    vars(error).setdefault("__notes__", []).extend(lines)


def _shortened(seen: object, expected: object) -> tuple[str, str]:
    """The texts of two values; of long ones, what is around the first difference."""
    one, other = repr(seen), repr(expected)
    differ = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    if max(len(one), len(other)) <= MOST or one == other:
        return brief(seen), brief(expected)
    start = max(0, differ - MOST // 4)
    cut = [f"{'... ' if start else ''}{text[start : start + MOST]}{' ...' if len(text) > start + MOST else ''}"
           for text in (one, other)]  # fmt: skip
    return cut[0], cut[1]


def exact(value: object) -> object:
    """A form of a value in which everything that must come back tells: types, bits, order of keys."""
    if isinstance(value, dict):
        return ("dict", [(exact(key), exact(item)) for key, item in value.items()])
    if type(value) in (list, tuple):
        return ("list" if type(value) is list else "tuple", [exact(item) for item in value])  # type: ignore[attr-defined]
    if type(value) is float:
        return ("float", struct.pack(">d", value))
    return (type(value).__name__, value)
