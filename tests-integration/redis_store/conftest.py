"""The places on Redis that the tests run on."""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from urllib.parse import urlsplit

import pytest
from redis import Redis, RedisCluster

from openstackai_sessions_core.backend import AsyncBaseStore, BaseStore
from openstackai_sessions_redis import AsyncRedisStore, RedisStore
from places import Place
from servers.redis import Cluster, Server, binaries, engine_answers, need_binary, shared_server


class RedisPlace(Place):
    """A prefix of its own on a server."""

    multiprocess = True
    real_time = True

    def __init__(self, url: str, *, cluster: bool = False) -> None:
        self.url = url
        self.prefix = f"test-{uuid.uuid4().hex[:12]}"
        self.cluster = cluster

    def open(self, **options: object) -> RedisStore:
        return RedisStore(url=self.url, prefix=self.prefix, cluster=self.cluster, **options)  # type: ignore[arg-type]

    def open_async(self, **options: object) -> AsyncRedisStore:
        return AsyncRedisStore(url=self.url, prefix=self.prefix, cluster=self.cluster, **options)  # type: ignore[arg-type]

    def _elapse(self, seconds: float) -> None:
        time.sleep(seconds)

    def client(self) -> Redis | RedisCluster:
        """A client of the test's own, to look at what is stored."""
        if self.cluster:
            # One made by from_url() leaves its connections open when it is closed.
            parts = urlsplit(self.url)
            return RedisCluster(host=str(parts.hostname), port=parts.port or 6379)
        return Redis.from_url(self.url)

    def clean(self) -> None:
        with self.client() as client:
            for key in client.scan_iter(f"{self.prefix}:*", count=1000):
                client.delete(key)


FULL = os.environ.get("INTEGRATION_FULL") == "1"


def _choices() -> list[str]:
    """One server; with INTEGRATION_FULL=1 every version found, and a cluster."""
    if not FULL:
        return ["any"]
    return [*(binary.name for binary in binaries()), "cluster"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what the tests ran on, and what was left out and why."""
    found = [f"{binary.name}{' with TLS' if binary.tls else ''}" for binary in binaries()]
    if FULL:
        used = ", ".join([*found, "a cluster"])
    elif os.environ.get("TEST_REDIS_URL"):
        used = "the server of TEST_REDIS_URL"
    else:
        used = "a container" if engine_answers() else "".join(found[:1]) or "nothing"
    left_out = [] if FULL else [f"{name}: INTEGRATION_FULL=1 takes it" for name in found[1:]]
    if not FULL:
        left_out.append("the behaviour on a cluster: INTEGRATION_FULL=1 takes it")
    if not any(binary.tls for binary in binaries()):
        left_out.append("a server's own TLS: none here was built with it, a front speaks it")
    if not any(binary.name.startswith("redis") for binary in binaries()):
        left_out.append("a genuine Redis: the package index has none, and none is on this machine")
    terminalreporter.section("Redis servers")
    terminalreporter.write_line(f"used: {used}")
    for line in left_out:
        terminalreporter.write_line(f"left out: {line}")


@pytest.fixture(scope="session")
def servers() -> Iterator[Callable[[str], str]]:
    """The URLs of the servers that tests share, each started by its first use."""
    with contextlib.ExitStack() as stack:
        urls: dict[str, str] = {}

        def start(name: str) -> str:
            if name not in urls:
                if name == "any":
                    urls[name] = stack.enter_context(shared_server())
                elif name == "cluster":
                    cluster = stack.enter_context(Cluster(need_binary()))
                    urls[name] = f"redis://127.0.0.1:{cluster.port}"
                else:
                    binary = next(binary for binary in binaries() if binary.name == name)
                    urls[name] = stack.enter_context(Server(binary)).url
            return urls[name]

        yield start


@pytest.fixture(params=_choices())
def place(request: pytest.FixtureRequest, servers: Callable[[str], str]) -> Iterator[RedisPlace]:
    """A new, empty place on each server in turn."""
    place = RedisPlace(servers(request.param), cluster=request.param == "cluster")
    yield place
    place.clean()


@pytest.fixture
def new_place(servers: Callable[[str], str]) -> Callable[[], RedisPlace]:
    """Another new place on the first server, however often."""
    name = _choices()[0]
    return lambda: RedisPlace(servers(name), cluster=name == "cluster")


@pytest.fixture
def store(place: RedisPlace) -> Iterator[BaseStore]:
    with place.open() as store:
        yield store


@pytest.fixture
async def async_store(place: RedisPlace) -> AsyncIterator[AsyncBaseStore]:
    async with place.open_async() as store:
        yield store


# For tests of what differs between servers: with INTEGRATION_FULL=1 they run on every one found.
on_every_server = pytest.mark.parametrize(
    "server", [*binaries()] if FULL else [None], ids=lambda binary: binary.name if binary else "any", indirect=True
)


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server that the test may break."""
    with Server(getattr(request, "param", None) or need_binary()) as server:
        yield server
