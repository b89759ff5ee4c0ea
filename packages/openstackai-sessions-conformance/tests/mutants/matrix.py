"""Measure the suite on its mutants, and write which checks kill which: `python -m mutants.matrix --help`."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from mutants import async_handle_faults, handle_faults
from mutants.faults import ASYNC_FAULTS, EQUIVALENT, PUBLIC, STORE_FAULTS, asynchronous
from mutants.file_faults import FILE_FAULTS
from mutants.page import MOST, Page, Row, Run, choose, published, read_page, summarise, write_page
from mutants.path_faults import ASYNC_PATH_FAULTS, PATH_FAULTS
from mutants.task_faults import TASK_FAULTS
from mutants.write_faults import ASYNC_RACES, RACES, WRITE_FAULTS
from openstackai_sessions_conformance import DEFAULT, Capability
from openstackai_sessions_conformance._run import run_suite
from openstackai_sessions_core import AsyncInMemoryStore, InMemoryStore

__all__ = ["claims", "equivalents", "first_checks", "is_assertion", "mutants", "published"]

T = TypeVar("T")

PAGE = Path("docs", "conformance-matrix.md")

# An event loop runs a store in memory one call at a time.
THREADS_ONLY = {"locks in two orders", "a caller's lock held across fork"}

# Each check that kills it waits a minute for what has stopped for ever.
STUCK = {"locks in two orders"}

EQUIVALENT_SEEDS = 3

REFERENCES: dict[str, Callable[..., Any]] = {"InMemoryStore": InMemoryStore, "AsyncInMemoryStore": AsyncInMemoryStore}


def mutants() -> dict[str, Callable[..., Any]]:
    """Every mutant, sync and async, by name: first those that have a number."""
    found: dict[str, Callable[..., Any]] = {}
    everything: dict[str, type[InMemoryStore]] = {**PUBLIC, **STORE_FAULTS, **PATH_FAULTS, **WRITE_FAULTS}
    for name, kind in everything.items():
        found[name] = kind
        if name not in THREADS_ONLY:
            found[f"{name} (async)"] = asynchronous(kind)
    for name, handles in handle_faults.HANDLE_FAULTS.items():
        found[name] = handles
        found[f"{name} (async)"] = async_handle_faults.HANDLE_FAULTS[name]
    for name, racing in RACES.items():
        found[name] = racing
        found[f"{name} (async)"] = ASYNC_RACES[name]
    found = {**found, **ASYNC_FAULTS, **ASYNC_PATH_FAULTS, **TASK_FAULTS, **FILE_FAULTS}
    return {name: found[name] for name in sorted(found, key=lambda name: name[:2] if name[:2].isdigit() else "~")}


def equivalents() -> dict[str, Callable[..., Any]]:
    """The variants that differ from the reference in what no rule settles, sync and async, by name."""
    behind = {f"{name} (async)": asynchronous(kind) for name, kind in EQUIVALENT.items()}
    return {**EQUIVALENT, **behind}


def claims(make: object) -> Capability | None:
    """What a store in memory can claim; a class of the suite says so itself."""
    return None if make in FILE_FAULTS.values() else DEFAULT | Capability.FORK


def is_assertion(reason: str) -> bool:
    """Whether a check failed because a rule is broken, and not because the mutant itself fell over."""
    return reason.startswith("conformance check") and not re.search(r"\(at (?:\w*faults|inside)\.py:\d+\)", reason)


def kills(
    make: Callable[..., Any], seed: int, only: Sequence[int] = (), tier: str = "quick"
) -> tuple[list[int], list[str]]:
    """The numbers of the checks that fail by an assertion, and the failures that are none."""
    statement = run_suite(
        make, name="mutant", tier=tier, seed=seed, capabilities=claims(make), only=frozenset(only)
    )  # fmt: skip
    failed = [one for one in statement.ran if one.status == "failed"]
    other = [f"{one.name}: {one.reason}" for one in failed if not is_assertion(one.reason)]
    return sorted({one.number for one in failed if is_assertion(one.reason)}), other


class Measured(NamedTuple):
    """What the runs of one mutant showed."""

    row: Row
    other: list[str]
    seconds: float


def first_checks(name: str, checks: Sequence[int], most: int = MOST) -> list[int]:
    """Those of a mutant's checks that are run first."""
    return choose(checks, 1 if name in STUCK else most)


def measure(name: str, seeds: int, known: Sequence[int]) -> Measured:
    """Run the suite on a mutant with several seeds: known checks first, then the whole of it if none kills."""
    make, began = mutants()[name], time.monotonic()
    runs: list[Run] = []
    other: list[str] = []
    for seed in range(1, seeds + 1):
        chosen = first_checks(name, known or next((run.killers for run in runs if run.killers), []))
        killers: list[int] = []
        if chosen:
            killers, strange = kills(make, seed, chosen)
            other += strange
        missed = [number for number in chosen if number not in killers]
        if not killers:
            killers, strange = kills(make, seed)
            other += strange
        runs.append(Run(killers, missed))
    return Measured(summarise(known, runs), other, time.monotonic() - began)


def alarms(name: str, seed: int, tier: str) -> list[str]:
    """What fails in one run of a store that should pass."""
    statement = run_suite(
        {**REFERENCES, **equivalents()}[name],
        name=name,
        tier=tier,
        seed=seed,
        capabilities=DEFAULT | Capability.FORK,
    )
    return [f"{one.name}: {one.reason}" for one in statement.ran if one.status == "failed"]


