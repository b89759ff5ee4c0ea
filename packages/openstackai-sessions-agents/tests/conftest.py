"""Sessions to run agents in, and quiet surroundings for the SDK."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import agents
import pytest

from openstackai_sessions_core import AsyncInMemorySession, AsyncSession, InMemorySession, Session

# The modules beside this one are imported by their plain names.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True, scope="session")
def _no_traces_leave_this_machine() -> None:
    agents.set_tracing_disabled(disabled=True)


@pytest.fixture(params=[InMemorySession, AsyncInMemorySession], ids=["sync", "async"])
def new_session(request: pytest.FixtureRequest) -> Callable[[str], Session | AsyncSession]:
    """Makes sessions, each private to itself; a test that takes it runs with sync and with async ones."""
    return request.param  # type: ignore[no-any-return] # pytest does not type its params


@pytest.fixture
def session(new_session: Callable[[str], Session | AsyncSession]) -> Session | AsyncSession:
    """A session of its own, sync or async."""
    return new_session("user-123")


@pytest.fixture
def default_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """The loop that `run_sync` uses, which the SDK leaves open."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield loop
    asyncio.set_event_loop(None)
    loop.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The SDK's `run_sync` asks for the event loop policy, which Python 3.14 warns about."""
    for item in items:
        if "default_loop" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.filterwarnings("ignore:.*get_event_loop_policy.*:DeprecationWarning"))
