"""The Lua scripts: each is one operation, and one atomic step on the server."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha1
from importlib.resources import files

__all__ = ["SCRIPTS", "Script", "pack"]

# The parts that each script is put together from, before its own lines.
STATE = ("_state",)
LOG = (*STATE, "_log")
LEDGER = (*STATE, "_ledger")
SAVE = (*LEDGER, "_save")
IDS = (*LOG, "_ledger", "_save", "_ids")

PARTS: dict[str, tuple[str, ...]] = {
    "append": SAVE,
    "append_given": IDS,
    "clear": SAVE,
    "delete": LEDGER,
    "describe": (),
    "head": STATE,
    "import": IDS,
    "index": STATE,
    "list": (),
    "load": LOG,
    "metadata": SAVE,
    "permissions": (),
    "pop": SAVE,
    "purge": (),
    "read": LOG,
    "recall": LEDGER,
    "scan": LOG,
    "stage": (),
    "tail": (),
    "values": STATE,
}


class Script:
    """A script, called by its digest, and sent whole where the server does not know it."""

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        digest = sha1(source.encode(), usedforsecurity=False).hexdigest().encode()
        self._by_digest = _packed((b"EVALSHA", digest))
        self._whole = _packed((b"EVAL", source.encode()))

    def __repr__(self) -> str:
        return f"<Script {self.name}>"

    def command(self, keys: tuple[bytes, ...], arguments: list[bytes], *, whole: bool = False) -> bytes:
        """The call, ready to be sent."""
        begin = self._whole if whole else self._by_digest
        count = 3 + len(keys) + len(arguments)
        return b"*%d\r\n%b%b%b" % (count, begin, _packed_keys(keys), _packed(arguments))


def pack(arguments: Sequence[bytes]) -> bytes:
    """One command in the form in which it goes to the server."""
    return b"*%d\r\n%b" % (len(arguments), _packed(arguments))


def _packed(arguments: Sequence[bytes]) -> bytes:
    return b"".join([b"$%d\r\n%b\r\n" % (len(argument), argument) for argument in arguments])


@lru_cache(maxsize=4096)
def _packed_keys(keys: tuple[bytes, ...]) -> bytes:
    """The number of keys, and the keys."""
    return _packed((b"%d" % len(keys), *keys))


def _load(name: str, parts: tuple[str, ...]) -> Script:
    folder = files(__package__) / "lua"
    return Script(name, "\n".join((folder / f"{part}.lua").read_text("utf-8") for part in (*parts, name)))


SCRIPTS = {name: _load(name, parts) for name, parts in PARTS.items()}
