"""Reading connection strings so that no error ever quotes one: they hold passwords."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from urllib.parse import parse_qsl, quote, quote_plus

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from openstackai_sessions_core import ValidationError

__all__ = ["SCHEMES", "Target", "parse_target"]

SCHEMES = ("postgresql", "postgres")
SECRET_PARAMETERS = ("password", "sslpassword", "oauth_client_secret")
WHOLE_NUMBERS = ("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout")


class Secret(str):
    """A text that does not show in a `repr`, and so neither in a traceback that prints variables."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


@dataclass(frozen=True)
class Target:
    """A server to connect to, as libpq's parameters."""

    parameters: Mapping[str, str]
    secrets: frozenset[str] = field(repr=False)

    def __str__(self) -> str:
        """Where it is, without how to get in."""
        at = self.parameters.get
        hosts = (at("host") or at("hostaddr") or "").split(",")
        ports = (at("port") or "").split(",")
        shown = [
            f"[{host}]" if ":" in host else quote(host, safe="") if host.startswith("/") else host for host in hosts
        ]
        if len(ports) == len(shown):
            shown = [f"{host}:{port}" if port else host for host, port in zip(shown, ports, strict=True)]
        user = f"{quote(at('user', ''), safe='')}@" if at("user") else ""
        return f"postgresql://{user}{','.join(shown)}/{quote(at('dbname') or '', safe='')}"


def parse_target(text: object) -> Target:
    """Read a URL (`postgresql://…`) or libpq's `host=… dbname=…`; `ValidationError` says what is wrong with it."""
    if type(text) is not str:
        raise ValidationError(f"connection_string must be a str, not {type(text).__name__}")
    if not text.strip():
        raise ValidationError("connection_string must not be empty; write postgresql://user@host/database")
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise ValidationError("connection_string holds a control character; remove it")
    if "=" not in text.partition("://")[0]:
        _check_url(text)
        if " " in text:  # older versions of libpq would take it
            raise ValidationError("connection_string holds a space; write it as %20")
    try:
        parsed = conninfo_to_dict(text)
    except (psycopg.Error, UnicodeError):
        parsed = None
    if parsed is None:
        # Outside of the handler, so that libpq's text, which quotes the password, is no part of the chain.
        raise ValidationError(f"connection_string cannot be read: {_why(text)}")
    parameters = {
        name: Secret(value) if name in SECRET_PARAMETERS else str(value)
        for name, value in parsed.items()
        if value is not None
    }
    _check_numbers(parameters)
    return Target(parameters, _secrets(parameters))


def _check_numbers(parameters: Mapping[str, str]) -> None:
    """What libpq would find out only when it connects. No value is quoted: it may be a piece of a password."""
    for port in parameters.get("port", "").split(","):
        if port and not 1 <= (_whole(port) or 0) <= 65_535:
            raise ValidationError("connection_string has a port that is not a number between 1 and 65,535")
    for name in WHOLE_NUMBERS:
        if name in parameters and _whole(parameters[name]) is None:
            raise ValidationError(f"{name!r} in connection_string must be a whole number below 2,147,483,648")
    if "connect_timeout" in parameters and not _is_number(parameters["connect_timeout"]):
        raise ValidationError("'connect_timeout' in connection_string must be a number of seconds")


def _whole(text: str) -> int | None:
    """The number that libpq would read, if it is one and fits."""
    if not re.fullmatch(r"\s*[+-]?[0-9]{1,20}\s*", text, re.ASCII):
        return None
    number = int(text)
    return number if -(2**31) <= number < 2**31 else None


def _is_number(text: str) -> bool:
    try:
        return isfinite(float(text))
    except ValueError:
        return False


def _secrets(parameters: Mapping[str, str]) -> frozenset[str]:
    raw = [str.__str__(parameters[name]) for name in SECRET_PARAMETERS if parameters.get(name)]
    return frozenset(form for text in raw for form in (text, quote(text), quote(text, safe=""), quote_plus(text)))


def _check_url(text: str) -> None:
    scheme, found, rest = text.partition("://")
    if not found:
        raise ValidationError("connection_string must begin with postgresql:// or be of the form host=… dbname=…")
    if scheme not in SCHEMES:
        hint = "; leave out what follows the +" if scheme.partition("+")[0] in SCHEMES else ""
        raise ValidationError(f"connection_string must begin with postgresql://{hint}")
    authority = re.split(r"[/?]", rest, maxsplit=1)[0]
    if authority.count("@") > 1 or "@" in rest[len(authority) :].partition("?")[0]:
        raise ValidationError(
            "connection_string holds an @ too many: in a user name or password write %40, and %2F for /"
        )
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise ValidationError(
            "connection_string holds a % that two hex digits do not follow: for a percent sign write %25"
        )
    hosts = authority.rpartition("@")[2]
    for host in hosts.split(","):
        port = host.rpartition("]")[2].partition(":")[2]
        if port and not port.isdecimal():
            raise ValidationError(
                "connection_string has a port that is not a number; in a password write %3A for : and %2F for /"
            )


def _why(text: str) -> str:
    query = text.partition("?")[2] if "=" not in text.partition("://")[0] else ""
    known = {option.keyword.decode() for option in Conninfo.get_defaults()} | {"ssl"}
    unknown = [name for name, _ in parse_qsl(query, keep_blank_values=True) if name not in known]
    if unknown and re.fullmatch(r"[a-z_]{1,40}", unknown[0]):
        return f"{unknown[0]!r} is not a parameter of libpq"
    if unknown:
        return "it has a query parameter that libpq does not know"
    if " " in text and not query:
        return "write %20 for a space in a URL; in host=… dbname=… put values with spaces in single quotes"
    return "see the page on connection strings in the PostgreSQL manual"
