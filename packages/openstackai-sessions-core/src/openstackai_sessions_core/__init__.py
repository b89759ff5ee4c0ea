"""Conversations that agents keep: the session, its messages and events, and sessions in memory.

Users import these names from `openstackai.sessions` or `openstackai_sessions`; authors of backends find theirs in
`openstackai_sessions_core.backend`.
"""

from openstackai_sessions_core._async_memory import (
    AsyncInMemorySession,
    AsyncInMemoryStore,
)
from openstackai_sessions_core._async_session import AsyncSession
from openstackai_sessions_core._async_store import AsyncSessionStore
from openstackai_sessions_core._document import document_schema
from openstackai_sessions_core._errors import (
    BackendError,
    BackendUnavailableError,
    ConflictError,
    CorruptDataError,
    ImportFormatError,
    ImportTooLargeError,
    LimitExceededError,
    OutcomeUnknownError,
    PoolTimeoutError,
    ReadOnlyError,
    SchemaVersionError,
    SerializationError,
    SessionClosedError,
    SessionError,
    StorageFullError,
    UnsupportedError,
    ValidationError,
)
from openstackai_sessions_core._events import SessionEvent
from openstackai_sessions_core._json import JSONInput, JSONObject, JSONValue
from openstackai_sessions_core._limits import Limits
from openstackai_sessions_core._memory import InMemorySession, InMemoryStore
from openstackai_sessions_core._message import Message, SessionInfo
from openstackai_sessions_core._open import open_async_store, open_store
from openstackai_sessions_core._session import Session
from openstackai_sessions_core._store import SessionStore
from openstackai_sessions_core._version import __version__

__all__ = [
    "AsyncInMemorySession",
    "AsyncInMemoryStore",
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
    "ReadOnlyError",
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
    "__version__",
    "document_schema",
    "open_async_store",
    "open_store",
]
