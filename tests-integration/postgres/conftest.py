"""Real servers for the PostgreSQL tests: one version, or with INTEGRATION_FULL=1 every one found, and PgBouncer."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack

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
    return [*_choices(), *pooled] if FULL else _choices()


def pytest_report_header() -> str:
    found = ", ".join(f"{binaries.version} ({binaries.source})" for binaries in find_binaries()) or "none"
    given = "given by URL, " if os.environ.get("TEST_POSTGRES_URL") else ""
    engine = "container engine, " if engine_answers() else ""
    return f"PostgreSQL: {given}{engine}binaries {found}; PgBouncer: {find_pgbouncer() or 'not found, left out'}"


def give_up(reason: str) -> None:
    """Without a server: a failure where CI is set, a skip with its reason elsewhere."""
    if os.environ.get("CI"):
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
                    raise
                self[name] = server
                return server

        yield Servers()


@pytest.fixture(scope="session", params=_choices())
def server(request: pytest.FixtureRequest, servers: dict[str, Server]) -> Server:
    """A server that tests share."""
    return servers[request.param]


@pytest.fixture(scope="session", params=_behind())
def way(request: pytest.FixtureRequest, servers: dict[str, Server]) -> Iterator[tuple[str, str]]:
    """A way to a database: its URL, and a superuser's URL that goes to the server itself."""
    name: str = request.param
    server = servers[_choices()[0] if name == "pgbouncer" else name]
    database = f"behaviour_{uuid.uuid4().hex[:12]}"
    admin = server.create_database(database)
    with ExitStack() as stack:
        stack.callback(server.drop_database, database)
        if name == "pgbouncer":
            bouncer = make_pgbouncer(server)
            stack.callback(bouncer.remove)
            yield Server(bouncer.url, name).url_of(database), admin
        else:
            yield admin, admin


@pytest.fixture
def place(way: tuple[str, str]) -> Iterator[PostgresPlace]:
    """A schema of its own."""
    place = PostgresPlace(*way)
    yield place
    place.clean()


@pytest.fixture
def new_place(way: tuple[str, str]) -> Iterator[Callable[[], PostgresPlace]]:
    """Makes more schemas."""
    with ExitStack() as stack:

        def make() -> PostgresPlace:
            place = PostgresPlace(*way)
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


@pytest.fixture
def own_server() -> Iterator[OwnServer]:
    """A server that the test may break."""
    found = find_binaries()
    if not found:
        give_up("no binaries of PostgreSQL, which a test that breaks a server needs")
    server = make_server(found[0])
    yield server
    server.remove()
