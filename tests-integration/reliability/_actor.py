"""A client of a session that nobody else uses: all that it is told can be predicted, and is compared."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from openstackai_sessions_core import AsyncSession, Session, SessionEvent

__all__ = ["Actor", "Step", "Threaded"]

NOTED = {
    SessionEvent.MESSAGE_ADDED: "added",
    SessionEvent.MESSAGE_REMOVED: "removed",
    SessionEvent.SESSION_CLEARED: "cleared",
    SessionEvent.METADATA_CHANGED: "changed",
    SessionEvent.METADATA_REMOVED: "forgotten",
    SessionEvent.SESSION_IMPORTED: "imported",
    SessionEvent.SESSION_DELETED: "deleted",
}


class Threaded:
    """A synchronous handle whose calls are awaited: each runs in a thread."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.session_id = session.session_id
        self.on = session.on

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._session, name)
        return lambda *arguments, **named: asyncio.to_thread(method, *arguments, **named)


@dataclass
class Step:
    """A call, and what it makes of the session if it is applied."""

    name: str
    call: Callable[[], Awaitable[Any]]
    log: list[str]
    metadata: dict[str, str]
    events: list[str] = field(default_factory=list)
    answer: object = None
    """What the call returns, its messages as their texts."""

    @property
    def writes(self) -> bool:
        return bool(self.events)


class Actor:
    """Makes up steps at random, and knows what the session must hold. Every text begins with the session's id."""

    def __init__(self, session: AsyncSession | Threaded, random: Random) -> None:
        self.session: Any = session
        self.id = session.session_id
        self.log: list[str] = []
        self.metadata: dict[str, str] = {}
        self.events: list[str] = []
        """What the handlers were told since the last look."""
        self._random = random
        self._number = 0
        for event, word in NOTED.items():
            session.on(event, self._noting(word))

    def _noting(self, word: str) -> Callable[..., None]:
        return lambda *told: self.events.append(" ".join([word, *map(_text, told)]))

    def _new(self) -> str:
        self._number += 1
        return f"{self.id} {self._number}"

    def next(self) -> Step:
        """Make up a step."""
        chance = self._random.random()
        if chance < 0.1:
            return self._read()
        if chance < 0.35:
            return self._add(self._new())
        if chance < 0.5:
            return self._add_batch([self._new() for _ in range(self._random.randint(2, 6))])
        if chance < 0.65:
            return self._pop()
        if chance < 0.9:
            return self._write_metadata()
        return self._sweep()

    def take(self, step: Step) -> None:
        """The step was applied."""
        self.log, self.metadata = step.log, step.metadata

    def _read(self) -> Step:
        kind = self._random.randrange(4)
        if kind == 0:
            return Step("count", self.session.count, self.log, self.metadata, answer=len(self.log))
        if kind == 1:
            return Step("metadata", self.session.metadata, self.log, self.metadata, answer=self.metadata)
        limit = self._random.choice((None, 3))
        shown = self.log if limit is None else self.log[-limit:]
        return Step("get_messages", lambda: self.session.get_messages(limit), self.log, self.metadata, answer=shown)

    def _add(self, text: str) -> Step:
        return Step(
            "add_message",
            lambda: self.session.add_message("user", text),
            [*self.log, text],
            self.metadata,
            [f"added {text}"],
            text,
        )

    def _add_batch(self, texts: list[str]) -> Step:
        return Step(
            "add_messages",
            lambda: self.session.add_messages([{"role": "user", "content": text} for text in texts]),
            [*self.log, *texts],
            self.metadata,
            [f"added {text}" for text in texts],
            texts,
        )

    def _pop(self) -> Step:
        newest = self.log[-1] if self.log else None
        events = [] if newest is None else [f"removed {newest}"]
        return Step("pop_message", self.session.pop_message, self.log[:-1], self.metadata, events, newest)

    def _write_metadata(self) -> Step:
        keys = self._random.sample("abcd", 2)
        if self._random.random() < 0.25 and keys[0] in self.metadata:
            rest = {key: value for key, value in self.metadata.items() if key != keys[0]}
            return Step("remove", lambda: self.session.remove(keys[0]), self.log, rest, [f"forgotten {keys[0]}"])
        if self._random.random() < 0.5:
            del keys[1]
        changes = {key: self._new() for key in keys}
        events = [f"changed {key} {value}" for key, value in changes.items()]
        after = {**self.metadata, **changes}
        if len(keys) == 1:
            return Step("set", lambda: self.session.set(*next(iter(changes.items()))), self.log, after, events)
        return Step("update", lambda: self.session.update(changes), self.log, after, events)

    def _sweep(self) -> Step:
        chance = self._random.random()
        if chance < 0.4 and self.log:
            return Step("clear", self.session.clear, [], self.metadata, ["cleared"])
        if chance < 0.6 and self.log:
            return Step("delete", self.session.delete, [], {}, ["deleted"])
        texts = [self._new() for _ in range(self._random.randint(1, 5))]
        metadata = {"a": self._new()}
        time = "2026-01-02T03:04:05.678901Z"
        document = {
            "format": "openstackai-session",
            "version": 1,
            "session_id": "another",
            "created_at": time,
            "messages": [{"id": text, "created_at": time, "data": {"role": "user", "content": text}} for text in texts],
            "metadata": metadata,
        }
        return Step("import_data", lambda: self.session.import_data(document), texts, metadata, ["imported"])

    # -- Comparing --------------------------------------------------------------------------------------------------

    def wrong_answer(self, step: Step, answer: object) -> str | None:
        """What is wrong with what a call returned and the events that it fired; forgets the events."""
        events, self.events = self.events, []
        if plain(answer) != step.answer:
            return f"{step.name} on {self.id!r} returned {plain(answer)!r} in the place of {step.answer!r}"
        if events != step.events:
            return f"{step.name} on {self.id!r} fired {events} in the place of {step.events}"
        return None

    async def holds(self) -> tuple[list[str], dict[str, str]]:
        """What the session holds, as the store tells it."""
        log: Any = plain(await self.session.get_messages())
        metadata: Any = await self.session.metadata()
        return log, metadata


def plain(answer: object) -> object:
    """Messages as their texts."""
    if isinstance(answer, list):
        return [_text(each) for each in answer]
    return _text(answer) if isinstance(answer, dict) and "content" in answer else answer


def _text(told: Any) -> str:
    return str(told["content"]) if isinstance(told, dict) else str(told)
