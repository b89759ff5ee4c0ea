# Written by tools/twins.py from _async_checks_documents.py: edit that file, then run `make twins`.
"""I. Export and import: the whole session, exactly, in one step."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from typing import Any, Literal

from openstackai_sessions_conformance._findings import refuses, require, same
from openstackai_sessions_conformance._harness import leave_out
from openstackai_sessions_conformance._scene import Scene, check
from openstackai_sessions_conformance._seam import sleep, together
from openstackai_sessions_conformance._values import EXACT
from openstackai_sessions_conformance._views import TIME, contents, document, entry, hostile_documents, whole
from openstackai_sessions_core import (
    ConflictError,
    ImportFormatError,
    InMemoryStore,
    LimitExceededError,
    Limits,
    Session,
    ValidationError,
)

__all__ = ["DocumentChecks"]


MODES: tuple[Literal["replace", "append"], ...] = ("replace", "append")


class DocumentChecks:
    """The checks of group I."""

    @check(65, cause="import makes new ids or times, or forgets metadata or the time of creation")
    def test_065_import_of_export_equals(self, scene: Scene) -> None:
        """The export of an import is the document: ids, order, times, metadata and created_at."""
        session, copy = scene.session(), scene.session("copy")
        if scene.place.clock is not None:
            scene.elapse(-86400 * 400)
        session.add_messages([{"n": index, "v": EXACT[index]} for index in range(20)], ids=["given", *[None] * 19])
        if scene.place.clock is not None:
            scene.elapse(86400 * 400)
        session.add_message("user", "later")
        session.update({"b": 1, "a": None, "é": [1.0]})
        exported = session.export()
        fields = ["format", "version", "session_id", "created_at", "messages", "metadata"]
        require(sorted(exported) == sorted(fields), f"the fields {fields}", list(exported))
        same([exported["format"], exported["version"], exported["session_id"]], ["openstackai-session", 1, "s"], "head")
        messages: Any = exported["messages"]
        held = session.get_messages()
        same([len(messages), len(held)], [21, 21], "the number of messages exported, and read")
        for one, message in zip(messages, held, strict=True):
            require(set(one) == {"id", "created_at", "data"}, "a message with id, created_at and data", list(one))
            same(one["id"], message.id, "the id in the export")
            same(one["data"], dict(message), "the object in the export")
            stamp = message.created_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            same(one["created_at"], stamp, "the time in the export, RFC 3339 in UTC with six digits")
        same(list(exported["metadata"]), ["a", "b", "é"], "the keys of the exported metadata, sorted")  # type: ignore[arg-type]
        for form in (exported, json.dumps(exported), json.dumps(exported).encode()):
            copy.delete()
            copy.import_data(form)
            again = scene.other("copy").export()
            same(again, {**exported, "session_id": "copy"}, f"the export of the import of a {type(form).__name__}")
            wanted = [(m.id, m.created_at, dict(m)) for m in session.get_messages()]
            got = [(m.id, m.created_at, dict(m)) for m in copy.get_messages()]
            same(got, wanted, "ids, times and objects of the imported messages")
        (info,) = scene.store.list_sessions("copy")
        (original,) = scene.store.list_sessions("s")
        require(info.created_at == original.created_at, "created_at of the document in the listing", info.created_at)
        same(info.message_count, 21, "the count in the listing")
        same(session.export(), exported, "the exported session afterwards")

    @check(65, cause="an empty session is exported like one that has been written")
    def test_065_nothing_exports_to_nothing(self, scene: Scene) -> None:
        """The export of a fresh session has no created_at, and importing it makes no session."""
        exported = scene.session().export()
        same(exported, document(session_id="s", created_at=None), "the export of a fresh session")
        scene.session("noted").set("k", 1)
        (info,) = scene.store.list_sessions()
        stamp = info.created_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        same((scene.session("noted").export())["created_at"], stamp, "created_at of a session of metadata alone")
        scene.session("noted").delete()
        scene.session().import_data(exported)
        scene.session("t").import_data(exported, mode="append")
        same(scene.store.list_sessions(), [], "list_sessions() after importing nothing")

    @check(66, cause="messages and metadata are read in separate steps")
    def test_066_export_is_a_snapshot(self, scene: Scene) -> None:
        """An export made while others import and delete shows one instant: messages and metadata of one moment."""
        session = scene.session()
        size, rounds = 60, scene.pick(30, 200, 2000)
        session.import_data(document(*[entry(f"{part}", n=0) for part in range(size)], metadata={"n": 0, "m": 0}))
        torn: list[object] = []
        left = [1]

        def write() -> None:
            writer = scene.other()
            try:
                for number in range(1, rounds):
                    messages = [entry(f"{number} {part}", n=number) for part in range(size)]
                    writer.import_data(document(*messages, metadata={"n": number, "m": number}))
                    if number % 3 == 2:
                        writer.delete()
                    if torn:
                        return
            finally:
                left[0] -= 1

        def read() -> None:
            reader = scene.session()
            while left[0] and not torn:
                exported: Any = reader.export()
                numbers = {one["data"]["n"] for one in exported["messages"]} | set(exported["metadata"].values())
                held = len(exported["messages"]), len(exported["metadata"])
                if held != (0, 0) and (len(numbers) != 1 or held != (size, 2)):
                    torn.append(f"{held[0]} messages and {held[1]} keys, of the writes {sorted(numbers)}")
                sleep(0)

        together([write, read, read])
        require(not torn, "each export to show one import alone, or nothing", torn[:1])

    @check(66, cause="messages and metadata are read in separate steps")
    def test_066_export_follows_the_order_of_writes(self, scene: Scene) -> None:
        """A writer that sets a count before each append is never exported with more messages than its count says."""
        rounds = scene.pick(150, 800, 8000)
        wrong: list[object] = []
        left = [1]

        def write() -> None:
            writer = scene.other()
            try:
                for number in range(1, rounds):
                    writer.set("count", number)
                    writer.add_message("user", number)
                    if wrong:
                        return
            finally:
                left[0] -= 1

        def read() -> None:
            reader = scene.session()
            while left[0] and not wrong:
                exported: Any = reader.export()
                count, messages = exported["metadata"].get("count", 0), len(exported["messages"])
                if messages not in (count - 1, count):
                    wrong.append(f"{messages} messages with a count of {count}")
                sleep(0)

        together([write, read, read])
        require(not wrong, "as many messages as the count says, or one less", wrong[:1])

    @check(66, cause="a long log is read, or cleared, a page at a time, and others write between two pages")
    def test_066_long_reads_show_one_instant(self, scene: Scene) -> None:
        """Lists and exports of over a thousand messages, made while these are replaced and cleared, show one write."""
        # A store in this process's memory is quick, and so is what comes between.
        size, rounds = 1_200, scene.pick(40 if scene.place.single else 12, 100, 1000)
        documents = [document(*[entry(f"{number} {part}", n=number) for part in range(size)]) for number in range(3)]
        torn: list[object] = []
        left = [1]

        def write() -> None:
            writer = scene.other()
            try:
                for number in range(rounds):
                    writer.import_data(documents[number % 3])
                    sleep(0.001)
                    if number % 2:
                        writer.clear()
                    if torn:
                        return
            finally:
                left[0] -= 1

        def read(view: Callable[[Session], list[Any]]) -> None:
            reader = scene.session()
            while left[0] and not torn:
                held = view(reader)
                if held and (len(held), len({*held})) != (size, 1):
                    torn.append(f"{len(held)} messages, of the documents {sorted({*held})}")
                sleep(0)

        def listed(reader: Session) -> list[Any]:
            return [message["n"] for message in reader.get_messages()]

        def exported(reader: Session) -> list[Any]:
            found: Any = reader.export()
            return [message["data"]["n"] for message in found["messages"]]

        def counted(reader: Session) -> list[Any]:
            return [0] * reader.count()

        views = (listed, listed, exported, exported, counted)
        calls: list[Callable[[], None]] = [write, *(partial(read, view) for view in views)]
        together(calls)
        require(not torn, f"none, or the {size} messages of one document, in each list, export and count", torn[:1])

    @check(67, cause="a document of its own dialect, or ids and times taken from this backend alone")
    def test_067_documents_pass_between_backends(self, scene: Scene) -> None:
        """What the reference store exports this one imports, and the other way round, without a change."""
        reference = InMemoryStore()
        theirs, ours = reference.session("s"), scene.session()
        theirs.add_messages([{"content": value} for value in EXACT])
        theirs.update({f"key {number}": value for number, value in enumerate(EXACT)})
        exported = theirs.export()
        ours.import_data(exported)
        same(ours.export(), exported, "our export of a document of the reference store")
        ours.add_message("user", "ours", id="ours")
        ours.remove("key 0")
        exported = ours.export()
        theirs.import_data(json.dumps(exported))
        same(theirs.export(), exported, "the reference store's export of our document")
        reference.close()

    @check(68, cause="import deletes and inserts in separate steps, or keeps part of the old content")
    def test_068_import_replaces(self, scene: Scene) -> None:
        """Import takes the place of the content; positions go on, the handle keeps its id."""
        session = scene.session()
        old = session.add_messages([{"old": 1}, {"old": 2}], ids=["a", None])
        session.update({"old": 1, "both": "old"})
        session.import_data(document(entry("a", n=1), entry("b", n=2), metadata={"new": 1, "both": "new"}))
        messages = session.get_messages()
        same([(m.id, dict(m)) for m in messages], [("a", {"n": 1}), ("b", {"n": 2})], "the imported messages")
        require(messages[0].position > old[1].position, f"positions above {old[1].position}", messages[0].position)
        same(messages[0].created_at.isoformat(), "2026-01-02T03:04:05.000006+00:00", "created_at of the document")
        same(session.metadata(), {"both": "new", "new": 1}, "the imported metadata")
        exported = scene.other().export()
        same([exported["session_id"], exported["created_at"]], ["s", TIME], "session_id and created_at")
        same(
            [info.id for info in scene.store.list_sessions()],
            ["s"],
            "the listing: the document's id is not taken",
        )
        (again,) = session.add_messages([{"n": 1}], ids=["a"])
        same(again.position, messages[0].position, "the position of an imported message, added again by its id")
        session.import_data(document(entry("c", n=3), created_at=None))
        same((session.export())["created_at"], TIME, "created_at after a document that has none")
        fresh = session.add_messages([{"n": 9}], ids=["b"])
        require(fresh[0].position > messages[1].position, "the id of a replaced message to be free", fresh[0].position)
        session.import_data(document(created_at="2026-02-03T04:05:06.000007Z"))
        same([session.count(), session.metadata()], [0, {}], "content after importing an empty document")
        (info,) = scene.store.list_sessions()
        same(info.created_at.isoformat(), "2026-02-03T04:05:06.000007+00:00", "created_at of an empty document, listed")

    @check(68, cause="append replaces, renumbers, or takes the document's time of creation")
    def test_068_append_keeps_what_is_there(self, scene: Scene) -> None:
        """`mode="append"` adds its messages after ours and its metadata over ours; a conflict adds nothing."""
        session = scene.session()
        kept = session.add_message("user", "old")
        session.update({"a": 1, "b": 1})
        created = (session.export())["created_at"]
        more = document(entry("x", n=1), entry("y", n=2), metadata={"b": 2, "c": 3})
        for _ in range(2):
            session.import_data(more, mode="append")
            same(session.get_messages(), [kept, {"n": 1}, {"n": 2}], "the messages after an append")
            same(whole(session.get_messages())[0], whole([kept])[0], "the message that was there")
            same(session.metadata(), {"a": 1, "b": 2, "c": 3}, "the metadata after an append")
        mixed = document(entry("y", n=2), entry("w", n=3), entry("x", n=1), metadata={"b": 3})
        session.import_data(mixed, mode="append")
        wanted: list[object] = [kept, {"n": 1}, {"n": 2}, {"n": 3}]
        same(session.get_messages(), wanted, "the messages after appending known ones and a new one")
        session.import_data(document(entry("x", n=1), metadata={"d": 1}), mode="append")
        session.import_data(document(metadata={"e": 1}), mode="append")
        metadata = {"a": 1, "b": 3, "c": 3, "d": 1, "e": 1}
        same(session.metadata(), metadata, "the metadata after appending it with known messages, and alone")
        same(session.get_messages(), wanted, "the messages after appending none that is new")
        counts = [session.count(), (scene.store.list_sessions())[0].message_count]
        same(counts, [4, 4], "count() and the count in the listing after appends")
        same((session.export())["created_at"], created, "created_at after an append: ours")
        before = session.export()
        with refuses(ConflictError, "appending another message under a taken id"):
            session.import_data(document(entry("z", n=0), entry("y", n=3), metadata={"d": 4}), mode="append")
        same(session.export(), before, "the session after a conflict")
        bad: Any
        for bad in ("merge", "", None, True):
            with refuses(ValidationError, f"mode={bad!r}"):
                session.import_data(more, mode=bad)

    @check(68, cause="payloads are compared as values: 1, 1.0 and true are equal, and keys have no order")
    def test_068_append_conflicts_exactly(self, scene: Scene) -> None:
        """An appended message whose id is taken conflicts by any difference: type of a number, order of keys."""
        session = scene.session()
        session.add_messages([{"n": 1, "a": 2}], ids=["m"])
        before = whole(session.get_messages())
        others: tuple[Any, ...] = ({"n": 1.0, "a": 2}, {"n": True, "a": 2}, {"a": 2, "n": 1}, {})
        for other in others:
            with refuses(ConflictError, f"appending {other!r} under the id of {{'n': 1, 'a': 2}}"):
                session.import_data(document({**entry("m"), "data": other}), mode="append")
        same(whole(session.get_messages()), before, "the messages after conflicts")

    @check(68, cause="an append that finds no session replaces, or metadata is merged below its keys")
    def test_068_append_begins_now_and_sets_whole_values(self, scene: Scene) -> None:
        """A session that an append makes is created now; a key of the document takes the place of ours whole."""
        session = scene.session()
        session.import_data(document(entry("a", n=1), metadata={"k": {"a": 1, "b": 2}}), mode="append")
        created = (session.export())["created_at"]
        require(created != TIME, "a session that an append made to be created now", f"the document's time, {created}")
        same((session.get_messages())[0].id, "a", "the id of the appended message")
        session.import_data(document(metadata={"k": {"b": 3}}), mode="append")
        same(session.get("k"), {"b": 3}, "a value that an append replaced")

    @check(68, cause="import is several steps, which others see, or a failure leaves half done")
    def test_068_import_is_one_step(self, scene: Scene) -> None:
        """While a large document is imported others see the old content or the new; a refused one changes nothing."""
        session = scene.session()
        size = scene.pick(3_000, 20_000, 100_000)
        session.add_messages([{"old": 1}] * 3)
        session.set("which", "old")
        before = session.export()
        large = [entry(f"m{index}", n=index) for index in range(size)]
        with refuses(ImportFormatError, "a large document with a fault at its end"):
            session.import_data(document(*large, {"id": "bad"}, metadata={"which": "bad"}))
        same(session.export(), before, "the session after a document with a fault at its end")
        states: set[object] = set()
        done: list[bool] = []

        def write() -> None:
            try:
                scene.other().import_data(document(*large, metadata={"which": "new"}))
            finally:
                done.append(True)

        def read() -> None:
            while not done:
                exported: Any = scene.session().export()
                states.add((len(exported["messages"]), exported["metadata"]["which"]))
                states.add((scene.session().count(), None))
                sleep(0.001)

        together([write, read])
        wanted = {(3, "old"), (size, "new"), (3, None), (size, None)}
        require(states <= wanted, "the old content or the new while importing", sorted(map(str, states - wanted))[:5])
        same(session.count(), size, "count() after the import")
        same([m["n"] for m in session.get_messages(2)], [size - 2, size - 1], "the newest two")
        positions = [message.position for message in session.get_messages()]
        require(positions == sorted(set(positions)) and positions[0] > 3, "new, increasing positions", positions[:3])
        later = session.add_message("user", "next")
        require(later.position > positions[-1], f"a position above {positions[-1]}", later.position)

    @check(69, cause="a second import adds to the first, or makes new ids")
    def test_069_importing_twice_equals_once(self, scene: Scene) -> None:
        """Importing the same document again changes nothing but the positions."""
        session = scene.session()
        doc = document(*[entry(f"m{index}", n=index) for index in range(10)], metadata={"a": 1, "b": None})
        for mode in MODES:
            session.import_data(doc, mode=mode)
            once = session.export()
            same({**once, "session_id": "elsewhere"}, doc, f"the export after one import, mode={mode!r}")
            session.import_data(doc, mode=mode)
            scene.other().import_data(json.dumps(doc), mode=mode)
            same(session.export(), once, f"the export after three imports, mode={mode!r}")

    @check(69, cause="a statement takes only so many ids, or an outcome only so many records")
    def test_069_many_ids_are_all_looked_up(self, scene: Scene) -> None:
        """A batch and a document of over a thousand ids, sent again, store nothing, and the batch returns it all."""
        session = scene.session()
        limits = scene.store.limits
        size = min(1_100, limits.batch_messages, limits.import_messages)
        batch, ids = [{"n": number} for number in range(size)], [f"m{number}" for number in range(size)]
        first = whole(session.add_messages(batch, ids=ids, op_id="op"))
        for what, op in (("repeated under its op_id", "op"), ("sent again", None)):
            again = whole(scene.other().add_messages(batch, ids=ids, op_id=op))
            require(again == first, f"the {size} messages of a batch, {what}, as they were", f"{len(again)}, or others")
        session.import_data(document(*[entry(f"m{n}", n=n) for n in range(size)]), mode="append")
        seen = whole(session.get_messages())
        require(seen == first, f"those {size} messages after appending a document of them", f"{len(seen)}, or others")

    @check(69, cause="ids are looked up before the lock is taken")
    def test_069_appends_of_one_document_at_once_equal_one(self, scene: Scene) -> None:
        """Several callers that append the same document at once leave each of its messages once, in its order."""
        rounds, size = scene.pick(10, 60, 600), 20
        for number in range(rounds):
            doc = document(*[entry(f"{number} {part}", n=[number, part]) for part in range(size)])

            def load(worker: int, doc: dict[str, Any] = doc) -> None:
                store = scene.store if worker % 2 else scene.second
                store.session("s").import_data(doc, mode="append")

            together([partial(load, worker) for worker in range(6)])
        wanted = [[number, part] for number in range(rounds) for part in range(size)]
        seen = [message["n"] for message in scene.session().get_messages()]
        same(seen, wanted, "the messages of documents that six callers each appended at once")

    @check(70, cause="the document is trusted: parsed whole, coerced, or written while it is read", seconds=120)
    def test_070_hostile_documents_change_nothing(self, scene: Scene) -> None:
        """Faulty documents raise `ImportFormatError` with the path of the fault, soon, and change nothing."""
        session = scene.session()
        session.add_messages([{"n": 1}, {"n": 2}], ids=["one", None])
        session.set("k", 1)
        before = (session.export(), whole(session.get_messages()), scene.store.list_sessions())
        for name, faulty, path in hostile_documents():
            for mode in MODES:
                began = time.monotonic()
                try:
                    session.import_data(faulty, mode=mode)
                except ImportFormatError as error:
                    require(path in str(error), f"the path {path} in the error about {name}", str(error)[:200])
                except Exception as error:
                    raise AssertionError(f"{name}: ImportFormatError expected, {type(error).__name__} seen") from error
                else:
                    raise AssertionError(f"{name}: ImportFormatError expected, no error seen")
                took = time.monotonic() - began
                require(took < 15, f"{name} to be refused in bounded time", f"{took:.1f} s")
            now = (session.export(), whole(session.get_messages()), scene.store.list_sessions())
            same(now[:2], before[:2], f"the session after {name}")
            require(now[2] == before[2], f"the listing as before {name}", now[2])

    @check(70, cause="limits hold for appends alone")
    def test_070_documents_over_the_limits_are_refused(self, scene: Scene) -> None:
        """A document over a limit raises an error that is both ImportFormatError and LimitExceededError."""
        if "limits" not in scene.place.options:
            leave_out("the store takes no limits")
        store = scene.fresh(
            limits=Limits(import_messages=3, message_bytes=20, metadata_value_bytes=10, metadata_bytes=12)
        )
        session = store.session("s")
        session.import_data(document(*[entry(str(index)) for index in range(3)]))
        for name, large in (
            ("too many messages", document(*[entry(str(index)) for index in range(4)])),
            ("very many messages", document(*[entry(str(index)) for index in range(100_000)])),
            ("a large message", document(entry("a", text="x" * 20))),
            ("a large metadata value", document(metadata={"a": "x" * 9})),
            ("much metadata", document(metadata={"a": "x" * 4, "b": "x" * 4})),
        ):
            for form in (large, json.dumps(large)):
                with refuses(ImportFormatError, f"a document with {name}"):
                    session.import_data(form)
                with refuses(LimitExceededError, f"a document with {name}"):
                    session.import_data(form)
        same(session.count(), 3, "count() after documents over the limits")
        session.set("a", "x" * 4)
        with refuses(LimitExceededError, "appended metadata that is too much together with what is there"):
            session.import_data(document(metadata={"b": "x" * 4}), mode="append")
        same(session.metadata(), {"a": "x" * 4}, "the metadata after an append over its limit")
        session.import_data(document(metadata={"b": "x" * 4}))
        same(session.metadata(), {"b": "x" * 4}, "the metadata after it was replaced by as much")

    @check(71, cause="the reader follows the present writer and not the documented format")
    def test_071_documents_of_released_versions_import(self, scene: Scene) -> None:
        """The documents that earlier versions wrote import without a change, in every documented spelling."""
        session = scene.session("golden")
        for path in sorted(files("openstackai_sessions_conformance").joinpath("golden").iterdir(), key=str):
            golden = path.read_bytes()
            session.import_data(golden)
            same(session.export(), json.loads(golden), f"the export of the import of {path.name}")
        source = document(entry("a", content=[1, 1.0, "é\ud800"]), session_id="golden", metadata={"k": "v"})
        for text in (
            json.dumps(source, indent=2),
            json.dumps(dict(reversed(source.items()))),
            b"\xef\xbb\xbf" + json.dumps(source).encode(),
            f" \n{json.dumps(source)}\t ",
        ):
            session.delete()
            session.import_data(text)
            same(session.export(), source, "the export of another spelling of the document")
        for stamp in ("2026-01-02T03:04:05.000006+00:00", "2026-01-02t05:04:05.000006+02:00",
                      "2026-01-01T22:04:05.000006-05:00"):  # fmt: skip
            session.import_data(document(entry("a", stamp), created_at=stamp))
            exported: Any = session.export()
            same([exported["created_at"], exported["messages"][0]["created_at"]], [TIME, TIME], f"the time {stamp}")
        same(contents(session.get_messages()), [None], "the contents of the last document")
        for year in ("1600", "1901", "1969", "2026", "2106", "9998"):
            source = document(entry("a", f"{year}-12-31T23:59:59.999999Z"), created_at=f"{year}-12-31T23:59:59.999998Z")
            session.import_data(source)
            same({**session.export(), "session_id": "elsewhere"}, source, f"the export of a document of {year}")
            (info,) = scene.store.list_sessions("golden")
            same(info.created_at.isoformat(), f"{year}-12-31T23:59:59.999998+00:00", "created_at of the entry then")
            session.import_data(document(entry(year, f"{year}-12-31T23:59:59.999999Z")), mode="append")
            (message,) = session.get_messages(1)
            same(message.created_at.isoformat(), f"{year}-12-31T23:59:59.999999+00:00", "a time that was appended")
