"""The way to the server for event loops: a lane to the server, or to each node of a cluster.

Written by hand, as is its synchronous twin `_wire.py`; both offer the same names.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeAlias, TypeVar

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.connection import Connection, ConnectionPool, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AskError, MovedError, ReadOnlyError, ResponseError

from openstackai_sessions_core import BackendUnavailableError, SessionClosedError, SessionError, ValidationError
from openstackai_sessions_core.backend import watch_forks
from openstackai_sessions_redis._connect import connection_arguments, failures_of
from openstackai_sessions_redis._errors import MISREADINGS, Failures, misread
from openstackai_sessions_redis._lane import ERRORS, Lane, Reply
from openstackai_sessions_redis._replicas import check_replicas, waiting_commands
from openstackai_sessions_redis._scripts import pack
from openstackai_sessions_redis._settings import Settings

__all__ = ["AsyncClient", "AsyncWire", "AsyncWires", "Reply", "check_client", "reads_answers"]

# A client as the caller may pass it in: plain, made by a Sentinel, or of a cluster.
AsyncClient: TypeAlias = Redis | RedisCluster

# A cluster's client and its nodes, whose types in the driver do not cover all that is done with them here.
ClusterClient: TypeAlias = Any
Node: TypeAlias = Any

P = ParamSpec("P")
T = TypeVar("T")

MAX_REDIRECTIONS = 8


def check_client(value: object) -> None:
    """Refuse what is not a client of the asynchronous kind."""
    if not isinstance(value, (Redis, RedisCluster)):
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        raise ValidationError(f"client must be a redis.asyncio.Redis or redis.asyncio.RedisCluster, not {kind}")


def reads_answers(
    *, write: bool
) -> Callable[[Callable[P, Coroutine[Any, Any, T]]], Callable[P, Coroutine[Any, Any, T]]]:
    """For a store's method that takes answers apart: what cannot be read is the server's fault, and said so."""

    def wrap(method: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        @wraps(method)
        async def call(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return await method(*args, **kwargs)
            except MISREADINGS as error:
                if isinstance(error, SessionError):
                    # One of ours that is one of these too.
                    raise
                failure = misread(error, write=write)
            raise failure

        return call

    return wrap


class AsyncWire:
    """Exchanges with one server, or with the nodes of a cluster, on one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._failures = failures_of(settings)
        self._pool: ConnectionPool | None = None
        self._lane: Lane | None = None
        self._cluster: ClusterClient = None
        self._lanes: dict[str, tuple[ConnectionPool, Lane]] = {}
        self._stale = True
        self._lock = asyncio.Lock()
        client = settings.client
        if isinstance(client, RedisCluster):
            self._cluster = client
        elif isinstance(client, Redis):
            self._lane = Lane(client.connection_pool, settings, self._failures)
        elif not settings.cluster:
            self._pool = _pool(settings)
            self._lane = Lane(self._pool, settings, self._failures)

    @property
    def failures(self) -> Failures:
        return self._failures

    @property
    def is_cluster(self) -> bool:
        return self._lane is None

    async def run(self, calls: Sequence[tuple[bytes, bytes]], *, write: bool, replicated: bool = False) -> list[Reply]:
        """Send commands, each beside a key that it touches; the replies in the same order, errors among them.

        `replicated`: wait, after the only command, for as many replicas as the settings say.
        Raises `BackendUnavailableError` or `PoolTimeoutError` where none was sent, `OutcomeUnknownError` where a write
        may have arrived.
        """
        key = calls[0][0] if replicated and self._settings.wait_replicas else None
        if self._lane is not None:
            return await self._send(self._lane, [command for _, command in calls], write, key)
        return await self._routed(calls, write, key)

    async def nodes(self, command: bytes) -> list[Reply]:
        """Send a command to the server, or to every primary of a cluster; its replies."""
        if self._lane is not None:
            return await self._lane.exchange([command], write=False)
        cluster = await self._connected()
        nodes = cluster.get_primaries()
        return [(await self._lane_to(node).exchange([command], write=False))[0] for node in nodes]

    async def _send(self, lane: Lane, commands: list[bytes], write: bool, key: bytes | None) -> list[Reply]:
        """Exchange, and wait for replicas where a key is given."""
        if key is None:
            return await lane.exchange(commands, write=write)
        replies = await lane.exchange([*commands, *waiting_commands(self._settings, key)], write=write)
        return check_replicas(self._settings, self._failures, replies)

    async def close(self) -> None:
        """Close the connections that were made here, after what is under way; those of a given client stay."""
        if self._lane is not None:
            await self._lane.close()
        for _, lane in self._lanes.values():
            await lane.close()
        for pool in self._pools():
            await pool.disconnect()
        if self._cluster is not None and self._settings.client is None:
            await self._cluster.aclose()

    async def park(self) -> None:
        """Close the connections made here, each after what it is at; they come back when they are needed."""
        for lane in (self._lane, *(lane for _, lane in self._lanes.values())):
            if lane is not None:
                await lane.pause()
        await self.rest()

    async def rest(self) -> None:
        """Close the connections made here that are idle; they come back when they are needed."""
        for pool in self._pools():
            await pool.disconnect(inuse_connections=False)

    def _pools(self) -> list[ConnectionPool]:
        return [pool for pool in (self._pool, *(pool for pool, _ in self._lanes.values())) if pool is not None]

    # -- A cluster --------------------------------------------------------------------------------------------------

    async def _connected(self) -> ClusterClient:
        """The client of the cluster, with the map of its nodes."""
        cluster = self._cluster
        if cluster is not None and not self._stale:
            return cluster
        failure: SessionError | None = None
        async with self._lock:
            try:
                if self._cluster is None:
                    self._cluster = RedisCluster(
                        **connection_arguments(self._settings),
                        ssl=self._settings.ssl,
                        max_connections=self._settings.max_connections,
                        retry=Retry(NoBackoff(), 0),
                    )
                if self._stale:
                    await self._cluster.initialize()
                    if self._lanes:
                        await self._cluster.nodes_manager.initialize()
                    self._stale = False
            except ERRORS as error:
                failure = self._failures.unreachable(error)
            else:
                return self._cluster
        raise failure

    async def _routed(self, calls: Sequence[tuple[bytes, bytes]], write: bool, key: bytes | None) -> list[Reply]:
        replies: list[Reply] = [None] * len(calls)
        waiting = list(range(len(calls)))
        for _ in range(MAX_REDIRECTIONS):
            cluster = await self._connected()
            places: dict[str, tuple[Any, list[int]]] = {}
            for index in waiting:
                node = self._node(cluster, calls[index][0])
                places.setdefault(node.name, (node, []))[1].append(index)
            waiting = []
            for node, indexes in places.values():
                answers = await self._on_node(node, [calls[index][1] for index in indexes], write, key)
                for index, answer in zip(indexes, answers, strict=True):
                    replies[index] = await self._asked(cluster, answer, calls[index][1], write, key)
                    if isinstance(replies[index], MovedError):
                        waiting.append(index)
            if not waiting:
                return replies
            self._stale = True
        raise BackendUnavailableError(f"{self._settings.place}: the cluster is being rearranged")

    def _node(self, cluster: ClusterClient, key: bytes) -> Node:
        try:
            return cluster.get_node_from_key(key.decode())
        except ERRORS as error:
            self._stale = True
            failure = BackendUnavailableError(f"{self._settings.place}: no node serves this session now")
            cause = error
        raise self._failures.raised(failure, cause)

    def _lane_to(self, node: Node) -> Lane:
        known = self._lanes.get(node.name)
        if known is None:
            pool = _node_pool(node, self._settings)
            known = self._lanes[node.name] = pool, Lane(pool, self._settings, self._failures)
        return known[1]

    async def _on_node(self, node: Node, commands: list[bytes], write: bool, key: bytes | None) -> list[Reply]:
        try:
            answers = await self._send(self._lane_to(node), commands, write, key)
        except SessionError:
            # A node that fails may have been replaced: look before the next call.
            self._stale = True
            raise
        if any(isinstance(answer, ResponseError) and _rearranged(answer) for answer in answers):
            self._stale = True
        return answers

    async def _asked(
        self, cluster: ClusterClient, answer: Reply, command: bytes, write: bool, key: bytes | None
    ) -> Reply:
        """Where the slot is on its way to another node, ask that one, once."""
        if not isinstance(answer, AskError) or isinstance(answer, MovedError):
            return answer
        node = cluster.get_node(answer.host, answer.port)
        if node is None:
            self._stale = True
            raise BackendUnavailableError(f"{self._settings.place}: the cluster is being rearranged")
        return (await self._on_node(node, [pack([b"ASKING"]), command], write, key))[1]


