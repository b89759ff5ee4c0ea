"""Agent conversations in PostgreSQL: one round trip a call, exactly once, behind a pooler as it is.

`PostgresSession` is a handle on one conversation, `PostgresStore` the place that holds many; each has an `Async` twin.
"""

from openstackai_sessions_postgres._async_session import AsyncPostgresSession
from openstackai_sessions_postgres._async_store import AsyncPostgresStore
from openstackai_sessions_postgres._open import open_async_postgres_store, open_postgres_store
from openstackai_sessions_postgres._session import PostgresSession
from openstackai_sessions_postgres._sql import schema_sql
from openstackai_sessions_postgres._store import PostgresStore
from openstackai_sessions_postgres._version import __version__ as __version__

__all__ = [
    "AsyncPostgresSession",
    "AsyncPostgresStore",
    "PostgresSession",
    "PostgresStore",
    "open_async_postgres_store",
    "open_postgres_store",
    "schema_sql",
]
