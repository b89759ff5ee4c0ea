# Written by tools/twins.py from _async_session.py: edit that file, then run `make twins`.
"""A handle on a session in PostgreSQL, and the stores that handles share."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from psycopg_pool import ConnectionPool

from openstackai_sessions_core import Limits, Session, ValidationError
from openstackai_sessions_postgres._settings import DEFAULT_SCHEMA, make_settings
from openstackai_sessions_postgres._shelf import share

__all__ = ["PostgresSession"]


class PostgresSession(Session):
    """A handle on one conversation in PostgreSQL: `PostgresSession("postgresql://user@host/db", "user-123")`.

    Handles with the same arguments share one store, and so one pool of connections in each event loop. `ttl` is in
    seconds; see `Session`, and `PostgresStore` for the other settings.
    """

    def __init__(
        self,
        connection_string: str | None = None,
        session_id: str | None = None,
        *,
        ttl: float | None = None,
        pool: ConnectionPool[Any] | None = None,
        schema: str = DEFAULT_SCHEMA,
        pool_min_size: int = 1,
        pool_max_size: int = 10,
        pool_timeout: float = 10.0,
        timeout: float = 30.0,
        retry_timeout: float = 30.0,
        op_id_ttl: float = 600.0,
        limits: Limits | None = None,
    ) -> None:
        if session_id is None:
            raise ValidationError("session_id is required: a shared server has no default session")
        arguments: tuple[Hashable, ...] = (
            connection_string, id(pool), schema, pool_min_size, pool_max_size, pool_timeout, timeout, retry_timeout,
            op_id_ttl, limits,
        )  # fmt: skip
        super().__init__(
            share(
                # 1, 1.0 and True are one key to a dict, but not one argument.
                (arguments, tuple(map(type, arguments))),
                lambda: make_settings(
                    connection_string,
                    pool=pool,
                    pool_class=ConnectionPool,
                    schema=schema,
                    pool_min_size=pool_min_size,
                    pool_max_size=pool_max_size,
                    pool_timeout=pool_timeout,
                    timeout=timeout,
                    retry_timeout=retry_timeout,
                    op_id_ttl=op_id_ttl,
                    limits=limits,
                ),
                pool,
            ),
            session_id,
            ttl=ttl,
        )
