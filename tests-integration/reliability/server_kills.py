"""Servers that are killed under writers and started again: what was acknowledged is there."""

from __future__ import annotations

from functools import partial

from openstackai_sessions_conformance._crash import crash_server
from reliability._framework import Campaign, Tally
from reliability._places import ALWAYS, place
from reliability.client_kills import count_crashes

__all__ = ["CAMPAIGNS"]

# Kills of one server; then a new one.
PORTION = 25


def kill_server(name: str, tally: Tally) -> None:
    """Kill a server whose settings say that what it acknowledges is on the disk."""
    while tally.left:
        with place(name, *(ALWAYS if name != "postgres" else ())) as somewhere:
            tally.place = somewhere.version
            report = crash_server(
                somewhere.opener,
                somewhere.arguments,
                kill=somewhere.kill,
                restart=somewhere.start,
                kills=min(PORTION, tally.left),
                writers=3,
                seed=tally.random.randrange(2**32),
            )
            count_crashes(tally, report)


CAMPAIGNS = [
    Campaign(
        f"server_kills/{name}",
        "kills",
        "0 acknowledged lost, 0 doubled, 0 part batches",
        500,
        0 if name == "redis" else 5,
        partial(kill_server, name),
    )
    for name in ("valkey", "redis", "postgres")
]
