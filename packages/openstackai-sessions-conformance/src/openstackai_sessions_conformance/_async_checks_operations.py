"""L. Retry: a write repeated under its op_id lands once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from openstackai_sessions_conformance._async_checks_events import hear_all
from openstackai_sessions_conformance._async_scene import AsyncScene, check
from openstackai_sessions_conformance._async_seam import together
from openstackai_sessions_conformance._capabilities import Capability
from openstackai_sessions_conformance._findings import accepts, refuses, require, same
from openstackai_sessions_conformance._harness import leave_out
from openstackai_sessions_conformance._values import alike
from openstackai_sessions_conformance._views import document, entry, whole
from openstackai_sessions_core import AsyncSession, ConflictError, LimitExceededError, Message, ValidationError

__all__ = ["AsyncOperationChecks"]

DOCUMENT = document(entry("i", imported=1), metadata={"imported": 1})
WRITES: dict[str, Callable[[AsyncSession, str], Awaitable[Any]]] = {
    "add_message": lambda session, op: session.add_message("user", "x", op_id=op),
    "add_message with an id": lambda session, op: session.add_message("user", "x", id="given", op_id=op),
    "add_messages": lambda session, op: session.add_messages([{"n": 1}, {"n": 2}], op_id=op),
    "add_messages of nothing": lambda session, op: session.add_messages([], op_id=op),
    "add_messages over known ids": lambda session, op: session.add_messages(
        [{"n": 1}, {"old": 1}, {"n": 2}, {"old": 3}], ids=["n", "first", None, "third"], op_id=op
    ),
    "pop_message": lambda session, op: session.pop_message(op_id=op),
    "clear": lambda session, op: session.clear(op_id=op),
    "set": lambda session, op: session.set("k", 1, op_id=op),
    "update": lambda session, op: session.update({"k": 1, "l": 2}, op_id=op),
    "remove": lambda session, op: session.remove("k", op_id=op),
    "import_data": lambda session, op: session.import_data(DOCUMENT, op_id=op),
    "import_data append": lambda session, op: session.import_data(DOCUMENT, mode="append", op_id=op),
    "delete": lambda session, op: session.delete(op_id=op),
}
OTHERS: dict[str, Callable[[AsyncSession, str], Awaitable[Any]]] = {
    **WRITES,
    "add_message of another content": lambda session, op: session.add_message("user", "y", op_id=op),
    "add_message with another id": lambda session, op: session.add_message("user", "x", id="m", op_id=op),
    "add_messages of that message": lambda session, op: session.add_messages(
        [{"role": "user", "content": "x"}], op_id=op
    ),
    "add_messages of that message with its id": lambda session, op: session.add_messages(
        [{"role": "user", "content": "x"}], ids=["given"], op_id=op
    ),
    "update of that key": lambda session, op: session.update({"k": 1}, op_id=op),
    "set of a key of the update": lambda session, op: session.set("l", 2, op_id=op),
    "add_messages in another order": lambda session, op: session.add_messages([{"n": 2}, {"n": 1}], op_id=op),
    "add_messages of one": lambda session, op: session.add_messages([{"n": 1}], op_id=op),
    "set of another value": lambda session, op: session.set("k", 1.0, op_id=op),
    "set of another key": lambda session, op: session.set("l", 1, op_id=op),
    "remove of another key": lambda session, op: session.remove("l", op_id=op),
    "import of another document": lambda session, op: session.import_data(document(), op_id=op),
}


CHANGES: dict[str, dict[str, object]] = {
    "the metadata": {"metadata": {"k": 2}},
    "created_at": {"created_at": None},
    "a time": {"messages": [entry("i", "2026-01-02T03:04:05.000007Z", n=1)]},
    "an id": {"messages": [entry("j", n=1)]},
    "a message": {"messages": [entry("i", n=2)]},
}


def _imports(**changes: object) -> Callable[[AsyncSession, str], Awaitable[Any]]:
    changed = document(**{"messages": [entry("i", n=1)], "metadata": {"k": 1}, **changes})
    return lambda session, op: session.import_data(changed, op_id=op)


FIELDS: dict[str, list[Callable[[AsyncSession, str], Awaitable[Any]]]] = {
    "a value or key of an update": [
        lambda session, op: session.update({"k": 1, "l": 2}, op_id=op),
        lambda session, op: session.update({"k": 1, "l": 3}, op_id=op),
        lambda session, op: session.update({"k": 1, "m": 2}, op_id=op),
    ],
    "where a key ends and its value begins": [
        lambda session, op: session.set("k", 11, op_id=op),
        lambda session, op: session.set("k1", 1, op_id=op),
    ],
    "the ids of a batch, or their order": [
        lambda session, op: session.add_messages([{"n": 1}, {"n": 1}], ids=["a", None], op_id=op),
        lambda session, op: session.add_messages([{"n": 1}, {"n": 1}], op_id=op),
        lambda session, op: session.add_messages([{"n": 1}, {"n": 1}], ids=[None, "a"], op_id=op),
        lambda session, op: session.add_messages([{"n": 1}, {"n": 1}], ids=["b", None], op_id=op),
    ],
    **{f"{field} of an imported document": [_imports(), _imports(**changes)] for field, changes in CHANGES.items()},
}
"""What a digest must tell apart, and writes of which the first differs from the others in nothing else."""

ONCE: dict[str, Callable[[AsyncSession, str], Awaitable[Any]]] = {
    "add_message": WRITES["add_message"],
    "pop_message": WRITES["pop_message"],
    "clear": WRITES["clear"],
    "set": WRITES["set"],
    "remove": WRITES["remove"],
    "import_data": WRITES["import_data"],
    "import_data append": WRITES["import_data append"],
    "delete": WRITES["delete"],
}
"""One write of each kind that fires one event."""


async def _fill(session: AsyncSession) -> None:
    await session.add_messages([{"old": 1}, {"old": 2}, {"old": 3}], ids=["first", None, "third"])
    await session.update({"k": "old", "m": "old"})


async def _everything(scene: AsyncScene, session: AsyncSession) -> list[object]:
    listed = await scene.store.list_sessions(session.session_id)
    return [await session.export(), whole(await session.get_messages()), await session.count(), list(map(str, listed))]


def _plain(result: object) -> object:
    if isinstance(result, Message):
        return whole([result])
    return whole(result) if isinstance(result, list) else result


class AsyncOperationChecks:
    """The checks 87 and 88."""

    @check(87, cause="the operation is remembered beside the write and not with it, or by the handle alone")
    async def test_087_a_repeat_returns_the_first_result(self, scene: AsyncScene) -> None:
        """Every write, repeated under its op_id from any handle, returns its first result and writes nothing."""
        for filled in (True, False):
            for number, (kind, write) in enumerate(WRITES.items()):
                id = f"{number} {filled}"
                session = scene.session(id)
                if filled:
                    await _fill(session)
                first = _plain(await write(session, "op"))
                await session.add_message("user", "between")
                await session.set("between", 1)
                if scene.place.clock is not None:
                    await scene.elapse(0.5)
                state = await _everything(scene, session)
                for name, handle in (
                    ("the same handle", session),
                    ("a new handle", scene.session(id)),
                    ("a second store", scene.other(id)),
                ):
                    heard = hear_all(handle)
                    again = _plain(await write(handle, "op"))
                    same(again, first, f"the result of repeating {kind} on {name}")
                    now = await _everything(scene, session)
                    same(now, state, f"the session after repeating {kind} on {name}")
                    same(heard, [], f"the events of repeating {kind} on {name}")
                await session.delete()

    @check(87, cause="the digest leaves out the kind of write, part of its payload, or the ids")
    async def test_087_an_op_id_is_good_for_one_write(self, scene: AsyncScene) -> None:
        """Another kind of write, or another payload, under a used op_id raises `ConflictError` and writes nothing."""
        for number, (first, write) in enumerate(WRITES.items()):
            session = scene.session(str(number))
            await _fill(session)
            await write(session, "op")
            state = await session.export()
            for kind, other in OTHERS.items():
                if kind != first:
                    with refuses(ConflictError, f"{kind} under the op_id of {first}"):
                        await other(session, "op")
            same(await session.export(), state, f"the session after conflicts with {first}")

    @check(87, cause="the digest leaves out part of the payload, or joins its parts without their lengths")
    async def test_087_every_field_is_in_the_digest(self, scene: AsyncScene) -> None:
        """A write that differs in one field alone conflicts under a used op_id, and writes nothing."""
        for number, (field, writes) in enumerate(FIELDS.items()):
            session = scene.session(str(number))
            await writes[0](session, "op")
            state = await session.export()
            for other in writes[1:]:
                with refuses(ConflictError, f"a write that differs by {field} alone, under the op_id of another,"):
                    await other(session, "op")
            same(await session.export(), state, f"the session after conflicts about {field}")

    @check(87, cause="what there is nothing to do for is not remembered, or touches the session all the same")
    async def test_087_a_write_of_nothing_is_remembered(self, scene: AsyncScene) -> None:
        """A write that finds nothing to do makes no session, leaves its times alone, and is remembered as that."""
        session = scene.session()
        doc = document(entry("i", n=1))
        for state in ("that is new", "that exists"):
            if state == "that exists":
                await scene.elapse(0.02)
            listed = await scene.store.list_sessions()
            await session.add_messages([], op_id=f"empty batch {state}")
            await session.update({}, op_id=f"empty update {state}")
            await session.remove("k", op_id=f"remove {state}")
            now = await scene.store.list_sessions()
            require(now == listed, f"{listed} after writes of nothing to a session {state}", now)
            if state == "that is new":
                await session.import_data(doc, mode="append")
        await scene.elapse(0.02)
        listed = await scene.store.list_sessions()
        await session.import_data(doc, mode="append", op_id="import")
        await session.add_messages([{"n": 1}], ids=["i"], op_id="batch")
        now = await scene.store.list_sessions()
        require(now == listed, f"{listed} after appends of a message that is there already", now)
        await session.set("k", 1)
        for state in ("that is new", "that exists"):
            await scene.other().remove("k", op_id=f"remove {state}")
        same(await session.metadata(), {"k": 1}, "the metadata after the repeat of a remove that had found no key")
        await session.clear()
        await scene.other().import_data(doc, mode="append", op_id="import")
        same(await session.count(), 0, "count() after the repeat of an append whose messages were there the first time")
        await scene.other().add_messages([{"n": 1}], ids=["i"], op_id="batch")
        same(await session.count(), 0, "count() after the repeat of a batch whose message was there the first time")

    @check(87, cause="a repeat looks its messages up by their ids, and not in the ledger")
    async def test_087_a_repeat_returns_its_own_message(self, scene: AsyncScene) -> None:
        """A repeat returns what the write stored, though its id is another message's by now."""
        session = scene.session()
        first = await session.add_message("user", "x", id="m", op_id="op")
        await session.clear()
        second = await session.add_message("user", "y", id="m")
        for handle in (session, scene.other()):
            again = await handle.add_message("user", "x", id="m", op_id="op")
            same(_plain(again), _plain(first), "the repeat of a write whose id is another message's by now")
        same(whole(await session.get_messages()), whole([second]), "the log after the repeats")

    @check(87, cause="a repeated pop pops again, or a pop of nothing is not remembered")
    async def test_087_a_repeated_pop_returns_the_same_message(self, scene: AsyncScene) -> None:
        """A pop repeated under its op_id returns the message of the first time, whatever happened since."""
        session = scene.session()
        await session.add_messages(
            [{"n": index, "x": [1.0, "é\ud800"]} for index in range(4)], ids=["a", "b", "c", "d"]
        )
        first = await session.pop_message(op_id="pop")
        require(first is not None and first["n"] == 3, "the newest message", first)
        for step in range(3):
            same(_plain(await scene.other().pop_message(op_id="pop")), _plain(first), "the repeated pop")
            same(await session.count(), 3 - min(step, 2), "count() after the repeated pop")
            if step == 0:
                await session.pop_message()
            elif step == 1:
                await session.pop_message(op_id="pop 2")
        large = {"text": "x" * min(2**20, scene.store.limits.message_bytes // 2)}
        (added,) = await session.add_messages([large])
        for what in ("the pop of a large message", "the repeated pop of a large message"):
            popped = await session.pop_message(op_id="large")
            require(popped is not None, what, "None")
            require(_plain(popped) == _plain(added), f"{what}: as it was added", "another message")
        nothing = scene.session("empty")
        same(await nothing.pop_message(op_id="pop"), None, "a pop of nothing")
        await nothing.add_message("user", "later")
        same(await nothing.pop_message(op_id="pop"), None, "the repeat of a pop of nothing")
        same(await nothing.count(), 1, "count() after the repeat of a pop of nothing")

    @check(
        87,
        cause="the ledger is read before the lock is taken, or written after it: then both of two repeats write",
    )
    async def test_087_repeats_at_once_land_once(self, scene: AsyncScene) -> None:
        """The same write sent several times at once, through several handles, lands once; all get its result."""
        rounds = scene.pick(10, 60, 600)
        for number in range(rounds):
            handles = [(scene.store if index % 2 else scene.second).session("s") for index in range(6)]

            async def send(handle: AsyncSession, number: int = number) -> object:
                return _plain(await handle.add_messages([{"n": number}, {"n": -number}], op_id=f"op {number}"))

            results = await together([lambda handle=handle: send(handle) for handle in handles])  # type: ignore[misc]
            for result in results:
                same(result, results[0], "the result of the same write sent several times at once")
        same(await scene.session().count(), 2 * rounds, "count() after writes that were each sent six times")

        async def pop() -> object:
            return _plain(await scene.session().pop_message(op_id="pop"))

        popped = await together([pop] * 6)
        same(popped, [popped[0]] * 6, "the result of the same pop sent six times at once")
        same(await scene.session().count(), 2 * rounds - 1, "count() after that pop")

    @check(87, cause="the ledger is read before the lock is taken, so that two repeats both learn that they wrote")
    async def test_087_repeats_at_once_fire_once(self, scene: AsyncScene) -> None:
        """Of several handles that make the same write at once, under one op_id, exactly one fires its event."""
        for turn in range(scene.pick(6, 40, 400)):
            for kind, write in ONCE.items():
                id = f"{kind} {turn}"
                await scene.session(id).add_message("user", "old")
                await scene.session(id).set("k", "old")
                handles = [(scene.store if number % 2 else scene.second).session(id) for number in range(6)]
                heard = [hear_all(handle) for handle in handles]
                await together([partial(write, handle, "op") for handle in handles])
                fired = [event[0] for events in heard for event in events]
                require(len(fired) == 1, f"one event of {kind}, sent by six handles at once under one op_id", fired)

    @check(87, cause="operations are forgotten too early, or never")
    async def test_087_operations_are_forgotten_in_time(self, scene: AsyncScene) -> None:
        """An operation is remembered for `op_id_ttl` seconds by the store's clock, and then forgotten."""
        if scene.place.clock is None:
            leave_out("the store takes no clock, and ten minutes would really pass")
        session = scene.session()
        await session.add_message("user", "x", op_id="op")
        await scene.elapse(590)
        await session.add_message("user", "x", op_id="op")
        same(await session.count(), 1, "count() after a repeat within ten minutes")
        # A repeat does not begin the time anew.
        await scene.elapse(120)
        await session.add_message("user", "x", op_id="op")
        same(await session.count(), 2, "count() after the op_id was used again, almost twelve minutes later")
        if "op_id_ttl" in scene.place.options and "retry_timeout" in scene.place.options:
            for seconds, within, past in ((30, 25, 15), (86_400, 80_000, 10_000)):
                place = scene.new_place()
                clock = place.clock
                assert clock is not None
                other = (await scene.open_at(place, op_id_ttl=seconds, retry_timeout=1)).session("s")
                await other.add_message("user", "x", op_id="op")
                clock.elapse(within)
                await other.add_message("user", "x", op_id="op")
                same(await other.count(), 1, f"count() after a repeat within an op_id_ttl of {seconds} seconds")
                clock.elapse(past)
                await other.add_message("user", "x", op_id="op")
                what = f"count() after the op_id was used again, past an op_id_ttl of {seconds} seconds"
                same(await other.count(), 2, what)

    @check(87, cause="op_ids are folded, trimmed, normalised or cut")
    async def test_087_op_ids_are_exact(self, scene: AsyncScene) -> None:
        """Op_ids that look alike are ids of their own."""
        session = scene.session()
        ids = alike(scene.store.limits.id_bytes)
        for _ in range(2):
            for number, op in enumerate(ids):
                with accepts(f"a write under the op_id {op!r}, unlike those of other writes,"):
                    message = await session.add_message("user", number, op_id=op)
                same(message.content, number, f"the message returned under the op_id {op!r}")
        same([m.content for m in await scene.other().get_messages()], list(range(len(ids))), "what was added")

    @check(87, cause="the ledger is cut by number and not by time")
    async def test_087_operations_are_remembered_however_many(self, scene: AsyncScene) -> None:
        """An operation is remembered for its time, though many others follow it."""
        session = scene.session()
        first = await session.add_message("user", "x", op_id="op")
        popped = await session.pop_message(op_id="pop")
        # A store in this process's memory is quick, and forgets by numbers that are larger.
        many = scene.pick(3_000 if scene.place.single else 300, 3_000, 30_000)
        for number in range(many):
            await scene.session(f"s{number % 2}" if number % 3 else "s").add_message("user", number)
        again = await session.add_message("user", "x", op_id="op")
        same(_plain(again), _plain(first), f"the result of repeating an append, {many} writes later")
        same(_plain(await session.pop_message(op_id="pop")), _plain(popped), f"a repeated pop, {many} writes later")
        same(await session.count(), (many + 2) // 3, "count() after the repeats")

    @check(87, cause="the operation is noted before it is known to succeed")
    async def test_087_a_refused_write_leaves_its_op_id_free(self, scene: AsyncScene) -> None:
        """A write that is refused is not remembered: repeated, it is refused again, or lands once it can."""
        session = scene.session()
        await session.add_message("user", "mine", id="taken")
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: session.add_message("user", "other", id="taken", op_id="op"),
            lambda: session.add_messages([{"n": 1}, {"n": 2}], ids=[None, "taken"], op_id="batch"),
            lambda: session.import_data(document(entry("taken", n=3)), mode="append", op_id="import"),
        ]
        for call in calls:
            for _ in range(2):
                with refuses(ConflictError, "a message under an id of another one"):
                    await call()
        await session.clear()
        for number, call in enumerate(calls):
            await session.clear()
            await call()
            same(await session.count(), (1, 2, 1)[number], "count() after a write that was refused before, repeated")
        await session.set("k", 1, op_id="op 2")
        await session.clear()
        await session.add_message("user", "mine", id="taken")
        with refuses(ConflictError, "a message under an id of another one"):
            await session.add_message("user", "other", id="taken", op_id="free")
        await session.set("k", 2, op_id="free")
        same(await session.get("k"), 2, "what was set under the op_id of a write that was refused")

    @check(87, cause="op_ids go to the engine unchecked")
    async def test_087_bad_op_ids_are_refused(self, scene: AsyncScene) -> None:
        """Empty, non-text, control and over-long op_ids and message ids are refused; nothing is written."""
        session = scene.session()
        most = scene.store.limits.id_bytes
        bad: Any
        for bad in ("", 5, b"x", True, "a\x00", "a\nb", "\x85", "\ud800"):
            for kind, write in WRITES.items():
                with refuses(ValidationError, f"{kind} with op_id={bad!r}"):
                    await write(session, bad)
            with refuses(ValidationError, f"add_message with id={bad!r}"):
                await session.add_message("user", "x", id=bad)
            with refuses(ValidationError, f"add_messages with ids=[{bad!r}]"):
                await session.add_messages([{}], ids=[bad])
        for kind, write in WRITES.items():
            with refuses(LimitExceededError, f"{kind} with an op_id over the limit"):
                await write(session, "é" * (most // 2) + "xx")
        with refuses(LimitExceededError, "a message id over the limit"):
            await session.add_message("user", "x", id="x" * (most + 1))
        same(await scene.store.list_sessions(), [], "list_sessions() after refused ids")
        await session.add_message("user", "x", id="i" * most, op_id="o" * most)
        same((await session.get_messages())[0].id, "i" * most, "a message id as long as the limit")
        await session.add_message("user", "x", id="i" * most, op_id="o" * most)
        same(await session.count(), 1, "count() after repeating an op_id as long as the limit")

    @check(88, cause="the ledger is cleared with the messages, or lives in the session's own row")
    async def test_088_a_repeat_never_resurrects(self, scene: AsyncScene) -> None:
        """What pop, clear, delete, import or expiry removed stays removed when the write that made it is repeated."""
        ends = ["pop_message", "clear", "delete", "delete_session", "import_data", "delete, write"]
        if scene.capabilities & Capability.TTL:
            ends += ["expiry", "expiry, purge", "expiry, listing"]
        for end in ends:
            session = scene.session(end, ttl=scene.tick if end.startswith("expiry") else None)
            await session.set("k", "first", op_id="set")
            first = await session.add_message("user", "once", op_id="add")
            left: list[object] = []
            if end.startswith("expiry"):
                await scene.elapse(scene.tick * 1.3)
                if end == "expiry, purge":
                    await scene.store.purge_expired()
                elif end == "expiry, listing":
                    await scene.store.list_sessions()
            elif end == "delete_session":
                await scene.store.delete_session(end)
            elif end == "import_data":
                await session.import_data(document(entry("new", n=1)))
                left = [{"n": 1}]
            elif end == "delete, write":
                await session.delete()
                await session.add_message("user", "new life")
                left = [{"role": "user", "content": "new life"}]
            else:
                await getattr(session, end)()
            metadata = await session.metadata()
            for handle in (session, scene.other(end)):
                again = await handle.add_message("user", "once", op_id="add")
                same(whole([again]), whole([first]), f"the result of repeating an append after {end}")
                await handle.set("k", "first", op_id="set")
                same(await handle.get_messages(), left, f"the messages after repeating an append after {end}")
                same(await handle.count(), len(left), f"count() after repeating an append after {end}")
                same(await handle.metadata(), metadata, f"the metadata after repeating a set after {end}")
