"""Opening a store by its URL: the entry points behind `open_store` and `open_async_store`."""

from __future__ import annotations

from typing import TypedDict, cast
from urllib.parse import unquote_to_bytes, urlsplit

from openstackai_sessions_core import ValidationError
from openstackai_sessions_sqlite._async_store import AsyncSQLiteStore
from openstackai_sessions_sqlite._connection import Synchronous
from openstackai_sessions_sqlite._store import SQLiteStore

__all__ = ["open_async_sqlite_store", "open_sqlite_store"]

FORMS = "sqlite:///relative.db, sqlite:////absolute.db or sqlite:///:memory:"
NUMBERS = ("timeout", "retry_timeout", "op_id_ttl")
OPTIONS = ("synchronous", *NUMBERS)


class _Settings(TypedDict, total=False):
    synchronous: Synchronous
    timeout: float
    retry_timeout: float
    op_id_ttl: float


def open_sqlite_store(url: str) -> SQLiteStore:
    """Open the store that a `sqlite:` URL names; the caller closes it."""
    path, settings = _parse(url)
    return SQLiteStore(path, **settings)


def open_async_sqlite_store(url: str) -> AsyncSQLiteStore:
    """Open the asynchronous store that a `sqlite:` URL names; the caller closes it."""
    path, settings = _parse(url)
    return AsyncSQLiteStore(path, **settings)


def _parse(url: str) -> tuple[str, _Settings]:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ValidationError(f"the URL cannot be read ({error}); it is one of {FORMS}") from error
    if parts.scheme != "sqlite" or parts.netloc or not url[7:].startswith("///"):
        raise ValidationError(f"a sqlite URL is one of {FORMS}: with three slashes, and a fourth for an absolute path")
    if parts.fragment or url.endswith("#"):
        raise ValidationError("the URL has a fragment; write a # in a file's name as %23")
    path = _decode(parts.path[1:])
    if not path:
        raise ValidationError(f"the URL names no file; it is one of {FORMS}")
    return path, _settings(parts.query)


def _settings(query: str) -> _Settings:
    found: dict[str, object] = {}
    for part in query.split("&") if query else []:
        name, equals, text = (_decode(piece) for piece in part.partition("="))
        if name not in OPTIONS or not equals:
            raise ValidationError(f"unknown query parameter {name!r}; allowed are {', '.join(OPTIONS)}")
        if name in found:
            raise ValidationError(f"the query parameter {name!r} stands twice")
        if name in NUMBERS:
            try:
                found[name] = float(text)
            except ValueError:
                raise ValidationError(f"{name} must be a number of seconds, not {text!r}") from None
        else:
            found[name] = text
    return cast(_Settings, found)


def _decode(text: str) -> str:
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise ValidationError("the URL holds percent-escapes that are not UTF-8") from None
