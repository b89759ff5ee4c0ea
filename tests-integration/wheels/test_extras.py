"""Every combination of extras, installed from wheels: what works, what advises, what a removal leaves."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wheels.venvs import ROOT, Venv

EXTRAS = {
    "sqlite": ("SQLiteSession", "SQLiteStore", "AsyncSQLiteSession", "AsyncSQLiteStore"),
    "agents": ("Agent", "Runner"),
    "redis": ("RedisSession", "RedisStore", "AsyncRedisSession", "AsyncRedisStore"),
    "postgres": ("PostgresSession", "PostgresStore", "AsyncPostgresSession", "AsyncPostgresStore"),
}
COMBINATIONS = {
    "openstackai-sessions": set[str](),
    "openstackai-sessions[sqlite]": {"sqlite"},
    "openstackai-sessions[agents]": {"agents"},
    "openstackai-sessions[sqlite,agents]": {"sqlite", "agents"},
    "openstackai-sessions[postgres]": {"postgres"},
    "openstackai-sessions[redis]": {"redis"},
    "openstackai-sessions[redis,sqlite]": {"redis", "sqlite"},
    "openstackai-sessions[all]": {"sqlite", "agents", "postgres", "redis"},
}
PARTS = [
    "openstackai-sessions",
    "openstackai-sessions-agents",
    "openstackai-sessions-core",
    "openstackai-sessions-postgres",
    "openstackai-sessions-redis",
    "openstackai-sessions-sqlite",
]

# Prints one line a name: "name ok", or "name ImportError: ...".
ASK = """
import importlib
for module, name in {wanted!r}:
    try:
        getattr(importlib.import_module(module), name)
        print(module, name, "ok")
    except ImportError as error:
        print(module, name, type(error).__name__, error)
"""
MEMORY = """
from openstackai.sessions import InMemorySession
session = InMemorySession()
session.add_message("user", "Hello")
session.set("user_name", "Alice")
print(*map(dict, session.get_messages()), session.get("user_name"))
"""
SQLITE = """
import tempfile
from openstackai.sessions import SQLiteSession, open_store
with tempfile.TemporaryDirectory() as folder:
    with SQLiteSession(folder + "/a.db", "user-123") as session:
        session.add_message("user", "My name is Alice")
    with open_store("sqlite:///" + folder + "/a.db") as store:
        print(*map(dict, store.session("user-123").get_messages()))
"""
AGENTS = """
from openstackai import Agent, Runner
from openstackai.sessions import InMemorySession
agent = Agent(name="Assistant", session=InMemorySession())
print(agent.name, callable(Runner.run_sync))
"""


@pytest.fixture(scope="module", params=COMBINATIONS)
def combination(request: pytest.FixtureRequest, make_venv: Callable[..., Venv]) -> tuple[Venv, set[str]]:
    """An environment with one combination, and the extras that it has."""
    requirement: str = request.param
    return make_venv(requirement), COMBINATIONS[requirement]


def test_each_name_is_there_or_says_what_to_install(combination: tuple[Venv, set[str]]) -> None:
    venv, extras = combination
    modules = ("openstackai.sessions", "openstackai_sessions")
    wanted = [(module, name) for module in modules for names in EXTRAS.values() for name in names]
    said = venv.run(ASK.format(wanted=wanted)).splitlines()
    missing = "needs a package that is not installed: pip install"
    assert said == [
        f"{module} {name} ok"
        if extra in extras
        else f"{module} {name} ImportError {name} {missing} 'openstackai-sessions[{extra}]'"
        for module in modules
        for extra, names in EXTRAS.items()
        for name in names
    ]


def test_from_openstackai_import_agent_says_what_to_install(combination: tuple[Venv, set[str]]) -> None:
    venv, extras = combination
    code = """
try:
    from openstackai import Runner
    print(Runner.__module__)
except ImportError as error:
    print(error)
