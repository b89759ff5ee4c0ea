"""A prefix on a Redis or Valkey server of its own, with every hook of the suite."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import redis

from openstackai_sessions_conformance import Capability, Place
from openstackai_sessions_core.backend import AsyncBaseStore, BaseStore
from openstackai_sessions_redis import AsyncRedisStore, RedisStore
from servers.redis import Server, free_port
from servers.tls import Certificates, Front

__all__ = ["CLAIMED", "PASSWORD", "AsyncRedisPlace", "NamedPlace", "RedisPlace", "settings"]

PASSWORD = "canary-of-redis"  # noqa: S105 - of a server that lives for these tests
CLAIMED = ~(Capability.POWER | Capability.MIGRATE)


def settings() -> tuple[str, ...]:
    """The arguments of a server that keeps what it acknowledges."""
    return ("--appendonly", "yes", "--appendfsync", "always", "--requirepass", PASSWORD)


class RedisPlace(Place):
    """A prefix of its own."""

    options = frozenset({"timeout", "retry_timeout", "op_id_ttl", "limits"})
    secrets = (PASSWORD,)
    few: Mapping[str, object] = {"max_connections": 1, "pool_timeout": 0.8, "retry_timeout": 0}
    kind: type[BaseStore | AsyncBaseStore] = RedisStore

    def __init__(self, server: Server, prefix: str | None = None, address: tuple[str, int] | None = None) -> None:
        self.server = server
        self.prefix = prefix or f"p{uuid.uuid4().hex[:12]}"
        self.address = self._at = address or ("127.0.0.1", server.port)
        opener = "open_redis_store" if issubclass(self.kind, RedisStore) else "open_async_redis_store"
        self.opener = (f"openstackai_sessions_redis:{opener}", [self.url])
        self.kill_server = server.restart
        self.endpoint = self._endpoint
        self.named = self._named
        self.hold = self._hold
        self.driver_error = partial(redis.ConnectionError, "cut")
        side = "" if issubclass(self.kind, RedisStore) else "asyncio."
        self.driver_calls = (f"redis.{side}connection.AbstractConnection.send_packed_command",)
        self.unwritable = {
            "out of memory": partial(self._configured, maxmemory=1),
            "a replica": self._as_replica,
        }
        self.unsafe = {
            "conversations may be evicted": partial(
                self._configured, maxmemory=10**9, **{"maxmemory-policy": "allkeys-lru"}
            ),
            "the log is synced by chance": partial(self._configured, appendfsync="no"),
        }  # fmt: skip

    @property
    def url(self) -> str:
        host, port = self._at
        return f"redis://:{PASSWORD}@{host}:{port}/0?prefix={self.prefix}"

    def open(self, **options: object) -> BaseStore | AsyncBaseStore:
        make: Callable[..., BaseStore | AsyncBaseStore] = self.kind
        return make(url=self.url, **options)

    def fresh(self) -> RedisPlace:
        return type(self)(self.server, None, self._at)

    def corrupt(self, session_id: str, position: int) -> None:
        """Cut off the end of a stored message."""
        with RedisStore(url=self.url) as store, self.server.client() as client:
            index = [message.position for message in store.session(session_id).get_messages()].index(position)
            (key,) = [key for key in client.scan_iter(f"{self.prefix}:*", count=1000) if client.type(key) == b"list"]
            client.lset(key, index, client.lindex(key, index)[:-5])

    def close(self) -> None:
        with self.server.client() as client:
            keys = list(client.scan_iter(f"{self.prefix}:*", count=1000))
            if keys:
                client.delete(*keys)

    def _endpoint(self, host: str, port: int) -> RedisPlace:
        return type(self)(self.server, self.prefix, (host, port))

    def _named(self, name: str) -> Place:
        make: Callable[..., BaseStore | AsyncBaseStore] = self.kind
        return NamedPlace(partial(make, port=self.server.port, password=PASSWORD, prefix=name))

    @contextlib.contextmanager
    def _hold(self, _: Sequence[str]) -> Iterator[None]:
        """Have every write wait: a server that runs one command at a time has no lock that somebody else could hold."""
        with self.server.client() as client:
            client.client_pause(60_000, all=False)
            try:
                yield
            finally:
                client.client_unpause()

    @contextlib.contextmanager
    def _configured(self, **values: object) -> Iterator[None]:
        with self.server.client() as client:
            before = {name: client.config_get(name)[name] for name in values}
            for name, value in values.items():
                client.config_set(name, value)
            try:
                yield
            finally:
                for name, value in before.items():
                    client.config_set(name, value)

    @contextlib.contextmanager
    def _as_replica(self) -> Iterator[None]:
        """A replica whose primary cannot be reached, so that it keeps what it has."""
        with self.server.client() as client:
            client.replicaof("127.0.0.1", free_port())
            try:
                yield
            finally:
                client.replicaof("NO", "ONE")

    def pretend(self, files: Certificates, front: Front) -> None:
        """Have impostors: `front` shows the certificate of `localhost` that `files` holds."""

        def over_tls(host: str, port: int, authority: object) -> Place:
            make: Callable[..., BaseStore | AsyncBaseStore] = self.kind
            tls = {"ssl": True, "ssl_ca_certs": authority, "timeout": 3}
            return NamedPlace(partial(make, host=host, port=port, password=PASSWORD, prefix=self.prefix, **tls))

        self.impostors = {
            "a certificate that nobody vouches for": partial(over_tls, "localhost", front.port, files.stranger),
            "the certificate of another host": partial(over_tls, "127.0.0.1", front.port, files.authority),
            "no TLS": partial(over_tls, "localhost", self.server.port, files.authority),
        }


class AsyncRedisPlace(RedisPlace):
    """The same, for asynchronous stores."""

    kind = AsyncRedisStore


class NamedPlace(Place):
    """A place that some other place describes."""

    options = frozenset({"retry_timeout"})

    def __init__(self, make: Callable[..., BaseStore | AsyncBaseStore]) -> None:
        self._make = make

    def open(self, **options: object) -> BaseStore | AsyncBaseStore:
        return self._make(**options)
