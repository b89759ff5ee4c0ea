"""Where campaigns keep sessions: a file, or a server whose process is theirs."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from openstackai_sessions_conformance._proxy import FaultProxy
from openstackai_sessions_core import AsyncInMemoryStore, InMemoryStore
from openstackai_sessions_core.backend import AsyncBaseStore, BaseStore
from openstackai_sessions_postgres import AsyncPostgresStore, PostgresStore
from openstackai_sessions_redis import AsyncRedisStore, RedisStore
from openstackai_sessions_sqlite import AsyncSQLiteStore, SQLiteStore
from reliability._framework import Skip
from servers import postgres, redis

__all__ = ["ALWAYS", "FEW", "Place", "PostgresPlace", "RedisPlace", "SQLitePlace", "place", "redis_binary"]

FEW = 4
# Valkey and Redis acknowledge what is on the disk.
ALWAYS = ("--appendonly", "yes", "--appendfsync", "always")


class Place(ABC):
    """One place that holds sessions, empty at first."""

    version: str
    opener: str
    """`module:callable`, by which another process opens the place with `arguments`."""
    async_opener: str
    arguments: list[str]
    few: Mapping[str, object] = {}
    """Options of a store that makes do with few connections, and does not wait long for one."""

    @abstractmethod
    def open(self, *, via: FaultProxy | None = None, **options: object) -> BaseStore:
        """Open a synchronous store, through the proxy if there is one; the caller closes it."""

    @abstractmethod
    def open_async(self, *, via: FaultProxy | None = None, **options: object) -> AsyncBaseStore:
        """Open an asynchronous store."""

    def proxy(self) -> FaultProxy:
        """A wire to the server that fails on command."""
        raise NotImplementedError

    @staticmethod
    def is_call(request: bytes) -> bool:
        """Whether a request on the wire is one of the library's operations, not the beginning of a connection."""
        return True

    def kill(self) -> None:
        """End the server at once, as SIGKILL does."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it again on the same data."""
        raise NotImplementedError

    def connections(self) -> int:
        """How many clients the server has, but for this one who asks."""
        return 0

    def new(self) -> None:
        """Be another place, an empty one."""
        raise NotImplementedError


class MemoryPlace(Place):
    """This process."""

    version = "memory"

    def __init__(self) -> None:
        self._store = InMemoryStore()
        self._async_store = AsyncInMemoryStore()

    def open(self, *, via: FaultProxy | None = None, **options: object) -> BaseStore:
        return self._store

    def open_async(self, *, via: FaultProxy | None = None, **options: object) -> AsyncBaseStore:
        return self._async_store


class SQLitePlace(Place):
    """A file in a folder of its own."""

    version = f"SQLite {sqlite3.sqlite_version}"
    opener = "openstackai_sessions_sqlite:SQLiteStore"
    async_opener = "openstackai_sessions_sqlite:AsyncSQLiteStore"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.new()

    def new(self) -> None:
        self.path = str(self.folder / f"{uuid.uuid4().hex}.db")
        self.arguments = [self.path]

    def open(self, *, via: FaultProxy | None = None, **options: object) -> BaseStore:
        return SQLiteStore(self.path, **options)  # type: ignore[arg-type]

    def open_async(self, *, via: FaultProxy | None = None, **options: object) -> AsyncBaseStore:
        return AsyncSQLiteStore(self.path, **options)  # type: ignore[arg-type]


