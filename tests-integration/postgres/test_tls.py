"""TLS and passwords: the right certificate, wrong ones, and no way around them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from openstackai_sessions_core import BackendError, BackendUnavailableError, SessionError, open_store
from openstackai_sessions_postgres import AsyncPostgresStore, PostgresStore
from servers.postgres import PASSWORD, find_binaries, make_server
from servers.shown import everything_shown
from servers.tls import Certificates, Front

from .conftest import give_up

CANARY = "canary-Zq7/@%:x"


@pytest.fixture(scope="module", params=["the server's own", "a front"])
def tls(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Certificates, int]]:
    """Certificates, and the port of a server that takes nothing but TLS.

    What the package index offers was built without it: then a front speaks it.
    """
    files = Certificates(tmp_path_factory.mktemp("tls"))
    found = find_binaries()
    if request.param == "a front":
        if not found:
            give_up("no binaries of PostgreSQL, which a server behind a front needs")
        server = make_server(found[0])
        with contextlib.closing(Front(server.port, files, postgres=True)) as front:
            yield files, front.port
    else:
        able = [binaries for binaries in found if binaries.tls]
        if not able:
            pytest.skip("no PostgreSQL that was built with TLS; the front that speaks it is tested")
        server = make_server(able[0], tls=files)
        yield files, server.port
    server.remove()


def at(port: int, host: str = "localhost", password: str = PASSWORD, **query: object) -> str:
    parameters = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in query.items())
    return f"postgresql://postgres:{quote(password, safe='')}@{host}:{port}/postgres?{parameters}"


def count(url: str) -> int:
    with PostgresStore(url, retry_timeout=5) as store:
        return store.session("s").count()


async def async_count(url: str) -> int:
    async with AsyncPostgresStore(url, retry_timeout=5) as store:
        return await store.session("s").count()


def test_the_right_certificate_and_password(tls: tuple[Certificates, int]) -> None:
    files, port = tls
    url = at(port, sslmode="verify-full", sslrootcert=files.authority)
    with PostgresStore(url) as store:
        store.session("s").clear()
        store.session("s").add_message("user", "secret")
        assert store.session("s").count() == 1
    with open_store(f"{url}&schema=other") as opened:
        opened.session("s").set("key", 1)
    assert asyncio.run(async_count(url)) == 1
    words = f"host=localhost port={port} user=postgres password={PASSWORD} dbname=postgres sslmode=verify-full"
    assert count(f"{words} sslrootcert={files.authority}") == 1
    # The name is not looked at below verify-full, the authority not below verify-ca: so libpq documents it.
    assert count(at(port, "127.0.0.1", sslmode="verify-ca", sslrootcert=files.authority)) == 1
    assert count(at(port, sslmode="require")) == 1
    with psycopg.connect(url) as connection:
        stored = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'postgres'").fetchone()
    assert stored is not None
    assert str(stored[0]).startswith("SCRAM-SHA-256$")


def test_the_server_sees_tls_on_every_connection(tls: tuple[Certificates, int]) -> None:
    files, port = tls
    with psycopg.connect(at(port)) as look:
        if look.execute("SHOW ssl").fetchone() != ("on",):
            pytest.skip("the front ends TLS, and takes nothing else")
        with PostgresStore(
            at(port, sslmode="verify-full", sslrootcert=files.authority, channel_binding="require")
        ) as store:
            store.session("s").count()
            seen = look.execute(
                "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
                " WHERE application_name = 'openstackai-sessions'"
            ).fetchall()
    assert seen == [(True,)]


def test_a_wrong_certificate_or_name_is_refused_at_once(tls: tuple[Certificates, int], tmp_path: Path) -> None:
    files, port = tls
    wrong = [
        at(port, sslmode="verify-full", sslrootcert=files.stranger),
        at(port, sslmode="verify-ca", sslrootcert=files.stranger),
        at(port, sslmode="require", sslrootcert=files.stranger),
        at(port, "127.0.0.1", sslmode="verify-full", sslrootcert=files.authority),
        at(port, sslmode="verify-full", sslrootcert=tmp_path / "none.pem"),
        at(port, sslmode="verify-full", sslrootcert="system"),
        f"host=localhost port={port} user=postgres password={PASSWORD} sslmode=verify-ca sslrootcert={files.stranger}",
    ]
    began = time.monotonic()
    for url in wrong:
        for call in (count, lambda url: asyncio.run(async_count(url))):
            with pytest.raises(BackendError, match=r"certificate|host name") as caught:
                call(url)
            assert not isinstance(caught.value, BackendUnavailableError), "no later try would change it"
            assert PASSWORD not in everything_shown(caught.value)
    assert time.monotonic() - began < 15


def test_neither_side_falls_back_to_plain_text(tls: tuple[Certificates, int], database: str) -> None:
    _, port = tls
    with pytest.raises(BackendError):
        PostgresStore(at(port, sslmode="disable"), retry_timeout=0).session("s").count()
    # A server that has no TLS: every mode that asks for it holds.
    with psycopg.connect(database) as look:
        if look.execute("SHOW ssl").fetchone() == ("on",):
            pytest.skip("the shared server speaks TLS")
    separator = "&" if "?" in database else "?"
    for mode in ("require", "verify-ca", "verify-full"):
        with pytest.raises(BackendError, match=r"SSL|root\.crt|root certificate"):
            count(f"{database}{separator}sslmode={mode}")


def test_a_password_shows_in_no_failure_of_tls(tls: tuple[Certificates, int], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "psycopg")
    files, port = tls
    bad = [
        at(port, password=CANARY, sslmode="verify-full", sslrootcert=files.authority),
        at(port, password=CANARY, sslmode="verify-full", sslrootcert=files.stranger),
        at(port, "127.0.0.1", password=CANARY, sslmode="verify-full", sslrootcert=files.authority),
        at(port, password=CANARY, sslmode="disable"),
        at(port, password=CANARY, sslmode="verify-full", sslcert=files.certificate, sslkey=files.authority),
    ]
    shown: list[str] = []
    for url in bad:
        store = PostgresStore(url, retry_timeout=0)
        with pytest.raises(SessionError) as caught:
            store.session("s").count()
        shown += [repr(store), everything_shown(caught.value)]
        store.close()
        with pytest.raises(SessionError) as caught:
            asyncio.run(async_count(url))
        shown.append(everything_shown(caught.value))
    shown += [record.getMessage() + str(record.exc_info) for record in caplog.records]
    assert not [line for text in shown for line in text.splitlines() if "canary" in line]
