"""Checks of plain arguments, shared by handles and stores."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from openstackai_sessions_core._errors import ValidationError, brief

__all__ = [
    "check_before",
    "check_callable",
    "check_flag",
    "check_limit",
    "check_page_size",
    "check_seconds",
    "check_ttl",
    "refuse_store",
]

SECOND = 1_000_000
MIN_TTL = 0.001
MAX_TTL = 100 * 365.25 * 24 * 3600


def check_limit(value: object) -> int:
    """A count of things wanted: an int of at least 0."""
    if type(value) is not int or value < 0:
        raise ValidationError(f"limit must be an int of at least 0, not {brief(value)}")
    return value


def check_before(value: object) -> int:
    """A position: an int of at least 1."""
    if type(value) is not int or value < 1:
        raise ValidationError(f"before must be a position (an int of at least 1), not {brief(value)}")
    return value


def refuse_store(store: object, handle: str, *, awaited: bool) -> None:
    """Raise `ValidationError` for what is no store of the handle's side; one that inherits nothing may be one."""
    primitives = [getattr(store, name, None) for name in ("append", "read", "head")]
    if isinstance(store, type) or not all(map(callable, primitives)):
        made = "AsyncSQLiteStore" if awaited else "SQLiteStore"
        raise ValidationError(f"{handle} takes a store, such as {made}(...), not {brief(store)}")
    names = {kind.__name__ for kind in type(store).__mro__}
    is_async = "AsyncSessionStore" in names or any(map(inspect.iscoroutinefunction, primitives))
    if (is_async and not awaited) or ("SessionStore" in names and awaited):
        side, other = ("a synchronous", "Session") if awaited else ("an asynchronous", "AsyncSession")
        raise ValidationError(f"{handle} does not take {side} store; use {other}, or a store of its own side")


def check_page_size(value: object) -> int:
    if type(value) is not int or value < 1:
        raise ValidationError(f"page_size must be an int of at least 1, not {brief(value)}")
    return value


def check_ttl(value: object) -> int | None:
    """A time to live in seconds, as microseconds; None stays None."""
    if value is None:
        return None
    if type(value) not in (int, float) or not MIN_TTL <= value <= MAX_TTL:  # type: ignore[operator]
        raise ValidationError(
            f"ttl must be a number of seconds between 0.001 and 100 years, or None, not {brief(value)}"
        )
    assert isinstance(value, (int, float))
    return round(value * SECOND)


def check_seconds(name: str, value: object, *, least: float = 0.0) -> float:
    """A duration in seconds: an int or float of at least `least` and at most 100 years."""
    if type(value) not in (int, float) or not least <= value <= MAX_TTL:  # type: ignore[operator]
        raise ValidationError(f"{name} must be a number of seconds between {least:g} and 100 years, not {brief(value)}")
    assert isinstance(value, (int, float))
    return float(value)


def check_flag(name: str, value: object) -> bool:
    if type(value) is not bool:
        raise ValidationError(f"{name} must be True or False, not {brief(value)}")
    return value


def check_callable(name: str, value: Callable[[], float]) -> Callable[[], float]:
    if not callable(value):
        raise ValidationError(f"{name} must be callable, not {brief(value)}")
    return value
