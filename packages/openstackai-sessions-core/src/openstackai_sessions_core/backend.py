"""What the author of a backend imports; the docs' page "Write a backend" shows how.

Inherit from `BaseStore` / `AsyncBaseStore`, write the primitives that `SessionStore` / `AsyncSessionStore` describe,
and declare an entry point for `open_store`.
"""

from openstackai_sessions_core._async_base import AsyncBaseStore
from openstackai_sessions_core._async_store import AsyncSessionStore
from openstackai_sessions_core._at_hand import AtHand, MessagesAtHand
from openstackai_sessions_core._base import BaseStore
from openstackai_sessions_core._codec import check_payload, flat_value
from openstackai_sessions_core._fork import ForkAware, watch_forks
from openstackai_sessions_core._ledger import decode_outcome, encode_outcome, recall
from openstackai_sessions_core._limits import Limits, check_size
from openstackai_sessions_core._message import from_microseconds, to_microseconds
from openstackai_sessions_core._options import StoreOptions
from openstackai_sessions_core._records import (
    Head,
    ImportedMessage,
    NewMessage,
    Operation,
    Outcome,
    Record,
    RecordTuple,
    SessionImport,
    Snapshot,
)
from openstackai_sessions_core._state import SessionState
from openstackai_sessions_core._store import Durability, SessionStore

__all__ = [
    "AsyncBaseStore",
    "AsyncSessionStore",
    "AtHand",
    "BaseStore",
    "Durability",
    "ForkAware",
    "Head",
    "ImportedMessage",
    "Limits",
    "MessagesAtHand",
    "NewMessage",
    "Operation",
    "Outcome",
    "Record",
    "RecordTuple",
    "SessionImport",
    "SessionState",
    "SessionStore",
    "Snapshot",
    "StoreOptions",
    "check_payload",
    "check_size",
    "decode_outcome",
    "encode_outcome",
    "flat_value",
    "from_microseconds",
    "recall",
    "to_microseconds",
    "watch_forks",
]
