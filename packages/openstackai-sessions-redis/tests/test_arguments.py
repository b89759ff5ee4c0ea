"""Arguments, URLs and prefixes: what is wrong is said before any I/O, and no error shows a password."""

from __future__ import annotations

import traceback
from functools import partial
from typing import Any

import pytest
from redis.exceptions import AuthenticationError, BusyLoadingError, ResponseError

from openstackai_sessions_core import ValidationError, open_async_store, open_store
from openstackai_sessions_redis import AsyncRedisSession, AsyncRedisStore, RedisSession, RedisStore
from openstackai_sessions_redis._errors import Failures

CANARY = "c4n4ry-p@ss/word"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"host": ""}, "host"),
        ({"host": b"localhost"}, "host"),
        ({"host": f"redis://u:{CANARY}@127.0.0.1:6379"}, "pass a URL as url="),
        ({"host": f"u:{CANARY}@127.0.0.1"}, "pass a URL as url="),
        ({"host": "localhost/0"}, "pass a URL as url="),
        ({"host": "local host"}, "pass a URL as url="),
        ({"host": "localhost\n"}, "pass a URL as url="),
        ({"unix_socket_path": f"unix://:{CANARY}@/run/redis.sock"}, "pass a URL as url="),
        ({"unix_socket_path": "/run/redis\x1b.sock"}, "unix_socket_path"),
        ({"port": "6379"}, "port"),
        ({"port": 0}, "port"),
        ({"port": True}, "port"),
        ({"port": 6379.0}, "port"),
        ({"password": b"secret"}, "password"),
        ({"db": -1}, "db"),
        ({"ssl": 1}, "ssl"),
        ({"ssl_ca_certs": "/ca.pem"}, "ssl=True"),
        ({"ssl": True, "ssl_keyfile": "/key.pem"}, "ssl_certfile"),
        ({"cluster": True, "db": 1}, "database"),
        ({"cluster": "yes"}, "cluster"),
        ({"unix_socket_path": "/s", "ssl": True}, "unix_socket_path"),
        ({"client": object()}, "client"),
        ({"client": []}, "client"),
        ({"max_connections": 0}, "max_connections"),
        ({"connect_timeout": 0}, "connect_timeout"),
        ({"pool_timeout": float("nan")}, "pool_timeout"),
        ({"wait_replicas": -1}, "wait_replicas"),
        ({"wait_replicas": True}, "wait_replicas"),
        ({"wait_timeout": 0}, "wait_timeout"),
        ({"wait_replicas": 1, "timeout": 1.0, "wait_timeout": 1.0}, "wait_timeout must be shorter than timeout"),
        ({"timeout": -1}, "timeout"),
        ({"timeout": 1e10}, "timeout"),
        ({"op_id_ttl": 1}, "op_id_ttl"),
        ({"op_id_ttl": 1e16}, "op_id_ttl"),
        ({"limits": 5}, "limits"),
        ({"url": 5}, "url"),
        ({"url": "redis://h", "port": 1}, "port"),
        ({"url": "redis://h", "password": "x"}, "password"),
        ({"prefix": ""}, "prefix"),
        ({"prefix": "a{b}"}, "prefix"),
        ({"prefix": "a*"}, "prefix"),
        ({"prefix": "a b"}, "prefix"),
        ({"prefix": "é"}, "prefix"),
        ({"prefix": "x" * 101}, "prefix"),
        ({"prefix": 5}, "prefix"),
    ],
)
@pytest.mark.parametrize("kind", [RedisStore, AsyncRedisStore])
def test_arguments_that_cannot_be_right_are_refused(kind: Any, arguments: dict[str, Any], says: str) -> None:
    session: Any = RedisSession if kind is RedisStore else AsyncRedisSession
    for make in (kind, partial(session, session_id="s")):
        with pytest.raises(ValidationError, match=says) as caught:
            make(**arguments)
        assert CANARY not in str(caught.value)


def test_arguments_are_told_apart_by_type_also_where_a_handle_like_it_exists() -> None:
    kept = RedisSession(session_id="s", port=7001)
    assert kept.store.settings.port == 7001  # type: ignore[attr-defined] # a RedisStore
    with pytest.raises(ValidationError, match="port"):
        RedisSession(session_id="s", port=7001.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [RedisSession, AsyncRedisSession])
def test_the_session_id_is_required(kind: Any) -> None:
    with pytest.raises(TypeError, match="session_id"):
        kind("localhost", 6379)
    with pytest.raises(ValidationError, match="session_id"):
        kind(session_id="")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://example.com", {"host": "example.com", "port": 6379, "db": 0, "ssl": False}),
        ("redis://example.com:7000/3", {"port": 7000, "db": 3}),
        ("rediss://user:p%40ss@example.com/", {"username": "user", "password": "p@ss", "ssl": True}),
        ("redis://:only@h", {"username": None, "password": "only"}),
        ("redis://[::1]:7000", {"host": "::1", "port": 7000}),
        ("unix:///run/re%20dis.sock?db=2", {"unix_socket_path": "/run/re dis.sock", "db": 2}),
        ("redis://h?prefix=p&max_connections=3&pool_timeout=2.5", {"prefix": "p", "max_connections": 3}),
        ("redis://h?wait_replicas=2&wait_timeout=0.5", {"wait_replicas": 2, "wait_timeout": 0.5}),
        ("redis://h?cluster=true", {"cluster": True}),
    ],
)
def test_urls_are_read(url: str, expected: dict[str, object]) -> None:
    settings = RedisStore(url=url).settings
    for name, value in expected.items():
        assert getattr(settings, name) == value
        assert type(getattr(settings, name)) is type(value)


