# Written by tools/twins.py from _async_checks_fidelity.py: edit that file, then run `make twins`.
"""B. Fidelity: what comes back is what went in, or it is refused before anything is written."""

from __future__ import annotations

import json
import math
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from openstackai_sessions_conformance._capabilities import Capability
from openstackai_sessions_conformance._findings import fail, refuses, require, same
from openstackai_sessions_conformance._harness import leave_out
from openstackai_sessions_conformance._scene import Scene, check
from openstackai_sessions_conformance._values import (
    CYCLES,
    EXACT,
    FLOATS,
    INTEGERS,
    LOOKALIKES,
    NOT_JSON,
    SURROGATES,
    TEXTS,
    nested,
    random_json,
)
from openstackai_sessions_conformance._views import document, entry, whole
from openstackai_sessions_core import (
    CorruptDataError,
    ImportFormatError,
    LimitExceededError,
    Limits,
    Message,
    SerializationError,
    SessionError,
)
from openstackai_sessions_core.backend import NewMessage, Operation

__all__ = ["FidelityChecks"]


def _kept(scene: Scene, values: Sequence[Any]) -> None:
    """Each value comes back exactly, wherever it stands and however it is read."""
    session = scene.session()
    session.delete()
    sent: list[dict[str, Any]] = [
        {"role": "user", "content": value, "field": value, "list": [value], "dict": {"key": [{"deep": value}]}}
        for value in values
    ]
    returned = session.add_messages(sent)
    read = scene.other().get_messages()
    same([len(returned), len(read)], [len(sent)] * 2, "the number of messages returned by add_messages, and read")
    for value, wanted, back, found in zip(values, sent, returned, read, strict=True):
        what = repr(value)[:80]
        same(back, wanted, f"the message returned for {what}")
        same(found, wanted, f"the message read for {what}")
    _kept_on_every_path(scene, read)
    for wanted in reversed(sent[-5:]):
        same(session.pop_message(), wanted, "the message popped")
    session.clear()
    session.update({f"key {number}": value for number, value in enumerate(values)})
    held = scene.other().metadata()
    same(sorted(held), sorted(f"key {number}" for number in range(len(values))), "the metadata keys after an update")
    for number, value in enumerate(values):
        same(held[f"key {number}"], value, f"the metadata value {repr(value)[:80]}")
    for value in values[:: max(1, len(values) // 20)]:
        session.set("one", value)
        same(scene.other().get("one"), value, "the metadata value got by its key")
        message = session.add_message("user", value, field=value)
        same(message, {"role": "user", "content": value, "field": value}, "the message that add_message returned")
    exported = session.export()
    text = json.dumps(exported)
    for form in (exported, text, text.encode()):
        scene.session("copy").import_data(form)
        same({**scene.session("copy").export(), "session_id": "s"}, exported, "the export of an import")


def _kept_on_every_path(scene: Scene, read: Sequence[Message]) -> None:
    """What `get_messages()` gave is what paging, iterating, and an import in mode append give."""
    session, wanted = scene.other(), whole(read)
    half = (len(read) + 1) // 2
    cause = "this way of reading has a decoder, or a query, of its own"
    same(whole(session.get_messages(half)), wanted[-half:], f"get_messages({half})", cause=cause)
    before = read[-half].position
    older = session.get_messages(half, before=before)
    same(whole(older), wanted[:-half], f"get_messages({half}, before={before})", cause=cause)
    if scene.capabilities & Capability.STREAM:
        paged = [message for message in session.iter_messages(page_size=7)]
        same(whole(paged), wanted, "iter_messages(page_size=7)", cause=cause)
        same(whole([message for message in session.iter_messages()]), wanted, "iter_messages()", cause=cause)
    exported = session.export()
    added = scene.session("added")
    added.delete()
    added.import_data(exported, mode="append")
    cause = "an import in mode append has an encoder, or a statement, of its own"
    messages = (added.export())["messages"]
    same(messages, exported["messages"], "the messages imported in mode append", cause=cause)
    same(added.get_messages(), [dict(m) for m in read], "what is read of those", cause=cause)


def _refused(scene: Scene, values: Sequence[Any], error: type[Exception] = SerializationError) -> None:
    """Each value is refused wherever it stands, and nothing is written."""
    session = scene.session()
    for value in values:
        try:
            name = repr(value)[:60]
        except (RecursionError, ValueError):
            name = type(value).__name__
        calls: list[tuple[str, Callable[[], object]]] = [
            ("as content", lambda value=value: session.add_message("user", value)),  # type: ignore[misc]
            ("as a field", lambda value=value: session.add_message("user", "x", field=value)),  # type: ignore[misc]
            ("in a list", lambda value=value: session.add_messages([{"a": [1, value]}])),  # type: ignore[misc]
            ("in a dict", lambda value=value: session.add_messages([{"a": {"b": value}}])),  # type: ignore[misc]
            ("in a batch", lambda value=value: session.add_messages([{"n": 1}, {"a": value}, {"n": 2}])),  # type: ignore[misc]
            ("as metadata", lambda value=value: session.set("key", value)),  # type: ignore[misc]
            ("in metadata", lambda value=value: session.set("key", {"a": [value]})),  # type: ignore[misc]
            ("in an update", lambda value=value: session.update({"fine": 1, "key": value})),  # type: ignore[misc]
        ]
        for place, call in calls:
            with refuses(error, f"{name} {place}"):
                call()
    same(session.get_messages(), [], "the messages after values that were refused")
    same(session.metadata(), {}, "the metadata after values that were refused")
    same(scene.store.list_sessions(), [], "list_sessions() after values that were refused")


class FidelityChecks:
    """The checks of group B."""

    @check(11, cause="a codec or a column type that knows fewer types than JSON has, or sorts keys")
    def test_011_values_come_back_type_exact(self, scene: Scene) -> None:
        """1, 1.0 and True stay apart, keys keep their order, at every depth and on every way in and out."""
        _kept(scene, EXACT)

    @check(11, cause="a codec that changes rare values")
    def test_011_random_values_come_back_type_exact(self, scene: Scene) -> None:
        """Values of every shape, drawn at random, come back as they were."""
        for _ in range(scene.pick(3, 20, 200)):
            _kept(scene, [random_json(scene.random, 4) for _ in range(60)])

    @check(11, cause="dict subclasses are refused, or come back as their own class")
    def test_011_subclasses_of_dict_are_stored_as_dict(self, scene: Scene) -> None:
        """A subclass of dict is stored as the dict it is."""
        session = scene.session()
        inner: defaultdict[str, Any] = defaultdict(int, a=1)
        (message,) = session.add_messages([OrderedDict(b=1, a=inner)])
        same(message, {"b": 1, "a": {"a": 1}}, "the message returned for an OrderedDict")
        (read,) = session.get_messages()
        same(dict(read), {"b": 1, "a": {"a": 1}}, "the message read for an OrderedDict")
        require(type(read["a"]) is dict, "a plain dict inside", type(read["a"]).__name__)
        session.set("k", OrderedDict(z=1, y=2))
        same(session.get("k"), {"z": 1, "y": 2}, "the metadata value")

    @check(12, cause="numbers pass through text of fixed precision, a decimal column or JSONB")
    def test_012_floats_come_back_bit_for_bit(self, scene: Scene) -> None:
        """Every float comes back with its bits, -0.0 and 5e-324 too, and never as an int."""
        drawn = [scene.random.uniform(-1, 1) * 10.0 ** scene.random.randint(-300, 300) for _ in range(200)]
        _kept(scene, FLOATS + [-value for value in FLOATS] + drawn + [float(number) for number in range(-20, 20)])

    @check(13, cause="integers pass through a float, or through a column of 32 bits")
    def test_013_integers_are_kept_or_refused(self, scene: Scene) -> None:
        """Integers within 2**63-1 of zero are kept; those beyond raise `SerializationError`."""
        _refused(scene, [2**63, -(2**63), 2**63 + 1, 2**64, -(2**64), 10**19, 10**30, -(10**400), 10**5000])
        drawn = [scene.random.randint(-(2**63) + 1, 2**63 - 1) for _ in range(200)]
        _kept(scene, INTEGERS + drawn + [2**53 + number for number in range(-3, 4)])

    @check(14, cause="the codec writes NaN as null, or as a word that is not JSON")
    def test_014_not_a_number_is_refused(self, scene: Scene) -> None:
        """NaN and the infinities raise `SerializationError`, wherever they stand, and nothing is written."""
        _refused(scene, [math.nan, math.inf, -math.inf, -math.nan, [0.0, math.nan], {"a": {"b": math.inf}}])

    @check(15, cause="text is normalised, trimmed, cut at NUL, or its line ends are changed")
    def test_015_text_comes_back_unchanged(self, scene: Scene) -> None:
        """NUL, U+FFFF, CRLF, byte order marks and unnormalised text come back as they were."""
        letters = [chr(code) for code in range(0x100)] + [
            chr(scene.random.randrange(0xE000, 0x110000)) for _ in range(50)
        ]
        _kept(scene, [*TEXTS, "".join(letters), *letters, dict.fromkeys(TEXTS, 1)])

    @check(16, cause="text is encoded as UTF-8 with errors replaced")
    def test_016_lone_surrogates_are_kept(self, scene: Scene) -> None:
        """Lone surrogates come back as they were; a pair of them, which JSON would join, is refused."""
        _refused(scene, ["\ud83d\ude00", {"\ud83d\ude00": 1}, ["x\ud800\udc00"]])
        _kept(scene, [*SURROGATES, {"\ud800": "\udfff"}, ["\udfff\ud800"], "mixed é\ud800 \U0001f600"])

    @check(17, cause="empty values are stored as NULL or left out")
    def test_017_empty_values_stay_apart(self, scene: Scene) -> None:
        """`""`, `[]`, `{}`, `null`, 0, False and a missing field are all different."""
        empty: list[Any] = ["", [], {}, None, 0, 0.0, False]
        _kept(scene, [*empty, [empty], {str(number): value for number, value in enumerate(empty)}])
        session = scene.session()
        session.delete()
        wanted: list[dict[str, Any]] = [{}, {"content": None}, {"content": ""}, {"role": None}, {"": None}, {"": {}}]
        session.add_messages(wanted)
        messages = session.get_messages()
        same(messages, wanted, "messages with missing and empty fields")
        same([messages[0].role, messages[0].content], [None, None], "role and content of an empty object")
        require("content" not in messages[0], "no content where none was given", dict(messages[0]))

    @check(18, cause="the codec has a default for what it does not know, or takes subclasses for their bases")
    def test_018_what_is_not_json_is_refused(self, scene: Scene) -> None:
        """Tuples, sets, bytes, dates, enums, subclasses and keys that are no text raise `SerializationError`."""
        _refused(scene, NOT_JSON)
        wrong: Any
        for wrong in ({1: "a"}, {None: 1}, {b"a": 1}, {"fine": 1, 2: 3}):
            with refuses(SerializationError, f"a message with the keys of {wrong!r}"):
                scene.session().add_messages([wrong])

    @check(19, cause="text is interpreted on its way: as JSON, SQL, a format, a pickle or a protocol")
    def test_019_text_that_looks_like_code_stays_text(self, scene: Scene) -> None:
        """Text that looks like JSON, SQL, RESP, pickle or base64 is text."""
        _kept(scene, [*LOOKALIKES, {text: text for text in LOOKALIKES}])
        session = scene.session("roles")
        session.add_messages([{"role": text, "content": text} for text in LOOKALIKES])
        same([m.role for m in session.get_messages()], LOOKALIKES, "roles that look like code")

    @check(20, cause="the encoder recurses without a bound")
    def test_020_deep_and_cyclic_input_is_refused(self, scene: Scene) -> None:
        """Cycles and nesting over 64 raise `SerializationError` and never RecursionError; 64 levels are kept."""
        _refused(scene, CYCLES)
        session = scene.session()
        (message,) = session.add_messages([{"content": nested(63)}])
        same(message.content, nested(63), "the content nested to 64 levels")
        same((session.get_messages())[0].content, nested(63), "the content read, nested to 64 levels")
        with refuses(SerializationError, "a message nested to 65 levels"):
            session.add_messages([{"content": nested(64)}])
        session.set("k", nested(63))
        same(session.get("k"), nested(63), "metadata nested to 63 levels")
        session.import_data(document(entry("deep", content=nested(63)), metadata={"k": nested(63)}))
        same((session.get_messages())[0].content, nested(63), "imported content, nested to 64 levels")
        for form in (document(entry("deep", content=nested(64))), json.dumps(document(entry("d", content=nested(64))))):
            with refuses(ImportFormatError, "a document with a message nested to 65 levels"):
                session.import_data(form)

    @check(21, cause="a column, a buffer or a packet with a size of its own")
    def test_021_sizes_are_kept_up_to_the_limit(self, scene: Scene) -> None:
        """Texts of 0, 1, 64 Ki and 1 Mi characters, one less and one more, come back whole."""
        session = scene.session()
        for size in (0, 1, 255, 256, 65_535, 65_536, 65_537, 1_048_575, 1_048_576, 1_048_577):
            for letter in ("x", "é"):
                text = letter * (size - 1) + "z" if size else ""
                message = session.add_message("user", text)
                require(message.content == text, f"{size} characters returned", f"{len(str(message.content))}")
                (read,) = scene.other().get_messages(1)
                require(read.content == text, f"{size} characters read", f"{len(str(read.content))} or others")
                session.clear()

    @check(21, cause="metadata, or what an import writes, stands in a column or a buffer with a size of its own")
    def test_021_large_metadata_and_imports_come_back_whole(self, scene: Scene) -> None:
        """Metadata, and what is imported, come back whole around 64 Ki characters and at the default limit of 1 MiB."""
        session = scene.session()
        most = scene.store.limits.metadata_value_bytes - len('""')
        for size in (65_535, 65_536, 65_537, 1_048_574):
            if size > most:
                continue
            text = "x" * (size - 1) + "z"

            def whole_text(seen: object, what: str, text: str = text) -> None:
                shown = f"{len(seen)} characters" if isinstance(seen, str) else repr(seen)[:80]
                require(seen == text, f"all {len(text)} characters of {what}", f"{shown}, or others")

            session.set("key", text)
            whole_text(scene.other().get("key"), "a metadata value got by its key")
            whole_text((scene.other().metadata()).get("key"), "a value of metadata()")
            exported: Any = session.export()
            whole_text(exported["metadata"].get("key"), "an exported metadata value")
            session.import_data(document(entry("large", text=text), metadata={"imported": text}))
            (read,) = scene.other().get_messages()
            whole_text(read["text"], "an imported message")
            whole_text(scene.other().get("imported"), "an imported metadata value")

    @check(21, cause="the limit is compared with another size than that of the stored JSON, or after the write")
    def test_021_the_limit_is_exact(self, scene: Scene) -> None:
        """A message as large as the limit is kept; one byte more raises `LimitExceededError` and writes nothing."""
        small = "limits" in scene.place.options
        store = scene.fresh(limits=Limits(message_bytes=100_000)) if small else scene.store
        most = store.limits.message_bytes
        session = store.session("s")
        room = most - len('{"role":"user","content":""}')
        with refuses(LimitExceededError, f"a message of {most + 1} bytes"):
            session.add_message("user", "x" * (room + 1))
        with refuses(LimitExceededError, f"a message of over {most} bytes in UTF-8"):
            session.add_message("user", "é" * (room // 2 + 1))
        same(session.count(), 0, "count() after messages over the limit")
        session.add_message("user", "x" * room)
        (read,) = session.get_messages()
        require(read.content == "x" * room, f"a message of {most} bytes to come back", f"{len(str(read.content))}")

    @check(22, cause="records that cannot be read are skipped, or become something else")
    def test_022_corruption_is_reported(self, scene: Scene) -> None:
        """A stored record that cannot be read raises `CorruptDataError` with its position, and is never removed."""
        session = scene.session()
        session.add_messages([{"n": 1}, {"n": 2}])
        if scene.place.corrupt is not None:
            victim = session.add_message("user", "to be damaged")
            session.add_message("user", "after")
            position = victim.position
            scene.place.corrupt("s", position)
        else:
            broken = NewMessage("broken", b'{"role": "user", "con', False)
            try:
                outcome = scene.store.append("s", Operation("op", b"0123456789abcdef"), [broken], ttl=None)
            except (SessionError, ValueError) as error:
                pytest.skip(f"the store takes no broken payload ({error}), and the hook `corrupt` is absent")
            position = outcome.records[0][0]
            session.add_message("user", "after")
        calls: list[tuple[str, Callable[[], object]]] = [
            ("get_messages()", session.get_messages),
            ("get_messages(2)", lambda: session.get_messages(2)),
            ("get_messages() on a second store", scene.other().get_messages),
            ("export()", session.export),
        ]
        for name, call in calls:
            _corrupt(name, position, call)
        same([m.content for m in session.get_messages(1)], ["after"], "the newest message, which is whole")
        same(len(session.get_messages(before=position)), 2, "the messages before the damaged one")
        popped = session.pop_message()
        same(popped and popped.content, "after", "the message popped after the damaged one")
        listed = scene.store.list_sessions()
        if scene.place.clock is not None:
            scene.elapse(1)
        for _ in range(2):
            _corrupt("pop_message()", position, session.pop_message)
        now = scene.store.list_sessions()
        cause = "a pop notes the write before it has read the message"
        require(now == listed, "the entry of list_sessions() as before pops that failed", (listed, now), cause=cause)
        same(session.count(), 3, "count() after pops of a damaged message, which remove nothing")
        session.add_message("user", "goes on")
        session.clear()
        session.import_data(document(entry("new", n=1)))
        same(session.get_messages(), [{"n": 1}], "the messages once the damaged one was cleared away")

    @check(28, cause="iteration skips what it cannot read")
    def test_028_iteration_reports_corruption(self, scene: Scene) -> None:
        """Iterating over a damaged record raises `CorruptDataError` with its position."""
        session = scene.session()
        session.add_message("user", "before")
        try:
            outcome = scene.store.append(
                "s", Operation("op", b"0123456789abcdef"), [NewMessage("broken", b'{"a', False)], ttl=None
            )
        except (SessionError, ValueError) as error:
            leave_out(f"the store takes no broken payload ({error})")
        session.add_message("user", "after")

        def iterate() -> list[object]:
            return [message for message in session.iter_messages(page_size=1)]

        _corrupt("iter_messages()", outcome.records[0][0], iterate)


def _corrupt(name: str, position: int, call: Callable[[], object]) -> None:
    try:
        result = call()
    except CorruptDataError as error:
        seen = error.position
        require(seen == position, f"{name} to raise CorruptDataError with position {position}", f"position {seen}")
        require(str(position) in str(error), f"the position {position} in the text of the error", str(error))
    except Exception as error:
        fail(f"{name} of a damaged record raises CorruptDataError", f"{type(error).__name__}: {error}")
    else:
        fail(f"{name} of a damaged record raises CorruptDataError", result)