def _rearranged(answer: ResponseError) -> bool:
    return (
        isinstance(answer, (MovedError, ReadOnlyError)) or "CLUSTERDOWN" in f"{type(answer).__name__} {answer}".upper()
    )


def _node_pool(node: Node, settings: Settings) -> ConnectionPool:
    """Connections to one node of a cluster, made as its client makes its own."""
    arguments = {**node.connection_kwargs, "socket_timeout": None, "retry": Retry(NoBackoff(), 0)}
    return ConnectionPool(connection_class=node.connection_class, max_connections=settings.max_connections, **arguments)


def _pool(settings: Settings) -> ConnectionPool:
    kind: Any = Connection
    if settings.unix_socket_path is not None:
        kind = UnixDomainSocketConnection
    elif settings.ssl:
        kind = SSLConnection
    arguments = connection_arguments(settings)
    # A carrier bounds an exchange as a whole.
    arguments["socket_timeout"] = None
    return ConnectionPool(
        connection_class=kind,
        max_connections=settings.max_connections,
        retry=Retry(NoBackoff(), 0),
        **arguments,
    )


class AsyncWires:
    """The wires of a store: one for each event loop, dropped with it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # Each with the generator by which the loop closes it in the end.
        self._wires: dict[asyncio.AbstractEventLoop, tuple[AsyncWire, AsyncGenerator[None, None]]] = {}
        self._lock = threading.Lock()
        self._closed = False
        watch_forks(self)

    async def get(self) -> AsyncWire:
        """The wire of the running loop."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._closed:
                raise SessionClosedError("the store is closed; make a new one")
            found = self._wires.get(loop)
            if found is not None:
                return found[0]
            for other in [other for other in self._wires if other.is_closed()]:
                del self._wires[other]
            wire = AsyncWire(self._settings)
            keeper = self._keep(loop, wire)
            self._wires[loop] = wire, keeper
        await keeper.__anext__()
        return wire

    async def _keep(self, loop: asyncio.AbstractEventLoop, wire: AsyncWire) -> AsyncGenerator[None, None]:
        """Close the wire when its loop ends: asyncio.run and its like then close every asynchronous generator."""
        try:
            yield
        finally:
            with self._lock:
                self._wires.pop(loop, None)
            await wire.close()

    def rest(self) -> None:
        """Close idle connections; whoever needs one opens it again."""
        with self._lock:
            wires = [(loop, wire) for loop, (wire, _) in self._wires.items() if loop.is_running()]
        for loop, wire in wires:
            loop.call_soon_threadsafe(_start, wire.rest())

    async def park(self) -> None:
        """Close the running loop's connections, each after what it is at; whoever needs one opens it again."""
        with self._lock:
            wire, _ = self._wires.get(asyncio.get_running_loop(), (None, None))
        if wire is not None:
            await wire.park()

    async def close(self) -> None:
        with self._lock:
            self._closed = True
            _, keeper = self._wires.get(asyncio.get_running_loop(), (None, None))
        if keeper is not None:
            await keeper.aclose()

    def before_fork(self) -> None:
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def after_fork_in_child(self) -> None:
        self._lock = threading.Lock()
        self._wires = {}


_resting: set[asyncio.Task[None]] = set()


def _start(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.get_running_loop().create_task(work)
    _resting.add(task)
    task.add_done_callback(_resting.discard)
