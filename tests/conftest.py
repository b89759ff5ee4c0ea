"""Fixtures of the behaviour tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from openstackai_sessions_core.backend import AsyncBaseStore, BaseStore
from places import PLACES, Place


@pytest.fixture(params=sorted(PLACES))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A new, empty place of each backend in turn."""
    place = PLACES[request.param](tmp_path)
    yield place
    place.clean()


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
