"""The published matrix: which checks kill which mutant, and what must not be killed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["MOST", "Page", "Row", "Run", "choose", "published", "read_page", "summarise", "write_page"]

HEAD = """\
# Which check kills which mutant

Each mutant is the reference store with one realistic fault, and dies in so many runs of the suite, quick tier, as the
last column says. Seed 1 runs the whole suite. The later seeds run up to six of the checks that killed with seed 1, and
the whole suite only where none of those kills; a check that failed to kill when it was run is not listed. Only an
assertion of a check counts. Written by `make mutants`.
"""

SPARED = "## What must not be killed"

TAIL = """\
## Checks that kill nothing here

- 055, 079, 082 to 086, 089, 090, 093, 098: they need a server. `tests-integration/conformance` runs them on
  Redis and PostgreSQL.
- 094: which URLs open is decided by core for all backends; the check guards what an installed backend registers.
- 102: its faults are those of a migration by many processes, which each backend's tests provoke.
- 103: the memory of a store in memory is what it holds; its mutant is *iteration reads everything*.
"""

# Slow, and what they find others find too.
BROAD = frozenset({3, 9})
MOST = 6


class Row(NamedTuple):
    """The checks that kill a mutant, and in how many of how many runs it died; of 0 runs: nobody has counted."""

    checks: Sequence[int]
    killed: int = 0
    runs: int = 0


class Run(NamedTuple):
    """One seed: the checks that killed, and those that were chosen to be run first and did not."""

    killers: Sequence[int]
    missed: Sequence[int] = ()


class Page(NamedTuple):
    """The rows by mutant, and by subject (`reference, tier quick`) what was found of those that must pass."""

    rows: dict[str, Row]
    spared: dict[str, str]


def choose(checks: Sequence[int], most: int = MOST) -> list[int]:
    """Those of a mutant's checks that are run first: some, and not the broad ones unless there are no others."""
    return ([number for number in checks if number not in BROAD] or list(checks))[:most]


def summarise(known: Sequence[int], runs: Sequence[Run]) -> Row:
    """What several runs say together; `known` are the checks that were published before, if those are relied on.

    The checks are those of the first run that killed, less those that were chosen in a later one and did not kill. If
    that leaves none, as where every check is a race that may be lost, all of them stand.
    """
    first = known or next((run.killers for run in runs if run.killers), ())
    missed = {number for run in runs for number in run.missed}
    kept = [number for number in first if number not in missed]
    killed = sum(bool(run.killers) for run in runs)
    return Row((kept or list(first)) if killed else [], killed, len(runs))


def read_page(text: str) -> Page:
    """What a page says; its last column may be missing."""
    rows = {}
    for name, checks, count in re.findall(r"^\| (.+?) \| ([\d ]+|none) \|(?: ([\d/-]+) \|)?$", text, re.MULTILINE):
        killed, _, runs = count.partition("/")
        numbers = [] if checks == "none" else [int(number) for number in checks.split()]
        rows[name] = Row(numbers, int(killed), int(runs)) if runs else Row(numbers)
    spared = text.partition(SPARED)[2].partition("\n## ")[0]
    return Page(rows, dict(re.findall(r"^- \*(.+?)\*: (.*)$", spared, re.MULTILINE)))


def write_page(page: Page, names: Iterable[str]) -> str:
    """The text of a page, with the rows in the order of the names."""
    table = ["| mutant | killed by the checks | runs |", "|---|---|---|"]
    for name in names:
        if name in page.rows:
            checks, killed, runs = page.rows[name]
            numbers = " ".join(f"{number:03d}" for number in checks) or "none"
            table.append(f"| {name} | {numbers} | {f'{killed}/{runs}' if runs else '-'} |")
    spared = [f"- *{subject}*: {finding}" for subject, finding in page.spared.items()]
    parts = ["\n".join([*table, ""]), *(["\n".join([SPARED, "", *spared, ""])] if spared else []), TAIL]
    return "\n".join([HEAD, *parts])


def published(path: Path) -> Mapping[str, Sequence[int]]:
    """The checks that kill each mutant, as a page says; none where it lives."""
    return {name: row.checks for name, row in read_page(path.read_text("utf-8")).rows.items()}
