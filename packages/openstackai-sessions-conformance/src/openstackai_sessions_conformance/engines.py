"""The engines of the suite, each usable alone: they make a store fail, or judge what it did.

Random calls beside a model (`run_machine`, `Model`), or on several stores (`draw_trace`, `side_by_side`), a wire that
fails (`FaultProxy`), histories of concurrent runs and what they must keep (`Recorder`, `check_appends`,
`check_removals`, `check_metadata`, `check_linearizable`), a sweep that fails every call of a driver (`sweep`), kills of
clients and servers (`crash_clients`, `crash_server`), and losses of power under SQLite (`DiskLog`, `check_power_loss`).
"""

from openstackai_sessions_conformance._async_machine import run_machine as async_run_machine
from openstackai_sessions_conformance._async_traces import side_by_side as async_side_by_side
from openstackai_sessions_conformance._crash import CrashReport, crash_clients, crash_server
from openstackai_sessions_conformance._disk_log import DiskLog, FileEvent, FileEventKind
from openstackai_sessions_conformance._history import (
    Call,
    Kind,
    Outcome,
    Recorder,
    Recording,
    Shown,
    Violation,
    read_histories,
)
from openstackai_sessions_conformance._history_rules import check_appends, check_metadata, check_removals
from openstackai_sessions_conformance._linearizability import HistoryTooLargeError, check_linearizable
from openstackai_sessions_conformance._machine import run_machine
from openstackai_sessions_conformance._model import Conflict, Held, Model, Told
from openstackai_sessions_conformance._power import Image, PowerReport, Unsynced, check_power_loss, power_images
from openstackai_sessions_conformance._proxy import Fault, FaultProxy, Rule
from openstackai_sessions_conformance._sweep import CallFaults, Sweep, SweepError, Target, async_sweep, sweep
from openstackai_sessions_conformance._traces import draw_trace, side_by_side

__all__ = [
    "Call",
    "CallFaults",
    "Conflict",
    "CrashReport",
    "DiskLog",
    "Fault",
    "FaultProxy",
    "FileEvent",
    "FileEventKind",
    "Held",
    "HistoryTooLargeError",
    "Image",
    "Kind",
    "Model",
    "Outcome",
    "PowerReport",
    "Recorder",
    "Recording",
    "Rule",
    "Shown",
    "Sweep",
    "SweepError",
    "Target",
    "Told",
    "Unsynced",
    "Violation",
    "async_run_machine",
    "async_side_by_side",
    "async_sweep",
    "check_appends",
    "check_linearizable",
    "check_metadata",
    "check_power_loss",
    "check_removals",
    "crash_clients",
    "crash_server",
    "draw_trace",
    "power_images",
    "read_histories",
    "run_machine",
    "side_by_side",
    "sweep",
]
