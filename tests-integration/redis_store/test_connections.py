"""Connections: how many, whose, what happens when they break, and what no error ever shows."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
import redis.asyncio.sentinel

from openstackai_sessions_core import (
    BackendError,
    BackendUnavailableError,
    OutcomeUnknownError,
    PoolTimeoutError,
    ReadOnlyError,
    SessionClosedError,
    SessionError,
    SessionEvent,
    StorageFullError,
    ValidationError,
)
from openstackai_sessions_redis import AsyncRedisSession, AsyncRedisStore, RedisSession, RedisStore
from redis_store.conftest import RedisPlace, on_every_server
from servers.redis import Server, free_port
from servers.shown import everything_shown

CANARY = "c4n4ry-p@ss/w:rd%20"


def connected(server: Server) -> int:
    """How many clients the server has, besides the one that asks."""
    with server.client() as client:
        return len([one for one in client.client_list() if one["cmd"] != "client|list"])


def eventually(holds: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def variables_shown(error: BaseException) -> str:
    """What tools show that print the variables of every frame; but not of this file, whose own hold the password."""
    shown: list[str] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None:
            frames = traceback.TracebackException.from_exception(one, capture_locals=True).stack
            shown += [repr(frame.locals) for frame in frames if frame.filename != __file__]
            waiting += [one.__cause__, one.__context__]
    return "\n".join(shown)


# -- How many ---------------------------------------------------------------------------------------------------------


def test_ten_thousand_handles_hold_a_handful_of_connections(server: Server) -> None:
    handles = [RedisSession(port=server.port, pool_timeout=60, session_id=f"s{number}") for number in range(10_000)]
    assert connected(server) == 0, "a handle opens nothing"
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda handle: handle.add_message("user", "x"), handles))
    assert 1 <= connected(server) <= 12
    assert len({id(handle.store) for handle in handles}) == 1
    handles[0].store.close()


async def test_ten_thousand_async_handles_hold_a_handful_of_connections(server: Server) -> None:
    handles = [
        AsyncRedisSession(port=server.port, pool_timeout=60, session_id=f"s{number}") for number in range(10_000)
    ]
    assert connected(server) == 0, "a handle opens nothing"
    await asyncio.gather(*(handle.add_message("user", "x") for handle in handles))
    assert 1 <= connected(server) <= 12


def test_a_handle_costs_microseconds() -> None:
    begun = time.perf_counter()
    for number in range(1_000):
        RedisSession(session_id=f"s{number}")
    assert time.perf_counter() - begun < 0.1


def test_of_idle_shared_stores_the_least_recently_used_close_their_connections(server: Server) -> None:
    handles = [RedisSession(port=server.port, session_id="s", prefix=f"p{number}") for number in range(30)]
    for handle in handles:
        handle.add_message("user", "x")
    assert connected(server) == 16
    assert [handle.count() for handle in handles] == [1] * 30, "they open again"
    assert connected(server) == 16


async def test_of_idle_shared_async_stores_the_least_recently_used_close_their_connections(server: Server) -> None:
    handles = [AsyncRedisSession(port=server.port, session_id="s", prefix=f"p{number}") for number in range(30)]
    for handle in handles:
        await handle.add_message("user", "x")
    await asyncio.sleep(0.1)
    assert connected(server) == 16
    assert [await handle.count() for handle in handles] == [1] * 30, "they open again"


def test_a_thousand_openings_and_closings_leave_nothing(server: Server) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = threads = 0
    for number in range(1_010):
        with RedisStore(port=server.port) as store:
            store.session("s").set("k", number)
        if number == 9:
            before, threads = descriptors(), threading.active_count()
    assert descriptors() <= before + 1
    assert threading.active_count() == threads
    eventually(lambda: connected(server) == 0)


async def test_closing_an_async_store_closes_its_connections(server: Server) -> None:
    before = len(asyncio.all_tasks())
    for _ in range(100):
        async with AsyncRedisStore(port=server.port) as store:
            await asyncio.gather(*(store.session("s").set(f"k{n}", n) for n in range(5)))
        with pytest.raises(SessionClosedError):
            await store.session("s").count()
        await store.close()
    assert connected(server) == 0
    assert len(asyncio.all_tasks()) == before


def test_closing_the_store_that_handles_share_closes_it_for_none_of_them(server: Server) -> None:
    one, other = (RedisSession(port=server.port, session_id=id) for id in ("one", "other"))
    one.add_message("user", "x")
    shared: Any = one.store
    shared.close()
    assert connected(server) == 0
    assert other.add_message("user", "x").position == 1
    with shared as store:
        assert store.session("one").count() == 1
    assert connected(server) == 0
    assert RedisSession(port=server.port, session_id="one").count() == 1


async def test_closing_the_async_store_that_handles_share_closes_it_for_none_of_them(server: Server) -> None:
    one, other = (AsyncRedisSession(port=server.port, session_id=id) for id in ("one", "other"))
    await one.add_message("user", "x")
    shared: Any = one.store
    await shared.close()
    assert connected(server) == 0
    under_way = [asyncio.ensure_future(other.add_message("user", n)) for n in range(100)]
    for _ in range(20):
        await asyncio.sleep(0)
        await shared.close()
    assert sorted([(await message).position for message in under_way]) == list(range(1, 101))
    async with shared as store:
        assert await store.session("one").count() == 1
    assert connected(server) == 0
    assert await AsyncRedisSession(port=server.port, session_id="one").count() == 1


# -- Pools ------------------------------------------------------------------------------------------------------------


def test_a_pool_that_is_exhausted_says_so_in_time_and_recovers(server: Server) -> None:
    with RedisStore(port=server.port, max_connections=2, pool_timeout=0.2) as store, ThreadPoolExecutor(6) as pool:
        session = store.session("s")
        session.add_message("user", "x")
        with server.client() as client:
            client.client_pause(1_000)
            begun = time.monotonic()
            working = [pool.submit(session.count) for _ in range(6)]
            failed = [one.exception() for one in working]
            assert len([one for one in failed if isinstance(one, PoolTimeoutError)]) == 4
            assert [one.result() for one in working if one.exception() is None] == [1, 1]
            assert time.monotonic() - begun < 5
        assert session.count() == 1


async def test_an_async_pool_that_is_exhausted_says_so_in_time_and_recovers(server: Server) -> None:
    async with AsyncRedisStore(port=server.port, max_connections=2, pool_timeout=0.2) as store:
        session = store.session("s")
        await session.add_message("user", "x")
        with server.client() as client:
            client.client_pause(1_000)
            calls = []
            for _ in range(6):
                # Each begins alone, so that no two travel together.
                calls.append(asyncio.ensure_future(session.count()))
                await asyncio.sleep(0.01)
            done = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(one) for one in done] == [int] * 2 + [PoolTimeoutError] * 4
        assert await session.count() == 1


async def test_an_async_call_that_comes_as_the_last_connection_is_given_back_is_taken(server: Server) -> None:
    async with AsyncRedisStore(port=server.port, max_connections=1, pool_timeout=5, retry_timeout=0) as store:
        session = store.session("s")
        begun = time.monotonic()
        for number in range(100):
            await session.count()
            for _ in range(number % 5):
                await asyncio.sleep(0)
        assert time.monotonic() - begun < 4


@pytest.mark.parametrize("most", [1, 10])
@pytest.mark.parametrize("steps", [0, 1, 2])
def test_what_is_written_while_the_loop_is_shut_down_is_taken(server: Server, most: int, steps: int) -> None:
    async def main() -> None:
        store = AsyncRedisStore(port=server.port, max_connections=most, retry_timeout=0)
        await store.session("s").clear()

        async def work() -> None:
            try:
                for _ in range(steps):
                    await asyncio.sleep(0)
                while True:
                    await store.session("s").count()
            finally:
                await asyncio.wait_for(store.session("s").add_message("user", "bye"), 5)

        tasks.extend(asyncio.create_task(work()) for _ in range(2))
        await asyncio.sleep(0)

    tasks: list[asyncio.Task[None]] = []
    begun = time.monotonic()
    asyncio.run(main())
    assert all(task.cancelled() for task in tasks), "none of them has failed"
    assert time.monotonic() - begun < 4
    with RedisStore(port=server.port) as store:
        assert store.session("s").count() == 2


@pytest.mark.parametrize("pool_class", [redis.ConnectionPool, redis.BlockingConnectionPool])
def test_a_full_pool_of_the_callers_is_waited_for(server: Server, pool_class: Any) -> None:
    client = redis.Redis(connection_pool=pool_class(port=server.port, max_connections=1))
    store = RedisStore(client=client, pool_timeout=0.3)
    pool: Any = client.connection_pool
    taken = pool.get_connection()
    begun = time.monotonic()
    with pytest.raises(PoolTimeoutError):
        store.session("s").count()
    assert time.monotonic() - begun < 5
    threading.Timer(0.1, pool.release, [taken]).start()
    assert store.session("s").count() == 0
    store.close()
    assert client.ping(), "a client that was handed in stays open"
    client.close()


@pytest.mark.parametrize("pool_class", [redis.asyncio.ConnectionPool, redis.asyncio.BlockingConnectionPool])
async def test_a_full_async_pool_of_the_callers_is_waited_for(server: Server, pool_class: Any) -> None:
    client = redis.asyncio.Redis(connection_pool=pool_class(port=server.port, max_connections=1))
    store = AsyncRedisStore(client=client, pool_timeout=0.3, connect_timeout=0.3)
    pool: Any = client.connection_pool
    taken = await pool.get_connection()
    with pytest.raises(PoolTimeoutError):
        await store.session("s").count()
    call = asyncio.ensure_future(store.session("s").count())
    await asyncio.sleep(0.1)
    await client.connection_pool.release(taken)
    assert await call == 0
    await store.close()
    assert await client.ping(), "a client that was handed in stays open"
    await client.connection_pool.disconnect()


# -- Clients of the caller's -----------------------------------------------------------------------------------------

CLIENTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "decoding": {"decode_responses": True},
    "latin-1": {"decode_responses": True, "encoding": "latin-1"},
    "RESP2": {"protocol": 2},
    "RESP3": {"protocol": 3, "decode_responses": True},
    "no time-outs": {"socket_timeout": None, "socket_connect_timeout": None},
}


@pytest.mark.parametrize("options", CLIENTS.values(), ids=CLIENTS)
def test_any_client_will_do(place: RedisPlace, options: dict[str, Any]) -> None:
    kind = redis.RedisCluster if place.cluster else redis.Redis
    client: Any = kind.from_url(place.url, **options)
    with RedisStore(client=client, prefix=place.prefix) as store:
        session = store.session("né", ttl=100)
        message = session.add_message("user", "höllo \ud800 🎉", id="ü")
        session.set("ключ", ["ß", "\ud800"])
        assert session.get_messages() == [message]
        assert session.metadata() == {"ключ": ["ß", "\ud800"]}
        assert [info.id for info in store.list_sessions()] == ["né"]
        session.import_data(session.export())
        assert session.pop_message() == message
    assert client.ping(), "a client that was handed in stays open"
    handles = [RedisSession(client=client, prefix=place.prefix, session_id="né") for _ in range(3)]
    assert len({id(handle.store) for handle in handles}) == 1
    assert handles[0].metadata() == {"ключ": ["ß", "\ud800"]}
    if place.cluster:
        client.disconnect_connection_pools()  # close() leaves those that from_url() made
    client.close()


@pytest.mark.parametrize("options", CLIENTS.values(), ids=CLIENTS)
async def test_any_async_client_will_do(place: RedisPlace, options: dict[str, Any]) -> None:
    kind = redis.asyncio.RedisCluster if place.cluster else redis.asyncio.Redis
    client = kind.from_url(place.url, **options)
    async with AsyncRedisStore(client=client, prefix=place.prefix) as store:
        session = store.session("né", ttl=100)
        message = await session.add_message("user", "höllo \ud800 🎉", id="ü")
        await session.set("ключ", ["ß", "\ud800"])
        assert await session.get_messages() == [message]
        assert await session.metadata() == {"ключ": ["ß", "\ud800"]}
        assert [info.id for info in await store.list_sessions()] == ["né"]
        await session.import_data(await session.export())
        assert await session.pop_message() == message
    assert await client.ping(), "a client that was handed in stays open"
    await client.aclose()


def test_a_client_of_the_wrong_side_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"redis\.Redis"):
        RedisStore(client=redis.asyncio.Redis())  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match=r"redis\.asyncio"):
        AsyncRedisSession(client=redis.Redis(), session_id="s")  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="client is connected already"):
        RedisStore(client=redis.Redis(), host="other")


# -- Broken connections ----------------------------------------------------------------------------------------------


def test_a_refused_connection_is_unavailable_never_unknown() -> None:
    session = RedisStore(port=free_port(), retry_timeout=0.3).session("s")
    for call in (session.get_messages, session.clear, lambda: session.add_message("user", "x")):
        begun = time.monotonic()
        with pytest.raises(BackendUnavailableError, match="cannot be reached"):
            call()
        assert 0.1 < time.monotonic() - begun < 2, "it is tried again for as long as retry_timeout says"


async def test_a_refused_connection_is_unavailable_never_unknown_async() -> None:
    async with AsyncRedisStore(port=free_port(), retry_timeout=0.3) as store:
        session = store.session("s")
        for call in (session.get_messages, session.clear, lambda: session.add_message("user", "x")):
            with pytest.raises(BackendUnavailableError, match="cannot be reached"):
                await call()


@pytest.mark.parametrize("host", ["a" * 64, "a..b"])
def test_a_host_that_no_resolver_takes_is_unavailable(host: str) -> None:
    with pytest.raises(BackendUnavailableError, match="cannot be reached"):
        RedisStore(host, retry_timeout=0).session("s").add_message("user", "x")


class NoCredentials(redis.CredentialProvider):
    def get_credentials(self) -> tuple[str]:
        raise LookupError("no token")


def test_a_failing_credential_provider_is_unavailable(server: Server) -> None:
    with redis.Redis(port=server.port, credential_provider=NoCredentials()) as client:
        with pytest.raises(BackendUnavailableError, match="no token"):
            RedisStore(client=client, retry_timeout=0).session("s").add_message("user", "x")


async def test_a_failing_credential_provider_is_unavailable_async(server: Server) -> None:
    async with redis.asyncio.Redis(port=server.port, credential_provider=NoCredentials()) as client:
        with pytest.raises(BackendUnavailableError, match="no token"):
            await AsyncRedisStore(client=client, retry_timeout=0).session("s").add_message("user", "x")


class Front:
    """A server behind another one that changes every reply to a script, or stops in its midst."""

    def __init__(self, server: Server, reply: bytes | None) -> None:
        self.server = server
        self.reply = reply

    def __enter__(self) -> int:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.open: list[socket.socket] = [self.listener]
        threading.Thread(target=self._accept, daemon=True).start()
        port: int = self.listener.getsockname()[1]
        return port

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                pair = self.listener.accept()[0], socket.create_connection(("127.0.0.1", self.server.port))
                self.open += pair
                threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, client: socket.socket, behind: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while sent := client.recv(65536):
                behind.sendall(sent)
                reply = behind.recv(65536)
                if b"EVAL" in sent and b"}:permissions" not in sent:
                    reply = reply[:1] if self.reply is None else self.reply * max(1, sent.count(b"EVALSHA"))
                client.sendall(reply)

    def __exit__(self, *_: object) -> None:
        for one in self.open:
            one.close()


@pytest.mark.parametrize("garbage", [b":x\r\n", b"$x\r\n", b"*x\r\n"])
async def test_what_is_no_reply_is_a_broken_connection(server: Server, garbage: bytes) -> None:
    with Front(server, garbage) as port:
        session = RedisStore(port=port, retry_timeout=0).session("s")
        with pytest.raises(BackendUnavailableError):
            session.count()
        with pytest.raises(OutcomeUnknownError):
            session.add_message("user", "x")
        async with AsyncRedisStore(port=port, retry_timeout=0) as store:
            with pytest.raises(BackendUnavailableError):
                await store.session("s").count()
            with pytest.raises(OutcomeUnknownError):
                await store.session("s").add_message("user", "x")


@pytest.mark.parametrize(
    "answer", [b":5\r\n", b"$-1\r\n", b"*0\r\n", b"$3\r\nabc\r\n", b"$4\r\n!idx\r\n", b"$0\r\n\r\n", b"*1\r\n*0\r\n"]
)
async def test_an_answer_that_no_script_gives_is_an_error_of_ours(server: Server, answer: bytes) -> None:
    RedisStore(port=server.port).session("s").add_message("user", "x")
    RedisStore(port=server.port).session("s").get_messages()
    written = {"add_message", "pop_message", "clear", "set", "import_data", "delete"}
    document = RedisStore(port=server.port).session("s").export()
    arguments: dict[str, tuple[Any, ...]] = {"add_message": ("user", "x"), "set": ("k", 1), "import_data": (document,)}
    names = [*sorted(written), "get_messages", "export", "count", "metadata", "purge_expired", "list_sessions"]
    with Front(server, answer) as port:
        async with AsyncRedisStore(port=port, retry_timeout=0, timeout=2) as async_store:
            store = RedisStore(port=port, retry_timeout=0, timeout=2)
            for name in names:
                of_store = name in ("purge_expired", "list_sessions")
                outcomes: list[object] = []
                try:
                    outcomes.append(getattr(store if of_store else store.session("s"), name)(*arguments.get(name, ())))
                except SessionError as error:
                    outcomes.append(error)
                place = async_store if of_store else async_store.session("s")
                try:
                    outcomes.append(await getattr(place, name)(*arguments.get(name, ())))
                except SessionError as error:
                    outcomes.append(error)
                # Of the readings, some are the answer for a session that is not there, or is of a newer layout.
                for outcome in outcomes if name in written else ():
                    assert isinstance(outcome, OutcomeUnknownError), (name, outcome)
                    assert "cannot be of Redis" in str(outcome)
            store.close()


def test_a_reply_that_stops_in_its_midst_is_not_waited_for_for_ever(server: Server) -> None:
    with Front(server, None) as port, redis.Redis(port=port, socket_timeout=None) as client:
        outcomes: list[str] = []

        def call() -> None:
            try:
                RedisStore(client=client, timeout=0.3, retry_timeout=0).session("s").count()
            except SessionError as error:
                outcomes.append(type(error).__name__)

        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        thread.join(5)
        assert outcomes == ["BackendUnavailableError"]
    with redis.Redis(port=server.port, socket_timeout=None) as client:
        RedisStore(client=client, timeout=0.3).session("s").count()
        assert client.blpop(["nothing"], timeout=1) is None, "the caller's own commands wait as before"


def test_opening_a_connection_takes_no_longer_than_it_may() -> None:
    with BlackHole() as port:
        session = RedisStore(port=port, connect_timeout=0.3, timeout=20, retry_timeout=0).session("s")
        begun = time.monotonic()
        with pytest.raises(BackendUnavailableError, match="cannot be reached"):
            session.add_message("user", "x")
        assert time.monotonic() - begun < 5


def test_an_open_connection_waits_as_long_as_an_exchange_may_take(server: Server) -> None:
    session = RedisStore(port=server.port, connect_timeout=0.3, timeout=20, retry_timeout=0).session("s")
    session.add_message("user", "x")
    with server.client() as client:
        client.client_pause(800)
        session.add_message("user", "y")
    assert session.count() == 2


class Refusal(Front):
    """A server that, once `armed`, answers the first script of what it is sent with an error, and does the others."""

    armed = False

    def _carry(self, client: socket.socket, behind: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while sent := client.recv(1 << 20):
                if self.armed and b"EVALSHA" in sent:
                    self.armed = False
                    client.sendall(self.reply or b"")
                    _, _, sent = sent[1:].partition(b"\r\n*")
                    sent = sent and b"*" + sent
                if sent:
                    behind.sendall(sent)
                    client.sendall(behind.recv(1 << 20))


async def test_a_call_that_is_refused_in_a_batch_leaves_the_others_their_own_answers(server: Server) -> None:
    front = Refusal(server, b"-LOADING the data\r\n")
    with front as port:
        store = AsyncRedisStore(port=port, max_connections=1, retry_timeout=0)
        await store.session("s").add_message("user", "x")
        front.armed = True
        calls = [store.session("s").add_message("user", n) for n in range(4)]
        done = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(done[0], BackendUnavailableError)
        assert [one.content for one in done[1:] if not isinstance(one, BaseException)] == [1, 2, 3]
        assert await store.session("s").count() == 4
        await store.close()


async def test_an_answer_by_which_the_driver_leaves_a_server_is_no_answer_to_the_calls_behind_it(
    server: Server,
) -> None:
    front = Refusal(server, b"-READONLY You can't write against a read only replica.\r\n")
    with front as port:
        sentinel: Any = redis.asyncio.sentinel.Sentinel([])  # type: ignore[no-untyped-call] # by the driver

        async def discover(*_: object, **__: object) -> tuple[str, int]:
            return "127.0.0.1", port

        sentinel.discover_master = discover
        client: Any = sentinel.master_for("name")
        async with AsyncRedisStore(client=client, max_connections=1, retry_timeout=0) as store:
            await store.session("s").add_message("user", "x")
            front.armed = True
            calls = [store.session("s").add_message("user", n) for n in range(4)]
            done = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(one) for one in done] == [BackendUnavailableError] + [OutcomeUnknownError] * 3
            assert await store.session("s").count() == 4
        await client.aclose()


async def test_purging_is_tried_again_when_its_reply_is_lost(server: Server) -> None:
    RedisStore(port=server.port).purge_expired()  # so that the server knows the script
    for number in range(3):
        RedisStore(port=server.port).session(f"s{number}", ttl=0.05).set("k", 1)
    await asyncio.sleep(0.1)
    cutter = Cutter(server.port, every=1)
    try:
        with pytest.raises(BackendUnavailableError):
            RedisStore(port=cutter.port, retry_timeout=0.2).purge_expired()
        with pytest.raises(BackendUnavailableError):
            await AsyncRedisStore(port=cutter.port, retry_timeout=0.2).purge_expired()
    finally:
        cutter.close()
    assert RedisStore(port=server.port).purge_expired() == 0, "the first attempt did it"


class BlackHole:
    """A server that takes everything and never answers."""

    def __enter__(self) -> int:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.taken: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()
        port: int = self.listener.getsockname()[1]
        return port

    def _accept(self) -> None:
        try:
            while True:
                self.taken.append(self.listener.accept()[0])
        except OSError:
            pass

    def __exit__(self, *_: object) -> None:
        self.listener.close()
        for one in self.taken:
            one.close()


def test_no_call_waits_for_ever(server: Server) -> None:
    with BlackHole() as port:
        session = RedisStore(port=port, connect_timeout=0.3, timeout=0.3, retry_timeout=0).session("s")
        begun = time.monotonic()
        with pytest.raises(BackendUnavailableError):
            session.get_messages()
        with pytest.raises((OutcomeUnknownError, BackendUnavailableError)):
            session.add_message("user", "x")
        assert time.monotonic() - begun < 2
    # A server that stops in the midst.
    patient = redis.Redis(port=server.port, socket_timeout=None)
    places: list[dict[str, Any]] = [{"port": server.port}, {"client": patient}]
    for number, arguments in enumerate(places):
        session = RedisStore(**arguments, timeout=0.3, retry_timeout=0).session(f"s{number}")
        session.add_message("user", "x")
        with server.client() as client:
            client.client_pause(3_000)  # much longer than two calls wait
            with pytest.raises(OutcomeUnknownError) as caught:
                session.add_message("user", "y", op_id="again")
            assert caught.value.op_id == "again"
            if "client" not in arguments:
                with pytest.raises(BackendUnavailableError):
                    session.get_messages()
        time.sleep(3)
        session.add_message("user", "y", op_id="again")
        assert [message.content for message in session.get_messages()] == ["x", "y"]
    patient.close()


async def test_no_async_call_waits_for_ever(server: Server) -> None:
    with BlackHole() as port:
        store = AsyncRedisStore(port=port, connect_timeout=0.3, timeout=0.3, retry_timeout=0)
        with pytest.raises((BackendUnavailableError, OutcomeUnknownError)):
            await store.session("s").get_messages()
        with pytest.raises((BackendUnavailableError, OutcomeUnknownError)):
            await store.session("s").add_message("user", "x")
        await store.close()
    async with AsyncRedisStore(port=server.port, timeout=0.3, connect_timeout=0.3, retry_timeout=0) as store:
        session = store.session("s")
        await session.add_message("user", "x")
        with server.client() as client:
            client.client_pause(3_000)  # much longer than two calls wait
            with pytest.raises(OutcomeUnknownError) as caught:
                await session.add_message("user", "y", op_id="again")
            assert caught.value.op_id == "again"
            with pytest.raises(BackendUnavailableError):
                await session.get_messages()
        await asyncio.sleep(3)
        await session.add_message("user", "y", op_id="again")
        assert [message.content for message in await session.get_messages()] == ["x", "y"]


def test_connections_that_the_server_closed_are_replaced_unnoticed(server: Server) -> None:
    session = RedisStore(port=server.port, retry_timeout=0).session("s")
    session.add_message("user", "x")
    for _ in range(3):
        with server.client() as client:
            client.client_kill_filter(_type="normal", skipme=True)
        time.sleep(0.05)
        session.add_message("user", "x")
        assert session.count() > 1
        with server.client() as client:
            client.script_flush()
        session.add_message("user", "x")
    assert session.count() == 7


async def test_connections_that_the_server_closed_are_replaced_unnoticed_async(server: Server) -> None:
    async with AsyncRedisStore(port=server.port, retry_timeout=0) as store:
        session = store.session("s")
        await session.add_message("user", "x")
        for _ in range(3):
            with server.client() as client:
                client.client_kill_filter(_type="normal", skipme=True)
            await asyncio.sleep(0.05)
            await session.add_message("user", "x")
            with server.client() as client:
                client.script_flush()
            await asyncio.gather(*(session.add_message("user", "x") for _ in range(3)))
        assert await session.count() == 13


class Cutter:
    """A proxy that carries a command to the server and, every so often, cuts the connection before the reply."""

    def __init__(self, port: int, every: int) -> None:
        self._to, self._every, self._count = port, every, 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.cuts = 0
        self._open = True
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while self._open:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._to)) as server:
            cut = threading.Event()
            back = threading.Thread(target=self._answer, args=(server, client, cut), daemon=True)
            back.start()
            try:
                while data := client.recv(1 << 20):
                    self._count += b"EVAL" in data
                    if b"EVAL" in data and self._count % self._every == 0:
                        cut.set()
                    server.sendall(data)
            except OSError:
                pass
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            back.join()

    def _answer(self, server: socket.socket, client: socket.socket, cut: threading.Event) -> None:
        try:
            while data := server.recv(1 << 20):
                if cut.is_set():
                    self.cuts += 1
                    break
                client.sendall(data)
        except OSError:
            pass
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._open = False
        self._listener.close()


@pytest.fixture
def cutter(server: Server) -> Iterator[Cutter]:
    cutter = Cutter(server.port, every=3)
    yield cutter
    cutter.close()


def test_a_reply_that_is_cut_off_leaves_one_copy_and_one_event(cutter: Cutter) -> None:
    clients: list[dict[str, Any]] = [
        {"port": cutter.port},
        # Ten retries of the driver's own, as it does by default.
        {"client": redis.Redis(port=cutter.port)},
    ]
    for number, arguments in enumerate(clients):
        store = RedisStore(**arguments)
        session = store.session(f"s{number}")
        heard: list[object] = []
        for event in SessionEvent:
            session.on(event, lambda *_, event=event, heard=heard: heard.append(event))
        for n in range(60):
            session.add_message("user", n)
        assert [message.content for message in session.get_messages()] == list(range(60))
        assert heard == [SessionEvent.MESSAGE_ADDED] * 60
        popped = [session.pop_message() for _ in range(30)]
        assert [message and message.content for message in popped] == list(range(59, 29, -1))
        for n in range(20):
            session.set(f"k{n}", n)
        document = session.export()
        session.clear()
        session.import_data(document)
        session.delete()
        expected = [SessionEvent.MESSAGE_ADDED] * 60 + [SessionEvent.MESSAGE_REMOVED] * 30
        expected += [SessionEvent.METADATA_CHANGED] * 20
        expected += [SessionEvent.SESSION_CLEARED, SessionEvent.SESSION_IMPORTED, SessionEvent.SESSION_DELETED]
        assert heard == expected
        assert session.count() == 0
    assert cutter.cuts > 50


async def test_a_reply_that_is_cut_off_leaves_one_copy_and_one_event_async(cutter: Cutter) -> None:
    places: list[dict[str, Any]] = [{"port": cutter.port}, {"client": redis.asyncio.Redis(port=cutter.port)}]
    for arguments in places:
        store = AsyncRedisStore(**arguments)
        heard: list[int] = []

        async def work(worker: int, store: AsyncRedisStore = store, heard: list[int] = heard) -> None:
            session = store.session(f"s{worker}")
            session.on(SessionEvent.MESSAGE_ADDED, lambda _, heard=heard: heard.append(worker))
            for n in range(25):
                await session.add_message("user", n)
            assert [message.content for message in await session.get_messages()] == list(range(25))
            popped = [await session.pop_message() for _ in range(5)]
            assert [message and message.content for message in popped] == [24, 23, 22, 21, 20]
            await session.delete()

        await asyncio.gather(*(work(worker) for worker in range(4)))
        assert sorted(heard) == sorted(list(range(4)) * 25)
        await store.close()
        if "client" in arguments:
            await arguments["client"].aclose()
    assert cutter.cuts > 20


async def test_a_cancelled_call_is_settled_and_nobody_gets_its_answer(server: Server) -> None:
    async with AsyncRedisStore(port=server.port, max_connections=3) as store:
        sessions = [store.session(f"s{number}") for number in range(8)]
        for number, session in enumerate(sessions):
            await session.set("own", number)
        acknowledged = 0
        for round_ in range(150):
            calls: list[asyncio.Future[Any]] = []
            for session in sessions:
                calls += [
                    asyncio.ensure_future(session.get("own")),
                    asyncio.ensure_future(session.add_message("user", 1)),
                ]
            for step in range(round_ % 12):
                await asyncio.sleep(0 if step % 3 else 0.0003)
            for call in calls[round_ % 5 :: 3]:
                call.cancel()
            done = await asyncio.gather(*calls, return_exceptions=True)
            for number, (own, _) in enumerate(zip(done[::2], done[1::2], strict=True)):
                assert own == number or isinstance(own, asyncio.CancelledError)
            acknowledged += len([one for one in done[1::2] if not isinstance(one, BaseException)])
        held = sum([await session.count() for session in sessions])
        assert acknowledged <= held <= 150 * 8
        assert connected(server) <= 3


# -- Loops, forks, threads --------------------------------------------------------------------------------------------


def test_a_second_event_loop_just_works(server: Server) -> None:
    session = AsyncRedisSession(port=server.port, session_id="s")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number in range(3):
            assert asyncio.run(session.add_message("user", number))["content"] == number
            gc.collect()
            assert connected(server) == 0, "connections go with their loop"
    assert len(asyncio.run(session.get_messages())) == 3


def test_loops_in_several_threads_share_a_store(server: Server) -> None:
    session = AsyncRedisSession(port=server.port, session_id="s")

    async def work() -> None:
        for _ in range(20):
            await session.add_message("user", "x")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: asyncio.run(work()), range(4)))
    assert asyncio.run(session.count()) == 80


FORK = """
import asyncio, os, sys
from openstackai_sessions_redis import AsyncRedisSession, RedisSession
port = int(sys.argv[1])
session = RedisSession(port=port, session_id="s")
other = AsyncRedisSession(port=port, session_id="s")
session.add_message("user", "parent")
asyncio.run(other.add_message("user", "parent"))
children = []
for number in range(8):
    pid = os.fork()
    if pid == 0:
        for _ in range(20):
            session.add_message("user", f"child {number}")
        asyncio.run(other.add_message("user", "child"))
        os._exit(0 if session.count() > 0 else 1)
    children.append(pid)
    for _ in range(20):
        session.add_message("user", "parent")
