"""The same random trace of calls on memory and on Redis gives the same results: without the passing of time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings, strategies as st

from behaviour.test_same_trace import SESSIONS, STEPS, Side
from places import MemoryPlace, Place

# Ids that look like the library's own take another way through the index of ids.
UUIDS = [f"01932222-1234-7333-8333-12345678900{digit}" for digit in range(4)]
GIVEN = st.tuples(st.just("add"), st.integers(0, 1), st.sampled_from([*UUIDS, "m1"]), st.none())
TRACE = st.lists(
    st.tuples(
        st.sampled_from(SESSIONS),
        st.booleans(),
        st.sampled_from([None, 5_000.0]),
        st.one_of(STEPS, GIVEN).filter(lambda step: step[0] != "elapse"),
    ),
    max_size=60,
)


class Named(Side):
    def name(self, id: str) -> object:
        return id if id in UUIDS else super().name(id)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(trace=TRACE)
def test_redis_does_what_memory_does(
    trace: list[tuple[str, bool, float | None, tuple[Any, ...]]], new_place: Callable[[], Place]
) -> None:
    reference, subject = Named(MemoryPlace()), Named(new_place())
    for id, second, ttl, step in trace:
        expected = reference.take(id, second, ttl, step)
        assert subject.take(id, second, ttl, step) == expected, (id, step)
        assert subject.state() == reference.state(), (id, step)
    assert subject.heard == reference.heard
    subject.store.close()
    subject.place.clean()
