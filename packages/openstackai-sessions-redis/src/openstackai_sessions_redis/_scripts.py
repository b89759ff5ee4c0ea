"""The Lua scripts: each is one operation, and one atomic step on the server."""

from __future__ import annotations

from hashlib import sha1
from importlib.resources import files

__all__ = ["SCRIPTS", "Script", "pack"]

ALONE = ("describe", "list", "purge", "stage", "tail")
OF_A_SESSION = ("head", "index", "load", "read", "scan", "values")
WRITES = ("append", "clear", "delete", "import", "metadata", "pop", "recall")


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


def _load() -> dict[str, Script]:
    folder = files(__package__) / "lua"

    def read(name: str) -> str:
        return (folder / f"{name}.lua").read_text("utf-8")

    session = read("_session")
    write = session + read("_write")
    scripts = {name: read(name) for name in ALONE}
    scripts |= {name: session + read(name) for name in OF_A_SESSION}
    scripts |= {name: write + read(name) for name in WRITES}
    return {name: Script(name, source) for name, source in scripts.items()}


SCRIPTS = _load()
