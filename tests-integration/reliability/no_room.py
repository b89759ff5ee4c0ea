"""Places that are full, or that cannot be written to: a typed error, reads go on, and so do writes later."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from openstackai_sessions_core import ReadOnlyError, Session, SessionError, StorageFullError
from openstackai_sessions_core.backend import BaseStore
from openstackai_sessions_postgres import PostgresStore
from openstackai_sessions_sqlite import SQLiteStore
from reliability._framework import Campaign, Skip, Tally
from reliability._places import PostgresPlace, RedisPlace, place, redis_binary
from servers import postgres, redis

__all__ = ["CAMPAIGNS"]

MEGABYTE = 1024 * 1024
# Engines compress what repeats itself.
BATCH = [{"role": "user", "content": os.urandom(10_000).hex()} for _ in range(5)]
# So many batches do not go into what there is.
MANY = 2_000


@contextlib.contextmanager
def _small_disk(size: int) -> Iterator[Path]:
    """A folder on a file system of so many bytes."""
    with tempfile.TemporaryDirectory(prefix="reliability-") as folder:
        Path(folder).chmod(0o755)
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, check=False
        )
        if made.returncode:
            raise Skip("a small file system can be mounted by root only")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=False)


@contextlib.contextmanager
def _ballast(folder: Path) -> Iterator[Callable[[], None]]:
    path = folder / "ballast"
    path.write_bytes(b"\0" * 2 * MEGABYTE)
    yield path.unlink


def fill(store: BaseStore, make_room: Callable[[], None], kind: type[SessionError], tally: Tally) -> None:
    """Write until it is refused, read, make room and write again."""
    session = Session(store, f"s{tally.done}")
    Session(store, "beside").set("a", 1)
    acknowledged = 0
    refusal: SessionError | None = None
    for _ in range(MANY):
        try:
            acknowledged += len(session.add_messages(BATCH))
        except SessionError as error:
            refusal = error
            break
    tally.expect(type(refusal) is kind, f"{refusal!r} in the place of {kind.__name__}")
    for _ in range(3):
        try:
            session.add_messages(BATCH)
        except SessionError as error:
            tally.expect(type(error) is kind, f"{error!r} in the place of {kind.__name__}")
        else:
            acknowledged += len(BATCH)
    tally.expect(session.count() == acknowledged, f"{session.count()} messages where {acknowledged} were acknowledged")
    tally.expect(Session(store, "beside").get("a") == 1, "what is beside it cannot be read")
    make_room()
    session.add_messages(BATCH)
    tally.expect(session.count() == acknowledged + len(BATCH), "the write after there is room was not whole")
    tally.numbers["messages acknowledged"] += acknowledged
    tally.step()


def fill_sqlite(tally: Tally) -> None:
    """A file on a small disk."""
    with place("sqlite") as somewhere:
        tally.place = somewhere.version
    while tally.left:
        with _small_disk(8 * MEGABYTE) as folder, _ballast(folder) as drop, SQLiteStore(folder / "x.db") as store:
            fill(store, drop, StorageFullError, tally)


def fill_redis(tally: Tally) -> None:
    """A server with little memory that evicts nothing."""
    with place("valkey") as somewhere, somewhere.open() as store:
        assert isinstance(somewhere, RedisPlace)
        tally.place = somewhere.version
        with somewhere.server.client() as client:
            while tally.left:
                used = client.info("memory")["used_memory"]
                client.config_set("maxmemory", used + 8 * MEGABYTE)
                fill(store, partial(client.config_set, "maxmemory", 0), StorageFullError, tally)


def fill_postgres(tally: Tally) -> None:
    """A table space on a small disk."""
    with place("postgres") as somewhere:
        assert isinstance(somewhere, PostgresPlace)
        tally.place = somewhere.version
        while tally.left:
            name = f"small{tally.done}"
            with _small_disk(24 * MEGABYTE) as folder:
                space = folder / "space"
                space.mkdir(mode=0o700)
                user: dict[str, Any] = postgres.as_ordinary_user()
                os.chown(space, user.get("user", -1), user.get("group", -1))
                with psycopg.connect(somewhere.server.url, autocommit=True) as connection:
                    connection.execute(f"CREATE TABLESPACE {name} LOCATION '{space}'")
                    connection.execute(f"CREATE DATABASE {name} TABLESPACE {name} TEMPLATE template0")
                url = somewhere.server.url_of(name)
                with _ballast(folder) as drop, PostgresStore(url) as store:
                    fill(store, drop, StorageFullError, tally)
                with psycopg.connect(somewhere.server.url, autocommit=True) as connection:
                    connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
                    connection.execute(f"DROP TABLESPACE {name}")


def read_only(store: BaseStore, lock: Callable[[], None], unlock: Callable[[], None], tally: Tally) -> None:
    """Write, make it read-only, read and be refused, then write again."""
    session = Session(store, f"s{tally.done}")
    session.add_message("user", "before")
    lock()
    for write in (partial(session.add_message, "user", "no"), session.pop_message, session.clear, session.delete):
        try:
            write()
        except ReadOnlyError:
            tally.numbers["writes refused"] += 1
        except SessionError as error:
            tally.violate(f"{error!r} in the place of ReadOnlyError")
        else:
            tally.violate("a write went through where nothing can be written")
    tally.expect([m["content"] for m in session.get_messages()] == ["before"], "what was there cannot be read")
    unlock()
    session.add_message("user", "after")
    tally.expect(session.count() == 2, "the write afterwards was not whole")
    tally.step()


def read_only_redis(tally: Tally) -> None:
    """A primary that becomes a replica, and a primary again."""
    binary = redis_binary("valkey")
    with redis.Server(binary) as other, place("valkey") as somewhere, somewhere.open(retry_timeout=1.0) as store:
        assert isinstance(somewhere, RedisPlace)
        tally.place = f"{somewhere.version}, a replica"
        with somewhere.server.client() as client, other.client() as primary:
            while tally.left:

                def lock() -> None:
                    # With what is there: a replica takes over all of its primary.
                    primary.execute_command("REPLICAOF", "127.0.0.1", somewhere.server.port)
                    _follow(primary)
                    primary.execute_command("REPLICAOF", "NO", "ONE")
                    client.execute_command("REPLICAOF", "127.0.0.1", other.port)
                    _follow(client)

                def unlock() -> None:
                    client.execute_command("REPLICAOF", "NO", "ONE")

                read_only(store, lock, unlock, tally)


def _follow(client: Any) -> None:
    while client.info("replication")["master_link_status"] != "up":
        pass


def read_only_postgres(tally: Tally) -> None:
    """A server whose transactions are read-only, as on a standby."""
    with place("postgres") as somewhere, somewhere.open(retry_timeout=1.0) as store:
        assert isinstance(somewhere, PostgresPlace)
        tally.place = f"{somewhere.version}, default_transaction_read_only"
        with psycopg.connect(somewhere.server.url, autocommit=True) as admin:

            def switch(on: str) -> None:
                admin.execute("SET default_transaction_read_only = off")
                admin.execute(f"ALTER DATABASE postgres SET default_transaction_read_only = {on}")
                # Connections take it when they begin.
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
                )
                # A write that met the end of its connection would be of unknown outcome.
                time.sleep(0.5)

            while tally.left:
                read_only(store, partial(switch, "on"), partial(switch, "off"), tally)


CAMPAIGNS = [
    Campaign(f"no_room/{name}", "rounds", "a typed error, reads go on, writes once there is room", 20, 1, function)
    for name, function in (
        ("sqlite-disk", fill_sqlite),
        ("valkey-memory", fill_redis),
        ("postgres-disk", fill_postgres),
        ("valkey-replica", read_only_redis),
        ("postgres-read-only", read_only_postgres),
    )
]
