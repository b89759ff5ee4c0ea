"""The way to the server for threads: one exchange takes a connection, sends, reads every reply, and gives it back.

Written by hand, as is its asynchronous twin `_async_wire.py`; both offer the same names.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeAlias, TypeVar

from redis import Redis, RedisCluster
from redis.backoff import NoBackoff
from redis.connection import (
    BlockingConnectionPool,
    Connection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.exceptions import AskError, ConnectionError as NoConnectionError, MovedError, ReadOnlyError, ResponseError
from redis.retry import Retry

from openstackai_sessions_core import BackendUnavailableError, SessionClosedError, SessionError, ValidationError
from openstackai_sessions_core.backend import watch_forks
from openstackai_sessions_redis._connect import connection_arguments, failures_of
from openstackai_sessions_redis._errors import DRIVER_ERRORS, MISREADINGS, NO_CONNECTION, Failures, answered, misread
from openstackai_sessions_redis._pool import Link, ThreadPool
from openstackai_sessions_redis._replicas import check_replicas, waiting_commands
from openstackai_sessions_redis._scripts import pack
from openstackai_sessions_redis._settings import Settings

__all__ = ["Client", "Reply", "Wire", "Wires", "check_client", "reads_answers"]

# A client as the caller may pass it in: plain, made by a Sentinel, or of a cluster.
Client: TypeAlias = Redis | RedisCluster

# What the server answered: bytes, a number, None, a list of these; or its error.
Reply: TypeAlias = Any

# A cluster's client and its nodes, whose types in the driver do not cover all that is done with them here.
ClusterClient: TypeAlias = Any
Node: TypeAlias = Any

# Where connections come from: a pool of ours, or the driver's, of a client of the caller's or of a cluster.
Pool: TypeAlias = "ThreadPool | ConnectionPool"

P = ParamSpec("P")
T = TypeVar("T")

MAX_REDIRECTIONS = 8
PAUSE = 0.005


def check_client(value: object) -> None:
    """Refuse what is not a client of the synchronous kind."""
    if not isinstance(value, (Redis, RedisCluster)):
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        raise ValidationError(f"client must be a redis.Redis or redis.RedisCluster, not {kind}")


def reads_answers(*, write: bool) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """For a store's method that takes answers apart: what cannot be read is the server's fault, and said so."""

    def wrap(method: Callable[P, T]) -> Callable[P, T]:
        @wraps(method)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return method(*args, **kwargs)
            except MISREADINGS as error:
                if isinstance(error, SessionError):
                    # One of ours that is one of these too.
                    raise
                failure = misread(error, write=write)
            raise failure

        return call

    return wrap


class Wire:
    """Exchanges with one server, or with the nodes of a cluster."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._failures = failures_of(settings)
        self._lock = threading.Lock()
        self._pool: Pool | None = None
        self._cluster: ClusterClient = None
        self._stale = False
        client = settings.client
        if isinstance(client, RedisCluster):
            self._cluster = client
        elif isinstance(client, Redis):
            self._pool = client.connection_pool
        elif not settings.cluster:
            self._pool = _pool(settings)

    @property
    def failures(self) -> Failures:
        return self._failures

    @property
    def is_cluster(self) -> bool:
        return self._pool is None

    def run(self, calls: Sequence[tuple[bytes, bytes]], *, write: bool, replicated: bool = False) -> list[Reply]:
        """Send commands, each beside a key that it touches; the replies in the same order, errors among them.

        `replicated`: wait, after the only command, for as many replicas as the settings say.
        Raises `BackendUnavailableError` or `PoolTimeoutError` where none was sent, `OutcomeUnknownError` where a write
        may have arrived.
        """
        key = calls[0][0] if replicated and self._settings.wait_replicas else None
        if self._pool is not None:
            return self._send(self._pool, [command for _, command in calls], write, key)
        return self._routed(calls, write, key)

    def nodes(self, command: bytes) -> list[Reply]:
        """Send a command to the server, or to every primary of a cluster; its replies."""
        if self._pool is not None:
            return self._exchange(self._pool, [command], False)
        cluster = self._connected()
        return [self._exchange(_node_pool(cluster, node), [command], False)[0] for node in cluster.get_primaries()]

    def close(self) -> None:
        """Close the connections that were made here; those of a given client stay."""
        self.rest()
        if self._cluster is not None and self._settings.client is None:
            self._cluster.close()

    def rest(self) -> None:
        """Close the connections made here that are idle; they come back when they are needed."""
        if self._settings.client is not None:
            return
        if isinstance(self._pool, ThreadPool):
            self._pool.rest()
        with self._lock:
            cluster = self._cluster
        if cluster is not None:
            for node in cluster.get_nodes():
                _node_pool(cluster, node).disconnect(inuse_connections=False)

    # -- One exchange -----------------------------------------------------------------------------------------------

    def _send(self, pool: Pool, commands: list[bytes], write: bool, key: bytes | None) -> list[Reply]:
        """Exchange, and wait for replicas where a key is given."""
        if key is None:
            return self._exchange(pool, commands, write)
        replies = self._exchange(pool, [*commands, *waiting_commands(self._settings, key)], write)
        return check_replicas(self._settings, self._failures, replies)

    def _exchange(self, pool: Pool, commands: Sequence[bytes], write: bool) -> list[Reply]:
        connection = self._take(pool)
        failure: SessionError | None = None
        replies: list[Reply] = []
        endless = not isinstance(pool, ThreadPool) and pool.connection_kwargs.get("socket_timeout") is None
        try:
            if endless:
                # A client of the caller's that would wait for ever.
                connection._sock.settimeout(self._settings.options.timeout)  # noqa: SLF001 - it has no other way
            connection.send_packed_command([b"".join(commands)])
            for _ in commands:
                replies.append(_read(connection))  # noqa: PERF401 - those before an error count
            if any(isinstance(reply, ReadOnlyError) for reply in replies):
                # The name may lead to another server by now.
                connection.disconnect()
        except Exception as error:  # noqa: BLE001 - the driver's parser raises ValueError for what is no reply
            connection.disconnect()
            if replies and answered(error):
                # To a later command: the first has been carried out.
                error = NoConnectionError(str(error))
            failure = self._failures.cut_off(error, write=write)
        except BaseException:
            # Ctrl-C between the command and its reply: the next caller must not get this one's answer.
            connection.disconnect()
            raise
        finally:
            if endless and connection._sock is not None:  # noqa: SLF001 - the same
                connection._sock.settimeout(None)  # noqa: SLF001 - the same
            pool.release(connection)
        # Raised out here, so that it has the context only that it was given.
        if failure is not None:
            raise failure
        return replies

    def _take(self, pool: Pool) -> Link:
        deadline = time.monotonic() + self._settings.pool_timeout
        if isinstance(pool, BlockingConnectionPool):
            # It would wait as long as it was told, not this store; and does where another thread is faster.
            while not pool.pool.qsize() and time.monotonic() < deadline:
                time.sleep(PAUSE)
            if not pool.pool.qsize():
                raise self._failures.no_connection()
        while True:
            try:
                connection = pool.get_connection()
            except Exception as error:  # noqa: BLE001 - a credential provider of the caller's raises what it likes
                failure = self._failures.unreachable(error)
                full = str(error).startswith(NO_CONNECTION)
            else:
                return connection
            # A pool of the caller's that is full says so at once.
            if (
                not full
                or isinstance(pool, (ThreadPool, BlockingConnectionPool))
                or time.monotonic() + PAUSE > deadline
            ):
                raise failure
            time.sleep(PAUSE)

    # -- A cluster --------------------------------------------------------------------------------------------------

    def _connected(self) -> ClusterClient:
        """The client of the cluster, which learns of the nodes when it is made."""
        failure: SessionError | None = None
        with self._lock:
            try:
                if self._cluster is None:
                    self._cluster = RedisCluster(
                        **connection_arguments(self._settings),
                        ssl=self._settings.ssl,
                        max_connections=self._settings.max_connections,
                        retry=Retry(NoBackoff(), 0),
                    )
                elif self._stale:
                    self._cluster.nodes_manager.initialize()
                self._stale = False
            except DRIVER_ERRORS as error:
                failure = self._failures.unreachable(error)
            else:
                return self._cluster
        raise failure

    def _routed(self, calls: Sequence[tuple[bytes, bytes]], write: bool, key: bytes | None) -> list[Reply]:
        replies: list[Reply] = [None] * len(calls)
        waiting = list(range(len(calls)))
        for _ in range(MAX_REDIRECTIONS):
            cluster = self._connected()
            places: dict[str, tuple[Any, list[int]]] = {}
            for index in waiting:
                node = self._node(cluster, calls[index][0])
                places.setdefault(node.name, (node, []))[1].append(index)
            waiting = []
            for node, indexes in places.values():
                answers = self._on_node(cluster, node, [calls[index][1] for index in indexes], write, key)
                for index, answer in zip(indexes, answers, strict=True):
                    replies[index] = self._asked(cluster, answer, calls[index][1], write, key)
                    if isinstance(replies[index], MovedError):
                        waiting.append(index)
            if not waiting:
                return replies
            self._stale = True
        raise BackendUnavailableError(f"{self._settings.place}: the cluster is being rearranged")

    def _node(self, cluster: ClusterClient, key: bytes) -> Node:
        try:
            return cluster.get_node_from_key(key)
        except DRIVER_ERRORS as error:
            self._stale = True
            failure = BackendUnavailableError(f"{self._settings.place}: no node serves this session now")
            cause = error
        raise self._failures.raised(failure, cause)

    def _on_node(
        self, cluster: ClusterClient, node: Node, commands: list[bytes], write: bool, key: bytes | None
    ) -> list[Reply]:
        try:
            answers = self._send(_node_pool(cluster, node), commands, write, key)
        except SessionError:
            # A node that fails may have been replaced: look before the next call.
            self._stale = True
            raise
        if any(isinstance(answer, ResponseError) and _rearranged(answer) for answer in answers):
            self._stale = True
        return answers

    def _asked(self, cluster: ClusterClient, answer: Reply, command: bytes, write: bool, key: bytes | None) -> Reply:
        """Where the slot is on its way to another node, ask that one, once."""
        if not isinstance(answer, AskError) or isinstance(answer, MovedError):
            return answer
        node = cluster.get_node(answer.host, answer.port)
        if node is None:
            self._stale = True
            raise BackendUnavailableError(f"{self._settings.place}: the cluster is being rearranged")
        return self._on_node(cluster, node, [pack([b"ASKING"]), command], write, key)[1]


