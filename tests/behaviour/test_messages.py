# Written by tools/twins.py from test_async_messages.py: edit that file, then run `make twins`.
"""Messages: adding, reading, paging, popping, clearing; batches; limits; life."""

from __future__ import annotations

import time
from datetime import timezone
from typing import Any

import pytest

from openstackai_sessions_core import (
    ConflictError,
    LimitExceededError,
    Limits,
    Message,
    SerializationError,
    SessionClosedError,
    SessionError,
    ValidationError,
)
from openstackai_sessions_core.backend import BaseStore
from places import Place


def texts(messages: list[Message]) -> list[object]:
    return [message.content for message in messages]


def test_a_fresh_session_is_empty(store: BaseStore) -> None:
    session = store.session("s")
    assert session.get_messages() == []
    assert session.pop_message() is None
    assert session.metadata() == {}
    assert session.count() == 0
    assert [message for message in session.iter_messages()] == []
    assert store.list_sessions() == []


def test_add_returns_the_message_with_its_envelope(store: BaseStore) -> None:
    before = time.time()
    message = store.session("s").add_message("user", "Hello", name="Alice", tags=[1, {"a": None}])
    assert message == {"role": "user", "content": "Hello", "name": "Alice", "tags": [1, {"a": None}]}
    assert (message.role, message.content, message.position) == ("user", "Hello", 1)
    assert message.id.split("-")[2][0] == "7"
    assert message.created_at.tzinfo is timezone.utc
    assert abs(message.created_at.timestamp() - before) < 60


def test_reads_see_writes_on_every_handle(store: BaseStore) -> None:
    one, two = store.session("s"), store.session("s")
    added = one.add_message("user", "Hello")
    for session in (one, two):
        (read,) = session.get_messages()
        assert read == added
        assert (read.id, read.position, read.created_at) == (added.id, added.position, added.created_at)


