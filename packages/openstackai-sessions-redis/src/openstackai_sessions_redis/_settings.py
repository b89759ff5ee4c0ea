"""What a store is told: where the server is, and how to use it. Checked before any I/O; passwords never shown."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from openstackai_sessions_core import Limits, ValidationError
from openstackai_sessions_core.backend import StoreOptions
from openstackai_sessions_redis._keys import check_prefix

__all__ = ["DEFAULTS", "Settings", "options_of_url", "settings_of"]

# The defaults of every argument that says where the server is or how to use it.
DEFAULTS: dict[str, object] = {
    "host": "localhost",
    "port": 6379,
    "username": None,
    "password": None,
    "db": 0,
    "ssl": False,
    "ssl_ca_certs": None,
    "ssl_certfile": None,
    "ssl_keyfile": None,
    "unix_socket_path": None,
    "cluster": False,
    "client": None,
    "prefix": "openstackai",
    "max_connections": 10,
    "connect_timeout": 5.0,
    "pool_timeout": 10.0,
    "wait_replicas": 0,
    "wait_timeout": 1.0,
}
PLACE = ("host", "port", "username", "password", "db", "ssl", "unix_socket_path")
OPTIONS = ("timeout", "retry_timeout", "op_id_ttl")

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# What no host name or address has, and a URL given in place of one does.
NO_HOST = re.compile(r"[\x00-\x1f\x7f-\x9f\s/@?#]")
# What may not stand in a URL: what urlsplit() drops in silence, and a percent sign that encodes nothing.
NO_URL = re.compile(r"[\x00-\x1f\x7f-\x9f\s]|%(?![0-9A-Fa-f]{2})")


def _whole(text: str) -> int:
    """A number as one writes it; `int` takes `1_0`, ` 1` and other scripts' digits too."""
    if not re.fullmatch(r"-?[0-9]{1,20}", text):
        raise ValueError
    return int(text)


def _decimal(text: str) -> float:
    if not re.fullmatch(r"-?[0-9]{1,20}(\.[0-9]{1,20})?([eE][-+]?[0-9]{1,3})?", text):
        raise ValueError
    return float(text)


SCHEMES = ("redis", "rediss", "unix")
# What a URL's query may say, and how it is read.
FLAGS = {"true": True, "false": False}
QUERY: dict[str, Callable[[str], object]] = {
    "db": _whole,
    "max_connections": _whole,
    "timeout": _decimal,
    "retry_timeout": _decimal,
    "op_id_ttl": _decimal,
    "connect_timeout": _decimal,
    "pool_timeout": _decimal,
    "wait_replicas": _whole,
    "wait_timeout": _decimal,
    "prefix": str,
    "ssl_ca_certs": str,
    "ssl_certfile": str,
    "ssl_keyfile": str,
    "cluster": FLAGS.__getitem__,
}


@dataclass(frozen=True)
class Settings:
    """Where and how; hashable, so that handles with equal settings can share one store."""

    host: str
    port: int
    username: str | None
    password: str | None = field(repr=False)
    db: int
    ssl: bool
    ssl_ca_certs: str | None
    ssl_certfile: str | None
    ssl_keyfile: str | None
    unix_socket_path: str | None
    cluster: bool
    client: object | None
    prefix: str
    max_connections: int
    connect_timeout: float
    pool_timeout: float
    wait_replicas: int
    wait_timeout: float
    options: StoreOptions

    def __post_init__(self) -> None:
        _check_host(self.host)
        _check_whole("port", self.port, 1, 65535)
        for name in ("username", "password", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "unix_socket_path"):
            value = getattr(self, name)
            if value is not None:
                _check_text(name, value)
        _check_socket(self.unix_socket_path)
        _check_whole("db", self.db, 0, 2**31 - 1)
        for name in ("ssl", "cluster"):
            if type(getattr(self, name)) is not bool:
                raise ValidationError(f"{name} must be True or False, not {getattr(self, name)!r}")
        check_prefix(self.prefix)
        _check_whole("max_connections", self.max_connections, 1, 10_000)
        _check_seconds("connect_timeout", self.connect_timeout)
        _check_seconds("pool_timeout", self.pool_timeout)
        _check_whole("wait_replicas", self.wait_replicas, 0, 1_000)
        _check_seconds("wait_timeout", self.wait_timeout)
        _check_seconds("timeout", self.options.timeout)
        if self.wait_replicas and self.wait_timeout >= self.options.timeout:
            raise ValidationError("wait_timeout must be shorter than timeout, which bounds the whole exchange")
        if not self.ssl and (self.ssl_ca_certs or self.ssl_certfile or self.ssl_keyfile):
            raise ValidationError("ssl_ca_certs, ssl_certfile and ssl_keyfile need ssl=True (or a rediss:// url)")
        if self.ssl_keyfile is not None and self.ssl_certfile is None:
            raise ValidationError("ssl_keyfile needs ssl_certfile beside it")
        if self.cluster and self.db:
            raise ValidationError("a cluster has one database only: leave db at 0")
        if self.unix_socket_path is not None and (self.cluster or self.ssl):
            raise ValidationError("unix_socket_path goes with neither ssl nor cluster")

    @property
    def place(self) -> str:
        """Where the server is, for errors and reprs."""
        if self.client is not None:
            return f"the server of the given {type(self.client).__name__}"
        if self.unix_socket_path is not None:
            return f"Redis at {self.unix_socket_path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"Redis at {host}:{self.port}"


