"""The PostgreSQL stores pass the suite on a server of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from conformance.postgres_place import CLAIMED, AsyncPostgresPlace, PostgresPlace
from openstackai_sessions_conformance import AsyncSessionStoreConformance, SessionStoreConformance
from servers.postgres import OwnServer, find_binaries, make_server
from servers.tls import Certificates, Front


@pytest.fixture(scope="module")
def server() -> Iterator[OwnServer]:
    found = find_binaries()
    if not found:
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up("no binaries of PostgreSQL")
    server = make_server(found[0])
    yield server
    server.remove()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def _place(kind: type[PostgresPlace], server: OwnServer, files: Certificates) -> Iterator[PostgresPlace]:
    place, front = kind(server), Front(server.port, files, postgres=True)
    place.pretend(files, front)
    yield place
    place.close()
    front.close()


class TestPostgresStore(SessionStoreConformance):
    capabilities = CLAIMED

    @pytest.fixture
    def place(self, server: OwnServer, files: Certificates) -> Iterator[PostgresPlace]:
        yield from _place(PostgresPlace, server, files)


class TestAsyncPostgresStore(AsyncSessionStoreConformance):
    capabilities = CLAIMED

    @pytest.fixture
    def place(self, server: OwnServer, files: Certificates) -> Iterator[PostgresPlace]:
        yield from _place(AsyncPostgresPlace, server, files)
