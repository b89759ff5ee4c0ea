"""Fixtures of the behaviour tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from openstackai_sessions_core.backend import AsyncBaseStore, BaseStore
from places import PLACES, Place


@pytest.fixture(params=sorted(PLACES))
def place_name(request: pytest.FixtureRequest) -> str:
    """Each backend in turn."""
    name: str = request.param
    return name


@pytest.fixture
def place(place_name: str, tmp_path: Path) -> Iterator[Place]:
    """A new, empty place."""
    place = PLACES[place_name](tmp_path)
    yield place
    place.clean()


@pytest.fixture
def new_place(place_name: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Place]:
    """Makes more places, for tests that need a fresh one for each example."""
    return lambda: PLACES[place_name](tmp_path_factory.mktemp("place"))


@pytest.fixture
def store(place: Place) -> Iterator[BaseStore]:
    store = place.open()
    yield store
    store.close()


@pytest.fixture
async def async_store(place: Place) -> AsyncIterator[AsyncBaseStore]:
    store = place.open_async()
    yield store
    await store.close()
