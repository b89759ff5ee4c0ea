"""The test class that a backend's author inherits from."""

from __future__ import annotations

from openstackai_sessions_conformance._async_checks_batches import AsyncBatchChecks, AsyncFailureChecks
from openstackai_sessions_conformance._async_checks_documents import AsyncDocumentChecks
from openstackai_sessions_conformance._async_checks_events import AsyncEventChecks
from openstackai_sessions_conformance._async_checks_expiry import AsyncExpiryChecks
from openstackai_sessions_conformance._async_checks_fidelity import AsyncFidelityChecks
from openstackai_sessions_conformance._async_checks_fork import AsyncForkChecks
from openstackai_sessions_conformance._async_checks_histories import AsyncHistoryChecks
from openstackai_sessions_conformance._async_checks_interface import AsyncInterfaceChecks
from openstackai_sessions_conformance._async_checks_isolation import AsyncIsolationChecks
from openstackai_sessions_conformance._async_checks_life import AsyncLifeChecks
from openstackai_sessions_conformance._async_checks_metadata import AsyncMetadataChecks
from openstackai_sessions_conformance._async_checks_network import AsyncNetworkChecks
from openstackai_sessions_conformance._async_checks_operations import AsyncOperationChecks
from openstackai_sessions_conformance._async_checks_order import AsyncOrderChecks
from openstackai_sessions_conformance._async_checks_processes import AsyncProcessChecks
from openstackai_sessions_conformance._async_checks_races import AsyncRaceChecks
from openstackai_sessions_conformance._async_checks_security import AsyncSecurityChecks
from openstackai_sessions_conformance._async_checks_traces import AsyncTraceChecks
from openstackai_sessions_conformance._async_own import AsyncOwnChecks
from openstackai_sessions_conformance._async_seam import KINDS
from openstackai_sessions_conformance._harness import Conformance, checks_of

__all__ = ["AsyncSessionStoreConformance"]


class AsyncSessionStoreConformance(
    AsyncInterfaceChecks,
    AsyncFidelityChecks,
    AsyncOrderChecks,
    AsyncBatchChecks,
    AsyncFailureChecks,
    AsyncMetadataChecks,
    AsyncIsolationChecks,
    AsyncRaceChecks,
    AsyncHistoryChecks,
    AsyncProcessChecks,
    AsyncNetworkChecks,
    AsyncEventChecks,
    AsyncDocumentChecks,
    AsyncExpiryChecks,
    AsyncOperationChecks,
    AsyncSecurityChecks,
    AsyncLifeChecks,
    AsyncTraceChecks,
    AsyncForkChecks,
    AsyncOwnChecks,
    Conformance,
):
    """Every check of the contract: subclass it as `class TestMyStore`, and say how to make a store.

    Write a method `make_store(self, folder, **options)`, or a fixture `place` that gives a `Place`; set
    `capabilities` where the default claims too much or too little.
    """

    kinds = KINDS


AsyncSessionStoreConformance.suite = checks_of(AsyncSessionStoreConformance)
