"""The connections of a store in one event loop, and how a statement runs on one of them."""

from __future__ import annotations

import logging
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from hashlib import blake2b
from time import monotonic
from typing import Any, TypeAlias, TypeVar

import psycopg
from psycopg import AsyncConnection, AsyncCursor
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from openstackai_sessions_core import (
    BackendError,
    BackendUnavailableError,
    OutcomeUnknownError,
    PoolTimeoutError,
    SchemaVersionError,
    SessionError,
    UnsupportedError,
    ValidationError,
)
from openstackai_sessions_postgres._async_seam import (
    Cancelled,
    Lock,
    Pool,
    Slots,
    bound,
    here,
    sleep,
    watch_end,
)
from openstackai_sessions_postgres._faults import (
    POOL_NAME,
    NoAnswerError,
    NoSchemaError,
    Secrets,
    connect_failure,
    forget_connection,
    redact_pool_logs,
    translate,
)
from openstackai_sessions_postgres._settings import Settings
from openstackai_sessions_postgres._sql import Statements
from openstackai_sessions_postgres._waiting import is_stale

__all__ = ["AsyncHome", "OperationKnown"]

T = TypeVar("T")
Row: TypeAlias = tuple[Any, ...]
Execute: TypeAlias = Callable[[bytes, Mapping[str, object] | None], Awaitable[list[Row]]]

logger = logging.getLogger("openstackai_sessions_postgres")

# How often to look whether connecting has failed, while waiting for a connection.
GLANCE = 0.05
# How often while the first connection of all is made, which comes within milliseconds.
FIRST_GLANCE = 0.001
# For so long the connection used last goes from call to call without passing through the pool, which costs as much as
# the rest of a call's bookkeeping; then the pool sees it, and may shrink or replace it.
AT_HAND = 1.0
# A connection that answered so short a time ago is not looked at before it is used again.
FRESH = 0.002
UNIQUE_VIOLATION = "23505"
# Under this name a connection keeps its cursor, which knows how to dump and load what goes to and fro: a new one has to
# find that out again, which takes longer than the whole of the rest of the client's work.
CURSOR = "_openstackai_sessions_cursor"


class OperationKnown(Exception):  # noqa: N818 - an answer, not an error
    """A small append met its own id in the ledger, or a message's in the log; nothing was written."""


class AsyncOwnConnection(AsyncConnection[Row]):
    """A connection of a pool of ours, which tells its home how connecting went."""

    @classmethod
    async def connect(  # type: ignore[override]
        cls, conninfo: str = "", *, home: weakref.ref[AsyncHome], **arguments: object
    ) -> AsyncOwnConnection:
        try:
            connection = await super().connect(conninfo, **arguments)  # type: ignore[arg-type]
        except psycopg.Error as error:
            forget_connection(error)
            if (owner := home()) is not None:
                owner.failed(error)
            raise
        except Cancelled as error:
            # The frames hold the half-made connection, which the server would wait for, and the pool logs the error.
            raise error.with_traceback(None) from None
        if (owner := home()) is not None:
            owner.made(connection)
        return connection


