# Written by tools/twins.py from _async_dispatch.py: edit that file, then run `make twins`.
"""Calling handlers: in order, in the writer's thread, never one event inside another."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from copy import deepcopy

from openstackai_sessions_core._events import Firing, log_failure
from openstackai_sessions_core._seam import (
    call_handler,
    end_dispatch,
    running_dispatch,
    start_dispatch,
)

__all__ = ["fire"]


def fire(firings: Iterable[Firing]) -> None:
    """Call the handlers of each event in turn.

    Inside a handler the events only join the queue of the dispatch that is running: its outermost write delivers them
    before it returns. A cancellation (or Ctrl-C) that strikes a handler is raised after the rest has been delivered,
    so that no event of a write that succeeded is lost.
    """
    running = running_dispatch()
    if running is not None:
        running.extend(firings)
        return
    queue: deque[Firing] = deque(firings)
    struck: BaseException | None = None
    start_dispatch(queue)
    try:
        while queue:
            firing = queue.popleft()
            subscriptions = firing.subscriptions.of(firing.event)
            for left, subscription in enumerate(subscriptions, 1 - len(subscriptions)):
                if not subscription.active:
                    continue
                # Each handler has a copy of its own; the last takes what there is.
                arguments = deepcopy(firing.arguments) if left else firing.arguments
                try:
                    call_handler(subscription.handler, arguments)
                except Exception as error:  # noqa: BLE001 - whatever a handler raises is logged
                    log_failure(firing, subscription.handler, error)
                except BaseException as error:  # noqa: BLE001 - raised below
                    struck = struck or error
    finally:
        end_dispatch()
    if struck is not None:
        raise struck
