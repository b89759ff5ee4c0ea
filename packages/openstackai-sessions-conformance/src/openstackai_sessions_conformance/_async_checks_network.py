"""K, L, M, N over a network: replies that are lost, servers that are gone, full or false."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from openstackai_sessions_conformance._async_checks_batches import WRITES as EFFECTS
from openstackai_sessions_conformance._async_checks_events import Listener, hear_all
from openstackai_sessions_conformance._async_checks_operations import WRITES
from openstackai_sessions_conformance._async_scene import AsyncScene, check
from openstackai_sessions_conformance._async_seam import open_on, sleep, together
from openstackai_sessions_conformance._findings import accepts, fail, refuses, require, same
from openstackai_sessions_conformance._harness import leave_out, need
from openstackai_sessions_conformance._place import Place
from openstackai_sessions_conformance._proxy import Fault, FaultProxy
from openstackai_sessions_conformance._views import contents, envelope
from openstackai_sessions_core import (
    AsyncSession,
    BackendError,
    BackendUnavailableError,
    OutcomeUnknownError,
    PoolTimeoutError,
    ReadOnlyError,
    StorageFullError,
)

__all__ = ["AsyncNetworkChecks"]


def _holds(mark: str, request: bytes) -> bool:
    return mark.encode() in request


@contextmanager
def _wire(place: Place) -> Iterator[tuple[FaultProxy, Place]]:
    """A wire to the place's server, and the place as it is reached by it."""
    endpoint, (host, port) = need(place, "endpoint"), need(place, "address")
    with FaultProxy(host, port) as proxy:
        yield proxy, endpoint(proxy.host, proxy.port)


def _without_retries(place: Place) -> dict[str, object]:
    if "retry_timeout" not in place.options:
        leave_out("the store takes no retry_timeout")
    return {"retry_timeout": 0}


async def _fill(session: AsyncSession) -> None:
    await session.add_message("user", "old")
    await session.set("k", 1)


async def _state(session: AsyncSession) -> list[object]:
    return [contents(await session.get_messages()), await session.metadata()]


