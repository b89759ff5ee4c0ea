# Written by tools/twins.py from _async_checks_traces.py: edit that file, then run `make twins`.
"""Random sequences of calls, beside the model and beside the reference store (checks 3 and 9)."""

from __future__ import annotations

import math
import time
from typing import Any

from openstackai_sessions_conformance._capabilities import Capability
from openstackai_sessions_conformance._machine import run_machine
from openstackai_sessions_conformance._place import Place
from openstackai_sessions_conformance._scene import Scene, check, plain_check
from openstackai_sessions_conformance._settings import Tier
from openstackai_sessions_conformance._traces import draw_trace, side_by_side
from openstackai_sessions_core import InMemoryStore

__all__ = ["TraceChecks"]


# So many sequences that write something are run, however long they take.
LEAST = 12


class TraceChecks:
    """The checks that compare whole sequences of calls."""

    @plain_check(
        3,
        cause="two calls that are each right alone and not in this order; the full tier shows a short one",
        seconds=300,
    )
    def test_003_every_sequence_agrees_with_the_model(
        self, place: Place, capabilities: Capability, seed: int, tier: Tier
    ) -> None:
        """Any sequence of calls, on several sessions and through two stores, does what the model does."""
        examples, steps, bound = {"quick": (56, 40, 6), "full": (1000, 50, 90), "soak": (20_000, 60, 1800)}[tier]
        shrink, began = tier != "quick", time.monotonic()
        # These are run whatever the time, so that a seed means the same sequences on a busy machine.
        run_machine(place, capabilities, seed=seed, examples=LEAST, steps=steps, shrink=shrink, seconds=math.inf)
        left = bound - (time.monotonic() - began)
        if left > 0:
            more = examples - LEAST
            run_machine(place, capabilities, seed=-seed, examples=more, steps=steps, shrink=shrink, seconds=left)

    @check(9, cause="a rule that this backend reads in another way than the reference store does")
    def test_009_the_same_trace_gives_the_same_results(self, scene: Scene) -> None:
        """The same calls on this store and on the reference store return the same results and errors."""
        for _ in range(scene.pick(4, 40, 400)):
            reference = InMemoryStore()
            store: Any = scene.fresh()
            side_by_side([reference, store], draw_trace(scene.random, 40))
            reference.close()
