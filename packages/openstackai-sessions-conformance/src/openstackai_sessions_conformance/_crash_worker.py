"""The process that `_crash` kills: it writes to a store, and notes every call in a file before and after."""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TypeAlias, TypedDict

from openstackai_sessions_conformance._blocking import handle_of, opened
from openstackai_sessions_conformance._history import Kind, Recorder
from openstackai_sessions_conformance._recorded import noted
from openstackai_sessions_core import SessionError

__all__ = ["FAILED", "Opener", "Orders", "find", "work"]

Opener: TypeAlias = Callable[..., object]
"""Opens a store, sync or async, anew; what it takes is what the orders bring."""

# In seconds: a server that is down is not asked more often.
PAUSE = 0.01
# What a worker says last where an error ends it, before the error.
FAILED = "failed "
# For so long a writer takes errors before its first success for a server that is not there yet.
PATIENCE = 5.0


class Orders(TypedDict):
    """What a worker is told on its standard input, one JSON object a line: first the target, later the rest."""

    target: str
    args: list[str]
    session_id: str
    client: str
    history: str
    seed: int
    batch: int
    work: str
    """What to do: `write` for ever, `step` for ever, `append` or `remove` so many times, or `start`."""
    count: int


def find(target: str) -> Opener:
    """The callable that `module:name` means."""
    module, colon, name = target.partition(":")
    if not colon:
        raise ValueError(f"a target is written module:callable, not {target!r}")
    opener: Opener = getattr(import_module(module), name)
    return opener


def work() -> None:
    """Import the target, say so, wait for the orders, and write until killed; an error is the last that is said."""
    try:
        obey()
    except Exception as error:
        # The innermost cause names the line that is at fault.
        cause: BaseException = error
        while (deeper := cause.__cause__) is not None:
            cause = deeper
        frames = traceback.extract_tb(cause.__traceback__) or traceback.extract_tb(error.__traceback__)
        where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
        text = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"{FAILED}{text} (at {where})", flush=True)  # noqa: T201 - this is how the other side learns of it
        raise


def obey() -> None:
    """The same, and errors are raised."""
    opener = find(json.loads(sys.stdin.readline())["target"])
    print("ready", flush=True)  # noqa: T201 - this is how the other side learns of it
    line = sys.stdin.readline()
    if line:
        orders: Orders = json.loads(line)
        threading.Thread(target=_end_with_parent, daemon=True).start()
        {"write": write, "step": step, "append": race, "remove": race, "start": start}[orders["work"]](opener, orders)


def _end_with_parent() -> None:
    """Nobody is left behind: when whoever gave the orders is gone, its end of the pipe is closed."""
    # Not through `sys.stdin`, whose lock an interpreter that ends would wait for.
    while os.read(0, 1):
        pass
    os._exit(1)


def write(opener: Opener, orders: Orders) -> None:
    """Append messages and batches and set metadata, for ever; labels and values are told once only."""
    recorder = Recorder(orders["history"])
    chance = random.Random(orders["seed"])
    client, number, told = orders["client"], 0, False
    session = handle_of(opened(opener, *orders["args"]), orders["session_id"])
    until = time.monotonic() + PATIENCE
    while True:
        number += 1
        size = chance.choice((0, 1, 1, 1, chance.randint(2, orders["batch"])))
        labels = [f"{client}-{number}.{part}" for part in range(size)]
        try:
            if not labels:
                key, value = f"{client}-{number % 3}", str(number)
                with recorder.record(client, Kind.SET, key=key, value=value):
                    session.set(key, value)
                continue
            with recorder.record(client, Kind.APPEND, labels=labels) as call:
                if size == 1:
                    stored = [session.add_message("user", labels[0])]
                else:
                    stored = session.add_messages([{"role": "user", "content": label} for label in labels])
                call.positions = [message.position for message in stored]
            if not told:
                told = True
                print("acknowledged", flush=True)  # noqa: T201 - as above
        except SessionError:
            if not told and time.monotonic() > until:
                raise
            time.sleep(PAUSE)


def step(opener: Opener, orders: Orders) -> None:
    """Import a document, then clear, for ever; note before and after each in the file, one word and number a line."""
    session = handle_of(opened(opener, *orders["args"]), orders["session_id"])
    size, number = orders["batch"], 0
    with open(orders["history"], "w", encoding="utf-8") as notes:  # noqa: PTH123 - read while it is written

        def tell(what: str) -> None:
            print(what, number, file=notes, flush=True)

        while True:
            number += 1
            tell("importing")
            messages = [
                {"id": f"{number}-{index}", "created_at": "2026-01-02T03:04:05.000006Z", "data": {"content": number}}
                for index in range(size)
            ]
            session.import_data(
                {
                    "format": "openstackai-session", "version": 1, "session_id": "x", "messages": messages,
                    "created_at": "2026-01-02T03:04:05.000006Z", "metadata": {"number": number},
                }
            )  # fmt: skip
            tell("imported")
            if number == 1:
                print("acknowledged", flush=True)  # noqa: T201 - as above
            tell("clearing")
            session.clear()
            tell("cleared")


def race(opener: Opener, orders: Orders) -> None:
    """Call what `work` allows, so many times, and note it."""
    recorder, chance = Recorder(orders["history"]), random.Random(orders["seed"])
    store = opened(opener, *orders["args"])
    session = handle_of(store, orders["session_id"])
    kinds = [Kind.APPEND, Kind.APPEND, Kind.APPEND, Kind.READ]
    if orders["work"] == "remove":
        kinds += [Kind.POP, Kind.POP, Kind.CLEAR, Kind.DELETE]
    for number in range(orders["count"]):
        kind = chance.choice(kinds)
        size = chance.randint(1, orders["batch"]) if kind is Kind.APPEND else 0
        labels = [f"{orders['client']}-{number}.{part}" for part in range(size)]
        noted(recorder, orders["client"], session, kind, labels)
    recorder.close()
    store.close()
    print("done", flush=True)  # noqa: T201 - as above


def start(opener: Opener, orders: Orders) -> None:
    """Open the store, write one message, and close it."""
    store = opened(opener, *orders["args"])
    handle_of(store, orders["session_id"]).add_message("user", orders["client"])
    store.close()
    print("done", flush=True)  # noqa: T201 - as above
