"""What is checked before any server is asked."""

from __future__ import annotations

import time
import traceback

import pytest

from openstackai_sessions_core import Limits, ValidationError, open_async_store, open_store
from openstackai_sessions_core.backend import ImportedMessage
from openstackai_sessions_postgres import (
    AsyncPostgresSession,
    AsyncPostgresStore,
    PostgresSession,
    PostgresStore,
    schema_sql,
)
from openstackai_sessions_postgres._conninfo import parse_target
from openstackai_sessions_postgres._rows import after_prefix, parts

URL = "postgresql://user:pass@host:5432/db"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "empty"),
        (5, "str"),
        ("mysql://u:canary@h/d", "postgresql://"),
        ("postgresql+asyncpg://u:canary@h/d", "leave out"),
        ("canary", "postgresql://"),
        ("postgresql://u:can@ary@h/d", "%40"),
        ("postgresql://u:can/ary@h/d", "%40"),
        ("postgresql://u:canary%zz@h/d", "%25"),
        ("postgresql://u:canary@h:port/d", "port"),
        ("postgresql://u:canary@h/d?nosuch=canary", "nosuch"),
        ("postgresql://u:can ary@h/d", "%20"),
        ("host=h password='canary", "manual|quotes"),
        ("host=h nosuch=canary", "read"),
        ("postgresql://u:canary\n@h/d", "control"),
        ("postgresql://u:canary@h:99999/d", "port"),
        ("postgresql://u:canary@h:1,h:0/d", "port"),
        ("host=h port=canary", "port"),
        ("postgresql://u:canary@h/d?connect_timeout=abc", "connect_timeout"),
        ("postgresql://u:canary@h/d?connect_timeout=inf", "connect_timeout"),
        ("host=h connect_timeout=''", "connect_timeout"),
        ("postgresql://u:canary@h/d?keepalives=abc", "keepalives"),
        ("postgresql://u:canary@h/d?keepalives_idle=1.5", "keepalives_idle"),
        ("postgresql://u:canary@h/d?tcp_user_timeout=2147483648", "tcp_user_timeout"),
    ],
)
def test_a_bad_connection_string_says_what_to_write_and_is_not_quoted(text: object, hint: str) -> None:
    for make in (PostgresStore, AsyncPostgresStore):
        with pytest.raises(ValidationError, match=hint) as caught:
            make(text)  # type: ignore[arg-type]
        shown = "".join(traceback.format_exception(caught.value))
        said = [str(caught.value), repr(caught.value), str(caught.value.__cause__), str(caught.value.__context__)]
        assert "canary" not in "".join(said)
        assert "canary" not in shown


def test_parameters_of_libpq_are_kept() -> None:
    target = parse_target(
        "postgresql://u:p%40ss@a,b:5433/d?sslmode=verify-full&sslrootcert=/ca.pem&target_session_attrs=any"
    )
    assert dict(target.parameters) == {
        "user": "u",
        "password": "p@ss",
        "host": "a,b",
        "port": ",5433",
        "dbname": "d",
        "sslmode": "verify-full",
        "sslrootcert": "/ca.pem",
        "target_session_attrs": "any",
    }
    assert str(target) == "postgresql://u@a,b:5433/d"
    assert "p@ss" not in repr(target)
    assert parse_target("host=/run/postgresql dbname=d").parameters == {"host": "/run/postgresql", "dbname": "d"}
    assert str(parse_target("postgresql://[::1]:5432/d")) == "postgresql://[::1]:5432/d"


def test_numbers_that_a_driver_takes_are_kept() -> None:
    text = f"{URL}?connect_timeout=2.5&keepalives_idle=+30&keepalives_count=0&tcp_user_timeout=2147483647"
    assert parse_target(text).parameters["connect_timeout"] == "2.5"
    assert parse_target("host=a,b port=,65535").parameters["port"] == ",65535"


