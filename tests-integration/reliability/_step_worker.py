"""The process that `client_kills/steps-*` kills: it replaces, clears, deletes and purges, over and over."""

from __future__ import annotations

import json
import logging
import sys
from itertools import cycle
from typing import Any

from openstackai_sessions_conformance._crash_worker import find
from openstackai_sessions_core import Session

__all__ = ["LARGE", "SMALL", "document", "texts_of"]

# More than is imported in one step, and less.
LARGE, SMALL = 10_500, 5
TIME = "2026-01-02T03:04:05.678901Z"


def texts_of(tag: str) -> list[str]:
    """What the document of a tag holds: `L…` are large."""
    return [f"{tag} {number}" for number in range(LARGE if tag.startswith("L") else SMALL)]


def document(tag: str) -> dict[str, object]:
    """A document whose metadata and messages name its tag."""
    return {
        "format": "openstackai-session",
        "version": 1,
        "session_id": "another",
        "created_at": TIME,
        "messages": [
            {"id": text, "created_at": TIME, "data": {"role": "user", "content": text}} for text in texts_of(tag)
        ],
        "metadata": {"tag": tag},
    }


def work() -> None:
    """Write until killed."""
    orders = json.loads(sys.stdin.readline())
    opener = find(orders["opener"])
    documents = [json.dumps(document(tag)) for tag in ("L1", "S1", "L2", "S2")]
    print("ready", flush=True)
    sys.stdin.readline()
    store: Any = opener(*orders["arguments"])
    session = Session(store, "s")
    for number, data in enumerate(cycle(documents)):
        session.import_data(data)
        if number % 3 == 1:
            session.clear()
        elif number % 3 == 2:
            session.delete()
        for each in range(3):
            Session(store, f"short-{number}-{each}", ttl=0.001).add_messages([{"role": "user"}] * 20)
        store.purge_expired()


if __name__ == "__main__":
    logging.getLogger().addHandler(logging.NullHandler())
    work()
