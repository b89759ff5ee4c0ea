"""A small, pure model of the contract: what sessions hold and what each call returns and tells, without any engine.

Usable alone: `Model` is plain data and arithmetic, its clock is moved by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = ["Conflict", "Held", "Model", "Told"]

OP_ID_TTL = 600.0


class Conflict(Exception):
    """The id of a message or of an operation stands for something else."""


class Held(NamedTuple):
    """One message: the caller's id, or a number where the store makes one."""

    id: str | int
    data: dict[str, Any]


class Told(NamedTuple):
    """What a write returns, and the events it fires."""

    result: Any
    events: list[tuple[Any, ...]]


@dataclass
class _Life:
    messages: list[Held] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    ttl: float | None = None
    deadline: float | None = None


class _Done(NamedTuple):
    at: float
    digest: object
    result: Any


Act = Callable[[_Life], tuple[bool, Any, list[tuple[Any, ...]]]]


class Model:
    """Many sessions, one clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self._lives: dict[str, _Life] = {}
        self._ledger: dict[tuple[str, str], _Done] = {}
        self._made = 0

    # -- Reads ------------------------------------------------------------------------------------------------------

    def messages(self, session: str) -> list[Held]:
        """The log, oldest first."""
        return list(self._life(session).messages)

    def metadata(self, session: str) -> dict[str, Any]:
        """All metadata, sorted by key."""
        return dict(sorted(self._life(session).metadata.items()))

    def sessions(self) -> list[tuple[str, int]]:
        """The ids that exist, in the order of their bytes, with their numbers of messages."""
        alive = [session for session in self._lives if self._alive(session)]
        return [(session, len(self._lives[session].messages)) for session in sorted(alive, key=str.encode)]

    # -- Writes -----------------------------------------------------------------------------------------------------

    def add(
        self, session: str, kind: str, batch: Sequence[dict[str, Any]], ids: Sequence[str | None], op: str | None,
        ttl: float | None,
    ) -> Told:  # fmt: skip
        """`add_message` and `add_messages`, by `kind`."""

        def act(life: _Life) -> tuple[bool, Any, list[tuple[Any, ...]]]:
            known = {held.id: held for held in life.messages}
            for id, data in zip(ids, batch, strict=True):
                if id is not None and id in known and repr(known[id].data) != repr(data):
                    raise Conflict
            result, events = [], []
            for id, data in zip(ids, batch, strict=True):
                if id is not None and id in known:
                    result.append(known[id])
                    continue
                self._made += 1
                held = Held(self._made if id is None else id, data)
                life.messages.append(held)
                result.append(held)
                events.append(("MESSAGE_ADDED", held))
            return bool(events), result, events

        if not batch and op is None:
            return Told([], [])
        return self._write(session, op, (kind, repr(batch), tuple(ids)), ttl, act)

    def pop(self, session: str, op: str | None, ttl: float | None) -> Told:
        """`pop_message`."""

        def act(life: _Life) -> tuple[bool, Any, list[tuple[Any, ...]]]:
            if not life.messages:
                return False, None, []
            held = life.messages.pop()
            return True, held, [("MESSAGE_REMOVED", held)]

        return self._write(session, op, "pop", ttl, act)

    def clear(self, session: str, op: str | None, ttl: float | None) -> Told:
        """`clear`."""

        def act(life: _Life) -> tuple[bool, Any, list[tuple[Any, ...]]]:
            had = bool(life.messages)
            life.messages.clear()
            return had, None, [("SESSION_CLEARED",)] if had else []

        return self._write(session, op, "clear", ttl, act)

    def put(self, session: str, kind: str, values: Mapping[str, Any], op: str | None, ttl: float | None) -> Told:
        """`set` and `update`, by `kind`."""

        def act(life: _Life) -> tuple[bool, Any, list[tuple[Any, ...]]]:
            life.metadata.update(values)
            return bool(values), None, [("METADATA_CHANGED", key, value) for key, value in values.items()]

        if not values and op is None:
            return Told(None, [])
        return self._write(session, op, (kind, repr(values)), ttl, act)

    def remove(self, session: str, key: str, op: str | None, ttl: float | None) -> Told:
        """`remove`."""

        def act(life: _Life) -> tuple[bool, Any, list[tuple[Any, ...]]]:
            had = key in life.metadata
            life.metadata.pop(key, None)
            return had, None, [("METADATA_REMOVED", key)] if had else []

        return self._write(session, op, ("remove", key), ttl, act)

    def load(
        self, session: str, messages: Sequence[tuple[str, dict[str, Any]]], metadata: Mapping[str, Any], mode: str,
        op: str | None, ttl: float | None,
    ) -> Told:  # fmt: skip
        """`import_data`."""

        def act(life: _Life) -> tuple[bool, Any, list[tuple[Any, ...]]]:
            fresh = [Held(id, data) for id, data in messages]
            if mode == "append":
                known = {held.id: held for held in life.messages}
                if any(held.id in known and repr(known[held.id].data) != repr(held.data) for held in fresh):
                    raise Conflict
                fresh = [held for held in fresh if held.id not in known]
                life.messages += fresh
                life.metadata.update(metadata)
                applied = bool(fresh or metadata)
            else:
                applied = bool(messages or metadata) or self._alive(session)
                life.messages[:] = fresh
                life.metadata = dict(metadata)
            return applied, None, [("SESSION_IMPORTED",)] if applied else []

        return self._write(session, op, ("import", mode, repr(messages), repr(metadata)), ttl, act)

    def delete(self, session: str, op: str | None) -> Told:
        """`delete`."""

        def act(_: _Life) -> tuple[bool, Any, list[tuple[Any, ...]]]:
            had = self._alive(session)
            self._lives.pop(session, None)
            return False, None, [("SESSION_DELETED",)] if had else []

        return self._write(session, op, "delete", None, act)

    # -- How every write goes ---------------------------------------------------------------------------------------

    def _write(self, session: str, op: str | None, digest: object, ttl: float | None, act: Act) -> Told:
        done = self._ledger.get((session, op)) if op is not None else None
        if done is not None and done.at >= self.now - OP_ID_TTL:
            if done.digest != digest:
                raise Conflict
            return Told(done.result, [])
        life = self._life(session)
        applied, result, events = act(life)
        if applied:
            self._lives[session] = life
            life.ttl = life.ttl if ttl is None else ttl
            life.deadline = None if life.ttl is None else self.now + life.ttl
        if op is not None:
            self._ledger[session, op] = _Done(self.now, digest, result)
        return Told(result, events)

    def _alive(self, session: str) -> bool:
        life = self._lives.get(session)
        return life is not None and (life.deadline is None or life.deadline > self.now)

    def _life(self, session: str) -> _Life:
        return self._lives[session] if self._alive(session) else _Life()
