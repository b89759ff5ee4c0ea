"""The Lua scripts: each is one operation, and one atomic step on the server."""

from __future__ import annotations

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
        self._by_digest = (b"EVALSHA", sha1(source.encode(), usedforsecurity=False).hexdigest().encode())
        self._whole = (b"EVAL", source.encode())

    def __repr__(self) -> str:
        return f"<Script {self.name}>"

    def command(self, keys: tuple[bytes, ...], arguments: list[bytes], *, whole: bool = False) -> bytes:
        """The call, ready to be sent."""
        return pack([*(self._whole if whole else self._by_digest), b"%d" % len(keys), *keys, *arguments])


def pack(arguments: list[bytes]) -> bytes:
    """One command in the form in which it goes to the server."""
    return b"*%d\r\n%b" % (len(arguments), b"".join([b"$%d\r\n%b\r\n" % (len(a), a) for a in arguments]))


def _load(name: str, parts: tuple[str, ...]) -> Script:
    folder = files(__package__) / "lua"
    return Script(name, "\n".join((folder / f"{part}.lua").read_text("utf-8") for part in (*parts, name)))


SCRIPTS = {name: _load(name, parts) for name, parts in PARTS.items()}
