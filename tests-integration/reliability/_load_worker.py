"""One process of `mixed_load`: four clients that do everything to a few sessions, and note it."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any, TypedDict

from openstackai_sessions_conformance._crash_worker import find
from openstackai_sessions_conformance._history import Kind, Recorder
from openstackai_sessions_core import AsyncSession, Session, SessionError
from reliability._actor import Threaded

__all__ = ["Orders"]

TIME = "2026-01-02T03:04:05.678901Z"


class Orders(TypedDict):
    """What a worker is told on its standard input."""

    opener: str
    arguments: list[str]
    style: str
    number: int
    clients: int
    calls: int
    growing: list[str]
    """Sessions that are only appended to."""
    busy: list[str]
    """Sessions to which everything is done."""
    folder: str
    seed: int


class Client:
    """Calls at random, one after another."""

    def __init__(self, name: str, orders: Orders, sessions: dict[str, Any], recorders: dict[str, Recorder]) -> None:
        self.errors: list[str] = []
        self._name = name
        self._orders = orders
        self._sessions = sessions
        self._recorders = recorders
        self._random = Random(f"{orders['seed']} {name}")
        self._number = 0

    def _new(self) -> str:
        self._number += 1
        return f"{self._name}.{self._number}"

    async def work(self) -> None:
        for _ in range(self._orders["calls"]):
            id = self._random.choice(self._orders["growing"] + self._orders["busy"])
            try:
                await self._call(id, self._sessions[id], self._recorders[id])
            except SessionError as error:
                self.errors.append(repr(error))

    async def _call(self, id: str, session: Any, recorder: Recorder) -> None:
        chance = self._random.random()
        if chance < 0.35:
            await self._append(session, recorder)
        elif chance < 0.55:
            limit = self._random.choice((1, 5, 20, 20, None))
            with recorder.record(self._name, Kind.READ, limit=limit) as call:
                call.show([(each.position, str(each["content"])) for each in await session.get_messages(limit)])
        elif chance < 0.60:
            with recorder.record(self._name, Kind.COUNT) as call:
                call.count = await session.count()
        elif chance < 0.70:
            key, value = self._random.choice("abcd"), self._new()
            with recorder.record(self._name, Kind.SET, key=key, value=value):
                await session.set(key, value)
        elif chance < 0.75:
            key = self._random.choice("abcd")
            with recorder.record(self._name, Kind.GET, key=key) as call:
                call.value = await session.get(key)
        elif chance < 0.78:
            key = self._random.choice("abcd")
            with recorder.record(self._name, Kind.REMOVE, key=key):
                await session.remove(key)
        elif id in self._orders["growing"]:
            await self._append(session, recorder)
        else:
            await self._remove(session, recorder)

    async def _append(self, session: Any, recorder: Recorder) -> None:
        labels = [self._new() for _ in range(self._random.choice((1, 1, 1, 2, 4)))]
        batch = [{"role": "user", "content": label} for label in labels]
        op_id = self._new() if self._random.random() < 0.1 else None
        with recorder.record(self._name, Kind.APPEND, labels=labels) as call:
            stored = await session.add_messages(batch, op_id=op_id)
            if op_id is not None:
                # Told once more, as after a lost reply.
                again = await session.add_messages(batch, op_id=op_id)
                if [each.position for each in again] != [each.position for each in stored]:
                    self.errors.append(f"the repeated {op_id} returned other positions")
            call.positions = [each.position for each in stored]

    async def _remove(self, session: Any, recorder: Recorder) -> None:
        chance = self._random.random()
        if chance < 0.9:
            with recorder.record(self._name, Kind.POP) as call:
                popped = await session.pop_message()
                call.show([] if popped is None else [(popped.position, str(popped["content"]))])
        elif chance < 0.96:
            with recorder.record(self._name, Kind.CLEAR):
                await session.clear()
        elif chance < 0.98:
            with recorder.record(self._name, Kind.DELETE):
                await session.delete()
        else:
            labels = [self._new() for _ in range(3)]
            messages = [{"id": each, "created_at": TIME, "data": {"role": "user", "content": each}} for each in labels]
            document = {
                "format": "openstackai-session",
                "version": 1,
                "session_id": "another",
                "created_at": TIME,
                "messages": messages,
                "metadata": {},
            }
            with recorder.record(self._name, Kind.IMPORT, labels=labels):
                await session.import_data(document)


async def work(orders: Orders) -> list[str]:
    """Do as ordered; the errors that were met."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(orders["clients"]))
    store: Any = find(orders["opener"])(*orders["arguments"])
    ids = orders["growing"] + orders["busy"]
    make = AsyncSession if orders["style"] == "async" else lambda *given: Threaded(Session(*given))
    sessions: dict[str, Any] = {id: make(store, id) for id in ids}
    recorders = {id: Recorder(Path(orders["folder"], f"{id}.{orders['number']}")) for id in ids}
    names = [f"{orders['number']}-{client}" for client in range(orders["clients"])]
    clients = [Client(name, orders, sessions, recorders) for name in names]
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await asyncio.gather(*(client.work() for client in clients))
    closing = store.close()
    if closing is not None:
        await closing
    return [error for client in clients for error in client.errors]


if __name__ == "__main__":
    logging.getLogger().addHandler(logging.NullHandler())
    print(json.dumps(asyncio.run(work(json.loads(sys.stdin.readline())))), flush=True)
