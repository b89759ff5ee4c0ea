"""What a SQLite file holds after a loss of power, at any moment of a recorded run.

A kill of a process never shows what a loss of power does: the operating system still has what was not synced. Here the
disk is rebuilt as it may then be. What was synced is there; of what was not, nothing, all, a part in its order, or any
of its sectors.
"""

from __future__ import annotations

import random
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path

from openstackai_sessions_conformance._blocking import handle_of, opened
from openstackai_sessions_conformance._disk_log import DiskLog, FileEvent, FileEventKind
from openstackai_sessions_conformance._history import NEVER, Call, Kind, Outcome, Shown, Violation
from openstackai_sessions_conformance._history_rules import check_appends

__all__ = ["Image", "PowerReport", "Unsynced", "check_power_loss", "power_images"]

# What a disk writes whole or not at all, in bytes.
SECTOR = 512
# Of the violations found, in a report.
SHOWN = 20


class Unsynced(Enum):
    """What became of that which was written and not synced."""

    DROPPED = "dropped"
    KEPT = "kept"
    SCATTERED = "scattered"
    """Any of its sectors, and any truncation, whatever their order was."""
    TORN = "torn"
    """All up to one write, of which the first sectors are there."""


@dataclass(frozen=True)
class Image:
    """A folder as it may be after a loss of power."""

    at: int
    """When the power was lost, on the log's clock: everything that is earlier had happened."""
    unsynced: Unsynced
    files: Mapping[str, bytes]


@dataclass
class PowerReport:
    """How many images there were, and what was wrong with how many of them."""

    images: int = 0
    losing: int = 0
    """Images that lack a message which had been acknowledged."""
    unreadable: int = 0
    """Images that cannot be opened, or whose database is corrupt."""
    wrong: int = 0
    """Images with any violation; those above too."""
    violations: list[Violation] = field(default_factory=list)
    """Some of what was found."""

    def __str__(self) -> str:
        summary = (
            f"{self.images} images: {self.losing} lack what was acknowledged, {self.unreadable} are unreadable, "
            f"{self.wrong} break a rule"
        )
        return "\n".join([summary, *map(str, self.violations)])


def check_power_loss(
    log: DiskLog,
    calls: Sequence[Call],
    open_store: Callable[[Path], object],
    *,
    name: str,
    session_id: str,
    images: int = 400,
    seed: int = 0,
) -> PowerReport:
    """Open the file `name` as a loss of power may leave it, up to `images` times, and check one session in it.

    `calls` were recorded with the log's clock (`Recorder(clock=log.tick)`), and only append. Each image must open, pass
    SQLite's own check, and hold what had been acknowledged at its moment, whole batches of what was under way, and
    nothing else; see `check_appends`.
    """
    report = PowerReport()
    for image in power_images(log.events, found=log.found, images=images, seed=seed):
        with tempfile.TemporaryDirectory() as folder:
            for file, content in image.files.items():
                Path(folder, file).write_bytes(content)
            found = _look(Path(folder, name), open_store, session_id, calls_until(calls, image.at))
        report.images += 1
        report.wrong += bool(found)
        report.unreadable += any(violation.rule == "opens" for violation in found)
        report.losing += any("is lost" in violation.detail for violation in found)
        where = f"(power lost at {image.at}, unsynced writes {image.unsynced.value})"
        violations = [replace(violation, detail=f"{violation.detail} {where}") for violation in found]
        report.violations += violations[: SHOWN - len(report.violations)]
    return report


def calls_until(calls: Sequence[Call], at: int) -> list[Call]:
    """The history as it stood at a moment: what was under way is unknown, and what is later never was."""
    return [
        call if call.completed < at else replace(call, completed=NEVER, outcome=Outcome.UNKNOWN)
        for call in calls
        if call.invoked < at and (call.completed < at or call.kind is Kind.APPEND)
    ]


def _look(path: Path, open_store: Callable[[Path], object], session_id: str, calls: Sequence[Call]) -> list[Violation]:
    try:
        with closing(opened(open_store, path)) as store:
            messages = handle_of(store, session_id).get_messages()
        with closing(sqlite3.connect(path)) as db:
            said = [str(row[0]) for row in db.execute("PRAGMA integrity_check")]
    except Exception as error:
        return [Violation("opens", f"the image cannot be read: {error!r}")]
    if said != ["ok"]:
        return [Violation("opens", f"the image is corrupt: {said[:3]}")]
    return check_appends(calls, [Shown(message.position, str(message.content)) for message in messages])


