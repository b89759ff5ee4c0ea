# Written by tools/twins.py from _async_scene.py: edit that file, then run `make twins`.
"""What one check works with, and the decorator that makes a check of a function."""

from __future__ import annotations

import random
from collections.abc import Callable
from types import TracebackType
from typing import Any

from openstackai_sessions_conformance._capabilities import Capability
from openstackai_sessions_conformance._findings import Finding, refuses
from openstackai_sessions_conformance._harness import Conformance, make_check
from openstackai_sessions_conformance._place import Place
from openstackai_sessions_conformance._registry import CHECKS
from openstackai_sessions_conformance._seam import open_on, run, sleep
from openstackai_sessions_conformance._settings import Tier
from openstackai_sessions_core import Session, UnsupportedError
from openstackai_sessions_core.backend import BaseStore

__all__ = ["Scene", "check", "plain_check"]

# By this factor the times to live of a second attempt are longer.
SLOWLY = 4.0


class Scene:
    """Stores on one fresh place, a clock, and a seed. What is opened here is closed at the end."""

    store: BaseStore
    """A store on the place."""

    second: BaseStore
    """Another store on the same place, as another process would have it; the same one where there can be only one."""

    def __init__(
        self, place: Place, capabilities: Capability, tier: Tier, seed: int, number: int, *, pace: float = 1.0
    ) -> None:
        self.place = place
        self.pace = pace
        self.capabilities = capabilities
        self.tier = tier
        self.seed = seed + number
        self.random = random.Random(seed * 1000 + number)
        self._stores: list[BaseStore] = []
        self._places: list[Place] = []

    def __enter__(self) -> Scene:
        self.store = self.open()
        self.second = self.store if self.place.single else self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for store in reversed(self._stores):
            store.close()
        for place in self._places:
            place.close()

    def session(self, id: str = "s", *, ttl: float | None = None) -> Session:
        """A handle on the first store."""
        return self.store.session(id) if ttl is None else self.store.session(id, ttl=ttl)

    def other(self, id: str = "s") -> Session:
        """A handle on the second store."""
        return self.second.session(id)

    def open(self, **options: object) -> BaseStore:
        """Open one more store on the place."""
        return self._open(self.place, **options)

    def fresh(self, **options: object) -> BaseStore:
        """A store on another, empty place."""
        return self._open(self.new_place(), **options)

    def new_place(self) -> Place:
        """Another, empty place."""
        place = self.place.fresh()
        self._places.append(place)
        return place

    def open_at(self, place: Place, **options: object) -> BaseStore:
        """A store on a place that is not the scene's own."""
        return self._open(place, **options)

    def _open(self, place: Place, **options: object) -> BaseStore:
        store = open_on(place, **options)
        if store not in self._stores:
            self._stores.append(store)
        return store

    def pick(self, quick: int, full: int, soak: int) -> int:
        """How often to do something, by tier."""
        return {"quick": quick, "full": full, "soak": soak}[self.tier]

    @property
    def tick(self) -> float:
        """A time to live that is long beside a call and yet can be waited for."""
        return 1.2 * self.pace if self.lives_in_real_time else 60.0

    @property
    def lives_in_real_time(self) -> bool:
        """Whether time passes for the stores only by passing."""
        return self.place.clock is None and self.place.elapse is None

    def elapse(self, seconds: float) -> None:
        """Let time pass for the stores."""
        if self.place.clock is not None:
            self.place.clock.elapse(seconds)
        elif self.place.elapse is not None:
            self.place.elapse(seconds)
        else:
            sleep(seconds)


def check(
    number: int, *, cause: str, seconds: float = 60.0
) -> Callable[[Callable[[Any, Scene], None]], Callable[..., None]]:
    """Make a check of a function; `cause` is what usually breaks its rule, `seconds` bounds it in the quick tier."""

    def decorate(body: Callable[[Any, Scene], None]) -> Callable[..., None]:
        def play(suite: Conformance, place: Place, seed: int, tier: Tier) -> None:
            def scene() -> None:
                with Scene(place, suite.capabilities, tier, seed, number) as entered:
                    try:
                        body(suite, entered)
                    except Finding:
                        if not entered.lives_in_real_time or CHECKS[number].capability != Capability.TTL:
                            raise
                    else:
                        return
                    # A busy machine may have let more time pass than it knows of: once more, and slowly.
                    slow = Scene(entered.new_place(), suite.capabilities, tier, seed, number, pace=SLOWLY)
                    with slow:
                        body(suite, slow)

            run(scene)

        def refuse(suite: Conformance, place: Place, seed: int, tier: Tier) -> None:
            def scene() -> None:
                with Scene(place, suite.capabilities, tier, seed, number) as entered:
                    _refused(entered, number)

            run(scene)

        return make_check(number, cause, seconds, body, play, refuse)

    return decorate


def plain_check(
    number: int, *, cause: str, seconds: float = 60.0
) -> Callable[[Callable[[Any, Place, Capability, int, Tier], None]], Callable[..., None]]:
    """Make a check of a function that opens its stores itself, outside of a scene."""

    def decorate(body: Callable[[Any, Place, Capability, int, Tier], None]) -> Callable[..., None]:
        def play(suite: Conformance, place: Place, seed: int, tier: Tier) -> None:
            body(suite, place, suite.capabilities, seed, tier)

        return make_check(number, cause, seconds, body, play, play)

    return decorate


def _refused(scene: Scene, number: int) -> None:
    """What is not claimed and yet has a call must say so."""
    if CHECKS[number].capability == Capability.TTL:
        with refuses(UnsupportedError, "a write of a session with a ttl, which is not claimed,"):
            scene.store.session("s", ttl=60).add_message("user", "x")
    else:
        scene.session().add_message("user", "x")
        with refuses(UnsupportedError, "iter_messages, which is not claimed,"):
            for _ in scene.session().iter_messages():
                pass
