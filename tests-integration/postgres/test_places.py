"""Stores, pools, roles, schemas and secrets."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import pickle
import re
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolTimeout

from openstackai_sessions_core import (
    BackendError,
    BackendUnavailableError,
    JSONValue,
    OutcomeUnknownError,
    PoolTimeoutError,
    SessionClosedError,
    SessionError,
    ValidationError,
    open_store,
)
from openstackai_sessions_postgres import (
    AsyncPostgresSession,
    AsyncPostgresStore,
    PostgresSession,
    PostgresStore,
    schema_sql,
)
from postgres.locks import wait_for_a_lock
from postgres.proxy import Proxy
from servers.postgres import OwnServer, Server, find_pgbouncer, free_port, make_pgbouncer
from servers.shown import everything_shown

CANARY = "canary-Zq7/@%:x"
QUOTED = "canary-Zq7%2F%40%25%3Ax"


def as_user(url: str, user: str, password: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{parts.hostname}:{parts.port or 5432}"))


def connections(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'openstackai-sessions'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def are_gone(url: str) -> bool:
    """Whether no connection is left: the server needs a moment to notice."""
    deadline = time.monotonic() + 5
    while connections(url) and time.monotonic() < deadline:
        time.sleep(0.02)
    return connections(url) == 0


def test_the_first_call_opens_one_connection(database: str) -> None:
    with PostgresStore(database) as store:
        store.session("s").add_message("user", "Hello")
        assert connections(database) == 1


async def test_the_first_call_opens_one_connection_async(database: str) -> None:
    async with AsyncPostgresStore(database) as store:
        await store.session("s").add_message("user", "Hello")
        assert connections(database) == 1


def test_ten_thousand_handles_share_a_handful_of_connections(database: str) -> None:
    handles = [PostgresSession(database, f"session-{number}") for number in range(10_000)]
    for handle in handles[::100]:
        handle.add_message("user", "Hello")
    assert len({id(handle.store) for handle in handles}) == 1
    assert 1 <= connections(database) <= 10
    handles[0].store.close()
    assert are_gone(database)
    assert handles[0].count() == 1  # and opens again by itself
    handles[0].store.close()


def test_closing_a_shared_store_harms_no_handle(database: str) -> None:
    one, other = PostgresSession(database, "s"), PostgresSession(database, "s")
    for number in range(3):
        one.add_message("user", number)
        one.store.close()
        assert are_gone(database)
        assert other.count() == PostgresSession(database, "s").count() == number + 1
    stop = threading.Event()

    def write(session: PostgresSession) -> int:
        written = 0
        while not stop.is_set():
            session.add_message("user", written)
            written += 1
        return written

    with ThreadPoolExecutor(4) as threads:
        writing = [threads.submit(write, PostgresSession(database, f"s{number}")) for number in range(4)]
        for _ in range(20):
            one.store.close()
            time.sleep(0.02)
        stop.set()
        written = [future.result() for future in writing]
    assert [PostgresSession(database, f"s{number}").count() for number in range(4)] == written
    one.store.close()
    assert are_gone(database)


async def test_closing_a_shared_store_harms_no_handle_async(database: str) -> None:
    one, other = AsyncPostgresSession(database, "s"), AsyncPostgresSession(database, "s")
    for number in range(3):
        await one.add_message("user", number)
        await one.store.close()
        assert are_gone(database)
        assert await other.count() == await AsyncPostgresSession(database, "s").count() == number + 1
    stop = asyncio.Event()

    async def write(session: AsyncPostgresSession) -> int:
        written = 0
        while not stop.is_set():
            await session.add_message("user", written)
            written += 1
        return written

    writing = [asyncio.create_task(write(AsyncPostgresSession(database, f"s{number}"))) for number in range(4)]
    for _ in range(20):
        await one.store.close()
        await asyncio.sleep(0.02)
    stop.set()
    written = await asyncio.gather(*writing)
    assert [await AsyncPostgresSession(database, f"s{number}").count() for number in range(4)] == written
    await one.store.close()
    assert are_gone(database)


def test_a_call_that_is_under_way_when_its_store_is_closed_ends(database: str) -> None:
    store = PostgresStore(database)
    session = store.session("s")
    session.add_message("user", "first")
    with psycopg.connect(database) as holder, ThreadPoolExecutor(1) as threads:
        holder.execute("SELECT FROM openstackai_sessions.sessions WHERE session_id = 's' FOR UPDATE")
        waiting = threads.submit(session.add_message, "user", "second")
        wait_for_a_lock(database)
        store.close()
        holder.rollback()
        assert waiting.result(5).position == 2
    with pytest.raises(SessionClosedError):
        session.count()
    assert are_gone(database)


async def test_a_call_that_is_under_way_when_its_store_is_closed_ends_async(database: str) -> None:
    store = AsyncPostgresStore(database)
    session = store.session("s")
    await session.add_message("user", "first")
    async with await psycopg.AsyncConnection.connect(database) as holder:
        await holder.execute("SELECT FROM openstackai_sessions.sessions WHERE session_id = 's' FOR UPDATE")
        waiting = asyncio.create_task(session.add_message("user", "second"))
        await asyncio.to_thread(wait_for_a_lock, database)
        await store.close()
        await holder.rollback()
        assert (await asyncio.wait_for(waiting, 5)).position == 2
    with pytest.raises(SessionClosedError):
        await session.count()
    assert are_gone(database)


def test_threads_never_open_more_connections_than_allowed_and_leave_few(database: str) -> None:
    with PostgresStore(database, pool_max_size=3, pool_timeout=30) as store:
        with ThreadPoolExecutor(12) as threads:
            done = [
                threads.submit(store.session(f"s{number % 5}").add_message, "user", number) for number in range(600)
            ]
            assert {future.result().content for future in done} == set(range(600))
        assert 1 <= connections(database) <= 3
    assert are_gone(database)


async def test_ten_thousand_handles_share_a_handful_of_connections_async(database: str) -> None:
    handles = [AsyncPostgresSession(database, f"session-{number}") for number in range(10_000)]
    await asyncio.gather(*(handle.add_message("user", "Hello") for handle in handles[::50]))
    assert len({id(handle.store) for handle in handles}) == 1
    assert 1 <= connections(database) <= 10
    await handles[0].store.close()


def test_a_second_event_loop_just_works_and_the_first_leaves_no_connection(database: str) -> None:
    session = AsyncPostgresSession(database, "s")
    explicit = AsyncPostgresStore(database)

    async def turn(number: int) -> int:
        await session.add_message("user", number)
        await explicit.session("s").add_message("user", number)
        await asyncio.gather(*(session.count() for _ in range(5)))
        return await session.count()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [asyncio.run(turn(number)) for number in range(3)] == [2, 4, 6]
        gc.collect()
    assert are_gone(database)


def test_shared_stores_beyond_sixteen_close_the_longest_unused(database: str) -> None:
    handles = [PostgresSession(database, "s", pool_timeout=1.0 + number) for number in range(20)]
    for handle in handles:
        handle.count()
    assert sum(handle.store.is_open for handle in handles) == 16  # type: ignore[attr-defined]
    assert [handle.count() for handle in handles] == [0] * 20
    for handle in handles:
        handle.store.close()


def test_a_given_pool_is_used_as_it_is_and_stays_open(database: str) -> None:
    with ConnectionPool(
        database, min_size=1, max_size=2, open=True, kwargs={"row_factory": dict_row}, timeout=5
    ) as pool:
        store = PostgresStore(pool=pool)
        session = PostgresSession(pool=pool, session_id="s")
        session.add_message("user", "Hello")
        assert store.session("s").count() == 1
        store.close()
        with pool.connection() as connection:
            assert not connection.autocommit
            row: object = connection.execute("SELECT 1 AS one").fetchone()
            assert row == {"one": 1}
        assert session.count() == 1
    with pytest.raises(SessionClosedError, match="pool"):
        session.count()
    for arguments in ({"pool": 5}, {"pool": pool, "connection_string": database}, {}):
        with pytest.raises(ValidationError):
            PostgresStore(**arguments)
    with pytest.raises(ValidationError, match="AsyncConnectionPool"):
        AsyncPostgresStore(pool=pool)  # type: ignore[arg-type]


async def test_a_given_pool_is_used_as_it_is_and_stays_open_async(database: str) -> None:
    async with AsyncConnectionPool(database, min_size=1, max_size=2, open=False) as pool:
        session = AsyncPostgresSession(pool=pool, session_id="s")
        await asyncio.gather(*(session.add_message("user", number) for number in range(10)))
        await session.store.close()
        async with pool.connection() as connection:
            assert not connection.autocommit
        assert await session.count() == 10


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_child_process_has_connections_of_its_own(database: str) -> None:
    session = PostgresSession(database, "s")
    session.add_message("user", "parent")
    with psycopg.connect(database) as connection:
        before = connection.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'openstackai-sessions'")
        pids = {pid for (pid,) in before.fetchall()}
    for number in range(5):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                session.add_message("user", f"child {number}")
                status = 0 if session.count() == number + 2 else 2
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
    assert session.count() == 6
    with psycopg.connect(database) as connection:
        after = connection.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'openstackai-sessions'")
        assert pids <= {pid for (pid,) in after.fetchall()}
    session.store.close()


SCHEMAS = [
    'we"ird', "SELECT", "a.b", "%s", "%(version)s", "ünïcode", "{schema}", "{quote}", "x; DROP TABLE y", "x" * 63, "$$",
    "a$function$b", "$function$function1$function2$", "it's\\",
]  # fmt: skip


def use_everything(store: PostgresStore) -> None:
    session = store.session("s")
    session.add_messages([{"n": number} for number in range(20)])
    session.add_message("user", "one")
    session.set("key", 1)
    session.pop_message()
    assert [info.id for info in store.list_sessions("s")] == ["s"]
    session.import_data(session.export())
    assert session.count() == 20
    session.clear()
    session.delete()
    assert store.purge_expired() == 0


@pytest.mark.parametrize("schema", SCHEMAS)
def test_any_schema_name_is_quoted(database: str, schema: str) -> None:
    with PostgresStore(database, schema=schema) as store, PostgresStore(database) as other:
        store.session("there").set("key", 1)
        use_everything(store)
        assert other.list_sessions() == []


@pytest.mark.parametrize("schema", SCHEMAS)
def test_the_sql_of_any_schema_name_makes_what_a_store_makes(database: str, schema: str) -> None:
    def made(admin: psycopg.Connection[tuple[object, ...]]) -> list[tuple[object, ...]]:
        name = sql.Literal(schema)
        functions = sql.SQL(
            "SELECT p.proname, p.prosrc FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
            " WHERE n.nspname = {} ORDER BY 1"
        )
        versions = sql.SQL("SELECT version FROM {}.migrations").format(sql.Identifier(schema))
        return [*admin.execute(functions.format(name)).fetchall(), *admin.execute(versions).fetchall()]

    with psycopg.connect(database, autocommit=True) as admin, PostgresStore(database, schema=schema) as store:
        store.session("s").count()
        by_the_store = made(admin)
        admin.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
        admin.execute(schema_sql(schema).encode())
        assert made(admin) == by_the_store
        assert len(by_the_store) > 7
        use_everything(store)


def test_the_documented_partitions_hold_sessions(database: str) -> None:
    """The statement of the documentation instead of ours, word for word, its list of partitions completed."""
    page = (ROOT / "docs/backends/postgres.md").read_text("utf-8")
    found = re.search(r"```sql\n(CREATE TABLE \S+\.messages \(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert found is not None
    table, mark, part = found[1].partition("CREATE TABLE openstackai_sessions.messages_0")
    documented = table + "".join(
        (mark + part.partition(";")[0])
        .replace("messages_0", f"messages_{number}")
        .replace("REMAINDER 0", f"REMAINDER {number}")
        + ";\n"
        for number in range(4)
    )
    ours = r'^CREATE TABLE "openstackai_sessions"\.messages \(.*?^\);'
    script, changed = re.subn(ours, lambda _: documented, schema_sql(), flags=re.MULTILINE | re.DOTALL)
    assert changed == 1
    with psycopg.connect(database, autocommit=True) as admin, PostgresStore(database) as store:
        admin.execute(script.encode())
        for number in range(40):
            store.session(f"session-{number}").add_messages([{"n": n} for n in range(10)])
        assert [info.message_count for info in store.list_sessions()] == [10] * 40
        popped = store.session("session-7").pop_message()
        assert popped is not None
        assert popped["n"] == 9
        store.session("session-8").delete()
        parts = admin.execute("SELECT count(DISTINCT tableoid) FROM openstackai_sessions.messages").fetchone()
    assert parts == (4,)


@pytest.mark.parametrize("schema", ["", "x" * 64, "pg_x", "information_schema", "a\x00b", 5, None])
def test_bad_schema_names_are_refused(schema: object) -> None:
    with pytest.raises(ValidationError, match="schema"):
        PostgresStore("postgresql://localhost/x", schema=schema)  # type: ignore[arg-type]


def test_a_role_without_rights_needs_no_more_than_the_documented_ones(server: Server, database: str) -> None:
    role = f"app_{os.urandom(4).hex()}"
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'secret'").format(sql.Identifier(role)))
        url = as_user(database, role, "secret")
        try:
            store = PostgresStore(url)
            with pytest.raises(BackendError, match="schema_sql"):
                store.session("s").add_message("user", "Hello")
            admin.execute(schema_sql())
            for statement in (
                "GRANT USAGE ON SCHEMA openstackai_sessions TO {}",
                "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA openstackai_sessions TO {}",
                "REVOKE INSERT, UPDATE, DELETE ON openstackai_sessions.migrations FROM {}",
            ):
                admin.execute(sql.SQL(statement).format(sql.Identifier(role)))
            session = store.session("s")
            session.add_message("user", "Hello")
            session.add_messages([{"n": number} for number in range(20)])
            session.set("key", 1)
            session.pop_message()
            session.import_data(session.export())
            session.clear()
            session.delete()
            assert store.purge_expired() == 0
            assert store.list_sessions() == []
            store.close()
        finally:
            admin.execute(sql.SQL("DROP OWNED BY {0}").format(sql.Identifier(role)))
            admin.execute(sql.SQL("DROP ROLE {0}").format(sql.Identifier(role)))


def test_a_database_in_another_encoding_is_refused(server: Server) -> None:
    name = f"latin_{os.urandom(4).hex()}"
    with psycopg.connect(server.url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    try:
        with pytest.raises(SessionError, match="UTF8"):
            PostgresStore(server.url_of(name)).session("s").count()
    finally:
        server.drop_database(name)


def test_no_password_shows_in_any_error_log_or_repr(
    database: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "psycopg")
    role = f"canary_{os.urandom(4).hex()}"
    parts = urlsplit(database)
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(
            sql.SQL("CREATE ROLE {} LOGIN SUPERUSER PASSWORD {}").format(sql.Identifier(role), sql.Literal(CANARY))
        )
    good = as_user(database, role, QUOTED)
    proxy = Proxy(good)
    netloc = f"{role}:{QUOTED}@127.0.0.1"
    said: list[str] = []

    def note(call: object) -> None:
        try:
            call()  # type: ignore[operator]
        except Exception as error:  # noqa: BLE001 - every one of them is looked at
            said.extend(traceback.format_exception(error))
            link: BaseException | None = error
            while link is not None:
                said.extend((repr(link), str(link), repr(link.args)))
                link = link.__cause__ or link.__context__

    bad_urls = [
        f"postgresql://{role}:{CANARY}@127.0.0.1/x",
        f"postgresql://{netloc}:abc/x",
        f"postgresql://{netloc}/x?nosuch={QUOTED}",
        f"postgresql://{netloc}/x?sslmode=nosuch",
        f"mysql://{netloc}/x",
        f"{netloc}/x",
        f"host=127.0.0.1 password='{CANARY}' nosuch=1",
        f"host=127.0.0.1 password='{CANARY}",
        f"postgresql://{netloc}:{free_port()}/x",
        f"postgresql://{netloc}:{parts.port or 5432}/nosuch-{QUOTED}",
        f"postgresql://{role}:wrong-{QUOTED}@127.0.0.1:{parts.port or 5432}/postgres",
        f"postgresql://{role}:{QUOTED}@{QUOTED}.invalid/x",
    ]
    for url in bad_urls:
        note(lambda url=url: PostgresStore(url, retry_timeout=0).session("s").count())
        note(lambda url=url: open_store(url))
        note(lambda url=url: asyncio.run(AsyncPostgresStore(url, retry_timeout=0).session("s").count()))
    store = PostgresStore(proxy.url, retry_timeout=0)
    session = store.session("s")
    said += [repr(store), str(store), repr(session), repr(vars(store))]
    session.add_message("user", "Hello")
    said += [repr(store), repr(vars(next(iter(store._homes.values()))))]
    proxy.cut_replies = 1
    note(lambda: session.add_message("user", "Hello"))
    proxy.close()
    note(session.count)
    store.close()
    note(session.count)
    said += [record.getMessage() + str(record.exc_info) for record in caplog.records]
    said += list(capfd.readouterr())
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP OWNED BY {0} CASCADE; DROP ROLE {0}").format(sql.Identifier(role)))
    assert len(said) > 100
    for text in said:
        # The tests' own variables hold it; the library's must not.
        lines = [line for line in text.splitlines() if "canary-Zq7" in line]
        assert not lines, lines


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="this system does not list threads")
def test_a_closed_store_leaves_no_thread_that_a_fork_could_catch_ending(database: str) -> None:
    """A thread that the system has not ended yet may hold OpenSSL's lock, which a forked child finds taken for ever."""
    for _ in range(40):
        before = {thread.native_id for thread in threading.enumerate()}
        with PostgresStore(database) as store:
            store.session("s").count()
            ours = {thread.native_id for thread in threading.enumerate()} - before
        assert ours
        assert not [id for id in ours if Path(f"/proc/self/task/{id}").exists()]


