"""Calls on a session that are noted in a history."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from openstackai_sessions_conformance._history import Kind, Recorder, Shown
from openstackai_sessions_conformance._views import document, entry
from openstackai_sessions_core import AsyncSession, Message

__all__ = ["noted", "shown"]


def shown(messages: Iterable[Message]) -> list[Shown]:
    """What messages show of a history: their positions and labels."""
    return [Shown(message.position, str(message.content)) for message in messages]


async def noted(recorder: Recorder, client: str, session: AsyncSession, kind: Kind, labels: Sequence[str] = ()) -> None:
    """Make one call, and note it; the labels are the contents of what an append or an import brings."""
    with recorder.record(client, kind, labels=labels) as note:
        if kind is Kind.APPEND and len(labels) == 1:
            note.positions = [(await session.add_message("user", labels[0])).position]
        elif kind is Kind.APPEND:
            stored = await session.add_messages([{"content": label} for label in labels])
            note.positions = [message.position for message in stored]
        elif kind is Kind.POP:
            message = await session.pop_message()
            note.show(shown([] if message is None else [message]))
        elif kind is Kind.CLEAR:
            await session.clear()
        elif kind is Kind.DELETE:
            await session.delete()
        elif kind is Kind.IMPORT:
            await session.import_data(document(*[entry(label, content=label) for label in labels]))
        elif kind is Kind.COUNT:
            note.count = await session.count()
        else:
            note.show(shown(await session.get_messages()))
