"""The conformance suite of openstackai-sessions: prove that a store keeps the contract.

Subclass `SessionStoreConformance` or `AsyncSessionStoreConformance` in a test module, or run
`python -m openstackai_sessions_conformance mypackage.stores:make_store`.
"""

from openstackai_sessions_conformance._async_suite import AsyncSessionStoreConformance
from openstackai_sessions_conformance._capabilities import DEFAULT, Capability
from openstackai_sessions_conformance._place import OPTIONS, Clock, Place
from openstackai_sessions_conformance._suite import SessionStoreConformance
from openstackai_sessions_conformance._version import __version__

__all__ = [
    "DEFAULT",
    "OPTIONS",
    "AsyncSessionStoreConformance",
    "Capability",
    "Clock",
    "Place",
    "SessionStoreConformance",
    "__version__",
]