def test_batches_are_contiguous_and_ordered(store: BaseStore) -> None:
    session = store.session("s")
    batch = session.add_messages([{"content": index} for index in range(5)])
    positions = [message.position for message in batch]
    assert positions == sorted(set(positions))
    assert texts(session.get_messages()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("place_of_bad", [0, 1, 4])
def test_a_bad_element_stores_nothing(store: BaseStore, place_of_bad: int) -> None:
    session = store.session("s")
    batch: list[dict[str, object]] = [{"content": index} for index in range(5)]
    batch[place_of_bad] = {"content": (1, 2)}
    with pytest.raises(SerializationError, match=rf"messages\[{place_of_bad}\].content"):
        session.add_messages(batch)
    assert session.count() == 0
    session.add_message("user", "still usable")
    assert session.count() == 1


def test_an_empty_batch_does_nothing(store: BaseStore) -> None:
    assert store.session("s").add_messages([]) == []
    assert store.list_sessions() == []


@pytest.mark.parametrize("wrong", [{"role": "user"}, "text", b"bytes", 5, None])
def test_a_batch_must_be_a_list(store: BaseStore, wrong: Any) -> None:
    with pytest.raises(ValidationError, match="messages"):
        store.session("s").add_messages(wrong)


@pytest.mark.parametrize("wrong", ["text", 5, None, [], ("role", "user")])
def test_a_message_must_be_an_object(store: BaseStore, wrong: Any) -> None:
    with pytest.raises(SerializationError, match=r"messages\[1\]"):
        store.session("s").add_messages([{}, wrong])
    assert store.session("s").count() == 0


def test_a_role_must_be_text(store: BaseStore) -> None:
    role: Any = None
    with pytest.raises(ValidationError, match="role"):
        store.session("s").add_message(role, "x")


def test_limit_gives_the_newest_oldest_first(store: BaseStore) -> None:
    session = store.session("s")
    session.add_messages([{"content": index} for index in range(10)])
    everything = list(range(10))
    for limit in (0, 1, 9, 10, 11, 1000):
        assert texts(session.get_messages(limit)) == everything[max(0, 10 - limit) :]


def test_before_pages_backwards(store: BaseStore) -> None:
    session = store.session("s")
    stored = session.add_messages([{"content": index} for index in range(10)])
    assert texts(session.get_messages(3, before=stored[5].position)) == [2, 3, 4]
    assert texts(session.get_messages(before=stored[2].position)) == [0, 1]
    assert session.get_messages(before=1) == []
    assert len(session.get_messages(before=10**15)) == 10


@pytest.mark.parametrize("limit", [-1, True, 1.0, "5", 2.5])
def test_bad_limits_are_refused(store: BaseStore, limit: Any) -> None:
    with pytest.raises(ValidationError, match="limit"):
        store.session("s").get_messages(limit)


@pytest.mark.parametrize("before", [0, -1, True, 1.0, "5"])
def test_bad_positions_are_refused(store: BaseStore, before: Any) -> None:
    with pytest.raises(ValidationError, match="before"):
        store.session("s").get_messages(before=before)


@pytest.mark.parametrize("page_size", [0, -1, True, 2.0])
def test_bad_page_sizes_are_refused(store: BaseStore, page_size: Any) -> None:
    with pytest.raises(ValidationError, match="page_size"):
        store.session("s").iter_messages(page_size=page_size)


@pytest.mark.parametrize("page_size", [1, 3, 10, 500])
def test_iteration_equals_the_list(store: BaseStore, page_size: int) -> None:
    session = store.session("s")
    session.add_messages([{"content": index} for index in range(10)])
    assert [message for message in session.iter_messages(page_size=page_size)] == session.get_messages()


def test_iteration_stops_at_what_was_newest(store: BaseStore) -> None:
    session = store.session("s")
    session.add_messages([{"content": index} for index in range(6)])
    seen = []
    for message in session.iter_messages(page_size=2):
        seen.append(message.content)
        session.add_message("user", f"late {message.content}")
    assert seen == [0, 1, 2, 3, 4, 5]


def test_iteration_outlives_pop_and_clear(store: BaseStore) -> None:
    session = store.session("s")
    session.add_messages([{"content": index} for index in range(6)])
    seen = []
    for message in session.iter_messages(page_size=2):
        seen.append(message.content)
        if message.content == 1:
            session.pop_message()
        if message.content == 3:
            session.clear()
    assert seen == [0, 1, 2, 3]


def test_iteration_never_enters_another_life(store: BaseStore) -> None:
    session = store.session("s")
    session.add_messages([{"content": f"old {index}"} for index in range(6)])
    seen = []
    for message in session.iter_messages(page_size=2):
        seen.append(message.content)
        if message.content == "old 1":
            session.delete()
            session.add_messages([{"content": f"new {index}"} for index in range(6)])
    assert seen == ["old 0", "old 1"]


def test_pop_returns_the_newest_and_removes_exactly_it(store: BaseStore) -> None:
    session = store.session("s")
    stored = session.add_messages([{"content": index} for index in range(3)])
    popped = session.pop_message()
    assert popped == {"content": 2}
    assert popped is not None
    assert (popped.id, popped.position, popped.created_at) == (stored[2].id, stored[2].position, stored[2].created_at)
    assert texts(session.get_messages()) == [0, 1]
    assert session.count() == 2


def test_clear_removes_every_message_and_nothing_else(store: BaseStore) -> None:
    session = store.session("s")
    session.add_messages([{"content": index} for index in range(3)])
    session.set("key", "kept")
    session.clear()
    assert session.get_messages() == []
    assert session.pop_message() is None
    assert session.metadata() == {"key": "kept"}
    assert [info.id for info in store.list_sessions()] == ["s"]


def test_positions_increase_and_are_never_reused(store: BaseStore) -> None:
    session = store.session("s")
    positions = [(session.add_message("user", "a")).position]
    session.pop_message()
    positions.append((session.add_message("user", "b")).position)
    session.clear()
    positions += [message.position for message in session.add_messages([{}, {}])]
    session.import_data(session.export())
    positions += [message.position for message in session.get_messages()]
    positions.append((session.add_message("user", "c")).position)
    assert positions == sorted(set(positions))


def test_returned_and_given_objects_are_copies(store: BaseStore) -> None:
    session = store.session("s")
    given: dict[str, Any] = {"role": "user", "content": ["a"]}
    (returned,) = session.add_messages([given])
    given["content"].append("changed")
    returned["content"] = "changed"
    (first,) = session.get_messages()
    content: Any = first["content"]
    content.append("changed")
    assert session.get_messages() == [{"role": "user", "content": ["a"]}]


def test_fields_of_the_object_never_reach_the_envelope(store: BaseStore) -> None:
    session = store.session("s")
    given = {"id": "mine", "position": 99, "created_at": "never", "op_id": "x", "role": "user", "content": "c"}
    session.add_messages([given, given])
    for message in session.get_messages():
        assert message == given
        assert message.id != "mine"
        assert message.position < 99
        assert message.created_at.year > 2000


def test_the_envelope_of_a_message_passed_in_is_not_taken(store: BaseStore) -> None:
    session = store.session("s")
    first = session.add_message("user", "again")
    (second,) = session.add_messages([first])
    assert second == first
    assert second.id != first.id
    assert session.count() == 2


def test_a_given_id_is_kept_and_stored_once(store: BaseStore) -> None:
    session = store.session("s")
    first = session.add_message("user", "once", id="m-1")
    assert first.id == "m-1"
    again = session.add_message("user", "once", id="m-1")
    assert (again, again.id, again.position, again.created_at) == (first, "m-1", first.position, first.created_at)
    with pytest.raises(ConflictError, match="m-1"):
        session.add_message("user", "other", id="m-1")
    mixed = session.add_messages([{"n": 1}, {"role": "user", "content": "once"}, {"n": 2}], ids=[None, "m-1", "m-2"])
    assert [message.id for message in mixed][1:] == ["m-1", "m-2"]
    assert session.get_messages() == [first, {"n": 1}, {"n": 2}]


def test_the_id_of_an_automatic_message_is_known_too(store: BaseStore) -> None:
    session = store.session("s")
    first, second = session.add_messages([{"n": 1}, {"n": 2}])
    again = session.add_messages([{"n": 1}], ids=[first.id])
    assert again[0].position == first.position
    with pytest.raises(ConflictError):
        session.add_messages([{"n": 3}], ids=[second.id])
    assert session.count() == 2


def test_an_id_is_free_again_once_its_message_is_gone(store: BaseStore) -> None:
    session = store.session("s")
    session.add_message("user", "a", id="m")
    session.pop_message()
    session.add_message("user", "b", id="m")
    session.clear()
    session.add_message("user", "c", id="m")
    assert texts(session.get_messages()) == ["c"]


def test_bad_message_ids_are_refused(store: BaseStore) -> None:
    session = store.session("s")
    bad: Any
    for bad in ("", 5, "a\nb", "\ud800"):
        with pytest.raises(ValidationError):
            session.add_message("user", "x", id=bad)
    with pytest.raises(LimitExceededError):
        session.add_message("user", "x", id="é" * 101)
    with pytest.raises(ValidationError, match="twice"):
        session.add_messages([{}, {}], ids=["a", "a"])
    with pytest.raises(ValidationError, match="ids"):
        session.add_messages([{}, {}], ids=["a"])
    with pytest.raises(ValidationError, match="ids"):
        session.add_messages([{}], ids="a")
    assert session.count() == 0


def test_a_long_message_id_holds_no_control_character_either(place: Place) -> None:
    store = place.open(limits=Limits(id_bytes=1_000))
    session = store.session("s")
    for bad in ("a\n" + "x" * 600, "é" * 400 + "\x00", "\x7f" * 1_000):
        with pytest.raises(ValidationError, match="control"):
            session.add_message("user", "x", id=bad)
    with pytest.raises(LimitExceededError):
        session.add_message("user", "x", id="\n" * 1_001)
    assert (session.add_message("user", "x", id="é" * 500)).id == "é" * 500
    assert [message.id for message in session.get_messages()] == ["é" * 500]
    store.close()


def test_limits_are_exact_and_checked_before_anything_is_written(place: Place) -> None:
    limits = Limits(message_bytes=100, batch_messages=3, batch_bytes=200)
    store = place.open(limits=limits)
    session = store.session("s")
    empty = len('{"role":"user","content":""}')
    session.add_message("user", "x" * (100 - empty))
    with pytest.raises(LimitExceededError, match="message_bytes"):
        session.add_message("user", "x" * (101 - empty))
    session.add_messages([{}] * 3)
    with pytest.raises(LimitExceededError, match="batch_messages"):
        session.add_messages([{}] * 4)
    with pytest.raises(LimitExceededError, match="batch_messages"):
        session.add_messages({} for _ in iter(int, 1))
    with pytest.raises(LimitExceededError, match="batch_bytes"):
        session.add_messages([{"content": "x" * 80}] * 3)
    assert session.count() == 4
    store.close()


def test_a_batch_of_ten_thousand_is_one_step(store: BaseStore) -> None:
    session = store.session("s")
    batch = session.add_messages([{"content": index} for index in range(10_000)])
    assert len(batch) == 10_000
    assert session.count() == 10_000
    assert texts(session.get_messages(2)) == [9_998, 9_999]
    assert texts(session.get_messages()) == list(range(10_000))


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 1_048_575, 1_048_577])
def test_sizes_come_back_whole(store: BaseStore, size: int) -> None:
    session = store.session("s")
    session.add_message("user", "é" * (size // 2) + "x" * (size % 2))
    (message,) = session.get_messages()
    assert message.content == "é" * (size // 2) + "x" * (size % 2)


def test_a_closed_handle_says_so(store: BaseStore) -> None:
    session = store.session("s")
    session.add_message("user", "kept")
    session.close()
    session.close()
    with pytest.raises(SessionClosedError):
        session.add_message("user", "late")
    with pytest.raises(SessionClosedError):
        session.get_messages()
    with pytest.raises(SessionClosedError):
        session.iter_messages()
    with pytest.raises(SessionClosedError):
        session.metadata()
    assert store.session("s").count() == 1


def test_leaving_the_context_closes_the_handle_and_suppresses_nothing(store: BaseStore) -> None:
    session = store.session("s")
    with pytest.raises(KeyError):
        with session as entered:
            assert entered is session
            session.add_message("user", "kept")
            raise KeyError
    with pytest.raises(SessionClosedError):
        session.count()
    assert store.session("s").count() == 1


def test_a_closed_store_says_so(place: Place) -> None:
    store = place.open()
    session = store.session("s")
    session.count()
    store.close()
    store.close()
    with pytest.raises(SessionClosedError):
        session.add_message("user", "late")
    with pytest.raises(SessionClosedError):
        session.get_messages()
    with pytest.raises(SessionError):
        store.list_sessions()


def test_delete_ends_a_life_and_the_handle_goes_on(store: BaseStore) -> None:
    session = store.session("s")
    session.add_messages([{}, {}])
    session.set("key", 1)
    session.delete()
    assert session.get_messages() == []
    assert session.metadata() == {}
    assert store.list_sessions() == []
    message = session.add_message("user", "new life")
    assert message.position >= 1
    assert session.get_messages() == [message]


def test_a_message_survives_pickle_and_copy(store: BaseStore) -> None:
    import copy
    import pickle

    message = store.session("s").add_message("user", ["a"])
    for other in (pickle.loads(pickle.dumps(message)), copy.copy(message), copy.deepcopy(message)):  # noqa: S301
        assert other == message
        assert type(other) is type(message)
        assert (other.id, other.position, other.created_at) == (message.id, message.position, message.created_at)


def test_handles_and_stores_refuse_pickling(store: BaseStore) -> None:
    import pickle

    for thing in (store, store.session("s")):
        with pytest.raises(TypeError, match="pickled"):
            pickle.dumps(thing)
