"""Keep an agent's conversation: one interface over memory, SQLite and more.

Everything that users need is here, whatever is installed: the names of a backend, and ``Agent`` and ``Runner``, are
imported when they are first asked for, so that nobody pays for what they do not use.
"""

from typing import TYPE_CHECKING

from openstackai_sessions_core import (
    AsyncInMemorySession,
    AsyncInMemoryStore,
    AsyncSession,
    AsyncSessionStore,
    BackendError,
    BackendUnavailableError,
    ConflictError,
    CorruptDataError,
    ImportFormatError,
    ImportTooLargeError,
    InMemorySession,
    InMemoryStore,
    JSONInput,
    JSONObject,
    JSONValue,
    LimitExceededError,
    Limits,
    Message,
    OutcomeUnknownError,
    PoolTimeoutError,
    ReadOnlyError,
    SchemaVersionError,
    SerializationError,
    Session,
    SessionClosedError,
    SessionError,
    SessionEvent,
    SessionInfo,
    SessionStore,
    StorageFullError,
    UnsupportedError,
    ValidationError,
    document_schema,
    open_async_store,
    open_store,
)

from . import _lazy
from ._version import __version__ as __version__

if TYPE_CHECKING:
    from openstackai_sessions_agents import Agent, Runner
    from openstackai_sessions_postgres import (
        AsyncPostgresSession,
        AsyncPostgresStore,
        PostgresSession,
        PostgresStore,
    )
    from openstackai_sessions_redis import AsyncRedisSession, AsyncRedisStore, RedisSession, RedisStore
    from openstackai_sessions_sqlite import AsyncSQLiteSession, AsyncSQLiteStore, SQLiteSession, SQLiteStore

__all__ = [
    "Agent",
    "AsyncInMemorySession",
    "AsyncInMemoryStore",
    "AsyncPostgresSession",
    "AsyncPostgresStore",
    "AsyncRedisSession",
    "AsyncRedisStore",
    "AsyncSQLiteSession",
    "AsyncSQLiteStore",
    "AsyncSession",
    "AsyncSessionStore",
    "BackendError",
    "BackendUnavailableError",
    "ConflictError",
    "CorruptDataError",
    "ImportFormatError",
    "ImportTooLargeError",
    "InMemorySession",
    "InMemoryStore",
    "JSONInput",
    "JSONObject",
    "JSONValue",
    "LimitExceededError",
    "Limits",
    "Message",
    "OutcomeUnknownError",
    "PoolTimeoutError",
    "PostgresSession",
    "PostgresStore",
    "ReadOnlyError",
    "RedisSession",
    "RedisStore",
    "Runner",
    "SQLiteSession",
    "SQLiteStore",
    "SchemaVersionError",
    "SerializationError",
    "Session",
    "SessionClosedError",
    "SessionError",
    "SessionEvent",
    "SessionInfo",
    "SessionStore",
    "StorageFullError",
    "UnsupportedError",
    "ValidationError",
    "document_schema",
    "open_async_store",
    "open_store",
]

# Type checkers read the list above; at run time the names of what is not installed are left out of it, and those of
# packages that are newer than this one are added. Checkers must not see __getattr__: it would make any name right.
if not TYPE_CHECKING:
    __all__[:] = _lazy.listed(__all__)

    def __getattr__(name: str) -> object:
        value = _lazy.load(name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*__all__, "__all__", "__doc__", "__file__", "__name__", "__path__", "__spec__", "__version__"})
