"""What cannot be generated for the behaviour tests: running several calls at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


async def together(calls: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """Run all calls at the same time; return their results in order."""
    return list(await asyncio.gather(*(call() for call in calls)))
