"""I. Export and import: the whole session, exactly, in one step."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from functools import partial
from importlib.resources import files
from typing import Any, Literal

from openstackai_sessions_conformance._async_scene import AsyncScene, check
from openstackai_sessions_conformance._async_seam import sleep, together
from openstackai_sessions_conformance._findings import refuses, require, same
from openstackai_sessions_conformance._harness import leave_out
from openstackai_sessions_conformance._values import EXACT
from openstackai_sessions_conformance._views import TIME, contents, document, entry, hostile_documents, whole
from openstackai_sessions_core import (
    AsyncInMemoryStore,
    AsyncSession,
    ConflictError,
    ImportFormatError,
    LimitExceededError,
    Limits,
    ValidationError,
)

__all__ = ["AsyncDocumentChecks"]


MODES: tuple[Literal["replace", "append"], ...] = ("replace", "append")


class AsyncDocumentChecks:
    """The checks of group I."""

    @check(65, cause="import makes new ids or times, or forgets metadata or the time of creation")
    async def test_065_import_of_export_equals(self, scene: AsyncScene) -> None:
        """The export of an import is the document: ids, order, times, metadata and created_at."""
        session, copy = scene.session(), scene.session("copy")
        if scene.place.clock is not None:
            await scene.elapse(-86400 * 400)
        await session.add_messages(
            [{"n": index, "v": EXACT[index]} for index in range(20)], ids=["given", *[None] * 19]
        )
        if scene.place.clock is not None:
            await scene.elapse(86400 * 400)
        await session.add_message("user", "later")
        await session.update({"b": 1, "a": None, "é": [1.0]})
        exported = await session.export()
        fields = ["format", "version", "session_id", "created_at", "messages", "metadata"]
        require(sorted(exported) == sorted(fields), f"the fields {fields}", list(exported))
        same([exported["format"], exported["version"], exported["session_id"]], ["openstackai-session", 1, "s"], "head")
        messages: Any = exported["messages"]
        held = await session.get_messages()
        same([len(messages), len(held)], [21, 21], "the number of messages exported, and read")
        for one, message in zip(messages, held, strict=True):
            require(set(one) == {"id", "created_at", "data"}, "a message with id, created_at and data", list(one))
            same(one["id"], message.id, "the id in the export")
            same(one["data"], dict(message), "the object in the export")
            stamp = message.created_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            same(one["created_at"], stamp, "the time in the export, RFC 3339 in UTC with six digits")
        same(list(exported["metadata"]), ["a", "b", "é"], "the keys of the exported metadata, sorted")  # type: ignore[arg-type]
        for form in (exported, json.dumps(exported), json.dumps(exported).encode()):
            await copy.delete()
            await copy.import_data(form)
            again = await scene.other("copy").export()
            same(again, {**exported, "session_id": "copy"}, f"the export of the import of a {type(form).__name__}")
            wanted = [(m.id, m.created_at, dict(m)) for m in await session.get_messages()]
            got = [(m.id, m.created_at, dict(m)) for m in await copy.get_messages()]
            same(got, wanted, "ids, times and objects of the imported messages")
        (info,) = await scene.store.list_sessions("copy")
        (original,) = await scene.store.list_sessions("s")
        require(info.created_at == original.created_at, "created_at of the document in the listing", info.created_at)
        same(info.message_count, 21, "the count in the listing")
        same(await session.export(), exported, "the exported session afterwards")

    @check(65, cause="an empty session is exported like one that has been written")
    async def test_065_nothing_exports_to_nothing(self, scene: AsyncScene) -> None:
        """The export of a fresh session has no created_at, and importing it makes no session."""
        exported = await scene.session().export()
        same(exported, document(session_id="s", created_at=None), "the export of a fresh session")
        await scene.session("noted").set("k", 1)
        (info,) = await scene.store.list_sessions()
        stamp = info.created_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        same((await scene.session("noted").export())["created_at"], stamp, "created_at of a session of metadata alone")
        await scene.session("noted").delete()
        await scene.session().import_data(exported)
        await scene.session("t").import_data(exported, mode="append")
        same(await scene.store.list_sessions(), [], "list_sessions() after importing nothing")

    @check(66, cause="messages and metadata are read in separate steps")
    async def test_066_export_is_a_snapshot(self, scene: AsyncScene) -> None:
        """An export made while others import and delete shows one instant: messages and metadata of one moment."""
        session = scene.session()
        size, rounds = 60, scene.pick(30, 200, 2000)
        await session.import_data(document(*[entry(f"{part}", n=0) for part in range(size)], metadata={"n": 0, "m": 0}))
        torn: list[object] = []
        left = [1]

        async def write() -> None:
            writer = scene.other()
            try:
                for number in range(1, rounds):
                    messages = [entry(f"{number} {part}", n=number) for part in range(size)]
                    await writer.import_data(document(*messages, metadata={"n": number, "m": number}))
                    if number % 3 == 2:
                        await writer.delete()
                    if torn:
                        return
            finally:
                left[0] -= 1

        async def read() -> None:
            reader = scene.session()
            while left[0] and not torn:
                exported: Any = await reader.export()
                numbers = {one["data"]["n"] for one in exported["messages"]} | set(exported["metadata"].values())
                held = len(exported["messages"]), len(exported["metadata"])
                if held != (0, 0) and (len(numbers) != 1 or held != (size, 2)):
                    torn.append(f"{held[0]} messages and {held[1]} keys, of the writes {sorted(numbers)}")
                await sleep(0)

        await together([write, read, read])
        require(not torn, "each export to show one import alone, or nothing", torn[:1])

    @check(66, cause="messages and metadata are read in separate steps")
    async def test_066_export_follows_the_order_of_writes(self, scene: AsyncScene) -> None:
        """A writer that sets a count before each append is never exported with more messages than its count says."""
        rounds = scene.pick(150, 800, 8000)
        wrong: list[object] = []
        left = [1]

        async def write() -> None:
            writer = scene.other()
            try:
                for number in range(1, rounds):
                    await writer.set("count", number)
                    await writer.add_message("user", number)
                    if wrong:
                        return
            finally:
                left[0] -= 1

        async def read() -> None:
            reader = scene.session()
            while left[0] and not wrong:
                exported: Any = await reader.export()
                count, messages = exported["metadata"].get("count", 0), len(exported["messages"])
                if messages not in (count - 1, count):
                    wrong.append(f"{messages} messages with a count of {count}")
                await sleep(0)

        await together([write, read, read])
        require(not wrong, "as many messages as the count says, or one less", wrong[:1])

    @check(66, cause="a long log is read, or cleared, a page at a time, and others write between two pages")
    async def test_066_long_reads_show_one_instant(self, scene: AsyncScene) -> None:
        """Lists and exports of over a thousand messages, made while these are replaced and cleared, show one write."""
        # A store in this process's memory is quick, and so is what comes between.
        size, rounds = 1_200, scene.pick(40 if scene.place.single else 12, 100, 1000)
        documents = [document(*[entry(f"{number} {part}", n=number) for part in range(size)]) for number in range(3)]
        torn: list[object] = []
        left = [1]

        async def write() -> None:
            writer = scene.other()
            try:
                for number in range(rounds):
                    await writer.import_data(documents[number % 3])
                    await sleep(0.001)
                    if number % 2:
                        await writer.clear()
                    if torn:
                        return
            finally:
                left[0] -= 1

        async def read(view: Callable[[AsyncSession], Awaitable[list[Any]]]) -> None:
            reader = scene.session()
            while left[0] and not torn:
                held = await view(reader)
                if held and (len(held), len({*held})) != (size, 1):
                    torn.append(f"{len(held)} messages, of the documents {sorted({*held})}")
                await sleep(0)

        async def listed(reader: AsyncSession) -> list[Any]:
            return [message["n"] for message in await reader.get_messages()]

        async def exported(reader: AsyncSession) -> list[Any]:
            found: Any = await reader.export()
            return [message["data"]["n"] for message in found["messages"]]

        async def counted(reader: AsyncSession) -> list[Any]:
            return [0] * await reader.count()

        views = (listed, listed, exported, exported, counted)
        calls: list[Callable[[], Awaitable[None]]] = [write, *(partial(read, view) for view in views)]
        await together(calls)
        require(not torn, f"none, or the {size} messages of one document, in each list, export and count", torn[:1])

    @check(67, cause="a document of its own dialect, or ids and times taken from this backend alone")
    async def test_067_documents_pass_between_backends(self, scene: AsyncScene) -> None:
        """What the reference store exports this one imports, and the other way round, without a change."""
        reference = AsyncInMemoryStore()
        theirs, ours = reference.session("s"), scene.session()
        await theirs.add_messages([{"content": value} for value in EXACT])
        await theirs.update({f"key {number}": value for number, value in enumerate(EXACT)})
        exported = await theirs.export()
        await ours.import_data(exported)
        same(await ours.export(), exported, "our export of a document of the reference store")
        await ours.add_message("user", "ours", id="ours")
        await ours.remove("key 0")
        exported = await ours.export()
        await theirs.import_data(json.dumps(exported))
        same(await theirs.export(), exported, "the reference store's export of our document")
        await reference.close()

    @check(68, cause="import deletes and inserts in separate steps, or keeps part of the old content")
    async def test_068_import_replaces(self, scene: AsyncScene) -> None:
        """Import takes the place of the content; positions go on, the handle keeps its id."""
        session = scene.session()
        old = await session.add_messages([{"old": 1}, {"old": 2}], ids=["a", None])
        await session.update({"old": 1, "both": "old"})
        await session.import_data(document(entry("a", n=1), entry("b", n=2), metadata={"new": 1, "both": "new"}))
        messages = await session.get_messages()
        same([(m.id, dict(m)) for m in messages], [("a", {"n": 1}), ("b", {"n": 2})], "the imported messages")
        require(messages[0].position > old[1].position, f"positions above {old[1].position}", messages[0].position)
        same(messages[0].created_at.isoformat(), "2026-01-02T03:04:05.000006+00:00", "created_at of the document")
        same(await session.metadata(), {"both": "new", "new": 1}, "the imported metadata")
        exported = await scene.other().export()
        same([exported["session_id"], exported["created_at"]], ["s", TIME], "session_id and created_at")
        same(
            [info.id for info in await scene.store.list_sessions()],
            ["s"],
            "the listing: the document's id is not taken",
        )
        (again,) = await session.add_messages([{"n": 1}], ids=["a"])
        same(again.position, messages[0].position, "the position of an imported message, added again by its id")
        await session.import_data(document(entry("c", n=3), created_at=None))
        same((await session.export())["created_at"], TIME, "created_at after a document that has none")
        fresh = await session.add_messages([{"n": 9}], ids=["b"])
        require(fresh[0].position > messages[1].position, "the id of a replaced message to be free", fresh[0].position)
        await session.import_data(document(created_at="2026-02-03T04:05:06.000007Z"))
        same([await session.count(), await session.metadata()], [0, {}], "content after importing an empty document")
        (info,) = await scene.store.list_sessions()
        same(info.created_at.isoformat(), "2026-02-03T04:05:06.000007+00:00", "created_at of an empty document, listed")

    @check(68, cause="append replaces, renumbers, or takes the document's time of creation")
    async def test_068_append_keeps_what_is_there(self, scene: AsyncScene) -> None:
        """`mode="append"` adds its messages after ours and its metadata over ours; a conflict adds nothing."""
        session = scene.session()
        kept = await session.add_message("user", "old")
        await session.update({"a": 1, "b": 1})
        created = (await session.export())["created_at"]
        more = document(entry("x", n=1), entry("y", n=2), metadata={"b": 2, "c": 3})
        for _ in range(2):
            await session.import_data(more, mode="append")
            same(await session.get_messages(), [kept, {"n": 1}, {"n": 2}], "the messages after an append")
            same(whole(await session.get_messages())[0], whole([kept])[0], "the message that was there")
            same(await session.metadata(), {"a": 1, "b": 2, "c": 3}, "the metadata after an append")
        mixed = document(entry("y", n=2), entry("w", n=3), entry("x", n=1), metadata={"b": 3})
        await session.import_data(mixed, mode="append")
        wanted: list[object] = [kept, {"n": 1}, {"n": 2}, {"n": 3}]
        same(await session.get_messages(), wanted, "the messages after appending known ones and a new one")
        await session.import_data(document(entry("x", n=1), metadata={"d": 1}), mode="append")
        await session.import_data(document(metadata={"e": 1}), mode="append")
        metadata = {"a": 1, "b": 3, "c": 3, "d": 1, "e": 1}
        same(await session.metadata(), metadata, "the metadata after appending it with known messages, and alone")
        same(await session.get_messages(), wanted, "the messages after appending none that is new")
        counts = [await session.count(), (await scene.store.list_sessions())[0].message_count]
        same(counts, [4, 4], "count() and the count in the listing after appends")
        same((await session.export())["created_at"], created, "created_at after an append: ours")
        before = await session.export()
        with refuses(ConflictError, "appending another message under a taken id"):
            await session.import_data(document(entry("z", n=0), entry("y", n=3), metadata={"d": 4}), mode="append")
        same(await session.export(), before, "the session after a conflict")
        bad: Any
        for bad in ("merge", "", None, True):
            with refuses(ValidationError, f"mode={bad!r}"):
                await session.import_data(more, mode=bad)

    @check(68, cause="payloads are compared as values: 1, 1.0 and true are equal, and keys have no order")
    async def test_068_append_conflicts_exactly(self, scene: AsyncScene) -> None:
        """An appended message whose id is taken conflicts by any difference: type of a number, order of keys."""
        session = scene.session()
        await session.add_messages([{"n": 1, "a": 2}], ids=["m"])
        before = whole(await session.get_messages())
        others: tuple[Any, ...] = ({"n": 1.0, "a": 2}, {"n": True, "a": 2}, {"a": 2, "n": 1}, {})
        for other in others:
            with refuses(ConflictError, f"appending {other!r} under the id of {{'n': 1, 'a': 2}}"):
                await session.import_data(document({**entry("m"), "data": other}), mode="append")
        same(whole(await session.get_messages()), before, "the messages after conflicts")

    @check(68, cause="an append that finds no session replaces, or metadata is merged below its keys")
    async def test_068_append_begins_now_and_sets_whole_values(self, scene: AsyncScene) -> None:
        """A session that an append makes is created now; a key of the document takes the place of ours whole."""
        session = scene.session()
        await session.import_data(document(entry("a", n=1), metadata={"k": {"a": 1, "b": 2}}), mode="append")
        created = (await session.export())["created_at"]
        require(created != TIME, "a session that an append made to be created now", f"the document's time, {created}")
        same((await session.get_messages())[0].id, "a", "the id of the appended message")
        await session.import_data(document(metadata={"k": {"b": 3}}), mode="append")
        same(await session.get("k"), {"b": 3}, "a value that an append replaced")

    @check(68, cause="import is several steps, which others see, or a failure leaves half done")
    async def test_068_import_is_one_step(self, scene: AsyncScene) -> None:
        """While a large document is imported others see the old content or the new; a refused one changes nothing."""
        session = scene.session()
        size = scene.pick(3_000, 20_000, 100_000)
        await session.add_messages([{"old": 1}] * 3)
        await session.set("which", "old")
        before = await session.export()
        large = [entry(f"m{index}", n=index) for index in range(size)]
        with refuses(ImportFormatError, "a large document with a fault at its end"):
            await session.import_data(document(*large, {"id": "bad"}, metadata={"which": "bad"}))
        same(await session.export(), before, "the session after a document with a fault at its end")
        states: set[object] = set()
        done: list[bool] = []

        async def write() -> None:
            try:
                await scene.other().import_data(document(*large, metadata={"which": "new"}))
            finally:
                done.append(True)

        async def read() -> None:
            while not done:
                exported: Any = await scene.session().export()
                states.add((len(exported["messages"]), exported["metadata"]["which"]))
                states.add((await scene.session().count(), None))
                await sleep(0.001)

        await together([write, read])
        wanted = {(3, "old"), (size, "new"), (3, None), (size, None)}
        require(states <= wanted, "the old content or the new while importing", sorted(map(str, states - wanted))[:5])
        same(await session.count(), size, "count() after the import")
        same([m["n"] for m in await session.get_messages(2)], [size - 2, size - 1], "the newest two")
        positions = [message.position for message in await session.get_messages()]
        require(positions == sorted(set(positions)) and positions[0] > 3, "new, increasing positions", positions[:3])
        later = await session.add_message("user", "next")
        require(later.position > positions[-1], f"a position above {positions[-1]}", later.position)

    @check(69, cause="a second import adds to the first, or makes new ids")
    async def test_069_importing_twice_equals_once(self, scene: AsyncScene) -> None:
        """Importing the same document again changes nothing but the positions."""
        session = scene.session()
        doc = document(*[entry(f"m{index}", n=index) for index in range(10)], metadata={"a": 1, "b": None})
        for mode in MODES:
            await session.import_data(doc, mode=mode)
            once = await session.export()
            same({**once, "session_id": "elsewhere"}, doc, f"the export after one import, mode={mode!r}")
            await session.import_data(doc, mode=mode)
            await scene.other().import_data(json.dumps(doc), mode=mode)
            same(await session.export(), once, f"the export after three imports, mode={mode!r}")

    @check(69, cause="a statement takes only so many ids, or an outcome only so many records")
    async def test_069_many_ids_are_all_looked_up(self, scene: AsyncScene) -> None:
        """A batch and a document of over a thousand ids, sent again, store nothing, and the batch returns it all."""
        session = scene.session()
        limits = scene.store.limits
        size = min(1_100, limits.batch_messages, limits.import_messages)
        batch, ids = [{"n": number} for number in range(size)], [f"m{number}" for number in range(size)]
        first = whole(await session.add_messages(batch, ids=ids, op_id="op"))
        for what, op in (("repeated under its op_id", "op"), ("sent again", None)):
            again = whole(await scene.other().add_messages(batch, ids=ids, op_id=op))
            require(again == first, f"the {size} messages of a batch, {what}, as they were", f"{len(again)}, or others")
        await session.import_data(document(*[entry(f"m{n}", n=n) for n in range(size)]), mode="append")
        seen = whole(await session.get_messages())
        require(seen == first, f"those {size} messages after appending a document of them", f"{len(seen)}, or others")

    @check(69, cause="ids are looked up before the lock is taken")
    async def test_069_appends_of_one_document_at_once_equal_one(self, scene: AsyncScene) -> None:
        """Several callers that append the same document at once leave each of its messages once, in its order."""
        rounds, size = scene.pick(10, 60, 600), 20
        for number in range(rounds):
            doc = document(*[entry(f"{number} {part}", n=[number, part]) for part in range(size)])

            async def load(worker: int, doc: dict[str, Any] = doc) -> None:
                store = scene.store if worker % 2 else scene.second
                await store.session("s").import_data(doc, mode="append")

            await together([partial(load, worker) for worker in range(6)])
        wanted = [[number, part] for number in range(rounds) for part in range(size)]
        seen = [message["n"] for message in await scene.session().get_messages()]
        same(seen, wanted, "the messages of documents that six callers each appended at once")

    @check(70, cause="the document is trusted: parsed whole, coerced, or written while it is read", seconds=120)
    async def test_070_hostile_documents_change_nothing(self, scene: AsyncScene) -> None:
        """Faulty documents raise `ImportFormatError` with the path of the fault, soon, and change nothing."""
        session = scene.session()
        await session.add_messages([{"n": 1}, {"n": 2}], ids=["one", None])
        await session.set("k", 1)
        before = (await session.export(), whole(await session.get_messages()), await scene.store.list_sessions())
        for name, faulty, path in hostile_documents():
            for mode in MODES:
                began = time.monotonic()
                try:
                    await session.import_data(faulty, mode=mode)
                except ImportFormatError as error:
                    require(path in str(error), f"the path {path} in the error about {name}", str(error)[:200])
                except Exception as error:
                    raise AssertionError(f"{name}: ImportFormatError expected, {type(error).__name__} seen") from error
                else:
                    raise AssertionError(f"{name}: ImportFormatError expected, no error seen")
                took = time.monotonic() - began
                require(took < 15, f"{name} to be refused in bounded time", f"{took:.1f} s")
            now = (await session.export(), whole(await session.get_messages()), await scene.store.list_sessions())
            same(now[:2], before[:2], f"the session after {name}")
            require(now[2] == before[2], f"the listing as before {name}", now[2])

    @check(70, cause="limits hold for appends alone")
    async def test_070_documents_over_the_limits_are_refused(self, scene: AsyncScene) -> None:
        """A document over a limit raises an error that is both ImportFormatError and LimitExceededError."""
        if "limits" not in scene.place.options:
            leave_out("the store takes no limits")
        store = await scene.fresh(
            limits=Limits(import_messages=3, message_bytes=20, metadata_value_bytes=10, metadata_bytes=12)
        )
        session = store.session("s")
        await session.import_data(document(*[entry(str(index)) for index in range(3)]))
        for name, large in (
            ("too many messages", document(*[entry(str(index)) for index in range(4)])),
            ("very many messages", document(*[entry(str(index)) for index in range(100_000)])),
            ("a large message", document(entry("a", text="x" * 20))),
            ("a large metadata value", document(metadata={"a": "x" * 9})),
            ("much metadata", document(metadata={"a": "x" * 4, "b": "x" * 4})),
        ):
            for form in (large, json.dumps(large)):
                with refuses(ImportFormatError, f"a document with {name}"):
                    await session.import_data(form)
                with refuses(LimitExceededError, f"a document with {name}"):
                    await session.import_data(form)
        same(await session.count(), 3, "count() after documents over the limits")
        await session.set("a", "x" * 4)
        with refuses(LimitExceededError, "appended metadata that is too much together with what is there"):
            await session.import_data(document(metadata={"b": "x" * 4}), mode="append")
        same(await session.metadata(), {"a": "x" * 4}, "the metadata after an append over its limit")
        await session.import_data(document(metadata={"b": "x" * 4}))
        same(await session.metadata(), {"b": "x" * 4}, "the metadata after it was replaced by as much")

    @check(71, cause="the reader follows the present writer and not the documented format")
    async def test_071_documents_of_released_versions_import(self, scene: AsyncScene) -> None:
        """The documents that earlier versions wrote import without a change, in every documented spelling."""
        session = scene.session("golden")
        for path in sorted(files("openstackai_sessions_conformance").joinpath("golden").iterdir(), key=str):
            golden = path.read_bytes()
            await session.import_data(golden)
            same(await session.export(), json.loads(golden), f"the export of the import of {path.name}")
        source = document(entry("a", content=[1, 1.0, "é\ud800"]), session_id="golden", metadata={"k": "v"})
        for text in (
            json.dumps(source, indent=2),
            json.dumps(dict(reversed(source.items()))),
            b"\xef\xbb\xbf" + json.dumps(source).encode(),
            f" \n{json.dumps(source)}\t ",
        ):
            await session.delete()
            await session.import_data(text)
            same(await session.export(), source, "the export of another spelling of the document")
        for stamp in ("2026-01-02T03:04:05.000006+00:00", "2026-01-02t05:04:05.000006+02:00",
                      "2026-01-01T22:04:05.000006-05:00"):  # fmt: skip
            await session.import_data(document(entry("a", stamp), created_at=stamp))
            exported: Any = await session.export()
            same([exported["created_at"], exported["messages"][0]["created_at"]], [TIME, TIME], f"the time {stamp}")
        same(contents(await session.get_messages()), [None], "the contents of the last document")
        for year in ("1600", "1901", "1969", "2026", "2106", "9998"):
            source = document(entry("a", f"{year}-12-31T23:59:59.999999Z"), created_at=f"{year}-12-31T23:59:59.999998Z")
            await session.import_data(source)
            same({**await session.export(), "session_id": "elsewhere"}, source, f"the export of a document of {year}")
            (info,) = await scene.store.list_sessions("golden")
            same(info.created_at.isoformat(), f"{year}-12-31T23:59:59.999998+00:00", "created_at of the entry then")
            await session.import_data(document(entry(year, f"{year}-12-31T23:59:59.999999Z")), mode="append")
            (message,) = await session.get_messages(1)
            same(message.created_at.isoformat(), f"{year}-12-31T23:59:59.999999+00:00", "a time that was appended")