for pid in children:
    assert os.waitpid(pid, 0)[1] == 0
session.add_message("user", "parent")
assert session.count() == 2 + 8 * 41 + 1, session.count()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_has_connections_of_its_own(server: Server) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORK, str(server.port)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


# -- The server's own refusals ----------------------------------------------------------------------------------------


def test_a_restarted_server_is_found_again(server: Server) -> None:
    session = RedisStore(port=server.port).session("s")
    stop = threading.Event()
    done: list[object] = []

    def work() -> None:
        while not stop.is_set():
            done.append(session.add_message("user", len(done)).position)

    thread = threading.Thread(target=work)
    thread.start()
    for _ in range(3):
        time.sleep(0.2)
        server.restart()
    time.sleep(0.5)
    stop.set()
    thread.join(30)
    assert not thread.is_alive()
    assert session.count() > 0, "what this server keeps in memory only is lost, the handle is not"


@on_every_server
def test_a_full_server_refuses_writes_and_answers_reads(server: Server) -> None:
    store = RedisStore(port=server.port)
    old, full = store.session("old", ttl=1000), store.session("full")
    old.add_message("user", "x")
    old.set("k", 1)
    before = old.export()
    with server.client() as client:
        client.config_set("maxmemory", 3_000_000)
        with pytest.raises(StorageFullError):
            for _ in range(1_000):
                full.add_message("user", "y" * 10_000)
        # A little less, so that nothing at all fits in.
        client.config_set("maxmemory", 2_500_000)
        calls: list[Callable[[], object]] = [
            lambda: old.add_message("user", "z"), lambda: old.set("k", 2), lambda: old.import_data(before),
            lambda: old.add_message("user", "z", id="z"), lambda: store.session("new").add_message("user", "z"),
            lambda: store.session("new").set("k", "z"),
        ]  # fmt: skip
        for call in calls:
            with pytest.raises(StorageFullError, match="maxmemory"):
                call()
        assert old.export() == before
        assert [info.id for info in store.list_sessions()] == ["full", "old"]
        held = full.count()
        assert full.pop_message() is not None, "what makes room is let through"
        assert full.count() == held - 1
        full.clear()
        full.delete()
        assert old.add_message("user", "z").content == "z"
        client.config_set("maxmemory", 0)


