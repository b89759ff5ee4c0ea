"""Opening a store by its URL."""

from __future__ import annotations

import re
from urllib.parse import unquote

from openstackai_sessions_core import ValidationError
from openstackai_sessions_postgres._async_store import AsyncPostgresStore
from openstackai_sessions_postgres._settings import DEFAULT_SCHEMA
from openstackai_sessions_postgres._store import PostgresStore

__all__ = ["open_async_postgres_store", "open_postgres_store"]


def open_postgres_store(url: str) -> PostgresStore:
    """Open the store of a `postgresql://` URL; its query takes libpq's parameters, and `schema`."""
    url, schema = _take_schema(url)
    return PostgresStore(url, schema=schema)


def open_async_postgres_store(url: str) -> AsyncPostgresStore:
    """Open the asynchronous store of a `postgresql://` URL; see `open_postgres_store`."""
    url, schema = _take_schema(url)
    return AsyncPostgresStore(url, schema=schema)


def _take_schema(url: str) -> tuple[str, str]:
    """Take our own parameter out of the query: libpq refuses what it does not know."""
    base, _, query = url.partition("?")
    given = [part for part in query.split("&") if part.startswith("schema=")]
    if len(given) > 1:
        raise ValidationError("the URL names the schema twice")
    rest = "&".join(part for part in query.split("&") if part and part not in given)
    if "#" in query:
        raise ValidationError("the URL must not have a fragment; in a password write %23 for #")
    schema = re.sub(r"^schema=", "", given[0]) if given else DEFAULT_SCHEMA
    return f"{base}?{rest}" if rest else base, unquote(schema)
