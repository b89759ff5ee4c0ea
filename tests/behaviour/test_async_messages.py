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
from openstackai_sessions_core.backend import AsyncBaseStore
from places import Place


def texts(messages: list[Message]) -> list[object]:
    return [message.content for message in messages]


async def test_a_fresh_session_is_empty(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    assert await session.get_messages() == []
    assert await session.pop_message() is None
    assert await session.metadata() == {}
    assert await session.count() == 0
    assert [message async for message in session.iter_messages()] == []
    assert await async_store.list_sessions() == []


async def test_add_returns_the_message_with_its_envelope(async_store: AsyncBaseStore) -> None:
    before = time.time()
    message = await async_store.session("s").add_message("user", "Hello", name="Alice", tags=[1, {"a": None}])
    assert message == {"role": "user", "content": "Hello", "name": "Alice", "tags": [1, {"a": None}]}
    assert (message.role, message.content, message.position) == ("user", "Hello", 1)
    assert message.id.split("-")[2][0] == "7"
    assert message.created_at.tzinfo is timezone.utc
    assert abs(message.created_at.timestamp() - before) < 60


async def test_reads_see_writes_on_every_handle(async_store: AsyncBaseStore) -> None:
    one, two = async_store.session("s"), async_store.session("s")
    added = await one.add_message("user", "Hello")
    for session in (one, two):
        (read,) = await session.get_messages()
        assert read == added
        assert (read.id, read.position, read.created_at) == (added.id, added.position, added.created_at)


async def test_batches_are_contiguous_and_ordered(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    batch = await session.add_messages([{"content": index} for index in range(5)])
    positions = [message.position for message in batch]
    assert positions == sorted(set(positions))
    assert texts(await session.get_messages()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("place_of_bad", [0, 1, 4])
async def test_a_bad_element_stores_nothing(async_store: AsyncBaseStore, place_of_bad: int) -> None:
    session = async_store.session("s")
    batch: list[dict[str, object]] = [{"content": index} for index in range(5)]
    batch[place_of_bad] = {"content": (1, 2)}
    with pytest.raises(SerializationError, match=rf"messages\[{place_of_bad}\].content"):
        await session.add_messages(batch)
    assert await session.count() == 0
    await session.add_message("user", "still usable")
    assert await session.count() == 1


async def test_an_empty_batch_does_nothing(async_store: AsyncBaseStore) -> None:
    assert await async_store.session("s").add_messages([]) == []
    assert await async_store.list_sessions() == []


@pytest.mark.parametrize("wrong", [{"role": "user"}, "text", b"bytes", 5, None])
async def test_a_batch_must_be_a_list(async_store: AsyncBaseStore, wrong: Any) -> None:
    with pytest.raises(ValidationError, match="messages"):
        await async_store.session("s").add_messages(wrong)


@pytest.mark.parametrize("wrong", ["text", 5, None, [], ("role", "user")])
async def test_a_message_must_be_an_object(async_store: AsyncBaseStore, wrong: Any) -> None:
    with pytest.raises(SerializationError, match=r"messages\[1\]"):
        await async_store.session("s").add_messages([{}, wrong])
    assert await async_store.session("s").count() == 0


async def test_a_role_must_be_text(async_store: AsyncBaseStore) -> None:
    role: Any = None
    with pytest.raises(ValidationError, match="role"):
        await async_store.session("s").add_message(role, "x")


async def test_limit_gives_the_newest_oldest_first(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    await session.add_messages([{"content": index} for index in range(10)])
    everything = list(range(10))
    for limit in (0, 1, 9, 10, 11, 1000):
        assert texts(await session.get_messages(limit)) == everything[max(0, 10 - limit) :]


async def test_before_pages_backwards(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    stored = await session.add_messages([{"content": index} for index in range(10)])
    assert texts(await session.get_messages(3, before=stored[5].position)) == [2, 3, 4]
    assert texts(await session.get_messages(before=stored[2].position)) == [0, 1]
    assert await session.get_messages(before=1) == []
    assert len(await session.get_messages(before=10**15)) == 10


@pytest.mark.parametrize("limit", [-1, True, 1.0, "5", 2.5])
async def test_bad_limits_are_refused(async_store: AsyncBaseStore, limit: Any) -> None:
    with pytest.raises(ValidationError, match="limit"):
        await async_store.session("s").get_messages(limit)


@pytest.mark.parametrize("before", [0, -1, True, 1.0, "5"])
async def test_bad_positions_are_refused(async_store: AsyncBaseStore, before: Any) -> None:
    with pytest.raises(ValidationError, match="before"):
        await async_store.session("s").get_messages(before=before)


@pytest.mark.parametrize("page_size", [0, -1, True, 2.0])
async def test_bad_page_sizes_are_refused(async_store: AsyncBaseStore, page_size: Any) -> None:
    with pytest.raises(ValidationError, match="page_size"):
        async_store.session("s").iter_messages(page_size=page_size)


@pytest.mark.parametrize("page_size", [1, 3, 10, 500])
async def test_iteration_equals_the_list(async_store: AsyncBaseStore, page_size: int) -> None:
    session = async_store.session("s")
    await session.add_messages([{"content": index} for index in range(10)])
    assert [message async for message in session.iter_messages(page_size=page_size)] == await session.get_messages()


async def test_iteration_stops_at_what_was_newest(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    await session.add_messages([{"content": index} for index in range(6)])
    seen = []
    async for message in session.iter_messages(page_size=2):
        seen.append(message.content)
        await session.add_message("user", f"late {message.content}")
    assert seen == [0, 1, 2, 3, 4, 5]


async def test_iteration_outlives_pop_and_clear(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    await session.add_messages([{"content": index} for index in range(6)])
    seen = []
    async for message in session.iter_messages(page_size=2):
        seen.append(message.content)
        if message.content == 1:
            await session.pop_message()
        if message.content == 3:
            await session.clear()
    assert seen == [0, 1, 2, 3]


async def test_iteration_never_enters_another_life(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    await session.add_messages([{"content": f"old {index}"} for index in range(6)])
    seen = []
    async for message in session.iter_messages(page_size=2):
        seen.append(message.content)
        if message.content == "old 1":
            await session.delete()
            await session.add_messages([{"content": f"new {index}"} for index in range(6)])
    assert seen == ["old 0", "old 1"]


async def test_pop_returns_the_newest_and_removes_exactly_it(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    stored = await session.add_messages([{"content": index} for index in range(3)])
    popped = await session.pop_message()
    assert popped == {"content": 2}
    assert popped is not None
    assert (popped.id, popped.position, popped.created_at) == (stored[2].id, stored[2].position, stored[2].created_at)
    assert texts(await session.get_messages()) == [0, 1]
    assert await session.count() == 2


async def test_clear_removes_every_message_and_nothing_else(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    await session.add_messages([{"content": index} for index in range(3)])
    await session.set("key", "kept")
    await session.clear()
    assert await session.get_messages() == []
    assert await session.pop_message() is None
    assert await session.metadata() == {"key": "kept"}
    assert [info.id for info in await async_store.list_sessions()] == ["s"]


async def test_positions_increase_and_are_never_reused(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    positions = [(await session.add_message("user", "a")).position]
    await session.pop_message()
    positions.append((await session.add_message("user", "b")).position)
    await session.clear()
    positions += [message.position for message in await session.add_messages([{}, {}])]
    await session.import_data(await session.export())
    positions += [message.position for message in await session.get_messages()]
    positions.append((await session.add_message("user", "c")).position)
    assert positions == sorted(set(positions))


async def test_returned_and_given_objects_are_copies(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    given: dict[str, Any] = {"role": "user", "content": ["a"]}
    (returned,) = await session.add_messages([given])
    given["content"].append("changed")
    returned["content"] = "changed"
    (first,) = await session.get_messages()
    content: Any = first["content"]
    content.append("changed")
    assert await session.get_messages() == [{"role": "user", "content": ["a"]}]


async def test_fields_of_the_object_never_reach_the_envelope(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    given = {"id": "mine", "position": 99, "created_at": "never", "op_id": "x", "role": "user", "content": "c"}
    await session.add_messages([given, given])
    for message in await session.get_messages():
        assert message == given
        assert message.id != "mine"
        assert message.position < 99
        assert message.created_at.year > 2000


async def test_the_envelope_of_a_message_passed_in_is_not_taken(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    first = await session.add_message("user", "again")
    (second,) = await session.add_messages([first])
    assert second == first
    assert second.id != first.id
    assert await session.count() == 2


async def test_a_given_id_is_kept_and_stored_once(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    first = await session.add_message("user", "once", id="m-1")
    assert first.id == "m-1"
    again = await session.add_message("user", "once", id="m-1")
    assert (again, again.id, again.position, again.created_at) == (first, "m-1", first.position, first.created_at)
    with pytest.raises(ConflictError, match="m-1"):
        await session.add_message("user", "other", id="m-1")
    mixed = await session.add_messages(
        [{"n": 1}, {"role": "user", "content": "once"}, {"n": 2}], ids=[None, "m-1", "m-2"]
    )
    assert [message.id for message in mixed][1:] == ["m-1", "m-2"]
    assert await session.get_messages() == [first, {"n": 1}, {"n": 2}]


async def test_the_id_of_an_automatic_message_is_known_too(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    first, second = await session.add_messages([{"n": 1}, {"n": 2}])
    again = await session.add_messages([{"n": 1}], ids=[first.id])
    assert again[0].position == first.position
    with pytest.raises(ConflictError):
        await session.add_messages([{"n": 3}], ids=[second.id])
    assert await session.count() == 2


async def test_an_id_is_free_again_once_its_message_is_gone(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    await session.add_message("user", "a", id="m")
    await session.pop_message()
    await session.add_message("user", "b", id="m")
    await session.clear()
    await session.add_message("user", "c", id="m")
    assert texts(await session.get_messages()) == ["c"]


async def test_bad_message_ids_are_refused(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    bad: Any
    for bad in ("", 5, "a\nb", "\ud800"):
        with pytest.raises(ValidationError):
            await session.add_message("user", "x", id=bad)
    with pytest.raises(LimitExceededError):
        await session.add_message("user", "x", id="é" * 101)
    with pytest.raises(ValidationError, match="twice"):
        await session.add_messages([{}, {}], ids=["a", "a"])
    with pytest.raises(ValidationError, match="ids"):
        await session.add_messages([{}, {}], ids=["a"])
    with pytest.raises(ValidationError, match="ids"):
        await session.add_messages([{}], ids="a")
    assert await session.count() == 0


async def test_a_long_message_id_holds_no_control_character_either(place: Place) -> None:
    store = place.open_async(limits=Limits(id_bytes=1_000))
    session = store.session("s")
    for bad in ("a\n" + "x" * 600, "é" * 400 + "\x00", "\x7f" * 1_000):
        with pytest.raises(ValidationError, match="control"):
            await session.add_message("user", "x", id=bad)
    with pytest.raises(LimitExceededError):
        await session.add_message("user", "x", id="\n" * 1_001)
    assert (await session.add_message("user", "x", id="é" * 500)).id == "é" * 500
    assert [message.id for message in await session.get_messages()] == ["é" * 500]
    await store.close()


async def test_limits_are_exact_and_checked_before_anything_is_written(place: Place) -> None:
    limits = Limits(message_bytes=100, batch_messages=3, batch_bytes=200)
    store = place.open_async(limits=limits)
    session = store.session("s")
    empty = len('{"role":"user","content":""}')
    await session.add_message("user", "x" * (100 - empty))
    with pytest.raises(LimitExceededError, match="message_bytes"):
        await session.add_message("user", "x" * (101 - empty))
    await session.add_messages([{}] * 3)
    with pytest.raises(LimitExceededError, match="batch_messages"):
        await session.add_messages([{}] * 4)
    with pytest.raises(LimitExceededError, match="batch_messages"):
        await session.add_messages({} for _ in iter(int, 1))
    with pytest.raises(LimitExceededError, match="batch_bytes"):
        await session.add_messages([{"content": "x" * 80}] * 3)
    assert await session.count() == 4
    await store.close()


async def test_a_batch_of_ten_thousand_is_one_step(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    batch = await session.add_messages([{"content": index} for index in range(10_000)])
    assert len(batch) == 10_000
    assert await session.count() == 10_000
    assert texts(await session.get_messages(2)) == [9_998, 9_999]
    assert texts(await session.get_messages()) == list(range(10_000))


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 1_048_575, 1_048_577])
async def test_sizes_come_back_whole(async_store: AsyncBaseStore, size: int) -> None:
    session = async_store.session("s")
    await session.add_message("user", "é" * (size // 2) + "x" * (size % 2))
    (message,) = await session.get_messages()
    assert message.content == "é" * (size // 2) + "x" * (size % 2)


async def test_a_closed_handle_says_so(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    await session.add_message("user", "kept")
    await session.close()
    await session.close()
    with pytest.raises(SessionClosedError):
        await session.add_message("user", "late")
    with pytest.raises(SessionClosedError):
        await session.get_messages()
    with pytest.raises(SessionClosedError):
        session.iter_messages()
    with pytest.raises(SessionClosedError):
        await session.metadata()
    assert await async_store.session("s").count() == 1


async def test_leaving_the_context_closes_the_handle_and_suppresses_nothing(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    with pytest.raises(KeyError):
        async with session as entered:
            assert entered is session
            await session.add_message("user", "kept")
            raise KeyError
    with pytest.raises(SessionClosedError):
        await session.count()
    assert await async_store.session("s").count() == 1


async def test_a_closed_store_says_so(place: Place) -> None:
    store = place.open_async()
    session = store.session("s")
    await session.count()
    await store.close()
    await store.close()
    with pytest.raises(SessionClosedError):
        await session.add_message("user", "late")
    with pytest.raises(SessionClosedError):
        await session.get_messages()
    with pytest.raises(SessionError):
        await store.list_sessions()


async def test_delete_ends_a_life_and_the_handle_goes_on(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    await session.add_messages([{}, {}])
    await session.set("key", 1)
    await session.delete()
    assert await session.get_messages() == []
    assert await session.metadata() == {}
    assert await async_store.list_sessions() == []
    message = await session.add_message("user", "new life")
    assert message.position >= 1
    assert await session.get_messages() == [message]


async def test_a_message_survives_pickle_and_copy(async_store: AsyncBaseStore) -> None:
    import copy
    import pickle

    message = await async_store.session("s").add_message("user", ["a"])
    for other in (pickle.loads(pickle.dumps(message)), copy.copy(message), copy.deepcopy(message)):  # noqa: S301
        assert other == message
        assert type(other) is type(message)
        assert (other.id, other.position, other.created_at) == (message.id, message.position, message.created_at)


async def test_handles_and_stores_refuse_pickling(async_store: AsyncBaseStore) -> None:
    import pickle

    for thing in (async_store, async_store.session("s")):
        with pytest.raises(TypeError, match="pickled"):
            pickle.dumps(thing)
