"""A million messages: memory stays flat while they are read, and leaving takes no time."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from openstackai_sessions_sqlite import SQLiteStore

MESSAGES = 1_000_000
MIB = 1024 * 1024

ITERATE = """
import asyncio, json, resource, sys
from openstackai_sessions_sqlite import AsyncSQLiteStore, SQLiteStore

def peak():
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024

async def read_async(path):
    store = AsyncSQLiteStore(path)
    read = last = 0
    async for message in store.session("large").iter_messages():
        read += 1
        assert message.position > last
        last = message.position
    await store.close()
    return read

def read_sync(path):
    with SQLiteStore(path) as store:
        read = last = 0
        for message in store.session("large").iter_messages():
            read += 1
            assert message.position > last
            last = message.position
        return read

path, side = sys.argv[1:]
with SQLiteStore(path) as store:
    store.session(f"small {side}").add_messages([{"content": "x" * 200}] * 1000)
    assert sum(1 for _ in store.session(f"small {side}").iter_messages()) == 1000
before = peak()
read = read_sync(path) if side == "sync" else asyncio.run(read_async(path))
print(json.dumps({"read": read, "grown": peak() - before}))
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("million") / "sessions.db"
    with SQLiteStore(path, synchronous="normal") as store:
        session = store.session("large")
        for start in range(0, MESSAGES, 10_000):
            numbers = range(start, start + 10_000)
            session.add_messages([{"role": "user", "content": f"{number:200}"} for number in numbers])
    return path


@pytest.mark.parametrize("side", ["sync", "async"])
def test_a_million_messages_stream_in_constant_memory(large: Path, side: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ITERATE, str(large), side], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["read"] == MESSAGES
    assert report["grown"] <= 50 * MIB, f"memory grew by {report['grown'] / MIB:.1f} MiB"


def test_reading_the_newest_and_clearing_do_not_depend_on_the_length(large: Path) -> None:
    with SQLiteStore(large, synchronous="normal") as store:
        session = store.session("large")
        assert session.count() == MESSAGES
        begun = time.perf_counter()
        for _ in range(100):
            assert len(session.get_messages(50)) == 50
        assert time.perf_counter() - begun < 5
        begun = time.perf_counter()
        session.clear()
        assert time.perf_counter() - begun < 5
        assert session.count() == 0
        assert session.add_message("user", "next").position > MESSAGES
        store.purge_expired()
        assert session.count() == 1
