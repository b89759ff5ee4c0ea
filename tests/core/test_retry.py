# Written by tools/twins.py from test_async_retry.py: edit that file, then run `make twins`.
"""The handle's own retries: bounded, under one op_id, one event, an honest error at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from core.faulty import FaultyStore
from openstackai_sessions_core import (
    BackendError,
    BackendUnavailableError,
    InMemoryStore,
    OutcomeUnknownError,
    PoolTimeoutError,
    ReadOnlyError,
    Session,
    SessionEvent,
    StorageFullError,
)

DOCUMENT: dict[str, object] = {
    "format": "openstackai-session",
    "version": 1,
    "session_id": "x",
    "created_at": None,
    "messages": [],
    "metadata": {"imported": 1},
}
WRITES: dict[str, Callable[[Session], Any]] = {
    "append": lambda session: session.add_message("user", "x"),
    "pop": lambda session: session.pop_message(),
    "clear": lambda session: session.clear(),
    "write_metadata": lambda session: session.update({"k": 1, "l": 2}),
    "remove": lambda session: session.remove("old"),
    "replace": lambda session: session.import_data(DOCUMENT),
    "delete": lambda session: session.delete(),
}


def faulty(**options: float) -> FaultyStore:
    return FaultyStore(InMemoryStore(**options))  # type: ignore[arg-type]


def prepared(store: FaultyStore) -> tuple[Session, list[object]]:
    session = store.session("s")
    session.add_messages([{"n": 1}, {"n": 2}])
    session.set("old", 1)
    seen: list[object] = []
    for event in SessionEvent:
        session.on(event, lambda *arguments, event=event: seen.append((event, *arguments)))
    store.calls.clear()
    return session, seen


@pytest.mark.parametrize("kind", WRITES)
@pytest.mark.parametrize("losses", [1, 3])
@pytest.mark.parametrize("told", [OutcomeUnknownError, BackendUnavailableError])
def test_a_lost_reply_is_retried_and_lands_once(told: type[BackendError], losses: int, kind: str) -> None:
    # Also where the store is wrong about its first attempt: the call's one event fires all the same.
    plain, lossy = faulty(), faulty()
    results = []
    for store in (plain, lossy):
        session, seen = prepared(store)
        if store is lossy:
            store.after = [told("reply lost")] * losses
        result = WRITES[kind](session)
        results.append((result, seen, session.get_messages(), session.metadata()))
    assert results[0] == results[1]
    assert len(lossy.calls) - len(plain.calls) == losses


@pytest.mark.parametrize("kind", WRITES)
def test_an_unavailable_engine_is_tried_again(kind: str) -> None:
    store = faulty()
    session, seen = prepared(store)
    store.before = [BackendUnavailableError("refused"), None, OutcomeUnknownError("cut")]
    WRITES[kind](session)
    assert len(seen) in (1, 2)
    assert len({str(entry) for entry in seen}) == len(seen)


def test_reads_are_tried_again() -> None:
    store = faulty()
    session, _ = prepared(store)
    for read in (session.get_messages, session.count, session.metadata, session.export, store.list_sessions):
        store.before = [BackendUnavailableError("refused")] * 2
        read()
        assert store.before == []


def test_retrying_ends_in_time_with_the_honest_error() -> None:
    store = faulty(retry_timeout=0.3)
    session, seen = prepared(store)
    begun = time.monotonic()
    store.before = [BackendUnavailableError("refused")] * 1000
    with pytest.raises(BackendUnavailableError):
        session.add_message("user", "x")
    assert 0.05 < time.monotonic() - begun < 2
    store.before = [OutcomeUnknownError("cut"), *[BackendUnavailableError("refused")] * 1000]
    with pytest.raises(OutcomeUnknownError) as caught:
        session.add_message("user", "x", op_id="mine")
    assert caught.value.op_id == "mine"
    assert isinstance(caught.value.__cause__, BackendUnavailableError)
    assert seen == []


@pytest.mark.parametrize("later", [ReadOnlyError("replica"), StorageFullError("full"), PoolTimeoutError("none free")])
def test_once_unknown_it_stays_unknown(later: BackendError) -> None:
    store = faulty()
    session, _ = prepared(store)
    store.after = [OutcomeUnknownError("reply lost")]
    store.before = [None, later]
    with pytest.raises(OutcomeUnknownError) as caught:
        session.add_message("user", "x")
    assert caught.value.op_id is not None
    assert caught.value.__cause__ is later


@pytest.mark.parametrize("fault", [ReadOnlyError("replica"), StorageFullError("full"), PoolTimeoutError("none free")])
def test_what_will_not_pass_is_not_retried(fault: BackendError) -> None:
    store = faulty()
    session, seen = prepared(store)
    store.before = [fault]
    with pytest.raises(type(fault)) as caught:
        session.add_message("user", "x")
    assert caught.value is fault
    assert len(store.calls) == 1
    assert seen == []


@pytest.mark.parametrize("applied", [True, False])
def test_without_retries_the_caller_repeats_by_op_id(*, applied: bool) -> None:
    store = faulty(retry_timeout=0)
    session, seen = prepared(store)
    fault = OutcomeUnknownError("reply lost")
    store.after, store.before = ([fault], []) if applied else ([], [fault])
    with pytest.raises(OutcomeUnknownError) as caught:
        session.add_message("user", "x")
    assert seen == []
    assert len(store.calls) == 1
    op_id = caught.value.op_id
    message = session.add_message("user", "x", op_id=op_id)
    assert seen == [(SessionEvent.MESSAGE_ADDED, message)], "the call that learns of the success fires the event"
    assert session.add_message("user", "x", op_id=op_id) == message
    assert len(seen) == 1
    assert session.count() == 3


def test_another_handle_repeats_without_an_event() -> None:
    store = faulty(retry_timeout=0)
    session, seen = prepared(store)
    store.after = [OutcomeUnknownError("reply lost")]
    with pytest.raises(OutcomeUnknownError) as caught:
        session.add_message("user", "x")
    other = store.session("s")
    heard: list[object] = []
    other.on(SessionEvent.MESSAGE_ADDED, heard.append)
    other.add_message("user", "x", op_id=caught.value.op_id)
    assert (seen, heard) == ([], [])
    assert session.count() == 3


def test_a_lost_clear_does_not_take_what_came_after() -> None:
    store = faulty(retry_timeout=0)
    session, _ = prepared(store)
    store.after = [OutcomeUnknownError("reply lost")]
    with pytest.raises(OutcomeUnknownError) as caught:
        session.clear()
    session.add_message("user", "later")
    session.clear(op_id=caught.value.op_id)
    assert session.get_messages() == [{"role": "user", "content": "later"}]
