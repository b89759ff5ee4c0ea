"""The Redis stores pass the suite on a server of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conformance.redis_place import CLAIMED, PASSWORD, AsyncRedisPlace, RedisPlace, settings
from openstackai_sessions_conformance import AsyncSessionStoreConformance, SessionStoreConformance
from servers.redis import Server, need_binary
from servers.tls import Certificates, Front


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(need_binary(), settings(), options={"password": PASSWORD}) as server:
        yield server


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def _place(kind: type[RedisPlace], server: Server, files: Certificates) -> Iterator[RedisPlace]:
    place, front = kind(server), Front(server.port, files)
    place.pretend(files, front)
    yield place
    place.close()
    front.close()


class TestRedisStore(SessionStoreConformance):
    capabilities = CLAIMED

    @pytest.fixture
    def place(self, server: Server, files: Certificates) -> Iterator[RedisPlace]:
        yield from _place(RedisPlace, server, files)


class TestAsyncRedisStore(AsyncSessionStoreConformance):
    capabilities = CLAIMED

    @pytest.fixture
    def place(self, server: Server, files: Certificates) -> Iterator[RedisPlace]:
        yield from _place(AsyncRedisPlace, server, files)
