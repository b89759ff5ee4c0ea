"""A schema on a PostgreSQL server of its own, with every hook of the suite."""

from __future__ import annotations

import contextlib
import time
import uuid
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from conformance.redis_place import NamedPlace
from openstackai_sessions_conformance import Capability, Place
from openstackai_sessions_core.backend import AsyncBaseStore, BaseStore
from openstackai_sessions_postgres import AsyncPostgresStore, PostgresStore
from servers.postgres import PASSWORD, OwnServer
from servers.tls import Certificates, Front

__all__ = ["CLAIMED", "AsyncPostgresPlace", "PostgresPlace"]

CLAIMED = ~Capability.POWER
# What decides when something has expired or is forgotten; when it was made stays as it is.
TIMES = {"sessions": ("deadline", "sweep_at"), "operations": ("forget_at",)}


class PostgresPlace(Place):
    """A schema of its own. Time passes by moving what is stored into the past."""

    options = frozenset({"timeout", "retry_timeout", "op_id_ttl", "limits"})
    secrets = (PASSWORD,)
    few: Mapping[str, object] = {"pool_min_size": 1, "pool_max_size": 1, "pool_timeout": 0.8, "retry_timeout": 0}
    kind: type[PostgresStore | AsyncPostgresStore] = PostgresStore

    def __init__(self, server: OwnServer, schema: str | None = None, url: str | None = None) -> None:
        self.server = server
        self.schema = schema or f"s{uuid.uuid4().hex[:12]}"
        self.url = url or server.url
        self.address = ("127.0.0.1", server.port)
        opener = "open_postgres_store" if self.kind is PostgresStore else "open_async_postgres_store"
        self.opener = (f"openstackai_sessions_postgres:{opener}", [f"{self.url}?schema={self.schema}"])
        self.elapse = self._elapse
        self.endpoint = self._endpoint
        self.kill_server = self._kill_server
        self.named = lambda name: NamedPlace(lambda **options: self._open(schema=name, **options))
        self.renew = self._renew
        self.hold = self._hold
        side = "" if self.kind is PostgresStore else "Async"
        self.driver_calls = (f"psycopg.{side}Cursor.execute",)
        self.driver_error = self._cut
        self._stores: weakref.WeakSet[PostgresStore | AsyncPostgresStore] = weakref.WeakSet()
        self.unwritable = {"read-only": partial(self._configured, default_transaction_read_only="on")}
        self.unsafe = {
            "commits are not synced": partial(self._configured, synchronous_commit="off"),
            "nothing is synced": partial(self._configured, fsync="off"),
        }

    def open(self, **options: object) -> BaseStore | AsyncBaseStore:
        return self._open(schema=self.schema, **options)

    def _open(self, **options: object) -> BaseStore | AsyncBaseStore:
        make: Callable[..., PostgresStore | AsyncPostgresStore] = self.kind
        store = make(self.url, **options)
        self._stores.add(store)
        return store

    def fresh(self) -> PostgresPlace:
        return type(self)(self.server, None, self.url)

    def close(self) -> None:
        self._ask(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(self.schema)))

    def corrupt(self, session_id: str, position: int) -> None:
        """Cut off the end of a stored message."""
        messages, sessions = sql.Identifier(self.schema, "messages"), sql.Identifier(self.schema, "sessions")
        text = "UPDATE {} SET data = left(data, length(data) - 5) WHERE position = %s AND session_id = %s"
        self._ask(sql.SQL(text).format(messages, sessions), (position, session_id))

    def _cut(self) -> Exception:
        """Cut all connections of the place's stores; the error that the driver then raises."""
        for store in self._stores:
            for home in store._homes.values():
                home.drop()
        return psycopg.OperationalError("the connection is lost")

    @contextlib.contextmanager
    def _hold(self, session_ids: Sequence[str]) -> Iterator[None]:
        """Hold the sessions' rows, which every write of theirs locks."""
        rows = sql.SQL("SELECT FROM {} WHERE session_id = ANY(%s) FOR UPDATE")
        table = sql.Identifier(self.schema, "sessions")
        with psycopg.connect(self.server.url) as other:
            locked = other.execute(rows.format(table), (list(session_ids),))
            assert locked.rowcount == len(session_ids)
            yield
            other.rollback()

    def _ask(self, statement: sql.SQL | sql.Composed, parameters: tuple[object, ...] = ()) -> None:
        with psycopg.connect(
            self.server.url, autocommit=True, options="-c default_transaction_read_only=off"
        ) as connection:
            connection.execute(statement, parameters)

    def _elapse(self, seconds: float) -> None:
        shift = round(seconds * 1_000_000)
        for table, columns in TIMES.items():
            changes = sql.SQL(", ").join(
                sql.SQL("{0} = {0} - {1}").format(sql.Identifier(column), shift) for column in columns
            )
            self._ask(sql.SQL("UPDATE {} SET {}").format(sql.Identifier(self.schema, table), changes))

    def _endpoint(self, host: str, port: int) -> PostgresPlace:
        return type(self)(self.server, self.schema, _at(self.server.url, host, port))

    def _kill_server(self) -> None:
        self.server.kill()
        self.server.start()

    def _renew(self) -> None:
        table = sql.Identifier(self.schema, "migrations")
        self._ask(sql.SQL("INSERT INTO {} (version, applied_at) VALUES (1000, now())").format(table))

    @contextlib.contextmanager
    def _configured(self, **values: str) -> Iterator[None]:
        for name, value in values.items():
            self._ask(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), value))
        self._reload()
        try:
            yield
        finally:
            for name in values:
                self._ask(sql.SQL("ALTER SYSTEM RESET {}").format(sql.Identifier(name)))
            self._reload()

    def _reload(self) -> None:
        self._ask(sql.SQL("SELECT pg_reload_conf()"))
        # Every server process reads its settings anew by itself, a moment later.
        time.sleep(0.3)

    def pretend(self, files: Certificates, front: Front) -> None:
        """Have impostors: `front` shows the certificate of `localhost` that `files` holds."""

        def over_tls(host: str, port: int, authority: object) -> Place:
            url = f"{_at(self.server.url, host, port)}?sslmode=verify-full&sslrootcert={authority}"
            return NamedPlace(lambda **options: type(self)(self.server, self.schema, url).open(**options))

        self.impostors = {
            "a certificate that nobody vouches for": partial(over_tls, "localhost", front.port, files.stranger),
            "the certificate of another host": partial(over_tls, "127.0.0.1", front.port, files.authority),
            "no TLS": partial(over_tls, "localhost", self.server.port, files.authority),
        }


class AsyncPostgresPlace(PostgresPlace):
    """The same, for asynchronous stores."""

    kind = AsyncPostgresStore


def _at(url: str, host: str, port: int) -> str:
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user}{at}{host}:{port}"))
