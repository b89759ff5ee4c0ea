# Written by tools/twins.py from _async_suite.py: edit that file, then run `make twins`.
"""The test class that a backend's author inherits from."""

from __future__ import annotations

from openstackai_sessions_conformance._checks_batches import BatchChecks, FailureChecks
from openstackai_sessions_conformance._checks_documents import DocumentChecks
from openstackai_sessions_conformance._checks_events import EventChecks
from openstackai_sessions_conformance._checks_expiry import ExpiryChecks
from openstackai_sessions_conformance._checks_fidelity import FidelityChecks
from openstackai_sessions_conformance._checks_fork import ForkChecks
from openstackai_sessions_conformance._checks_histories import HistoryChecks
from openstackai_sessions_conformance._checks_interface import InterfaceChecks
from openstackai_sessions_conformance._checks_isolation import IsolationChecks
from openstackai_sessions_conformance._checks_life import LifeChecks
from openstackai_sessions_conformance._checks_metadata import MetadataChecks
from openstackai_sessions_conformance._checks_network import NetworkChecks
from openstackai_sessions_conformance._checks_operations import OperationChecks
from openstackai_sessions_conformance._checks_order import OrderChecks
from openstackai_sessions_conformance._checks_processes import ProcessChecks
from openstackai_sessions_conformance._checks_races import RaceChecks
from openstackai_sessions_conformance._checks_security import SecurityChecks
from openstackai_sessions_conformance._checks_traces import TraceChecks
from openstackai_sessions_conformance._harness import Conformance, checks_of
from openstackai_sessions_conformance._own import OwnChecks
from openstackai_sessions_conformance._seam import KINDS

__all__ = ["SessionStoreConformance"]


class SessionStoreConformance(
    InterfaceChecks,
    FidelityChecks,
    OrderChecks,
    BatchChecks,
    FailureChecks,
    MetadataChecks,
    IsolationChecks,
    RaceChecks,
    HistoryChecks,
    ProcessChecks,
    NetworkChecks,
    EventChecks,
    DocumentChecks,
    ExpiryChecks,
    OperationChecks,
    SecurityChecks,
    LifeChecks,
    TraceChecks,
    ForkChecks,
    OwnChecks,
    Conformance,
):
    """Every check of the contract: subclass it as `class TestMyStore`, and say how to make a store.

    Write a method `make_store(self, folder, **options)`, or a fixture `place` that gives a `Place`; set
    `capabilities` where the default claims too much or too little.
    """

    kinds = KINDS


SessionStoreConformance.suite = checks_of(SessionStoreConformance)
