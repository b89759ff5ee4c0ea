"""Sessions to run agents in, and quiet surroundings for the SDK."""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import agents
import pytest

from openstackai_sessions_core import AsyncInMemorySession, AsyncSession, InMemorySession, Session
from openstackai_sessions_sqlite import AsyncSQLiteSession, SQLiteSession

# The modules beside this one are imported by their plain names.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True, scope="session")
def _no_traces_leave_this_machine() -> None:
    agents.set_tracing_disabled(disabled=True)


KINDS: dict[str, Callable[[Path, str], Session | AsyncSession]] = {
    "memory": lambda _, session_id: InMemorySession(session_id),
    "async memory": lambda _, session_id: AsyncInMemorySession(session_id),
    "SQLite": lambda folder, session_id: SQLiteSession(folder / "sessions.db", session_id),
    "async SQLite": lambda folder, session_id: AsyncSQLiteSession(folder / "sessions.db", session_id),
}


@pytest.fixture(params=KINDS)
def new_session(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Session | AsyncSession]:
    """Makes sessions; a test that takes it runs with sync and with async ones, in memory and on SQLite."""
    return functools.partial(KINDS[request.param], tmp_path)


@pytest.fixture
def session(new_session: Callable[[str], Session | AsyncSession]) -> Session | AsyncSession:
    """A session of the test's own, of each kind."""
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
