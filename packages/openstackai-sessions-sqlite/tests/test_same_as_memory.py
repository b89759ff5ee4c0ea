"""Whatever is done to a store on SQLite and to one in memory, both answer the same."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from openstackai_sessions_core import InMemoryStore, Limits, SessionError
from openstackai_sessions_core.backend import (
    BaseStore,
    ImportedMessage,
    NewMessage,
    Operation,
    SessionImport,
)
from openstackai_sessions_sqlite import SQLiteStore, _operations, _plans

Call = Callable[[BaseStore], object]

SESSIONS = st.sampled_from(["a", "a", "a", "A", "a%"])
IDS = st.sampled_from(["m1", "m2", "m3", "m4"])
PAYLOADS = st.sampled_from([b'{"n":1}', b'{"n":2}'])
KEYS = st.sampled_from(["k", "K", "long"])
VALUES = st.sampled_from([b"1", b'"' + b"v" * 40 + b'"'])
TTLS = st.sampled_from([None, None, 5_000_000, 50_000_000])
fresh = itertools.count()
LIMITS = Limits(metadata_bytes=60)


def operation(draw: st.DrawFn, *payload: object) -> Operation:
    """Mostly a new operation, now and then one that was used before: with the same payload or with another."""
    number = draw(st.integers(0, 30)) if draw(st.integers(0, 9)) == 0 else draw(st.integers(31, 10**9))
    return Operation(f"op-{number}", random.Random(repr(payload)).randbytes(16))


def as_number(life: int, seen: dict[int, int]) -> int:
    return seen.setdefault(life, len(seen))


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, tuple[object, ...], dict[str, object]]:
    session = draw(SESSIONS)
    ttl = draw(TTLS)
    kind = draw(
        st.sampled_from(
            ["append"] * 6
            + [
                "pop",
                "clear",
                "metadata",
                "replace",
                "replace",
                "delete",
                "read",
                "head",
                "load",
                "list",
                "purge",
                "wait",
            ]
        )
    )
    if kind == "append":
        ids = draw(st.lists(IDS, max_size=3, unique=True))
        made = [None if draw(st.booleans()) else f"made-{next(fresh)}" for _ in ids]
        messages = [NewMessage(own or id, draw(PAYLOADS), own is None) for id, own in zip(ids, made, strict=True)]
        return "append", (session, operation(draw, messages), messages), {"ttl": ttl}
    if kind in ("pop", "clear"):
        return kind, (session, operation(draw, kind)), {"ttl": ttl}
    if kind == "metadata":
        values = draw(st.dictionaries(KEYS, VALUES, max_size=2))
        removed = draw(st.lists(KEYS, max_size=2, unique=True))
        return "write_metadata", (session, operation(draw, values, removed), values, removed), {"ttl": ttl}
    if kind == "replace":
        ids = draw(st.lists(IDS, max_size=4, unique=True))
        content = SessionImport(
            draw(st.sampled_from([None, 5, 1_600_000_000_000_000])),
            [ImportedMessage(id, number, draw(PAYLOADS)) for number, id in enumerate(ids)],
            draw(st.dictionaries(KEYS, VALUES, max_size=3)),
            draw(st.booleans()),
        )
        return "replace", (session, operation(draw, content), content), {"ttl": ttl}
    if kind == "delete":
        return "delete", (session, operation(draw, "delete")), {}
    if kind == "read":
        bounds: dict[str, object] = {
            "limit": draw(st.sampled_from([None, 0, 1, 2, 2000])),
            "before": draw(st.sampled_from([None, 1, 3, 10**30])),
        }
        return "read", (session,), bounds
    if kind == "list":
        page: dict[str, object] = {
            "after": draw(st.sampled_from([None, "A", "a", "b"])),
            "limit": draw(st.sampled_from([0, 1, 10])),
        }
        return "list_page", (draw(st.sampled_from(["", "a", "A", "%"])),), page
    if kind == "wait":
        return "wait", (draw(st.sampled_from([1.0, 6.0, 60.0, 700.0])),), {}
    return kind, () if kind == "purge" else (session,), {}


def answer(store: BaseStore, name: str, arguments: tuple[object, ...], options: dict[str, object]) -> object:
    """What a call returns or raises, in a form that can be compared."""
    try:
        result = getattr(store, name)(*arguments, **options)
    except SessionError as error:
        return type(error)
    if name == "purge":
        return None  # how many are left to a purge depends on how many were cleared away before
    if hasattr(result, "records"):
        return result._replace(records=list(result.records), added=list(result.added))
    if name == "read_metadata":
        return dict(result)
    if name == "load" and result is not None:
        return result._replace(messages=list(result.messages), metadata=dict(result.metadata))
    return list(result) if isinstance(result, (list, tuple)) and not hasattr(result, "_fields") else result


@pytest.mark.parametrize("staged", [False, True])
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(calls(), min_size=15, max_size=60))
def test_every_answer_is_the_same(
    staged: bool, monkeypatch: pytest.MonkeyPatch, sequence: list[tuple[str, tuple[object, ...], dict[str, object]]]
) -> None:
    # Staging is for large imports; here it is for all but the smallest.
    monkeypatch.setattr(_plans, "LARGE_IMPORT", 1 if staged else 10_000)
    monkeypatch.setattr(_operations, "STAGE", 2)
    now = [1_700_000_000.0]
    lives: tuple[dict[int, int], dict[int, int]] = ({}, {})
    with TemporaryDirectory() as folder:
        memory = InMemoryStore(limits=LIMITS, clock=lambda: now[0])
        sqlite = SQLiteStore(Path(folder, "s.db"), synchronous="normal", limits=LIMITS, clock=lambda: now[0])
        with memory, sqlite:
            for name, arguments, options in sequence:
                now[0] += 0.001
                if name == "wait":
                    now[0] += arguments[0]  # type: ignore[operator]
                    continue
                expected = answer(memory, name, arguments, options)
                actual = answer(sqlite, name, arguments, options)
                if name == "head" and expected is not None and actual is not None:
                    expected, actual = (
                        head._replace(life=as_number(head.life, seen))  # type: ignore[attr-defined]
                        for head, seen in zip((expected, actual), lives, strict=True)
                    )
                assert actual == expected, (name, arguments, options)
            for session in ("a", "A", "a%"):
                for name, arguments in [
                    ("load", (session,)),
                    ("read_metadata", (session, None)),
                    ("read_metadata", (session, ["K", "x"])),
                    ("read_metadata", (session, ["k"])),
                ]:
                    assert answer(sqlite, name, arguments, {}) == answer(memory, name, arguments, {})
                here, there = sqlite.head(session), memory.head(session)
                if here is not None and there is not None:
                    window = {"after": 1, "until": 5, "limit": 2}
                    assert sqlite.scan(session, here.life, **window) == memory.scan(session, there.life, **window)
                    assert sqlite.scan(session, here.life + 1, **window) == []
