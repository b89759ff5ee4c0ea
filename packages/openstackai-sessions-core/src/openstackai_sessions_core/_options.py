"""The settings that every store has."""

from __future__ import annotations

from dataclasses import dataclass, field

from openstackai_sessions_core._arguments import check_seconds
from openstackai_sessions_core._errors import ValidationError
from openstackai_sessions_core._limits import Limits

__all__ = ["StoreOptions"]

MIN_OP_ID_TTL = 30.0


@dataclass(frozen=True)
class StoreOptions:
    """Settings of a store, all in seconds; hashable, so that handles with equal settings can share one store.

    `timeout`: how long one operation may take. `retry_timeout`: for how long a handle tries again what failed on the
    way (0: not at all). `op_id_ttl`: for how long the store remembers operations; at least 30 and `retry_timeout`, at
    most 100 years.
    """

    timeout: float = 30.0
    retry_timeout: float = 30.0
    op_id_ttl: float = 600.0
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not isinstance(self.limits, Limits):
            raise ValidationError(f"limits must be a Limits, not {type(self.limits).__name__}")
        check_seconds("timeout", self.timeout, least=0.001)
        check_seconds("retry_timeout", self.retry_timeout)
        check_seconds("op_id_ttl", self.op_id_ttl, least=max(MIN_OP_ID_TTL, self.retry_timeout))
