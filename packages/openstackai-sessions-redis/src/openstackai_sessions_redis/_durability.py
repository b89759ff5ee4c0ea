"""What a server's own account of itself says about the safety of what is written. No I/O here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from openstackai_sessions_core.backend import Durability

__all__ = ["ASK_CONFIG", "ASK_INFO", "Judgement", "judge"]

ASK_INFO = (b"INFO", b"everything")
# Managed servers often refuse this; then INFO has to do.
ASK_CONFIG = (b"CONFIG", b"GET", b"appendfsync")

ORDER: tuple[Durability, ...] = ("unknown", "process", "server", "power")


class Judgement(NamedTuple):
    """What an acknowledged write survives on every node asked, and what to change where that is little."""

    durability: Durability
    advice: str


def judge(infos: Sequence[object], configs: Sequence[object]) -> Judgement:
    """The weakest of the nodes counts."""
    durability: Durability = "power"
    advice: dict[str, None] = {}
    for info, config in zip(infos, configs, strict=True):
        found, said = _judge_one(_fields(info), _fsync(config))
        durability = min(durability, found, key=ORDER.index)
        advice.update(dict.fromkeys(said))
    return Judgement(durability, "; ".join(advice))


def _judge_one(info: dict[str, str], fsync: str | None) -> tuple[Durability, list[str]]:
    advice: list[str] = []
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction" and info.get("maxmemory", "0") != "0":
        which = "sessions that have a ttl" if policy.startswith("volatile") else "any session"
        advice.append(f"maxmemory-policy is {policy}, which drops {which} when memory is full: set it to noeviction")
    found: Durability
    if "aof_enabled" not in info:
        found = "unknown"
    elif info["aof_enabled"] != "1":
        found = "process"
        advice.append("there is no append-only file, so a restart loses recent messages: set appendonly to yes")
    elif fsync is None:
        # An append-only file, but no word on how it is synced: at least what every setting gives.
        found = "process"
    elif fsync == "always":
        found = "power"
    else:
        # Writing to the file may be put off for up to two seconds while an earlier part is being synced.
        found = "process"
        advice.append(
            f"appendfsync is {fsync}, so a crash may lose the last second or two: set it to always to lose nothing"
        )
    return found, advice


def _fields(info: object) -> dict[str, str]:
    if not isinstance(info, bytes):
        return {}
    lines = (line.partition(":") for line in info.decode("utf-8", "replace").splitlines() if not line.startswith("#"))
    return {name: value.strip() for name, _, value in lines}


def _fsync(config: object) -> str | None:
    if isinstance(config, dict):
        # A connection of RESP 3.
        config = [part for pair in config.items() for part in pair]
    if isinstance(config, list) and len(config) == 2 and isinstance(config[1], bytes):
        return config[1].decode("utf-8", "replace")
    return None
