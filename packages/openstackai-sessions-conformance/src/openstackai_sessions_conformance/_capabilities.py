"""What a backend may claim beyond what every backend does."""

from __future__ import annotations

import enum

__all__ = ["DEFAULT", "REFUSABLE", "Capability"]


class Capability(enum.Flag):
    """What a backend claims: a claim that does not hold is a failure, what is not claimed is reported as such."""

    NONE = 0
    """Nothing beyond the mandatory checks."""
    PROC = enum.auto()
    """Acknowledged writes survive a kill of the client's process."""
    SERVER = enum.auto()
    """Acknowledged writes survive a kill of the server."""
    POWER = enum.auto()
    """Acknowledged writes survive a loss of power: they are synced before the call returns."""
    MULTIPROC = enum.auto()
    """Several processes may use one place at the same time."""
    THREADS = enum.auto()
    """One handle may be shared between threads (sync stores)."""
    NET = enum.auto()
    """The engine is reached over a network, whose faults are met with typed errors and safe retries."""
    TTL = enum.auto()
    """Sessions expire together, a set time after their last write."""
    STREAM = enum.auto()
    """`iter_messages` reads a log of any length in constant memory."""
    ASYNC = enum.auto()
    """Tasks may share a handle, may be cancelled, and the event loop is never blocked (async stores)."""
    FORK = enum.auto()
    """Stores work in the child and in the parent after a fork."""
    MIGRATE = enum.auto()
    """The stored form has a version: many processes may start at once, and a newer one is refused."""
    TLS = enum.auto()
    """Connections are encrypted; bad certificates and host names are refused."""


DEFAULT = Capability.TTL | Capability.STREAM | Capability.THREADS | Capability.ASYNC
"""What a test class claims unless it says otherwise: what core's handles make easy to keep."""

REFUSABLE = Capability.TTL | Capability.STREAM
"""What must raise `UnsupportedError` where it is not claimed, because there is a call to refuse."""
