"""Export and import: the whole session, exactly, in one step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from openstackai_sessions_core import (
    ConflictError,
    ImportFormatError,
    LimitExceededError,
    Limits,
    ValidationError,
    document_schema,
)
from openstackai_sessions_core.backend import AsyncBaseStore
from places import Place

TIME = "2026-01-02T03:04:05.000006Z"


def document(*messages: object, **changes: object) -> dict[str, object]:
    return {
        "format": "openstackai-session",
        "version": 1,
        "session_id": "elsewhere",
        "created_at": TIME,
        "messages": list(messages),
        "metadata": {},
        **changes,
    }


def message(id: str, **data: object) -> dict[str, object]:
    return {"id": id, "created_at": TIME, "data": data}


async def test_import_of_export_equals(async_store: AsyncBaseStore) -> None:
    session, other = async_store.session("s"), async_store.session("t")
    await session.add_messages([{"n": index} for index in range(20)], ids=["given", *[None] * 19])
    await session.update({"b": 1, "a": None})
    exported = await session.export()
    jsonschema.validate(exported, document_schema())
    assert exported["session_id"] == "s"
    await other.import_data(exported)
    again = await other.export()
    assert again == {**exported, "session_id": "t"}
    assert [(m.id, m.created_at, m) for m in await other.get_messages()] == [
        (m.id, m.created_at, m) for m in await session.get_messages()
    ]
    (_, info) = await async_store.list_sessions()
    assert info.created_at == (await async_store.list_sessions())[0].created_at
    await other.import_data(exported)
    assert await other.export() == again


async def test_export_of_nothing(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    exported = await session.export()
    assert exported == document(session_id="s", created_at=None)
    jsonschema.validate(exported, document_schema())
    await session.import_data(exported)
    assert await async_store.list_sessions() == []


async def test_replace_replaces_and_positions_go_on(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    old = await session.add_messages([{"old": 1}, {"old": 2}])
    await session.update({"old": 1})
    await session.import_data(document(message("a", n=1), message("b", n=2), metadata={"new": 1}))
    messages = await session.get_messages()
    assert [(m.id, dict(m)) for m in messages] == [("a", {"n": 1}), ("b", {"n": 2})]
    assert messages[0].position > old[1].position
    assert messages[0].created_at.isoformat() == "2026-01-02T03:04:05.000006+00:00"
    assert await session.metadata() == {"new": 1}
    assert (await session.export())["created_at"] == TIME
    assert (await async_store.list_sessions())[0].message_count == 2


async def test_append_keeps_what_is_there(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    await session.add_message("user", "old")
    await session.update({"a": 1, "b": 1})
    created = (await session.export())["created_at"]
    more = document(message("x", n=1), message("y", n=2), metadata={"b": 2})
    for _ in range(2):
        await session.import_data(more, mode="append")
        assert await session.get_messages() == [{"role": "user", "content": "old"}, {"n": 1}, {"n": 2}]
        assert await session.metadata() == {"a": 1, "b": 2}
    assert (await session.export())["created_at"] == created
    with pytest.raises(ConflictError, match="y"):
        await session.import_data(document(message("z", n=0), message("y", n=3)), mode="append")
    assert await session.count() == 3


async def test_imported_ids_are_known(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    await session.import_data(document(message("x", n=1)))
    (again,) = await session.add_messages([{"n": 1}], ids=["x"])
    assert again.position == (await session.get_messages())[0].position
    assert await session.count() == 1


async def test_text_and_bytes_are_read_like_a_dict(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    source = document(message("a", n=[1, 1.0, "é\ud800"]), metadata={"k": "v"})
    for text in (
        json.dumps(source),
        json.dumps(source).encode(),
        json.dumps(source, indent=2),
        json.dumps(dict(reversed(source.items()))),
        b"\xef\xbb\xbf" + json.dumps(source).encode(),
        f" \n{json.dumps(source)}\t ",
    ):
        await session.delete()
        await session.import_data(text)
        assert {**await session.export(), "session_id": "elsewhere"} == source


async def test_other_forms_of_time_are_read(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    for time in (
        "2026-01-02T03:04:05.000006+00:00",
        "2026-01-02t05:04:05.000006+02:00",
        "2026-01-01T22:04:05.000006-05:00",
    ):
        await session.import_data(document({"id": "a", "created_at": time, "data": {}}, created_at=time))
        assert (await session.export())["created_at"] == TIME


DEEP = "[" * 5000 + "]" * 5000
GOOD = json.dumps(document(message("a", n=1)))
FAULTS: list[tuple[Any, str]] = [
    (None, r"\$: a document is"), (5, r"\$: a document is"), ([], r"\$: a document is"), ((), r"\$: a document is"),
    ("", r"\$: not a JSON object"), (b"", r"\$: not"), ("null", r"\$: not"), ("[]", r"\$: not"), ("{", r"\$"),
    ("{}", r"\$.format"), ({}, r"\$.format"), (b"\x80\x04\x95\x00K\x01.", r"\$: not UTF-8"), ("\x00", r"\$"),
    (GOOD[:-1], r"\$"), (GOOD + "x", r"\$: text after"), (GOOD + GOOD, r"\$: text after"),
    (GOOD.replace('"n": 1', '"n": NaN'), r"\$.messages\[0\].data.n: NaN"),
    (GOOD.replace('"n": 1', '"n": -Infinity'), r"\$.messages\[0\].data.n"),
    (GOOD.replace('"n": 1', '"n": 1e999'), r"\$.messages\[0\].data.n"),
    (GOOD.replace('"n": 1', '"n": 1, "n": 2'), r"\$.messages\[0\].data: the key 'n' stands twice"),
    (GOOD.replace('"n": 1', '"n": {"x": 1, "x": 1}'), r"\$.messages\[0\].data.n: the key 'x'"),
    (GOOD.replace('"id": "a"', '"id": "a", "id": "b"'), r"\$.messages\[0\]: the key 'id'"),
    (GOOD.replace('"version": 1', '"version": 1, "version": 1'), r"\$: the key 'version'"),
    (GOOD.replace('"n": 1', f'"n": {DEEP}'), r"\$.messages\[0\]"),
    (GOOD.replace('"n": 1', '"n": ' + "9" * 1_000_000), r"\$.messages\[0\].data.n"),
    (GOOD.replace('"n": 1', '"n": 9223372036854775808'), r"\$.messages\[0\].data.n"),
    (GOOD.replace('"n": 1', '"n": tru'), r"\$.messages\[0\]"),
    (GOOD.replace('"metadata": {}', '"metadata": {"k": NaN}'), r"\$.metadata.k"),
    (GOOD.replace('"metadata": {}', '"metadata": {"k": 1, "k": 1}'), r"\$.metadata: the key 'k'"),
    (document(format="other"), r"\$.format"), (document(version=2), r"\$.version: 2 is newer"),
    (document(version=0), r"\$.version"), (document(version=True), r"\$.version"),
    (document(version=1.0), r"\$.version"), (document(version="1"), r"\$.version"),
    (document(version=10**400), r"\$.version"), ({**document(), "extra": 1}, "'extra' is not a field"),
    (document(session_id=None), r"\$.session_id"), (document(session_id="\n"), r"\$.session_id"),
    (document(created_at=5), r"\$.created_at"), (document(created_at="yesterday"), r"\$.created_at"),
    (document(created_at="2026-13-01T00:00:00Z"), r"\$.created_at"),
    (document(created_at="0001-01-01T00:00:00+14:00"), r"\$.created_at"),
    (document({**message("a"), "created_at": "9999-12-31T23:59:59-00:01"}), r"\$.messages\[0\].created_at"),
    (document(created_at="2026-01-01T00:00:00"), r"\$.created_at"), (document(messages=None), r"\$.messages"),
    (document(messages={}), r"\$.messages"), (document(messages=()), r"\$.messages"),
    (document(5), r"\$.messages\[0\]"), (document(message("a"), None), r"\$.messages\[1\]"),
    (document(message("a"), message("a")), r"\$.messages\[1\].id: 'a' stands twice"),
    (document({"id": "a", "created_at": TIME}), r"\$.messages\[0\].data: is missing"),
    (document({"created_at": TIME, "data": {}}), r"\$.messages\[0\].id: is missing"),
    (document({**message("a"), "position": 1}), r"\$.messages\[0\]: 'position'"),
    (document({**message("a"), "id": 5}), r"\$.messages\[0\].id"),
    (document({**message("a"), "id": ""}), r"\$.messages\[0\].id"),
    (document({**message("a"), "id": "x" * 201}), r"\$.messages\[0\].id"),
    (document({**message("a"), "data": []}), r"\$.messages\[0\].data"),
    (document({**message("a"), "data": {"x": (1,)}}), r"\$.messages\[0\].data.x"),
    (document({**message("a"), "data": {1: 2}}), r"\$.messages\[0\].data"),
    (document({**message("a"), "created_at": None}), r"\$.messages\[0\].created_at"),
    (document(metadata=None), r"\$.metadata"), (document(metadata=[]), r"\$.metadata"),
    (document(metadata={"": 1}), r"\$.metadata"), (document(metadata={"a\n": 1}), r"\$.metadata"),
    (document(metadata={"a": {1}}), r"\$.metadata.a"), (document(metadata={1: 1}), r"\$.metadata"),
    (GOOD.replace('"n": 1', '"n": ' + "[" * 1_500 + "NaN" + "]" * 1_500), r"\$.messages\[0\]"),
    (document(version=[10**5000]), r"\$.version"), (document(created_at=[10**5000]), r"\$.created_at"),
    ({**document(), (10**5000,): 1}, r"\$: a tuple is not a field"),
    (document(created_at="0001-01-01T00:00:00+00:01"), r"\$.created_at"),
    (document(created_at="9999-12-31T23:59:59-00:01"), r"\$.created_at"),
    (document({**message("a"), "created_at": "9999-12-31T23:59:59-23:59"}), r"\$.messages\[0\].created_at"),
]  # fmt: skip


async def test_faulty_documents_change_nothing(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    await session.add_message("user", "kept")
    await session.set("key", "kept")
    before = await session.export()
    for fault, path in FAULTS:
        with pytest.raises(ImportFormatError, match=path):
            await session.import_data(fault)
    missing = document()
    for name in missing:
        with pytest.raises(ImportFormatError, match=rf"\$.{name}"):
            await session.import_data({key: value for key, value in missing.items() if key != name})
    assert await session.export() == before


async def test_a_bad_mode_is_refused(async_store: AsyncBaseStore) -> None:
    mode: Any = "merge"
    with pytest.raises(ValidationError, match="mode"):
        await async_store.session("s").import_data(document(), mode=mode)


async def test_import_limits(place: Place) -> None:
    store = place.open_async(
        limits=Limits(import_messages=3, message_bytes=20, metadata_value_bytes=10, metadata_bytes=12)
    )
    session = store.session("s")
    await session.import_data(document(*[message(str(index)) for index in range(3)]))
    for too_large in (
        document(*[message(str(index)) for index in range(4)]),
        document(message("a", text="x" * 20)),
        document(metadata={"a": "x" * 9}),
        document(metadata={"a": "x" * 4, "b": "x" * 4}),
    ):
        for form in (too_large, json.dumps(too_large)):
            with pytest.raises(ImportFormatError):
                await session.import_data(form)
            with pytest.raises(LimitExceededError):
                await session.import_data(form)
    assert await session.count() == 3
    await store.close()


async def test_a_large_import_is_one_step(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    await session.add_messages([{"old": 1}] * 3)
    await session.import_data(document(*[message(f"m{index}", n=index) for index in range(25_000)]))
    assert await session.count() == 25_000
    assert [m["n"] for m in await session.get_messages(2)] == [24_998, 24_999]
    positions = [m.position async for m in session.iter_messages()]
    assert positions == sorted(set(positions))
    assert positions[0] > 3
    assert (await session.add_message("user", "next")).position > positions[-1]


async def test_golden_documents_still_import(async_store: AsyncBaseStore) -> None:
    golden = Path(__file__).with_name("golden").joinpath("session-v1.json").read_bytes()
    session = async_store.session("s")
    await session.import_data(golden)
    assert {**await session.export(), "session_id": "golden"} == json.loads(golden)
