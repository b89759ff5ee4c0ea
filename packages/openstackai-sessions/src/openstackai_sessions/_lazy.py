"""Where the names live that are imported when they are first asked for, and what to say where they are missing."""

from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple


class Part(NamedTuple):
    """A package that may be installed beside this one: the extra that brings it, and the names it gives."""

    package: str
    extra: str
    names: tuple[str, ...]

    def is_installed(self) -> bool:
        """True where the package itself is there; whether it can be imported is for the import to say."""
        spec = find_spec(self.package)
        # A folder that an uninstall left behind has a spec too, but no file.
        return spec is not None and spec.origin is not None


PARTS = (
    Part("openstackai_sessions_agents", "agents", ("Agent", "Runner")),
    Part(
        "openstackai_sessions_postgres",
        "postgres",
        ("AsyncPostgresSession", "AsyncPostgresStore", "PostgresSession", "PostgresStore"),
    ),
    Part(
        "openstackai_sessions_redis",
        "redis",
        ("AsyncRedisSession", "AsyncRedisStore", "RedisSession", "RedisStore"),
    ),
    Part(
        "openstackai_sessions_sqlite",
        "sqlite",
        ("AsyncSQLiteSession", "AsyncSQLiteStore", "SQLiteSession", "SQLiteStore"),
    ),
)


def listed(names: list[str]) -> list[str]:
    """The names less those of parts that are missing, plus those of every part that is there; nothing is imported."""
    found = set(names)
    for part in PARTS:
        (found.update if part.is_installed() else found.difference_update)(part.names)
    return sorted(found)


def load(name: str) -> object:
    """The object behind a lazy name, or an ImportError that says what to install.

    Only the part's own absence becomes advice to install it: a part that is there but fails to import, for want of a
    driver or any other reason, raises what it raised.
    """
    for part in PARTS:
        if name in part.names:
            if not part.is_installed():
                command = f"pip install 'openstackai-sessions[{part.extra}]'"
                raise ImportError(f"{name} needs a package that is not installed: {command}", name=part.package)
            value: object = getattr(import_module(part.package), name)
            return value
    raise AttributeError(f"module 'openstackai_sessions' has no attribute {name!r}", name=name)
