"""A driver that repeats writes by itself is found by the suite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from conformance.redis_place import PASSWORD, RedisPlace, settings
from openstackai_sessions_conformance import Capability
from openstackai_sessions_conformance._run import run_suite
from openstackai_sessions_core import OutcomeUnknownError
from openstackai_sessions_core.backend import NewMessage, Operation, Outcome
from openstackai_sessions_redis import RedisStore
from servers.redis import Server, need_binary


class RepeatingStore(RedisStore):
    """What a driver does that has retries of its own: it sends once more, and says nothing."""

    def append(self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None) -> Outcome:
        try:
            return super().append(session_id, op, messages, ttl=ttl)
        except OutcomeUnknownError:
            return super().append(session_id, op, messages, ttl=ttl)


class Repeating(RedisPlace):
    """17: the driver's own retries are on."""

    kind = RepeatingStore


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(need_binary(), settings(), options={"password": PASSWORD}) as server:
        yield server


@pytest.mark.parametrize(("kind", "status"), [(RedisPlace, "passed"), (Repeating, "failed")])
def test_a_driver_that_repeats_writes_is_found(server: Server, kind: type[RedisPlace], status: str) -> None:
    statement = run_suite(
        kind(server), name=kind.__name__, seed=1, capabilities=Capability.NET, only=frozenset({89})
    )  # fmt: skip
    assert statement.status(89) == status, statement.reason(89)
    assert status == "passed" or "how often add_message was sent" in statement.ran[0].reason
