"""A turn on Redis, next to redis-py by hand, and next to the session of the OpenAI Agents SDK.

    python -m benchmarks redis_turns            (with tests-integration on PYTHONPATH)
    python tests-integration/benchmarks/redis_turns.py [--rounds 9] [--tasks 64] [--turns 20] [--json]

A turn reads the newest 50 of 1,000 messages and appends two of 230 bytes. By hand: a list, RPUSH and LRANGE, and json
of the standard library: no positions, ids, operations or metadata. Turns of the sides alternate; a round's figure is
the median of its turns; all of it in one process, beside one server of its own (or the one of TEST_REDIS_URL).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).parent.parent))

from agents import TResponseInputItem
from agents.extensions.memory.redis_session import RedisSession as AgentsSession
from redis import Redis

from openstackai_sessions_redis import AsyncRedisSession, RedisSession
from servers.redis import shared_server

USER = "Where is my parcel, which I ordered a week ago? " + "It was the blue one. " * 7
ASSISTANT = "It left the warehouse on Monday and is on its way to you. " + "It is blue. " * 11
MESSAGES = [{"role": "user", "content": USER}, {"role": "assistant", "content": ASSISTANT}]
WINDOW = 50
HELD = 1_000

Turn = Callable[[], Awaitable[None]]


class ByHand:
    """A conversation on redis-py, as a careful programmer would write it in an afternoon."""

    def __init__(self, url: str, prefix: str) -> None:
        self._redis = Redis.from_url(url)
        self._key = f"{prefix}:by-hand"

    def append(self, messages: list[dict[str, str]]) -> None:
        """Append in one command."""
        self._redis.rpush(self._key, *[json.dumps(message) for message in messages])

    def read(self, limit: int) -> list[object]:
        """Read the newest, oldest first."""
        return [json.loads(data) for data in self._redis.lrange(self._key, -limit, -1)]

    def close(self) -> None:
        self._redis.delete(self._key)
        self._redis.close()


class Ours:
    """The same calls on a handle of ours."""

    def __init__(self, url: str, prefix: str) -> None:
        self._session = RedisSession(url=url, prefix=prefix, session_id="s")

    def append(self, messages: list[dict[str, str]]) -> None:
        """Append in one script."""
        self._session.add_messages(messages)

    def read(self, limit: int) -> list[object]:
        """Read the newest, oldest first."""
        return list(self._session.get_messages(limit))

    def close(self) -> None:
        self._session.delete()


def alternate(calls: dict[str, Callable[[], object]], times: int) -> dict[str, float]:
    """The median of each call in microseconds, the calls taking turns."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(times):
        for name, call in calls.items():
            begun = time.perf_counter()
            call()
            taken[name].append(time.perf_counter() - begun)
    return {name: statistics.median(times) * 1e6 for name, times in taken.items()}


def by_hand(url: str, rounds: int, *, quiet: bool) -> dict[str, dict[str, float]]:
    """One handle, sync, next to redis-py."""
    results: dict[str, list[dict[str, float]]] = {}
    for _ in range(rounds):
        prefix = f"bench-{uuid4().hex[:8]}"
        hand, ours = ByHand(url, prefix), Ours(url, prefix)
        for side in (hand, ours):
            side.append([MESSAGES[0]] * HELD)
        figures: dict[str, Callable[[ByHand | Ours], object]] = {
            "append 1": lambda side: side.append(MESSAGES[:1]),
            "read 50 of 1,000": lambda side: side.read(WINDOW),
            "turn = read 50 + append 2": lambda side: (side.read(WINDOW), side.append(MESSAGES)),
        }
        for figure, call in figures.items():
            taken = alternate({"by hand": partial(call, hand), "ours": partial(call, ours)}, 300)
            results.setdefault(figure, []).append(taken)
        for side in (hand, ours):
            side.close()
    table = {
        figure: {
            "by hand": statistics.median(one["by hand"] for one in each),
            "ours": statistics.median(one["ours"] for one in each),
            "ratio": statistics.median(one["ours"] / one["by hand"] for one in each),
        }
        for figure, each in results.items()
    }
    if not quiet:
        print(f"{'microseconds':28}{'by hand':>10}{'ours':>10}{'ratio':>8}")
        for figure, row in table.items():
            print(f"{figure:28}{row['by hand']:10,.0f}{row['ours']:10,.0f}{row['ratio']:8.2f}")
    return table