def test_no_password_shows_when_the_pool_is_empty_or_the_server_dies(
    own_server: OwnServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "psycopg")
    with psycopg.connect(own_server.url, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE ROLE canary LOGIN SUPERUSER PASSWORD {}").format(sql.Literal(CANARY)))
    url = as_user(own_server.url, "canary", QUOTED)
    errors: list[SessionError] = []
    shown: list[str] = []

    def note(call: Callable[[], object]) -> None:
        with pytest.raises((SessionError, TypeError)) as caught:
            call()
        errors.extend([caught.value] if isinstance(caught.value, SessionError) else [])
        shown.append(everything_shown(caught.value))

    async def on_a_loop(calls: int) -> None:
        async with AsyncPostgresStore(url, retry_timeout=0, timeout=2) as store:
            for _ in range(calls):
                await store.session("s").add_message("user", "Hello")

    store = PostgresStore(url, retry_timeout=0, timeout=2, pool_max_size=1, pool_timeout=0.2)
    session = store.session("s")
    session.add_message("user", "Hello")
    with warnings.catch_warnings(record=True) as warned, closing(psycopg.connect(own_server.url)) as holder:
        warnings.simplefilter("always")
        holder.execute("SELECT FROM openstackai_sessions.sessions WHERE session_id = 's' FOR UPDATE")
        with ThreadPoolExecutor(1) as executor:
            waiting = executor.submit(session.add_message, "user", "waits")
            wait_for_a_lock(own_server.url)
            note(session.count)
            own_server.kill()
            note(waiting.result)
        for _ in range(2):
            note(session.count)
            note(lambda: session.add_message("user", "lost"))
            note(lambda: asyncio.run(on_a_loop(1)))
        note(lambda: pickle.dumps(session))
        note(lambda: pickle.dumps(store))
        shown += [repr(store), repr(session), *(str(warning.message) for warning in warned)]
    store.close()
    shown += [f"{record.getMessage()} {record.args!r} {record.exc_info!r}" for record in caplog.records]
    kinds = {type(error) for error in errors}
    assert kinds == {PoolTimeoutError, OutcomeUnknownError, BackendUnavailableError}
    assert "psycopg.pool" in {record.name for record in caplog.records}
    assert not [line for text in shown for line in text.splitlines() if "canary-Zq7" in line]


def test_a_pool_of_ours_does_not_warn_of_a_server_that_is_away(
    own_server: OwnServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Who called gets the error, or never notices; a pool of the application's own warns as ever."""
    with PostgresStore(own_server.url, retry_timeout=0) as store:
        store.session("s").add_message("user", "Hello")
        own_server.stop()
        for _ in range(2):
            with pytest.raises(BackendError):
                store.session("s").count()
        own_server.start()
        assert store.session("s").count() == 1
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    away = f"postgresql://postgres@127.0.0.1:{free_port()}/postgres"
    with (
        ConnectionPool(away, min_size=1, open=True, name="theirs", reconnect_timeout=0) as pool,
        pytest.raises(PoolTimeout),
    ):
        pool.getconn(timeout=0.3)
    assert "theirs" in caplog.text


@pytest.mark.skipif(find_pgbouncer() is None, reason="PgBouncer is not on this machine")
def test_behind_a_pooler_nothing_is_prepared(server: Server, database: str) -> None:
    bouncer = make_pgbouncer(server, pool_size=2)
    try:
        store = PostgresStore(Server(bouncer.url, "").url_of(urlsplit(database).path[1:]))
        session = store.session("s")
        for number in range(30):
            session.add_message("user", number)
            session.get_messages(3)
        store.close()
    finally:
        bouncer.remove()
    direct = PostgresStore(database)
    direct.session("s").add_message("user", "direct")
    homes = list(direct._homes.values())
    assert set(homes[0]._direct.values()) == {True}
    assert set(store._homes) == set()
    assert direct.session("s").count() == 31
    direct.close()


def test_a_window_of_a_long_conversation_is_not_planned_at_each_read(database: str) -> None:
    with ConnectionPool(database, min_size=1, max_size=1, open=True, kwargs={"autocommit": True}) as pool:
        session = PostgresSession(pool=pool, session_id="long")
        session.add_messages([{"n": number, "text": "x" * 300} for number in range(6_000)])
        with pool.connection() as connection:
            connection.execute("VACUUM ANALYZE")
        for limit in (1, 20, 50, 100) * 10:
            assert [message["n"] for message in session.get_messages(limit)] == [*range(6_000)][-limit:]
        with pool.connection() as connection:
            plans = connection.execute(
                "SELECT custom_plans, generic_plans FROM pg_prepared_statements WHERE statement LIKE '%m.position <%'"
            ).fetchall()
    # The server plans the first five anew, to compare.
    assert plans == [(5, 35)]


async def test_ten_thousand_messages_do_not_hold_up_the_event_loop(database: str) -> None:
    """By the time that the loop's thread computes, and by how quick it is: the load of the machine is not ours."""
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            began = time.thread_time()
            await asyncio.sleep(0.001)
            longest = max(longest, time.thread_time() - began)

    batch: list[dict[str, JSONValue]] = [
        {"role": "user", "content": "x" * 200, "n": number} for number in range(10_000)
    ]
    began = time.thread_time()
    for message in batch:
        json.loads(json.dumps(message))
    most = max(0.05, time.thread_time() - began)
    async with AsyncPostgresStore(database) as store:
        blocked = []
        for attempt in range(3):
            session = store.session(f"session-{attempt}")
            longest = 0.0
            ticking = asyncio.create_task(tick())
            await session.add_messages(batch)
            assert await session.count() == 10_000
            ticking.cancel()
            blocked.append(longest)
    assert min(blocked) < most, (blocked, most)


def test_what_is_stored_is_plain_rows(database: str) -> None:
    with PostgresStore(database) as store:
        session = store.session("user-123", ttl=3600)
        session.add_message("user", "Hällo \x00", id="mine", op_id="op")
        session.set("user_name", "Alice")
        with psycopg.connect(database) as connection:
            execute = connection.execute
            assert execute("SELECT session_id, position, id, data FROM openstackai_sessions.messages").fetchall() == [
                ("user-123", 1, "mine", '{"role":"user","content":"Hällo \\u0000"}')
            ]
            assert execute("SELECT * FROM openstackai_sessions.metadata").fetchall() == [
                ("user-123", "user_name", '"Alice"')
            ]
            assert execute(
                "SELECT session_id, alive, next_position, message_count, metadata_bytes, ttl, deadline - updated_at"
                " FROM openstackai_sessions.sessions"
            ).fetchall() == [("user-123", True, 2, 1, 16, 3_600_000_000, 3_600_000_000)]
            assert execute(
                "SELECT op_id, length(digest), applied, first_position, ids, forget_at - at"
                " FROM openstackai_sessions.operations WHERE op_id = 'op'"
            ).fetchall() == [("op", 16, True, 1, ["mine"], 600_000_000)]


def test_purge_leaves_nothing_of_what_has_expired(database: str) -> None:
    with PostgresStore(database) as store:
        for number in range(150):
            store.session(f"gone-{number}", ttl=0.001).add_messages([{"n": 1}] * 3)
        store.session("here", ttl=3600).add_message("user", "Hello")
        assert [info.id for info in store.list_sessions()] == ["here"]
        store.purge_expired()
        with psycopg.connect(database, autocommit=True) as connection:
            count = connection.execute("SELECT count(*) FROM openstackai_sessions.messages").fetchone()
            assert count == (1,)
            connection.execute("UPDATE openstackai_sessions.operations SET forget_at = 0")
            connection.execute("UPDATE openstackai_sessions.sessions SET sweep_at = 0 WHERE NOT alive")
            assert store.purge_expired() == 0
            for table, rows in (("sessions", 1), ("messages", 1), ("operations", 0)):
                found = connection.execute(f"SELECT count(*) FROM openstackai_sessions.{table}").fetchone()  # noqa: S608
                assert found == (rows,)


def test_a_big_import_is_one_step(database: str) -> None:
    with PostgresStore(database) as store:
        source = store.session("source")
        for start in range(0, 12_000, 6_000):
            source.add_messages([{"n": start + number} for number in range(6_000)])
        source.set("key", "value")
        document = source.export()
        target = store.session("target")
        target.add_message("user", "before")
        target.import_data(document, op_id="big")
        target.import_data(document, op_id="big")
        assert {**target.export(), "session_id": "source"} == document
        target.import_data(document, mode="append")
        assert target.count() == 12_000
        messages = document["messages"]
        assert isinstance(messages, list)
        changed = [*messages[:-1], {**messages[-1], "data": {"n": "other"}}]  # type: ignore[dict-item]
        fresh = [{**message, "id": f"new-{number}"} for number, message in enumerate(messages)]  # type: ignore[dict-item]
        with pytest.raises(SessionError, match="another content"):
            target.import_data({**document, "messages": [*fresh, *changed[-1:]]}, mode="append")
        assert target.count() == 12_000


ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = ["docs/backends/postgres.md", "packages/openstackai-sessions-postgres/README.md"]


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_the_documentation_run(database: str, page: str) -> None:
    """Each as written, but for the server, and once more with the names of the asynchronous side awaited."""
    examples = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert examples
    parts = urlsplit(database)
    keywords = (
        f"host={parts.hostname} port={parts.port or 5432} user={parts.username} password={parts.password or 'none'}"
        f" dbname={parts.path[1:]}"
    )
    for example in examples:
        source = example.replace("postgresql://user:pass@host:5432/db", database)
        source = source.replace("postgresql://user:pass@host/db", database).replace("sslmode=verify-full&", "")
        exec(source.replace("host=/run/postgresql dbname=app", keywords), {})  # noqa: S102 - our own documentation
    assert PostgresSession(database, "user-123").get_messages()[0] == {"role": "user", "content": "Hello"}


async def test_the_documented_page_runs_on_the_asynchronous_side(database: str) -> None:
    session = AsyncPostgresSession(connection_string=database, session_id="user-123")
    await session.add_message("user", "Hello")
    await session.add_message("assistant", "Hi there!")
    assert [message.role for message in await session.get_messages()] == ["user", "assistant"]
    await session.set("preferences", {"theme": "dark"})
    assert await session.get("preferences") == {"theme": "dark"}
    data = await session.export()
    await session.clear()
    await session.import_data(data)
    assert await session.count() == 2
    await session.store.close()
