# Written by tools/twins.py from _async_checks_expiry.py: edit that file, then run `make twins`.
"""J. Time to live: the whole session, on the store's clock, from its last write."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from openstackai_sessions_conformance._capabilities import Capability
from openstackai_sessions_conformance._checks_events import hear_all
from openstackai_sessions_conformance._findings import refuses, require, same
from openstackai_sessions_conformance._harness import leave_out
from openstackai_sessions_conformance._scene import Scene, check
from openstackai_sessions_conformance._seam import together
from openstackai_sessions_conformance._views import document, entry, whole
from openstackai_sessions_core import Message, Session, ValidationError

__all__ = ["ExpiryChecks"]


def _listed(scene: Scene) -> list[str]:
    return [info.id for info in scene.second.list_sessions()]


DAY = 86400.0


def _by_the_clock(scene: Scene) -> None:
    """The store goes by the clock that is moved here: else every finding below would be about that alone."""
    clock = scene.place.clock
    if clock is not None:
        scene.elapse(DAY)
        made = (scene.session("clock").add_message("user", "x")).created_at.timestamp()
        what = "a store that goes by its place's clock, which has been moved on by a day"
        cause = "the callable or place takes `clock` and does not hand it to the store"
        require(abs(made - clock()) < DAY / 2, what, f"a message of {clock() - made:.0f} s ago", cause=cause)
        scene.session("clock").delete()


def _iterated(session: Session) -> list[Message]:
    return [message for message in session.iter_messages(page_size=1)]


class ExpiryChecks:
    """The checks of group J."""

    @check(72, cause="parts expire on their own, listings forget to look, or the time is in another unit")
    def test_072_before_the_deadline_all_and_after_it_nothing(self, scene: Scene) -> None:
        """Until `ttl` seconds after the last write everything is there; from then on nothing is, by any call."""
        _by_the_clock(scene)
        session = scene.session(ttl=scene.tick)
        session.add_messages([{"n": 1}, {"n": 2}])
        session.set("key", 1)
        scene.session("stays").set("key", 1)
        scene.elapse(scene.tick * 0.5)
        for handle in (session, scene.session(), scene.other()):
            same(handle.count(), 2, "count() before the deadline")
            same(handle.get_messages(), [{"n": 1}, {"n": 2}], "get_messages() before the deadline")
            same(handle.metadata(), {"key": 1}, "metadata() before the deadline")
        same(_listed(scene), ["s", "stays"], "list_sessions() before the deadline")
        if scene.capabilities & Capability.STREAM:
            seen = []
            for message in session.iter_messages(page_size=1):
                seen.append(message["n"])
                if len(seen) == 1:
                    scene.elapse(scene.tick * 0.8)
            cause = "the next page of an iteration does not look at the deadline"
            same(seen, [1], "what is iterated in pages of one, past the deadline after the first", cause=cause)
        else:
            scene.elapse(scene.tick * 0.8)
        for handle in (session, scene.session(), scene.other()):
            same(handle.get_messages(), [], "get_messages() after the deadline")
            same(handle.get_messages(1, before=10**9), [], "get_messages(1, before=...) after the deadline")
            same(handle.count(), 0, "count() after the deadline")
            same(handle.metadata(), {}, "metadata() after the deadline")
            same(handle.get("key", "gone"), "gone", "get() after the deadline")
            exported = handle.export()
            same([exported["messages"], exported["metadata"], exported["created_at"]], [[], {}, None], "export() then")
            if scene.capabilities & Capability.STREAM:
                same([m for m in handle.iter_messages()], [], "iteration after the deadline")
        for name in "adeg":
            scene.session(name, ttl=scene.tick).set("k", 1)
        for name in "bcfh":
            scene.session(name).set("k", 1)
        scene.elapse(scene.tick * 1.3)
        for limit in (1, 2, 3):
            paged: list[str] = []
            while page := scene.second.list_sessions(after=paged[-1] if paged else None, limit=limit):
                paged += [info.id for info in page]
            same(paged, ["b", "c", "f", "h", "stays"], f"all pages of {limit}, in which nothing expired takes a place")
        for name in "bcfh":
            scene.session(name).delete()
        same(_listed(scene), ["stays"], "list_sessions() after the deadline")
        heard = hear_all(session)
        same(session.pop_message(), None, "pop_message() after the deadline")
        session.clear()
        session.remove("key")
        session.delete()
        same(heard, [], "events of calls that found an expired session")
        same(scene.session("stays").metadata(), {"key": 1}, "a session without a ttl")

    @check(73, cause="one kind of write does not move the deadline, or a read does")
    def test_073_every_write_refreshes_and_reads_do_not(self, scene: Scene) -> None:
        """Each kind of write moves the deadline of the whole session; reads and no-ops leave it."""
        doc = document(entry("new", n=1))
        writes: dict[str, Callable[[Session], object]] = {
            "add_message": lambda s: s.add_message("user", "x"),
            "add_messages": lambda s: s.add_messages([{"n": 1}, {"n": 2}]),
            "clear": lambda s: s.clear(),
            "import_data": lambda s: s.import_data(doc),
            "import_data append": lambda s: s.import_data(doc, mode="append"),
            "pop_message": lambda s: s.pop_message(),
            "remove": lambda s: s.remove("k"),
            "set": lambda s: s.set("k", 2),
            "set of the same value": lambda s: s.set("k", 1),
            "update": lambda s: s.update({"k": 3, "l": 4}),
            "update of the same value": lambda s: s.update({"k": 1}),
        }
        others: dict[str, Callable[[Session], object]] = {
            "add_message of a known id": lambda s: s.add_message("user", "x", id="known"),
            "add_messages of nothing": lambda s: s.add_messages([]),
            "clear of nothing": lambda s: scene.session("empty " + s.session_id).clear(),
            "count": lambda s: s.count(),
            "export": lambda s: s.export(),
            "get": lambda s: s.get("k"),
            "get_messages": lambda s: s.get_messages(),
            "get_messages of one": lambda s: s.get_messages(1),
            "get_messages of some before": lambda s: s.get_messages(2, before=10**9),
            "import of what is known": lambda s: s.import_data(document(known), mode="append"),
            "metadata": lambda s: s.metadata(),
            "nothing": lambda s: s.remove("missing"),
            "repeat of a write": lambda s: s.set("k", 1, op_id="set"),
            "repeat of an append": lambda s: s.add_message("user", "last", op_id="add"),
            "repeat of a pop": lambda s: s.pop_message(op_id="pop"),
            "repeat of a pop of nothing": lambda s: scene.session("empty " + s.session_id).pop_message(op_id="pop"),
            "update of nothing": lambda s: s.update({}),
        }
        if scene.capabilities & Capability.STREAM:
            others["iter_messages"] = _iterated
        known = entry("known", role="user", content="x")
        # Where time really passes, all these calls have to fit into a part of it.
        tick = scene.tick * 2.5 if scene.lives_in_real_time else scene.tick
        empty = ["empty " + name for name in others]
        for name in [*writes, *others]:
            session = scene.session(name)
            session.add_messages([{"n": 1}, {"role": "user", "content": "x"}], ids=[None, "known"])
            session.add_message("user", "last", op_id="add")
            session.pop_message(op_id="pop")
        for name in empty:
            scene.session(name).pop_message(op_id="pop")
        for name in [*writes, *others, *empty]:
            scene.session(name, ttl=tick).set("k", 1, op_id="set")
        scene.elapse(tick * 0.6)
        states = {}
        for name, write in writes.items():
            write(scene.session(name))
            states[name] = (scene.session(name).count(), scene.session(name).metadata())
        for name, call in others.items():
            call(scene.session(name))
        scene.store.list_sessions()
        for name in empty:
            scene.session(name).clear()
            scene.session(name).pop_message()
        scene.elapse(tick * 0.6)
        for name in writes:
            held = (scene.session(name).count(), scene.session(name).metadata())
            same(held, states[name], f"messages and metadata, refreshed by {name}")
        listed = _listed(scene)
        same(listed, sorted(writes), "the sessions that live on: those that were written to, and no other")

    @check(74, cause="messages and metadata have deadlines of their own")
    def test_074_a_session_never_expires_in_part(self, scene: Scene) -> None:
        """Messages and metadata written at different times have one deadline, and go at the same instant."""
        session, reader = scene.session(ttl=scene.tick), scene.other()
        session.add_message("user", "early")
        scene.elapse(scene.tick * 0.6)
        session.set("key", "later")
        scene.elapse(scene.tick * 0.6)
        scene.session("two", ttl=scene.tick).set("key", "early")
        same([m.content for m in reader.get_messages()], ["early"], "a message kept alive by a later set")
        session.add_message("user", "last")
        steps = 12
        for _ in range(steps):
            exported: Any = reader.export()
            held = (len(exported["messages"]), exported["metadata"])
            require(held in ((2, {"key": "later"}), (0, {})), "both messages and the key, or nothing", held)
            scene.elapse(scene.tick * 1.2 / steps)
        same(reader.count(), 0, "count() after the deadline")
        same(reader.metadata(), {}, "metadata() after the deadline")

    @check(75, cause="the setting is kept with the messages, or with the handle")
    def test_075_emptying_keeps_the_setting(self, scene: Scene) -> None:
        """The ttl belongs to the session: handles without one keep it, through pop to empty, clear and import."""
        calls: dict[str, Callable[[Session], object]] = {
            "add_message": lambda s: s.add_message("user", "x"),
            "clear": lambda s: s.clear(),
            "import_data": lambda s: s.import_data(document(entry("new", n=1))),
            "import_data append": lambda s: s.import_data(document(entry("new", n=1)), mode="append"),
            "pop_message": lambda s: s.pop_message(),
            "remove": lambda s: s.remove("k"),
            "set": lambda s: s.set("k", 2),
        }
        for name in calls:
            session = scene.session(name, ttl=scene.tick)
            session.add_message("user", "x")
            session.set("k", 1)
        scene.session("longer", ttl=scene.tick).add_message("user", "x")
        scene.session("shorter", ttl=scene.tick * 100).add_message("user", "x")
        for name, call in calls.items():
            call(scene.session(name))
        scene.session("longer", ttl=scene.tick * 100).set("k", 1)
        scene.session("shorter", ttl=scene.tick).set("k", 1)
        # A handle alone sets nothing: its first write does.
        scene.session("longer", ttl=scene.tick)
        given = {f"given by {name}": call for name, call in calls.items()}
        for name, call in given.items():
            scene.session(name).add_message("user", "x")
            scene.session(name).set("k", 1)
            call(scene.session(name, ttl=scene.tick))
        # Nor does a call that finds nothing to do.
        scene.session("unset").set("k", 1, op_id="set")
        idle = scene.session("unset", ttl=scene.tick)
        idle.pop_message()
        idle.clear()
        idle.remove("missing")
        idle.set("k", 1, op_id="set")
        idle.get_messages()
        scene.session("unset").add_message("user", "x", id="known")
        idle.add_message("user", "x", id="known")
        idle.add_messages([], op_id="nothing")
        idle.import_data(document(entry("known", role="user", content="x")), mode="append")
        wanted = sorted([*calls, *given, "longer", "shorter", "unset"])
        same(_listed(scene), wanted, "the sessions before the deadline")
        scene.elapse(scene.tick * 1.3)
        same(_listed(scene), ["longer", "unset"], "those after it: given a longer ttl, or none by any write")

    @check(76, cause="any number is taken, and an absurd one overflows or means for ever")
    def test_076_bad_times_are_refused(self, scene: Scene) -> None:
        """A ttl outside 0.001 seconds to 100 years, or no number, raises `ValidationError`."""
        bad: Any
        for bad in (0, -1, 0.0, 0.0005, math.nan, math.inf, -math.inf, True, False, "60", b"1", 4e9, 10**30, [1], 1j):
            with refuses(ValidationError, f"session('s', ttl={bad!r})"):
                scene.store.session("s", ttl=bad)
        for good in (0.001, 1, 86400, 0.5, 86400.5, 3_155_760_000):
            scene.session(f"good {good}", ttl=good).add_message("user", "x")
        same(scene.session("good 3155760000").count(), 1, "count() of a session with a ttl of 100 years")
        if not scene.lives_in_real_time:
            scene.session("fraction", ttl=2.9).add_message("user", "x")
            scene.elapse(2.5)
            same(scene.session("fraction").count(), 1, "count() 2.5 seconds after a write with a ttl of 2.9")
            scene.elapse(0.6)
            same(scene.session("fraction").count(), 0, "count() 3.1 seconds after a write with a ttl of 2.9")
            scene.session("fraction", ttl=1.5).add_message("user", "x")
            scene.elapse(1.1)
            same(scene.session("fraction").count(), 1, "count() 1.1 seconds after a write with a ttl of 1.5")
            scene.elapse(0.6)
            same(scene.session("fraction").count(), 0, "count() 1.7 seconds after a write with a ttl of 1.5")
        scene.session("part", ttl=0.3).add_message("user", "x")
        scene.elapse(0.5)
        same(scene.session("part").count(), 0, "count() half a second after a write with a ttl of 0.3")
        same(scene.session("good 0.001").count(), 0, "count() of a session whose ttl was a millisecond")
        same(scene.session("good 86400").count(), 1, "count() of a session with a ttl of a day")
        if not scene.lives_in_real_time:
            scene.elapse(400 * DAY)
        same(scene.session("good 3155760000").count(), 1, "count() of the one with a ttl of 100 years, later")

    @check(77, cause="what has expired is hidden and not gone: the next write finds its rows again")
    def test_077_a_write_after_expiry_starts_clean(self, scene: Scene) -> None:
        """The first write after the deadline begins a new session: no old message, key, id, ttl or time of creation."""
        firsts: dict[str, Callable[[Session], object]] = {
            "add": lambda s: s.add_messages([{"other": 1}], ids=["m"]),
            "append": lambda s: s.import_data(document(entry("m", other=1)), mode="append"),
            "import": lambda s: s.import_data(document(entry("m", other=1))),
            "set": lambda s: s.set("fresh", 1),
            "update": lambda s: s.update({"fresh": 1}),
        }
        for name in firsts:
            session = scene.session(name, ttl=scene.tick)
            session.add_messages([{"old": 1}, {"old": 2}], ids=["m", None])
            session.update({"old": 1})
        again = scene.session("handle", ttl=scene.tick)
        again.set("k", 1)
        again.delete()
        again.set("k", 2)
        scene.elapse(scene.tick * 1.3)
        cause = "a handle sends its ttl once, and not with each write"
        same(again.metadata(), {}, "the metadata that a handle with a ttl set after a delete, past it", cause=cause)
        again.set("k", 3)
        for name, first in firsts.items():
            first(scene.session(name))
            messages = scene.other(name).get_messages()
            metadata = scene.other(name).metadata()
            if name in ("set", "update"):
                same([messages, metadata], [[], {"fresh": 1}], f"what {name} finds after expiry")
            else:
                same([messages, metadata], [[{"other": 1}], {}], f"what {name} finds after expiry")
                require(messages[0].position >= 1, "a position of at least 1", messages[0].position)
        held = {name: whole(scene.session(name).get_messages()) for name in firsts}
        (info,) = scene.store.list_sessions("add")
        if scene.place.clock is not None:
            age = scene.place.clock() - info.created_at.timestamp()
            require(age < scene.tick * 0.5, "a time of creation after the expiry", f"{age:.1f} s ago")
        scene.elapse(scene.tick * 1.3)
        same(again.metadata(), {}, "the metadata that it set after the expiry, past its ttl again", cause=cause)
        for name, wanted in held.items():
            same(whole(scene.session(name).get_messages()), wanted, f"messages after {name}: the old ttl is gone")
        deleted = scene.session("deleted", ttl=scene.tick)
        deleted.set("k", 1)
        deleted.delete()
        scene.session("deleted").set("k", 2)
        scene.elapse(scene.tick * 1.3)
        same(scene.session("deleted").metadata(), {"k": 2}, "a session after delete: the old ttl is gone")

    @check(77, cause="a write finds what has expired, as long as nobody has cleared it away")
    def test_077_no_write_finds_what_expired(self, scene: Scene) -> None:
        """The first call after the deadline, of whatever kind, finds nothing, though nothing was purged or listed."""
        empty = document(created_at=None)
        idle: dict[str, Callable[[Session], object]] = {
            "pop_message": lambda s: s.pop_message(),
            "clear": lambda s: s.clear(),
            "remove": lambda s: s.remove("old"),
            "delete": lambda s: s.delete(),
            "import_data of nothing": lambda s: s.import_data(empty),
            "import_data append of nothing": lambda s: s.import_data(empty, mode="append"),
        }
        new = document(entry("m", new=1), created_at=None)
        same_again = document(entry("m", old=1), created_at=None)
        writes: dict[str, Callable[[Session], object]] = {
            "add_messages": lambda s: s.add_messages([{"new": 1}], ids=["m"]),
            "import_data": lambda s: s.import_data(new),
            "import_data append": lambda s: s.import_data(new, mode="append"),
            "add_messages of the same": lambda s: s.add_messages([{"old": 1}], ids=["m"]),
            "import_data append of the same": lambda s: s.import_data(same_again, mode="append"),
            "set": lambda s: s.set("new", 1),
            "update": lambda s: s.update({"new": 1}),
        }
        # A write may clear a few away: those that expired first, which are these.
        for number in range(60):
            scene.session(f"decoy {number:02d}", ttl=scene.tick * 0.5).set("k", 1)
        for name in [*idle, *writes]:
            session = scene.session(name, ttl=scene.tick)
            session.add_messages([{"old": 1}, {"old": 2}], ids=["m", None])
            session.set("old", 1)
        scene.elapse(scene.tick * 1.3)
        for name, call in idle.items():
            session = scene.other(name)
            heard = hear_all(session)
            same(call(session), None, f"the result of {name}, the first call after the deadline")
            same(heard, [], f"the events of {name}, the first call after the deadline")
        for name, call in writes.items():
            call(scene.session(name))
            held = [scene.other(name).get_messages(), scene.other(name).metadata()]
            message = {"old": 1} if name.endswith("of the same") else {"new": 1}
            wanted = [[], {"new": 1}] if name in ("set", "update") else [[message], {}]
            same(held, wanted, f"messages and metadata after {name}, the first call after the deadline")
        listed = scene.store.list_sessions()
        same([info.id for info in listed], sorted(writes), "the sessions after the first calls after the deadline")
        if scene.place.clock is not None:
            now = scene.place.clock()
            ages = {info.id: now - info.created_at.timestamp() for info in listed}
            old = {name: age for name, age in ages.items() if age > scene.tick * 0.5}
            require(not old, "times of creation after the deadline", old)
        scene.elapse(scene.tick * 1.3)
        same(_listed(scene), sorted(writes), "the sessions later on: the ttl that they had is gone")

    @check(77, cause="expiry leaves the name of the life as it was, and a page asks for no more than that")
    def test_077_iteration_never_enters_the_next_life(self, scene: Scene) -> None:
        """An iteration that is under way when the session expires does not go on in the session that follows."""
        if not scene.capabilities & Capability.STREAM:
            leave_out("the store does not claim STREAM")
        session = scene.session(ttl=scene.tick)
        session.add_messages([{"n": number} for number in range(6)])
        seen = []
        for message in session.iter_messages(page_size=2):
            seen.append(message["n"])
            if message["n"] == 1:
                scene.elapse(scene.tick * 1.3)
                scene.other().add_messages([{"n": number} for number in range(10, 16)])
        same(seen, [0, 1], "what was iterated, in pages of two, of a session that expired after the first")

    @check(77, cause="purging counts or removes what has not expired, or leaves what has")
    def test_077_what_expired_is_purged(self, scene: Scene) -> None:
        """`purge_expired` removes what is past its deadline, and nothing else."""
        for index in range(5):
            scene.session(f"short {index}", ttl=scene.tick).add_message("user", "x")
            scene.session(f"long {index}", ttl=1000 * scene.tick).add_message("user", "x")
            scene.session(f"plain {index}").add_message("user", "x")
        scene.session("metadata only", ttl=scene.tick).set("k", 1)
        cleared, popped = scene.session("cleared", ttl=scene.tick), scene.session("popped", ttl=scene.tick)
        cleared.add_message("user", "x")
        cleared.clear()
        popped.add_message("user", "x")
        popped.pop_message()
        # These had the same deadline, and have it no longer.
        for index in range(5):
            scene.session(f"gone {index}", ttl=scene.tick).add_message("user", "x")
            scene.session(f"gone {index}").delete()
            scene.session(f"renewed {index}", ttl=scene.tick).add_message("user", "x")
            scene.session(f"renewed {index}", ttl=1000 * scene.tick).add_message("user", "x")
        same(scene.store.purge_expired(), 0, "purge_expired() before any deadline")
        same(len(_listed(scene)), 23, "the number of sessions before any deadline")
        scene.elapse(scene.tick * 1.3)
        purged = scene.store.purge_expired()
        # Where time really passes, a slow run may have seen some expire, and be purged, among the writes above.
        at_most = range(9) if scene.lives_in_real_time else [8]
        require(type(purged) is int and purged in at_most, "eight, the number of sessions purged", purged)
        same(scene.store.purge_expired(), 0, "purge_expired() once more")
        wanted = sorted(f"{name} {index}" for name in ("long", "plain", "renewed") for index in range(5))
        same(_listed(scene), wanted, "the sessions that are left")
        same(scene.session("long 3").count(), 1, "count() of a session that is left")

    @check(77, cause="a purge, or a listing, goes through a page of what has expired and no further")
    def test_077_however_many_expire(self, scene: Scene) -> None:
        """Hundreds of sessions that expire together are purged by one call, and none of them is listed."""
        many, workers = scene.pick(1_100 if scene.place.single else 250, 1_100, 1_100), 10

        def write(worker: int, turn: int) -> None:
            for number in range(worker, many, workers):
                scene.session(f"{turn} {number}", ttl=scene.tick).set("k", 1)

        for turn in range(2):
            together([partial(write, worker, turn) for worker in range(workers)])
            scene.elapse(scene.tick * 1.3)
            if turn == 0:
                purged = scene.store.purge_expired()
                # Where time really passes, some have expired, and are purged, among the writes above.
                enough = purged <= many if scene.lives_in_real_time else purged == many
                require(enough, f"{many}, the number of sessions purged", purged)
                same(scene.store.purge_expired(), 0, "purge_expired() once more")
            else:
                same(_listed(scene), [], f"the sessions listed after {many} have expired")
