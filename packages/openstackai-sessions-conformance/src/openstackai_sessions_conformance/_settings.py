"""How much a run does, and the seed it can be replayed with."""

from __future__ import annotations

import os
import random
from typing import Literal, TypeAlias, cast, get_args

__all__ = ["SEED_VARIABLE", "TIER_VARIABLE", "Tier", "the_seed", "the_tier"]

Tier: TypeAlias = Literal["quick", "full", "soak"]

SEED_VARIABLE = "OPENSTACKAI_CONFORMANCE_SEED"
TIER_VARIABLE = "OPENSTACKAI_CONFORMANCE_TIER"

_own_seed = random.SystemRandom().randrange(1, 1_000_000)


def the_tier(declared: Tier | None) -> Tier:
    """The environment's tier, else what the class declares, else `quick`."""
    tier = os.environ.get(TIER_VARIABLE) or declared or "quick"
    if tier not in get_args(Tier):
        raise ValueError(f"{TIER_VARIABLE} must be one of {', '.join(get_args(Tier))}, not {tier!r}")
    return cast("Tier", tier)


def the_seed(declared: int | None) -> int:
    """The environment's seed, else what the class declares, else one drawn once for this process."""
    text = os.environ.get(SEED_VARIABLE)
    if text:
        return int(text)
    return _own_seed if declared is None else declared