def settings_of(arguments: dict[str, object]) -> Settings:
    """Settings from the arguments of a store or session: those of DEFAULTS and OPTIONS, `limits`, and `url`.

    Raises `ValidationError`, which says what to do.
    """
    values = {name: arguments[name] for name in DEFAULTS}
    options = {name: arguments[name] for name in OPTIONS}
    url, limits = arguments["url"], arguments["limits"]
    if url is not None:
        given = [name for name in PLACE if values[name] != DEFAULTS[name]]
        if given or values["client"] is not None:
            raise ValidationError(f"url says where the server is: {(*given, 'client')[0]} cannot be given beside it")
        for name, value in options_of_url(url).items():
            (options if name in OPTIONS else values)[name] = value
    if values["client"] is not None:
        for name in (*PLACE, "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "cluster"):
            if values[name] != DEFAULTS[name]:
                raise ValidationError(f"client is connected already: {name} (or url) cannot be given beside it")
    for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "unix_socket_path"):
        value = values[name]
        if isinstance(value, os.PathLike):
            values[name] = os.fspath(value)
    return Settings(
        **values,  # type: ignore[arg-type] # checked one by one in __post_init__
        options=StoreOptions(
            **options,  # type: ignore[arg-type] # checked in its __post_init__
            limits=Limits() if limits is None else limits,  # type: ignore[arg-type] # the same
        ),
    )


def options_of_url(url: object) -> dict[str, object]:
    """The arguments that a URL stands for; no error quotes the URL, which may hold a password."""
    if type(url) is not str:
        raise ValidationError(f"url must be a str, not {type(url).__name__}")
    split = None if NO_URL.search(url) else _split(url)
    if split is None:
        raise ValidationError(
            "url cannot be read: it must look like redis://user:password@host:6379/0, with the characters "
            "/ ? # @ : [ ] % and spaces in the user and password percent-encoded, as UTF-8"
        )
    parts, port = split
    if parts.scheme not in SCHEMES:
        raise ValidationError("url must begin with redis://, rediss:// or unix://")
    if "#" in url or not url.startswith(f"{parts.scheme}://"):
        raise ValidationError("url cannot be read: percent-encode # in the user and password as %23")
    found = _socket(parts) if parts.scheme == "unix" else _server(parts, port)
    if parts.username:
        found["username"] = _decoded(parts.username)
    if parts.password:
        found["password"] = _decoded(parts.password)
    found.update(_query(parts.query, found))
    return found


def _split(url: str) -> tuple[SplitResult, int | None] | None:
    """The parts and the port of a URL; None, rather than an error that quotes it, where it cannot be taken apart."""
    with suppress(ValueError):
        parts = urlsplit(url)
        unquote(url, errors="strict")
        return parts, parts.port
    return None


def _decoded(text: str) -> str:
    return unquote(text, errors="strict")


def _socket(parts: SplitResult) -> dict[str, object]:
    if parts.hostname or not parts.path:
        raise ValidationError("url must name a socket by its absolute path: unix:///run/redis.sock")
    return {"unix_socket_path": _decoded(parts.path)}


def _server(parts: SplitResult, port: int | None) -> dict[str, object]:
    if not parts.hostname:
        raise ValidationError("url names no host: it must look like redis://host:6379/0")
    found: dict[str, object] = {"host": _decoded(parts.hostname)}
    if port is not None:
        found["port"] = port
    database = parts.path[1:]
    if database:
        if not (database.isascii() and database.isdigit() and len(database) <= 20):
            raise ValidationError("the path of url must be the number of a database: redis://host:6379/0")
        found["db"] = int(database)
    if parts.scheme == "rediss":
        found["ssl"] = True
    return found


def _query(query: str, found: dict[str, object]) -> dict[str, object]:
    read: dict[str, object] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in QUERY:
            shown = name if name.isidentifier() and len(name) <= 40 else "one"
            raise ValidationError(
                f"url has the query parameter {shown}, which is not known; known: {', '.join(sorted(QUERY))}"
            )
        if name in read or name in found:
            raise ValidationError(f"url says {name} twice")
        with suppress(KeyError, ValueError):
            read[name] = QUERY[name](value)
        if name not in read:
            kind = "true or false" if name == "cluster" else "a number"
            raise ValidationError(f"the query parameter {name} of url must be {kind}")
    return read


def _check_text(name: str, value: object) -> None:
    if type(value) is not str:
        raise ValidationError(f"{name} must be a str, not {type(value).__name__}")
    if not value or "\0" in value:
        raise ValidationError(f"{name} must not be empty or hold NUL")


def _check_host(value: object) -> None:
    """No error quotes a host: where a URL is given for one, it may hold a password."""
    _check_text("host", value)
    if NO_HOST.search(str(value)):
        raise ValidationError("host must be a host name or address; pass a URL as url=")


def _check_socket(path: str | None) -> None:
    if path is not None and ("://" in path or CONTROL.search(path)):
        raise ValidationError("unix_socket_path must be the path of a socket; pass a URL as url=")


def _check_whole(name: str, value: object, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        raise ValidationError(f"{name} must be an int from {least} to {most}, not {value!r}")


def _check_seconds(name: str, value: object) -> None:
    if type(value) not in (int, float) or not 0.001 <= value <= 86_400:  # type: ignore[operator] # a number by now
        raise ValidationError(f"{name} must be a number of seconds from 0.001 to 86,400, not {value!r}")
