"""D. Batches: all or none, next to each other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias

from openstackai_sessions_conformance._async_checks_events import hear_all
from openstackai_sessions_conformance._async_scene import AsyncScene, check
from openstackai_sessions_conformance._async_seam import sleep, together
from openstackai_sessions_conformance._findings import accepts, refuses, require, same
from openstackai_sessions_conformance._harness import leave_out
from openstackai_sessions_conformance._sweep import CallFaults, async_sweep
from openstackai_sessions_conformance._values import alike
from openstackai_sessions_conformance._views import contents, document, entry, whole
from openstackai_sessions_core import (
    AsyncSession,
    BackendUnavailableError,
    ConflictError,
    LimitExceededError,
    OutcomeUnknownError,
    ReadOnlyError,
    SerializationError,
    SessionError,
    StorageFullError,
    ValidationError,
)
from openstackai_sessions_core.backend import AsyncBaseStore

__all__ = ["AsyncBatchChecks", "AsyncFailureChecks"]


class AsyncBatchChecks:
    """The checks of group D."""

    @check(30, cause="messages are checked and written one by one")
    async def test_030_a_bad_element_stores_nothing(self, scene: AsyncScene) -> None:
        """A batch with a bad element, at any place and of any kind, stores none of its messages."""
        session = scene.session()
        await session.add_message("user", "here", id="taken")
        before = await session.export()
        listed = await scene.store.list_sessions()
        not_json: Any = (1, 2)
        wrong: Any = 5
        faults: list[tuple[str, dict[str, Any], str | None, type[Exception]]] = [
            ("what is not JSON", {"content": not_json}, None, SerializationError),
            ("what is no object", wrong, None, SerializationError),
            ("a taken id", {"content": "another"}, "taken", ConflictError),
            ("an empty id", {"content": 1}, "", ValidationError),
            ("an id over the limit", {"content": 1}, "x" * (scene.store.limits.id_bytes + 1), LimitExceededError),
            ("an id that stands twice", {"content": 1}, "twice", ValidationError),
        ]
        for size in (2, 5, 40):
            for place in sorted({0, 1, size // 2, size - 1}):
                for name, bad, id, error in faults:
                    batch: list[Any] = [{"content": index} for index in range(size)]
                    ids: list[str | None] = [None] * size
                    batch[place] = bad
                    ids[place] = id
                    if id == "twice":
                        ids[place - 1] = id
                    with refuses(error, f"a batch of {size} with {name} at place {place}"):
                        await session.add_messages(batch, ids=ids)
                    what = f"after a batch of {size} with {name} at place {place}"
                    same(await scene.other().export(), before, f"the session {what}")
        require(await scene.store.list_sessions() == listed, "the listing as before", await scene.store.list_sessions())
        for wrong_ids in (["a"], ["a", "b", "c"], []):
            with refuses(ValidationError, f"two messages with {len(wrong_ids)} ids"):
                await session.add_messages([{}, {}], ids=wrong_ids)
        text: Any = "ab"
        with refuses(ValidationError, "two messages with a text as ids"):
            await session.add_messages([{}, {}], ids=text)
        same(await session.export(), before, "the session after batches with wrong ids")

    @check(30, cause="ids of a batch are looked up one by one, or the stored messages are returned out of place")
    async def test_030_a_given_id_is_stored_once(self, scene: AsyncScene) -> None:
        """A message whose id is in the log is not stored again: the stored one is returned in its place."""
        session = scene.session()
        first = await session.add_message("user", "once", id="m1")
        (auto,) = await session.add_messages([{"n": 0}])
        again = await scene.other().add_message("user", "once", id="m1")
        same(whole([again]), whole([first]), "the message returned for an id that is in the log")
        batch: list[dict[str, object]] = [{"n": 1}, {"role": "user", "content": "once"}, {"n": 2}, {"n": 0}, {"n": 3}]
        mixed = await session.add_messages(batch, ids=[None, "m1", "m2", auto.id, None])
        same(mixed, batch, "the messages returned for a batch of which two are in the log")
        same(whole([mixed[1], mixed[3]]), whole([first, auto]), "those that were in the log")
        stored = await session.get_messages()
        same(stored, [first, auto, {"n": 1}, {"n": 2}, {"n": 3}], "the log")
        same(mixed[2].id, "m2", "the id given to a new message")
        for other in ({"role": "user", "content": "Once"}, {"content": "once", "role": "user"}, {}, {"role": "user"}):
            with refuses(ConflictError, f"{other!r} under an id of another message"):
                await session.add_messages([other], ids=["m1"])
        with refuses(ConflictError, "1.0 under the id of 1"):
            await session.add_messages([{"n": 2.0}], ids=["m2"])
        same(whole(await session.get_messages()), whole(stored), "the log after conflicts")
        await session.clear()
        renewed = await session.add_message("user", "other", id="m1")
        require(
            renewed.position > stored[-1].position, "an id to be free again once its message is gone", renewed.position
        )
        await session.pop_message()
        await session.add_message("user", "third", id="m1")
        same(contents(await session.get_messages()), ["third"], "the log after the id was used a third time")

    @check(30, cause="an id is looked up before the lock is taken, and nothing forbids a second message under it")
    async def test_030_an_id_given_at_once_is_stored_once(self, scene: AsyncScene) -> None:
        """Several callers that add the same message under one id at once all get the one that is stored."""
        rounds = scene.pick(10, 60, 600)
        for number in range(rounds):

            async def add(worker: int, number: int = number) -> object:
                store = scene.store if worker % 2 else scene.second
                return whole([await store.session("s").add_message("user", number, id=f"m{number}")])

            added = await together([partial(add, worker) for worker in range(8)])
            same(added, [added[0]] * 8, "the message returned to eight callers that added it under one id at once")
        stored = contents(await scene.session().get_messages())
        same(stored, list(range(rounds)), "the log of messages that eight callers each added under one id")

    @check(30, cause="ids are looked up among the newest messages alone, or in a cache that forgets")
    async def test_030_an_id_is_known_however_old(self, scene: AsyncScene) -> None:
        """An id is looked up in the whole log: thousands of messages later it is still taken."""
        session = scene.session()
        first = await session.add_message("user", "x", id="m")
        size = min(3_000, scene.store.limits.batch_messages)
        await session.add_messages([{"n": number} for number in range(size)])
        again = await scene.other().add_message("user", "x", id="m")
        same(whole([again]), whole([first]), f"the message returned for an id given {size} messages ago")
        with refuses(ConflictError, f"another message under an id given {size} messages ago"):
            await session.add_message("user", "y", id="m")
        same(await session.count(), size + 1, "count() after the id was given again")

    @check(30, cause="ids are folded, trimmed, normalised or cut")
    async def test_030_message_ids_are_exact(self, scene: AsyncScene) -> None:
        """Message ids that look alike are ids of their own."""
        session = scene.session()
        ids = alike(scene.store.limits.id_bytes)
        for number, id in enumerate(ids):
            with accepts(f"a message under the id {id!r}, unlike those before it,"):
                message = await session.add_message("user", number, id=id)
            same([message.content, message.id], [number, id], f"the message added under the id {id!r}")
        same([m.id for m in await scene.other().get_messages()], ids, "the ids of the messages")
        for number, id in enumerate(ids):
            again = await scene.other().add_message("user", number, id=id)
            same(again.content, number, f"the message found under the id {id!r}")
        same(await session.count(), len(ids), "count() after each was added again under its id")

    @check(31, cause="each message of a batch is committed on its own, or readers read without a snapshot")
    async def test_031_readers_never_see_part_of_a_batch(self, scene: AsyncScene) -> None:
        """Whoever reads while batches are written sees whole batches: in lists, counts, exports and listings."""
        size, rounds = 40, scene.pick(25, 150, 1500)
        left = [2]
        torn: list[object] = []

        async def write(worker: int) -> None:
            session = (scene.store if worker else scene.second).session("s")
            try:
                for number in range(rounds):
                    await session.add_messages([{"batch": [worker, number]}] * size)
                    if torn:
                        return
            finally:
                left[0] -= 1

        def judge(what: str, count: int, batches: list[Any]) -> None:
            if count % size or any(batches[start : start + size].count(batches[start]) != size
                                   for start in range(0, len(batches), size)):  # fmt: skip
                torn.append(f"{what} with {count} messages, which is no multiple of {size}, or batches that are mixed")

        async def read_log() -> None:
            session = scene.session()
            while left[0] and not torn:
                messages = await session.get_messages(size * 4)
                judge("get_messages()", len(messages), [message["batch"] for message in messages])
                await sleep(0)

        async def read_rest() -> None:
            session = scene.other()
            while left[0] and not torn:
                judge("count()", await session.count(), [])
                exported: Any = await session.export()
                judge("export()", len(exported["messages"]), [one["data"]["batch"] for one in exported["messages"]])
                for info in await scene.store.list_sessions():
                    judge("list_sessions()", info.message_count, [])
                if len(exported["messages"]) > size * 20:
                    await session.clear()

        calls: list[Callable[[], Awaitable[None]]] = [
            partial(write, 0),
            partial(write, 1),
            read_log,
            read_log,
            read_rest,
        ]
        await together(calls)
        require(not torn, "every reader to see whole batches", torn[:1])

    @check(32, cause="the batch is written in several steps, or its positions are taken one by one")
    async def test_032_batches_are_contiguous(self, scene: AsyncScene) -> None:
        """The messages of a batch stand next to each other, whoever else writes at the same time."""
        workers, rounds = 6, scene.pick(12, 60, 600)

        async def write(worker: int) -> None:
            session = (scene.store if worker % 2 else scene.second).session("s")
            for number in range(rounds):
                size = 1 + (worker + number) % 9
                batch = await session.add_messages([{"content": [worker, number, size]}] * size)
                positions = [message.position for message in batch]
                require(positions == sorted(set(positions)), "increasing positions in the order given", positions)

        await together([partial(write, worker) for worker in range(workers)])
        seen: list[Any] = contents(await scene.session().get_messages())
        index = 0
        while index < len(seen):
            size = seen[index][2]
            require(seen[index : index + size] == [seen[index]] * size, f"{size} messages of one batch in a row",
                    seen[index : index + size])  # fmt: skip
            index += size
        wanted = sum(1 + (worker + number) % 9 for worker in range(workers) for number in range(rounds))
        same(len(seen), wanted, "the number of messages")

    @check(34, cause="large batches are split, or meet a bound of the driver", seconds=120)
    async def test_034_ten_thousand_messages_are_one_step(self, scene: AsyncScene) -> None:
        """Ten thousand messages land in one step, in order; one over the limit is refused before anything is done."""
        session = scene.session()
        size = min(10_000, scene.store.limits.batch_messages)
        counts: set[int] = set()
        done: list[bool] = []

        async def write() -> None:
            try:
                batch = await session.add_messages([{"content": index} for index in range(size)])
                same(len(batch), size, "the number of messages returned")
                positions = [message.position for message in batch]
                require(positions == sorted(set(positions)), "increasing positions", "others")
            finally:
                done.append(True)

        async def read() -> None:
            while not done:
                counts.add(await scene.other().count())
                await sleep(0.002)

        await together([write, read])
        require(counts <= {0, size}, f"counts of 0 or {size} while the batch is written", sorted(counts)[:5])
        same(contents(await scene.other().get_messages()), list(range(size)), "the contents")
        newest = contents(await scene.other().get_messages(size - 1))
        require(newest == list(range(1, size)), f"all of the newest {size - 1}", f"{len(newest)}, or others")
        everything = await scene.session().get_messages()
        for index in (7, size // 2, size - 1_001, size - 3):
            if index >= 3:
                page = contents(await scene.other().get_messages(3, before=everything[index].position))
                same(page, [index - 3, index - 2, index - 1], f"the three messages before number {index} of {size}")
        with refuses(LimitExceededError, f"a batch of {scene.store.limits.batch_messages + 1} messages"):
            await session.add_messages([{}] * (scene.store.limits.batch_messages + 1))
        with refuses(LimitExceededError, "an endless batch"):
            await session.add_messages({} for _ in iter(int, 1))
        same(await session.count(), size, "count() after batches over the limit")

    @check(35, cause="a transaction is left open, or the handle remembers its failure")
    async def test_035_the_handle_stays_usable_after_a_failed_batch(self, scene: AsyncScene) -> None:
        """After a batch that was refused, this handle and others read and write as before."""
        session = scene.session()
        not_json: Any = {1, 2}
        bad: list[tuple[list[Any], list[str | None] | None]] = [
            ([{"n": 1}, {"n": not_json}], None),
            ([{"n": 1}, {"n": 2}], ["taken", "other"]),
            ([{"n": 1}, {"n": 2}], [None, "taken"]),
            ([{"n": 1}] * (scene.store.limits.batch_messages + 1), None),
        ]
        await session.add_message("user", "x", id="taken")
        for number, (batch, ids) in enumerate(bad, 1):
            with refuses(SessionError, "a bad batch"):
                await session.add_messages(batch, ids=ids)
            for name, handle in (("the handle", session), ("another", scene.session()), ("a store", scene.other())):
                await handle.add_message("user", f"{number} {name}")
            same(await session.count(), 1 + 3 * number, "count() after a bad batch and three good messages")
            messages = await session.add_messages([{"n": number}])
            same(messages, [{"n": number}], "the batch added after a bad one")
            same(await scene.other().pop_message(), {"n": number}, "the message popped after a bad batch")


Write: TypeAlias = Callable[[AsyncSession], Awaitable[Any]]
WRITES: dict[str, tuple[str, Write, object]] = {
    "add_message": ("append", lambda s: s.add_message("user", "x"), [["old", "x"], {"k": 1}]),
    "add_messages": ("append", lambda s: s.add_messages([{"content": 1}, {"content": 2}]), [["old", 1, 2], {"k": 1}]),
    "pop_message": ("pop", lambda s: s.pop_message(), [[], {"k": 1}]),
    "clear": ("clear", lambda s: s.clear(), [[], {"k": 1}]),
    "set": ("write_metadata", lambda s: s.set("k", 2), [["old"], {"k": 2}]),
    "update": ("write_metadata", lambda s: s.update({"k": 2, "l": 3}), [["old"], {"k": 2, "l": 3}]),
    "remove": ("write_metadata", lambda s: s.remove("k"), [["old"], {}]),
    "import_data": ("replace", lambda s: s.import_data(document(entry("n", content=1))), [[1], {}]),
    "delete": ("delete", lambda s: s.delete(), [[], {}]),
}
BEFORE = [["old"], {"k": 1}]


async def _begun(scene: AsyncScene) -> tuple[AsyncBaseStore, AsyncSession]:
    """An empty place's store, and a session on it that is as `BEFORE` says."""
    store = await scene.fresh()
    session = store.session("s")
    await session.add_message("user", "old")
    await session.set("k", 1)
    return store, session


