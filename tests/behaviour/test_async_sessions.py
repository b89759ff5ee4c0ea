"""Many sessions in one store: isolation, listing, deleting."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest

from openstackai_sessions_core import ValidationError
from openstackai_sessions_core.backend import AsyncBaseStore

HOSTILE = sorted({
    "x", "X", "x ", " x", "x:messages", "x:metadata", "{x}", "{x}:y", "x*", "x?", "[x]", "x%", "x_", "%", "_", "*",
    "?", "{}", "{", "}", ":", "::", "/", "//", "..", "../x", ".", "\\", "'", '"', "`", "--", ";", "' OR 1=1 --",
    "x'; DROP TABLE sessions; --", "$x", "$1", "0", "00", "1", "1.0", "True", "None", "null", "NULL", "default", "a",
    "A", "á", "a\u0301", "ß", "ss", "ſ", "ı", "i", "İ", "I", unicodedata.normalize("NFC", "Å"),
    unicodedata.normalize("NFD", "Å"), "Å", "ﬁ", "fi", "日本語", "😀" * 128, "😀" * 127 + "abcd", "a" * 511, "a" * 512,
    "a" * 510, "\u200b", "\u2028", "\ufeff", "\ue000", "x\u200d", "\U0010ffff", "\uffff", "session", "sessions",
    "messages", "meta", "x:y:z", "x\u00a0", "tab", "x,y", "x|y", "x&y", "x=y", "x#y", "x@y", "x!y", "x~y", "x+y",
    "%2F", "%00", "x%20",
})  # fmt: skip


async def test_no_two_ids_touch_each_other(async_store: AsyncBaseStore) -> None:
    for number, id in enumerate(HOSTILE):
        session = async_store.session(id)
        await session.add_messages([{"n": number}, {"own": id}])
        await session.set("own", id)
    for number, id in enumerate(HOSTILE):
        session = async_store.session(id)
        assert await session.get_messages() == [{"n": number}, {"own": id}]
        assert await session.metadata() == {"own": id}
    for number, id in enumerate(HOSTILE):
        session = async_store.session(id)
        if number % 4 == 0:
            await session.clear()
        elif number % 4 == 1:
            await session.pop_message()
        elif number % 4 == 2:
            await session.delete()
        else:
            await session.import_data({**await session.export(), "messages": [], "metadata": {"imported": id}})
    for number, id in enumerate(HOSTILE):
        session = async_store.session(id)
        messages, metadata = await session.get_messages(), await session.metadata()
        if number % 4 == 0:
            assert (messages, metadata) == ([], {"own": id})
        elif number % 4 == 1:
            assert (messages, metadata) == ([{"n": number}], {"own": id})
        elif number % 4 == 2:
            assert (messages, metadata) == ([], {})
        else:
            assert (messages, metadata) == ([], {"imported": id})
    listed = [info.id for info in await async_store.list_sessions(limit=1000)]
    assert listed == [id for number, id in enumerate(HOSTILE) if number % 4 != 2]


@pytest.mark.parametrize(
    "id", ["", None, 5, b"x", "a\x00", "\n", "\x7f", "\x85", "\ud800", "x\udfff", "a" * 513, "😀" * 129]
)
async def test_bad_ids_are_refused_before_any_io(async_store: AsyncBaseStore, id: Any) -> None:
    with pytest.raises(ValidationError, match="session_id"):
        async_store.session(id)
    with pytest.raises(ValidationError, match="session_id"):
        await async_store.delete_session(id)


async def test_listing_is_in_byte_order_and_pages(async_store: AsyncBaseStore) -> None:
    ids = ["a", "B", "b", "ba", "b%", "é", "zz", "\U0001f600", "\uffff"]
    for id in ids:
        await async_store.session(id).add_message("user", "x")
    ordered = sorted(ids, key=str.encode)
    assert [info.id for info in await async_store.list_sessions()] == ordered
    paged: list[str] = []
    while page := await async_store.list_sessions(after=paged[-1] if paged else None, limit=2):
        assert len(page) <= 2
        paged += [info.id for info in page]
    assert paged == ordered
    assert [info.id for info in await async_store.list_sessions("b")] == ["b", "b%", "ba"]
    assert [info.id for info in await async_store.list_sessions("b%")] == ["b%"]
    assert [info.id for info in await async_store.list_sessions("b", after="b", limit=1)] == ["b%"]
    assert [info.id for info in await async_store.list_sessions("b", after="a")] == ["b", "b%", "ba"]
    assert await async_store.list_sessions("b", after="c") == []
    assert await async_store.list_sessions("nothing") == []
    assert await async_store.list_sessions(limit=0) == []


async def test_listing_describes_sessions(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    first = await session.add_message("user", "a")
    await session.add_message("user", "b")
    (info,) = await async_store.list_sessions()
    assert (info.id, info.message_count) == ("s", 2)
    assert info.created_at == first.created_at
    assert info.updated_at >= info.created_at
    assert info.created_at.tzinfo is not None
    await session.pop_message()
    assert (await async_store.list_sessions())[0].message_count == 1


async def test_bad_listing_arguments_are_refused(async_store: AsyncBaseStore) -> None:
    bad_limits: list[Any] = [-1, True, 1.0, None]
    for limit in bad_limits:
        with pytest.raises(ValidationError, match="limit"):
            await async_store.list_sessions(limit=limit)
    bad_texts: list[Any] = [5, b"x", "\ud800", "a\x00"]
    for text in bad_texts:
        with pytest.raises(ValidationError, match="prefix"):
            await async_store.list_sessions(text)
        with pytest.raises(ValidationError, match="after"):
            await async_store.list_sessions(after=text)


async def test_delete_session_removes_one(async_store: AsyncBaseStore) -> None:
    for id in ("a", "b"):
        await async_store.session(id).set("key", id)
    await async_store.delete_session("a")
    await async_store.delete_session("a")
    assert [info.id for info in await async_store.list_sessions()] == ["b"]
    assert await async_store.session("b").metadata() == {"key": "b"}
