"""Many processes that do everything to the same sessions at once; what each was told must fit together."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import uuid
from functools import partial
from pathlib import Path

from openstackai_sessions_conformance._history import Shown, read_histories
from openstackai_sessions_conformance._history_rules import check_appends, check_metadata, check_removals
from openstackai_sessions_core import Session
from reliability._framework import Campaign, Tally
from reliability._load_worker import Orders
from reliability._places import ALWAYS, Place, place

__all__ = ["CAMPAIGNS", "round_of_load"]

PROCESSES, CLIENTS = 16, 4
# Calls of one client on a set of sessions; then there is a new set.
CALLS = 160
GROWING, BUSY = 6, 12


def mix_load(name: str, tally: Tally) -> None:
    """Run rounds, each on new sessions in the same place, and check what every client saw."""
    with place(name, *(ALWAYS if name in ("valkey", "redis") else ())) as somewhere:
        tally.place = somewhere.version
        while tally.left:
            calls = max(1, min(CALLS, -(-tally.left // (PROCESSES * CLIENTS))))
            round_of_load(somewhere, tally, calls)


def round_of_load(somewhere: Place, tally: Tally, calls: int) -> None:
    """Let all processes work on new sessions, then check every session."""
    mark = uuid.uuid4().hex[:8]
    growing = [f"growing-{mark}-{number}" for number in range(GROWING)]
    busy = [f"busy-{mark}-{number}" for number in range(BUSY)]
    with tempfile.TemporaryDirectory(prefix="reliability-") as folder, contextlib.ExitStack() as stack:
        workers = []
        for number in range(PROCESSES):
            style = "async" if number % 2 else "sync"
            orders: Orders = {
                "opener": somewhere.opener if style == "sync" else somewhere.async_opener,
                "arguments": somewhere.arguments,
                "style": style,
                "number": number,
                "clients": CLIENTS,
                "calls": calls,
                "growing": growing,
                "busy": busy,
                "folder": folder,
                "seed": tally.random.randrange(2**32),
            }
            workers.append(_start(orders, stack))
        for worker in workers:
            assert worker.stdout is not None
            if worker.stdout.readline() != "ready\n":
                raise RuntimeError("a worker ended before it began: its error is on the standard error stream")
        for worker in workers:
            _tell(worker, "go")
        for worker in workers:
            assert worker.stdout is not None
            told = worker.stdout.readline()
            for error in json.loads(told) if told else ["a worker ended without a word"]:
                tally.violate(error)
        with somewhere.open() as store:
            for id in growing + busy:
                _check(Session(store, id), Path(folder), tally)


def _check(session: Session, folder: Path, tally: Tally) -> None:
    calls = read_histories(*folder.glob(f"{session.session_id}.*"))
    final = [Shown(message.position, str(message["content"])) for message in session.get_messages()]
    metadata = {key: str(value) for key, value in session.metadata().items()}
    check = check_appends if session.session_id.startswith("growing") else check_removals
    for violation in [*check(calls, final), *check_metadata(calls, metadata)]:
        tally.violate(str(violation))
    for call in calls:
        tally.numbers[call.kind.value] += 1
    tally.step(len(calls))


def _start(orders: Orders, stack: contextlib.ExitStack) -> subprocess.Popen[str]:
    worker = subprocess.Popen(
        [sys.executable, "-m", "reliability._load_worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        text=True,
    )
    stack.enter_context(worker)
    stack.callback(worker.kill)
    _tell(worker, json.dumps(orders))
    return worker


def _tell(worker: subprocess.Popen[str], line: str) -> None:
    assert worker.stdin is not None
    worker.stdin.write(line + "\n")
    worker.stdin.flush()


CAMPAIGNS = [
    Campaign(
        f"mixed_load/{name}",
        "calls",
        "16 processes of 4 clients: 0 errors, and all that they saw fits one order",
        200_000,
        0 if name == "redis" else 2_000,
        partial(mix_load, name),
    )
    for name in ("sqlite", "valkey", "redis", "postgres")
]