@on_every_server
@pytest.mark.parametrize("side", ["sync", "async"])
def test_a_replica_answers_reads_and_refuses_writes(server: Server, side: str) -> None:
    with server.client() as client:
        client.config_set("repl-diskless-sync-delay", 0)
    with Server(server.binary, ("--replicaof", "127.0.0.1", str(server.port))) as replica:
        session = RedisStore(port=server.port).session("s", ttl=1000)
        message = session.add_message("user", "x")
        RedisStore(port=server.port).session("gone", ttl=0.05).set("k", 1)
        eventually(lambda: RedisStore(port=replica.port).session("s").count() == 1)
        time.sleep(0.1)
        if side == "sync":
            with RedisStore(port=replica.port) as store:
                copy = store.session("s")
                for call in (copy.clear, copy.delete, lambda: copy.add_message("user", "y"), lambda: copy.set("k", 1)):
                    with pytest.raises(ReadOnlyError):
                        call()
                assert copy.get_messages() == [message]
                assert [info.id for info in store.list_sessions()] == ["s"]
        else:

            async def look() -> None:
                async with AsyncRedisStore(port=replica.port) as store:
                    copy = store.session("s")
                    with pytest.raises(ReadOnlyError):
                        await copy.add_message("user", "y")
                    assert await copy.get_messages() == [message]
                    assert [info.id for info in await store.list_sessions()] == ["s"]

            asyncio.run(look())


