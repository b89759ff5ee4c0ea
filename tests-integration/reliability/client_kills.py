"""Processes that are killed while they write: what was acknowledged is there, and no step is half done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from functools import partial
from typing import Any

from openstackai_sessions_conformance._crash import CrashReport, crash_clients
from openstackai_sessions_core import Session
from reliability._framework import Campaign, Tally
from reliability._places import Place, place
from reliability._step_worker import texts_of

__all__ = ["CAMPAIGNS", "count_crashes"]

# Kills of one file; then a new one.
PORTION = 60
# How many of the places are empty when the process that is killed opens them.
EARLY = 0.3


def kill_writers(name: str, tally: Tally) -> None:
    """Kill three processes at a time that write to one session."""
    with place(name) as somewhere:
        tally.place = somewhere.version
        while tally.left:
            somewhere.new()
            report = crash_clients(
                somewhere.opener,
                somewhere.arguments,
                kills=min(PORTION, tally.left),
                writers=3,
                seed=tally.random.randrange(2**32),
            )
            count_crashes(tally, report)


def count_crashes(tally: Tally, report: CrashReport) -> None:
    """Add what a run of crashes has found."""
    for what in ("acknowledged", "unknown", "lost", "doubled", "torn"):
        tally.numbers[what] += getattr(report, what)
    for violation in report.violations:
        tally.violate(str(violation))
    tally.step(report.kills)


def kill_steps(name: str, tally: Tally) -> None:
    """Kill a process that begins in a new place, then imports, clears, deletes and purges; look what is there."""
    with place(name) as somewhere:
        tally.place = somewhere.version
        while tally.left:
            somewhere.new()
            with somewhere.open() as store:
                Session(store, "beside").add_messages([{"role": "user", "content": "kept"}] * 10)
            if tally.random.random() < EARLY:
                # A place where there is nothing yet: what is interrupted is its making.
                somewhere.new()
            _kill_once(somewhere, tally)
            tally.step()


def _kill_once(somewhere: Place, tally: Tally) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-m", "reliability._step_worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        text=True,
    )
    with worker:
        try:
            assert worker.stdin is not None
            assert worker.stdout is not None
            worker.stdin.write(json.dumps({"opener": somewhere.opener, "arguments": somewhere.arguments}) + "\n")
            worker.stdin.flush()
            worker.stdout.readline()
            worker.stdin.write("go\n")
            worker.stdin.flush()
            time.sleep(tally.random.choice((tally.random.uniform(0, 0.1), tally.random.uniform(0, 3))))
        finally:
            worker.kill()
    with somewhere.open() as store:
        session = Session(store, "s")
        # At one instant: a server may be at the last request of the one that was killed.
        held: Any = session.export()
        tag = held["metadata"].get("tag")
        texts = [message["data"]["content"] for message in held["messages"]]
        whole = texts_of(str(tag)) if tag is not None else []
        tally.expect(texts in ([], whole), f"{len(texts)} messages beside the tag {tag!r}: {texts[:3]}")
        tally.numbers["found " + ("full" if texts else "cleared" if tag else "empty")] += 1
        beside = Session(store, "beside").count()
        tally.expect(beside in (0, 10), f"a session that nobody touched holds {beside} messages")
        time.sleep(0.002)
        short = [info for info in store.list_sessions("short", limit=1000) if info.message_count not in (0, 20)]
        tally.expect(not short, f"sessions that expire as a whole are there in part: {short}")
        store.purge_expired()
        tally.expect(not store.list_sessions("short"), "what has expired is listed after a purge")
        session.import_data(json.dumps({**SMALL_DOCUMENT, "messages": []}))
        tally.expect(session.add_message("user", "after").position > 0 and session.count() == 1, "cannot be written to")


SMALL_DOCUMENT: dict[str, object] = {
    "format": "openstackai-session",
    "version": 1,
    "session_id": "s",
    "created_at": None,
    "metadata": {},
}

CAMPAIGNS = [
    Campaign(
        "client_kills/sqlite",
        "kills",
        "0 acknowledged lost, 0 doubled, 0 part batches, every file opens",
        3_000,
        45,
        partial(kill_writers, "sqlite"),
    ),
    *(
        Campaign(
            f"client_kills/steps-{name}",
            "kills",
            "while a place is made, and in import, clear, delete and purge: the old state or the new",
            300,
            2,
            partial(kill_steps, name),
        )
        for name in ("sqlite", "valkey", "postgres")
    ),
]