class RedisPlace(Place):
    """A prefix on a server."""

    opener = "openstackai_sessions_redis:open_redis_store"
    async_opener = "openstackai_sessions_redis:open_async_redis_store"
    few: Mapping[str, object] = {"max_connections": FEW, "pool_timeout": 5.0}

    def __init__(self, server: redis.Server) -> None:
        self.server = server
        self.version = server.binary.name.replace("-", " ").capitalize()
        self.new()

    def new(self) -> None:
        self.prefix = f"p{uuid.uuid4().hex[:12]}"
        self.arguments = [self._url(None)]

    def _url(self, via: FaultProxy | None) -> str:
        port = self.server.port if via is None else via.port
        return f"redis://127.0.0.1:{port}/0?prefix={self.prefix}"

    def open(self, *, via: FaultProxy | None = None, **options: object) -> BaseStore:
        return RedisStore(url=self._url(via), **options)  # type: ignore[arg-type]

    def open_async(self, *, via: FaultProxy | None = None, **options: object) -> AsyncBaseStore:
        return AsyncRedisStore(url=self._url(via), **options)  # type: ignore[arg-type]

    def proxy(self) -> FaultProxy:
        return FaultProxy("127.0.0.1", self.server.port)

    @staticmethod
    def is_call(request: bytes) -> bool:
        return b"EVAL" in request

    def kill(self) -> None:
        self.server.kill()

    def start(self) -> None:
        self.server.start()

    def connections(self) -> int:
        with self.server.client() as client:
            return len(client.client_list()) - 1


class PostgresPlace(Place):
    """A schema on a server."""

    opener = "openstackai_sessions_postgres:open_postgres_store"
    async_opener = "openstackai_sessions_postgres:open_async_postgres_store"
    few: Mapping[str, object] = {"pool_max_size": FEW, "pool_timeout": 5.0}

    def __init__(self, server: postgres.OwnServer) -> None:
        self.server = server
        self.version = server.name.replace("postgres-", "PostgreSQL ")
        self.new()

    def new(self) -> None:
        self.schema = f"s{uuid.uuid4().hex[:12]}"
        self.arguments = [self.server.url_of("postgres", schema=self.schema)]

    def _url(self, via: FaultProxy | None) -> str:
        return self.server.url if via is None else via.url(self.server.url)

    def open(self, *, via: FaultProxy | None = None, **options: object) -> BaseStore:
        return PostgresStore(self._url(via), schema=self.schema, **options)  # type: ignore[arg-type]

    def open_async(self, *, via: FaultProxy | None = None, **options: object) -> AsyncBaseStore:
        return AsyncPostgresStore(self._url(via), schema=self.schema, **options)  # type: ignore[arg-type]

    def proxy(self) -> FaultProxy:
        return FaultProxy("127.0.0.1", urlsplit(self.server.url).port or 5432)

    @staticmethod
    def is_call(request: bytes) -> bool:
        # Bind or Query; what begins a connection is neither, but for the look whether a pooler stands between.
        return request[:1] in (b"B", b"Q") and b"pg_backend_pid" not in request

    def kill(self) -> None:
        self.server.kill()

    def start(self) -> None:
        self.server.start()

    def connections(self) -> int:
        with psycopg.connect(self.server.url) as connection:
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            ).fetchone()
            assert row is not None
            return int(row[0])


@contextlib.contextmanager
def place(name: str, *settings: str, options: dict[str, str] | None = None) -> Iterator[Place]:
    """A new place: `memory`, `sqlite`, `valkey`, `redis` or `postgres`; `settings` are the arguments of a server.

    `options` are a PostgreSQL server's. Raises `Skip` where this machine cannot have it.
    """
    if name == "memory":
        yield MemoryPlace()
    elif name == "sqlite":
        with tempfile.TemporaryDirectory(prefix="reliability-") as folder:
            yield SQLitePlace(Path(folder))
    elif name == "postgres":
        found = postgres.find_binaries()
        if not found:
            raise Skip("no PostgreSQL on this machine")
        server = postgres.make_server(found[0], settings={"max_connections": "400", **(options or {})})
        try:
            yield PostgresPlace(server)
        finally:
            server.remove()
    else:
        with redis.Server(redis_binary(name), settings) as own:
            yield RedisPlace(own)


def redis_binary(name: str) -> redis.Binary:
    """The program of a kind, `valkey` or `redis`."""
    for binary in redis.binaries():
        if binary.name.startswith(f"{name}-"):
            return binary
    raise Skip(f"no {name}-server on this machine")