class AsyncFailureChecks:
    """Check 33 at the store's own primitives: each fails once, before or after it was applied."""

    @check(33, cause="a retry makes a new op_id, or events follow the attempt and not the success")
    async def test_033_a_primitive_that_fails_once_is_retried(self, scene: AsyncScene) -> None:
        """A write that fails on the way lands once and fires once, whether the failed attempt was applied or not."""
        for applied in (False, True):
            for name, (primitive, write, after) in WRITES.items():
                store, session = await _begun(scene)
                heard = hear_all(session)
                lost: Exception = OutcomeUnknownError("lost") if applied else BackendUnavailableError("down")
                failures = _fail_next(store, primitive, [lost, lost], applied=applied)
                await write(session)
                what = (
                    f"{name} whose first two attempts {'were applied, replies lost' if applied else 'did not arrive'}"
                )
                same(len(failures), 2, f"the failed attempts of {what}")
                same(await _state(session), after, f"the session after {what}")
                require(
                    len(heard) == (2 if name in ("add_messages", "update") else 1), f"one event each of {what}", heard
                )

    @check(33, cause="every error is retried, or is taken for another")
    async def test_033_a_primitive_that_refuses_changes_nothing(self, scene: AsyncScene) -> None:
        """An error that says that nothing was applied reaches the caller as it is, at once, and fires nothing."""
        for error in (StorageFullError("full"), ReadOnlyError("read only")):
            for name, (primitive, write, after) in WRITES.items():
                store, session = await _begun(scene)
                heard = hear_all(session)
                failures = _fail_next(store, primitive, [error], applied=False)
                with refuses(type(error), f"{name} whose primitive raises {type(error).__name__}"):
                    await write(session)
                same([len(failures), heard], [1, []], f"attempts and events of {name} that was refused")
                same(await _state(session), BEFORE, f"the session after {name} that was refused")
                await write(session)
                same(await _state(session), after, f"the session after {name}, called again")

    @check(33, cause="the error does not carry the op_id, or each call makes a new one")
    async def test_033_without_retries_the_outcome_is_unknown(self, scene: AsyncScene) -> None:
        """With retries off a lost reply raises `OutcomeUnknownError`; a repeat under its op_id lands once."""
        if "retry_timeout" not in scene.place.options:
            leave_out("the store takes no retry_timeout")
        for applied in (False, True):
            store = await scene.fresh(retry_timeout=0)
            session = store.session("s")
            heard = hear_all(session)
            _fail_next(store, "append", [OutcomeUnknownError("lost")], applied=applied)
            try:
                await session.add_message("user", "x")
            except OutcomeUnknownError as error:
                op_id = error.op_id
            else:
                op_id = None
            require(op_id, "OutcomeUnknownError with an op_id from a write whose reply was lost", "none")
            same(heard, [], "events while the outcome is unknown")
            message = await session.add_message("user", "x", op_id=op_id)
            same(await session.get_messages(), [message], "the log after repeating the call by its op_id")
            same([event[0] for event in heard], ["MESSAGE_ADDED"], "the events: one, once the outcome is known")
            await session.add_message("user", "x", op_id=op_id)
            same(len(heard), 1, "the number of events after one more repeat")
            if applied:
                other, elsewhere = store.session("s"), hear_all(session)
                told = hear_all(other)
                _fail_next(store, "append", [OutcomeUnknownError("lost")], applied=True)
                with refuses(OutcomeUnknownError, "a write whose reply was lost, with retries off"):
                    await session.add_message("user", "z", op_id="z")
                await other.add_message("user", "z", op_id="z")
                same(told, [], "the events of a handle that repeats what another one has written")
                await session.add_message("user", "z", op_id="z")
                same([event[0] for event in elsewhere], ["MESSAGE_ADDED"], "the events of the handle that wrote it")
                await session.pop_message()
            _fail_next(store, "append", [BackendUnavailableError("down")], applied=False)
            with refuses(BackendUnavailableError, "a write that did not arrive, with retries off"):
                await session.add_message("user", "y")
            same(await session.count(), 1, "count() after a write that did not arrive")

    @check(33, cause="the error of the last attempt is raised, whatever became of the earlier ones")
    async def test_033_an_unknown_outcome_stays_unknown(self, scene: AsyncScene) -> None:
        """Once one attempt's outcome is unknown, a call never ends in `BackendUnavailableError`."""
        if "retry_timeout" not in scene.place.options:
            leave_out("the store takes no retry_timeout")
        for name, (primitive, write, _) in WRITES.items():
            store = await scene.fresh(retry_timeout=0.05)
            session = store.session("s")
            await session.add_message("user", "old")
            await session.set("k", 1)
            lost: list[Exception] = [OutcomeUnknownError("lost")]
            _fail_next(store, primitive, lost + [BackendUnavailableError("down")] * 1000, applied=True)
            with refuses(OutcomeUnknownError, f"{name} whose reply was lost, the place being gone afterwards,"):
                await write(session)

    @check(33, cause="a write is more than one transaction, or an error of the driver is not translated", seconds=120)
    async def test_033_every_call_of_the_driver_may_fail(self, scene: AsyncScene) -> None:
        """Whichever call of the driver fails, before or after it is made: all, nothing or unknown, and typed."""
        targets, error = scene.place.driver_calls, scene.place.driver_error
        if not targets or error is None:
            leave_out("the place has no hooks `driver_calls` and `driver_error`")
        if "retry_timeout" not in scene.place.options:
            leave_out("the store takes no retry_timeout")
        for name, (_, write, after) in WRITES.items():
            for late in (False, True):

                async def scenario(
                    faults: CallFaults, name: str = name, write: Write = write, after: object = after
                ) -> None:
                    store = await scene.open(retry_timeout=0)
                    session = store.session(name)
                    await session.delete()
                    await session.add_message("user", "old")
                    await session.set("k", 1)
                    error: SessionError | None = None
                    try:
                        with faults.armed():
                            await write(session)
                    except SessionError as raised:
                        error = raised
                    state = await _state(scene.session(name))
                    if error is None:
                        allowed = [after]
                    elif isinstance(error, OutcomeUnknownError):
                        allowed = [BEFORE, after]
                    else:
                        allowed = [BEFORE]
                    require(state in allowed, f"{allowed} after {name}, which raised {error!r}", state)
                    await store.close()

                await async_sweep(scenario, targets, error, after=late)


def _fail_next(store: AsyncBaseStore, primitive: str, errors: list[Exception], *, applied: bool) -> list[str]:
    """Let the next calls of a primitive fail; return a list that grows with each failure."""
    original = getattr(store, primitive)
    failures: list[str] = []
    left = list(errors)

    async def failing(*arguments: Any, **keywords: Any) -> Any:
        if not left:
            return await original(*arguments, **keywords)
        if applied:
            await original(*arguments, **keywords)
        failures.append(primitive)
        raise left.pop(0)

    setattr(store, primitive, failing)
    return failures


async def _state(session: AsyncSession) -> object:
    return [contents(await session.get_messages()), await session.metadata()]
