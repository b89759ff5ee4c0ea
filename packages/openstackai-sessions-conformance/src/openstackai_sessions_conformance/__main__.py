"""The command: run the suite on a store, and write its statement of conformance."""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path

from openstackai_sessions_conformance._capabilities import DEFAULT, Capability
from openstackai_sessions_conformance._harness import Conformance
from openstackai_sessions_conformance._registry import CHECKS
from openstackai_sessions_conformance._run import resolve, run_suite
from openstackai_sessions_core import ValidationError

__all__ = ["main"]

WIDTH = 79
NAMES = [capability.name or "" for capability in Capability if capability]


def main(arguments: list[str] | None = None) -> int:
    """0 where the store conforms, 1 where it does not, 2 where the command cannot be carried out."""
    parser = argparse.ArgumentParser(
        prog="python -m openstackai_sessions_conformance",
        description="Run the conformance suite on a store and write its statement of conformance.",
    )
    parser.add_argument("target", nargs="?", help="mypackage.stores:make_store - a callable that makes a store (from "
                        "a fresh folder, if it takes one), a Place, or a conformance test class")  # fmt: skip
    parser.add_argument("--tier", choices=["quick", "full", "soak"], default="quick", help="how much to do (quick)")
    parser.add_argument("--seed", type=int, help="repeat a run: what random choices begin with (drawn anew)")
    parser.add_argument("--claim", type=_capabilities, help=f"capabilities beyond the default, of {', '.join(NAMES)}")
    parser.add_argument("--without", type=_capabilities, help="capabilities of the default that are not claimed")
    parser.add_argument("--only", type=_numbers, default=frozenset(), help="run some checks alone, such as 23-29,42")
    parser.add_argument("--json", metavar="FILE", help="write the statement as JSON, too (- for standard output)")
    parser.add_argument("--list", action="store_true", help="list the checks and stop")
    chosen = parser.parse_args(arguments)
    if chosen.list:
        for rule in CHECKS.values():
            print(f"{rule.group}  {rule.label}{f' [{rule.capability.name}]' if rule.capability else ''}")
        return 0
    if chosen.target is None:
        parser.error("say which store: mypackage.stores:make_store")
    seed = random.SystemRandom().randrange(1, 1_000_000) if chosen.seed is None else chosen.seed
    try:
        target = resolve(chosen.target)
        claimed: Capability | None = None
        if chosen.claim or chosen.without:
            own = isinstance(target, type) and issubclass(target, Conformance)
            base = target.capabilities if own else DEFAULT  # type: ignore[attr-defined]
            claimed = (base | (chosen.claim or Capability.NONE)) & ~(chosen.without or Capability.NONE)
        statement = run_suite(
            target,
            name=chosen.target,
            tier=chosen.tier,
            seed=seed,
            capabilities=claimed,
            only=chosen.only,
            progress=_progress,
        )
    except (ValidationError, TypeError, RuntimeError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    if sys.stderr.isatty():
        _show(f"\r{'':<{WIDTH}}\r")
    document = json.dumps(statement.to_json(), indent=2)
    if chosen.json == "-":
        print(document)
    else:
        print(statement.to_text())
        if chosen.json:
            Path(chosen.json).write_text(document + "\n", "utf-8")
    return 0 if statement.conforms else 1


def _progress(line: str, failure: str) -> None:
    """One line that changes on a terminal; elsewhere a line for each."""
    if sys.stderr.isatty():
        _show(f"\r{line:<{WIDTH}.{WIDTH}}" + (f"\n{failure}\n" if failure else ""))
    else:
        _show(f"{line}\n" + (f"{failure}\n" if failure else ""))


def _show(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _capabilities(text: str) -> Capability:
    found = Capability.NONE
    for name in text.upper().replace(" ", "").split(","):
        if name not in NAMES:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(NAMES)}")
        found |= Capability[name]
    return found


def _numbers(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        try:
            found |= set(range(int(first), int(last if dash else first) + 1))
        except ValueError:
            raise argparse.ArgumentTypeError(f"{part!r} is not a number such as 27, or a range such as 23-29") from None
    if not found <= set(CHECKS):
        raise argparse.ArgumentTypeError(f"checks have the numbers 1 to {max(CHECKS)}")
    return frozenset(found)


if __name__ == "__main__":
    sys.exit(main())
