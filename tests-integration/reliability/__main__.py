"""Run campaigns: `python -m reliability [campaign ...] [--quick] [--count N] [--seed N] [--json FILE] [--write]`."""

from __future__ import annotations

import argparse
import datetime
import json
import logging
import os
import platform
import signal
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from reliability._framework import Campaign, Tally, run

FAMILIES = [
    "client_kills",
    "server_kills",
    "power_loss",
    "lost_replies",
    "cancellations",
    "mixed_load",
    "cold_start",
    "hostile_input",
    "time_outs",
    "fail_over",
    "no_room",
    "canary",
]
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
BEGIN = "<!-- results: written by make reliability ARGS=--write -->"
END = "<!-- end of results -->"


def main(arguments: Sequence[str] | None = None) -> int:
    """1 where a violation was found."""
    campaigns: list[Campaign] = [each for name in FAMILIES for each in import_module(f"reliability.{name}").CAMPAIGNS]
    parser = argparse.ArgumentParser(prog="reliability", description="Break things at random, and count what is lost.")
    parser.add_argument("names", nargs="*", metavar="campaign", help="a family or one of its campaigns (default: all)")
    parser.add_argument("--list", action="store_true", help="say what there is")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="as many as take five minutes in all")
    size.add_argument("--full", action="store_true", help="as many as the table of docs/reliability.md asks for")
    size.add_argument("--count", type=int, help="so many of each")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000, help="repeat a run's choices")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("--write", action="store_true", help=f"renew the results in docs/{DOCUMENT.name}")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if not any(name in (each.name, each.family) for each in campaigns)]
    if unknown:
        parser.error(f"no campaign {', '.join(unknown)}; there are: {', '.join(each.name for each in campaigns)}")
    chosen = [each for each in campaigns if not options.names or {each.name, each.family} & set(options.names)]
    if options.list:
        for each in chosen:
            print(f"{each.name}: {each.full:,} {each.unit} ({each.quick:,} with --quick): {each.required}")
        return 0
    # Whoever ends this in the middle ends the servers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # The drivers tell of every connection that breaks, which is what happens here all the time.
    logging.getLogger().addHandler(logging.NullHandler())
    results = []
    if options.quick and not options.names:
        chosen = [each for each in chosen if each.quick]
    for each in chosen:
        print(f"== {each.name}", file=sys.stderr, flush=True)
        count = options.count or ((each.quick or 1) if options.quick else each.full)
        tally = run(each, count=count, seed=options.seed)
        results.append((each, tally))
        print(f"   {_told(each, tally)}", file=sys.stderr, flush=True)
        if options.write:
            _write(results)
        if options.json:
            options.json.write_text(json.dumps([_plain(*result) for result in results], indent=2) + "\n", "utf-8")
    return _conclude(results, options.seed)


def _told(campaign: Campaign, tally: Tally) -> str:
    if tally.skipped is not None:
        return f"skipped: {tally.skipped}"
    return f"{tally.done:,} {campaign.unit} in {tally.seconds:.1f} s on {tally.place}: {tally.found}"


def _conclude(results: Sequence[tuple[Campaign, Tally]], seed: int) -> int:
    print(f"\n{'campaign':<32} {'done':>10} {'seconds':>8}  result (seed {seed})")
    failed = []
    for campaign, tally in results:
        result = f"skipped: {tally.skipped}" if tally.skipped is not None else tally.found.replace("**", "")
        print(f"{campaign.name:<32} {tally.done:>10,} {tally.seconds:>8.1f}  {result}")
        for note in tally.notes:
            print(f"{'':<32} {note}")
        if tally.violations:
            failed.append(campaign.name)
    if failed:
        print(f'\nVIOLATIONS. To repeat: make reliability ARGS="{" ".join(failed)} --seed {seed}"')
    return 1 if failed else 0


def _plain(campaign: Campaign, tally: Tally) -> dict[str, object]:
    return {
        "campaign": campaign.name,
        "required": campaign.required,
        "unit": campaign.unit,
        "wanted": campaign.full,
        "done": tally.done,
        "place": tally.place,
        "seed": tally.seed,
        "seconds": round(tally.seconds, 1),
        "numbers": dict(tally.numbers),
        "violations": tally.violations,
        "notes": tally.notes,
        "skipped": tally.skipped,
    }


def _write(results: Sequence[tuple[Campaign, Tally]]) -> None:
    """Put the rows of these campaigns in the place of their old ones."""
    text = DOCUMENT.read_text("utf-8")
    before, begin, rest = text.partition(BEGIN)
    block, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{DOCUMENT} has lost the marks between which the results stand")
    rows: dict[str, str] = {line.split("`")[1]: line for line in block.splitlines() if line.startswith("| `")}
    for campaign, tally in results:
        rows[campaign.name] = _row(campaign, tally)
    head = ["", "| campaign | on | done | found | seconds | date |", "| --- | --- | ---: | --- | ---: | --- |"]
    DOCUMENT.write_text(before + begin + "\n".join([*head, *rows.values(), ""]) + end + after, "utf-8")


def _row(campaign: Campaign, tally: Tally) -> str:
    date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    if tally.skipped is not None:
        return f"| `{campaign.name}` | | 0 | not tested: {tally.skipped} | | {date} |"
    place = f"{tally.place}, Python {platform.python_version()}, {os.cpu_count()} cores"
    done = f"{tally.done:,} of {campaign.full:,} {campaign.unit}"
    found = "; ".join([tally.found, *tally.notes]).replace("|", "\\|").replace("\n", " ")
    return f"| `{campaign.name}` | {place} | {done} | {found} | {tally.seconds:,.0f} | {date} |"


if __name__ == "__main__":
    sys.exit(main())
