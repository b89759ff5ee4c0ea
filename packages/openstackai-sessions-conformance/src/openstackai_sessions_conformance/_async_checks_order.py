"""C. Order and paging."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from openstackai_sessions_conformance._async_scene import AsyncScene, check
from openstackai_sessions_conformance._async_seam import together
from openstackai_sessions_conformance._findings import refuses, require, same
from openstackai_sessions_conformance._views import contents, document, entry, whole
from openstackai_sessions_core import ValidationError

__all__ = ["AsyncOrderChecks"]


HUGE = (2**31, 2**62, 2**63, 2**64, 10**30)


def _joined(seen: Sequence[object], wanted: Sequence[object], what: str) -> None:
    """Require that the pages of an iteration make the whole; say where they part."""
    parts = next((at for at, (one, other) in enumerate(zip(seen, wanted, strict=False)) if one != other), None)
    at = min(len(seen), len(wanted)) if parts is None else parts
    require(
        list(seen) == list(wanted),
        f"all {len(wanted)} messages in their order from {what}",
        f"{len(seen)} messages, and after the first {at}: {list(seen[at : at + 3])}",
    )


class AsyncOrderChecks:
    """The checks of group C."""

    @check(23, cause="rows are read without an order, or in that of a time stamp, a random id or a hash")
    async def test_023_the_order_is_that_of_the_appends(self, scene: AsyncScene) -> None:
        """Messages are read in the order in which they were appended, however they came."""
        session = scene.session()
        wanted: list[object] = []
        for turn in range(12):
            if turn % 3 == 2:
                wanted += [f"{turn}.{part}" for part in range(9, 0, -1)]
                await session.add_messages([{"content": f"{turn}.{part}"} for part in range(9, 0, -1)])
            elif turn % 3 == 1:
                # An id that sorts before all others.
                await session.add_message("user", turn, id=f"{99 - turn:02d}")
                wanted.append(turn)
            else:
                await scene.other().add_message("user", turn)
                wanted.append(turn)
        messages = await session.get_messages()
        same(contents(messages), wanted, "the contents in the order of the appends")
        positions = [message.position for message in messages]
        require(positions == sorted(set(positions)), "positions that increase along the list", positions)
        same(contents(await scene.other().get_messages()), wanted, "the contents on another handle")

    @check(24, cause="LIMIT is applied to the ascending order, or is off by one")
    async def test_024_limit_gives_the_newest_oldest_first(self, scene: AsyncScene) -> None:
        """`get_messages(n)` gives the newest n, oldest first; 0 gives none, more than there are gives all."""
        session = scene.session()
        stored = [await session.add_message("user", number) for number in range(9)]
        stored += await session.add_messages([{"content": 9}, {"content": 10}])
        for limit in (0, 1, 2, 5, len(stored) - 1, len(stored), len(stored) + 1, 1000, *HUGE):
            wanted = whole(stored[max(0, len(stored) - limit) :])
            same(whole(await session.get_messages(limit)), wanted, f"get_messages({limit}) of {len(stored)}")
            same(whole(await session.get_messages(limit=limit)), wanted, f"get_messages(limit={limit})")
        same(whole(await session.get_messages(None)), whole(stored), "get_messages(None)")

    @check(24, cause="before is taken as an index, as inclusive, or applied after the limit")
    async def test_024_before_pages_backwards(self, scene: AsyncScene) -> None:
        """`before` gives the newest of those at smaller positions; the position need not exist."""
        session = scene.session()
        for number in range(20):
            await session.add_message("user", number)
            if number % 4 == 3:
                await session.pop_message()
        stored = await session.get_messages()
        bounds = {m.position + step for m in stored for step in (-1, 0, 1)} | {1, 2, 10**6, 10**15, *HUGE}
        for before in sorted(bound for bound in bounds if bound >= 1):
            older = [message for message in stored if message.position < before]
            same(whole(await session.get_messages(before=before)), whole(older), f"get_messages(before={before})")
            for limit in (0, 1, 3, len(older), len(older) + 1):
                wanted = older[max(0, len(older) - limit) :]
                same(whole(await session.get_messages(limit, before=before)), whole(wanted), f"({limit}, {before=})")
        paged: list[Any] = []
        before_this: int | None = None
        while page := await session.get_messages(4, before=before_this):
            paged[:0] = page
            before_this = page[0].position
        same(whole(paged), whole(stored), "all pages put together")

    @check(25, cause="arguments go to the engine unchecked, where -1 means all and True is 1")
    async def test_025_bad_limits_are_refused(self, scene: AsyncScene) -> None:
        """Negative, boolean, fractional and textual limits and positions raise `ValidationError`."""
        session = scene.session()
        await session.add_message("user", "x")
        bad: Any
        for bad in (-1, -(2**63), True, False, 1.0, 0.0, 2.5, float("nan"), "5", "", b"1", [1], 1j):
            with refuses(ValidationError, f"get_messages({bad!r})"):
                await session.get_messages(bad)
            with refuses(ValidationError, f"list_sessions(limit={bad!r})"):
                await scene.store.list_sessions(limit=bad)
        for bad in (0, -1, True, False, 1.0, "5", b"1", [1]):
            with refuses(ValidationError, f"get_messages(before={bad!r})"):
                await session.get_messages(before=bad)
            with refuses(ValidationError, f"iter_messages(page_size={bad!r})"):
                async for _ in session.iter_messages(page_size=bad):
                    pass
        with refuses(ValidationError, "get_messages(0, before=0)"):
            await session.get_messages(0, before=0)
        same(await session.count(), 1, "count() after refused calls")

    @check(26, cause="the position is the row count plus one, or the counter is kept with the messages")
    async def test_026_positions_increase_and_are_never_reused(self, scene: AsyncScene) -> None:
        """Positions strictly increase for the life of a session: after a pop, a clear and an import too."""
        session = scene.session()
        seen: list[int] = []

        async def add(step: str) -> None:
            before = max(seen, default=0)
            added = await session.add_messages([{"n": 1}, {"n": 2}])
            positions = [message.position for message in added]
            require(
                before < positions[0] < positions[1],
                f"positions above {before} after {step}",
                positions,
                cause="the counter starts again: a number that was given out once must not return",
            )
            seen.extend(positions)
            stored = [message.position for message in await session.get_messages()]
            require(stored[-2:] == positions, "the same positions when read", stored)

        await add("nothing")
        await session.pop_message()
        await add("a pop")
        while await session.pop_message() is not None:
            pass
        await add("popping all")
        await session.clear()
        await add("a clear")
        await session.clear()
        await session.clear()
        await add("two clears")
        exported = await session.export()
        await session.import_data(exported)
        imported = [message.position for message in await session.get_messages()]
        require(imported[0] > max(seen), "imported messages at new positions", imported)
        seen.extend(imported)
        await session.pop_message()
        await session.import_data(exported)
        imported = [message.position for message in await session.get_messages()]
        require(imported[0] > max(seen), "imported messages at new positions, though the newest was popped", imported)
        seen.extend(imported)
        await add("an import")
        await session.import_data(document())
        await add("the import of an empty document")
        await session.import_data(document(entry("appended", n=1)), mode="append")
        seen.append((await session.get_messages(1))[0].position)
        require(seen[-1] > seen[-2], "an appended document at a new position", seen[-2:])
        await session.set("k", 1)
        await session.add_message("user", "x", id="given")
        seen.append((await session.get_messages(1))[0].position)
        await session.add_message("user", "x", id="given")
        await add("a message that was there already")

    @check(27, cause="messages are ordered by created_at, or by ids made from a clock")
    async def test_027_order_survives_a_backward_clock(self, scene: AsyncScene) -> None:
        """The order is that of the appends though clocks run backwards or stand still, or times lie in the future."""
        session = scene.session()
        await session.import_data(
            document(*[entry(f"{9 - n}", f"20{99 - n}-01-01T00:00:00Z", content=n) for n in range(5)])
        )
        await session.add_message("user", 5)
        await session.import_data(document(entry("past", "1990-01-01T00:00:00Z", content=6)), mode="append")
        await session.add_messages([{"content": 7}, {"content": 8}])
        await session.import_data(
            document(*[entry(f"equal {9 - n}", "2050-01-01T00:00:00Z", content=9 + n) for n in range(4)]), mode="append"
        )
        for number in range(13, 20):
            if scene.place.clock is not None:
                await scene.elapse(-3600)
            await session.add_message("user", number)
        if scene.place.clock is not None:
            scene.place.clock.stop()
        for number in range(20, 26):
            await session.add_message("user", number)
        wanted = list(range(26))
        same(contents(await session.get_messages()), wanted, "the contents in the order of the appends")
        same(contents(await session.get_messages(8)), wanted[-8:], "the newest eight")
        fifth = (await session.get_messages())[5].position
        same(contents(await session.get_messages(3, before=fifth)), wanted[2:5], "the three before the sixth")
        if scene.capabilities & type(scene.capabilities).STREAM:
            same([m.content async for m in session.iter_messages(page_size=4)], wanted, "the contents when iterated")
        popped = await session.pop_message()
        same(popped and popped.content, 25, "the content popped")

    @check(28, cause="pages are cut by offset, or by time stamp, and not by position")
    async def test_028_iteration_equals_the_list(self, scene: AsyncScene) -> None:
        """Iterating gives what the list gives, at every page size, also where positions have gaps."""
        session = scene.session()
        same([m async for m in session.iter_messages()], [], "iteration over a fresh session")
        for number in range(25):
            await session.add_message("user", number)
            if number % 5 == 4:
                await session.pop_message()
        stored = await session.get_messages()
        for page_size in (1, 2, 3, len(stored) - 1, len(stored), len(stored) + 1, 500, 2**63, 10**30):
            seen = [message async for message in session.iter_messages(page_size=page_size)]
            same(whole(seen), whole(stored), f"iter_messages(page_size={page_size})")
        same(whole([message async for message in session.iter_messages()]), whole(stored), "iter_messages()")

    @check(28, cause="the next page begins behind, or after, what the last one ended with; or only one is read")
    async def test_028_pages_of_hundreds_join(self, scene: AsyncScene) -> None:
        """Iterating in pages of hundreds, the default among them, gives all of a log of several pages."""
        session = scene.session()
        wanted = list(range(1_501))
        await session.add_messages([{"n": number} for number in wanted])
        seen = [message["n"] async for message in session.iter_messages()]
        _joined(seen, wanted, "iter_messages(), in pages of the default size")
        for page_size in (500, 1_000, 1_500):
            seen = [message["n"] async for message in session.iter_messages(page_size=page_size)]
            _joined(seen, wanted, f"iter_messages(page_size={page_size})")

    @check(28, cause="the end is not fixed when the iteration starts, or pages are cut by offset")
    async def test_028_iteration_is_stable_under_writes(self, scene: AsyncScene) -> None:
        """Iteration ends at what was newest at its start, skips what was popped or cleared, and repeats nothing."""
        session = scene.session()
        stored = await session.add_messages([{"content": number} for number in range(8)])
        seen: list[object] = []
        async for message in session.iter_messages(page_size=2):
            seen.append(message.content)
            await scene.other().add_message("user", f"late {message.content}")
            require(len(seen) <= 8, "iteration to end at what was newest at its start", seen)
        same(seen, list(range(8)), "what was iterated while messages were appended")
        await session.clear()
        stored = await session.add_messages([{"content": number} for number in range(8)])
        seen = []
        async for message in session.iter_messages(page_size=2):
            seen.append(message.content)
            if message.content == 1:
                await scene.other().pop_message()
            if message.content == 3:
                await scene.other().clear()
                await scene.other().add_messages([{"content": "new"}] * 8)
        same(seen, [0, 1, 2, 3], "what was iterated while messages were popped and cleared")
        require(len(stored) == 8, "eight messages stored", len(stored))

    @check(28, cause="the cursor is a position alone, which a later life of the session uses again")
    async def test_028_iteration_never_enters_another_life(self, scene: AsyncScene) -> None:
        """An iteration that is under way when the session is deleted does not go on in the session that follows."""
        session = scene.session()
        await session.add_messages([{"content": f"old {number}"} for number in range(6)])
        seen = []
        async for message in session.iter_messages(page_size=2):
            seen.append(message.content)
            if message.content == "old 1":
                await scene.other().delete()
                await scene.other().add_messages([{"content": f"new {number}"} for number in range(6)])
        same(seen, ["old 0", "old 1"], "what was iterated")

    @check(29, cause="positions are taken before the lock, so that a smaller one may become visible after a larger")
    async def test_029_a_cursor_never_skips(self, scene: AsyncScene) -> None:
        """Whoever has read up to a position has read everything that will ever stand before it."""
        writers, each = 6, scene.pick(25, 100, 1000)
        left = [writers]
        missed: list[object] = []

        async def write(worker: int) -> None:
            session = (scene.store if worker % 2 else scene.second).session("s")
            try:
                for number in range(each):
                    await session.add_message("user", [worker, number])
            finally:
                left[0] -= 1

        async def follow() -> None:
            session = scene.session()
            read: list[int] = []
            while True:
                last = left[0] == 0
                positions = [message.position async for message in session.iter_messages(page_size=50)]
                if positions[: len(read)] != read:
                    missed.append((read[-5:], positions[max(0, len(read) - 5) : len(read) + 5]))
                    return
                read = positions
                if last:
                    return

        await together([*[lambda worker=worker: write(worker) for worker in range(writers)], follow, follow])
        require(not missed, "each iteration to begin with the whole of the one before", missed[:1])
        same(await scene.session().count(), writers * each, "count() in the end")
