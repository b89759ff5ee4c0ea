"""Servers and wires that fail."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from openstackai_sessions_core import (
    BackendError,
    BackendUnavailableError,
    CorruptDataError,
    OutcomeUnknownError,
    PoolTimeoutError,
    ReadOnlyError,
    SchemaVersionError,
    SessionClosedError,
    SessionEvent,
    StorageFullError,
)
from openstackai_sessions_postgres import AsyncPostgresStore, PostgresStore
from openstackai_sessions_postgres._home import Home
from postgres.locks import wait_for_a_lock
from postgres.proxy import Proxy
from servers.postgres import PASSWORD, OwnServer, free_port, make_replica


@pytest.fixture
def proxy(database: str) -> Iterator[Proxy]:
    proxy = Proxy(database)
    yield proxy
    proxy.close()


def test_a_write_whose_reply_is_lost_lands_once(proxy: Proxy) -> None:
    store = PostgresStore(proxy.url)
    session = store.session("s")
    fired: list[object] = []
    session.on(SessionEvent.MESSAGE_ADDED, fired.append)
    session.on(SessionEvent.MESSAGE_REMOVED, fired.append)
    session.add_message("user", "first")
    for number in range(10):
        proxy.cut_replies = 1
        assert session.add_message("user", number).content == number
    assert [message.content for message in session.get_messages()] == ["first", *range(10)]
    proxy.cut_replies = 1
    popped = session.pop_message()
    assert popped is not None
    assert popped.content == 9
    assert session.count() == 10
    assert len(fired) == 12
    store.close()


async def test_a_write_whose_reply_is_lost_lands_once_async(proxy: Proxy) -> None:
    store = AsyncPostgresStore(proxy.url)
    session = store.session("s")
    await session.add_message("user", "first")
    for number in range(10):
        proxy.cut_replies = 1
        assert (await session.add_messages([{"n": number}] * 7))[0].position == 2 + 7 * number
    assert await session.count() == 71
    await store.close()


def test_without_retries_a_lost_reply_is_reported_and_can_be_repeated(proxy: Proxy) -> None:
    store = PostgresStore(proxy.url, retry_timeout=0)
    session = store.session("s")
    session.add_message("user", "first")
    proxy.cut_replies = 1
    with pytest.raises(OutcomeUnknownError) as caught:
        session.add_message("user", "second")
    assert caught.value.op_id is not None
    session.add_message("user", "second", op_id=caught.value.op_id)
    assert [message.content for message in session.get_messages()] == ["first", "second"]
    proxy.cut_replies = 1
    with pytest.raises(BackendUnavailableError):
        session.get_messages()
    assert session.count() == 2
    store.close()


def test_connections_cut_while_idle_are_replaced_unnoticed(proxy: Proxy) -> None:
    store = PostgresStore(proxy.url, retry_timeout=0)
    session = store.session("s")
    for number in range(5):
        session.add_message("user", number)
        proxy.drop()
        time.sleep(0.05)
    assert session.count() == 5
    store.close()


async def test_connections_cut_while_idle_are_replaced_unnoticed_async(proxy: Proxy) -> None:
    store = AsyncPostgresStore(proxy.url, retry_timeout=0)
    session = store.session("s")
    for number in range(5):
        await session.add_message("user", number)
        proxy.drop()
        await asyncio.sleep(0.05)
    assert await session.count() == 5
    await store.close()


def test_a_silent_server_does_not_hold_a_call_for_ever(proxy: Proxy) -> None:
    store = PostgresStore(proxy.url, retry_timeout=0, timeout=1.5)
    session = store.session("s")
    session.add_message("user", "first")
    proxy.silent = True
    began = time.monotonic()
    with pytest.raises(OutcomeUnknownError):
        session.add_message("user", "second")
    with pytest.raises(BackendUnavailableError):
        session.get_messages()
    assert time.monotonic() - began < 10
    proxy.silent = False
    proxy.drop()
    assert session.count() == 1
    store.close()


async def test_a_silent_server_does_not_hold_a_call_for_ever_async(proxy: Proxy) -> None:
    store = AsyncPostgresStore(proxy.url, retry_timeout=0, timeout=1.5)
    session = store.session("s")
    await session.add_message("user", "first")
    proxy.silent = True
    began = time.monotonic()
    with pytest.raises(OutcomeUnknownError):
        await session.add_message("user", "second")
    with pytest.raises(BackendUnavailableError):
        await session.get_messages()
    assert time.monotonic() - began < 10
    proxy.silent = False
    proxy.drop()
    assert await session.count() == 1
    await store.close()


def test_calls_that_wait_for_a_silent_server_together_fail_together(proxy: Proxy) -> None:
    proxy.deaf = True
    store = PostgresStore(proxy.url, retry_timeout=0, timeout=1)

    def call(number: int) -> None:
        with pytest.raises(BackendUnavailableError):
            store.session(f"s{number}").count()

    began = time.monotonic()
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(call, range(6)))
    assert time.monotonic() - began < 5  # one after the other, they would take six seconds
    proxy.deaf = False
    proxy.drop()
    patient = PostgresStore(proxy.url)
    assert patient.session("s").count() == 0
    for attempt in range(5):
        try:
            assert store.session("s").count() == 0
            break
        except BackendUnavailableError:
            assert attempt < 4
    patient.close()
    store.close()


async def test_calls_that_wait_for_a_silent_server_together_fail_together_async(proxy: Proxy) -> None:
    proxy.deaf = True
    store = AsyncPostgresStore(proxy.url, retry_timeout=0, timeout=1)
    began = time.monotonic()
    calls = [store.session(f"s{number}").count() for number in range(6)]
    failures = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(failure) for failure in failures} == {BackendUnavailableError}
    assert time.monotonic() - began < 5  # one after the other, they would take six seconds
    proxy.deaf = False
    proxy.drop()
    patient = AsyncPostgresStore(proxy.url)
    assert await patient.session("s").count() == 0
    for attempt in range(5):
        try:
            assert await store.session("s").count() == 0
            break
        except BackendUnavailableError:
            assert attempt < 4
    await patient.close()
    await store.close()


def test_a_call_takes_a_connection_that_came_free_while_another_could_not_be_made(proxy: Proxy, database: str) -> None:
    store = PostgresStore(proxy.url, retry_timeout=0, timeout=10)
    for number in range(2):  # the second leaves the connection at hand
        store.session("a").add_message("user", number)
    proxy.deaf = True
    with psycopg.connect(database) as other, ThreadPoolExecutor(2) as threads:
        other.execute("SELECT FROM openstackai_sessions.sessions FOR UPDATE")
        first = threads.submit(store.session("a").add_message, "user", 2)
        time.sleep(0.2)
        second = threads.submit(store.session("b").count)
        time.sleep(0.2)
        other.rollback()
        assert first.result().content == 2
        assert second.result(timeout=3) == 0
    proxy.deaf = False
    proxy.drop()
    store.close()


async def test_a_call_takes_a_connection_that_came_free_while_another_could_not_be_made_async(
    proxy: Proxy, database: str
) -> None:
    store = AsyncPostgresStore(proxy.url, retry_timeout=0, timeout=10)
    for number in range(2):  # the second leaves the connection at hand
        await store.session("a").add_message("user", number)
    proxy.deaf = True
    with psycopg.connect(database) as other:
        other.execute("SELECT FROM openstackai_sessions.sessions FOR UPDATE")
        first = asyncio.create_task(store.session("a").add_message("user", 2))
        await asyncio.sleep(0.2)
        second = asyncio.create_task(store.session("b").count())
        await asyncio.sleep(0.2)
        other.rollback()
    assert (await first).content == 2
    assert await asyncio.wait_for(second, 3) == 0
    proxy.deaf = False
    proxy.drop()
    await store.close()


def test_a_read_that_makes_the_tables_is_tried_again_where_the_reply_is_lost(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = Home._execute

    def cut(home: Home, connection: Any, statement: bytes, *rest: Any, **options: Any) -> Any:
        if statement == b"COMMIT":
            proxy.cut_replies = 1
        return execute(home, connection, statement, *rest, **options)

    monkeypatch.setattr(Home, "_execute", cut)
    with pytest.raises(BackendUnavailableError):
        PostgresStore(proxy.url, schema="one", retry_timeout=0).session("s").count()
    assert PostgresStore(proxy.url, schema="two").session("s").count() == 0


async def test_a_cancelled_write_settles_and_the_next_caller_gets_its_own_answer(database: str) -> None:
    store = AsyncPostgresStore(database, pool_max_size=2)
    session = store.session("s")
    await session.add_message("user", -1)
    for number in range(60):
        task = asyncio.create_task(session.add_messages([{"n": number, "part": part} for part in range(6)]))
        await asyncio.sleep(number % 12 * 0.0002)
        task.cancel()
        assert (await store.session("other").add_message("user", number)).content == number
        await asyncio.gather(task, return_exceptions=True)
    found = [message["n"] for message in (await session.get_messages())[1:]]
    assert all(found.count(number) in (0, 6) for number in range(60))
    await store.close()


async def test_a_write_cancelled_for_good_drops_its_connection(database: str) -> None:
    store = AsyncPostgresStore(database, timeout=0.3, pool_max_size=1)
    session = store.session("s")
    await session.add_message("user", "first")
    async with await psycopg.AsyncConnection.connect(database) as holder:
        await holder.execute("SELECT FROM openstackai_sessions.sessions WHERE session_id = 's' FOR UPDATE")
        task = asyncio.create_task(session.add_message("user", "second"))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 5)
        assert await store.session("other").count() == 0
    await store.close()


def test_a_write_that_no_answer_came_to_is_in_doubt_whatever_the_driver_says(database: str) -> None:
    """The driver may fail on a connection that it takes for a good one; the server, asked, has applied the write."""
    store = PostgresStore(database, retry_timeout=0, pool_max_size=1)
    session = store.session("s")
    session.add_message("user", "first")
    fired: list[object] = []
    session.on(SessionEvent.MESSAGE_ADDED, fired.append)
    (connection,) = store._home()._connections
    with psycopg.connect(database) as holder, ThreadPoolExecutor(1) as pool, Path(os.devnull).open("rb") as nothing:
        holder.execute("SELECT FROM openstackai_sessions.sessions WHERE session_id = 's' FOR UPDATE")
        call = pool.submit(session.add_message, "user", "second")
        wait_for_a_lock(database)
        os.dup2(nothing.fileno(), connection.fileno())
        with pytest.raises(OutcomeUnknownError) as caught:
            call.result(20)
    while session.count() < 2:
        time.sleep(0.01)
    assert session.add_message("user", "second", op_id=caught.value.op_id).content == "second"
    assert [message["content"] for message in session.get_messages()] == ["first", "second"]
    assert fired == [{"role": "user", "content": "second"}]
    store.close()


@pytest.mark.parametrize("answers", [True, False])
def test_a_loop_that_ends_while_a_pool_is_at_work_ends(database: str, *, answers: bool) -> None:
    """asyncio.run cancels each task once, wherever it waits, and a worker of a pool takes that for a failure."""
    url = database if answers else f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"

    async def leave_after(steps: int) -> None:
        call = asyncio.ensure_future(AsyncPostgresStore(url, retry_timeout=0).session("s").count())
        for _ in range(steps):
            await asyncio.sleep(0)
        assert call.cancel() or call.done()

    for steps in range(40):
        runner = threading.Thread(target=asyncio.run, args=(leave_after(steps),), daemon=True)
        runner.start()
        runner.join(10)
        assert not runner.is_alive(), f"asyncio.run never ended, {steps} steps after a call had begun"


async def test_a_store_that_is_forgotten_leaves_no_task(database: str, caplog: pytest.LogCaptureFixture) -> None:
    before = asyncio.all_tasks()
    store: AsyncPostgresStore | None = AsyncPostgresStore(database)
    assert store is not None
    assert await store.session("s").count() == 0
    assert asyncio.all_tasks() > before
    store = None
    for _ in range(100):
        gc.collect()
        await asyncio.sleep(0.01)
        if asyncio.all_tasks() == before:
            break
    assert asyncio.all_tasks() == before
    assert not caplog.records


def test_a_refused_connection_is_unavailable_and_nothing_was_applied() -> None:
    store = PostgresStore(f"postgresql://postgres@127.0.0.1:{free_port()}/postgres", retry_timeout=0)
    began = time.monotonic()
    for _ in range(2):
        with pytest.raises(BackendUnavailableError, match="cannot connect to postgresql://postgres@127"):
            store.session("s").add_message("user", "Hello")
    assert time.monotonic() - began < 5
    store.close()


async def test_a_refused_connection_is_unavailable_async() -> None:
    store = AsyncPostgresStore(f"postgresql://postgres@127.0.0.1:{free_port()}/postgres", retry_timeout=0)
    with pytest.raises(BackendUnavailableError):
        await store.session("s").add_message("user", "Hello")
    await store.close()


def test_a_wrong_password_or_database_is_told_at_once(database: str) -> None:
    wrong = database.replace("integration-secret", "canary-wrong")
    if wrong != database:
        with pytest.raises(BackendError, match="authentication") as caught:
            PostgresStore(wrong).session("s").count()
        assert not isinstance(caught.value, BackendUnavailableError)
    with pytest.raises(BackendError, match="does not exist"):
        PostgresStore(f"{database}_no").session("s").count()


NO_SUCH_THING = [
    "service=nope", "sslmode=nope", "target_session_attrs=nope", "channel_binding=nope", "load_balance_hosts=nope",
    "ssl_min_protocol_version=9", "hostaddr=nope", "hostaddr=127.0.0.1,127.0.0.2", "options=-cnope%3D1",
    "options=-cwork_mem%3Dnope", "options=-x", f"host=/{'x' * 120}",
]  # fmt: skip


@pytest.mark.parametrize("asked", NO_SUCH_THING)
async def test_what_no_later_try_will_change_is_told_at_once(database: str, asked: str) -> None:
    url = f"{database}{'&' if '?' in database else '?'}{asked}"
    began = time.monotonic()
    with pytest.raises(BackendError) as caught:
        PostgresStore(url).session("s").count()
    with pytest.raises(BackendError) as caught_async:
        await AsyncPostgresStore(url).session("s").count()
    assert {type(caught.value), type(caught_async.value)} == {BackendError}
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("name", ["PGPORT", "PGCONNECT_TIMEOUT", "PGSERVICE"])
def test_nor_is_what_the_environment_asks_for_tried_again(
    database: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "nope")
    parts = urlsplit(database)
    url = f"postgresql://{parts.username}:{parts.password}@{parts.hostname}{parts.path}"
    with pytest.raises(BackendError) as caught:
        PostgresStore(url).session("s").count()
    assert type(caught.value) is BackendError


@pytest.mark.parametrize("timeout", [2_147_484, 3e9])
async def test_the_longest_timeouts_connect(database: str, timeout: float) -> None:
    with PostgresStore(database, timeout=timeout, retry_timeout=0) as store:
        assert store.session("s").add_message("user", "Hello").position == 1
    async with AsyncPostgresStore(database, timeout=timeout, retry_timeout=0) as other:
        assert (await other.session("s").add_message("user", "Hello")).position == 2


def test_an_exhausted_pool_says_so_in_time_and_recovers(database: str) -> None:
    store = PostgresStore(database, pool_max_size=1, pool_timeout=0.3)
    session = store.session("s")
    session.add_message("user", "first")
    with psycopg.connect(database) as holder:
        holder.execute("SELECT FROM openstackai_sessions.sessions WHERE session_id = 's' FOR UPDATE")
        thread = threading.Thread(target=session.add_message, args=("user", "second"))
        thread.start()
        time.sleep(0.2)
        began = time.monotonic()
        with pytest.raises(PoolTimeoutError, match="pool_max_size"):
            session.count()
        assert 0.2 < time.monotonic() - began < 3
        holder.rollback()
    thread.join()
    assert session.count() == 2
    store.close()


async def test_an_exhausted_pool_says_so_in_time_and_recovers_async(database: str) -> None:
    store = AsyncPostgresStore(database, pool_max_size=1, pool_timeout=0.3)
    session = store.session("s")
    await session.add_message("user", "first")
    async with await psycopg.AsyncConnection.connect(database) as holder:
        await holder.execute("SELECT FROM openstackai_sessions.sessions WHERE session_id = 's' FOR UPDATE")
        task = asyncio.create_task(session.add_message("user", "second"))
        await asyncio.sleep(0.1)
        results = await asyncio.gather(*(session.count() for _ in range(5)), return_exceptions=True)
        assert [type(result) for result in results] == [PoolTimeoutError] * 5
        await holder.rollback()
    await task
    assert await session.count() == 2
    await store.close()


def test_a_restart_under_load_loses_nothing(own_server: OwnServer) -> None:
    store = PostgresStore(own_server.url)
    store.session("s").add_message("user", "first")
    stop = threading.Event()
    failures: list[BaseException] = []
    counts = [0] * 4

    def write(thread: int) -> None:
        session = store.session("s")
        try:
            while not stop.is_set():
                session.add_message("user", f"{thread}-{counts[thread]}")
                counts[thread] += 1
        except BaseException as error:  # noqa: BLE001 - whatever it is fails the test below
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    own_server.restart()
    time.sleep(0.5)
    own_server.kill()
    own_server.start()
    time.sleep(1)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    contents = [str(message.content) for message in store.session("s").get_messages()]
    assert sorted(contents) == sorted(["first", *(f"{t}-{i}" for t in range(4) for i in range(counts[t]))])
    store.close()


async def test_a_restart_is_survived_async(own_server: OwnServer) -> None:
    store = AsyncPostgresStore(own_server.url)
    session = store.session("s")
    await session.add_message("user", "first")
    own_server.kill()
    task = asyncio.create_task(session.add_message("user", "second"))
    await asyncio.to_thread(own_server.start)
    await task
    assert await session.count() == 2
    await store.close()


def test_a_read_only_server_reads_and_says_that_it_cannot_write(database: str) -> None:
    PostgresStore(database).session("s").add_message("user", "Hello")
    separator = "&" if "?" in database else "?"
    store = PostgresStore(f"{database}{separator}options=-cdefault_transaction_read_only%3Don", retry_timeout=0)
    session = store.session("s")
    assert [message.content for message in session.get_messages()] == ["Hello"]
    with pytest.raises(ReadOnlyError):
        session.add_message("user", "no")
    with pytest.raises(ReadOnlyError):
        session.clear()
    assert len(store.list_sessions()) == 1
    assert session.count() == 1
    store.close()


def test_a_read_only_server_without_tables_holds_nothing(database: str) -> None:
    separator = "&" if "?" in database else "?"
    with PostgresStore(f"{database}{separator}options=-cdefault_transaction_read_only%3Don", retry_timeout=0) as store:
        session = store.session("s")
        assert session.get_messages() == []
        assert (session.count(), session.metadata(), session.export()["messages"]) == (0, {}, [])
        assert list(session.iter_messages()) == []
        assert store.list_sessions() == []
        with pytest.raises(ReadOnlyError):
            session.add_message("user", "no")
        PostgresStore(database).session("s").add_message("user", "Hello")
        assert session.count() == 1


@pytest.fixture
def replica(own_server: OwnServer) -> Iterator[OwnServer]:
    replica = make_replica(own_server)
    yield replica
    replica.remove()


def await_replay(replica: OwnServer, messages: int) -> None:
    """Until the replica has the tables, and so many messages in them."""
    deadline = time.monotonic() + 30
    with psycopg.connect(replica.url, autocommit=True) as look:
        while time.monotonic() < deadline:
            with suppress(psycopg.errors.UndefinedTable):
                found = look.execute("SELECT count(*) FROM openstackai_sessions.messages").fetchone()
                if found == (messages,):
                    return
            time.sleep(0.02)
    raise AssertionError("the replica does not follow")


def test_a_replica_reads_and_takes_over_when_the_primary_dies(own_server: OwnServer, replica: OwnServer) -> None:
    either = (
        f"host=127.0.0.1,127.0.0.1 port={own_server.port},{replica.port} user=postgres password={PASSWORD}"
        " dbname=postgres target_session_attrs=read-write"
    )
    with PostgresStore(either) as store, PostgresStore(replica.url, retry_timeout=5) as reader:
        session, copy = store.session("s"), reader.session("s")
        session.set("key", 1)
        for number in range(20):
            session.add_message("user", number)
        await_replay(replica, 20)
        assert copy.export() == session.export()
        assert [info.id for info in reader.list_sessions()] == ["s"]
        for write in (lambda: copy.add_message("user", "no"), copy.pop_message, copy.clear, copy.delete):
            with pytest.raises(ReadOnlyError):
                write()
        with pytest.raises(ReadOnlyError):
            copy.set("key", 2)
        with ThreadPoolExecutor(1) as executor:
            own_server.stop()
            waiting = executor.submit(session.add_message, "user", "after")
            with psycopg.connect(replica.url, autocommit=True) as admin:
                admin.execute("SELECT pg_promote()")
            assert waiting.result(30).content == "after"
        assert [message.content for message in copy.get_messages()] == [*range(20), "after"]
        assert copy.add_message("user", "both now").position == 22


async def test_a_replica_refuses_writes_async(own_server: OwnServer, replica: OwnServer) -> None:
    async with AsyncPostgresStore(own_server.url) as store, AsyncPostgresStore(replica.url) as reader:
        await store.session("s").add_message("user", "Hello")
        await_replay(replica, 1)
        with pytest.raises(ReadOnlyError):
            await reader.session("s").add_message("user", "no")
        assert await reader.session("s").count() == 1


def test_a_full_disk_is_told_and_reads_go_on(database: str) -> None:
    """A server runs out of room by a rule that raises its error: the real thing needs a file system of its own."""
    store = PostgresStore(database, retry_timeout=0)
    session = store.session("s")
    session.add_message("user", "Hello")
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = '53100'; END $$"
        )
        admin.execute(
            "CREATE TRIGGER full_disk BEFORE INSERT ON openstackai_sessions.messages EXECUTE FUNCTION full_disk()"
        )
        with pytest.raises(StorageFullError):
            session.add_message("user", "no")
        with pytest.raises(StorageFullError):
            session.add_messages([{"n": 1}] * 10)
        assert session.count() == 1
        admin.execute("DROP TRIGGER full_disk ON openstackai_sessions.messages")
    session.add_message("user", "yes")
    assert session.count() == 2
    store.close()


@pytest.mark.parametrize("text", ["{broken", "[1]", '"text"', "", "{" + '"a":[' * 5000 + "]" * 5000 + "}", "null"])
def test_a_message_that_cannot_be_read_is_named_and_stays(database: str, text: str) -> None:
    store = PostgresStore(database)
    session = store.session("s")
    session.add_message("user", "first")
    session.add_message("user", "second")
    with psycopg.connect(database) as admin:
        admin.execute("UPDATE openstackai_sessions.messages SET data = %s WHERE position = 2", (text,))
    for call in (session.get_messages, session.pop_message, session.export):
        with pytest.raises(CorruptDataError) as caught:
            call()
        assert caught.value.position == 2
    assert session.count() == 2
    with psycopg.connect(database) as admin:
        admin.execute(
            "UPDATE openstackai_sessions.messages SET data = %s WHERE position = 2",
            ('{"content": "' + "[" * 100 + ' 12345678901234567890 \\ud800"}',),
        )
    popped = session.pop_message()
    assert popped is not None
    assert popped.content == "[" * 100 + " 12345678901234567890 \ud800"
    store.close()


def test_a_newer_schema_is_refused_untouched(database: str) -> None:
    PostgresStore(database).session("s").add_message("user", "Hello")
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute("INSERT INTO openstackai_sessions.migrations VALUES (99, now())")
        store = PostgresStore(database)
        for call in (store.session("s").get_messages, store.session("s").clear, store.purge_expired):
            with pytest.raises(SchemaVersionError, match="99"):
                call()
        assert admin.execute("SELECT count(*) FROM openstackai_sessions.messages").fetchone() == (1,)


def test_a_closed_store_refuses_and_is_closed_once(database: str) -> None:
    store = PostgresStore(database)
    session = store.session("s")
    session.add_message("user", "Hello")
    store.close()
    store.close()
    with pytest.raises(SessionClosedError):
        session.get_messages()


def test_unsafe_settings_of_the_server_are_reported(database: str, caplog: pytest.LogCaptureFixture) -> None:
    separator = "&" if "?" in database else "?"
    with PostgresStore(database) as store:
        assert store.durability() == "power"
    assert caplog.records == []
    with PostgresStore(f"{database}{separator}options=-csynchronous_commit%3Doff") as store:
        with caplog.at_level(logging.WARNING):
            assert store.durability() == "process"
        assert "synchronous_commit = off" in caplog.text
