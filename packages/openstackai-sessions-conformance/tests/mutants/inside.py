"""What faults of handles do to a store in memory behind its back, the same on both sides."""

from __future__ import annotations

from collections.abc import Sequence

from openstackai_sessions_core import InMemoryStore
from openstackai_sessions_core.backend import NewMessage, Operation, Record

__all__ = ["begin", "foreseen"]


def _memory(store: object) -> InMemoryStore:
    """The store that holds the sessions: it stands behind an asynchronous one."""
    found = getattr(store, "_store", store)
    assert isinstance(found, InMemoryStore)
    return found


def begin(store: object, session_id: str) -> None:
    """Write nothing to a session: it exists from then on, and its deadline moves."""
    memory = _memory(store)
    with memory._lock:
        now = memory._now()
        memory._touch(session_id, memory._find(session_id, now), now, None)


def foreseen(store: object, session_id: str, op: Operation, messages: Sequence[NewMessage]) -> list[Record]:
    """What an append will add, if nothing comes between."""
    memory = _memory(store)
    with memory._lock:
        now = memory._now()
        if (session_id, op.id) in memory._operations:
            return []
        entry = memory._find(session_id, now)
        known = entry.by_id if entry is not None else {}
        first = entry.next_position if entry is not None else 1
        fresh = [message for message in messages if message.id not in known]
        return [Record(first + place, id, now, data) for place, (id, data, _) in enumerate(fresh)]
