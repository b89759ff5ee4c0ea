"""The same trace of calls on several stores, side by side. Usable alone, with any number of stores."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from openstackai_sessions_conformance._findings import brief, exact, fail
from openstackai_sessions_conformance._values import EXACT, NOT_JSON, hostile_ids
from openstackai_sessions_conformance._views import document, entry
from openstackai_sessions_core import Message, SessionError
from openstackai_sessions_core.backend import AsyncBaseStore

__all__ = ["draw_trace", "side_by_side"]

Call = tuple[str, str, tuple[Any, ...], dict[str, Any]]


def draw_trace(source: random.Random, length: int) -> list[Call]:
    """Calls drawn at random: (session id, method, arguments, keywords); some of them are wrong."""
    ids = source.sample(hostile_ids(), 3)
    return [(source.choice(ids), *_draw_call(source)) for _ in range(length)]


def _draw_call(source: random.Random) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    value = source.choice(EXACT) if source.random() < 0.95 else source.choice(NOT_JSON)
    op: dict[str, Any] = {} if source.random() < 0.7 else {"op_id": source.choice(["op1", "op2"])}
    id = source.choice([None, None, "m1", "m2", ""])
    key = source.choice(["k", "l", "a.b", "", "é"])
    doc = document(*[entry(f"m{number}", n=value) for number in range(source.randrange(3))], metadata={"k": 1})
    calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
        ("add_message", ("user", value), {"id": id, **op}),
        ("add_message", ("user", value), {}),
        ("add_messages", ([{"n": value}, {"m": source.choice(EXACT)}],), {"ids": [id, None], **op}),
        ("add_messages", ([],), op),
        ("pop_message", (), op),
        ("clear", (), op),
        ("set", (key, value), op),
        ("update", ({key: value, "fixed": None},), op),
        ("remove", (key,), op),
        ("get", (key, "default"), {}),
        ("get_messages", (source.choice([None, 0, 1, 3, 100, -1, True]),), {}),
        ("count", (), {}),
        ("metadata", (), {}),
        ("import_data", (doc,), {"mode": source.choice(["replace", "append", "merge"]), **op}),
        ("delete", (), op),
    ]
    weights = [4, 4, 4, 1, 2, 1, 3, 3, 2, 2, 3, 1, 2, 2, 1]
    return source.choices(calls, weights)[0]


async def side_by_side(stores: Sequence[AsyncBaseStore], trace: Sequence[Call]) -> None:
    """Make every call on every store; require that results, errors and states are those of the first."""
    numbers: list[dict[str, int]] = [{} for _ in stores]
    for step, (id, method, arguments, keywords) in enumerate(trace):
        results = []
        for store, seen in zip(stores, numbers, strict=True):
            session = store.session(id)
            try:
                result: object = _plain(await getattr(session, method)(*arguments, **keywords), seen)
            except SessionError as error:
                result = type(error).__name__
            state = [
                [(info.id, info.message_count) for info in await store.list_sessions()],
                _plain(await session.get_messages(), seen),
                await session.metadata(),
            ]
            results.append([result, state])
        for other in results[1:]:
            if exact(other) != exact(results[0]):
                call = f"call {step}, {method}{brief(arguments)} {keywords} on {id!r}"
                fail(f"{call} to give {brief(results[0])}", brief(other))


def _plain(value: object, seen: dict[str, int]) -> object:
    """A value in which ids that a store made are known by the order of their first sight."""
    if isinstance(value, Message):
        name: object = value.id if value.id in ("m0", "m1", "m2") else seen.setdefault(value.id, len(seen))
        return [dict(value), name]
    if isinstance(value, list):
        return [_plain(item, seen) for item in value]
    return value
