"""The statement of conformance: what was checked, how it went, and whether the store conforms."""

from __future__ import annotations

import platform
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import Literal, TypeAlias

from openstackai_sessions_conformance._capabilities import Capability
from openstackai_sessions_conformance._registry import CHECKS, GROUPS, Rule
from openstackai_sessions_conformance._version import __version__
from openstackai_sessions_core import JSONObject, __version__ as core_version

__all__ = ["Ran", "Statement", "Status"]

Status: TypeAlias = Literal["passed", "failed", "skipped", "not claimed", "left out"]


@dataclass
class Ran:
    """One test function of a check: how it ended, and why."""

    name: str
    number: int
    status: Status
    seconds: float
    reason: str = ""


@dataclass
class Statement:
    """The results of one run, and what they amount to."""

    backend: str
    kind: str
    tier: str
    seed: int
    capabilities: Capability
    seconds: float = 0.0
    ran: list[Ran] = field(default_factory=list)
    only: frozenset[int] = frozenset()
    """The checks that were asked for; empty: all of them."""
    store: type | None = None
    """The class of the stores that were tested, once one was opened."""

    def status(self, number: int) -> Status:
        """How a check ended, by the worst of its functions; a part left out does not count where another passed."""
        statuses = {one.status for one in self.ran if one.number == number}
        order: tuple[Status, ...] = ("failed", "skipped", "passed", "not claimed", "left out")
        for status in order:
            if status in statuses:
                return status
        capability = CHECKS[number].capability
        return "skipped" if capability is None or capability & self.capabilities else "not claimed"

    def reason(self, number: int) -> str:
        """Why a check did not pass, in one line."""
        status = self.status(number)
        own = [one for one in self.ran if one.number == number]
        if not own:
            return "this run did not include it"
        reasons = [one.reason for one in own if one.reason and one.status in (status, "left out")]
        return "; ".join(dict.fromkeys(map(_in_a_line, reasons)))

    @property
    def distribution(self) -> str | None:
        """What the store was installed by: found by the module of its class, else by the target's."""
        return next(iter(self._distributions()), None)

    def _distributions(self) -> dict[str, str]:
        """The versions, by name, of the distributions that hold the class of the store and the target."""
        modules = [self.store.__module__] if self.store is not None else []
        found: dict[str, str] = {}
        for module in (*modules, self.backend.partition(":")[0]):
            found.update(_distribution_of(module))
        return found

    @property
    def conforms(self) -> bool:
        """Whether every mandatory check passed, and nothing that is claimed failed."""
        mandatory = all(self.status(rule.number) == "passed" for rule in CHECKS.values() if rule.capability is None)
        return mandatory and all(self.status(number) != "failed" for number in CHECKS)

    @property
    def unproved(self) -> list[str]:
        """The capabilities that are claimed, and of which no check passed: what they need was not there."""
        proved = {rule.capability for rule in CHECKS.values() if self.status(rule.number) == "passed"}
        return [
            capability.name or ""
            for capability in Capability
            if capability & self.capabilities and capability not in proved
        ]

    @property
    def in_part(self) -> list[int]:
        """The checks that passed though some of their functions were left out, and so prove less."""
        return [
            number
            for number in CHECKS
            if self.status(number) == "passed"
            and any(one.number == number and one.status == "left out" for one in self.ran)
        ]

    @property
    def why_not(self) -> list[str]:
        """The checks that stand in the way."""
        return [
            rule.label
            for rule in CHECKS.values()
            if self.status(rule.number) == "failed"
            or (rule.capability is None and self.status(rule.number) != "passed")
        ]

    def to_json(self) -> JSONObject:
        """The statement as a document; `version` changes when a field changes its meaning or goes."""
        return {
            "format": "openstackai-sessions-conformance",
            "version": 1,
            "conforms": self.conforms,
            "backend": self.backend,
            "kind": self.kind,
            "distribution": self.distribution,
            "capabilities": [capability.name or "" for capability in Capability if capability & self.capabilities],
            "unproved": [*self.unproved],
            "in_part": [*self.in_part],
            "tier": self.tier,
            "seed": self.seed,
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "seconds": round(self.seconds, 2),
            "versions": {
                **self._distributions(),
                "openstackai-sessions-conformance": __version__,
                "openstackai-sessions-core": core_version,
                "pytest": version("pytest"),
                "hypothesis": version("hypothesis"),
                "python": platform.python_version(),
                "platform": platform.platform(),
            },
            "counts": dict(Counter(self.status(number) for number in CHECKS)),
            "checks": [self._entry(rule) for rule in CHECKS.values()],
        }

    def _entry(self, rule: Rule) -> JSONObject:
        own = [one for one in self.ran if one.number == rule.number]
        return {
            "number": rule.number,
            "title": rule.title,
            "group": rule.group,
            "capability": None if rule.capability is None else rule.capability.name,
            "status": self.status(rule.number),
            "reason": self.reason(rule.number),
            "seconds": round(sum(one.seconds for one in own), 3),
            "tests": [
                {"name": one.name, "status": one.status, "seconds": round(one.seconds, 3), "reason": one.reason}
                for one in own
            ],
        }

    def to_text(self) -> str:
        """The statement as an aligned table."""
        lines = [f"Statement of conformance: {self.backend} ({self.kind})", ""]
        group = ""
        for rule in CHECKS.values():
            if self.only and rule.number not in self.only:
                continue
            if rule.group != group:
                group = rule.group
                lines += [f"{group}. {GROUPS[group]}"]
            status = self.status(rule.number)
            seconds = sum(one.seconds for one in self.ran if one.number == rule.number)
            kind = "" if rule.capability is None else f" [{rule.capability.name}]"
            reason = self.reason(rule.number)
            parts = "in part: " if status == "passed" else ""
            tail = f"  {parts}{reason[:110]}" if reason and status != "not claimed" else ""
            lines.append(f"  {rule.number:03d}  {status:<11} {seconds:7.2f} s  {rule.title}{kind}{tail}")
        counts = Counter(self.status(number) for number in self.only or CHECKS)
        store = "".join(f"{name} {version}, " for name, version in self._distributions().items())
        lines += [
            "",
            ", ".join(f"{count} {status}" for status, count in counts.most_common()),
            f"claimed: {', '.join(c.name or '' for c in Capability if c & self.capabilities) or 'nothing'}",
            f"tier {self.tier}, seed {self.seed}, {self.seconds:.1f} s",
            f"{store}suite {__version__}, core {core_version}, Python {platform.python_version()}",
            "",
        ]
        if self.in_part:
            numbers = " ".join(f"{number:03d}" for number in self.in_part)
            lines[-1:] = [f"passed in part, for want of what the lines above name: {numbers}", ""]
        if self.unproved and not self.only:
            lines[-1:] = [f"claimed, but not proved by any check here: {', '.join(self.unproved)}", ""]
        if self.only:
            passed = sum(self.status(number) == "passed" for number in self.only)
            lines.append(
                f"Part of the suite: {passed} of {len(self.only)} checks passed; nothing is said of the others."
            )
        elif self.conforms:
            lines.append(f"{self.backend} conforms.")
        else:
            lines.append(f"{self.backend} does not conform. In the way:")
            lines += [f"  {label}" for label in self.why_not]
        return "\n".join(lines)


@cache
def _distribution_of(module: str) -> dict[str, str]:
    """The version of the distribution that holds a module, by name, where one does."""
    package = module.partition(".")[0]
    # What is installed to be edited has no list of its packages: most distributions are called like theirs.
    for name in (*packages_distributions().get(package, ())[:1], package.replace("_", "-")):
        with suppress(PackageNotFoundError, ValueError):
            return {name: version(name)}
    return {}


def _in_a_line(reason: str) -> str:
    """What matters of a message: of a failed check, what was expected and what was seen."""
    lines = [line.strip() for line in reason.strip().splitlines()]
    telling = [line for line in lines if line.startswith(("expected:", "seen:"))]
    return ", ".join(" ".join(line.split()) for line in telling) or lines[0]
