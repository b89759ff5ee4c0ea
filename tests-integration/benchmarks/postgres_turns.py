"""The cost of a turn on PostgreSQL, next to psycopg by hand and to the session of the OpenAI Agents SDK.

    python tests-integration/benchmarks/postgres_turns.py [--rounds 7] [--json]

A turn reads the newest 50 messages of 1,000 and appends two of 230 bytes, durable before the turn ends. Alone: one
handle of ours next to psycopg by hand on one direct connection, with the standard library's json; microseconds. At
once: 64 tasks, a session each, next to the SDK's SQLAlchemySession on asyncpg; turns a second. Sides alternate in one
process; figures are medians. The server is `TEST_POSTGRES_URL` or one
that the script starts, with the server's own settings of durability.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import statistics
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path

import psycopg
from agents import TResponseInputItem
from agents.extensions.memory import SQLAlchemySession

from openstackai_sessions_postgres import AsyncPostgresSession, PostgresSession

sys.path.insert(0, str(Path(__file__).parent.parent))

from servers.postgres import any_server

USER = {"role": "user", "content": "Where is my parcel, which I ordered a week ago? " + "It was the blue one. " * 7}
ASSISTANT = {"role": "assistant", "content": "It left the warehouse on Monday and is on its way. " + "It is blue. " * 8}
HELD = 1_000
WINDOW = 50
BLOCK = 40

Turn = Callable[[], Awaitable[None]]


class ByHand:
    """A conversation on psycopg, with the fewest round trips: a statement a call, one connection, autocommit."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        self._connection.execute(
            "CREATE TABLE by_hand (id bigserial PRIMARY KEY, session text NOT NULL,"
            " created_at timestamptz NOT NULL DEFAULT now(), data text NOT NULL)"
        )
        self._connection.execute("CREATE INDEX ON by_hand (session, id)")
        self._session = "s"

    def append(self, messages: list[dict[str, str]]) -> None:
        """Append all in one statement."""
        rows = ", ".join(["(%s, %s)"] * len(messages))
        values = [value for message in messages for value in (self._session, json.dumps(message))]
        self._connection.execute(f"INSERT INTO by_hand (session, data) VALUES {rows}", values)  # noqa: S608

    def read(self, limit: int) -> list[object]:
        """Read the newest, oldest first."""
        rows = self._connection.execute(
            "SELECT data FROM by_hand WHERE session = %s ORDER BY id DESC LIMIT %s", (self._session, limit)
        ).fetchall()
        return [json.loads(data) for (data,) in reversed(rows)]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class Ours:
    """The same calls on a handle of ours."""

    def __init__(self, url: str) -> None:
        self._session = PostgresSession(url, "s")

    def append(self, messages: list[dict[str, str]]) -> None:
        """Append all in one call."""
        self._session.add_messages(messages)

    def read(self, limit: int) -> list[object]:
        """Read the newest, oldest first."""
        return list(self._session.get_messages(limit))

    def close(self) -> None:
        """Close the shared store's connections."""
        self._session.store.close()


def duration(call: Callable[[], object]) -> float:
    """Microseconds that a call takes: the median of a block of calls, which another program's burst does not move."""
    taken = []
    for _ in range(BLOCK):
        begun = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken) * 1e6