class AsyncHome:
    """The pool of one store in one event loop; opened by its first use."""

    def __init__(
        self,
        settings: Settings,
        texts: Statements,
        pool: AsyncConnectionPool[Any] | None,
    ) -> None:
        self._settings = settings
        self._texts = texts
        self._given = pool
        self._pool = pool
        self._timeout = settings.options.timeout
        self._secrets = Secrets(settings.target.secrets if settings.target else ())
        self._lock = Lock()
        self._schema_lock = Lock()
        self._slots = Slots(settings.pool_max_size) if pool is None else None
        self._failure: tuple[float, Exception] | None = None
        # The connection used last, one at most, and when it came here; the pool takes it for one in use.
        self._at_hand: deque[tuple[AsyncConnection[Any], float]] = deque()
        self._rests_at = 0.0
        self._connections: weakref.WeakSet[AsyncConnection[Any]] = weakref.WeakSet()
        # Whether a connection reaches the server itself, so that statements may be prepared on it.
        self._direct: weakref.WeakKeyDictionary[AsyncConnection[Any], bool] = weakref.WeakKeyDictionary()
        self._end: object = None
        # When making sure of the tables failed last, and with what.
        self._unready: tuple[float, type[BackendError], str, BaseException | None] | None = None
        self._closed = False
        self.place = here()
        self.ready = False

    @property
    def is_idle(self) -> bool:
        """Whether no operation is under way."""
        return self._slots is None or self._slots.taken == 0

    # -- What a pool of ours tells ----------------------------------------------------------------------------------

    def made(self, connection: AsyncConnection[Any]) -> None:
        self._failure = None
        self._connections.add(connection)

    def failed(self, error: Exception) -> None:
        self._failure = (monotonic(), error)

    # -- Running statements -----------------------------------------------------------------------------------------

    async def run(self, statement: bytes, parameters: Mapping[str, object], *, write: bool) -> list[Row]:
        """Run one statement, a transaction by itself, and return its rows.

        Raises our errors, and `OperationKnown` for a write that met a key that is there already.
        """
        connection = await self._take()
        failure: SessionError | None = None
        try:
            return await self._execute(connection, statement, parameters)
        except (psycopg.Error, NoAnswerError) as error:
            if isinstance(error, psycopg.Error) and error.sqlstate == UNIQUE_VIOLATION:
                raise OperationKnown from None
            failure = self._translate(connection, error, write=write)
        finally:
            await self._give_back(connection)
        # Raised outside of the handler: what holds a secret is then no part of the chain.
        raise failure

    async def transaction(self, work: Callable[[Execute], Awaitable[T]]) -> T:
        """Run several statements in one transaction: `work` gets what runs one of them."""
        connection = await self._take()
        failure: SessionError | None = None
        committing = False

        async def execute(statement: bytes, parameters: Mapping[str, object] | None) -> list[Row]:
            bound(connection, self._timeout)
            return await self._execute(connection, statement, parameters, rebound=False)

        try:
            await execute(b"BEGIN", None)
            result = await work(execute)
            committing = True
            await execute(b"COMMIT", None)
        except (psycopg.Error, NoAnswerError) as error:
            failure = self._translate(connection, error, write=committing)
        else:
            return result
        finally:
            try:
                if not connection.closed and connection.pgconn.transaction_status != TransactionStatus.IDLE:
                    with suppress(psycopg.Error, NoAnswerError):
                        await execute(b"ROLLBACK", None)
            finally:
                await self._give_back(connection)
        raise failure

    async def _execute(
        self,
        connection: AsyncConnection[Any],
        statement: bytes,
        parameters: Mapping[str, object] | None,
        *,
        rebound: bool = True,
    ) -> list[Row]:
        if rebound:
            bound(connection, self._timeout)
        direct = self._direct.get(connection)
        if direct is None:
            direct = await self._look_at(connection)
        own = vars(connection)
        cursor: AsyncCursor[Row] = own.pop(CURSOR, None) or AsyncCursor(connection, row_factory=tuple_row)
        prepare = direct and parameters is not None
        await cursor.execute(statement, parameters, prepare=prepare, binary=parameters is not None)
        result = cursor.pgresult
        rows = await cursor.fetchall() if result is not None and result.status == ExecStatus.TUPLES_OK else []
        if result is not None:
            result.clear()  # the cursor would hold it until it is used again
        own[CURSOR] = cursor
        return rows

    async def _look_at(self, connection: AsyncConnection[Any]) -> bool:
        """Find out, once a connection, whether a pooler stands between: then nothing may be prepared."""
        if connection.info.encoding != "utf-8":
            raise ValidationError("the connections of the given pool must have client_encoding=UTF8")
        cursor = AsyncCursor(connection, row_factory=tuple_row)
        await cursor.execute(b"SELECT pg_backend_pid()", prepare=False)
        row = await cursor.fetchone()
        direct = row is not None and row[0] == connection.info.backend_pid
        self._direct[connection] = direct
        return direct

    def _translate(self, connection: AsyncConnection[Any], error: Exception, *, write: bool) -> SessionError:
        state = error.sqlstate if isinstance(error, psycopg.Error) else None
        if state is None:
            # No answer of the server's, so nobody knows how far it came, or what the connection would say next.
            connection.pgconn.finish()
        failure = translate(error, self._secrets, doubt=write and connection.closed)
        if isinstance(failure, NoSchemaError):
            self.ready = False
        if state in ("26000", "42P05"):
            # A pooler that shows the server's own process id: prepare nothing from here on.
            self._direct.update(dict.fromkeys(self._direct, False))
        if state in ("0A000", "25006", "26000", "42P05"):
            # The next connection may lead to the new primary, and has no stale plans.
            connection.pgconn.finish()
        return failure

    # -- Connections ------------------------------------------------------------------------------------------------

    async def _take(self) -> AsyncConnection[Any]:
        if self._given is not None:
            return await self._take_given(self._given)
        assert self._slots is not None
        if not await self._slots.acquire(self._settings.pool_timeout):
            raise PoolTimeoutError(
                f"none of the {self._settings.pool_max_size} connections to {self._settings.where} became free in"
                f" {self._settings.pool_timeout:g} s; raise pool_max_size or pool_timeout"
            )
        try:
            return await self._connect()
        except BaseException:
            self._slots.release()
            raise

    async def _connect(self) -> AsyncConnection[Any]:
        """A connection of our pool. Whoever has a slot finds one in the pool, or has it make one."""
        began = monotonic()
        pool = self._pool or await self._open()
        failure: SessionError | None = None
        while failure is None:
            # At every glance: what the pool is making for us may never come, and the one at hand is free.
            if self._at_hand:
                at_hand = await self._reach(pool)
                if at_hand is not None:
                    return at_hand
            try:
                connection: AsyncConnection[Any] = await pool.getconn(timeout=GLANCE)
            except PoolTimeout:
                if self._failure is not None and self._failure[0] >= began:
                    failure = connect_failure(self._failure[1], self._secrets, self._settings.where)
                elif monotonic() - began > self._timeout:
                    failure = BackendUnavailableError(f"no connection to {self._settings.where} could be made in time")
                continue
            except PoolClosed:
                raise BackendUnavailableError("the connections were closed; try again") from None
            if not is_stale(connection):
                return connection
            connection.pgconn.finish()
            await pool.putconn(connection)
        raise failure

    async def _reach(self, pool: AsyncConnectionPool[Any]) -> AsyncConnection[Any] | None:
        """The connection at hand, if there is one and it lives."""
        try:
            connection, since = self._at_hand.pop()
        except IndexError:  # another thread was faster
            return None
        if not (connection.closed if monotonic() - since < FRESH else is_stale(connection)):
            return connection
        connection.pgconn.finish()
        await pool.putconn(connection)
        return None

    async def _open(self) -> AsyncConnectionPool[Any]:
        async with self._lock:
            if self._pool is None:
                settings = self._settings
                redact_pool_logs(settings.target.secrets if settings.target else ())
                arguments = {**settings.connect_arguments(), "autocommit": True, "home": weakref.ref(self)}
                pool = Pool(
                    "",
                    connection_class=AsyncOwnConnection,
                    kwargs=arguments,
                    min_size=settings.pool_min_size,
                    max_size=settings.pool_max_size,
                    name=POOL_NAME,
                    # Retrying is the handle's: what cannot connect says so at once.
                    reconnect_timeout=0,
                    num_workers=1,
                    open=False,
                )
                began = monotonic()
                await pool.open()
                self._end = await watch_end(self.drop)
                self._pool = pool
                if self._closed:  # before there was anything to close
                    await pool.close()
                # Who asks before the first connection is there has the pool make one more.
                while settings.pool_min_size and not pool.closed and not pool.get_stats()["pool_available"]:
                    if monotonic() - began > self._timeout or (self._failure and self._failure[0] >= began):
                        break
                    await sleep(FIRST_GLANCE)
            return self._pool

    async def _take_given(self, pool: AsyncConnectionPool[Any]) -> AsyncConnection[Any]:
        failure: SessionError
        try:
            while True:
                connection: AsyncConnection[Any] = await pool.getconn(timeout=self._settings.pool_timeout)
                if is_stale(connection):
                    connection.pgconn.finish()
                    await pool.putconn(connection)
                    continue
                if not connection.autocommit:
                    await connection.set_autocommit(True)
                    vars(connection)["_openstackai_sessions_restore"] = True
                return connection
        except (psycopg.Error, PoolTimeout, PoolClosed) as error:
            failure = translate(error, self._secrets, doubt=False)
        raise failure

    async def _give_back(self, connection: AsyncConnection[Any]) -> None:
        own = vars(connection)
        own.pop("wait", None)
        try:
            if own.pop("_openstackai_sessions_restore", False) and not connection.closed:
                await connection.set_autocommit(False)
            if self._given is not None:
                own.pop(CURSOR, None)
            pool = self._pool
            assert pool is not None
            if not self._keep(connection, pool):
                await pool.putconn(connection)
        finally:
            if self._slots is not None:
                self._slots.release()

    def _keep(self, connection: AsyncConnection[Any], pool: AsyncConnectionPool[Any]) -> bool:
        """Whether the connection stays at hand. A pool that may be empty, or was given, gets each one back."""
        if self._at_hand or not self._settings.pool_min_size or self._given is not None or pool.closed:
            return False
        now = monotonic()
        if now >= self._rests_at:
            self._rests_at = now + AT_HAND
            return False
        if connection.pgconn.transaction_status != TransactionStatus.IDLE:
            return False
        kept = (connection, now)
        self._at_hand.append(kept)
        if self._closed:  # by another thread, which may have looked here just before
            with suppress(ValueError):
                self._at_hand.remove(kept)
                return False
        return True

    def drop(self) -> None:
        """Close every connection of ours, whatever it is doing."""
        for connection in list(self._connections):
            connection.pgconn.finish()
        self._connections.clear()

    async def close(self) -> None:
        """Close our pool; what is under way ends, and its connection with it. A given pool stays open.

        To close a connection under a call would keep that waiting: nothing tells of an answer on a closed socket.
        """
        self._closed = True
        if self._given is None and self._pool is not None:
            await self._pool.close()
            while self._at_hand:
                with suppress(IndexError):  # another thread was faster
                    connection, _ = self._at_hand.pop()
                    connection.pgconn.finish()
                    await self._pool.putconn(connection)

    # -- The schema -------------------------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Make sure, once, that the tables are there and of a version that this library knows."""
        began = monotonic()
        async with self._schema_lock:
            if self.ready:
                return
            if self._unready is not None and self._unready[0] >= began:
                # Found out while this call waited: trying again, one after the other, would take each call longer.
                _, kind, text, cause = self._unready
                raise kind(text) from cause
            try:
                await self._look_at_schema()
            except BackendError as error:
                self._unready = (monotonic(), type(error), str(error), error.__cause__)
                raise
            self.ready = True

    async def _look_at_schema(self) -> None:
        try:
            rows = await self.run(self._texts.ready, {}, write=False)
        except NoSchemaError:
            rows = []
        if not rows or (rows[0][-1] or 0) < len(self._texts.migrations):
            await self._migrate()
            rows = await self.run(self._texts.ready, {}, write=False)
        encoding, *settings, version = rows[0]
        self._check(encoding, version)
        warn_of_loss(*settings)

    async def _migrate(self) -> None:
        async def work(execute: Execute) -> None:
            texts = self._texts
            name = self._settings.schema
            # Held to the end of the transaction, so that whoever comes second finds the work done.
            await execute(b"SELECT pg_advisory_xact_lock(%(key)s)", {"key": _lock_key(name)})
            encoding = (await execute(b"SELECT current_setting('server_encoding')", None))[0][0]
            self._check(encoding, 0)
            if (await execute(texts.schema_exists, {"name": name}))[0][0] == 0:
                await execute(texts.create_schema, None)
            await execute(texts.versions, None)
            version = (await execute(texts.version, None))[0][0]
            self._check(encoding, version)
            for number, migration in enumerate(texts.migrations[version:], version + 1):
                await execute(migration, None)
                await execute(texts.applied, {"version": number})

        try:
            await self.transaction(work)
        except OutcomeUnknownError as error:
            # Of making the tables, not of the call, of which nothing was applied: the next try finds or makes them.
            raise BackendUnavailableError(f"making the tables was cut short: {error}") from error.__cause__
        except BackendError as error:
            if "SQLSTATE 42501" in str(error):
                raise BackendError(
                    f"{error}; let an administrator run what openstackai_sessions_postgres.schema_sql() returns"
                ) from error.__cause__
            raise

    def _check(self, encoding: str, version: int) -> None:
        if encoding != "UTF8":
            raise UnsupportedError(
                f"the database is encoded in {encoding}, which cannot hold every text; make one with ENCODING 'UTF8'"
            )
        known = len(self._texts.migrations)
        if version > known:
            raise SchemaVersionError(
                f"the schema {self._settings.schema!r} is of version {version}, and this library knows versions up to"
                f" {known}: upgrade openstackai-sessions-postgres; nothing was changed"
            )


def _lock_key(schema: str) -> int:
    digest = blake2b(f"openstackai-sessions:{schema}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def warn_of_loss(synchronous_commit: str, fsync: str, full_page_writes: str) -> None:
    """Say, where the server is set so that a crash loses what it acknowledged, what to change."""
    faults = [
        f"{name} = off"
        for name, value in (
            ("synchronous_commit", synchronous_commit),
            ("fsync", fsync),
            ("full_page_writes", full_page_writes),
        )
        if value == "off"
    ]
    if faults:
        logger.warning("PostgreSQL runs with %s: a crash can lose acknowledged writes; set it on", ", ".join(faults))