def test_durability_says_what_the_server_is_set_to(server: Server) -> None:
    with server.client() as client:
        store = RedisStore(port=server.port)
        with pytest.warns(UserWarning, match="set appendonly to yes"):
            assert store.durability() == "process"
        assert store.durability() == "process", "a warning is given once"
        client.config_set("appendonly", "yes")
        client.config_set("appendfsync", "everysec")
        with pytest.warns(UserWarning, match="appendfsync is everysec"):
            assert RedisStore(port=server.port).durability() == "process"
        client.config_set("appendfsync", "always")
        assert RedisStore(port=server.port).durability() == "power"
        for protocol in (2, 3):
            with redis.Redis(port=server.port, protocol=protocol) as other:
                assert RedisStore(client=other).durability() == "power"
        client.config_set("maxmemory", 10**9)
        client.config_set("maxmemory-policy", "volatile-lru")
        with pytest.warns(UserWarning, match="sessions that have a ttl"):
            assert RedisStore(port=server.port).durability() == "power"

        async def ask() -> object:
            async with AsyncRedisStore(port=server.port) as store:
                return await store.durability()

        with pytest.warns(UserWarning, match="noeviction"):
            assert asyncio.run(ask()) == "power"


# -- Users, passwords -------------------------------------------------------------------------------------------------

