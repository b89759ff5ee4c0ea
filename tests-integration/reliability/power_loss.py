"""Power that fails: what was synced stays, what was not is dropped, kept, torn or scattered."""

from __future__ import annotations

import sqlite3
import tempfile
import threading
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Literal

from openstackai_sessions_conformance._disk_log import DiskLog
from openstackai_sessions_conformance._history import Kind, Recorder
from openstackai_sessions_conformance._power import check_power_loss
from openstackai_sessions_core import UnsupportedError
from openstackai_sessions_sqlite import SQLiteStore
from reliability._framework import Campaign, Skip, Tally

__all__ = ["CAMPAIGNS"]

# Images of one run; then there is a new run.
PORTION = 125
THREADS, APPENDS = 3, 25


def lose_power(synchronous: Literal["full", "normal"], tally: Tally) -> None:
    """Write with several threads, and look at the disk as it may be after power was lost at any moment."""
    tally.place = f"SQLite {sqlite3.sqlite_version}, synchronous={synchronous!r}"
    while tally.left:
        with tempfile.TemporaryDirectory(prefix="reliability-") as folder:
            try:
                log = DiskLog(folder)
                log.__enter__()
                log.__exit__(None, None, None)
            except UnsupportedError as error:
                raise Skip(str(error)) from error
            recorder = Recorder(clock=log.tick)
            with log, closing(SQLiteStore(Path(folder, "x.db"), synchronous=synchronous)) as store:
                threads = [threading.Thread(target=_append, args=(store, recorder, n)) for n in range(THREADS)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
            report = check_power_loss(
                log,
                recorder.calls,
                SQLiteStore,
                name="x.db",
                session_id="s",
                images=PORTION,
                seed=tally.random.randrange(2**32),
            )
        tally.numbers["acknowledged"] += sum(len(call.labels) for call in recorder.calls if call.is_ok)
        tally.numbers["images that lack what was acknowledged"] += report.losing
        tally.numbers["unreadable"] += report.unreadable
        allowed = report.losing if synchronous == "normal" else 0
        tally.expect(report.unreadable == 0 and report.wrong <= allowed, str(report))
        tally.step(report.images)
    if synchronous == "normal":
        tally.expect(
            tally.numbers["images that lack what was acknowledged"] > 0,
            "nothing was lost with synchronous='normal': this test sees nothing",
        )


def _append(store: SQLiteStore, recorder: Recorder, number: int) -> None:
    session = store.session("s")
    for index in range(APPENDS):
        labels = [f"{number}-{index}.{part}" for part in range(1 + index % 3)]
        with recorder.record(f"t{number}", Kind.APPEND, labels=labels) as call:
            stored = session.add_messages([{"role": "user", "content": label} for label in labels])
            call.positions = [message.position for message in stored]


CAMPAIGNS = [
    Campaign(
        "power_loss/full",
        "images",
        "0 acknowledged lost, 0 unreadable",
        500,
        125,
        partial(lose_power, "full"),
    ),
    Campaign(
        "power_loss/normal",
        "images",
        "losses, which prove that they are seen; 0 unreadable",
        500,
        125,
        partial(lose_power, "normal"),
    ),
]
