"""N. Life and resources of handles and stores."""

from __future__ import annotations

import gc
import pickle
import threading
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from openstackai_sessions_conformance._async_scene import AsyncScene, check
from openstackai_sessions_conformance._async_seam import sleep, together
from openstackai_sessions_conformance._capabilities import Capability
from openstackai_sessions_conformance._findings import accepts, refuses, require, same
from openstackai_sessions_conformance._harness import leave_out
from openstackai_sessions_conformance._place import Place
from openstackai_sessions_conformance._views import document, entry
from openstackai_sessions_core import (
    AsyncSession,
    ConflictError,
    LimitExceededError,
    Limits,
    SessionClosedError,
    SessionError,
)
from openstackai_sessions_core.backend import AsyncBaseStore

__all__ = ["AsyncLifeChecks"]


def _held() -> tuple[int, int]:
    """How many descriptors (where the system tells) and threads this process has."""
    gc.collect()
    folder = Path("/proc/self/fd")
    return (len(list(folder.iterdir())) if folder.exists() else 0, threading.active_count())


def _raise(error: Exception) -> None:
    raise error


async def _read_whole(scene: AsyncScene, size: int) -> None:
    """A long log is read and exported to its end; each message bears its number as `n`."""
    session, cause = scene.other(), "a read or an export has a bound of its own, or takes one page for all"
    same(await session.count(), size, "count() of a long log")
    exported: Any = await session.export()
    for what, seen, wanted in (
        ("get_messages()", [m["n"] for m in await session.get_messages()], list(range(size))),
        ("get_messages(12_000)", [m["n"] for m in await session.get_messages(12_000)], list(range(size))[-12_000:]),
        ("export()", [m["data"]["n"] for m in exported["messages"]], list(range(size))),
    ):
        same(len(seen), len(wanted), f"the number of messages in {what} of a log of {size}", cause=cause)
        require(seen == wanted, f"the messages in {what} in their order", "another order", cause=cause)


def _pass_time(place: Place, seconds: float) -> None:
    """Let time pass, where that takes none."""
    if place.clock is not None:
        place.clock.elapse(seconds)
    elif place.elapse is not None:
        place.elapse(seconds)


Refused: TypeAlias = tuple[str, type[Exception], Callable[[], Awaitable[object]]]


def _conflicts(session: AsyncSession) -> list[Refused]:
    """Calls that conflict with a message `m`."""
    doc = document(entry("fresh", n=1), entry("m", n=1), metadata={"b": 1})
    return [
        ("add_message of an id with another content", ConflictError, lambda: session.add_message("user", "y", id="m")),
        ("add_messages of one", ConflictError, lambda: session.add_messages([{}, {"n": 1}], ids=[None, "m"])),
        ("import_data of one, append", ConflictError, lambda: session.import_data(doc, mode="append")),
    ]


def _too_much(session: AsyncSession) -> list[Refused]:
    """Calls that leave the metadata over a limit of 30 bytes: some by themselves, some with a value of 20 held."""
    more = document(entry("fresh", n=1), metadata={"b": "x" * 20})
    return [
        ("set over the limit of metadata", LimitExceededError, lambda: session.set("b", "x" * 20)),
        ("import_data of a key over it, append", LimitExceededError, lambda: session.import_data(more, mode="append")),
        *_far_too_much(session),
    ]


def _far_too_much(session: AsyncSession) -> list[Refused]:
    """Calls whose metadata alone is over that limit."""
    values: dict[str, Any] = {"b": "x" * 20, "c": "x" * 20}
    doc = document(entry("fresh", n=1), metadata=values)
    return [
        ("update over the limit of metadata", LimitExceededError, lambda: session.update(values)),
        ("import_data over it, append", LimitExceededError, lambda: session.import_data(doc, mode="append")),
        ("import_data over it", LimitExceededError, lambda: session.import_data(doc)),
    ]


async def _leave_no_trace(place: Place, store: AsyncBaseStore, calls: Sequence[Refused]) -> None:
    """Calls are refused, each with its error, and the listing of the store stays as it was."""
    for name, error, call in calls:
        before = await store.list_sessions()
        if place.clock is not None:
            place.clock.elapse(1)
        with refuses(error, name):
            await call()
        after = await store.list_sessions()
        require(after == before, f"the entries of list_sessions() as before {name}", (before, after))


