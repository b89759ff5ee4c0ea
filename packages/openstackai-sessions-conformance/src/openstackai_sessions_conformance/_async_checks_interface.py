"""A. Interface: what every call of a handle does, alone."""

from __future__ import annotations

import copy
import pickle
import time
from collections.abc import Awaitable, Callable
from datetime import timezone
from typing import Any

from openstackai_sessions_conformance._async_scene import AsyncScene, check
from openstackai_sessions_conformance._findings import refuses, require, same
from openstackai_sessions_conformance._harness import leave_out
from openstackai_sessions_conformance._views import document, entry, envelope, envelopes, require_signatures, whole
from openstackai_sessions_core import Message, SessionEvent, ValidationError

__all__ = ["AsyncInterfaceChecks"]


class AsyncInterfaceChecks:
    """The checks of group A."""

    @check(1, cause="a missing session is treated as an error, or a default row is made for it")
    async def test_001_a_fresh_session_is_empty(self, scene: AsyncScene) -> None:
        """A session that nobody has written to reads as empty, and reading does not make it exist."""
        session = scene.session()
        same(await session.get_messages(), [], "get_messages() of a fresh session")
        same(await session.get_messages(5), [], "get_messages(5) of a fresh session")
        same(await session.get_messages(before=7), [], "get_messages(before=7) of a fresh session")
        same(await session.pop_message(), None, "pop_message() of a fresh session")
        same(await session.metadata(), {}, "metadata() of a fresh session")
        same(await session.get("key"), None, "get('key') of a fresh session")
        same(await session.count(), 0, "count() of a fresh session")
        same([info.id for info in await scene.store.list_sessions()], [], "list_sessions() after reads alone")
        await session.clear()
        await session.remove("key")
        await session.delete()
        await scene.store.delete_session("s")
        exported = await session.export()
        same(exported["messages"], [], "the messages of the export of a fresh session")
        same(exported["created_at"], None, "created_at of the export of a fresh session")
        same(
            [info.id for info in await scene.store.list_sessions()], [], "list_sessions() after reads and no-ops alone"
        )

    @check(2, cause="the returned message is built from the arguments and not from what was stored")
    async def test_002_add_returns_the_message_with_its_envelope(self, scene: AsyncScene) -> None:
        """`add_message` returns the message as stored: object, id, position, created_at, role and content."""
        session = scene.session()
        fields: dict[str, Any] = {"name": "Alice", "tags": [1, {"a": None}], "tool_calls": [{"id": "c1", "args": "{}"}]}
        before = scene.place.clock() if scene.place.clock is not None else time.time()
        message = await session.add_message("user", "Hello", **fields)
        require(isinstance(message, Message), "add_message returns a Message", type(message).__name__)
        same(message, {"role": "user", "content": "Hello", **fields}, "the returned message")
        same((message.role, message.content), ("user", "Hello"), "role and content of the returned message")
        require(type(message.id) is str and message.id != "", "an id that is text", repr(message.id))
        require(type(message.position) is int and message.position >= 1, "a position >= 1", repr(message.position))
        require(
            message.created_at.tzinfo is timezone.utc, "created_at to be aware and in UTC", repr(message.created_at)
        )
        away = abs(message.created_at.timestamp() - before)
        # A server's clock is its own; but a wrong unit or a wrong zone by most of a day shows.
        most = 60 if scene.place.clock is not None else 86_400
        require(away < most, "created_at to be the store's time now", f"{message.created_at}, {away:.0f} s away")
        batch = await session.add_messages([{"n": 1}, {"n": 2}, {}])
        same(batch, [{"n": 1}, {"n": 2}, {}], "the messages that add_messages returns")
        given = await session.add_message("user", "x", id="mine")
        same(given.id, "mine", "the id of a message whose id the caller gave")
        drawn = await session.add_messages({"drawn": number} for number in range(3))
        same(drawn, [{"drawn": 0}, {"drawn": 1}, {"drawn": 2}], "the messages that add_messages returns of a generator")
        read = await session.get_messages()
        same(whole(read), whole([message, *batch, given, *drawn]), "what is read, beside what the writes returned")
        ids = [m.id for m in read]
        require(len(set(ids)) == len(ids), "an id of its own for each message", ids)

    @check(3, cause="a cache in the handle or in the store, or a read from a replica or an old snapshot")
    async def test_003_reads_see_writes_on_every_handle(self, scene: AsyncScene) -> None:
        """A write that has returned is seen by every read that follows, on this handle, others, and other stores."""
        one, two = scene.session(), scene.session()
        handles = {"the same handle": one, "a second handle": two, "a second store": scene.other()}
        for turn in range(3):
            await one.add_message("user", turn)
            await one.set("turn", turn)
            when = f"after write {turn + 1} on the first handle"
            for name, handle in handles.items():
                seen = [m.content for m in await handle.get_messages()]
                same(seen, list(range(turn + 1)), f"messages on {name} {when}")
                same(await handle.count(), turn + 1, f"count() on {name} {when}")
                same(await handle.get("turn"), turn, f"metadata on {name} {when}")
                newest = [m.content for m in await handle.get_messages(1)]
                same(newest, [turn], f"the newest message on {name} {when}")
        same(envelopes(await two.get_messages()), envelopes(await one.get_messages()), "envelopes on a second handle")
        await scene.other().pop_message()
        await scene.other().remove("turn")
        for name, handle in handles.items():
            same(await handle.count(), 2, f"count() on {name} after another store's pop")
            same(await handle.metadata(), {}, f"metadata() on {name} after another store's remove")
        # What a cache would take for unchanged: as many messages and keys as before.
        await scene.other().clear()
        await scene.other().add_messages([{"content": "other"}, {"content": "still other"}])
        await scene.other().set("k", 1)
        for name, handle in handles.items():
            same(
                [m.content for m in await handle.get_messages()],
                ["other", "still other"],
                f"messages on {name} after another store's clear and append",
            )
            same(await handle.metadata(), {"k": 1}, f"metadata() on {name} after another store's set")
        await scene.other().import_data(document(entry("a", content=1), entry("b", content=2), metadata={"k": 2}))
        for name, handle in handles.items():
            what = f"on {name} after another store's import"
            same([m.content for m in await handle.get_messages()], [1, 2], f"messages {what}")
            same([m.content for m in await handle.get_messages(1)], [2], f"the newest message {what}")
            same([await handle.metadata(), await handle.get("k")], [{"k": 2}, 2], f"metadata {what}")
        await scene.other().delete()
        for name, handle in handles.items():
            same(await handle.get_messages(), [], f"messages on {name} after another store's delete")
            same(await handle.metadata(), {}, f"metadata() on {name} after another store's delete")

    @check(3, cause="what was acknowledged is only in the memory of the store that wrote it")
    async def test_003_a_store_opened_anew_finds_everything(self, scene: AsyncScene) -> None:
        """What one store wrote is all there, byte for byte, for a store that is opened after the first was closed."""
        if scene.place.single:
            leave_out("the place has a single store, which cannot be opened anew")
        store = await scene.open()
        session = store.session("s")
        written = await session.add_messages([{"n": index, "x": [1, 1.0, "é\ud800"]} for index in range(7)])
        await session.add_message("user", "given", id="mine")
        await session.update({"a": 1, "b": None})
        before = await session.export()
        await store.close()
        again = (await scene.open()).session("s")
        same(await again.export(), before, "the export after closing and opening again")
        same(whole(await again.get_messages())[:7], whole(written), "the messages after closing and opening again")
        later = await again.add_message("user", "later")
        require(later.position > written[-1].position, "positions to go on", (later.position, written[-1].position))

    @check(4, cause="the empty batch is written like any other: it makes the session, or refreshes it")
    async def test_004_an_empty_batch_does_nothing(self, scene: AsyncScene) -> None:
        """`add_messages([])` and `update({})` return, and change and tell nothing."""
        session = scene.session()
        heard: list[object] = []
        for event in SessionEvent:
            session.on(event, lambda *arguments: heard.append(arguments))
        same(await session.add_messages([]), [], "add_messages([])")
        await session.update({})
        same([info.id for info in await scene.store.list_sessions()], [], "list_sessions() after empty batches")
        await session.add_message("user", "x")
        before = await scene.store.list_sessions()
        heard.clear()
        if scene.place.clock is not None:
            await scene.elapse(5)
        same(await session.add_messages([]), [], "add_messages([])")
        same(await session.add_messages(iter([])), [], "add_messages(iter([]))")
        await session.update({})
        same(heard, [], "events of empty batches")
        require(await scene.store.list_sessions() == before, "no trace in the listing", "updated_at moved on")

    @check(5, cause="pop removes by content or by a stale position, or takes the oldest")
    async def test_005_pop_returns_the_newest_and_removes_exactly_it(self, scene: AsyncScene) -> None:
        """Popping returns the newest message, envelope and all, and leaves the others as they were."""
        session = scene.session()
        stored = await session.add_messages([{"same": 1}, {"n": 2}, {"same": 1}, {"same": 1}])
        for index in (3, 2, 1, 0):
            popped = await session.pop_message()
            same(popped, stored[index], f"pop_message() with {index + 1} messages")
            same(envelope(popped), envelope(stored[index]), f"the envelope popped with {index + 1} messages")
            same(whole(await session.get_messages()), whole(stored[:index]), f"the {index} messages left")
            same(await session.count(), index, "count() after the pop")
            (info,) = await scene.store.list_sessions()
            same(info.message_count, index, "the count in the listing after the pop")
        same(await session.pop_message(), None, "pop_message() once all are gone")

    @check(6, cause="clear leaves something behind, or takes more than the messages")
    async def test_006_pop_after_clear_is_none(self, scene: AsyncScene) -> None:
        """`clear` removes every message and nothing else: metadata and the session itself stay."""
        session = scene.session()
        await session.add_messages([{"n": index} for index in range(5)])
        await session.update({"key": "kept", "other": None})
        await session.clear()
        same(await session.pop_message(), None, "pop_message() after clear()")
        same(await session.get_messages(), [], "get_messages() after clear()")
        same(await session.count(), 0, "count() after clear()")
        same(await session.metadata(), {"key": "kept", "other": None}, "metadata() after clear()")
        same(await scene.other().metadata(), {"key": "kept", "other": None}, "metadata() elsewhere after clear()")
        listed = [(info.id, info.message_count) for info in await scene.store.list_sessions()]
        same(listed, [("s", 0)], "the listing after clear(): the session goes on existing")
        await session.clear()
        message = await session.add_message("user", "again")
        same(await session.get_messages(), [message], "messages added after clear()")

    @check(6, cause="delete leaves metadata, ids, ttl or a row in an index behind")
    async def test_006_delete_removes_everything(self, scene: AsyncScene) -> None:
        """`delete` ends the session, metadata and all; the handle stays usable and begins a new one."""
        for way in ("delete", "delete_session"):
            session = scene.session()
            await session.add_messages([{"n": 1}, {"n": 2}], ids=["one", None])
            await session.set("key", 1)
            created = (await session.export())["created_at"]
            if scene.place.clock is not None:
                await scene.elapse(1)
            if way == "delete":
                await session.delete()
            else:
                await scene.store.delete_session("s")
            for name, handle in (("the same handle", session), ("a second store", scene.other())):
                same(await handle.get_messages(), [], f"get_messages() after {way} on {name}")
                same(await handle.metadata(), {}, f"metadata() after {way} on {name}")
                same(await handle.pop_message(), None, f"pop_message() after {way} on {name}")
                same((await handle.export())["created_at"], None, f"created_at after {way} on {name}")
            same(await scene.store.list_sessions(), [], f"list_sessions() after {way}")
            (message,) = await session.add_messages([{"n": 3}], ids=["one"])
            same(await session.get_messages(), [message], f"a message whose id was used before {way}")
            require(message.position >= 1, "a position of at least 1 in the new life", message.position)
            same(await session.metadata(), {}, f"metadata() in the life after {way}")
            if scene.place.clock is not None:
                again = (await session.export())["created_at"]
                require(again != created, "a created_at of its own in the new life", again)
            await session.delete()

    @check(6, cause="only messages count as content: a session with nothing but metadata is not kept or not listed")
    async def test_006_a_session_exists_from_its_first_write(self, scene: AsyncScene) -> None:
        """Metadata alone makes a session, and popping, clearing and removing leave it existing."""
        session = scene.session()
        await session.set("k", 1)
        same(
            [(i.id, i.message_count) for i in await scene.store.list_sessions()], [("s", 0)], "the listing after set()"
        )
        await session.remove("k")
        same([i.id for i in await scene.store.list_sessions()], ["s"], "the listing after remove()")
        popped = scene.session("popped")
        await popped.add_message("user", "x")
        await popped.pop_message()
        same([i.id for i in await scene.store.list_sessions()], ["popped", "s"], "the listing after a pop to empty")
        imported = scene.session("imported")
        await imported.import_data(document(metadata={"k": 1}))
        same([i.id for i in await scene.store.list_sessions()], ["imported", "popped", "s"], "the listing after import")

    @check(7, cause="the store or the handle keeps the very object that it hands out")
    async def test_007_returned_objects_are_copies(self, scene: AsyncScene) -> None:
        """Changing what a call returned changes nothing that is stored."""
        session = scene.session()
        await session.add_message("user", ["a", {"b": [1]}], extra={"x": [1]})
        await session.set("key", {"list": [1, {"a": 1}]})
        expected = await session.get_messages()
        frozen = copy.deepcopy(expected)

        def spoil(message: Any) -> None:
            message["content"][1]["b"].append("changed")
            message["extra"]["x"].clear()
            message["new"] = 1

        spoil((await session.get_messages())[0])
        spoil((await session.get_messages(1))[0])
        spoil(await session.add_message("user", ["a", {"b": [1]}], extra={"x": [1]}))
        same((await session.get_messages())[0], frozen[0], "the message after a returned one was changed")
        same((await session.get_messages())[1], frozen[0], "the message after the one that add returned was changed")
        for value in ((await session.metadata())["key"], await session.get("key")):
            changed: Any = value
            changed["list"][1]["a"] = 2
            changed["more"] = 1
        same(
            await session.metadata(), {"key": {"list": [1, {"a": 1}]}}, "metadata() after what it returned was changed"
        )
        exported: Any = await session.export()
        spoil(exported["messages"][0]["data"])
        exported["messages"].clear()
        exported["metadata"]["key"]["list"].clear()
        same((await session.export())["metadata"], {"key": {"list": [1, {"a": 1}]}}, "the export after one was changed")
        same(await session.count(), 2, "count() after an export was changed")
        same((await session.get_messages())[0], frozen[0], "the message after an export was changed")
        popped = await session.pop_message(op_id="pop")
        spoil(popped)
        same(await session.pop_message(op_id="pop"), frozen[0], "a repeated pop after its first result was changed")

    @check(7, cause="Message lost its __reduce__, or is another class on this store")
    async def test_007_messages_survive_pickle_and_copy(self, scene: AsyncScene) -> None:
        """A message can be pickled and copied, and keeps its envelope."""
        message = await scene.session().add_message("user", ["a"])
        for other in (pickle.loads(pickle.dumps(message)), copy.copy(message), copy.deepcopy(message)):
            same(whole([other]), whole([message]), "a copy of a message")
            require(type(other) is type(message), "a copy to be a Message", type(other).__name__)

    @check(8, cause="the caller's object is stored, or encoded only later")
    async def test_008_changing_the_input_changes_nothing(self, scene: AsyncScene) -> None:
        """What was passed in is the caller's: changing it after the call changes nothing stored or returned."""
        session = scene.session()
        given: dict[str, Any] = {"role": "user", "content": ["a", {"b": [1]}]}
        value: dict[str, Any] = {"list": [1]}
        imported: dict[str, Any] = document(entry("i", x=[1]), metadata={"k": [1]})
        batch = [given]
        (returned,) = await session.add_messages(batch)
        extra: list[Any] = [1, [2]]
        added = await session.add_message("user", "x", extra=extra)
        await session.set("key", value)
        await scene.session("t").import_data(imported)
        given["content"][1]["b"].append("changed")
        given["new"] = 1
        batch.clear()
        value["list"].append(2)
        extra[1].append(3)
        imported["messages"][0]["data"]["x"].append(2)
        imported["metadata"]["k"].append(2)
        wanted = [{"role": "user", "content": ["a", {"b": [1]}]}, {"role": "user", "content": "x", "extra": [1, [2]]}]
        same([returned, added], wanted, "the returned messages after the input was changed")
        same(await session.get_messages(), wanted, "the stored messages after the input was changed")
        same(await session.metadata(), {"key": {"list": [1]}}, "metadata() after the input was changed")
        same(await scene.session("t").get_messages(), [{"x": [1]}], "imported messages after the document was changed")
        same(await scene.session("t").metadata(), {"k": [1]}, "imported metadata after the document was changed")

    @check(9, cause="the store's session() returns a handle of its own that changes the interface")
    async def test_009_signatures_and_results_match(self, scene: AsyncScene) -> None:
        """Handles have the methods, the arguments and the kinds of result of every other backend."""
        session = scene.session()
        require_signatures(session)
        same(session.session_id, "s", "session_id of the handle")
        require(session.store is scene.store, "handle.store to be the store that made it", repr(session.store))
        calls: list[tuple[Callable[[], Awaitable[object]], object]] = [
            (lambda: session.set("k", 1), None),
            (lambda: session.update({"l": 2}), None),
            (lambda: session.remove("l"), None),
            (lambda: session.clear(), None),
            (lambda: session.import_data(document(entry("a", n=1))), None),
            (lambda: session.count(), 1),
            (lambda: session.get_messages(), [{"n": 1}]),
            (lambda: session.pop_message(), {"n": 1}),
            (lambda: session.delete(), None),
            (lambda: session.metadata(), {}),
            (lambda: scene.store.purge_expired(), 0),
        ]
        for number, (call, wanted) in enumerate(calls, 1):
            same(await call(), wanted, f"the result of call {number}")
        durability: str = await scene.store.durability()
        require(durability in ("process", "server", "power", "unknown"), "durability() to be one of four", durability)
        bad_role: Any = None
        with refuses(ValidationError, "a role that is not text"):
            await session.add_message(bad_role, "x")
        bad: Any
        for bad in ({"role": "user"}, "text", b"bytes", 5, None):
            with refuses(ValidationError, f"add_messages({bad!r})"):
                await session.add_messages(bad)
        for bad in ("text", 5, None, [], ("role", "user")):
            with refuses(ValidationError, f"add_messages([{{}}, {bad!r}])"):
                await session.add_messages([{}, bad])
        for bad in (None, 5, "ab", [("a", 1)]):
            with refuses(ValidationError, f"update({bad!r})"):
                await session.update(bad)
        same(await scene.store.list_sessions(), [], "list_sessions() after refused calls")

    @check(10, cause="the object's fields and the envelope share one row, hash or dict")
    async def test_010_fields_never_reach_the_envelope(self, scene: AsyncScene) -> None:
        """`id`, `position` and `created_at` inside an object are content; only `id=` and `ids=` name a message."""
        session = scene.session()
        given = {
            "id": "mine",
            "position": 987654321,
            "created_at": "never",
            "op_id": "x",
            "role": 5,
            "session_id": "z",
            "ttl": 1,
        }
        stored = await session.add_messages([given, given])
        stored += await session.add_messages([given])
        for message in [*stored, *await session.get_messages()]:
            same(message, given, "the object of a message with envelope fields in it")
            require(message.id != "mine", "an id that the field does not set", message.id)
            require(message.position != given["position"], "a position that the field does not set", message.position)
            require(message.created_at.year > 2000, "a created_at of the store", message.created_at)
        require(len({m.position for m in stored}) == 3, "positions of their own", [m.position for m in stored])
        first = stored[0]
        (again,) = await session.add_messages([first])
        require(again.id != first.id, "a new id for a Message passed in again", again.id)
        require(again.position > first.position, "a new position for a Message passed in again", again.position)
        same(await session.count(), 4, "count() after passing a Message in again")
        with_ids = await session.add_messages([given], ids=["outer"])
        same(with_ids[0].id, "outer", "the id given by ids=")
        require(len({m.id for m in stored}) == 3, "ids of their own", [m.id for m in stored])
