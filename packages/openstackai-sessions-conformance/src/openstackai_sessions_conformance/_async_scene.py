"""What one check works with, and the decorator that makes a check of a function."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

from openstackai_sessions_conformance._async_seam import open_on, run, sleep
from openstackai_sessions_conformance._capabilities import Capability
from openstackai_sessions_conformance._findings import Finding, refuses
from openstackai_sessions_conformance._harness import Conformance, make_check
from openstackai_sessions_conformance._place import Place
from openstackai_sessions_conformance._registry import CHECKS
from openstackai_sessions_conformance._settings import Tier
from openstackai_sessions_core import AsyncSession, UnsupportedError
from openstackai_sessions_core.backend import AsyncBaseStore

__all__ = ["AsyncScene", "check", "plain_check"]

# By this factor the times to live of a second attempt are longer.
SLOWLY = 4.0


class AsyncScene:
    """Stores on one fresh place, a clock, and a seed. What is opened here is closed at the end."""

    store: AsyncBaseStore
    """A store on the place."""

    second: AsyncBaseStore
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
        self._stores: list[AsyncBaseStore] = []
        self._places: list[Place] = []

    async def __aenter__(self) -> AsyncScene:
        self.store = await self.open()
        self.second = self.store if self.place.single else await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for store in reversed(self._stores):
            await store.close()
        for place in self._places:
            place.close()

    def session(self, id: str = "s", *, ttl: float | None = None) -> AsyncSession:
        """A handle on the first store."""
        return self.store.session(id) if ttl is None else self.store.session(id, ttl=ttl)

    def other(self, id: str = "s") -> AsyncSession:
        """A handle on the second store."""
        return self.second.session(id)

    async def open(self, **options: object) -> AsyncBaseStore:
        """Open one more store on the place."""
        return await self._open(self.place, **options)

    async def fresh(self, **options: object) -> AsyncBaseStore:
        """A store on another, empty place."""
        return await self._open(self.new_place(), **options)

    def new_place(self) -> Place:
        """Another, empty place."""
        place = self.place.fresh()
        self._places.append(place)
        return place

    async def open_at(self, place: Place, **options: object) -> AsyncBaseStore:
        """A store on a place that is not the scene's own."""
        return await self._open(place, **options)

    async def _open(self, place: Place, **options: object) -> AsyncBaseStore:
        store = await open_on(place, **options)
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

    async def elapse(self, seconds: float) -> None:
        """Let time pass for the stores."""
        if self.place.clock is not None:
            self.place.clock.elapse(seconds)
        elif self.place.elapse is not None:
            self.place.elapse(seconds)
        else:
            await sleep(seconds)


def check(
    number: int, *, cause: str, seconds: float = 60.0
) -> Callable[[Callable[[Any, AsyncScene], Awaitable[None]]], Callable[..., None]]:
    """Make a check of a function; `cause` is what usually breaks its rule, `seconds` bounds it in the quick tier."""

    def decorate(body: Callable[[Any, AsyncScene], Awaitable[None]]) -> Callable[..., None]:
        def play(suite: Conformance, place: Place, seed: int, tier: Tier) -> None:
            async def scene() -> None:
                async with AsyncScene(place, suite.capabilities, tier, seed, number) as entered:
                    try:
                        await body(suite, entered)
                    except Finding:
                        if not entered.lives_in_real_time or CHECKS[number].capability != Capability.TTL:
                            raise
                    else:
                        return
                    # A busy machine may have let more time pass than it knows of: once more, and slowly.
                    slow = AsyncScene(entered.new_place(), suite.capabilities, tier, seed, number, pace=SLOWLY)
                    async with slow:
                        await body(suite, slow)

            run(scene)

        def refuse(suite: Conformance, place: Place, seed: int, tier: Tier) -> None:
            async def scene() -> None:
                async with AsyncScene(place, suite.capabilities, tier, seed, number) as entered:
                    await _refused(entered, number)

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


async def _refused(scene: AsyncScene, number: int) -> None:
    """What is not claimed and yet has a call must say so."""
    if CHECKS[number].capability == Capability.TTL:
        with refuses(UnsupportedError, "a write of a session with a ttl, which is not claimed,"):
            await scene.store.session("s", ttl=60).add_message("user", "x")
    else:
        await scene.session().add_message("user", "x")
        with refuses(UnsupportedError, "iter_messages, which is not claimed,"):
            async for _ in scene.session().iter_messages():
                pass
