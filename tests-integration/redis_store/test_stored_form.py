"""What is stored is public, and every way of damaging it is found out."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha1
from typing import Any

import pytest

from openstackai_sessions_core import (
    BackendError,
    ConflictError,
    CorruptDataError,
    Message,
    SchemaVersionError,
    Session,
)
from openstackai_sessions_core.backend import AsyncBaseStore, NewMessage, Operation
from openstackai_sessions_redis import RedisStore
from openstackai_sessions_redis._keys import bucket_of, session_keys
from redis_store.conftest import RedisPlace

OP = "01932222-0000-7000-8000-000000000000"


def keys_of(place: RedisPlace) -> dict[str, str]:
    """The keys of the place without its prefix and tag, with their types."""
    with place.client() as client:
        keys = client.scan_iter(f"{place.prefix}:*", count=1000)
        return {key.decode().partition("}:")[2]: client.type(key).decode() for key in keys}


def key(place: RedisPlace, kind: str, id: str = "s") -> str:
    with place.client() as client:
        found = [key.decode() for key in client.scan_iter(f"{place.prefix}:*:{kind}:{id}", count=1000)]
    assert len(found) == 1, found
    return str(found[0])


def test_the_stored_form(place: RedisPlace, store: RedisStore) -> None:
    session = store.session("s", ttl=100)
    first = session.add_message("user", "héllo", op_id=OP)
    second = session.add_message("user", "x", id="my id")
    session.set("theme", {"dark": True})
    assert keys_of(place) == {
        "state:s": "string",
        "log:s": "list",
        "metadata:s": "hash",
        "ids:s": "hash",
        "ops:s": "hash",
        "index": "zset",
        "deadlines": "zset",
    }
    with place.client() as client:
        created = round(first.created_at.timestamp() * 1e6)
        at_second = round(second.created_at.timestamp() * 1e6)
        state = client.get(key(place, "state")).decode().split(" ")
        life, updated = state[1], state[10]
        assert state == ["1", life, "3", "0", "2", "0", "18", "1", "-", str(created), updated, "100000000"]
        elements = client.lrange(key(place, "log"), 0, -1)
        payload = '{"role":"user","content":"héllo"}'.encode()
        assert (
            elements[0]
            == f"1 {created} {sha1(payload, usedforsecurity=False).hexdigest()[:8]} {first.id}\n".encode() + payload
        )
        assert elements[1].partition(b"\n")[0].split(b" ", 3)[3] == b"my id"
        assert elements[1].startswith(f"2 {at_second} ".encode())
        assert client.hgetall(key(place, "metadata")) == {b"theme": b'{"dark":true}'}
        assert client.hgetall(key(place, "ids")) == {b"my id": b"2"}
        ledger = client.hgetall(key(place, "ops"))
        assert ledger[b""] == f"{created} 600000000 0".encode()
        assert ledger[OP.encode()][16:] == f"{created} +1 {created}\n{first.id}".encode()
        index = key(place, "state").replace("state:s", "index")
        assert client.zrange(index, 0, -1, withscores=True) == [(b"s", 0.0)]
        deadline = client.zscore(index.replace("index", "deadlines"), "s")
        for kind in ("state", "log", "metadata", "ids"):
            assert client.execute_command("PTTL", key(place, kind)) == pytest.approx(
                deadline - time.time() * 1000, abs=2_000
            )
        assert deadline == pytest.approx(int(updated) / 1000 + 100_000, abs=1)
        assert 600_000 < client.pttl(key(place, "ops")) <= 1_200_000


def test_what_is_deleted_leaves_only_its_ledger(place: RedisPlace, store: RedisStore) -> None:
    session = store.session("s", ttl=100)
    session.add_messages([{"n": 1}, {"n": 2}], ids=["a", None])
    session.set("k", 1)
    session.delete()
    assert keys_of(place) == {"ops:s": "hash"}


def test_what_has_expired_leaves_the_index_at_listing_purge_and_neighbouring_writes(
    place: RedisPlace, store: RedisStore
) -> None:
    def indexed() -> set[str]:
        with place.client() as client:
            keys = list(client.scan_iter(f"{place.prefix}:*:index", count=1000))
            return {id.decode() for one in keys for id in client.zrange(one, 0, -1)}

    for number in range(20):
        store.session(f"s{number}", ttl=0.05).add_message("user", "x")
    store.session("stays").set("k", 1)
    assert len(indexed()) == 21
    time.sleep(0.2)
    assert store.purge_expired() == 20
    assert indexed() == {"stays"}
    assert set(keys_of(place)) - {f"ops:s{number}" for number in range(20)} == {
        "state:stays", "metadata:stays", "ops:stays", "index"
    }  # fmt: skip
    store.session("a", ttl=0.05).add_message("user", "x")
    time.sleep(0.2)
    assert [info.id for info in store.list_sessions()] == ["stays"]
    assert indexed() == {"stays"}
    # Writes to the same bucket, one in eight of which looks.
    neighbours = [f"n{n}" for n in range(20_000) if bucket_of(f"n{n}".encode()) == bucket_of(b"gone")]
    store.session("gone", ttl=0.05).add_message("user", "x")
    time.sleep(0.2)
    for _ in range(200):
        store.session(neighbours[0]).add_message("user", "x")
        if "gone" not in indexed():
            break
    assert indexed() == {"stays", neighbours[0]}


def test_an_auto_made_id_that_a_caller_gives_is_known(place: RedisPlace, store: RedisStore) -> None:
    session = store.session("s")
    messages = session.add_messages([{"n": number} for number in range(5)])
    assert "ids:s" not in keys_of(place), "the library's own ids are not indexed"
    again = session.add_message("user", "new", id="other")
    assert keys_of(place)["ids:s"] == "hash"
    with place.client() as client:
        assert client.hlen(key(place, "ids")) == 1
    assert session.add_messages([{"n": 3}], ids=[messages[3].id]) == [messages[3]]
    with pytest.raises(ConflictError, match="another content"):
        session.add_messages([{"n": 4}], ids=[messages[3].id])
    # From now on every id is indexed, also of what is added without one.
    later = session.add_message("user", "later")
    assert session.add_messages([dict(later)], ids=[later.id]) == [later]
    with place.client() as client:
        assert client.hlen(key(place, "ids")) == 7
    session.pop_message()
    assert session.add_messages([dict(later)], ids=[later.id])[0].position > later.position
    session.clear()
    assert "ids:s" not in keys_of(place)
    fresh = session.add_messages([dict(messages[0])], ids=[messages[0].id])
    assert session.get_messages() == fresh != []
    assert again not in session.get_messages()


def test_many_ids_are_indexed_in_steps(store: RedisStore) -> None:
    session = store.session("s")
    messages: list[Message] = []
    for _ in range(3):
        messages += session.add_messages([{"n": number} for number in range(5_000)])
    for index in (0, 7_000, 14_999):
        assert session.add_messages([dict(messages[index])], ids=[messages[index].id]) == [messages[index]]
    assert session.count() == 15_000


def test_positions_go_on_over_gaps_and_imports(store: RedisStore) -> None:
    session = store.session("s")
    kept: list[Message] = []
    for number in range(120):
        message = session.add_message("user", number)
        if number % 3 == 0:
            session.pop_message()
        else:
            kept.append(message)
    assert session.get_messages() == kept
    for before in range(1, 125):
        expected = [message for message in kept if message.position < before]
        assert session.get_messages(5, before=before) == expected[-5:]
        assert session.get_messages(before=before) == expected
    newest = kept[-1].position
    session.import_data(session.export())
    positions = [message.position for message in session.get_messages()]
    assert positions[0] > newest
    assert positions == list(range(positions[0], positions[0] + len(kept)))
    assert session.get_messages(3, before=positions[10])[-1].position == positions[9]
    for id in (kept[0].id, kept[-1].id):
        at = [message.id for message in session.get_messages()].index(id)
        assert session.add_messages([session.get_messages()[at]], ids=[id])[0].position == positions[at]
    assert [message.position for message in session.iter_messages(page_size=7)] == positions
    assert session.add_message("user", "next").position == positions[-1] + 1


@pytest.mark.parametrize("mode", ["replace", "append"])
def test_a_big_import_is_staged_and_swapped(place: RedisPlace, store: RedisStore, mode: Any) -> None:
    source = store.session("source")
    for _ in range(3):
        source.add_messages([{"n": number} for number in range(5_000)], ids=[f"{_} {n}" for n in range(5_000)])
    document = source.export()
    target = store.session("target", ttl=1000)
    target.add_message("user", "before", id="1 17" if mode == "replace" else "before")
    target.import_data(document, mode=mode, op_id="import")
    target.import_data(document, mode=mode, op_id="import")
    expected = source.get_messages()
    assert target.get_messages(15_000) == expected
    assert target.count() == 15_000 + (mode == "append")
    target.import_data(document, mode="append")
    assert target.count() == 15_000 + (mode == "append"), "every message is known"
    assert not [name for name in keys_of(place) if name.startswith("staged")]
    with place.client() as client:
        for kind in ("state", "log", "ids"):
            assert 900_000 < client.pttl(key(place, kind, "target")) <= 1_000_000
    with pytest.raises(ConflictError):
        target.add_messages([{"n": "other"}], ids=["2 4999"])


def test_a_long_log_is_read_in_pages_as_one(store: RedisStore) -> None:
    session = store.session("s")
    for number in range(6):
        session.add_messages([{"n": number, "text": "x" * 4_000} for _ in range(1_000)])
    messages = session.get_messages()
    assert len(messages) == 6_000
    assert [message.position for message in messages] == list(range(1, 6_001))
    assert len(session.export()["messages"]) == 6_000  # type: ignore[arg-type]
    assert session.get_messages(4_000, before=5_000)[0].position == 1_000
    assert [message.position for message in session.iter_messages(page_size=5_000)] == list(range(1, 6_001))


def test_reading_in_pages_is_not_torn_by_pops(store: RedisStore) -> None:
    for _ in range(4):
        store.session("s").add_messages([{"text": "x" * 9_000} for _ in range(1_000)])

    def disturb(_: int) -> None:
        session = store.session("s")
        for _ in range(60):
            session.pop_message()
            session.add_message("user", "y")

    with ThreadPoolExecutor(3) as pool:
        working = [pool.submit(disturb, number) for number in range(2)]
        while not all(one.done() for one in working):
            messages = store.session("s").get_messages()
            positions = [message.position for message in messages]
            assert positions == sorted(set(positions))
            assert 3_998 <= len(messages) <= 4_000
        for one in working:
            one.result()


# -- Damage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [b"{", b"\xff\xfe", b"[1]", b'{"a":NaN}', b"", b'{"a":"\xff"}'])
def test_a_payload_that_cannot_be_read_is_named_and_never_popped(
    place: RedisPlace, store: RedisStore, bad: bytes
) -> None:
    session = store.session("s")
    session.add_messages([{"n": 1}, {"n": 2}, {"n": 3}])
    with place.client() as client:
        element = client.lindex(key(place, "log"), -1)
        client.lset(key(place, "log"), -1, element.partition(b"\n")[0] + b"\n" + bad)
    for call in (session.get_messages, session.pop_message, lambda: list(session.iter_messages()), session.export):
        with pytest.raises(CorruptDataError) as caught:
            call()
        assert caught.value.position == 3
    assert session.count() == 3
    assert session.get_messages(2, before=3) == [{"n": 1}, {"n": 2}]
    assert session.add_message("user", "x").position == 4
    assert session.pop_message() == {"role": "user", "content": "x"}


async def test_a_payload_that_cannot_be_read_is_never_popped_async(
    place: RedisPlace, async_store: AsyncBaseStore
) -> None:
    session = async_store.session("s")
    await session.add_messages([{"n": 1}])
    with place.client() as client:
        client.lset(key(place, "log"), -1, client.lindex(key(place, "log"), -1) + b"\xff")
    with pytest.raises(CorruptDataError) as caught:
        await session.pop_message()
    assert caught.value.position == 1
    with pytest.raises(CorruptDataError):
        await session.get_messages()


@pytest.mark.parametrize(
    ("field", "bad", "readable"),
    [(0, b"+2", False), (1, b"1_0", False), (2, b"g", True), (2, b"", True), (3, b"\xff", False)],
)
def test_a_damaged_record_is_popped_where_it_can_be_read_and_else_stays(
    place: RedisPlace, store: RedisStore, field: int, bad: bytes, readable: bool
) -> None:
    session = store.session("s")
    session.add_messages([{"n": 1}, {"n": 2}])
    with place.client() as client:
        head, _, data = client.lindex(key(place, "log"), -1).partition(b"\n")
        fields = head.split(b" ")
        fields[field] = bad
        client.lset(key(place, "log"), -1, b" ".join(fields) + b"\n" + data)
    if readable:
        assert session.pop_message() == {"n": 2}
        assert session.count() == 1
    else:
        with pytest.raises(CorruptDataError):
            session.pop_message()
        assert session.count() == 2


def test_a_message_whose_id_is_not_ascii_can_be_popped(store: RedisStore) -> None:
    session = store.session("s")
    session.add_message("user", "x", id="grüß 🙂")
    popped = session.pop_message(op_id="pop")
    assert popped is not None
    assert popped.id == "grüß 🙂"
    assert session.pop_message(op_id="pop") == popped
    assert session.count() == 0


def test_a_payload_that_somebody_mended_can_be_popped(place: RedisPlace, store: RedisStore) -> None:
    session = store.session("s")
    message = session.add_message("user", "tpyo")
    with place.client() as client:
        element = client.lindex(key(place, "log"), -1)
        client.lset(key(place, "log"), -1, element.replace(b"tpyo", b"typo"))
    popped = session.pop_message(op_id="pop")
    assert popped == {"role": "user", "content": "typo"}
    assert popped.position == message.position
    assert session.pop_message(op_id="pop") == popped
    assert session.count() == 0


@pytest.mark.parametrize("garbage", [b"garbage", b"", b"x y z w\n{}", b"\xff\n\xff"])
def test_what_is_no_record_is_named(place: RedisPlace, store: RedisStore, garbage: bytes) -> None:
    session = store.session("s")
    session.add_messages([{"n": 1}, {"n": 2}, {"n": 3}])
    with place.client() as client:
        client.lset(key(place, "log"), 1, garbage)
    with pytest.raises(CorruptDataError) as caught:
        session.get_messages()
    assert caught.value.position == 2
    with pytest.raises(CorruptDataError):
        list(session.iter_messages())
    assert session.get_messages(1) == [{"n": 3}]
    assert session.pop_message() == {"n": 3}
    with pytest.raises(CorruptDataError):
        session.pop_message()
    assert session.count() == 2


@pytest.mark.parametrize("kind", ["state", "log", "metadata", "ids"])
def test_a_session_that_lost_a_key_says_so_until_it_is_deleted(place: RedisPlace, store: RedisStore, kind: str) -> None:
    session = store.session("s")
    session.add_messages([{"n": 1}, {"n": 2}], ids=["a", "b"])
    session.set("k", 1)
    document = session.export()
    with place.client() as client:
        client.delete(key(place, kind))
    calls: dict[str, list[Any]] = {
        "metadata": [session.metadata, lambda: session.set("l", 1), session.export],
        "ids": [lambda: session.add_messages([{"n": 1}], ids=["a"])],
    }
    both = [
        session.get_messages, session.count, session.pop_message, session.metadata, session.export,
        lambda: session.add_message("user", "x"), lambda: session.set("k", 2),
        lambda: session.import_data(document, mode="append"), lambda: list(session.iter_messages()),
    ]  # fmt: skip
    for call in calls.get(kind, both):
        with pytest.raises(CorruptDataError, match="maxmemory-policy"):
            call()
    session.delete()
    assert session.export()["messages"] == []
    session.add_message("user", "anew")
    assert session.get_messages() == [{"role": "user", "content": "anew"}]
    assert session.metadata() == {}


def test_importing_over_a_damaged_session_mends_it(place: RedisPlace, store: RedisStore) -> None:
    session = store.session("s")
    session.add_messages([{"n": 1}, {"n": 2}])
    document = session.export()
    with place.client() as client:
        client.delete(key(place, "log"))
    session.import_data(document)
    assert session.get_messages() == [{"n": 1}, {"n": 2}]


def test_a_state_of_a_newer_layout_is_left_alone(place: RedisPlace, store: RedisStore) -> None:
    session = store.session("s")
    session.add_message("user", "x")
    with place.client() as client:
        name = key(place, "state")
        newer = b"2" + client.get(name)[1:] + b" more"
        client.set(name, newer)
        before = {one: client.dump(one) for one in client.scan_iter(f"{place.prefix}:*")}
        calls: list[Any] = [
            session.get_messages, session.count, session.pop_message, session.metadata, session.export, session.clear,
            session.delete, lambda: session.add_message("user", "x"), lambda: session.set("k", 2),
            lambda: session.import_data({"format": "openstackai-session", "version": 1, "session_id": "x",
                                         "created_at": None, "messages": [], "metadata": {}}),
            store.list_sessions,
        ]  # fmt: skip
        for call in calls:
            with pytest.raises(SchemaVersionError):
                call()
        assert {one: client.dump(one) for one in client.scan_iter(f"{place.prefix}:*")} == before


KINDS = ["state", "log", "metadata", "ids", "ops", "index", "deadlines"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_foreign_key_under_one_of_our_names_never_tears_a_write(
    place: RedisPlace, store: RedisStore, kind: str
) -> None:
    """Whatever fails has written nothing."""

    def writes(session: Session) -> list[Any]:
        return [
            lambda: session.add_messages([{"n": 1}, {"n": 2}], ids=["a", None]),
            lambda: session.add_message("user", "x"),
            lambda: session.set("k", 1),
            session.pop_message,
            lambda: session.remove("k"),
            session.clear,
            session.delete,
            lambda: session.import_data(document, mode="append"),
        ]

    source = store.session("source")
    source.add_messages([{"n": 5}], ids=["five"])
    source.set("k", 1)
    document = source.export()
    for begun in (False, True):
        for number in range(8):
            id = f"{begun} {number}"
            session = store.session(id, ttl=100)
            if begun:
                session.add_messages([{"n": 1}], ids=["z"])
                session.set("k", 0)
            with place.client() as client:
                names = session_keys(place.prefix, id.encode())
                name = dict(
                    zip(["state", "log", "metadata", "ids", "ops", "", "index", "deadlines"], names, strict=True)
                )[kind]
                kept = client.dump(name)
                client.delete(name)
                client.xadd(name, {"foreign": "1"})
                before = {one: client.dump(one) for one in names}
                try:
                    writes(session)[number]()
                except (BackendError, CorruptDataError):
                    after = {one: client.dump(one) for one in names}
                    assert after == before, (id, kind)
                client.delete(name)
                if kept is not None:
                    client.restore(name, 0, kept, replace=True)


# -- The ledger -------------------------------------------------------------------------------------------------------


def test_the_ledger_forgets_by_time_and_handles_may_differ_in_it(place: RedisPlace) -> None:
    """The primitives, with times that no public setting allows."""
    with place.open() as store:
        append = store.append

        def add(op: str, kept_for: float) -> bool:
            store._op_id_ttl = round(kept_for * 1_000_000)
            message = NewMessage("01932222-0000-7000-8000-000000000001", b"{}", given=False)
            return append("s", Operation(op, b"d" * 16), [message], ttl=None).repeated

        assert not add("long", 3)
        for number in range(8):
            assert not add(f"short {number}", 0.2)
            assert add(f"short {number}", 0.2)
            time.sleep(0.15)
        assert not add("short 0", 0.2), "forgotten"
        assert add("long", 3), "remembered through all that"
        time.sleep(2.2)
        assert not add("long", 3)
        with place.client() as client:
            assert 0 < client.pttl(key(place, "ops")) <= 9_000
        assert not add("one", 0.3)
        time.sleep(0.35)
        assert not add("one", 0.3), "the age is looked at, not only the turn of the hashes"