"""
    advice = "Runner needs a package that is not installed: pip install 'openstackai-sessions[agents]'"
    said = venv.run(code)
    assert said.startswith("openstackai_sessions_agents") if "agents" in extras else said == advice


def test_all_lists_what_is_installed_and_a_star_import_gives_it(combination: tuple[Venv, set[str]]) -> None:
    venv, extras = combination
    listed = set(venv.run("import openstackai_sessions as s; print(*s.__all__)").split())
    lazy = {name for names in EXTRAS.values() for name in names}
    assert listed & lazy == {name for extra in extras for name in EXTRAS[extra]}
    assert {"Session", "InMemorySession", "open_store", "SessionError"} <= listed
    given = venv.run("from openstackai.sessions import *; print(*dir())").split()
    assert listed <= set(given)


def test_what_is_installed_works(combination: tuple[Venv, set[str]]) -> None:
    venv, extras = combination
    assert venv.run(MEMORY) == "{'role': 'user', 'content': 'Hello'} Alice"
    if "sqlite" in extras:
        assert venv.run(SQLITE) == "{'role': 'user', 'content': 'My name is Alice'}"
    if "agents" in extras:
        assert venv.run(AGENTS) == "Assistant True"


def test_an_extra_brings_nothing_that_belongs_to_another(combination: tuple[Venv, set[str]]) -> None:
    venv, extras = combination
    tops = {file for file in venv.files() if "/" not in file and ".dist-info" not in file}
    assert ("openstackai_sessions_sqlite" in tops) == ("sqlite" in extras)
    assert ("psycopg" in tops) == ("openstackai_sessions_postgres" in tops) == ("postgres" in extras)
    assert ("redis" in tops) == ("openstackai_sessions_redis" in tops) == ("redis" in extras)
    assert ("agents" in tops) == ("openstackai_sessions_agents" in tops) == ("agents" in extras)
    if "agents" not in extras:
        ours = {"openstackai", "openstackai-stubs", "openstackai_sessions", "openstackai_sessions_core"}
        ours |= {"openstackai_sessions_sqlite"} if "sqlite" in extras else set()
        drivers = ("psycopg", "psycopg_binary", "psycopg_binary.libs", "psycopg_pool", "typing_extensions.py")
        ours |= {"openstackai_sessions_postgres", *drivers} if "postgres" in extras else set()
        ours |= {"openstackai_sessions_redis", "redis"} if "redis" in extras else set()
        # Older Pythons need it for redis-py.
        tops -= {"async_timeout"} if "redis" in extras else set()
        found = {top for top in tops if not top.startswith("_virtualenv")}
        # Newer Pythons need no typing_extensions.
        assert found | {"typing_extensions.py"} == ours | {"msgspec", "typing_extensions.py"}


def test_a_url_of_a_backend_that_is_not_installed_says_what_to_install(make_venv: Callable[..., Venv]) -> None:
    venv = make_venv("openstackai-sessions")
    urls = {"sqlite:///a.db": "sqlite", "redis://localhost": "redis", "postgresql://u@h/d": "postgres"}
    for url, extra in urls.items():
        code = f"""
from openstackai.sessions import open_async_store, open_store
for opener in open_store, open_async_store:
    try:
        opener({url!r})
    except ImportError as error:
        print("pip install 'openstackai-sessions[{extra}]'" in str(error))
"""
        assert venv.run(code).split() == ["True", "True"], url


@pytest.mark.parametrize("order", [PARTS, PARTS[::-1]], ids=["forwards", "backwards"])
def test_uninstalling_one_leaves_the_others_whole_and_no_file_behind(
    make_venv: Callable[..., Venv], order: list[str]
) -> None:
    venv = make_venv("msgspec", "openai-agents", "psycopg[binary]", "psycopg-pool", "redis")
    own: dict[str, set[str]] = {}
    for part in order[::-1]:
        before = venv.files()
        venv.install("--no-deps", part)
        own[part] = venv.files() - before
    working = {
        "openstackai-sessions": MEMORY,
        "openstackai-sessions-core": "import openstackai_sessions_core",
        "openstackai-sessions-postgres": "import openstackai_sessions_postgres",
        "openstackai-sessions-redis": "import openstackai_sessions_redis",
        "openstackai-sessions-sqlite": "import openstackai_sessions_sqlite",
        "openstackai-sessions-agents": "import openstackai_sessions_agents",
    }
    present = set(PARTS)
    for part in order:
        before = venv.files()
        venv.uninstall(part)
        present.remove(part)
        assert before - venv.files() == own[part]
        for other in present if "openstackai-sessions-core" in present else ():
            venv.run(working[other])
    assert not [file for file in venv.files() if file.startswith("openstackai")]


def test_editable_installs_work_through_every_import_path(make_venv: Callable[..., Venv]) -> None:
    venv = make_venv()
    folders = sorted(path.parent for path in (ROOT / "packages").glob("*/pyproject.toml"))
    venv.install_editable(*folders)
    assert venv.run(MEMORY) == "{'role': 'user', 'content': 'Hello'} Alice"
    assert venv.run(SQLITE) == "{'role': 'user', 'content': 'My name is Alice'}"
    assert venv.run(AGENTS) == "Assistant True"
    assert venv.run("import openstackai; print(openstackai.__file__)") == "None"
    venv.uninstall(*(folder.name for folder in folders))
    assert not [file for file in venv.files() if "openstackai" in file]
