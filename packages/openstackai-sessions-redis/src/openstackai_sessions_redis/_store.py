# Written by tools/twins.py from _async_store.py: edit that file, then run `make twins`.
"""Sessions on a Redis or Valkey server: the store and the session class."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from hashlib import sha1

from redis.exceptions import NoScriptError, ResponseError

from openstackai_sessions_core import (
    BackendUnavailableError,
    Limits,
    Session,
    SessionInfo,
)
from openstackai_sessions_core.backend import (
    BaseStore,
    Durability,
    Head,
    NewMessage,
    Operation,
    Outcome,
    Record,
    SessionImport,
    Snapshot,
    check_payload,
)
from openstackai_sessions_redis._durability import ASK_CONFIG, ASK_INFO, judge
from openstackai_sessions_redis._format import (
    Page,
    append_arguments,
    append_outcome,
    describe,
    head,
    import_arguments,
    metadata_pairs,
    number,
    plain_outcome,
    pop_outcome,
    record,
    refuse,
    staged,
    tail,
    write_arguments,
)
from openstackai_sessions_redis._keys import (
    BUCKETS,
    SessionKeys,
    bucket_keys,
    bucket_of,
    permissions_key,
    session_keys,
    staging_keys,
)
from openstackai_sessions_redis._listing import Listing
from openstackai_sessions_redis._scripts import SCRIPTS, Script, pack
from openstackai_sessions_redis._settings import Settings, settings_of
from openstackai_sessions_redis._shared import Shared
from openstackai_sessions_redis._wire import Client, Reply, Wires, check_client, reads_answers

__all__ = ["RedisSession", "RedisStore", "open_redis_store"]

SECOND = 1_000_000
# About how many bytes of a log one script returns; a longer reading takes several, which see the same log.
PAGE_BYTES = b"8000000"
WHOLE = b"1e300"
# A long reading begins again when messages were removed meanwhile; in the end it asks for all in one step.
SIZES = (PAGE_BYTES, PAGE_BYTES, PAGE_BYTES, WHOLE)
# How many messages are read in the quickest way.
FIRST = 256
STAGED_MESSAGES = 1_000
STAGED_BYTES = 4_000_000
STAGED_FOR = b"3600000"
INDEX_STEP = b"5000"
# Where write_arguments() puts the session id.
SESSION_ID = 5
PURGE_STEP = 1_000


class RedisStore(BaseStore):
    """A Redis or Valkey server (or cluster) that holds sessions. Opens nothing until it is used.

    Where: `host` and `port`, or `url` (`redis://`, `rediss://`, `unix://`), or `unix_socket_path`; `db`, `username`,
    `password`. `ssl=True` verifies the server's certificate and host name, against `ssl_ca_certs` or the system's
    authorities; `ssl_certfile` and `ssl_keyfile` are this side's own. `cluster=True`: the place is a node of a cluster.
    `client`: a client of your own instead (plain, made by a Sentinel, or of a cluster), which stays yours to close.

    How: keys begin with `prefix`; at most `max_connections`, one of which is waited for `pool_timeout` seconds and
    opened within `connect_timeout`. `timeout`, `retry_timeout`, `op_id_ttl` (seconds) and `limits` are those of
    every store. With `wait_replicas`, a write is acknowledged only once so many replicas have it; one that they do not
    have within `wait_timeout` seconds is of unknown outcome, and tried again. Raises `ValidationError` for arguments
    that cannot be right.
    """

    def __init__(
        self,
        host: str = "localhost",
        port: int = 6379,
        *,
        username: str | None = None,
        password: str | None = None,
        db: int = 0,
        ssl: bool = False,
        ssl_ca_certs: str | os.PathLike[str] | None = None,
        ssl_certfile: str | os.PathLike[str] | None = None,
        ssl_keyfile: str | os.PathLike[str] | None = None,
        unix_socket_path: str | os.PathLike[str] | None = None,
        url: str | None = None,
        cluster: bool = False,
        client: Client | None = None,
        prefix: str = "openstackai",
        max_connections: int = 10,
        connect_timeout: float = 5.0,
        pool_timeout: float = 10.0,
        wait_replicas: int = 0,
        wait_timeout: float = 1.0,
        timeout: float = 30.0,
        retry_timeout: float = 30.0,
        op_id_ttl: float = 600.0,
        limits: Limits | None = None,
    ) -> None:
        self._open(
            settings_of(
                {
                    "host": host,
                    "port": port,
                    "username": username,
                    "password": password,
                    "db": db,
                    "ssl": ssl,
                    "ssl_ca_certs": ssl_ca_certs,
                    "ssl_certfile": ssl_certfile,
                    "ssl_keyfile": ssl_keyfile,
                    "unix_socket_path": unix_socket_path,
                    "url": url,
                    "cluster": cluster,
                    "client": client,
                    "prefix": prefix,
                    "max_connections": max_connections,
                    "connect_timeout": connect_timeout,
                    "pool_timeout": pool_timeout,
                    "wait_replicas": wait_replicas,
                    "wait_timeout": wait_timeout,
                    "timeout": timeout,
                    "retry_timeout": retry_timeout,
                    "op_id_ttl": op_id_ttl,
                    "limits": limits,
                }
            )
        )

    def _open(self, settings: Settings) -> None:
        if settings.client is not None:
            check_client(settings.client)
        super().__init__(settings.options)
        self._settings = settings
        self._wires = Wires(settings)
        self._shared: Shared[RedisStore] | None = None
        self._op_id_ttl = round(settings.options.op_id_ttl * SECOND)
        self._warned = False
        # The buckets that this store is known to be permitted to write to.
        self._permitted: set[int] = set()
        # The scripts that the server knew, or was told.
        self._known: set[Script] = set()

    @property
    def settings(self) -> Settings:
        """Where the server is and how it is used; a password is there, but not in its repr."""
        return self._settings

    def __repr__(self) -> str:
        if not hasattr(self, "_settings"):
            return f"<{type(self).__name__}, which could not be made>"
        return f"<{type(self).__name__} on {self._settings.place}, prefix {self._settings.prefix!r}>"

    # -- Writes -----------------------------------------------------------------------------------------------------

    @reads_answers(write=True)
    def append(
        self,
        session_id: str,
        op: Operation,
        messages: Sequence[NewMessage],
        *,
        ttl: int | None,
    ) -> Outcome:
        script, arguments = append_arguments(messages)
        ids = [message.id for message in messages]
        return append_outcome(self._write(script, session_id, op, ttl, arguments, ids=ids), messages)

    @reads_answers(write=True)
    def pop(self, session_id: str, op: Operation, *, ttl: int | None) -> Outcome:
        checked = b""
        while True:
            reply = self._write("pop", session_id, op, ttl, [checked])
            if not reply.startswith(b"!check "):
                return pop_outcome(reply)
            # Somebody has changed the stored text. Where it still can be read it may go.
            base, _, element = reply[7:].partition(b"\n")
            check_payload(record(element, int(base), "the newest message"))
            checked = sha1(element, usedforsecurity=False).hexdigest().encode()

    @reads_answers(write=True)
    def clear(self, session_id: str, op: Operation, *, ttl: int | None) -> Outcome:
        return plain_outcome(self._write("clear", session_id, op, ttl, []))

    @reads_answers(write=True)
    def write_metadata(
        self,
        session_id: str,
        op: Operation,
        values: Mapping[str, bytes],
        removed: Sequence[str],
        *,
        ttl: int | None,
    ) -> Outcome:
        kept = {key: value for key, value in values.items() if key not in removed}
        arguments = [b"%d" % self.limits.metadata_bytes, b"%d" % len(kept), *metadata_pairs(kept)]
        arguments += [key.encode() for key in removed]
        return plain_outcome(self._write("metadata", session_id, op, ttl, arguments))

    @reads_answers(write=True)
    def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        encoded = session_id.encode()
        if bucket_of(encoded) not in self._permitted:
            self._permit(encoded)
        keys = staging_keys(self._settings.prefix, encoded, os.urandom(16).hex().encode())
        chunks = _chunks(content)
        if len(chunks) > 1:
            # Before a great deal is sent once more, see whether it has arrived.
            reply = self._write("recall", session_id, op, ttl, [])
            if reply != b"?":
                return plain_outcome(reply)
        for first, last in chunks:
            arguments = [STAGED_FOR, *staged(content.messages[first:last], first + 1)]
            # What is put aside and never used is dropped by the server; nothing has been applied.
            self._call(SCRIPTS["stage"], keys, arguments, write=False)
        arguments = import_arguments(content, self.limits)
        ids = [message.id for message in content.messages]
        reply = self._write("import", session_id, op, ttl, arguments, ids=ids, more_keys=keys)
        if reply == b"!staged":
            raise BackendUnavailableError("the server has dropped a part of the import before it took effect")
        return plain_outcome(reply)

    @reads_answers(write=True)
    def delete(self, session_id: str, op: Operation) -> Outcome:
        return plain_outcome(self._write("delete", session_id, op, None, []))

    def _write(
        self,
        name: str,
        session_id: str,
        op: Operation,
        ttl: int | None,
        arguments: list[bytes],
        *,
        ids: Sequence[str] = (),
        more_keys: tuple[bytes, ...] = (),
    ) -> bytes:
        """Run a script that writes; its reply unless that is a refusal."""
        encoded = session_id.encode()
        if bucket_of(encoded) not in self._permitted:
            self._permit(encoded)
        keys = session_keys(self._settings.prefix, encoded)
        common = write_arguments(op, encoded, self._op_id_ttl, ttl)
        while True:
            reply: bytes = self._call(SCRIPTS[name], (*keys, *more_keys), [*common, *arguments], write=True)
            if reply == b"!index":
                self._index(keys)
            elif reply.startswith(b"!") and not reply.startswith((b"!check ", b"!staged")):
                refuse(reply, session_id, op, ids, self.limits)
            else:
                return reply

    def _permit(self, session_id: bytes) -> None:
        """See that every command of a write is permitted: where one is refused in its midst, Redis undoes nothing."""
        key = permissions_key(self._settings.prefix, session_id)
        if self._call(SCRIPTS["permissions"], (key,), [], write=False) == b"+":
            # The nodes of a cluster each have users of their own.
            is_cluster = (self._wires.get()).is_cluster
            self._permitted.update([bucket_of(session_id)] if is_cluster else range(BUCKETS))

    def _index(self, keys: SessionKeys) -> None:
        """Put the ids of all messages into the index of ids, some thousands a step."""
        while self._call(SCRIPTS["index"], keys[:4], [INDEX_STEP], write=False):
            pass

    # -- Reads ------------------------------------------------------------------------------------------------------

    @reads_answers(write=False)
    def read(self, session_id: str, *, limit: int | None, before: int | None) -> Sequence[Record]:
        keys = session_keys(self._settings.prefix, session_id.encode())[:2]
        for size in SIZES:
            page = self._newest(session_id, keys, limit, before, size)
            if page is None:
                return []
            records = self._rest(session_id, keys, page, limit)
            if records is not None:
                return records
        raise AssertionError("a reading in one step is complete")

    def _newest(
        self, session_id: str, keys: tuple[bytes, ...], limit: int | None, before: int | None, size: bytes
    ) -> Page | None:
        """The first page of a reading."""
        if before is None and size is not WHOLE:
            wanted = FIRST if limit is None else min(limit, FIRST)
            try:
                page = tail(self._call(SCRIPTS["tail"], keys, [b"%d" % wanted], write=False), wanted)
            except LookupError:
                refuse(b"!damaged", session_id, None, (), self.limits)
            except UnicodeError:
                # The longer way reads it, or says what is wrong.
                pass
            else:
                return page
        return self._page("read", session_id, keys, [number(limit), number(before), size, b""])

    def _rest(self, session_id: str, keys: tuple[bytes, ...], page: Page, limit: int | None) -> list[Record] | None:
        """All records of a reading that begins with a page; None where messages have been removed meanwhile."""
        pages = [page]
        token = page.token
        held = len(page.records)
        while page.more and (limit is None or held < limit):
            left = None if limit is None else limit - held
            arguments = [number(left), number(page.records[0].position), PAGE_BYTES, token]
            further = self._page("read", session_id, keys, arguments)
            if further is None:
                return None
            page = further
            pages.append(page)
            held += len(page.records)
        if len(pages) == 1:
            return page.records
        return [record for one in reversed(pages) for record in one.records]

    def _page(self, name: str, session_id: str, keys: tuple[bytes, ...], arguments: list[bytes]) -> Page | None:
        """A page of a log; None where there is no session, or not the one that was asked for."""
        for plain in (b"", b"1"):
            reply = self._call(SCRIPTS[name], keys, [*arguments, plain], write=False)
            if reply in (b"", b"!changed"):
                return None
            if isinstance(reply, bytes) and reply.startswith(b"!"):
                refuse(reply, session_id, None, (), self.limits)
            try:
                return Page(reply)
            except UnicodeError:
                # Broken UTF-8 cannot be packed. Taken plain, it comes to whoever decodes it.
                pass
        raise AssertionError("a plain reply is not unpacked")

    @reads_answers(write=False)
    def scan(self, session_id: str, life: int, *, after: int, until: int, limit: int) -> Sequence[Record]:
        keys = session_keys(self._settings.prefix, session_id.encode())[:2]
        records: list[Record] = []
        while True:
            arguments = [b"%d" % life, number(after), number(until), number(limit - len(records)), PAGE_BYTES]
            page = self._page("scan", session_id, keys, arguments)
            if page is None:
                return []
            records += page.records
            if not page.more:
                return records
            after = records[-1].position

    @reads_answers(write=False)
    def head(self, session_id: str) -> Head | None:
        keys = session_keys(self._settings.prefix, session_id.encode())[:2]
        reply = self._call(SCRIPTS["head"], keys, [], write=False)
        if reply.startswith(b"!"):
            refuse(reply, session_id, None, (), self.limits)
        return head(reply) if reply else None

    @reads_answers(write=False)
    def read_metadata(self, session_id: str, keys: Sequence[str] | None) -> Mapping[str, bytes]:
        if keys is not None and not keys:
            return {}
        wanted = [] if keys is None else [key.encode() for key in keys]
        places = session_keys(self._settings.prefix, session_id.encode())[:3]
        reply = self._call(SCRIPTS["values"], places, wanted, write=False)
        if isinstance(reply, bytes):
            if reply:
                refuse(reply, session_id, None, (), self.limits)
            return {}
        if keys is None:
            return _pairs(reply)
        return {key: value for key, value in zip(keys, reply, strict=True) if value is not None}

    @reads_answers(write=False)
    def load(self, session_id: str) -> Snapshot | None:
        keys = session_keys(self._settings.prefix, session_id.encode())
        for size in SIZES:
            found = self._load(session_id, keys, size)
            if found is None:
                return None
            metadata, page = found
            records = self._rest(session_id, keys[:2], page, None)
            if records is not None:
                return Snapshot(int(page.state.created_at), records, metadata)
        raise AssertionError("a reading in one step is complete")

    def _load(self, session_id: str, keys: SessionKeys, size: bytes) -> tuple[dict[str, bytes], Page] | None:
        """All metadata and the newest messages, as they were at one instant."""
        for plain in (b"", b"1"):
            reply = self._call(SCRIPTS["load"], keys[:3], [size, plain], write=False)
            if isinstance(reply, bytes):
                if reply:
                    refuse(reply, session_id, None, (), self.limits)
                return None
            try:
                return _pairs(reply[0]), Page(reply[1])
            except UnicodeError:
                # As in _page.
                pass
        raise AssertionError("a plain reply is not unpacked")

    # -- The store --------------------------------------------------------------------------------------------------

    @reads_answers(write=False)
    def list_page(self, prefix: str, *, after: str | None, limit: int) -> Sequence[SessionInfo]:
        listing = Listing(prefix.encode(), None if after is None else after.encode(), limit)
        size = b"%d" % listing.size
        found: list[SessionInfo] = []
        while len(found) < limit:
            ids = listing.take(limit - len(found))
            if ids:
                found += self._describe(ids)
                continue
            asks = listing.asks()
            if not asks:
                break
            listing.feed(
                self._each(
                    SCRIPTS["list"],
                    [(bucket_keys(self._settings.prefix, bucket), [start, end, size]) for bucket, start, end in asks],
                )
            )
        return found

    def _describe(self, ids: Sequence[bytes]) -> list[SessionInfo]:
        """Those of the sessions that are still there, in order."""
        buckets: dict[int, list[bytes]] = {}
        for id in ids:
            buckets.setdefault(bucket_of(id), []).append(id)
        prefix = self._settings.prefix
        calls: list[tuple[tuple[bytes, ...], list[bytes]]] = [
            (tuple(session_keys(prefix, id).state for id in group), []) for group in buckets.values()
        ]
        replies = self._each(SCRIPTS["describe"], calls)
        found = [
            info for group, reply in zip(buckets.values(), replies, strict=True) for info in describe(group, reply)
        ]
        return sorted(found, key=lambda info: info.id)

    @reads_answers(write=False)
    def purge(self) -> int:
        purged = 0
        waiting = [bucket_keys(self._settings.prefix, bucket) for bucket in range(BUCKETS)]
        while waiting:
            counts = self._each(SCRIPTS["purge"], [(keys, [b"%d" % PURGE_STEP]) for keys in waiting])
            purged += sum(counts)
            waiting = [keys for keys, count in zip(waiting, counts, strict=True) if count == PURGE_STEP]
        return purged

    @reads_answers(write=False)
    def durability(self) -> Durability:
        """What the server says of itself; a warning, once, says what to change where conversations may be lost."""
        found = judge(self._ask_nodes(ASK_INFO), self._ask_nodes(ASK_CONFIG))
        if found.advice and not self._warned:
            self._warned = True
            warnings.warn(f"{self._settings.place}: {found.advice}", stacklevel=3)
        return found.durability

    def _ask_nodes(self, command: tuple[bytes, ...]) -> list[Reply]:
        wire = self._wires.get()
        return wire.nodes(pack(list(command)))

    def rest(self) -> None:
        """Close the connections that nobody uses just now; they come back when they are needed."""
        self._wires.rest()

    def close(self) -> None:
        """Close the connections. A store that handles share opens them again when it is used: they have no other."""
        if self._shared is None:
            self._wires.close()
        else:
            self._wires.park()

    # -- One call ---------------------------------------------------------------------------------------------------

    def _call(self, script: Script, keys: tuple[bytes, ...], arguments: list[bytes], *, write: bool) -> Reply:
        if self._shared is not None and self._shared.newest is not self:
            self._shared.touch(self)
        wire = self._wires.get()
        reply = (wire.run([(keys[0], script.command(keys, arguments))], write=write, replicated=write))[0]
        if isinstance(reply, NoScriptError):
            # A server that has started anew does not know the scripts; this tells it.
            if write and script in self._known:
                # It may have other users than it had.
                self._permit(arguments[SESSION_ID])
            whole = script.command(keys, arguments, whole=True)
            reply = (wire.run([(keys[0], whole)], write=write, replicated=write))[0]
        if isinstance(reply, ResponseError):
            # The permissions may have changed: look at them before the next write.
            self._permitted.clear()
            raise wire.failures.refused(reply)
        if write:
            self._known.add(script)
        return reply

    def _each(self, script: Script, calls: Sequence[tuple[tuple[bytes, ...], list[bytes]]]) -> list[Reply]:
        """Run a script for each of several buckets, all sent at once. What it does may be done twice."""
        wire = self._wires.get()
        replies = wire.run([(keys[0], script.command(keys, args)) for keys, args in calls], write=False)
        for index, reply in enumerate(replies):
            if isinstance(reply, NoScriptError):
                keys, args = calls[index]
                replies[index] = (wire.run([(keys[0], script.command(keys, args, whole=True))], write=False))[0]
            if isinstance(replies[index], ResponseError):
                raise wire.failures.refused(replies[index])
        return replies


def _pairs(flat: Sequence[bytes]) -> dict[str, bytes]:
    return {flat[i].decode(): flat[i + 1] for i in range(0, len(flat), 2)}


def _chunks(content: SessionImport) -> list[tuple[int, int]]:
    """The ranges of messages that are sent together."""
    ranges: list[tuple[int, int]] = []
    first, size = 0, 0
    for index, message in enumerate(content.messages):
        if index > first and (index - first >= STAGED_MESSAGES or size + len(message.data) > STAGED_BYTES):
            ranges.append((first, index))
            first, size = index, 0
        size += len(message.data)
    if content.messages:
        ranges.append((first, len(content.messages)))
    return ranges


def _make(settings: Settings) -> RedisStore:
    store = RedisStore.__new__(RedisStore)
    store._open(settings)  # noqa: SLF001 - the settings have been checked already
    store._shared = _shared  # noqa: SLF001 - the same
    return store


_shared: Shared[RedisStore] = Shared(_make, check_client)


class RedisSession(Session):
    """A handle on a session on a Redis or Valkey server; opens nothing. See `RedisStore` for the arguments.

    Handles with equal arguments share one store and its connections. `ttl` (seconds) is stored with the session by
    this handle's next write: the session expires as a whole, that long after its last write.
    """

    def __init__(
        self,
        host: str = "localhost",
        port: int = 6379,
        *,
        session_id: str,
        ttl: float | None = None,
        username: str | None = None,
        password: str | None = None,
        db: int = 0,
        ssl: bool = False,
        ssl_ca_certs: str | os.PathLike[str] | None = None,
        ssl_certfile: str | os.PathLike[str] | None = None,
        ssl_keyfile: str | os.PathLike[str] | None = None,
        unix_socket_path: str | os.PathLike[str] | None = None,
        url: str | None = None,
        cluster: bool = False,
        client: Client | None = None,
        prefix: str = "openstackai",
        max_connections: int = 10,
        connect_timeout: float = 5.0,
        pool_timeout: float = 10.0,
        wait_replicas: int = 0,
        wait_timeout: float = 1.0,
        timeout: float = 30.0,
        retry_timeout: float = 30.0,
        op_id_ttl: float = 600.0,
        limits: Limits | None = None,
    ) -> None:
        store = _shared.find(
            {
                "host": host,
                "port": port,
                "username": username,
                "password": password,
                "db": db,
                "ssl": ssl,
                "ssl_ca_certs": ssl_ca_certs,
                "ssl_certfile": ssl_certfile,
                "ssl_keyfile": ssl_keyfile,
                "unix_socket_path": unix_socket_path,
                "url": url,
                "cluster": cluster,
                "client": client,
                "prefix": prefix,
                "max_connections": max_connections,
                "connect_timeout": connect_timeout,
                "pool_timeout": pool_timeout,
                "wait_replicas": wait_replicas,
                "wait_timeout": wait_timeout,
                "timeout": timeout,
                "retry_timeout": retry_timeout,
                "op_id_ttl": op_id_ttl,
                "limits": limits,
            }
        )
        super().__init__(store, session_id, ttl=ttl)


def open_redis_store(url: str) -> RedisStore:
    """The store that a `redis://` or `rediss://` URL names; its query may hold the settings that the docs list."""
    return RedisStore(url=url)
