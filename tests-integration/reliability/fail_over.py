"""Servers that hand over, or start again, under load: handles recover, and what the engine itself loses is told."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from redis import Sentinel

from openstackai_sessions_conformance._history import Kind, Recorder, Shown
from openstackai_sessions_conformance._history_rules import check_appends
from openstackai_sessions_core import Session, SessionError
from openstackai_sessions_core.backend import BaseStore
from openstackai_sessions_redis import RedisStore
from reliability._framework import Campaign, Tally
from reliability._places import place, redis_binary
from servers import redis

__all__ = ["CAMPAIGNS"]

WRITERS = 4
# In seconds: every writer is through again within this time, or it is a violation.
PATIENCE = 40.0


@dataclass
class Scene:
    """A place, how its server is broken and how it is made whole again."""

    version: str
    open: Callable[[], BaseStore]
    break_down: Callable[[], None]
    make_whole: Callable[[], None]
    loses: bool
    """Whether the engine promises less than the library was told: then what it loses is counted, and no violation."""
    whole_after: float | None = None
    """In seconds: where nothing goes on without it, it is made whole so long after it broke down."""


@contextlib.contextmanager
def _sentinel(wait_replicas: int) -> Iterator[Scene]:
    with redis.Sentinels(redis_binary("valkey")) as sentinels:
        broken: list[redis.Server] = []
        make: Any = Sentinel  # untyped
        client = make(sentinels.addresses, socket_timeout=1).master_for(sentinels.name, socket_timeout=2)

        def break_down() -> None:
            broken.append(sentinels.primary())
            broken[-1].kill()

        def make_whole() -> None:
            broken[-1].start()
            _wait_for_replicas(sentinels.primary, 2)

        yield Scene(
            f"{sentinels.servers[0].binary.name}, Sentinel 1+2+3, wait_replicas={wait_replicas}",
            lambda: RedisStore(client=client, wait_replicas=wait_replicas),
            break_down,
            make_whole,
            # One of two replicas is waited for, and Sentinel may promote the other.
            loses=True,
        )


@contextlib.contextmanager
def _cluster(wait_replicas: int) -> Iterator[Scene]:
    with redis.Cluster(redis_binary("valkey")) as cluster:
        broken: list[redis.Server] = []

        def break_down() -> None:
            broken.append(cluster.primary())
            broken[-1].kill()

        def make_whole() -> None:
            # Started before its replica has taken over, a primary that keeps nothing on disk would go on as one, empty.
            _wait_for_primaries([server for server in cluster.servers if server is not broken[-1]], 3)
            broken[-1].start()
            for server in cluster.servers:
                with server.client() as client:
                    if client.info("replication")["role"] == "master":
                        _wait_for_replicas(lambda server=server: server, 1)  # type: ignore[misc] # a default

        yield Scene(
            f"{cluster.servers[0].binary.name}, Cluster 3+3, wait_replicas={wait_replicas}",
            lambda: RedisStore(port=cluster.port, cluster=True, wait_replicas=wait_replicas),
            break_down,
            make_whole,
            loses=not wait_replicas,
            # With one replica each, the one that took over has none.
            whole_after=5.0 if wait_replicas else None,
        )


@contextlib.contextmanager
def _restart() -> Iterator[Scene]:
    with place("postgres") as somewhere:
        yield Scene(somewhere.version, somewhere.open, somewhere.kill, somewhere.start, loses=False, whole_after=0.0)


def _wait_for_primaries(servers: Sequence[redis.Server], count: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        roles = []
        for server in servers:
            with server.client() as client:
                roles.append(client.info("replication")["role"])
        if roles.count("master") >= count:
            return
        time.sleep(0.1)
    raise RuntimeError("no replica took over")


def _wait_for_replicas(primary: Callable[[], redis.Server], count: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(Exception), primary().client() as client:
            replicas = client.info("replication")
            states = [
                value["state"] for key, value in replicas.items() if key.startswith("slave") and key[5:].isdigit()
            ]
            if states.count("online") >= count:
                return
        time.sleep(0.1)
    raise RuntimeError("the servers do not come together again")


def fail_over(make: Callable[[], contextlib.AbstractContextManager[Scene]], tally: Tally) -> None:
    """Break the server under writers, and see them all through."""
    with make() as scene, scene.open() as store:
        tally.place = scene.version
        Session(store, "first").add_message("user", "warm")
        while tally.left:
            _round(scene, store, tally)
            tally.step()


def _round(scene: Scene, store: BaseStore, tally: Tally) -> None:
    mark = uuid.uuid4().hex[:8]
    recorders = {f"{mark}-{number}": Recorder() for number in range(WRITERS)}
    errors: list[str] = []
    ending = threading.Event()
    through = {id: threading.Event() for id in recorders}
    broken_at = [float("inf")]

    def write(id: str) -> None:
        session, number = Session(store, id), 0
        while not ending.is_set():
            number += 1
            labels = [f"{id}.{number}.{part}" for part in range(1 + number % 3)]
            began = time.monotonic()
            try:
                with recorders[id].record(id, Kind.APPEND, labels=labels) as call:
                    stored = session.add_messages([{"role": "user", "content": label} for label in labels])
                    call.positions = [message.position for message in stored]
            except SessionError as error:
                errors.append(repr(error))
            if began > broken_at[0]:
                through[id].set()
            time.sleep(0.002)

    threads = [threading.Thread(target=write, args=(id,)) for id in recorders]
    for thread in threads:
        thread.start()
    time.sleep(tally.random.uniform(0.2, 0.6))
    scene.break_down()
    broken_at[0] = time.monotonic()
    if scene.whole_after is not None:
        time.sleep(scene.whole_after)
        scene.make_whole()
    waits = [event.wait(PATIENCE) for event in through.values()]
    tally.numbers["milliseconds of the longest pause"] = max(
        tally.numbers["milliseconds of the longest pause"], round((time.monotonic() - broken_at[0]) * 1000)
    )
    ending.set()
    for thread in threads:
        thread.join()
    tally.expect(all(waits), f"not every handle was back after {PATIENCE:g} s")
    for error in errors:
        tally.violate(error)
    if scene.whole_after is None:
        scene.make_whole()
    for id, recorder in recorders.items():
        final = [Shown(message.position, str(message["content"])) for message in Session(store, id).get_messages()]
        tally.numbers["acknowledged"] += sum(len(call.labels) for call in recorder.calls if call.is_ok)
        for violation in check_appends(recorder.calls, final):
            if scene.loses and "is lost" in violation.detail:
                tally.numbers["appends that the engine lost"] += 1
            elif not (scene.loses and violation.rule == "positions"):
                tally.violate(str(violation))


CAMPAIGNS = [
    Campaign(
        f"fail_over/{name}",
        "fail-overs",
        "handles recover by themselves; 0 doubled, 0 part batches; 0 lost where every replica is waited for",
        20,
        int(name in ("sentinel-wait", "postgres")),
        partial(fail_over, make),
    )
    for name, make in (
        ("sentinel", partial(_sentinel, 0)),
        ("sentinel-wait", partial(_sentinel, 1)),
        ("cluster", partial(_cluster, 0)),
        ("cluster-wait", partial(_cluster, 1)),
        ("postgres", _restart),
    )
]