# As docs/backends/redis.md lists them.
PERMISSIONS = """
    +@connection +@scripting +info +time +get +set +exists +unlink +rename +persist +pexpire +pexpireat +pttl +llen
    +lindex +lrange +rpush +rpop +hget +hmget +hset +hdel +hlen +hstrlen +hgetall +zadd +zrem +zscore +zcard
    +zrangebyscore +zrangebylex
"""


@on_every_server
def test_a_user_with_the_documented_permissions_can_do_everything(server: Server) -> None:
    with server.client() as client:
        client.execute_command(
            "ACL", "SETUSER", "app", "on", f">{CANARY}", "resetkeys", "~mine:*", "-@all", *PERMISSIONS.split()
        )
        client.execute_command("CONFIG", "SET", "requirepass", "admin")
    with RedisStore(port=server.port, username="app", password=CANARY, prefix="mine") as store:
        session = store.session("s", ttl=100)
        messages = session.add_messages([{"n": number} for number in range(3)], ids=["a", None, None])
        session.add_messages([dict(messages[2])], ids=[messages[2].id])
        session.set("k", 1)
        session.remove("k")
        session.pop_message()
        session.import_data(session.export())
        session.import_data(session.export(), mode="append")
        assert len(list(session.iter_messages())) == 2
        assert session.get_messages(1, before=messages[1].position + 10) == [{"n": 1}]
        assert [info.id for info in store.list_sessions()] == ["s"]
        with pytest.warns(UserWarning, match="appendonly"):
            assert store.durability() == "process"
        session.clear()
        session.delete()
        assert store.purge_expired() == 0
    with RedisStore(port=server.port, username="app", password=CANARY, prefix="other") as store:
        with pytest.raises(BackendError, match="permit"):
            store.session("s").add_message("user", "x")
        with pytest.raises(BackendError, match="permit"):
            store.session("s").get_messages()