class AsyncNetworkChecks:
    """The checks 55, 82 to 86, 89, 90, 93 and 98."""

    @check(55, cause="one connection, or one lock, for all sessions")
    async def test_055_a_slow_session_holds_up_no_other(self, scene: AsyncScene) -> None:
        """While a write of one session waits, or is long, other sessions are written; an embedded store in its time."""
        done: list[str] = []
        if scene.place.endpoint is None:
            many = [{"n": number, "text": "x" * 500} for number in range(min(5_000, scene.store.limits.batch_messages))]

            async def long() -> None:
                await scene.session("slow").add_messages(many)

            async def quick() -> None:
                for number in range(10):
                    await scene.other("quick").add_message("user", number)

            with accepts("writing one session while a long batch of another is written"):
                await together([long, quick])
            same(await scene.session("quick").count(), 10, "count() of the other session")
            return
        with _wire(scene.place) as (proxy, place):
            store = await scene.open_at(place)
            await together([lambda: store.session("slow").count(), lambda: store.session("quick").count()])
            held = proxy.add(Fault.DELAY, when=lambda request: b"only-the-slow-one" in request, seconds=6)

            async def slow() -> None:
                await store.session("slow").add_message("user", "x", op_id="only-the-slow-one")
                done.append("slow")

            async def fast() -> None:
                await sleep(0.3)
                for number in range(10):
                    await store.session("quick").add_message("user", number)
                done.append("quick")

            await together([slow, fast])
            if held.seen:
                same(done, ["quick", "slow"], "the order in which ten quick writes and one that waited ended")

    @check(82, cause="a dead connection stays in the pool, or is met without a retry", seconds=150)
    async def test_082_a_handle_recovers_when_the_server_restarts(self, scene: AsyncScene) -> None:
        """The same handle reads and writes again after its connections were cut and its server was away."""
        if scene.place.kill_server is not None:
            await scene.session().add_message("user", "before")
            scene.place.kill_server()
            await scene.session().add_message("user", "after")
            same((await scene.session().get_messages(1))[0].content, "after", "the message added after the restart")
        with _wire(scene.place) as (proxy, place):
            session = (await scene.open_at(place)).session("away")
            await session.add_message("user", 0)
            for number in range(1, scene.pick(3, 10, 100)):
                proxy.drop()
                await session.add_message("user", number)
                proxy.refuse()
                proxy.drop()

                async def back(proxy: FaultProxy = proxy) -> None:
                    await sleep(0.3)
                    proxy.accept()

                async def write(number: int = number) -> None:
                    await session.add_message("user", -number)

                calls: list[Callable[[], Awaitable[None]]] = [back, write]
                await together(calls)
            wanted = [0, *[n for number in range(1, scene.pick(3, 10, 100)) for n in (number, -number)]]
            same(contents(await session.get_messages()), wanted, "what was added, across the server's absence")

    @check(83, cause="the server's refusal is taken for an outage and retried, or leaks as the driver's error")
    async def test_083_a_place_that_takes_no_writes_says_so(self, scene: AsyncScene) -> None:
        """Read-only, full or out of memory: writes raise a typed error and fire nothing, reads work, and it passes."""
        for name, block in need(scene.place, "unwritable").items():
            before = {kind: scene.session(f"{name} {kind}") for kind in EFFECTS}
            for session in before.values():
                await _fill(session)
            heard = {kind: hear_all(session) for kind, session in before.items()}
            with block():
                for kind, (_, write, after) in EFFECTS.items():
                    what, wanted = f"{kind} on a place that is {name}", after
                    try:
                        await write(before[kind])
                    except (ReadOnlyError, StorageFullError):
                        wanted = [["old"], {"k": 1}]
                        same(heard[kind], [], f"the events of {what}, which was refused")
                    except Exception as error:
                        fail(f"ReadOnlyError or StorageFullError from {what}", repr(error))
                    else:
                        # A place that is full may still take what makes room.
                        if kind in ("add_message", "add_messages", "set", "update", "import_data"):
                            fail(f"ReadOnlyError or StorageFullError from {what}", "no error")
                    same(await _state(before[kind]), wanted, f"what is read after {what}")
            for kind, session in before.items():
                await session.add_message("user", "new")
                same((await session.get_messages(1))[0].content, "new", f"a write, {kind} once refused, afterwards")

    @check(84, cause="the server's settings are never looked at")
    async def test_084_unsafe_settings_are_reported(self, scene: AsyncScene) -> None:
        """Settings of the server that risk what was acknowledged show in `durability()`, or in a warning."""
        safe = await scene.store.durability()
        for name, block in need(scene.place, "unsafe").items():
            records: list[logging.LogRecord] = []
            listener = Listener(records)
            logging.getLogger().addHandler(listener)
            try:
                with block(), warnings.catch_warnings(record=True) as warned:
                    warnings.simplefilter("always")
                    store = await scene.open()
                    await store.session("s").add_message("user", "x")
                    seen = await store.durability()
            finally:
                logging.getLogger().removeHandler(listener)
            told = [record for record in records if record.levelno >= logging.WARNING]
            require(
                warned or told or seen != safe,
                f"a warning, or less than {safe!r} from durability(), where {name}",
                seen,
            )

    @check(85, cause="the retry is a new write, or there is none, or the event follows the attempt", seconds=120)
    async def test_085_a_lost_reply_is_retried(self, scene: AsyncScene) -> None:
        """A write whose reply was lost after it was applied is retried by the library, lands once and fires once."""
        with _wire(scene.place) as (proxy, place):
            store = await scene.open_at(place)
            for times in range(1, scene.pick(2, 4, 6)):
                for name, (_, write, after) in EFFECTS.items():
                    session = store.session(f"{name} {times}")
                    await _fill(scene.session(f"{name} {times}"))
                    await session.count()
                    heard = hear_all(session)
                    cut = proxy.add(Fault.CUT_AFTER, times=times)
                    result = await write(session)
                    proxy.remove(cut)
                    what = f"{name} whose reply was lost {cut.hits} times"
                    require(cut.hits, f"the reply of {name} to be lost once at least", "it sent no request")
                    same(await _state(scene.session(f"{name} {times}")), after, f"the session after {what}")
                    same(len(heard), 2 if name in ("add_messages", "update") else 1, f"the number of events of {what}")
                    if name == "pop_message":
                        same(result and result["content"], "old", f"the message that was returned by {what}")

    @check(86, cause="the error does not carry the op_id, or a lost reply is taken for a failure", seconds=120)
    async def test_086_without_retries_a_lost_reply_is_unknown(self, scene: AsyncScene) -> None:
        """With retries off a lost reply raises `OutcomeUnknownError`; a repeat under its op_id lands once."""
        options = _without_retries(scene.place)
        with _wire(scene.place) as (proxy, place):
            store = await scene.open_at(place, **options)
            unknown = 0
            for name, write in WRITES.items():
                control, session, direct = store.session(f"{name}, control"), store.session(name), scene.session(name)
                for handle in (control, session):
                    await _fill(handle)
                before = await _state(direct)
                none: Any = None
                await write(control, none)
                after = await _state(control)
                cut = proxy.add(Fault.CUT_AFTER)
                op_id = None
                try:
                    await write(session, none)
                except OutcomeUnknownError as error:
                    op_id = error.op_id
                    unknown += 1
                    require(op_id, f"the op_id in the OutcomeUnknownError of {name}", repr(error))
                except BackendUnavailableError:
                    same(await _state(direct), before, f"the session after {name} raised BackendUnavailableError")
                proxy.remove(cut)
                if cut.hits and op_id is None and after != before and await _state(direct) == before:
                    continue
                if op_id is not None:
                    await write(session, op_id)
                same(await _state(direct), after, f"the session after repeating {name} by its op_id")
            require(
                unknown >= len(WRITES) // 2,
                "OutcomeUnknownError from writes whose replies are lost",
                f"{unknown} of {len(WRITES)}",
            )

    @check(89, cause="the driver's own retries are on for writes", seconds=120)
    async def test_089_the_driver_sends_a_write_once(self, scene: AsyncScene) -> None:
        """With retries off, a write whose reply is lost is sent once; others may write before it is repeated."""
        options = _without_retries(scene.place)
        visible = False
        with _wire(scene.place) as (proxy, place):
            store = await scene.open_at(place, **options)
            for number, (name, write) in enumerate(WRITES.items()):
                session, direct, op_id = store.session(name), scene.session(name), f"marked-op-{number}-x"
                await _fill(session)
                await direct.add_message("user", "newest")
                filled = await _state(session)
                cut = proxy.add(Fault.CUT_AFTER, when=partial(_holds, op_id), times=None)
                lost = False
                try:
                    await write(session, op_id)
                except (OutcomeUnknownError, BackendUnavailableError) as error:
                    visible, lost = True, isinstance(error, OutcomeUnknownError)
                    same(cut.seen, 1, f"how often {name} was sent, with retries off and its reply lost")
                proxy.remove(cut)
                # Where it was lost before it was applied, the repeat is the first to be.
                lost = lost and await _state(direct) != filled
                await direct.add_message("user", "others")
                await direct.set("k", "others")
                between = await _state(direct)
                first = await write(session, op_id)
                if lost:
                    same(await _state(direct), between, f"the session, in which others wrote, after repeating {name}")
                if name == "pop_message" and lost:
                    again = await write(scene.session(name), op_id)
                    require(
                        first is not None and first["content"] == "newest", "the message that was popped first", first
                    )
                    same(envelope(again), envelope(first), "the message of the pop, repeated by another store")
        if not visible:
            leave_out("an op_id cannot be seen on the wire")

    @check(90, cause="every error of a connection is taken for a lost reply")
    async def test_090_a_refused_connection_is_unavailable(self, scene: AsyncScene) -> None:
        """Where nothing listens, calls raise `BackendUnavailableError`, never `OutcomeUnknownError`; and recover."""
        options = _without_retries(scene.place)
        with _wire(scene.place) as (proxy, place):
            proxy.refuse()
            calls: list[tuple[str, Callable[[AsyncSession], Awaitable[object]]]] = [
                *[(name, write) for name, (_, write, _) in EFFECTS.items()],
                ("get_messages", lambda s: s.get_messages()),
                ("count", lambda s: s.count()),
            ]
            store = await scene.open_at(place, **options)
            for name, call in calls:
                began = time.monotonic()
                with refuses(BackendUnavailableError, f"{name} where the connection is refused"):
                    await call(store.session("s"))
                require(time.monotonic() - began < 45, "the error within its time-out", "more than 45 s")
            proxy.accept()
            await store.session("s").add_message("user", "x")
            same(await scene.session().count(), 1, "count() after the server is there again")

    @check(93, cause="verify is off, the host name is not compared, or plain text is the fall-back")
    async def test_093_impostors_are_refused(self, scene: AsyncScene) -> None:
        """A bad certificate, another host's name or a server without TLS raises, and nothing is sent to it."""
        for name, make in need(scene.place, "impostors").items():
            place = make()
            options: dict[str, object] = {"retry_timeout": 0} if "retry_timeout" in place.options else {}
            with refuses(BackendError, f"a write where the server has {name}"):
                store = await open_on(place, **options)
                try:
                    await store.session("s").add_message("user", "x")
                finally:
                    await store.close()
        same(await scene.session().count(), 0, "count() after writes to impostors")

    @check(98, cause="no time-out for waiting on the pool, or its time-out leaks as the driver's error")
    async def test_098_an_exhausted_pool_says_so(self, scene: AsyncScene) -> None:
        """Callers that get no connection in time raise `PoolTimeoutError`, and none is lost: it works afterwards."""
        few = need(scene.place, "few")
        with _wire(scene.place) as (proxy, place):
            store = await scene.open_at(place, **few)
            session = store.session("s")
            await session.count()
            for _ in range(scene.pick(1, 3, 20)):
                for number in range(20):
                    with accepts("one call after another, where they share a connection,"):
                        await session.count()
                    for _ in range(number % 5):
                        await sleep(0)
                slow = proxy.add(Fault.DELAY, seconds=4)

                async def count(wait: float) -> object:
                    await sleep(wait)
                    began = time.monotonic()
                    try:
                        return await session.count()
                    except Exception as error:
                        took = time.monotonic() - began
                        require(took < 3, "an error in under a second, as the pool was told", f"{took:.1f} s")
                        return error

                results = await together([partial(count, wait) for wait in (0, 0.3, 0.3, 0.3)])
                proxy.remove(slow)
                errors = [result for result in results if isinstance(result, Exception)]
                require(errors, "PoolTimeoutError where four calls share a connection that is slow", "no error")
                other = [error for error in errors if not isinstance(error, PoolTimeoutError)]
                require(not other, "PoolTimeoutError from callers that got no connection", other)
                same(await session.count(), 0, "count() once the connection is free again")