def alone(url: str, rounds: int) -> dict[str, dict[str, float]]:
    """One handle next to psycopg by hand, in blocks of calls by turns."""
    sides: dict[str, ByHand | Ours] = {"by hand": ByHand(url), "ours": Ours(url)}
    for side in sides.values():
        for _ in range(HELD // 100):
            side.append([USER] * 100)
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("VACUUM ANALYZE")

    def turn(side: ByHand | Ours) -> None:
        side.read(WINDOW)
        side.append([USER, ASSISTANT])

    calls: dict[str, Callable[[ByHand | Ours], object]] = {
        "append 1": lambda side: side.append([USER]),
        "append 2": lambda side: side.append([USER, ASSISTANT]),
        "read 50 of 1,000": lambda side: side.read(WINDOW),
        "turn": turn,
    }
    table = {}
    for figure, call in calls.items():
        taken: dict[str, list[float]] = {name: [] for name in sides}
        for number in range(rounds * 3):
            for name in list(sides)[:: 1 if number % 2 else -1]:
                taken[name].append(duration(lambda name=name: call(sides[name])))  # type: ignore[misc] # noqa: B023
        medians = {name: statistics.median(values) for name, values in taken.items()}
        ratios = [ours / hand for ours, hand in zip(taken["ours"], taken["by hand"], strict=True)]
        table[figure] = {**medians, "ratio": statistics.median(ratios)}
    for side in sides.values():
        side.close()
    return table


async def measure(turns: list[Turn], repeat: int) -> float:
    """Turns a second, each task taking its turns one after the other."""

    async def take(turn: Turn) -> None:
        for _ in range(repeat):
            await turn()

    begun = time.perf_counter()
    await asyncio.gather(*(take(turn) for turn in turns))
    return len(turns) * repeat / (time.perf_counter() - begun)


async def ours_at_once(url: str, tasks: int, repeat: int) -> float:
    """This library: the shared pool of at most ten connections."""
    mark = uuid.uuid4().hex
    sessions = [AsyncPostgresSession(url, f"{mark}-{number}") for number in range(tasks)]

    def turn(session: AsyncPostgresSession) -> Turn:
        async def take() -> None:
            assert len(await session.get_messages(WINDOW)) == WINDOW
            await session.add_messages([USER, ASSISTANT])

        return take

    for session in sessions:
        await session.add_messages([USER] * WINDOW)
    rate = await measure([turn(session) for session in sessions], repeat)
    assert await sessions[0].count() == WINDOW + 2 * repeat
    for session in sessions:
        await session.delete()
    return rate


async def theirs_at_once(url: str, tasks: int, repeat: int) -> float:
    """The SDK's own session, on one engine of at most ten connections."""
    from sqlalchemy.ext.asyncio import create_async_engine

    mark = uuid.uuid4().hex
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"), pool_size=10, max_overflow=0)
    user: TResponseInputItem = {"role": "user", "content": USER["content"]}
    assistant: TResponseInputItem = {"role": "assistant", "content": ASSISTANT["content"]}
    sessions = [SQLAlchemySession(f"{mark}-{number}", engine=engine, create_tables=True) for number in range(tasks)]

    def turn(session: SQLAlchemySession) -> Turn:
        async def take() -> None:
            assert len(await session.get_items(WINDOW)) == WINDOW
            await session.add_items([user, assistant])

        return take

    for session in sessions:
        await session.add_items([user] * WINDOW)
    rate = await measure([turn(session) for session in sessions], repeat)
    assert len(await sessions[0].get_items()) == WINDOW + 2 * repeat
    for session in sessions:
        await session.clear_session()
    await engine.dispose()
    return rate


def main() -> int:
    """Run the rounds and print what they gave."""
    parser = argparse.ArgumentParser(description="Compare turns on PostgreSQL.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tasks", type=int, default=64)
    parser.add_argument("--turns", type=int, default=10, help="turns a task takes in each round")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--at-most", type=float, help="exit with status 1 where a turn alone costs more, times by hand")
    parser.add_argument("--at-least", type=float, help="exit with status 1 where turns at once are fewer, times theirs")
    options = parser.parse_args()
    try:
        with any_server() as server:
            database = f"benchmark_{uuid.uuid4().hex[:12]}"
            url = server.create_database(database)
            try:
                table = alone(url, options.rounds)
                rounds = []
                for number in range(options.rounds):
                    sides = [("ours", ours_at_once), ("theirs", theirs_at_once)][:: 1 if number % 2 else -1]
                    rounds.append({name: asyncio.run(run(url, options.tasks, options.turns)) for name, run in sides})
                with psycopg.connect(url) as connection:
                    server_version = connection.info.parameter_status("server_version")
            finally:
                server.drop_database(database)
    except RuntimeError as error:
        print(json.dumps({"left out": str(error)}) if options.json else f"left out: {error}")
        return 0
    ratio = statistics.median(rates["ours"] / rates["theirs"] for rates in rounds)
    if options.json:
        names = ("openstackai-sessions-postgres", "openai-agents", "psycopg")
        versions = {name: version(name) for name in names}
        versions |= {"python": platform.python_version(), "postgresql": server_version or ""}
        settings = {"tasks": options.tasks, "turns": options.turns}
        print(
            json.dumps({"alone": table, "ratio": ratio, "rounds": rounds, "settings": settings, "versions": versions})
        )
    else:
        print(f"{'microseconds':20}{'by hand':>10}{'ours':>10}{'ratio':>8}")
        for figure, row in table.items():
            print(f"{figure:20}{row['by hand']:10,.0f}{row['ours']:10,.0f}{row['ratio']:8.2f}")
        for rates in rounds:
            print(f"{options.tasks} tasks: ours {rates['ours']:6,.0f}/s   agents {rates['theirs']:6,.0f}/s")
        print(f"median ratio {ratio:.1f} x")
    slow = options.at_most is not None and table["turn"]["ratio"] > options.at_most
    few = options.at_least is not None and ratio < options.at_least
    return 1 if slow or few else 0


if __name__ == "__main__":
    sys.exit(main())