@on_every_server
@pytest.mark.parametrize("missing", ["set", "zadd", "hset", "rpop", "rename", "pexpireat", "unlink", "pttl"])
async def test_a_write_that_is_not_permitted_in_full_leaves_nothing_behind(server: Server, missing: str) -> None:
    with server.client() as client:
        RedisStore(port=server.port).session("old").add_message("user", "x", id="mine")
        before = {key: client.dump(key) for key in client.scan_iter()}
        client.execute_command("ACL", "SETUSER", "app", "on", f">{CANARY}", "~*", "+@all", f"-{missing}")
        arguments: dict[str, Any] = {"port": server.port, "username": "app", "password": CANARY}
        refused = RedisStore(**arguments).session("new")
        with pytest.raises(BackendError):
            refused.add_message("user", "y")
        for name in ("old", "new"):
            session = RedisStore(**arguments).session(name)
            document: dict[str, Any] = session.export()
            document["messages"].append({"id": "other", "created_at": "2026-01-01T00:00:00.000000Z", "data": {"n": 1}})
            calls: list[Callable[[], object]] = [
                partial(session.add_message, "user", "y"), partial(session.set, "k", 1),
                partial(session.import_data, document), session.delete, session.clear, session.pop_message,
            ]  # fmt: skip
            for call in calls:
                with pytest.raises(BackendError, match="the docs list the permissions needed") as caught:
                    call()
                assert type(caught.value) is BackendError
                assert missing in str(caught.value).lower()
            async with AsyncRedisStore(**arguments) as store:
                with pytest.raises(BackendError, match="the docs list the permissions needed"):
                    await store.session(name).add_message("user", "y")
        assert {key: client.dump(key) for key in client.scan_iter()} == before
        client.execute_command("ACL", "SETUSER", "app", "+@all")
        assert refused.add_message("user", "y").position == 1, "what was granted meanwhile counts at once"


