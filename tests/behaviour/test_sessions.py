# Written by tools/twins.py from test_async_sessions.py: edit that file, then run `make twins`.
"""Many sessions in one store: isolation, listing, deleting."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest

from openstackai_sessions_core import ValidationError
from openstackai_sessions_core.backend import BaseStore

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


def test_no_two_ids_touch_each_other(store: BaseStore) -> None:
    for number, id in enumerate(HOSTILE):
        session = store.session(id)
        session.add_messages([{"n": number}, {"own": id}])
        session.set("own", id)
    for number, id in enumerate(HOSTILE):
        session = store.session(id)
        assert session.get_messages() == [{"n": number}, {"own": id}]
        assert session.metadata() == {"own": id}
    for number, id in enumerate(HOSTILE):
        session = store.session(id)
        if number % 4 == 0:
            session.clear()
        elif number % 4 == 1:
            session.pop_message()
        elif number % 4 == 2:
            session.delete()
        else:
            session.import_data({**session.export(), "messages": [], "metadata": {"imported": id}})
    for number, id in enumerate(HOSTILE):
        session = store.session(id)
        messages, metadata = session.get_messages(), session.metadata()
        if number % 4 == 0:
            assert (messages, metadata) == ([], {"own": id})
        elif number % 4 == 1:
            assert (messages, metadata) == ([{"n": number}], {"own": id})
        elif number % 4 == 2:
            assert (messages, metadata) == ([], {})
        else:
            assert (messages, metadata) == ([], {"imported": id})
    listed = [info.id for info in store.list_sessions(limit=1000)]
    assert listed == [id for number, id in enumerate(HOSTILE) if number % 4 != 2]


@pytest.mark.parametrize(
    "id", ["", None, 5, b"x", "a\x00", "\n", "\x7f", "\x85", "\ud800", "x\udfff", "a" * 513, "😀" * 129]
)
def test_bad_ids_are_refused_before_any_io(store: BaseStore, id: Any) -> None:
    with pytest.raises(ValidationError, match="session_id"):
        store.session(id)
    with pytest.raises(ValidationError, match="session_id"):
        store.delete_session(id)


def test_listing_is_in_byte_order_and_pages(store: BaseStore) -> None:
    ids = ["a", "B", "b", "ba", "b%", "é", "zz", "\U0001f600", "\uffff"]
    for id in ids:
        store.session(id).add_message("user", "x")
    ordered = sorted(ids, key=str.encode)
    assert [info.id for info in store.list_sessions()] == ordered
    paged: list[str] = []
    while page := store.list_sessions(after=paged[-1] if paged else None, limit=2):
        assert len(page) <= 2
        paged += [info.id for info in page]
    assert paged == ordered
    assert [info.id for info in store.list_sessions("b")] == ["b", "b%", "ba"]
    assert [info.id for info in store.list_sessions("b%")] == ["b%"]
    assert [info.id for info in store.list_sessions("b", after="b", limit=1)] == ["b%"]
    assert [info.id for info in store.list_sessions("b", after="a")] == ["b", "b%", "ba"]
    assert store.list_sessions("b", after="c") == []
    assert store.list_sessions("nothing") == []
    assert store.list_sessions(limit=0) == []


def test_listing_describes_sessions(store: BaseStore) -> None:
    session = store.session("s")
    first = session.add_message("user", "a")
    session.add_message("user", "b")
    (info,) = store.list_sessions()
    assert (info.id, info.message_count) == ("s", 2)
    assert info.created_at == first.created_at
    assert info.updated_at >= info.created_at
    assert info.created_at.tzinfo is not None
    session.pop_message()
    assert (store.list_sessions())[0].message_count == 1


def test_bad_listing_arguments_are_refused(store: BaseStore) -> None:
    bad_limits: list[Any] = [-1, True, 1.0, None]
    for limit in bad_limits:
        with pytest.raises(ValidationError, match="limit"):
            store.list_sessions(limit=limit)
    bad_texts: list[Any] = [5, b"x", "\ud800", "a\x00"]
    for text in bad_texts:
        with pytest.raises(ValidationError, match="prefix"):
            store.list_sessions(text)
        with pytest.raises(ValidationError, match="after"):
            store.list_sessions(after=text)


def test_delete_session_removes_one(store: BaseStore) -> None:
    for id in ("a", "b"):
        store.session(id).set("key", id)
    store.delete_session("a")
    store.delete_session("a")
    assert [info.id for info in store.list_sessions()] == ["b"]
    assert store.session("b").metadata() == {"key": "b"}
