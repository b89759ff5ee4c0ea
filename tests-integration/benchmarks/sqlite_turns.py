"""Compare the turns a second that one process serves with those of the OpenAI Agents SDK's own session.

    python tests-integration/benchmarks/sqlite_turns.py [--tasks 64] [--turns 20] [--rounds 5] [--json]

A turn reads the newest 50 messages and appends two of 230 bytes, each durable (WAL, synchronous=FULL) before the turn
ends. Every task has a session of its own that holds 50 messages at the start; all sessions lie in one file. Rounds
alternate between the two libraries, in one process, and each round begins with a new file; the figure is the median of
the rounds' ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path

from agents import SQLiteSession as AgentsSession, TResponseInputItem

from openstackai_sessions_sqlite import AsyncSQLiteSession

USER = "Where is my parcel, which I ordered a week ago? " + "It was the blue one. " * 7
ASSISTANT = "It left the warehouse on Monday and is on its way to you. " + "It is blue. " * 8
WINDOW = 50

Turn = Callable[[], Awaitable[None]]


async def measure(turns: list[Turn], repeat: int) -> float:
    """Turns a second, each task taking its turns one after the other."""

    async def take(turn: Turn) -> None:
        for _ in range(repeat):
            await turn()

    began = time.perf_counter()
    await asyncio.gather(*(take(turn) for turn in turns))
    return len(turns) * repeat / (time.perf_counter() - began)


async def ours(path: Path, tasks: int, repeat: int) -> float:
    """This library."""
    sessions = [AsyncSQLiteSession(path, f"session-{number}") for number in range(tasks)]

    def turn(session: AsyncSQLiteSession) -> Turn:
        async def take() -> None:
            read = await session.get_messages(WINDOW)
            assert len(read) == WINDOW
            await session.add_messages([{"role": "user", "content": USER}, {"role": "assistant", "content": ASSISTANT}])

        return take

    for session in sessions:
        await session.add_messages([{"role": "user", "content": USER}] * WINDOW)
    rate = await measure([turn(session) for session in sessions], repeat)
    assert await sessions[0].count() == WINDOW + 2 * repeat
    await sessions[0].store.close()
    return rate


async def theirs(path: Path, tasks: int, repeat: int) -> float:
    """The SDK's own session."""
    sessions = [AgentsSession(f"session-{number}", path) for number in range(tasks)]
    user: TResponseInputItem = {"role": "user", "content": USER}
    assistant: TResponseInputItem = {"role": "assistant", "content": ASSISTANT}

    def turn(session: AgentsSession) -> Turn:
        async def take() -> None:
            read = await session.get_items(WINDOW)
            assert len(read) == WINDOW
            await session.add_items([user, assistant])

        return take

    for session in sessions:
        await session.add_items([user] * WINDOW)
    rate = await measure([turn(session) for session in sessions], repeat)
    assert len(await sessions[0].get_items()) == WINDOW + 2 * repeat
    for session in sessions:
        session.close()
    return rate


def main() -> int:
    """Run the rounds and print what they gave."""
    parser = argparse.ArgumentParser(description="Compare turns a second on one SQLite file.")
    parser.add_argument("--tasks", type=int, default=64)
    parser.add_argument("--turns", type=int, default=20, help="turns a task takes in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--at-least", type=float, help="exit with status 1 where the ratio is smaller")
    options = parser.parse_args()
    rounds = []
    for number in range(options.rounds):
        rates = {}
        for name, run in [("ours", ours), ("theirs", theirs)][:: 1 if number % 2 else -1]:
            with tempfile.TemporaryDirectory() as folder:
                rates[name] = asyncio.run(run(Path(folder, "sessions.db"), options.tasks, options.turns))
        rounds.append(rates)
        if not options.json:
            ratio = rates["ours"] / rates["theirs"]
            print(f"openstackai-sessions {rates['ours']:7,.0f}/s   agents {rates['theirs']:6,.0f}/s   {ratio:5.1f} x")
    ratio = statistics.median(rates["ours"] / rates["theirs"] for rates in rounds)
    if options.json:
        versions = {name: version(name) for name in ("openstackai-sessions-sqlite", "openai-agents")}
        versions |= {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
        settings = {"tasks": options.tasks, "turns": options.turns}
        print(json.dumps({"ratio": ratio, "rounds": rounds, "settings": settings, "versions": versions}))
    else:
        print(f"median ratio {ratio:.1f} x")
    return 1 if options.at_least is not None and ratio < options.at_least else 0


if __name__ == "__main__":
    sys.exit(main())
