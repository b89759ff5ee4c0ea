"""G. Concurrency: many callers at once, one order, nothing lost, nothing doubled."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from openstackai_sessions_conformance._async_checks_events import hear_all
from openstackai_sessions_conformance._async_scene import AsyncScene, check
from openstackai_sessions_conformance._async_seam import sleep, together, within
from openstackai_sessions_conformance._findings import accepts, require, same
from openstackai_sessions_conformance._harness import leave_out
from openstackai_sessions_conformance._place import hold_file
from openstackai_sessions_conformance._views import contents, document, entry
from openstackai_sessions_core import AsyncSession, BackendError, Message, OutcomeUnknownError
from openstackai_sessions_core.backend import AsyncBaseStore

__all__ = ["AsyncRaceChecks"]


WAITING: dict[str, tuple[Callable[[AsyncSession, str], Awaitable[object]], object]] = {
    "add_message": (lambda s, op: s.add_message("user", "x", op_id=op), [["old", "x"], {"k": 1}]),
    "add_messages": (lambda s, op: s.add_messages([{"content": 1}, {}], op_id=op), [["old", 1, None], {"k": 1}]),
    "pop_message": (lambda s, op: s.pop_message(op_id=op), [[], {"k": 1}]),
    "clear": (lambda s, op: s.clear(op_id=op), [[], {"k": 1}]),
    "set": (lambda s, op: s.set("k", 2, op_id=op), [["old"], {"k": 2}]),
    "import_data": (lambda s, op: s.import_data(document(entry("n", content=1)), op_id=op), [[1], {}]),
    "delete": (lambda s, op: s.delete(op_id=op), [[], {}]),
}
"""Writes that find a lock held, and the messages and metadata after each."""


def _handle(scene: AsyncScene, worker: int, shared: AsyncSession | None) -> AsyncSession:
    return shared if shared is not None else (scene.store if worker % 2 else scene.second).session("s")


async def _appends(scene: AsyncScene, workers: int, each: int, shared: AsyncSession | None = None) -> None:
    """46: each acknowledged append appears exactly once, where its result says, in the order of its writer."""
    acknowledged: dict[int, object] = {}

    async def work(worker: int) -> None:
        session = _handle(scene, worker, shared)
        for number in range(each):
            message = await session.add_message("user", [worker, number])
            require(message.position not in acknowledged, "a position of its own for each append", message.position)
            acknowledged[message.position] = [worker, number]

    await together([partial(work, worker) for worker in range(workers)])
    messages = await scene.session().get_messages()
    seen = Counter(str(message.content) for message in messages)
    lost = [content for content in map(str, acknowledged.values()) if not seen[content]]
    require(not lost, "every acknowledged append in the log", f"{len(lost)} are lost, such as {lost[:3]}")
    doubled = [content for content, count in seen.items() if count > 1]
    require(not doubled, "each append once", f"{len(doubled)} are doubled, such as {doubled[:3]}")
    same(len(messages), workers * each, "the number of messages")
    positions = [message.position for message in messages]
    require(positions == sorted(set(positions)), "increasing positions along the log", positions[:20])
    at = {message.position: message.content for message in messages}
    wrong = [position for position, content in acknowledged.items() if at.get(position) != content]
    require(not wrong, "each message at the position that its append returned", f"{len(wrong)} elsewhere: {wrong[:3]}")
    for worker in range(workers):
        own = [content for content in contents(messages) if content[0] == worker]  # type: ignore[index]
        same(own, [[worker, number] for number in range(each)], f"the messages of writer {worker} in its order")


async def _prefixes(scene: AsyncScene, workers: int, each: int, shared: AsyncSession | None = None) -> None:
    """48: what is read while others append is a prefix of what there will be."""
    reads: list[list[int]] = []
    left = [workers]

    async def write(worker: int) -> None:
        try:
            for number in range(each):
                if number % 5 == 4:
                    await _handle(scene, worker, shared).add_messages([{"content": [worker, number]}] * 3)
                else:
                    await _handle(scene, worker, shared).add_message("user", [worker, number])
        finally:
            left[0] -= 1

    async def read(worker: int) -> None:
        seen: set[str] = set()
        while left[0]:
            positions = [message.position for message in await _handle(scene, worker, shared).get_messages()]
            if str(positions) not in seen:
                seen.add(str(positions))
                reads.append(positions)
            await sleep(0)

    await together([*[partial(write, worker) for worker in range(workers)], partial(read, 0), partial(read, 1)])
    final = [message.position for message in await scene.session().get_messages()]
    require(final == sorted(set(final)), "increasing positions along the log", final[:20])
    for positions in reads:
        if positions != final[: len(positions)]:
            missing = sorted(set(final[: len(positions)]) ^ set(positions))[:5]
            require(False, "each read to be a prefix of the final log",
                    f"a read of {len(positions)} messages that differs at the positions {missing}")  # fmt: skip


async def _pops(scene: AsyncScene, workers: int, each: int, shared: AsyncSession | None = None) -> None:
    """49: concurrent pops share the messages out among them."""
    session = scene.session()
    await session.clear()
    await session.add_messages([{"n": index} for index in range(workers * each)])

    async def work(worker: int) -> list[Any]:
        handle = _handle(scene, worker, shared)
        popped = [await handle.pop_message() for _ in range(each)]
        numbers: list[Any] = [message["n"] for message in popped if message is not None]
        require(numbers == sorted(numbers, reverse=True), "each caller to pop newer messages first", numbers)
        return numbers

    taken = [number for numbers in await together([partial(work, w) for w in range(workers)]) for number in numbers]
    twice = [number for number, count in Counter(taken).items() if count > 1]
    require(not twice, "each message popped once", f"{len(twice)} popped twice, such as {twice[:3]}")
    same(sorted(taken), list(range(workers * each)), "all messages, popped by all callers together")
    same(await session.count(), 0, "count() after as many pops as messages")


async def _mixed(scene: AsyncScene, workers: int, each: int, shared: AsyncSession | None = None) -> None:
    """46 and 49 together: what was added is either popped, once, or still there."""
    await scene.session().clear()

    async def work(worker: int) -> tuple[list[object], list[object]]:
        handle = _handle(scene, worker, shared)
        added: list[object] = []
        taken: list[object] = []
        for number in range(each):
            await handle.add_message("user", f"{worker} {number}")
            added.append(f"{worker} {number}")
            if number % 3 == 0:
                message = await handle.pop_message()
                if message is not None:
                    taken.append(message.content)
        return added, taken

    results = await together([partial(work, worker) for worker in range(workers)])
    added = sorted(str(content) for result in results for content in result[0])
    gone = [str(content) for result in results for content in result[1]]
    left = [str(content) for content in contents(await scene.session().get_messages())]
    same(sorted(gone + left), added, "what was popped and what is left, beside what was added")


async def _clears(scene: AsyncScene, workers: int, each: int, shared: AsyncSession | None = None) -> None:
    """50: what a clear removed does not come back, what was added after it is not lost."""
    await scene.session().clear()
    added: dict[str, tuple[float, float, int]] = {}
    cleared: list[tuple[float, float, int]] = []

    async def write(worker: int) -> None:
        handle = _handle(scene, worker, shared)
        for number in range(each):
            began = time.perf_counter()
            message = await handle.add_message("user", f"{worker} {number}")
            added[f"{worker} {number}"] = (began, time.perf_counter(), message.position)

    async def clear(worker: int) -> None:
        handle = _handle(scene, worker, shared)
        for _ in range(each // 2):
            newest = await handle.get_messages(1)
            began = time.perf_counter()
            await handle.clear()
            cleared.append((began, time.perf_counter(), newest[0].position if newest else 0))
            await sleep(0)

    await together([*[partial(write, worker) for worker in range(workers)], partial(clear, 0)])
    left = await scene.session().get_messages()
    positions = [message.position for message in left]
    require(positions == sorted(set(positions)), "increasing positions along the log", positions[:20])
    same(await scene.session().count(), len(left), "count(), beside the number of messages")
    every = [position for _, _, position in added.values()]
    require(len(set(every)) == len(every), "positions that are never given out twice, clears or not", "some were")
    floor = max((position for _, _, position in cleared), default=0)
    back = [position for position in positions if position <= floor]
    require(not back, f"nothing at or below {floor}, which a clear had seen", back[:5])
    names = set(map(str, contents(left)))
    last_began = max((began for began, _, _ in cleared), default=0.0)
    last_ended = max((ended for _, ended, _ in cleared), default=0.0)
    lost = [name for name, (began, _, _) in added.items() if began > last_ended and name not in names]
    require(not lost, "what was added after the last clear", f"{len(lost)} are lost, such as {lost[:3]}")
    stale = [name for name, (_, ended, _) in added.items() if ended < last_began and name in names]
    require(not stale, "nothing that was there before the last clear", f"{len(stale)} are, such as {stale[:3]}")


async def _kinds(scene: AsyncScene, turn: int, each: int) -> None:
    """46 across kinds: writes of messages beside writes of metadata, on one session."""
    kept, emptied = f"kept {turn}", f"emptied {turn}"
    await scene.session(kept).set("start", 1)

    async def append(worker: int) -> None:
        for number in range(each):
            await _store(scene, worker).session(kept).add_message("user", [worker, number])

    async def empty(worker: int) -> None:
        session = _store(scene, worker).session(emptied)
        for _ in range(each // 2):
            await session.add_messages([{"n": 1}] * 3)
            await session.pop_message()
            await session.clear()

    async def put(worker: int, id: str) -> None:
        for number in range(each):
            await _store(scene, worker).session(id).set(f"{worker} {number}", number)

    calls = [partial(call, worker) for call in (append, empty) for worker in range(2)]
    await together([*calls, *[partial(put, worker, id) for id in (kept, emptied) for worker in range(2)]])
    keys = {f"{worker} {number}" for worker in range(2) for number in range(each)}
    both = (kept, "appends", 2 * each, keys | {"start"}), (emptied, "pops and clears", 0, keys)
    for id, beside, count, wanted in both:
        same(await scene.session(id).count(), count, f"count() after {beside} by two callers, who met sets")
        lost = sorted(wanted - set(await scene.session(id).metadata()))
        require(not lost, f"every key that was set beside {beside}", f"{len(lost)} are lost, such as {lost[:3]}")


class AsyncRaceChecks:
    """The checks of group G that one process can make."""

    @check(46, cause="read, change, write without a lock, or a position that two writers take")
    async def test_046_each_append_appears_once(self, scene: AsyncScene) -> None:
        """Whatever the number of writers, each acknowledged append is in the log once, where its result says."""
        await _appends(scene, 8, scene.pick(25, 150, 2000))

    @check(46, cause="a write reads the whole session and writes all of it back, with what another kind has changed")
    async def test_046_writes_of_two_kinds_keep_each_other(self, scene: AsyncScene) -> None:
        """Appends, pops and clears beside writes of metadata: neither takes back what the other has written."""
        for turn in range(scene.pick(3, 15, 150)):
            await _kinds(scene, turn, 20)

    @check(46, cause="an import numbers its messages before it holds the lock")
    async def test_046_imports_and_appends_share_no_position(self, scene: AsyncScene) -> None:
        """While documents are imported over a session and others append to it, a position never stands for two ids."""
        names: dict[int, str] = {}
        twice: list[str] = []
        left = [1]

        def see(messages: Sequence[Message]) -> None:
            for message in messages:
                name = names.setdefault(message.position, message.id)
                if name != message.id:
                    twice.append(f"{message.position} of {name} and of {message.id}")

        async def append(worker: int) -> None:
            session = _handle(scene, worker, None)
            while left[0] and not twice:
                see([await session.add_message("user", "x")])
                # Each has a rhythm of its own, so that the callers do not go in step.
                for _ in range(worker):
                    await sleep(0)

        async def load() -> None:
            session = scene.other()
            try:
                for number in range(scene.pick(12, 40, 400)):
                    await session.import_data(document(*[entry(f"{number} {part}", n=part) for part in range(1_000)]))
                    see(await session.get_messages())
            finally:
                left[0] -= 1

        calls: list[Callable[[], Awaitable[None]]] = [*(partial(append, worker) for worker in range(4)), load]
        await together(calls)
        require(not twice, "positions that stand for one id each", twice[:3])

    @check(77, cause="what is over is looked up, and then deleted without looking again")
    async def test_077_clearing_away_spares_what_was_renewed(self, scene: AsyncScene) -> None:
        """Sessions that are written again after their deadline, while others purge and list, keep what was written."""
        rounds = scene.pick(2, 4, 10) if scene.lives_in_real_time else scene.pick(8, 40, 400)
        for turn in range(rounds):
            ids = [f"{turn} {number:02}" for number in range(40 if scene.place.single else 16)]
            for id in ids:
                await scene.session(id, ttl=scene.tick).add_message("user", "old")
            await scene.elapse(scene.tick * 1.1)

            # What expired first is cleared away first, so that what is renewed first is there longest.
            async def renew(worker: int, ids: list[str] = ids) -> None:
                for id in ids[::-1][worker::2]:
                    await _store(scene, worker).session(id).add_message("user", "new")

            async def clear_away(store: AsyncBaseStore, turn: int = turn) -> None:
                for _ in range(turn // 2 % 4):
                    await sleep(0)
                if turn % 2:
                    await store.list_sessions()
                else:
                    await store.purge_expired()

            calls: list[Callable[[], Awaitable[None]]] = [
                *(partial(clear_away, store) for store in (scene.store, scene.second)),
                *(partial(renew, worker) for worker in range(2)),
            ]
            await together(calls)
            held = {info.id: info.message_count for info in await scene.store.list_sessions(f"{turn} ")}
            lost = [id for id in ids if held.get(id) != 1]
            require(not lost, "one message in each session that was written again after its deadline",
                    f"{len(lost)} sessions with another number: {[(id, held.get(id)) for id in lost[:3]]}")  # fmt: skip

    @check(47, cause="positions, or reads, from a cache, a sequence or a replica")
    async def test_047_acknowledged_first_comes_first(self, scene: AsyncScene) -> None:
        """An append that was acknowledged before another began stands before it, by whichever handle or store."""
        spans: dict[int, tuple[float, float]] = {}

        async def work(worker: int) -> None:
            session = _handle(scene, worker, None)
            for number in range(scene.pick(25, 150, 2000)):
                began = time.perf_counter()
                message = await session.add_message("user", number)
                spans[message.position] = (began, time.perf_counter())

        await together([partial(work, worker) for worker in range(8)])
        ends: float = 0.0
        for message in reversed(await scene.session().get_messages()):
            began, ended = spans[message.position]
            require(not ends or began < ends, f"position {message.position} before those that began after it ended",
                    "a later position whose append had ended before this one began")  # fmt: skip
            ends = min(ends or ended, ended)

    @check(48, cause="positions are taken before the lock: a smaller one becomes visible after a larger")
    async def test_048_reads_are_prefixes(self, scene: AsyncScene) -> None:
        """Without pops and clears, every read is a prefix of the final order."""
        await _prefixes(scene, 6, scene.pick(25, 120, 1000))

    @check(49, cause="pop reads and deletes in two steps")
    async def test_049_concurrent_pops_are_disjoint(self, scene: AsyncScene) -> None:
        """No message is popped twice, none is lost; with appends among the pops too."""
        await _pops(scene, 8, scene.pick(20, 100, 1000))
        await _mixed(scene, 8, scene.pick(20, 100, 1000))

    @check(50, cause="clear deletes what it has read, or takes the counter with it")
    async def test_050_clear_and_append_linearise(self, scene: AsyncScene) -> None:
        """A clear removes what was there before it, and nothing that came after."""
        for _ in range(scene.pick(2, 8, 50)):
            await _clears(scene, 6, 25)

    @check(50, cause="a write finds the old life's rows, or makes new ones without their session")
    async def test_050_delete_and_append_linearise(self, scene: AsyncScene) -> None:
        """A delete among appends ends a life whole: what is left is what came after it, and the listing knows it."""
        for turn in range(scene.pick(4, 20, 200)):

            async def write(worker: int, turn: int = turn) -> None:
                for number in range(12):
                    await _handle(scene, worker, None).add_message("user", [turn, worker, number])

            async def delete() -> None:
                for _ in range(5):
                    await sleep(0)
                    await scene.session().delete()

            calls: list[Callable[[], Awaitable[None]]] = [
                partial(write, 0),
                partial(write, 1),
                partial(write, 2),
                delete,
            ]
            await together(calls)
            left = await scene.session().get_messages()
            positions = [message.position for message in left]
            require(positions == sorted(set(positions)), "increasing positions along the log", positions)
            for worker in range(3):
                own: list[Any] = [m.content for m in left if m.content[1] == worker]  # type: ignore[index]
                wanted = [[turn, worker, number] for number in range(12 - len(own), 12)]
                same(own, wanted, f"the newest messages of writer {worker}, which came after the last delete")
            listed = [info.message_count for info in await scene.store.list_sessions()]
            require(listed in ([len(left)], [] if not left else [len(left)]), f"a count of {len(left)}", listed)
            await scene.session().delete()

    @check(51, cause="state of the handle that is changed without a lock")
    async def test_051_threads_may_share_a_handle(self, scene: AsyncScene) -> None:
        """One handle in sixteen threads keeps 46 to 50, and its metadata."""
        await _share_one_handle(scene, 16, scene.pick(12, 60, 600))

    @check(53, cause="state of the handle or connection that is changed while a call waits")
    async def test_053_tasks_may_share_a_handle(self, scene: AsyncScene) -> None:
        """One handle in two hundred tasks keeps 46 to 50, and its metadata."""
        await _share_one_handle(scene, scene.pick(200, 200, 200), scene.pick(2, 10, 50))

    @check(54, cause="two locks that are taken in different orders, or a wait without an end")
    async def test_054_nothing_deadlocks(self, scene: AsyncScene) -> None:
        """Calls of every kind, on the same and on different sessions, all end within their time-outs."""

        async def work(worker: int) -> None:
            source = scene.random.__class__(scene.seed * 100 + worker)
            for number in range(scene.pick(12, 80, 800)):
                one = _store(scene, worker).session(source.choice("abc"))
                two = _store(scene, worker).session(source.choice("abc"))
                calls: list[Callable[[], Awaitable[object]]] = [
                    lambda: one.add_message("user", number),
                    lambda: one.add_messages([{"n": number}] * 5),
                    one.pop_message, one.clear, one.delete, one.get_messages, one.count, one.metadata, two.export,
                    lambda: one.set("k", number),
                    lambda: one.update({"a": number, "b": number}),
                    lambda: one.remove("k"),
                    lambda: one.import_data(document(entry(f"{worker} {number}", n=number))),
                    scene.store.list_sessions, scene.second.purge_expired,
                ]  # fmt: skip
                await source.choice(calls)()

        await within(
            scene.pick(30, 120, 1200),
            "a mix of all calls by eight callers",
            lambda: together([partial(work, worker) for worker in range(8)]),
        )

    @check(54, cause="a wait for a lock that is bounded by nothing, or by each attempt anew; or the driver's own error")
    async def test_054_a_write_that_waits_for_a_lock_ends_in_time(self, scene: AsyncScene) -> None:
        """While somebody else holds the lock for longer than `timeout`, writes raise then, and land once afterwards."""
        place, file = scene.place, scene.place.database
        hold = place.hold or (None if file is None else lambda _: hold_file(file))
        if hold is None:
            leave_out("the place has neither a hook `hold` nor `database`, so that nobody else can hold a lock")
        if "timeout" not in place.options:
            leave_out("the store takes no timeout")
        timeout, room = 0.8, 4.0
        options: dict[str, object] = {"retry_timeout": 0} if "retry_timeout" in place.options else {}
        store = await scene.open(timeout=timeout, **options)
        sessions = {name: store.session(name) for name in WAITING}
        for session in sessions.values():
            await session.add_message("user", "old")
            await session.set("k", 1)
        heard = {name: hear_all(session) for name, session in sessions.items()}

        async def call(name: str) -> tuple[object, float]:
            began = time.monotonic()
            try:
                await WAITING[name][0](sessions[name], f"held {name}")
            except Exception as error:
                return error, time.monotonic() - began
            return None, time.monotonic() - began

        with hold(list(WAITING)):
            results = await within(
                timeout + 2 * room,
                f"writes with a timeout of {timeout:g} s, while another connection holds the lock,",
                lambda: together([partial(call, name) for name in WAITING]),
            )
            for name, (error, took) in zip(WAITING, results, strict=True):
                what = f"{name} while another connection holds the lock"
                require(
                    isinstance(error, BackendError), f"a BackendError from {what}", repr(error) if error else "none"
                )
                require(took < timeout + room, f"{what} to end within about {timeout:g} s", f"{took:.1f} s")
                same(heard[name], [], f"the events of {what}")
        for name, (error, _) in zip(WAITING, results, strict=True):
            if not isinstance(error, OutcomeUnknownError):
                same(await _state(scene.session(name)), [["old"], {"k": 1}], f"the session after {name} raised")
            with accepts(f"{name} by its op_id, once the lock is free again,"):
                await WAITING[name][0](sessions[name], f"held {name}")
            state = await _state(scene.session(name))
            same(state, WAITING[name][1], f"the session after {name} was repeated by its op_id, the lock being free")
            fired = 2 if name == "add_messages" else 1
            same(len(heard[name]), fired, f"the number of events of {name}, repeated until it landed")


async def _state(session: AsyncSession) -> object:
    return [contents(await session.get_messages()), await session.metadata()]


def _store(scene: AsyncScene, worker: int) -> AsyncBaseStore:
    return scene.store if worker % 2 else scene.second


async def _share_one_handle(scene: AsyncScene, workers: int, each: int) -> None:
    handle = scene.session()
    await _appends(scene, workers, each, handle)
    await handle.clear()
    await _prefixes(scene, min(workers, 16), each, handle)
    await _pops(scene, workers, each, handle)
    await _mixed(scene, workers, each, handle)
    await _clears(scene, min(workers, 16), each, handle)

    async def note(worker: int) -> None:
        for number in range(each):
            await handle.set(f"{worker} {number}", number)

    await together([partial(note, worker) for worker in range(workers)])
    same(len(await handle.metadata()), workers * each, "the number of metadata keys, each set by one caller")