@pytest.mark.parametrize(
    "arguments",
    [
        {"pool_min_size": -1},
        {"pool_min_size": 11},
        {"pool_max_size": 0},
        {"pool_max_size": True},
        {"pool_max_size": 2.0},
        {"pool_timeout": 0},
        {"pool_timeout": "1"},
        {"pool_timeout": float("nan")},
        {"timeout": 0},
        {"retry_timeout": -1},
        {"op_id_ttl": 29},
        {"limits": {}},
        {"limits": Limits(id_bytes=2_001)},
        {"ttl": 0},
    ],
)
def test_bad_settings_are_refused(arguments: dict[str, object]) -> None:
    for session in (PostgresSession, AsyncPostgresSession):
        with pytest.raises(ValidationError):
            session(URL, "s", **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ({"timeout": 1.0}, {"timeout": True}),
        ({"pool_timeout": 1.0}, {"pool_timeout": True}),
        ({"pool_max_size": 1}, {"pool_max_size": True}),
        ({"pool_max_size": 2}, {"pool_max_size": 2.0}),
        ({"pool_min_size": 0}, {"pool_min_size": False}),
    ],
)
def test_a_bad_setting_is_refused_beside_an_equal_good_one(good: dict[str, object], bad: dict[str, object]) -> None:
    for session in (PostgresSession, AsyncPostgresSession):
        handle = session(URL, "s", **good)  # type: ignore[arg-type]
        with pytest.raises(ValidationError):
            session(URL, "s", **bad)  # type: ignore[arg-type]
        assert session(URL, "t", **good).store is handle.store  # type: ignore[arg-type]


def test_equal_numbers_of_seconds_share_a_store() -> None:
    handle = PostgresSession(URL, "s", timeout=20.0)
    assert PostgresSession(URL, "s", timeout=20).store is handle.store


def test_a_session_id_is_required() -> None:
    for session in (PostgresSession, AsyncPostgresSession):
        with pytest.raises(ValidationError, match="session_id is required"):
            session(URL)
        with pytest.raises(ValidationError, match="connection_string is required"):
            session(session_id="s")


def test_making_a_handle_costs_microseconds_and_opens_nothing() -> None:
    PostgresSession(URL, "s")
    began = time.perf_counter()
    handles = [PostgresSession(connection_string=URL, session_id=f"s{number}", ttl=60) for number in range(1_000)]
    assert (time.perf_counter() - began) / 1_000 < 0.001
    assert len({id(handle.store) for handle in handles}) == 1
    assert PostgresSession(URL, "s", schema="other").store is not handles[0].store


def test_no_repr_shows_a_password() -> None:
    for store in (PostgresStore(URL), AsyncPostgresStore(URL), PostgresSession(URL, "s").store):
        assert "pass" not in repr(store)
        assert "host:5432/db" in repr(store)
        assert "pass'" not in repr(vars(store))


def test_a_store_whose_arguments_were_refused_can_be_printed() -> None:
    for kind in (PostgresStore, AsyncPostgresStore):
        store = kind.__new__(kind)
        with pytest.raises(ValidationError):
            store.__init__(URL, timeout=0)  # type: ignore[misc]
        assert repr(store) == f"<{kind.__name__}>"


@pytest.mark.parametrize("timeout", [0.001, 2_147_483, 2_147_484, 3e9])
def test_any_timeout_fits_what_libpq_takes(timeout: float) -> None:
    sent = PostgresStore(URL, timeout=timeout)._settings.connect_arguments()["tcp_user_timeout"]
    assert isinstance(sent, int)
    assert sent == min(max(1, round(timeout * 1000)), 2**31 - 1)


def test_a_url_opens_a_store() -> None:
    for url in (URL, "postgres://user:pass@host/db?sslmode=require", f"{URL}?schema=other&sslmode=require"):
        assert isinstance(open_store(url), PostgresStore)
        assert isinstance(open_async_store(url), AsyncPostgresStore)
    assert "schema 'other'" in repr(open_store(f"{URL}?schema=other"))
    for url in (f"{URL}?schema=a&schema=b", f"{URL}?nosuch=1", f"{URL}?sslmode=require#x"):
        with pytest.raises(ValidationError):
            open_store(url)


def test_the_schema_can_be_had_as_sql() -> None:
    text = schema_sql('we"ird')
    assert 'CREATE SCHEMA "we""ird";' in text
    assert text.startswith("BEGIN;")
    assert text.endswith("COMMIT;\n")
    assert "%" not in schema_sql()


@pytest.mark.parametrize(
    ("prefix", "end"),
    [("a", "b"), ("", None), ("a\U0010ffff", "b"), ("\U0010ffff", None), ("\ud7ff", "\ue000"), ("aé", "aê")],
)
def test_a_prefix_ends_where_the_next_begins(prefix: str, end: str | None) -> None:
    assert after_prefix(prefix) == end


def test_an_import_is_cut_by_number_and_by_size() -> None:
    small = [ImportedMessage(str(number), 0, b"{}") for number in range(12_001)]
    assert [len(part) for part in parts(small)] == [5_000, 5_000, 2_001]
    big = [ImportedMessage(str(number), 0, b"x" * 5_000_000) for number in range(3)]
    assert [len(part) for part in parts(big)] == [1, 1, 1]
    assert [len(part) for part in parts([])] == [0]