async def measure(turns: list[Turn], repeat: int) -> float:
    """Turns a second, each task taking its turns one after the other."""

    async def take(turn: Turn) -> None:
        for _ in range(repeat):
            await turn()

    began = time.perf_counter()
    await asyncio.gather(*(take(turn) for turn in turns))
    return len(turns) * repeat / (time.perf_counter() - began)


async def ours(url: str, prefix: str, tasks: int, repeat: int) -> float:
    """This library."""
    sessions = [AsyncRedisSession(url=url, prefix=prefix, session_id=f"session-{number}") for number in range(tasks)]

    def turn(session: AsyncRedisSession) -> Turn:
        async def take() -> None:
            assert len(await session.get_messages(WINDOW)) == WINDOW
            await session.add_messages(MESSAGES)

        return take

    for session in sessions:
        await session.add_messages(MESSAGES[:1] * HELD)
    rate = await measure([turn(session) for session in sessions], repeat)
    assert await sessions[0].count() == HELD + 2 * repeat
    for session in sessions:
        await session.delete()
    return rate


async def theirs(url: str, prefix: str, tasks: int, repeat: int) -> float:
    """The SDK's own session, all on one client."""
    first = AgentsSession.from_url("session-0", url=url, key_prefix=prefix)
    client = first._redis
    sessions = [AgentsSession(f"session-{number}", redis_client=client, key_prefix=prefix) for number in range(tasks)]
    user: TResponseInputItem = {"role": "user", "content": USER}
    assistant: TResponseInputItem = {"role": "assistant", "content": ASSISTANT}

    def turn(session: AgentsSession) -> Turn:
        async def take() -> None:
            assert len(await session.get_items(WINDOW)) == WINDOW
            await session.add_items([user, assistant])

        return take

    for session in sessions:
        await session.add_items([user] * HELD)
    rate = await measure([turn(session) for session in sessions], repeat)
    assert len(await sessions[0].get_items()) == HELD + 2 * repeat
    for session in sessions:
        await session.clear_session()
    await first.close()
    return rate


def side_by_side(url: str, rounds: int, tasks: int, repeat: int, *, quiet: bool) -> dict[str, float]:
    """Many tasks on one loop, each with a session of its own, next to the SDK."""
    ratios, rates_of = [], []
    for number in range(rounds):
        rates = {}
        for name, run in [("ours", ours), ("theirs", theirs)][:: 1 if number % 2 else -1]:
            rates[name] = asyncio.run(run(url, f"bench-{uuid4().hex[:8]}", tasks, repeat))
        ratios.append(rates["ours"] / rates["theirs"])
        rates_of.append(rates)
        if not quiet:
            print(
                f"openstackai-sessions {rates['ours']:7,.0f}/s   agents {rates['theirs']:6,.0f}/s   {ratios[-1]:5.1f} x"
            )
    if not quiet:
        print(f"median ratio {statistics.median(ratios):.1f} x")
    return {
        "ratio": statistics.median(ratios),
        "ours": statistics.median(rates["ours"] for rates in rates_of),
        "theirs": statistics.median(rates["theirs"] for rates in rates_of),
    }


def main() -> int:
    """Run both comparisons and print what they gave."""
    parser = argparse.ArgumentParser(description="Compare turns on one Redis server.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=64)
    parser.add_argument("--turns", type=int, default=20, help="turns a task takes in each round")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--at-most", type=float, help="exit with status 1 where a turn costs more than this by hand")
    parser.add_argument("--at-least", type=float, help="exit with status 1 where the tasks' ratio is smaller")
    options = parser.parse_args()
    with shared_server() as url:
        with Redis.from_url(url) as client:
            info: dict[str, object] = client.info("server")
        server = f"valkey {info['valkey_version']}" if "valkey_version" in info else f"redis {info['redis_version']}"
        table = by_hand(url, options.rounds, quiet=options.json)
        rates = side_by_side(url, options.rounds, options.tasks, options.turns, quiet=options.json)
    if options.json:
        versions = {name: version(name) for name in ("openstackai-sessions-redis", "openai-agents", "redis")}
        versions |= {"python": platform.python_version(), "server": server}
        print(json.dumps({"by hand": table, "tasks": rates, "versions": versions}))
    turn = table["turn = read 50 + append 2"]["ratio"]
    failed = (options.at_most is not None and turn > options.at_most) or (
        options.at_least is not None and rates["ratio"] < options.at_least
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
