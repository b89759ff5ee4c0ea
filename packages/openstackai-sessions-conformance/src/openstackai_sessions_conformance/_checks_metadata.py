# Written by tools/twins.py from _async_checks_metadata.py: edit that file, then run `make twins`.
"""E. Metadata: values under keys, set in one step, removed by name."""

from __future__ import annotations

from typing import Any

from openstackai_sessions_conformance._findings import refuses, require, same
from openstackai_sessions_conformance._scene import Scene, check
from openstackai_sessions_conformance._seam import sleep, together
from openstackai_sessions_conformance._values import BAD_NAMES, hostile_ids
from openstackai_sessions_core import SerializationError, SessionError, ValidationError

__all__ = ["MetadataChecks"]


def _whole_updates(scene: Scene, *, keys: int, rounds: int) -> None:
    """Two writers update the same keys, each to one value; two readers never see two values."""
    names = [f"key {number}" for number in range(keys)]
    scene.session().update(dict.fromkeys(names, 0))
    torn: list[object] = []
    left = [2]

    def write(base: int) -> None:
        try:
            for number in range(rounds):
                (
                    (scene.store if base else scene.second)
                    .session("s")
                    .update(dict.fromkeys(names, base * 10_000 + number))
                )
        finally:
            left[0] -= 1

    def read() -> None:
        session = scene.session()
        while left[0] and not torn:
            values = {str(value) for value in (session.metadata()).values()}
            exported: Any = (session.export())["metadata"]
            for seen in (values, {str(value) for value in exported.values()}):
                if len(seen) != 1:
                    torn.append(seen)
            sleep(0)

    together([lambda: write(0), lambda: write(1), read, read])
    require(not torn, "one value under all keys, as each update writes it", torn[:1])


