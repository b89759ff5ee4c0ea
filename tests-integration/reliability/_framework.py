"""What every campaign has: a name, a claim, how often it is to be tried, and a tally of what was found."""

from __future__ import annotations

import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Campaign", "Skip", "Tally", "run"]

# In seconds: between two lines of progress; where somebody watches, more often.
PROGRESS = 0.5 if sys.stderr.isatty() else 15.0
# Violations that are told in full.
TOLD = 5


class Skip(Exception):  # noqa: N818 - not an error
    """What a campaign needs is not on this machine; the text says what."""


@dataclass
class Tally:
    """What a campaign has done and found so far."""

    name: str
    wanted: int
    seed: int
    place: str = ""
    """What it ran on, with its version."""
    done: int = 0
    numbers: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    skipped: str | None = None
    seconds: float = 0.0
    _began: float = field(default_factory=time.monotonic)
    _told: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.random = random.Random(f"{self.seed} {self.name}")

    @property
    def left(self) -> int:
        """How many are still to be done."""
        return max(0, self.wanted - self.done)

    def step(self, count: int = 1) -> None:
        """Count what has been done, and show it now and then."""
        self.done += count
        now = time.monotonic()
        if now - self._told >= PROGRESS:
            self._told = now
            rate = max(self.done, 0.001) / (now - self._began)
            end = "\r" if sys.stderr.isatty() else "\n"
            text = f"  {self.name}: {self.done:,} of {self.wanted:,}, {rate:,.1f}/s, {self.left / rate:,.0f} s left"
            print(f"{text}, {len(self.violations)} violations  ", end=end, file=sys.stderr, flush=True)

    def violate(self, text: str) -> None:
        """Note that something happened which must not."""
        self.violations.append(text)
        if len(self.violations) <= TOLD:
            print(f"  {self.name}: VIOLATION (seed {self.seed}, at {self.done:,}): {text}", file=sys.stderr, flush=True)

    def expect(self, holds: bool, text: str) -> bool:
        """Note a violation where it does not hold; return whether it does."""
        if not holds:
            self.violate(text)
        return holds

    @property
    def found(self) -> str:
        """The numbers in words."""
        numbers = [f"{count:,} {name}" for name, count in self.numbers.items()]
        return ", ".join([*numbers, f"**{len(self.violations)} violations**"])


@dataclass(frozen=True)
class Campaign:
    """One thing that is tried often. `unit` is what is counted, `required` what must hold of it.

    `quick`: 0 where `--quick` leaves it out, because it takes long or a sister of it shows the same.
    """

    name: str
    unit: str
    required: str
    full: int
    quick: int
    function: Callable[[Tally], None]

    @property
    def family(self) -> str:
        return self.name.partition("/")[0]


def run(campaign: Campaign, *, count: int, seed: int) -> Tally:
    """Run a campaign to its end; whatever it raises is a violation, but for `Skip`."""
    tally = Tally(campaign.name, count, seed)
    began = time.monotonic()
    try:
        campaign.function(tally)
        if not tally.violations:
            tally.expect(tally.done >= count, f"only {tally.done:,} of {count:,} were done")
    except Skip as skip:
        tally.skipped = str(skip)
    except Exception:  # noqa: BLE001 - whatever it is, the table tells it
        tally.violate(f"the campaign itself failed:\n{traceback.format_exc()}")
    tally.seconds = time.monotonic() - began
    return tally
