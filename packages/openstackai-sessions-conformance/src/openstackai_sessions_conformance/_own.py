"""The check of the synchronous side alone: handlers that would have to be awaited (62). `_async_own.py` is its twin."""

from __future__ import annotations

import functools
from typing import Any

from openstackai_sessions_conformance._findings import refuses, same
from openstackai_sessions_conformance._scene import Scene, check
from openstackai_sessions_core import SessionEvent, ValidationError

__all__ = ["OwnChecks"]


async def _handler(*_: object) -> None:
    """Be awaited by nobody."""


class _Callable:
    async def __call__(self, *_: object) -> None:
        """Be awaited by nobody."""


class OwnChecks:
    """The part of check 62 that is about async handlers."""

    @check(62, cause="the coroutine that an async handler returns is dropped, so that it never runs")
    def test_062_an_async_handler_is_refused(self, scene: Scene) -> None:
        """A sync handle raises `ValidationError` for an async handler, which it could not await."""
        session = scene.session()
        wrong: Any
        for wrong in (_handler, _Callable(), functools.partial(_handler, 1), _Callable().__call__):
            for event in SessionEvent:
                with refuses(ValidationError, f"on({event.name}, an async handler)"):
                    session.on(event, wrong)
                with refuses(ValidationError, f"@on({event.name}) of an async handler"):
                    session.on(event)(wrong)
        same(session.add_message("user", "x"), {"role": "user", "content": "x"}, "a message added afterwards")