def test_store_options_of_a_url_count() -> None:
    store = RedisStore(url="redis://h?timeout=3&retry_timeout=0&op_id_ttl=40")
    assert (store.timeout, store.retry_timeout, store.options.op_id_ttl) == (3.0, 0.0, 40.0)


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{CANARY}@host",
        f"redis://user:{CANARY}",
        f"redis://:{CANARY}@host:port/0",
        f"redis://h:{CANARY}",
        f"redis://h/{CANARY}",
        f"redis://h/{'9' * 5000}",
        f"redis://h?password={CANARY}",
        f"redis://h?{CANARY}=1",
        f"redis://h?db={CANARY}",
        f"redis://h?cluster={CANARY}",
        f"redis://h#{CANARY}",
        f"http://:{CANARY}@h",
        f"redis:{CANARY}@h",
        f"redis://[{CANARY}@h",
        f"redis://{CANARY}\u2100@h",
        f"unix://{CANARY}/s",
        f"redis://:{CANARY}@",
        f"redis://h\t?prefix={CANARY}",
        f"redis://h\n/0?prefix={CANARY}",
        f"redis://h ?prefix={CANARY}",
        f"redis://:%zz{CANARY}@h",
        "redis://:%FFc4n4ry@h",
        "redis://:c4n4ry%@h",
        "redis://h?prefix=%FF",
        "redis://h?db=1_0",
        "redis://h?db=%201",
        "redis://h?db=+1",
        "redis://h?db=\u0661",
        "redis://h?timeout=1_0",
        "redis://h?timeout=%201",
        "redis://h?timeout=nan",
        "redis://h?max_connections=",
        "redis://h//1",
        "redis://h/0#",
        "redis://h%0A",
        "redis://h%2Fi",
        "unix:///run/%1b.sock",
    ],
)
def test_bad_urls_are_refused_and_not_quoted(url: str) -> None:
    for opener in (lambda: RedisStore(url=url), lambda: AsyncRedisSession(url=url, session_id="s")):
        with pytest.raises(ValidationError) as caught:
            opener()
        shown = "".join(traceback.format_exception(caught.value, chain=True))
        context = caught.value.__context__
        while context is not None:
            shown += str(context)
            context = context.__context__
        lines = [line for line in shown.splitlines() if not line.lstrip().startswith(('f"', '("', "url"))]
        assert CANARY not in "\n".join(lines)
        assert "c4n4ry" not in str(caught.value)


def test_the_front_door_opens_urls() -> None:
    assert isinstance(open_store("redis://localhost:1/0?prefix=p"), RedisStore)
    assert isinstance(open_store("rediss://localhost:1"), RedisStore)
    assert isinstance(open_async_store("rediss://localhost:1"), AsyncRedisStore)
    with pytest.raises(ValidationError, match="ssl_cert_reqs"):
        open_store("rediss://localhost?ssl_cert_reqs=none")


def test_nothing_shows_a_password() -> None:
    for store in (RedisStore(password=CANARY), AsyncRedisStore(url="redis://:c4n4ry-p%40ss%2Fword@h")):
        assert CANARY in (store.settings.password or "")
        for text in (repr(store), str(store), repr(store.settings), repr(store.session("s"))):
            assert CANARY not in text
    with pytest.raises(TypeError, match="pickled"):
        store.__reduce__()


@pytest.mark.parametrize("kind", [RedisStore, AsyncRedisStore])
def test_a_store_that_could_not_be_made_can_be_shown(kind: Any) -> None:
    assert repr(kind.__new__(kind)) == f"<{kind.__name__}, which could not be made>"


def test_a_secret_of_three_letters_is_not_replaced_but_withheld() -> None:
    failures = Failures("Redis at h", ("p",))
    for error in (
        failures.cut_off(BusyLoadingError("LOADING p"), write=True),
        failures.unreachable(AuthenticationError("wrong username-password pair")),
        failures.refused(ResponseError("ERR p")),
    ):
        assert str(error).endswith(": (the text is withheld: it holds a secret)")
        assert error.__cause__ is None
    assert Failures("Redis", ("four",)).scrub("is four, or 4") == "is ***, or 4"


def test_equal_arguments_share_a_store_and_others_do_not() -> None:
    one = RedisSession("h", session_id="a")
    assert RedisSession(host="h", port=6379, session_id="b", ttl=5).store is one.store
    assert RedisSession(url="redis://h", session_id="b").store is one.store
    for other in ({"db": 1}, {"prefix": "p"}, {"password": "p"}, {"timeout": 5.0}, {"host": "i"}):
        assert RedisSession(**{"host": "h", "session_id": "c", **other}).store is not one.store  # type: ignore[arg-type]
    assert RedisStore("h").session("a").store is not one.store, "a store made explicitly is its owner's"
