"""Clusters, Sentinel, TLS, Unix sockets."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.sentinel import Sentinel

from openstackai_sessions_core import (
    BackendError,
    BackendUnavailableError,
    OutcomeUnknownError,
    Session,
    SessionError,
    open_store,
)
from openstackai_sessions_redis import AsyncRedisSession, AsyncRedisStore, RedisSession, RedisStore
from servers.redis import Cluster, Sentinels, Server, need_binary, need_tls_binary, tls_server
from servers.tls import Certificates, Front

# -- A cluster --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(need_binary()) as cluster:
        yield cluster


def test_sessions_of_a_cluster_lie_on_every_primary_and_are_listed_in_order(cluster: Cluster) -> None:
    with RedisStore(port=cluster.port, cluster=True, prefix="spread") as store:
        ids = [f"s{number:03}" for number in range(100)]
        for id in ids:
            store.session(id, ttl=100).add_message("user", id)
        assert [info.id for info in store.list_sessions()] == ids
        assert store.purge_expired() == 0
        per_node = [
            len(list(client.scan_iter("spread:*:state:*", count=1_000)))
            for client in (server.client() for server in cluster.servers[:3])
        ]
        assert sum(per_node) >= 100
        assert min(per_node) > 10, "each has its share"


async def test_sessions_of_a_cluster_async(cluster: Cluster) -> None:
    async with AsyncRedisStore(port=cluster.port, cluster=True, prefix="async") as store:
        ids = [f"s{number:03}" for number in range(100)]
        await asyncio.gather(*(store.session(id).add_message("user", id) for id in ids))
        assert [info.id for info in await store.list_sessions()] == ids
        assert [await store.session(id).count() for id in ids] == [1] * 100
        with pytest.warns(UserWarning, match="appendonly"):
            assert await store.durability() == "process"


def test_a_slot_that_moves_is_followed(cluster: Cluster) -> None:
    with RedisStore(port=cluster.port, cluster=True, prefix="moving") as store:
        session = store.session("s")
        messages = [session.add_message("user", number) for number in range(10)]
        with redis.RedisCluster(host="127.0.0.1", port=cluster.port) as client:
            key = next(iter(client.scan_iter("moving:*:state:s")))
            slot = client.keyslot(key)
            source = client.get_node_from_key(key)
            target = next(node for node in client.get_primaries() if node.name != source.name)
        at = {server.port: server for server in cluster.servers}
        with at[source.port].client() as giving, at[target.port].client() as taking:
            ids = {node: client.execute_command("CLUSTER MYID").decode() for node, client in ((0, giving), (1, taking))}
            taking.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", ids[0])
            giving.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", ids[1])
            # What is still here is answered here, and what has gone is asked for there.
            assert session.get_messages() == messages
            keys = giving.execute_command("CLUSTER GETKEYSINSLOT", slot, 100)
            for one in keys:
                giving.execute_command("MIGRATE", "127.0.0.1", target.port, one, 0, 5_000)
            assert session.get_messages() == messages
            # A write takes keys that need not exist, of which neither side can tell where they are: it waits.
            with ThreadPoolExecutor(1) as pool:
                waiting = pool.submit(session.add_message, "user", "waited")
                time.sleep(0.5)
                assert not waiting.done()
                for client in (giving, taking):
                    client.execute_command("CLUSTER SETSLOT", slot, "NODE", ids[1])
                messages.append(waiting.result())
        messages += [session.add_message("user", "moved") for _ in range(3)]
        assert session.get_messages() == messages


class Load:
    """Threads that write under ids of their own until they are stopped, and what was acknowledged to them."""

    def __init__(self, sessions: list[Session]) -> None:
        self.acknowledged: dict[int, list[int]] = {number: [] for number in range(len(sessions))}
        self.errors: list[SessionError] = []
        self.slowest = 0.0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=item) for item in enumerate(sessions)]

    def _work(self, worker: int, session: Session) -> None:
        number = 0
        while not self._stop.is_set():
            begun = time.monotonic()
            try:
                session.add_message("user", number)
            except SessionError as error:
                self.errors.append(error)
            else:
                self.acknowledged[worker].append(number)
            self.slowest = max(self.slowest, time.monotonic() - begun)
            number += 1
            time.sleep(0.001)

    def __enter__(self) -> Load:  # noqa: PYI034 - typing has no Self on 3.10
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)


def lost_and_doubled(load: Load, sessions: list[Session]) -> tuple[int, int]:
    lost = doubled = 0
    for worker, session in enumerate(sessions):
        held = [message.content for message in session.get_messages()]
        lost += len(set(load.acknowledged[worker]) - set(held))
        doubled += len(held) - len(set(held))
    return lost, doubled


def test_a_fail_over_of_a_cluster_under_load(cluster: Cluster) -> None:
    with RedisStore(port=cluster.port, cluster=True, prefix="failover") as store:
        sessions = [store.session(f"s{number}") for number in range(8)]
        with Load(sessions) as load:
            time.sleep(1)
            victim = cluster.primary()
            victim.kill()
            time.sleep(6)
        assert load.errors == [], "every call waited until it was served again"
        assert load.slowest > 0.3, "the fail-over was felt"
        lost, doubled = lost_and_doubled(load, sessions)
        assert doubled == 0
        # Replication is asynchronous: what was acknowledged in the last moment may go with its server.
        assert lost <= 200
        total = sum(map(len, load.acknowledged.values()))
        assert total > 500
        victim.start()


async def test_a_fail_over_of_a_cluster_async(cluster: Cluster) -> None:
    async with AsyncRedisStore(port=cluster.port, cluster=True, prefix="failover-async") as store:
        sessions = [store.session(f"s{number}") for number in range(12)]
        acknowledged = [0] * 12
        stop = asyncio.Event()

        async def work(worker: int) -> None:
            while not stop.is_set():
                await sessions[worker].add_message("user", acknowledged[worker])
                acknowledged[worker] += 1

        tasks = [asyncio.ensure_future(work(worker)) for worker in range(12)]
        await asyncio.sleep(0.5)
        victim = await asyncio.to_thread(cluster.primary)
        await asyncio.to_thread(victim.kill)
        await asyncio.sleep(6)
        stop.set()
        await asyncio.gather(*tasks)
        for worker, session in enumerate(sessions):
            contents = [message.content for message in await session.get_messages()]
            assert len(set(contents)) == len(contents)
            assert acknowledged[worker] - len(contents) <= 50
        victim.start()


# -- Sentinel ---------------------------------------------------------------------------------------------------------


def test_a_fail_over_behind_sentinel_under_load() -> None:
    with Sentinels(need_binary()) as sentinels:
        make: Any = Sentinel
        found = make(sentinels.addresses, socket_timeout=0.5)
        client: Any = found.master_for(sentinels.name, socket_timeout=1.0)
        store = RedisStore(client=client)
        sessions: list[Session] = [store.session(f"s{number}") for number in range(6)]
        with Load(sessions) as load:
            time.sleep(1)
            sentinels.primary().kill()
            time.sleep(6)
        assert load.errors == []
        assert load.slowest > 0.3
        lost, doubled = lost_and_doubled(load, sessions)
        assert doubled == 0
        assert lost <= 200
        assert all(len(done) > 50 for done in load.acknowledged.values())

        async def on_a_loop() -> None:
            make: Any = AsyncSentinel
            managed = make(sentinels.addresses, socket_timeout=0.5)
            async_client: Any = managed.master_for(sentinels.name)
            async with AsyncRedisStore(client=async_client) as async_store:
                session = async_store.session("async")
                await asyncio.gather(*(session.add_message("user", number) for number in range(20)))
                assert await session.count() == 20
            await async_client.aclose()
            for sentinel in managed.sentinels:
                await sentinel.aclose()

        asyncio.run(on_a_loop())
        client.close()


# -- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["the server's own", "a front"])
def tls(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Certificates, int]]:
    """Certificates, and the port of a server that speaks nothing but TLS: few binaries do, so there is a front too."""
    files = Certificates(tmp_path_factory.mktemp("tls"))
    if request.param == "a front":
        with Server(need_binary()) as plain, contextlib.closing(Front(plain.port, files)) as front:
            yield files, front.port
    else:
        with tls_server(need_tls_binary(), files) as secured:
            yield files, secured.port


def test_tls_with_the_right_certificate(tls: tuple[Certificates, int]) -> None:
    files, port = tls
    with RedisStore("localhost", port, ssl=True, ssl_ca_certs=files.authority) as store:
        session = store.session("s")
        session.add_message("user", "secret")
        assert session.count() == 1
    with open_store(f"rediss://localhost:{port}/0?ssl_ca_certs={files.authority}") as opened:
        assert opened.session("s").count() == 1
    given = RedisSession(
        "localhost", port, ssl=True, ssl_ca_certs=files.authority, ssl_certfile=files.certificate,
        ssl_keyfile=files.key, session_id="s",
    )  # fmt: skip
    assert given.count() == 1
    assert (
        asyncio.run(
            AsyncRedisSession("localhost", port, ssl=True, ssl_ca_certs=files.authority, session_id="s").count()
        )
        == 1
    )


def test_tls_with_a_wrong_certificate_or_name_is_refused(tls: tuple[Certificates, int]) -> None:
    files, port = tls
    wrong: list[dict[str, Any]] = [
        {"host": "localhost", "ssl_ca_certs": files.stranger},
        {"host": "localhost"},
        {"host": "127.0.0.1", "ssl_ca_certs": files.authority},
    ]
    begun = time.monotonic()
    for arguments in wrong:
        with pytest.raises(BackendError, match=r"(?i)certificate|hostname") as caught:
            RedisStore(port=port, ssl=True, **arguments).session("s").count()
        assert type(caught.value) is BackendError, "nothing to try again"

        async def look(arguments: dict[str, Any] = arguments) -> None:
            async with AsyncRedisStore(port=port, ssl=True, **arguments) as store:
                with pytest.raises(BackendError, match=r"(?i)certificate|hostname") as caught:
                    await store.session("s").count()
                assert type(caught.value) is BackendError

        asyncio.run(look())
    assert time.monotonic() - begun < 20
    # Neither side falls back to plain text.
    with pytest.raises((BackendUnavailableError, OutcomeUnknownError)):
        RedisStore("localhost", port, retry_timeout=0, timeout=1).session("s").count()


def test_a_plain_server_is_no_tls_server(server: Server) -> None:
    with pytest.raises(BackendUnavailableError):
        RedisStore("localhost", server.port, ssl=True, retry_timeout=0, timeout=1, connect_timeout=1).session(
            "s"
        ).count()


def test_a_unix_socket(tmp_path: Path) -> None:
    path = f"/tmp/{tmp_path.name[:20]}-{time.monotonic_ns()}.sock"  # noqa: S108 - a socket's path must be short
    with Server(need_binary(), ("--unixsocket", path)):
        with RedisStore(unix_socket_path=path) as store:
            store.session("s").add_message("user", "x")
        with RedisStore(url=f"unix://{path}?db=0") as store:
            assert store.session("s").count() == 1
        assert asyncio.run(AsyncRedisSession(unix_socket_path=path, session_id="s").count()) == 1
