"""What is no store is refused before anything is written, and what may be endless before it is encoded."""

from __future__ import annotations

import time
import tracemalloc
from types import MappingProxyType

import pytest

from openstackai_sessions_core import (
    AsyncInMemoryStore,
    AsyncSession,
    ImportFormatError,
    InMemorySession,
    InMemoryStore,
    LimitExceededError,
    Limits,
    SerializationError,
    Session,
    ValidationError,
)

DOCUMENT = {
    "format": "openstackai-session",
    "version": 1,
    "session_id": "x",
    "created_at": "2026-01-02T03:04:05.000006Z",
    "messages": [],
    "metadata": {"k": 1},
}


@pytest.mark.parametrize("store", ["sessions.db", None, 5, InMemoryStore, AsyncInMemoryStore()])
def test_a_handle_takes_a_store_of_its_side(store: object) -> None:
    with pytest.raises(ValidationError, match=r"^Session (takes a store|does not take an asynchronous store)"):
        Session(store, "x")  # type: ignore[arg-type]


@pytest.mark.parametrize("store", ["sessions.db", None, 5, AsyncInMemoryStore, InMemoryStore()])
def test_an_async_handle_takes_a_store_of_its_side(store: object) -> None:
    with pytest.raises(ValidationError, match=r"^AsyncSession (takes a store|does not take a synchronous store)"):
        AsyncSession(store, "x")  # type: ignore[arg-type]


def test_a_store_need_not_inherit() -> None:
    class Around:
        def __init__(self, store: object) -> None:
            self._store = store

        def __getattr__(self, name: str) -> object:
            return getattr(self._store, name)

    session = Session(Around(InMemoryStore()), "x")  # type: ignore[arg-type]
    assert session.add_message("user", "a").position == 1
    with pytest.raises(ValidationError, match="does not take an asynchronous store"):
        Session(Around(AsyncInMemoryStore()), "x")  # type: ignore[arg-type]


@pytest.mark.parametrize("limits", [False, 0, "", [], {}])
def test_limits_are_limits(limits: object) -> None:
    with pytest.raises(ValidationError):
        InMemoryStore(limits=limits)  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        AsyncInMemoryStore(limits=limits)  # type: ignore[arg-type]


def test_what_is_small_in_memory_and_endless_in_json_is_refused_in_time() -> None:
    session = InMemorySession(store=InMemoryStore(limits=Limits(message_bytes=50_000, metadata_value_bytes=50_000)))
    value: list[object] = [1]
    for _ in range(50):
        value = [value, value]
    messages = [{"id": "1", "created_at": "2026-01-02T03:04:05.000006Z", "data": {"x": value}}]
    began = time.monotonic()
    tracemalloc.start()
    for call in (
        lambda: session.add_message("user", value),  # type: ignore[arg-type] # lists of lists
        lambda: session.set("k", value),  # type: ignore[arg-type]
        lambda: session.import_data({**DOCUMENT, "messages": messages}),
        lambda: session.import_data({**DOCUMENT, "metadata": {"k": value}}),
    ):
        with pytest.raises(LimitExceededError):
            call()
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()
    assert time.monotonic() - began < 30
    assert session.count() == 0
    assert session.metadata() == {}


def test_what_contains_itself_or_is_too_deep_is_no_json_rather_than_too_large() -> None:
    session = InMemorySession(store=InMemoryStore(limits=Limits(message_bytes=1_000_000)))
    circle: list[object] = ["x" * 300_000]
    circle.append(circle)
    deep: list[object] = []
    for _ in range(70):
        deep = [deep, "x" * 5_000]
    for value in (circle, deep):
        with pytest.raises(SerializationError):
            session.add_message("user", value)  # type: ignore[arg-type]


def test_an_unknown_field_is_refused_before_it_is_read() -> None:
    session = InMemorySession()
    text = '{"format":"openstackai-session","version":1,"what":[' + "[]," * 1_000_000 + "[]]}"
    tracemalloc.start()
    with pytest.raises(ImportFormatError, match="'what' is not a field of version 1"):
        session.import_data(text)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_a_document_may_be_any_mapping() -> None:
    session = InMemorySession()
    session.import_data(MappingProxyType(DOCUMENT))
    assert session.metadata() == {"k": 1}
