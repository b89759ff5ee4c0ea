"""Real servers for the PostgreSQL tests: one version, or with INTEGRATION_FULL=1 every one found, and PgBouncer."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from typing import NoReturn

import pytest

from openstackai_sessions_core.backend import AsyncBaseStore, BaseStore
from postgres.places import PostgresPlace
from servers.postgres import (
    Binaries,
    OwnServer,
    Server,
    any_server,
    engine_answers,
    find_binaries,
    find_pgbouncer,
    make_pgbouncer,
    make_server,
)

FULL = os.environ.get("INTEGRATION_FULL") == "1"
ANY = "any"


def _choices() -> list[str]:
    if not FULL:
        return [ANY]
    names = [binaries.name for binaries in find_binaries()]
    return names or [ANY]


def _behind() -> list[str]:
    """How the behaviour tests reach a server."""
    pooled = ["pgbouncer"] if find_pgbouncer() else []
    return [*_choices(), *pooled, "partitions"] if FULL else _choices()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what the tests ran on, and what was left out and why."""
    found = find_binaries()
    if os.environ.get("TEST_POSTGRES_URL") and not FULL:
        used = "the server of TEST_POSTGRES_URL"
    elif engine_answers() and not FULL:
        used = "a container"
    else:
        used = ", ".join(f"{one.version} ({one.source})" for one in (found if FULL else found[:1])) or "nothing"
    left_out = [] if FULL else [f"{one.version} ({one.source}): INTEGRATION_FULL=1 takes it" for one in found[1:]]
    if not FULL:
        left_out.append("partitioned tables: INTEGRATION_FULL=1 takes them")
    if find_pgbouncer() is None:
        left_out.append("PgBouncer: not on this machine")
    elif not FULL:
        left_out.append("the behaviour behind PgBouncer: INTEGRATION_FULL=1 takes it")
    if not any(one.tls for one in found):
        left_out.append("a server's own TLS: none here was built with it, a front speaks it")
    terminalreporter.section("PostgreSQL servers")
    terminalreporter.write_line(f"used: {used}")
    for line in left_out:
        terminalreporter.write_line(f"left out: {line}")


def give_up(reason: str) -> NoReturn:
    """A skip with its reason; where CI is set and there is no server at all, a failure."""
    if os.environ.get("CI") and not os.environ.get("TEST_POSTGRES_URL"):
        pytest.fail(reason)
    pytest.skip(reason)


def _binaries(name: str) -> Binaries | None:
    return next((binaries for binaries in find_binaries() if binaries.name == name), None)


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, Server]]:
    """The servers that tests share, started by their first use."""
    with ExitStack() as stack:

        class Servers(dict[str, Server]):
            def __missing__(self, name: str) -> Server:
                try:
                    server = stack.enter_context(any_server(_binaries(name)))
                except RuntimeError as error:
                    give_up(str(error))
                self[name] = server
                return server

        yield Servers()


@pytest.fixture(scope="session", params=_choices())
def server(request: pytest.FixtureRequest, servers: dict[str, Server]) -> Server:
    """A server that tests share."""
    return servers[request.param]


@pytest.fixture(scope="session", params=_behind())
def way(request: pytest.FixtureRequest, servers: dict[str, Server]) -> Iterator[Callable[[], PostgresPlace]]:
    """Makes places in a database that is reached in one of several ways."""
    name: str = request.param
    server = servers[name if name in _choices() else _choices()[0]]
    database = f"behaviour_{uuid.uuid4().hex[:12]}"
    admin = server.create_database(database)
    with ExitStack() as stack:
        stack.callback(server.drop_database, database)
        if name == "pgbouncer":
            bouncer = make_pgbouncer(server)
            stack.callback(bouncer.remove)
            url = Server(bouncer.url, name).url_of(database)
        else:
            url = admin

        def make() -> PostgresPlace:
            place = PostgresPlace(url, admin)
            if name == "partitions":
                place.partition()
            return place

        yield make


@pytest.fixture
def place(way: Callable[[], PostgresPlace]) -> Iterator[PostgresPlace]:
    """A schema of its own."""
    place = way()
    yield place
    place.clean()


@pytest.fixture
def new_place(way: Callable[[], PostgresPlace]) -> Iterator[Callable[[], PostgresPlace]]:
    """Makes more schemas."""
    with ExitStack() as stack:

        def make() -> PostgresPlace:
            place = way()
            stack.callback(place.clean)
            return place

        yield make


@pytest.fixture
def store(place: PostgresPlace) -> Iterator[BaseStore]:
    store = place.open()
    yield store
    store.close()


@pytest.fixture
async def async_store(place: PostgresPlace) -> AsyncIterator[AsyncBaseStore]:
    store = place.open_async()
    yield store
    await store.close()


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """The URL of an empty database."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield server.create_database(name)
    server.drop_database(name)


@pytest.fixture(params=_choices())
def own_server(request: pytest.FixtureRequest) -> Iterator[OwnServer]:
    """A server that the test may break."""
    found = find_binaries()
    if not found:
        give_up("no binaries of PostgreSQL, which a test that breaks a server needs")
    server = make_server(_binaries(request.param) or found[0])
    yield server
    server.remove()