def test_permissions_are_looked_at_once_and_again_on_a_server_that_has_started_anew(server: Server) -> None:
    def asked() -> int:
        with server.client() as client:
            return int(client.info("commandstats")["cmdstat_persist"]["calls"])

    session = RedisStore(port=server.port).session("s")
    session.add_message("user", "x")
    before = asked()
    for number in range(20):
        session.add_message("user", number)
        RedisStore(port=server.port).session("s").count()
    assert asked() == before
    with server.client() as client:
        client.script_flush()
    session.add_message("user", "x")
    assert asked() == before + 1


@on_every_server
def test_a_password_is_shown_nowhere(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "app", "on", ">right", "~*", "+@all", "-eval", "-evalsha")
        client.execute_command("CONFIG", "SET", "requirepass", "admin")
    caplog.set_level(logging.DEBUG)
    errors: list[BaseException] = []
    shown = ""

    async def on_a_loop(**arguments: Any) -> None:
        async with AsyncRedisStore(**arguments) as store:
            nonlocal shown
            shown += repr(store)
            for call in (
                store.session("s").get_messages,
                store.session("s").clear,
                store.durability,
                store.list_sessions,
            ):
                try:
                    await call()
                except SessionError as error:
                    errors.append(error)

    quoted = "c4n4ry-p%40ss%2Fw%3Ard%2520"
    with BlackHole() as hole:
        places: list[dict[str, Any]] = [
            {"port": server.port, "password": CANARY},
            {"port": server.port, "username": "app", "password": CANARY},
            {"url": f"redis://app:{quoted}@127.0.0.1:{server.port}"},
            {"url": f"redis://app:{quoted}@nowhere.invalid"},
            {"url": f"redis://app:{quoted}@127.0.0.1:{free_port()}"},
            {"url": f"rediss://app:{quoted}@127.0.0.1:{server.port}"},
            {"port": hole, "password": CANARY},
            {"port": server.port, "password": CANARY, "cluster": True},
            {"url": f"unix://:{quoted}@/nowhere.sock"},
        ]
        for place in places:
            arguments = {**place, "retry_timeout": 0, "timeout": 0.3, "connect_timeout": 0.3}
            with RedisStore(**arguments) as store:
                shown += repr(store)
                for call in (
                    store.session("s").get_messages,
                    store.session("s").clear,
                    store.durability,
                    store.list_sessions,
                ):
                    with pytest.raises(SessionError) as caught:
                        call()
                    errors.append(caught.value)
            asyncio.run(on_a_loop(**arguments))
    assert len(errors) == 8 * len(places)
    shown += "".join(everything_shown(error) + variables_shown(error) for error in errors) + caplog.text
    # The lines of this file that a traceback quotes hold the name only.
    for form in (CANARY, quoted, "c4n4ry"):
        assert form not in shown
    assert {type(error) for error in errors} <= {BackendError, BackendUnavailableError, OutcomeUnknownError}