def _read(connection: Link) -> Reply:
    try:
        return connection.read_response(disable_decoding=True)
    except ResponseError as error:
        return error


def _rearranged(answer: ResponseError) -> bool:
    return (
        isinstance(answer, (MovedError, ReadOnlyError)) or "CLUSTERDOWN" in f"{type(answer).__name__} {answer}".upper()
    )


def _node_pool(cluster: ClusterClient, node: Node) -> ConnectionPool:
    pool: ConnectionPool = cluster.get_redis_connection(node).connection_pool
    return pool


def _pool(settings: Settings) -> ThreadPool:
    kind: Any = Connection
    if settings.unix_socket_path is not None:
        kind = UnixDomainSocketConnection
    elif settings.ssl:
        kind = SSLConnection
    arguments = connection_arguments(settings)
    # What is read while a connection opens is waited for no longer than that may take.
    arguments["socket_timeout"] = min(settings.connect_timeout, settings.options.timeout)
    return ThreadPool(
        lambda: kind(retry=Retry(NoBackoff(), 0), **arguments),
        settings.max_connections,
        settings.pool_timeout,
        settings.options.timeout,
    )


class Wires:
    """The wire of a store; the asynchronous twin of this class keeps one for each event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._wire: Wire | None = None
        self._lock = threading.Lock()
        self._closed = False
        watch_forks(self)

    def get(self) -> Wire:
        wire = self._wire
        if wire is None:
            with self._lock:
                if self._closed:
                    raise SessionClosedError("the store is closed; make a new one")
                wire = self._wire = self._wire or Wire(self._settings)
        return wire

    def rest(self) -> None:
        """Close idle connections; whoever needs one opens it again."""
        wire = self._wire
        if wire is not None:
            wire.rest()

    def park(self) -> None:
        """Close the connections that nobody uses just now, as `rest` does; the asynchronous twin waits for that."""
        self.rest()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

    def before_fork(self) -> None:
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def after_fork_in_child(self) -> None:
        # The parent's connections are closed here and live on there: the driver shuts none down in another process.
        self._lock = threading.Lock()
        self._wire = None