class AsyncLifeChecks:
    """The checks of group N."""

    @check(96, cause="closing twice is an error, or a closed handle goes on working, or takes its store along")
    async def test_096_a_closed_handle_says_so(self, scene: AsyncScene) -> None:
        """Closing twice is the same as once; every call then raises `SessionClosedError`; the store goes on."""
        session, other = scene.session(), scene.session()
        await session.add_message("user", "kept")
        await session.close()
        await session.close()
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "add_message": lambda: session.add_message("user", "late"),
            "add_messages": lambda: session.add_messages([{}]),
            "add_messages of nothing": lambda: session.add_messages([]),
            "get_messages": session.get_messages,
            "get_messages of none": lambda: session.get_messages(0),
            "pop_message": session.pop_message,
            "count": session.count,
            "clear": session.clear,
            "set": lambda: session.set("k", 1),
            "get": lambda: session.get("k"),
            "remove": lambda: session.remove("k"),
            "update": lambda: session.update({"k": 1}),
            "metadata": session.metadata,
            "export": session.export,
            "import_data": lambda: session.import_data(document()),
            "delete": session.delete,
        }
        for name, call in calls.items():
            with refuses(SessionClosedError, f"{name} on a closed handle"):
                await call()
        with refuses(SessionClosedError, "iter_messages on a closed handle"):
            async for _ in session.iter_messages():
                pass
        with refuses(SessionClosedError, "entering a closed handle"):
            async with session:
                pass
        if scene.capabilities & Capability.STREAM:
            await other.add_message("user", "next page")
            reader = scene.session()
            with refuses(SessionClosedError, "the next page of an iteration whose handle was closed"):
                async for message in reader.iter_messages(page_size=1):
                    same(message.content, "kept", "what is iterated in pages of one before the handle is closed")
                    await reader.close()
            await other.pop_message()
        same(await other.count(), 1, "count() of another handle of the same session")
        same(await scene.session().metadata(), {}, "metadata() of a new handle")
        same([info.id for info in await scene.store.list_sessions()], ["s"], "list_sessions() of the store")

    @check(96, cause="__exit__ returns something true, undoes, or closes the store")
    async def test_096_leaving_the_context_closes_the_handle(self, scene: AsyncScene) -> None:
        """Leaving `with` closes the handle, undoes nothing, and lets exceptions pass."""
        session = scene.session()
        with refuses(KeyError, "a block that raises KeyError"):
            async with session as entered:
                require(entered is session, "the handle itself from `with`", repr(entered))
                await session.add_message("user", "kept")
                _raise(KeyError())
        with refuses(SessionClosedError, "count() after the block"):
            await session.count()
        async with scene.session() as again:
            same(await again.count(), 1, "count() of a message added in a block that raised")
        same(await scene.session().count(), 1, "count() after the second block: the store is open")

    @check(96, cause="the store forgets that it is closed, or opens itself again")
    async def test_096_a_closed_store_says_so(self, scene: AsyncScene) -> None:
        """A closed store raises `SessionClosedError` for every call of its own and of its handles."""
        store = await scene.fresh()
        session = store.session("s")
        await session.add_message("user", "x")
        same([await session.count(), len(await session.get_messages())], [1, 1], "a store that is open")
        await store.close()
        await store.close()
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "add_message": lambda: session.add_message("user", "late"),
            "add_messages": lambda: session.add_messages([{"n": 1}, {"n": 2}]),
            "get_messages": session.get_messages,
            "pop_message": session.pop_message,
            "count": session.count,
            "clear": session.clear,
            "set": lambda: session.set("k", 1),
            "get": lambda: session.get("k"),
            "update": lambda: session.update({"k": 1, "l": 2}),
            "remove": lambda: session.remove("k"),
            "metadata": session.metadata,
            "export": session.export,
            "import_data": lambda: session.import_data(document(entry("a", n=1))),
            "delete": session.delete,
            "delete_session": lambda: store.delete_session("s"),
            "list_sessions": store.list_sessions,
            "purge_expired": store.purge_expired,
        }
        for name, call in calls.items():
            with refuses(SessionClosedError, f"{name} of a closed store"):
                await call()
        if scene.capabilities & Capability.STREAM:
            with refuses(SessionClosedError, "iter_messages of a closed store"):
                async for _ in session.iter_messages():
                    pass
        await scene.session().add_message("user", "x")
        same(await scene.session().count(), 1, "count() on a store that was not closed")

    @check(96, cause="default pickling, which copies connections and locks")
    async def test_096_handles_and_stores_refuse_pickling(self, scene: AsyncScene) -> None:
        """Handles and stores raise TypeError when they are pickled."""
        for thing in (scene.store, scene.session()):
            with refuses(TypeError, f"pickling a {type(thing).__name__}"):
                pickle.dumps(thing)

    @check(97, cause="connections, threads or files that close() leaves open", seconds=120)
    async def test_097_opening_and_closing_leaks_nothing(self, scene: AsyncScene) -> None:
        """Many stores and handles, opened, used and closed, leave no descriptors, threads or tasks behind."""

        async def cycle(number: int) -> None:
            store = scene.store if scene.place.single else await scene.open()
            session = store.session(f"s{number % 3}")
            await session.add_message("user", number)
            await session.get_messages(2)
            await session.close()
            if not scene.place.single:
                await store.close()

        for number in range(5):
            await cycle(number)
        before = _held()
        cycles = scene.pick(60, 1000, 5000)
        for number in range(cycles):
            await cycle(number)
        after = _held()
        for _ in range(50):
            if after[0] <= before[0] + 5 and after[1] <= before[1] + 3:
                break
            await sleep(0.05)
            after = _held()
        require(after[0] <= before[0] + 5, f"about {before[0]} descriptors after {cycles} cycles", after[0])
        require(after[1] <= before[1] + 3, f"about {before[1]} threads after {cycles} cycles", after[1])

    @check(97, cause="a handle opens a connection, starts a thread or is kept by its store")
    async def test_097_handles_are_cheap(self, scene: AsyncScene) -> None:
        """Ten thousand handles open nothing and take no noticeable time."""
        await scene.session().add_message("user", "x")
        before = _held()
        began = time.perf_counter()
        handles = [scene.session(f"s{number}") for number in range(10_000)]
        took = time.perf_counter() - began
        after = _held()
        require(took < 2, "10,000 handles to take well under two seconds", f"{took:.1f} s")
        require(
            after[0] <= before[0] + 2 and after[1] <= before[1], "no descriptors, no threads", f"{before} -> {after}"
        )
        same(await handles[-1].count(), 0, "count() of the last one")
        same(
            [i.id for i in await scene.store.list_sessions()],
            ["s"],
            "list_sessions(): making a handle makes no session",
        )

    @check(103, cause="iteration reads the whole log at once, or keeps what it has read", seconds=120)
    async def test_103_a_long_log_iterates_in_constant_memory(self, scene: AsyncScene) -> None:
        """Iterating a long log holds no more than a few pages in memory."""
        session = scene.session()
        size = scene.pick(20_000, 200_000, 1_000_000)
        for start in range(0, size, 5_000):
            await session.add_messages([{"n": number, "text": "x" * 200} for number in range(start, start + 5_000)])
            if start + 5_000 == 20_000:
                await _read_whole(scene, 20_000)
        gc.collect()
        tracemalloc.start()
        try:
            tracemalloc.reset_peak()
            base = tracemalloc.get_traced_memory()[0]
            seen = 0
            async for message in session.iter_messages(page_size=200):
                require(message["n"] == seen, f"message {seen}", message["n"])
                seen += 1
            peak = tracemalloc.get_traced_memory()[1] - base
        finally:
            tracemalloc.stop()
        same(seen, size, "the number of messages iterated")
        bound = 4 * 2**20 if size < 100_000 else 50 * 2**20
        require(peak < bound, f"a peak of less than {bound // 2**20} MiB", f"{peak / 2**20:.1f} MiB")

    @check(104, cause="a limit is compared with >= for >, counts characters for bytes, or is looked at too late")
    async def test_104_limits_are_exact_and_typed(self, scene: AsyncScene) -> None:
        """What is as large as a limit is kept; one more raises `LimitExceededError`, and nothing is written."""
        small = "limits" in scene.place.options
        limits = Limits(
            message_bytes=100,
            batch_messages=3,
            batch_bytes=200,
            metadata_value_bytes=12,
            metadata_bytes=30,
            id_bytes=10,
        )
        store = await scene.fresh(limits=limits) if small else scene.store
        limits = store.limits
        session = store.session("s")
        head = len('{"role":"user","content":""}')
        good: list[tuple[str, Callable[[], Awaitable[object]]]] = [
            ("an id", lambda: session.add_message("user", "", id="i" * limits.id_bytes)),
            ("an op_id", lambda: session.add_message("user", "", op_id="o" * limits.id_bytes)),
            ("a batch by number", lambda: session.add_messages([{}] * min(limits.batch_messages, 10_000))),
            ("a metadata value", lambda: session.set("k", "x" * (limits.metadata_value_bytes - 2))),
            ("a metadata value in UTF-8", lambda: session.set("k", "é" * (limits.metadata_value_bytes // 2 - 1))),
        ]
        bad: list[tuple[str, Callable[[], Awaitable[object]]]] = [
            ("an id", lambda: session.add_message("user", "", id="i" * (limits.id_bytes + 1))),
            ("an id in UTF-8", lambda: session.add_message("user", "", id="é" * (limits.id_bytes // 2 + 1))),
            ("an op_id", lambda: session.add_message("user", "", op_id="o" * (limits.id_bytes + 1))),
            ("a batch by number", lambda: session.add_messages([{}] * (limits.batch_messages + 1))),
            ("a batch without an end", lambda: session.add_messages({} for _ in iter(int, 1))),
            ("a metadata value", lambda: session.set("z", "x" * (limits.metadata_value_bytes - 1))),
            ("a metadata value in UTF-8", lambda: session.set("z", "é" * (limits.metadata_value_bytes // 2))),
            ("a value of an update", lambda: session.update({"a": 1, "z": "x" * limits.metadata_value_bytes})),
        ]
        if small:
            full = {"content": "x" * (100 - len('{"content":""}'))}
            good += [
                ("a message", lambda: session.add_message("user", "x" * (100 - head))),
                ("a batch by size", lambda: session.add_messages([full, full])),
                ("metadata", lambda: session.update({"k": "x" * 10, "l": "x" * 10, "mm": 12})),
                ("metadata that is overwritten", lambda: session.set("k", "y" * 10)),
            ]
            bad += [
                ("a message", lambda: session.add_message("user", "x" * (101 - head))),
                ("a batch by size", lambda: session.add_messages([full, full, {}])),
                ("metadata", lambda: session.set("o", 1)),
                ("metadata of an update", lambda: session.update({"mm": 34, "o": 1})),
            ]
        for name, call in good:
            with accepts(f"{name} as large as its limit"):
                await call()
        before = await session.export()
        for name, call in bad:
            with refuses(LimitExceededError, f"{name} over its limit"):
                await call()
            same(await session.export(), before, f"the session after {name} over its limit")
        if small:
            await session.remove("l")
            await session.update({"o": 1})
            same(await session.get("o"), 1, "a key set once there was room again")
            keys, cause = store.session("keys"), "the size of keys is counted in characters"
            with accepts("metadata as large as its limit, with a key in UTF-8", cause=cause):
                await keys.update({"é" * 13: 1, "k": 23})
            with refuses(LimitExceededError, "metadata over its limit by a byte, with a key in UTF-8", cause=cause):
                await keys.set("k", 234)
            same(await keys.get("k"), 23, "a value that would have been over the limit", cause=cause)
            again, cause = store.session("again"), "the limit is checked before the ledger is asked"
            for _ in range(2):
                with accepts("a write that was made when there was room, and repeated when there is none", cause=cause):
                    await again.update({"k": "x" * 10, "l": "x" * 10}, op_id="op")
                await again.remove("k")
                await again.set("m", "x" * 10)
            same(await again.metadata(), {"l": "x" * 10, "m": "x" * 10}, "the metadata after the repeat")
        fresh = store.session("f")
        for name in ("message_bytes", "batch_messages", "metadata_bytes"):
            wrong: Any
            for wrong in (0, -1, True, 1.5, "1"):
                with refuses(SessionError, f"Limits({name}={wrong!r})"):
                    Limits(**{name: wrong})
        same(await fresh.count(), 0, "count() of another session")

    @check(104, cause="the size of the metadata is looked up before the lock is taken")
    async def test_104_writes_at_once_keep_the_limit(self, scene: AsyncScene) -> None:
        """Of several keys set at once, of which there is room for two, two are set and the others are refused."""
        if "limits" not in scene.place.options:
            leave_out("the store takes no limits")
        store = await scene.fresh(limits=Limits(metadata_bytes=30, metadata_value_bytes=12))
        for turn in range(scene.pick(20, 100, 1000)):

            async def put(worker: int, turn: int = turn) -> int:
                try:
                    await store.session(str(turn)).set(f"{worker}", "x" * 10)
                except LimitExceededError:
                    return 0
                return 1

            done = sum(await together([partial(put, worker) for worker in range(6)]))
            held = await store.session(str(turn)).metadata()
            require(
                done == len(held) == 2,
                "two of six keys set at once, as many as there is room for",
                f"{done} were accepted, and there are {len(held)}",
            )

    @check(104, cause="the write is noted, or the session made, before it is known that nothing will be written")
    async def test_104_refused_writes_leave_no_trace(self, scene: AsyncScene) -> None:
        """A write that is refused makes no session, moves no `updated_at`, and refreshes no time to live."""
        small = "limits" in scene.place.options
        place = scene.new_place()
        options = {"limits": Limits(metadata_bytes=30, metadata_value_bytes=25)} if small else {}
        store = await scene.open_at(place, **options)
        timed = bool(scene.capabilities & Capability.TTL) and not scene.lives_in_real_time
        sessions = [store.session("s"), *([store.session("timed", ttl=1000)] if timed else [])]
        for session in sessions:
            await session.add_message("user", "x", id="m")
            await session.set("a", "x" * 20)
        _pass_time(place, 600)
        for session in sessions:
            await _leave_no_trace(place, store, _conflicts(session))
        if small:
            for session in sessions:
                await _leave_no_trace(place, store, _too_much(session))
            await _leave_no_trace(place, store, _far_too_much(store.session("new")))
        _pass_time(place, 600)
        if timed:
            seen = [info.id for info in await store.list_sessions()]
            same(seen, ["s"], "the sessions past the deadline, which refused writes did not move")