def in_a_process(call: Callable[[], T]) -> T:
    """Run a call in a process of its own, which is killed once it has answered: its threads may be stuck for ever."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=answer, args=(sender, call))
    process.start()
    sender.close()
    try:
        value, error = receiver.recv()
    except EOFError:
        raise RuntimeError("its process died") from None
    finally:
        process.kill()
        process.join()
        receiver.close()
    if error is not None:
        raise RuntimeError(error)
    found: T = value
    return found


def answer(sender: Connection, call: Callable[[], object]) -> None:
    try:
        sender.send((call(), None))
    except Exception as error:
        sender.send((None, repr(error)))
        raise


def in_parallel(calls: Mapping[str, Callable[[], T]], jobs: int) -> Iterator[tuple[str, T | Exception]]:
    """Run calls by name, so many at a time, and yield what each returns or raises as it ends."""
    with ThreadPoolExecutor(jobs) as pool:
        running = {pool.submit(in_a_process, call): name for name, call in calls.items()}
        for future in as_completed(running):
            error = future.exception()
            if error is not None and not isinstance(error, Exception):
                raise error
            yield running[future], error if error is not None else future.result()


def measure_mutants(page: Page, names: Sequence[str], arguments: argparse.Namespace) -> Iterator[str]:
    """Measure mutants, and yield the names of those that are in the way."""
    known = {name: page.rows[name].checks if arguments.skip_full and name in page.rows else () for name in names}
    calls = {name: partial(measure, name, arguments.seeds, known[name]) for name in names}
    for done, (name, found) in enumerate(in_parallel(calls, arguments.jobs), 1):
        head = f"{done:3d}/{len(names)} {name:<45}"
        if isinstance(found, Exception):
            print(f"{head} was not measured: {found!r}", flush=True)
            yield name
            continue
        row = page.rows[name] = found.row
        write(arguments.page, page)
        checks = " ".join(f"{number:03d}" for number in row.checks) or "ALIVE"
        print(f"{head} {row.killed:2d}/{row.runs} {found.seconds:5.0f} s  {checks}", flush=True)
        for other in found.other:
            print(f"    no assertion: {other}", flush=True)
        if row.killed * 10 < row.runs * 9:
            yield name


def measure_sound(
    page: Page, subject: str, names: Sequence[str], seeds: int, arguments: argparse.Namespace
) -> Iterator[str]:
    """Run what must pass, and yield what was reported all the same."""
    calls = {
        f"{name}, seed {seed}": partial(alarms, name, seed, arguments.tier)
        for seed in range(1, seeds + 1)
        for name in names
    }
    failures: list[str] = []
    for done, (name, found) in enumerate(in_parallel(calls, arguments.jobs), 1):
        reports = [repr(found)] if isinstance(found, Exception) else found
        print(f"{done:3d}/{len(calls)} {name:<45} {'false alarm' if reports else 'passed'}", flush=True)
        for report in reports:
            print(f"    {report}", flush=True)
            failures.append(f"{name}: {report.splitlines()[0].partition(': ')[0]}")
    page.spared[f"{subject}, tier {arguments.tier}"] = (
        f"{len(calls)} runs ({seeds} seeds each of {', '.join(f'`{name}`' for name in names)}): "
        f"{'; '.join(failures) or 'no false alarm'}."
    )
    write(arguments.page, page)
    yield from failures


def write(path: Path, page: Page) -> None:
    if path != Path("-"):
        path.write_text(write_page(page, mutants()), "utf-8")


def at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def main() -> int:
    """Measure, print, and write the page; 1 where a mutant lives or what must pass does not."""
    parser = argparse.ArgumentParser(prog="python -m mutants.matrix", description=main.__doc__)
    parser.add_argument("names", nargs="*", help="parts of the names of the mutants to measure; the other rows stay")
    parser.add_argument("--seeds", type=at_least_one, default=1, help="how many seeds a mutant is run with")
    parser.add_argument("--jobs", type=at_least_one, default=os.cpu_count() or 1, help="how many run at a time")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to bring up to date; -: none")
    parser.add_argument("--rows-only", action="store_true", help="the mutants only, not the equivalent variants")
    parser.add_argument(
        "--skip-full", action="store_true", help="rely on the checks that the page names, where it has a row"
    )
    parser.add_argument(
        "--reference", type=at_least_one, metavar="N", help="run the reference stores with N seeds, and nothing else"
    )
    parser.add_argument("--tier", choices=["quick", "full"], default="quick", help="of the reference's runs")
    arguments = parser.parse_args()

    page = read_page(arguments.page.read_text("utf-8")) if arguments.page.is_file() else Page({}, {})
    failures: list[str] = []
    began = time.monotonic()
    if arguments.reference:
        failures += measure_sound(page, "reference", [*REFERENCES], arguments.reference, arguments)
    else:
        names = [name for name in mutants() if any(part in name for part in arguments.names or [""])]
        if not names:
            parser.error("no mutant has such a name")
        failures += measure_mutants(page, names, arguments)
        if not arguments.names and not arguments.rows_only:
            seeds = max(EQUIVALENT_SEEDS, arguments.seeds)
            failures += measure_sound(page, "equivalent variants", [*equivalents()], seeds, arguments)
    print(f"{time.monotonic() - began:.0f} s; in the way: {'; '.join(failures) or 'nothing'}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
