"""Writes that are acknowledged only once replicas have them."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator

import pytest

from openstackai_sessions_core import AsyncSession, OutcomeUnknownError, Session
from openstackai_sessions_redis import AsyncRedisStore, RedisStore
from servers.redis import Server, need_binary


@pytest.fixture
def pair() -> Iterator[tuple[Server, Server]]:
    """A primary and its replica."""
    binary = need_binary()
    with Server(binary) as primary, Server(binary, ("--replicaof", "127.0.0.1", str(primary.port))) as replica:
        deadline = time.monotonic() + 20
        with primary.client() as client:
            while client.info("replication").get("slave0", {}).get("state") != "online":
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield primary, replica


def test_a_write_is_on_the_replica_when_it_returns(pair: tuple[Server, Server]) -> None:
    primary, replica = pair
    with RedisStore(url=primary.url, wait_replicas=1) as store:
        for number in range(20):
            Session(store, "s").add_message("user", number)
            with replica.client() as client:
                assert client.llen(next(client.scan_iter("*:log:s"))) == number + 1


def test_too_few_replicas_leave_the_outcome_unknown_and_a_repeat_settles_it(pair: tuple[Server, Server]) -> None:
    primary, replica = pair
    with RedisStore(url=primary.url, wait_replicas=1, wait_timeout=0.2, retry_timeout=0.5) as store:
        session = Session(store, "s")
        session.add_message("user", "first")
        assert replica.process is not None
        os.kill(replica.process.pid, signal.SIGSTOP)
        try:
            with pytest.raises(OutcomeUnknownError, match="0 of 1 replicas") as caught:
                session.add_message("user", "second", op_id="o")
            assert caught.value.op_id == "o"
        finally:
            os.kill(replica.process.pid, signal.SIGCONT)
        session.add_message("user", "second", op_id="o")
        assert [message.content for message in session.get_messages()] == ["first", "second"]


def test_a_repeat_on_another_connection_waits_although_it_writes_nothing(pair: tuple[Server, Server]) -> None:
    primary, replica = pair
    with RedisStore(url=primary.url) as store:
        Session(store, "s").add_message("user", "first")
        assert replica.process is not None
        os.kill(replica.process.pid, signal.SIGSTOP)
        try:
            Session(store, "s").add_message("user", "second", op_id="o")
            with RedisStore(url=primary.url, wait_replicas=1, wait_timeout=0.2, retry_timeout=0) as other:
                with pytest.raises(OutcomeUnknownError):
                    Session(other, "s").add_message("user", "second", op_id="o")

            async def repeat() -> None:
                async with AsyncRedisStore(
                    url=primary.url, wait_replicas=1, wait_timeout=0.2, retry_timeout=0
                ) as another:
                    with pytest.raises(OutcomeUnknownError):
                        await AsyncSession(another, "s").add_message("user", "second", op_id="o")

            asyncio.run(repeat())
        finally:
            os.kill(replica.process.pid, signal.SIGCONT)
