"""What takes several steps, written once for both faces of a store.

A plan is a generator: it yields a step, and is sent the step's result (or thrown its error). Who drives it decides
how a step is waited for.
"""

from __future__ import annotations

import enum
from collections.abc import Generator
from contextlib import suppress
from functools import partial
from typing import NamedTuple, TypeAlias, TypeVar, cast

from openstackai_sessions_core import BackendError, SessionInfo
from openstackai_sessions_core.backend import Operation, Outcome, RecordTuple, SessionImport
from openstackai_sessions_sqlite import _operations as operations
from openstackai_sessions_sqlite._engine import Run
from openstackai_sessions_sqlite._operations import Settings

__all__ = ["LARGE_IMPORT", "LARGE_READ", "How", "Plan", "Step", "import_in_steps", "list_sessions", "purge", "read_all"]

T = TypeVar("T")

# Reads of more messages go aside, where nobody waits for them; imports of more are staged.
LARGE_READ = 1_000
LARGE_IMPORT = 10_000


class How(enum.Enum):
    """Where a step runs: in a transaction that writes, as a short read, or as a read aside."""

    WRITE = "write"
    READ = "read"
    ASIDE = "aside"


class Step(NamedTuple):
    """One step of a plan."""

    how: How
    run: Run[object]


Plan: TypeAlias = Generator[Step, object, T]


def read_all(settings: Settings, session_id: str, limit: int | None, before: int | None) -> Plan[list[RecordTuple]]:
    """Read a window that may be large: most are not, which one short read finds out."""
    window = partial(operations.read, settings, session_id, limit, before)
    records = yield Step(How.READ, partial(window, LARGE_READ))
    if records is None:
        records = yield Step(How.ASIDE, partial(window, None))
    return cast(list[RecordTuple], records)


def import_in_steps(
    settings: Settings, session_id: str, op: Operation, content: SessionImport, ttl: int | None
) -> Plan[Outcome]:
    """Replace a session by a large document: laid down in steps between which others write, then swapped in at once."""
    staged: tuple[int, int] | None = None
    try:
        for start in range(0, len(content.messages), operations.STAGE):
            part = content.messages[start : start + operations.STAGE]
            done = yield Step(How.WRITE, partial(operations.stage, settings, session_id, op, staged, part))
            if isinstance(done, Outcome):
                return done
            staged = cast(tuple[int, int], done)
        assert staged is not None
        outcome = yield Step(How.WRITE, partial(operations.publish, settings, session_id, op, staged, content, ttl))
    except Exception:
        if staged is not None:
            with suppress(BackendError):  # then it is cleared away in an hour
                yield Step(How.WRITE, partial(operations.abandon, staged[0]))
        raise
    return cast(Outcome, outcome)


def purge(settings: Settings) -> Plan[int]:
    """Remove everything that is over, in bounded steps; return how many sessions had expired."""
    total = yield from _purge_sessions(settings)
    reached: operations.Key | None = operations.START
    while reached is not None:
        step = Step(How.WRITE, partial(operations.forget_some, settings, reached))
        reached = cast("operations.Key | None", (yield step))
    return total


def _purge_sessions(settings: Settings) -> Plan[int]:
    total = 0
    more = True
    while more:
        ended, more = cast(tuple[int, bool], (yield Step(How.WRITE, partial(operations.purge_some, settings))))
        total += ended
    return total


def list_sessions(settings: Settings, prefix: str, after: str | None, limit: int) -> Plan[list[SessionInfo]]:
    """Clear away what is over, where that is possible, and read one page."""
    if (yield Step(How.READ, partial(operations.is_anything_over, settings))):
        with suppress(BackendError):  # a read-only file, say: what has expired is not listed anyway
            yield from _purge_sessions(settings)
    how = How.READ if limit <= LARGE_READ else How.ASIDE
    return cast(list[SessionInfo], (yield Step(how, partial(operations.list_page, settings, prefix, after, limit))))