def power_images(
    events: Sequence[FileEvent], *, found: Mapping[str, bytes] | None = None, images: int, seed: int = 0
) -> Iterator[Image]:
    """Images of the folder at moments just before and after syncs, as far as they go, and at others.

    `found` is what files held before, on the disk for certain.
    Every moment chosen has an image for each way that unsynced writes can go, as long as there is something unsynced.
    """
    chance = random.Random(seed)
    syncs = [index for index, event in enumerate(events) if event.kind is FileEventKind.SYNC]
    near = sorted({moment for index in syncs for moment in (index, index + 1)})
    others = sorted(set(range(len(events) + 1)) - set(near))
    half = images // 8  # four images a moment, half of them near a sync
    moments = chance.sample(near, min(len(near), half))
    moments += chance.sample(others, min(len(others), 2 * half - len(moments)))
    disk = {name: _File(bytearray(content)) for name, content in (found or {}).items()}
    count = 0
    done = 0
    for moment in sorted(moments):
        for event in events[done:moment]:
            disk.setdefault(event.name, _File()).note(event)
            if event.syncs_folder:
                for file in disk.values():
                    file.enter()
        done = moment
        at = events[moment].at if moment < len(events) else NEVER
        for unsynced in Unsynced if any(file.pending for file in disk.values()) else [Unsynced.DROPPED]:
            if count == images:
                return
            count += 1
            contents = {name: file.content(unsynced, chance) for name, file in disk.items()}
            yield Image(
                at, unsynced, {name: bytes(content) for name, content in contents.items() if content is not None}
            )


@dataclass
class _File:
    """A file on a disk: what is there for certain (None: no file), and what was done to it since."""

    durable: bytearray | None = None
    pending: list[FileEvent] = field(default_factory=list)

    def note(self, event: FileEvent) -> None:
        if event.kind is FileEventKind.SYNC:
            self.durable = self.durable if self.durable is not None else bytearray()
            for earlier in self.pending:
                self.durable = _applied(self.durable, earlier)
            self.pending = []
        else:
            self.pending.append(event)

    def enter(self) -> None:
        """The folder was synced: the file is there for certain, or gone."""
        deleted = [index for index, event in enumerate(self.pending) if event.kind is FileEventKind.DELETE]
        if deleted:
            self.durable, self.pending = None, self.pending[deleted[-1] + 1 :]
        if self.durable is None and self.pending:
            self.durable = bytearray()

    def content(self, unsynced: Unsynced, chance: random.Random) -> bytearray | None:
        content = None if self.durable is None else bytearray(self.durable)
        for event in _kept(self.pending, unsynced, chance):
            content = _applied(content, event)
        return content


def _kept(pending: Sequence[FileEvent], unsynced: Unsynced, chance: random.Random) -> Iterator[FileEvent]:
    """What reached the disk."""
    if unsynced is Unsynced.KEPT:
        yield from pending
    elif unsynced is Unsynced.TORN and pending:
        whole = chance.randrange(len(pending))
        yield from pending[:whole]
        last = pending[whole]
        if last.kind is FileEventKind.WRITE:
            sectors = list(_sectors(last))
            yield from sectors[: chance.randrange(len(sectors) + 1)]
    elif unsynced is Unsynced.SCATTERED:
        share = chance.random()
        for event in pending:
            parts = _sectors(event) if event.kind is FileEventKind.WRITE else [event]
            yield from (part for part in parts if chance.random() < share)


def _sectors(event: FileEvent) -> Iterator[FileEvent]:
    """A write, cut where sectors end."""
    begin = 0
    while begin < len(event.data):
        size = SECTOR - (event.offset + begin) % SECTOR
        yield replace(event, offset=event.offset + begin, data=event.data[begin : begin + size])
        begin += size


def _applied(content: bytearray | None, event: FileEvent) -> bytearray | None:
    """The file after an event; what lies between its end and a write beyond it is zero."""
    if event.kind is FileEventKind.DELETE:
        return None
    content = bytearray() if content is None else content
    end = event.offset + len(event.data)
    if event.kind is FileEventKind.TRUNCATE:
        del content[event.offset :]
        end = event.offset
    if event.kind is not FileEventKind.CREATE:
        content.extend(bytes(max(0, end - len(content))))
    content[event.offset : end] = event.data
    return content