def test_a_password_is_shown_nowhere_when_the_pool_is_empty_or_the_server_dies(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.options = {"password": CANARY}
    with server.client(password=None) as client:
        client.config_set("requirepass", CANARY)
    errors: list[BaseException | None] = []
    arguments: dict[str, Any] = {
        "port": server.port, "password": CANARY, "retry_timeout": 0, "max_connections": 1, "pool_timeout": 0.1,
    }  # fmt: skip

    async def on_a_loop() -> None:
        async with AsyncRedisStore(**arguments) as store:
            await store.session("s").add_message("user", "x")

    with (
        warnings.catch_warnings(record=True) as warned,
        RedisStore(**arguments) as store,
        ThreadPoolExecutor(3) as pool,
    ):
        warnings.simplefilter("always")
        session = store.session("s")
        session.add_message("user", "x")
        store.durability()
        with server.client() as client:
            client.client_pause(60_000)
            working = [pool.submit(session.add_message, "user", "y") for _ in range(2)]
            time.sleep(0.3)
            server.kill()
            errors += [one.exception() for one in working]
        for call in (session.count, session.clear, lambda: asyncio.run(on_a_loop())):
            with pytest.raises(SessionError) as caught:
                call()
            errors.append(caught.value)
        for thing in (session, store):
            with pytest.raises(TypeError) as refused:
                pickle.dumps(thing)
            errors.append(refused.value)
        shown = [repr(store), repr(session), *(str(warning.message) for warning in warned)]
    assert {type(error) for error in errors} == {
        PoolTimeoutError, OutcomeUnknownError, BackendUnavailableError, TypeError,
    }  # fmt: skip
    shown += [everything_shown(error) + variables_shown(error) for error in errors if error is not None]
    shown += [f"{record.getMessage()} {record.args!r} {record.exc_info!r}" for record in caplog.records]
    assert not [text for text in shown if CANARY in text or "c4n4ry" in text]


@on_every_server
def test_wrong_credentials_are_said_at_once(server: Server) -> None:
    with server.client() as client:
        client.config_set("requirepass", "right")
    begun = time.monotonic()
    for arguments in ({}, {"password": "wrong"}, {"username": "nobody", "password": "right"}):
        with pytest.raises(BackendError) as caught:
            RedisStore(port=server.port, **arguments).session("s").count()  # type: ignore[arg-type]
        assert type(caught.value) is BackendError
    assert time.monotonic() - begun < 5
    assert RedisStore(port=server.port, password="right").session("s").count() == 0  # noqa: S106 - of this test
