"""What a PostgreSQL store is told, checked before any I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil

from openstackai_sessions_core import Limits, ValidationError
from openstackai_sessions_core.backend import StoreOptions
from openstackai_sessions_postgres._conninfo import Target, parse_target

__all__ = ["DEFAULT_SCHEMA", "Settings", "make_settings"]

DEFAULT_SCHEMA = "openstackai_sessions"
MAX_SCHEMA_BYTES = 63
# An index entry holds at most 2,704 bytes, of which a session id may take 512.
MAX_ID_BYTES = 2_000
# libpq keeps its whole numbers in 32 bits.
MAX_MILLISECONDS = 2**31 - 1


@dataclass(frozen=True)
class Settings:
    """The settings of a store. `target` is None where the caller brought a pool."""

    target: Target | None
    schema: str
    pool_min_size: int
    pool_max_size: int
    pool_timeout: float
    options: StoreOptions = field(default_factory=StoreOptions)

    @property
    def where(self) -> str:
        """What to call the server in a message."""
        return "the server of the given pool" if self.target is None else str(self.target)

    def key(self) -> tuple[object, ...]:
        """Equal for settings under which handles may share a store."""
        parameters = None if self.target is None else frozenset(self.target.parameters.items())
        sizes = (self.pool_min_size, self.pool_max_size, self.pool_timeout)
        return (parameters, self.schema, *sizes, self.options)

    def connect_arguments(self) -> dict[str, object]:
        """What to connect with: libpq's parameters, and bounds on every wait for what the caller did not bound."""
        assert self.target is not None
        timeout = self.options.timeout
        arguments: dict[str, object] = {
            "connect_timeout": max(1, ceil(min(timeout, 10))),
            "tcp_user_timeout": min(max(1, ceil(timeout * 1000)), MAX_MILLISECONDS),
            "keepalives": 1,
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "fallback_application_name": "openstackai-sessions",
        }
        # Texts are sent and read as UTF-8 whatever the environment prefers.
        return {**arguments, **self.target.parameters, "client_encoding": "UTF8"}


def make_settings(
    connection_string: str | None,
    *,
    pool: object,
    pool_class: type,
    schema: str,
    pool_min_size: int,
    pool_max_size: int,
    pool_timeout: float,
    timeout: float,
    retry_timeout: float,
    op_id_ttl: float,
    limits: Limits | None,
) -> Settings:
    """Check everything that a store is told; `ValidationError` says what to change."""
    if pool is None and connection_string is None:
        raise ValidationError("connection_string is required: write postgresql://user@host/database, or pass pool=")
    if pool is not None:
        if connection_string is not None:
            raise ValidationError("pass a connection_string or pool=, not both")
        if not isinstance(pool, pool_class):
            raise ValidationError(f"pool must be a psycopg_pool {pool_class.__name__}, not {type(pool).__name__}")
    _check_schema(schema)
    _check_sizes(pool_min_size, pool_max_size)
    if type(pool_timeout) not in (int, float) or not 0 < pool_timeout <= 86_400:
        raise ValidationError(f"pool_timeout must be a number of seconds between 0 and 86,400, not {pool_timeout!r}")
    options = StoreOptions(timeout, retry_timeout, op_id_ttl, Limits() if limits is None else limits)
    if options.limits.id_bytes > MAX_ID_BYTES:
        raise ValidationError(f"Limits.id_bytes must be at most {MAX_ID_BYTES:,} on PostgreSQL, which indexes ids")
    target = None if connection_string is None else parse_target(connection_string)
    return Settings(target, schema, pool_min_size, pool_max_size, float(pool_timeout), options)


def _check_schema(schema: object) -> None:
    if type(schema) is not str or not schema:
        raise ValidationError("schema must be the name of a PostgreSQL schema, a str that is not empty")
    if len(schema.encode("utf-8", "replace")) > MAX_SCHEMA_BYTES:
        raise ValidationError(f"schema must be at most {MAX_SCHEMA_BYTES} bytes long: PostgreSQL cuts longer names off")
    if not schema.isprintable():
        raise ValidationError("schema holds a character that cannot be printed; remove it")
    if schema.startswith("pg_") or schema == "information_schema":
        raise ValidationError(f"schema {schema!r} belongs to PostgreSQL; choose another name")


def _check_sizes(least: object, most: object) -> None:
    if type(least) is not int or least < 0:
        raise ValidationError(f"pool_min_size must be an int of at least 0, not {least!r}")
    if type(most) is not int or most < 1 or most < least:
        raise ValidationError(f"pool_max_size must be an int of at least 1 and pool_min_size, not {most!r}")
