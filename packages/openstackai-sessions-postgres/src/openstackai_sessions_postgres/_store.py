# Written by tools/twins.py from _async_store.py: edit that file, then run `make twins`.
"""Sessions in a PostgreSQL schema."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from psycopg.types.numeric import Int8
from psycopg_pool import ConnectionPool

from openstackai_sessions_core import BackendError, Limits, ReadOnlyError, SessionClosedError, SessionInfo
from openstackai_sessions_core.backend import (
    BaseStore,
    Durability,
    Head,
    ImportedMessage,
    NewMessage,
    Operation,
    Outcome,
    Record,
    RecordTuple,
    SessionImport,
    Snapshot,
    check_payload,
    from_microseconds,
    watch_forks,
)
from openstackai_sessions_postgres._home import Execute, Home, OperationKnown, Row
from openstackai_sessions_postgres._rows import Reply, after_prefix, outcome, parts
from openstackai_sessions_postgres._seam import Place, here, is_gone
from openstackai_sessions_postgres._settings import DEFAULT_SCHEMA, Settings, make_settings
from openstackai_sessions_postgres._sql import SMALL_BATCH, WINDOW, statements

__all__ = ["PostgresStore"]

# One write in so many also clears away some of what has expired.
SWEEP_EVERY = 64
SWEEP_SESSIONS = 8
SWEEP_ROWS = 512
PURGE_SESSIONS = 100
PURGE_ROWS = 10_000
END = 2**63 - 1

# What a child process was born with belongs to its parent: it is neither used nor closed, so it must not be collected.
_of_the_parent: list[object] = []


class PostgresStore(BaseStore):
    """A store in a PostgreSQL schema, which is made by its first use. Safe to share between tasks and event loops.

    `connection_string` is a `postgresql://` URL or libpq's `host=… dbname=…`; or pass a psycopg `pool` of your own,
    which is never closed here. Our own pool holds `pool_min_size` to `pool_max_size` connections an event loop; a
    call that finds none free for `pool_timeout` seconds raises `PoolTimeoutError`. `timeout` bounds every statement.
    The other settings are those of every store. Nothing is opened before the first call.
    """

    def __init__(
        self,
        connection_string: str | None = None,
        *,
        pool: ConnectionPool[Any] | None = None,
        schema: str = DEFAULT_SCHEMA,
        pool_min_size: int = 1,
        pool_max_size: int = 10,
        pool_timeout: float = 10.0,
        timeout: float = 30.0,
        retry_timeout: float = 30.0,
        op_id_ttl: float = 600.0,
        limits: Limits | None = None,
    ) -> None:
        settings = make_settings(
            connection_string,
            pool=pool,
            pool_class=ConnectionPool,
            schema=schema,
            pool_min_size=pool_min_size,
            pool_max_size=pool_max_size,
            pool_timeout=pool_timeout,
            timeout=timeout,
            retry_timeout=retry_timeout,
            op_id_ttl=op_id_ttl,
            limits=limits,
        )
        self._start(settings, pool)

    def _start(self, settings: Settings, pool: ConnectionPool[Any] | None) -> None:
        super().__init__(settings.options)
        self._settings = settings
        self._pool = pool
        self._texts = statements(settings.schema)
        self._remember = Int8(round(settings.options.op_id_ttl * 1_000_000))
        self._homes: dict[Place, Home] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._writes = 0
        self._is_shared = False
        watch_forks(self)

    def __repr__(self) -> str:
        if not hasattr(self, "_closed"):  # its arguments were refused
            return f"<{type(self).__name__}>"
        where = "a given pool" if self._settings.target is None else self._settings.target
        return f"<{type(self).__name__} {where} schema {self._settings.schema!r}{' (closed)' if self._closed else ''}>"

    # -- Writes -----------------------------------------------------------------------------------------------------

    def append(
        self,
        session_id: str,
        op: Operation,
        messages: Sequence[NewMessage],
        *,
        ttl: int | None,
    ) -> Outcome:
        if 0 < len(messages) <= SMALL_BATCH and not any(message.given for message in messages):
            parameters = self._identity(session_id, op, ttl)
            for index, (id, data, _) in enumerate(messages):
                parameters[f"id{index}"] = id
                parameters[f"data{index}"] = data.decode()
            home = self._home()
            try:
                rows = home.run(self._texts.small_append[len(messages) - 1], parameters, write=True)
            except OperationKnown:
                rows = []
            if rows:
                first, at = rows[0]
                stored = [Record(first + index, id, at, data) for index, (id, data, _) in enumerate(messages)]
                self._sweep()
                return Outcome(True, False, stored, [True] * len(stored))
        parameters = self._identity(session_id, op, ttl)
        parameters["ids"] = [message.id for message in messages]
        parameters["data"] = [message.data for message in messages]
        given = [message.given for message in messages]
        parameters["given"] = given if any(given) else None
        return self._write(self._texts.append, parameters, op, messages)

    def pop(self, session_id: str, op: Operation, *, ttl: int | None) -> Outcome:
        parameters = self._identity(session_id, op, ttl)
        parameters.update(checked_position=None, checked_id=None)
        while True:
            reply = self._ask(self._texts.pop, parameters)
            if reply.problem is None:
                return self._finish(reply, op, None)
            # The server cannot tell whether the newest message can be read; nothing was removed yet.
            assert reply.first_position is not None
            assert reply.ids is not None
            assert reply.times is not None
            position, id = reply.first_position, reply.ids[0]
            check_payload(Record(position, id, reply.times[0], reply.payload or b""))
            parameters.update(checked_position=Int8(position), checked_id=id)

    def clear(self, session_id: str, op: Operation, *, ttl: int | None) -> Outcome:
        return self._write(self._texts.clear, self._identity(session_id, op, ttl), op)

    def write_metadata(
        self,
        session_id: str,
        op: Operation,
        values: Mapping[str, bytes],
        removed: Sequence[str],
        *,
        ttl: int | None,
    ) -> Outcome:
        parameters = self._identity(session_id, op, ttl)
        parameters["keys"] = list(values)
        parameters["values"] = list(values.values())
        parameters["removed"] = list(removed)
        parameters["limit"] = Int8(self.limits.metadata_bytes)
        return self._write(self._texts.write_metadata, parameters, op)

    def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        identity = self._identity(session_id, op, ttl)
        identity["append"] = content.append
        identity["created_at"] = None if content.created_at is None else Int8(content.created_at)
        identity["limit"] = Int8(self.limits.metadata_bytes)
        cut = list(parts(content.messages))

        def part(number: int, *, touched: bool) -> dict[str, object]:
            metadata = content.metadata if number == 0 else {}
            return {
                **identity,
                "first": number == 0,
                "last": number == len(cut) - 1,
                "touched": touched,
                "keys": list(metadata),
                "values": list(metadata.values()),
                **_columns(cut[number]),
            }

        if len(cut) == 1:
            return self._write(self._texts.replace, part(0, touched=False), op)

        def all_parts(execute: Execute) -> Outcome:
            touched = False
            result = Outcome(False)
            for number in range(len(cut)):
                reply = Reply(*(execute(self._texts.replace, part(number, touched=touched)))[0])
                # A conflict is raised, which ends the transaction.
                result = outcome(reply, op, None, self.limits.metadata_bytes)
                if result.repeated:
                    break
                touched = touched or result.applied
            return result._replace(records=())

        home = self._home()
        return home.transaction(all_parts)

    def delete(self, session_id: str, op: Operation) -> Outcome:
        parameters = self._identity(session_id, op, None)
        del parameters["ttl"]
        return self._write(self._texts.delete, parameters, op)

    # -- Reads ------------------------------------------------------------------------------------------------------

    def read(self, session_id: str, *, limit: int | None, before: int | None) -> Sequence[RecordTuple]:
        short = limit is not None and limit <= WINDOW
        rows = self._read(
            self._texts.read_window if short else self._texts.read,
            {
                "session_id": session_id,
                "limit": Int8(END if limit is None else min(limit, END)),
                "before": Int8(END if before is None else min(before, END)),
            },
        )
        rows.reverse()
        return rows

    def scan(self, session_id: str, life: int, *, after: int, until: int, limit: int) -> Sequence[RecordTuple]:
        parameters = {
            "session_id": session_id,
            "life": Int8(life),
            "after": Int8(after),
            "until": Int8(until),
            "limit": Int8(min(limit, END)),
        }
        return self._read(self._texts.scan, parameters)

    def head(self, session_id: str) -> Head | None:
        rows = self._read(self._texts.head, {"session_id": session_id})
        return Head(*rows[0]) if rows else None

    def read_metadata(self, session_id: str, keys: Sequence[str] | None) -> Mapping[str, bytes]:
        if keys is None:
            rows = self._read(self._texts.metadata, {"session_id": session_id})
        else:
            rows = self._read(self._texts.metadata_of, {"session_id": session_id, "keys": list(keys)})
        return {key: value for key, value in rows}

    def load(self, session_id: str) -> Snapshot | None:
        rows = self._read(self._texts.load, {"session_id": session_id})
        if not rows:
            return None
        messages = [Record(*row[1:]) for row in rows if row[0] == 1]
        return Snapshot(rows[0][3], messages, {row[2]: row[4] for row in rows if row[0] == 2})

    def list_page(self, prefix: str, *, after: str | None, limit: int) -> Sequence[SessionInfo]:
        parameters: dict[str, object] = {"prefix": prefix, "after": after or "", "limit": Int8(min(limit, END))}
        end = after_prefix(prefix)
        if end is not None:
            parameters["end"] = end
        rows = self._read(self._texts.list_from if end is None else self._texts.list_between, parameters)
        self._clear_away(PURGE_SESSIONS, PURGE_ROWS)
        return [
            SessionInfo(id, count, from_microseconds(created), from_microseconds(updated))
            for id, count, created, updated in rows
        ]

    # -- The store --------------------------------------------------------------------------------------------------

    def purge(self) -> int:
        ended = 0
        more = True
        while more:
            home = self._home()
            rows = home.run(self._texts.purge, _bounds(PURGE_SESSIONS, PURGE_ROWS), write=False)
            ended += rows[0][0]
            more = rows[0][1]
        return ended

    def durability(self) -> Durability:
        """As the server is set: `"power"` by default; less with `fsync` or `synchronous_commit` off."""
        home = self._home()
        rows = home.run(self._texts.durability, {}, write=False)
        synchronous_commit, fsync, full_page_writes = rows[0]
        if synchronous_commit == "off":
            return "process"
        return "power" if fsync == "on" and full_page_writes == "on" else "server"

    def close(self) -> None:
        """Close our connections, that of a call under way once it ends; a pool that was given stays open."""
        self._closed = True
        self.park()

    def park(self) -> None:
        """Close our connections in this place; the next call opens new ones."""
        with self._lock:
            home = self._homes.pop(here(), None)
        if home is not None:
            home.close()

    @property
    def is_idle(self) -> bool:
        """Whether no operation is under way."""
        return all(home.is_idle for home in list(self._homes.values()))

    def before_fork(self) -> None:
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def after_fork_in_child(self) -> None:
        _of_the_parent.append(self._homes)
        self._homes = {}
        self._lock = threading.Lock()

    # -- How every statement runs -----------------------------------------------------------------------------------

    def _home(self) -> Home:
        home = self._homes.get(here())
        if home is None:
            home = self._settle()
        if not home.ready:
            home.prepare()
        return home

    def _settle(self) -> Home:
        with self._lock:
            if self._closed:
                raise SessionClosedError("the store is closed; make a new one")
            for place in [place for place in self._homes if is_gone(place)]:
                self._homes.pop(place).drop()
            home = self._homes.get(here())
            if home is None:
                home = self._homes[here()] = Home(self._settings, self._texts, self._pool)
            return home

    def _identity(self, session_id: str, op: Operation, ttl: int | None) -> dict[str, object]:
        return {
            "session_id": session_id,
            "op_id": op.id,
            "digest": op.digest,
            "remember": self._remember,
            "ttl": None if ttl is None else Int8(ttl),
        }

    def _ask(self, statement: bytes, parameters: Mapping[str, object]) -> Reply:
        home = self._home()
        return Reply(*(home.run(statement, parameters, write=True))[0])

    def _write(
        self,
        statement: bytes,
        parameters: Mapping[str, object],
        op: Operation,
        messages: Sequence[NewMessage] | None = None,
    ) -> Outcome:
        return self._finish(self._ask(statement, parameters), op, messages)

    def _finish(self, reply: Reply, op: Operation, messages: Sequence[NewMessage] | None) -> Outcome:
        result = outcome(reply, op, messages, self.limits.metadata_bytes)
        self._sweep()
        return result

    def _read(self, statement: bytes, parameters: Mapping[str, object]) -> list[Row]:
        try:
            home = self._home()
        except ReadOnlyError:
            # No tables yet, and none can be made here: so nothing is stored.
            return []
        return home.run(statement, parameters, write=False)

    def _sweep(self) -> None:
        self._writes += 1
        if self._writes % SWEEP_EVERY == 0:
            self._clear_away(SWEEP_SESSIONS, SWEEP_ROWS)

    def _clear_away(self, sessions: int, rows: int) -> None:
        """Remove some of what has expired, if that can be done just now: nobody sees it anyway."""
        try:
            home = self._home()
            home.run(self._texts.purge, _bounds(sessions, rows), write=False)
        except (BackendError, SessionClosedError):
            pass


def _columns(messages: Sequence[ImportedMessage]) -> dict[str, object]:
    return {
        "ids": [message.id for message in messages],
        "times": [Int8(message.created_at) for message in messages],
        "data": [message.data for message in messages],
    }


def _bounds(sessions: int, rows: int) -> dict[str, object]:
    return {"sessions": Int8(sessions), "rows": Int8(rows)}