class MetadataChecks:
    """The checks of group E."""

    @check(36, cause="a missing key and a stored null become the same NULL, or falsy values count as missing")
    def test_036_missing_differs_from_none(self, scene: Scene) -> None:
        """`get` returns the default for a missing key alone; a stored None, 0, "" or {} is a value."""
        session = scene.session()
        same(session.get("key"), None, "get() of a missing key")
        same(session.get("key", "default"), "default", "get() of a missing key with a default")
        falsy: list[Any] = [None, 0, 0.0, False, "", [], {}]
        for value in falsy:
            session.set("key", value)
            for name, handle in (("the same handle", session), ("a second store", scene.other())):
                same(handle.get("key", "default"), value, f"get() of a stored {value!r} on {name}")
                same(handle.metadata(), {"key": value}, f"metadata() with a stored {value!r} on {name}")
        session.update({"key": None, "other": None})
        same(session.metadata(), {"key": None, "other": None}, "metadata() after an update with None")
        marker = object()
        require(session.get("missing", marker) is marker, "the default itself", "another object")
        same(session.get("key2", "default"), "default", "get() of a key that only begins alike")

    @check(37, cause="set inserts without replacing, or removing a missing key is an error")
    def test_037_set_overwrites_and_remove_is_idempotent(self, scene: Scene) -> None:
        """The last value set is the one held; removing twice is the same as once; messages are not touched."""
        session = scene.session()
        session.add_message("user", "stays")
        values: list[Any] = [1, {"theme": "dark"}, [1], "text", None, {"theme": {}}]
        for value in values:
            session.set("key", value)
            same(session.get("key"), value, "the value set last")
        session.set("other", 1)
        session.remove("key")
        same(session.metadata(), {"other": 1}, "metadata() after remove()")
        same(session.get("key", "gone"), "gone", "get() after remove()")
        session.remove("key")
        session.remove("never")
        same(session.metadata(), {"other": 1}, "metadata() after removing what is missing")
        session.set("key", "again")
        same(scene.other().metadata(), {"key": "again", "other": 1}, "metadata() after setting again")
        same([m.content for m in session.get_messages()], ["stays"], "the messages after metadata writes")

    @check(37, cause="keys come back in the order of their writing, or of a hash")
    def test_037_metadata_is_sorted_by_key(self, scene: Scene) -> None:
        """`metadata()` is sorted by key, whatever the order of the writes."""
        session = scene.session()
        keys = ["b", "a", "B", "é", "aa", "z", "A", "\U0001f600", "\uffff", "10", "9", " "]
        for number, key in enumerate(keys):
            session.set(key, number)
        session.update({"y": 1, "c": 2, "b": 3})
        require(list(session.metadata()) == sorted([*keys, "y", "c"]), "sorted keys", list(session.metadata()))

    @check(37, cause="keys are read in pages, or up to a number, or a statement takes only so many parameters")
    def test_037_many_keys_are_all_kept(self, scene: Scene) -> None:
        """1,500 keys set in one update are all there: alone, together, in an export and after its import."""
        session, other = scene.session(), scene.other()
        wanted = {f"key {number:04d}": number for number in range(1_500)}
        session.update(wanted)
        exported: Any = other.export()
        scene.session("copy").import_data(exported)
        copied = scene.other("copy").metadata()
        for what, held in (
            ("metadata()", other.metadata()),
            ("an export", exported["metadata"]),
            ("a copy", copied),
        ):
            missing = sorted(wanted.keys() - held.keys())
            require(not missing, f"all 1,500 keys in {what}", f"{len(missing)} missing, such as {missing[:3]}")
            require(held == wanted, f"the 1,500 values that were set in {what}", "others")
        for key in ("key 0000", "key 0999", "key 1000", "key 1499"):
            same(other.get(key), wanted[key], f"get({key!r}) among 1,500 keys")

    @check(38, cause="the whole map is read, changed and written back")
    def test_038_distinct_keys_set_at_once_survive(self, scene: Scene) -> None:
        """Writers that set different keys at the same time never undo each other."""
        workers = 8
        handles = [(scene.store if number % 2 else scene.second).session("s") for number in range(workers)]
        rounds = scene.pick(12, 60, 500)

        def write(worker: int) -> None:
            for number in range(rounds):
                handles[worker].set(f"{worker} {number}", number)
                if number % 3 == 2:
                    handles[worker].remove(f"{worker} {number - 1}")
                if number % 4 == 3:
                    handles[worker].update({f"{worker} {number} {part}": part for part in "ab"})

        together([lambda worker=worker: write(worker) for worker in range(workers)])  # type: ignore[misc]
        wanted: dict[str, object] = {}
        for worker in range(workers):
            for number in range(rounds):
                if not (number % 3 == 1 and number + 1 < rounds):
                    wanted[f"{worker} {number}"] = number
                if number % 4 == 3:
                    wanted |= {f"{worker} {number} {part}": part for part in "ab"}
        held = scene.session().metadata()
        lost, back = sorted(wanted.keys() - held.keys()), sorted(held.keys() - wanted.keys())
        require(not lost, "every key that was set", f"{len(lost)} of {len(wanted)} are lost, such as {lost[:3]}")
        require(not back, "no key that was removed", f"{len(back)} came back, such as {back[:3]}")

    @check(39, cause="values are merged, or written in parts")
    def test_039_one_key_set_at_once_ends_with_a_written_value(self, scene: Scene) -> None:
        """Of several values set at the same time under one key, one is held: whole, and by every reader alike."""
        workers = 8
        rounds = scene.pick(5, 30, 300)
        for turn in range(rounds):

            def write(worker: int, turn: int = turn) -> None:
                session = (scene.store if worker % 2 else scene.second).session("s")
                session.set("key", {f"by {worker}": [turn, worker] * 5, "same": worker})
                session.set("last", worker)

            together([lambda worker=worker: write(worker) for worker in range(workers)])  # type: ignore[misc]
            written = [{f"by {worker}": [turn, worker] * 5, "same": worker} for worker in range(workers)]
            value = scene.session().get("key")
            require(value in written, "one of the values that were set", value)
            same(scene.other().get("key"), value, "the value on a second store")
            require(scene.session().get("last") in range(workers), "a value that was set", "another")

    @check(40, cause="keys are put into a path, a pattern or a statement")
    def test_040_keys_are_literal(self, scene: Scene) -> None:
        """Keys with dots, quotes, brackets and wildcards, and keys that only look alike, are keys of their own."""
        session = scene.session()
        keys = sorted({*hostile_ids()[:: scene.pick(3, 1, 1)], "a.b", "a", "$.a", "a[0]", "#", "$set", "a\u0301", "á"})
        session.update({key: number for number, key in enumerate(keys)})
        same(session.metadata(), {key: number for number, key in enumerate(keys)}, "metadata() with odd keys")
        session.update({"a": {"b": 1}})
        for number, key in enumerate(keys):
            if key != "a":
                same(session.get(key, "missing"), number, f"get({key!r})")
        for key in keys[::2]:
            session.remove(key)
        wanted = {key: number for number, key in enumerate(keys) if number % 2 == 1}
        if "a" in wanted:
            wanted["a"] = {"b": 1}  # type: ignore[assignment]
        same(session.metadata(), wanted, "metadata() after removing every second odd key")

    @check(40, cause="keys go to the engine unchecked")
    def test_040_bad_keys_are_refused(self, scene: Scene) -> None:
        """A key obeys the rules of a session id; a bad one raises `ValidationError` and nothing is written."""
        session = scene.session()
        for key in BAD_NAMES:
            if isinstance(key, list):
                continue
            with refuses(ValidationError, f"set({key!r}, 1)"):
                session.set(key, 1)
            with refuses(ValidationError, f"get({key!r})"):
                session.get(key)
            with refuses(ValidationError, f"remove({key!r})"):
                session.remove(key)
            with refuses(ValidationError, f"update({{'fine': 1, {key!r}: 2}})"):
                session.update({"fine": 1, key: 2})
        same(scene.store.list_sessions(), [], "list_sessions() after refused keys")

    @check(41, cause="each key is written on its own")
    def test_041_update_is_one_step(self, scene: Scene) -> None:
        """`update` sets all of its keys or none, stores None as a value, and removes nothing."""
        session = scene.session()
        session.update({"a": 1, "b": 2})
        session.update({"b": None, "c": 3})
        same(session.metadata(), {"a": 1, "b": None, "c": 3}, "metadata() after two updates")
        not_json: Any = {1, 2}
        for bad in ({"a": 9, "d": not_json}, {"d": not_json, "a": 9}, {"a": 9, "e\n": 1}, {"a": 9, "big": "x" * 2**21}):
            with refuses(SessionError, "an update with a bad value"):
                session.update(bad)
        with refuses(SerializationError, "an update with a value that is not JSON"):
            session.update({"a": 9, "d": not_json})
        same(session.metadata(), {"a": 1, "b": None, "c": 3}, "metadata() after updates that were refused")

    @check(41, cause="each key is written on its own, or read on its own by metadata() or export()")
    def test_041_readers_never_see_part_of_an_update(self, scene: Scene) -> None:
        """Whoever reads all metadata while updates run sees whole updates only."""
        _whole_updates(scene, keys=30, rounds=scene.pick(40, 200, 2000))

    @check(41, cause="a large update is written in several steps")
    def test_041_readers_never_see_part_of_a_large_update(self, scene: Scene) -> None:
        """The same holds for updates of four hundred keys."""
        _whole_updates(scene, keys=400, rounds=scene.pick(8, 40, 400))
