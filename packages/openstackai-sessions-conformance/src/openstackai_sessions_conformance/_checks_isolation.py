# Written by tools/twins.py from _async_checks_isolation.py: edit that file, then run `make twins`.
"""F. Isolation: sessions, and places, never touch each other; and the listing of sessions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from openstackai_sessions_conformance._capabilities import Capability
from openstackai_sessions_conformance._findings import accepts, refuses, require, same
from openstackai_sessions_conformance._scene import Scene, check
from openstackai_sessions_conformance._seam import together
from openstackai_sessions_conformance._values import BAD_NAMES, hostile_ids
from openstackai_sessions_conformance._views import document, entry, whole
from openstackai_sessions_core import SessionInfo, ValidationError

__all__ = ["IsolationChecks"]


def _listed(infos: Sequence[SessionInfo], wanted: Sequence[str], when: str) -> None:
    """Require that these ids are listed, in the order of their UTF-8 bytes; say which are not."""
    seen = [info.id for info in infos]
    missing, more = [id for id in wanted if id not in seen], [id for id in seen if id not in wanted]
    what = f"all {len(wanted)} ids from list_sessions() {when}, one entry each"
    require(not missing and not more, what, f"{len(missing)} missing, such as {missing[:3]}; others: {more[:3]}")
    require(len(set(seen)) == len(seen), what, f"{len(seen) - len(set(seen))} entries twice")
    wrong = [f"{one!r} where {other!r} belongs" for one, other in zip(seen, wanted, strict=True) if one != other]
    cause = "the order is that of a collation, of UTF-16 or of the writes"
    require(not wrong, f"{what}, in the order of their UTF-8 bytes", wrong[:3], cause=cause)


class IsolationChecks:
    """The checks of group F."""

    @check(42, cause="ids are joined with a separator, folded, trimmed, cut, normalised, or used as a pattern")
    def test_042_hostile_ids_never_touch_each_other(self, scene: Scene) -> None:
        """Over three hundred ids that look alike to some engine are sessions of their own under every operation."""
        ids = hostile_ids()
        for number, id in enumerate(ids):
            session = scene.session(id)
            with accepts(f"the first write to {id!r}, an id unlike all {number} before it,"):
                session.add_messages([{"n": number}, {"own": id}], ids=["same", None], op_id="same")
                session.update({"own": id, "n": number}, op_id="same too")
        _listed(scene.store.list_sessions(limit=1000), ids, "after writing to each")
        for number, id in enumerate(ids):
            session = scene.session(id)
            same(session.get_messages(), [{"n": number}, {"own": id}], f"the messages of {id!r}")
            same(session.metadata(), {"n": number, "own": id}, f"the metadata of {id!r}")
        for number, id in enumerate(ids):
            session = scene.session(id)
            with accepts(f"a write to {id!r} among its neighbours"):
                if number % 5 == 0:
                    session.clear()
                elif number % 5 == 1:
                    session.pop_message()
                elif number % 5 == 2:
                    session.delete()
                elif number % 5 == 3:
                    session.import_data({**session.export(), "messages": [], "metadata": {"imported": id}})
                else:
                    session.remove("n")
                    session.add_message("user", id)
        for number, id in enumerate(ids):
            session = scene.other(id)
            messages, metadata = session.get_messages(), session.metadata()
            wanted_messages: list[Any] = [{"n": number}, {"own": id}]
            wanted_metadata: dict[str, Any] = {"n": number, "own": id}
            if number % 5 == 0:
                wanted_messages = []
            elif number % 5 == 1:
                wanted_messages = wanted_messages[:1]
            elif number % 5 == 2:
                wanted_messages, wanted_metadata = [], {}
            elif number % 5 == 3:
                wanted_messages, wanted_metadata = [], {"imported": id}
            else:
                wanted_messages.append({"role": "user", "content": id})
                del wanted_metadata["n"]
            same(messages, wanted_messages, f"the messages of {id!r} after its neighbours were changed")
            same(metadata, wanted_metadata, f"the metadata of {id!r} after its neighbours were changed")
        left = [id for number, id in enumerate(ids) if number % 5 != 2]
        _listed(scene.store.list_sessions(limit=1000), left, "after deleting every fifth")

    @check(42, cause="op_ids or message ids are remembered without the session they belong to")
    def test_042_ids_of_operations_and_messages_belong_to_their_session(self, scene: Scene) -> None:
        """The same op_id and the same message id mean different things in different sessions."""
        for id in ("s", "t", "s:t", "S"):
            with accepts(f"a write to {id!r} under an op_id, and a message id, that other sessions have used"):
                message = scene.session(id).add_message("user", id, op_id="op", id="message")
                scene.session(id).set("k", id, op_id="op 2")
            same(message.content, id, f"the message added to {id!r} under an op_id used elsewhere")
        for id in ("s", "t", "s:t", "S"):
            same([m.content for m in scene.session(id).get_messages()], [id], f"the messages of {id!r}")
            same(scene.session(id).metadata(), {"k": id}, f"the metadata of {id!r}")

    @check(42, cause="the session id and another name are joined into one key")
    def test_042_names_are_never_joined(self, scene: Scene) -> None:
        """A session `a` with a name `b:c` and a session `a:b` with a name `c` have nothing in common."""
        for sep in ":/|.,;#-_ %\\":
            pairs = [("a", f"b{sep}c"), (f"a{sep}b", "c"), (f"a{sep}", f"b{sep}c"), (f"a{sep}b{sep}", "c")]
            if sep != ":":
                pairs = [(f"{sep}{id}", name) for id, name in pairs]
            for id, name in pairs:
                session, other = scene.session(id), scene.other(id)
                with accepts(f"a write to {id!r} under the id, op_id and key {name!r}"):
                    session.add_message("user", id, id=name, op_id=name)
                    session.set(name, id, op_id=f"{name} set")
                    other.add_message("user", "second", op_id=f"{name} second")
            for id, name in pairs:
                seen = [(m.id, m.content) for m in scene.other(id).get_messages()]
                same([seen[0], len(seen)], [(name, id), 2], f"the first message and the number of messages of {id!r}")
                same(scene.session(id).metadata(), {name: id}, f"the metadata of {id!r}")
                again = scene.session(id).add_message("user", id, id=name, op_id=name)
                same([again.id, again.content], [name, id], f"the message of {id!r}, repeated by its op_id {name!r}")

    @check(42, cause="the prefix is a pattern, the order that of a collation, or after is inclusive")
    def test_042_listing_is_in_byte_order_and_pages(self, scene: Scene) -> None:
        """`list_sessions` goes by the UTF-8 bytes of the ids; `prefix` is literal, `after` exclusive, `limit` exact."""
        ids = [
            "a",
            "B",
            "b",
            "ba",
            "b%",
            "b_",
            "b*",
            "bé",
            "é",
            "e\u0301",
            "zz",
            "Z",
            "\U0001f600",
            "\uffff",
            "b a",
            "[b]",
            "b\\",
            "b\\%",
            "b\\\\",
            "b\uffff",
            "b\U0001f600",
            "\ud7ff",
            "\ud7ffz",
            "\U0010ffff",
            "\U0010ffffz",
        ]
        for id in ids:
            scene.session(id).add_message("user", "x")
        ordered = sorted(ids, key=str.encode)

        def listed(prefix: str = "", **options: Any) -> list[str]:
            return [info.id for info in scene.store.list_sessions(prefix, **options)]

        same(listed(), ordered, "list_sessions()")
        for limit in (1, 2, 5, len(ids), len(ids) + 1):
            paged: list[str] = []
            while page := listed(after=paged[-1] if paged else None, limit=limit):
                require(len(page) <= limit, f"at most {limit} entries", page)
                paged += page
                require(len(paged) <= len(ids), "pages that end", paged)
            same(paged, ordered, f"all pages of {limit}")
        for prefix in ("b", "b%", "b_", "b*", "B", "[b]", "é", "e", "nothing", "ba", "\U0001f600", "\uffff", "\ud7ff",
                       "\U0010ffff", "b\\", "b\\%", "b\\\\", "b\uffff"):  # fmt: skip
            same(listed(prefix), [id for id in ordered if id.startswith(prefix)], f"list_sessions({prefix!r})")
        same(listed("b", after="b", limit=1), ["b a"], "list_sessions('b', after='b', limit=1)")
        same(listed("b", after="a"), [id for id in ordered if id[0] == "b"], "list_sessions('b', after='a')")
        same(listed("b", after="c"), [], "list_sessions('b', after='c')")
        same(listed(after="bz"), [id for id in ordered if id.encode() > b"bz"], "list_sessions(after='bz')")
        same(listed(limit=0), [], "list_sessions(limit=0)")
        same(listed(limit=10**30), ordered, "list_sessions(limit=10**30)")
        # More than a page that an engine or a service may cap.
        many, workers = 1_100, 10

        def write(worker: int) -> None:
            for number in range(worker, many, workers):
                scene.session(f"many {number:04d}").set("k", 1)

        together([partial(write, worker) for worker in range(workers)])
        same(len(scene.store.list_sessions()), 100, "the number of sessions that list_sessions() gives by default")
        wanted = [f"many {number:04d}" for number in range(many)]
        same(listed("many ", limit=5000), wanted, "list_sessions('many ', limit=5000)")
        cause = "the limit is applied before the prefix"
        same(listed("zz", limit=1), ["zz"], f"list_sessions('zz', limit=1) after {many} other ids", cause=cause)
        same(listed("many 1", limit=1), ["many 1000"], "list_sessions('many 1', limit=1)", cause=cause)
        same(listed("many ", after=wanted[-1]), [], f"list_sessions('many ', after={wanted[-1]!r})", cause=cause)

    @check(
        42,
        cause="the listing is kept beside the session, not with every write; or an import of nothing counts as one",
    )
    def test_042_listing_describes_sessions(self, scene: Scene) -> None:
        """An entry tells the id, the number of messages, when the session began and when it was last written."""
        session = scene.session()

        def info() -> SessionInfo:
            (found,) = scene.second.list_sessions()
            return found

        first = session.add_message("user", "a")
        begun = info()
        same((begun.id, begun.message_count), ("s", 1), "id and count of the entry")
        require(begun.created_at == first.created_at, f"created_at to be {first.created_at}", begun.created_at)
        for stamp in (begun.created_at, begun.updated_at):
            require(stamp.utcoffset() == timedelta(0), "aware times in UTC", repr(stamp))
        require(begun.updated_at >= begun.created_at, f"updated_at from {begun.created_at} on", begun.updated_at)
        last = begun
        exported = {**session.export(), "created_at": None}
        steps: list[tuple[str, Any, int]] = [
            ("add_messages", lambda: session.add_messages([{}, {}]), 3),
            ("set", lambda: session.set("k", 1), 3),
            ("pop_message", session.pop_message, 2),
            ("remove", lambda: session.remove("k"), 2),
            ("clear", session.clear, 0),
            ("import_data", lambda: session.import_data(exported), 1),
            ("import_data append", lambda: session.import_data(document(entry("i", n=1)), mode="append"), 2),
            ("clear of those", session.clear, 0),
            ("add_message to what was emptied", lambda: session.add_message("user", "x", id="id", op_id="op"), 1),
            ("pop to empty", session.pop_message, 0),
            ("set of what is empty", lambda: session.set("k", 1), 0),
        ]
        for name, step, count in steps:
            if scene.place.clock is not None:
                scene.elapse(1)
            step()
            now = info()
            same(now.message_count, count, f"the count of the entry after {name}")
            require(now.created_at == begun.created_at, f"created_at as before {name}", now.created_at)
            later = now.updated_at > last.updated_at if scene.place.clock else now.updated_at >= last.updated_at
            require(later, f"updated_at later than before {name}", f"{last.updated_at} -> {now.updated_at}")
            last = now
        idle: list[tuple[str, Any]] = [
            ("reads", session.get_messages),
            ("an export", session.export),
            ("metadata()", session.metadata),
            ("popping nothing", session.pop_message),
            ("clearing nothing", session.clear),
            ("removing nothing", lambda: session.remove("missing")),
            ("a repeat", lambda: session.add_message("user", "x", id="id", op_id="op")),
            ("an import of nothing", lambda: session.import_data(document(), mode="append")),
        ]
        if scene.place.clock is not None:
            scene.elapse(1)
        for name, call in idle:
            call()
            require(info() == last, f"an entry that {name} does not change", (last, info()))

    @check(43, cause="ids go to the engine unchecked, or are trimmed until they fit")
    def test_043_bad_ids_are_refused(self, scene: Scene) -> None:
        """Empty, over-long, non-text, control and surrogate ids raise `ValidationError` before any I/O."""
        for id in BAD_NAMES:
            with refuses(ValidationError, f"session({id!r})"):
                scene.store.session(id)
            with refuses(ValidationError, f"delete_session({id!r})"):
                scene.store.delete_session(id)
            if id not in ("", None):
                with refuses(ValidationError, f"list_sessions(after={id!r})"):
                    scene.store.list_sessions(after=id)
                with refuses(ValidationError, f"list_sessions({id!r})"):
                    scene.store.list_sessions(id)
        closed = scene.fresh()
        closed.close()
        with refuses(ValidationError, "session('') of a closed store, for ids are checked before any I/O"):
            closed.session("")
        same(scene.store.list_sessions(), [], "list_sessions() after refused ids")

    @check(44, cause="a statement without the session id in its condition, or ids folded together")
    def test_044_other_sessions_stay_as_they_were(self, scene: Scene) -> None:
        """Writing to, emptying, importing into, deleting and expiring one session leaves others byte for byte."""
        kept = [scene.session(id) for id in ("b", "a ", "ab", "A", "a:b")]
        for number, session in enumerate(kept):
            session.add_messages([{"n": number, "x": [1, 1.0]}] * 3, ids=["m1", "m2", None], op_id="op")
            session.update({"k": number, "l": None})
        before = [(session.export(), whole(session.get_messages())) for session in kept]
        a = scene.session("a")
        ttl = bool(scene.capabilities & Capability.TTL)
        steps: list[tuple[str, Any]] = [
            ("add", lambda: a.add_messages([{"n": 9}] * 3, ids=["m1", "m2", None], op_id="op")),
            ("set", lambda: a.update({"k": 9, "z": 1})),
            ("remove", lambda: a.remove("k")),
            ("pop", a.pop_message),
            ("clear", a.clear),
            ("import", lambda: scene.session("b").export()),
            ("import into", lambda: scene.second.session("a").import_data(before[0][0])),
            ("append", lambda: scene.session("c").import_data(before[0][0], mode="append")),
            ("delete", a.delete),
            ("delete_session", lambda: scene.store.delete_session("c")),
            ("write with ttl", lambda: scene.session("a", ttl=scene.tick if ttl else None).add_message("user", "x")),
            ("expire", lambda: scene.elapse(scene.tick * 1.5 if ttl else 0)),
            ("purge", scene.store.purge_expired),
            ("list", scene.store.list_sessions),
        ]
        for name, step in steps:
            step()
            after = [(session.export(), whole(session.get_messages())) for session in kept]
            for session, was, now in zip(kept, before, after, strict=True):
                same(now, was, f"session {session.session_id!r} after {name!r} of session 'a'")

    @check(45, cause="data kept in a module or class, or a prefix that is not part of every key")
    def test_045_two_places_never_leak(self, scene: Scene) -> None:
        """Stores on different places, with the same ids in them, see nothing of each other."""
        elsewhere = scene.fresh()
        mine, theirs = scene.session(), elsewhere.session("s")
        mine.add_messages([{"mine": 1}, {"mine": 2}], ids=["m", None], op_id="op")
        mine.set("k", "mine")
        same(theirs.get_messages(), [], "the messages of the same id on another place")
        same(theirs.metadata(), {}, "the metadata of the same id on another place")
        same(elsewhere.list_sessions(), [], "list_sessions() on another place")
        theirs.add_messages([{"theirs": 1}], ids=["m"], op_id="op")
        theirs.set("k", "theirs")
        same(mine.get_messages(), [{"mine": 1}, {"mine": 2}], "our messages after theirs were written")
        theirs.clear()
        theirs.delete()
        elsewhere.purge_expired()
        same(mine.get_messages(), [{"mine": 1}, {"mine": 2}], "our messages after theirs were deleted")
        same(mine.metadata(), {"k": "mine"}, "our metadata after theirs was deleted")
        elsewhere.close()
        same(mine.count(), 2, "our count() after the other place's store was closed")
