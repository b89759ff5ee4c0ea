"""What a store may offer beyond its primitives: the newest messages without waiting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from openstackai_sessions_core._json import JSONObject
from openstackai_sessions_core._records import RecordTuple

__all__ = ["AtHand", "MessagesAtHand"]


class AtHand(NamedTuple):
    """The newest messages, oldest first, and of each what `flat_value` made of its payload."""

    records: Sequence[RecordTuple]
    values: Sequence[JSONObject | None]


class MessagesAtHand:
    """Inherit from this, beside `BaseStore` or `AsyncBaseStore`, where a store keeps messages in memory.

    A handle asks it before it reads.
    """

    def at_hand(self, session_id: str, limit: int | None) -> AtHand | None:  # noqa: ARG002 - for those who override it
        """What `read` would give at this instant, or None where finding out takes a query or a wait.

        Called in the caller's thread, on the asynchronous side that of the event loop: never wait for a lock, and
        raise nothing: where something is amiss, `read` will say so.
        """
        return None
