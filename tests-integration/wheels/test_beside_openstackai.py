"""Life beside the other distribution, called ``openstackai``: neither touches a file or a name of the other."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable

import pytest

from wheels.venvs import Venv

THEIRS = "openstackai==0.6.1"
OURS = "openstackai-sessions[sqlite,agents]"
OUR_NAMES = (
    "openstackai-sessions",
    "openstackai-sessions-agents",
    "openstackai-sessions-core",
    "openstackai-sessions-sqlite",
)

# What their distribution gives its users: every module, and every public name with the place it comes from.
SURVEY = """
import importlib, pkgutil, openstackai
for found in sorted(pkgutil.walk_packages(openstackai.__path__, "openstackai."), key=lambda found: found.name):
    if found.name in ("openstackai.Agent", "openstackai.Runner"):
        continue
    module = importlib.import_module(found.name)
    print(found.name, module.__name__, module.__file__.rpartition("site-packages")[2])
for name in sorted(openstackai.__all__):
    try:
        value = getattr(openstackai, name)
    except ImportError as error:  # one of their names is broken in 0.6.1 as it is published
        print(name, "broken", error.name)
        continue
    print(name, getattr(value, "__module__", None), getattr(value, "__qualname__", type(value).__qualname__))
"""
# Only the names here are ours where both are installed.
OURS_WORK = """
import tempfile
from openstackai_sessions import Agent, Runner, SQLiteSession
import openstackai_sessions_agents
with tempfile.TemporaryDirectory() as folder:
    session = SQLiteSession(folder + "/a.db", "user-123")
    session.add_message("user", "My name is Alice")
    agent = Agent(name="Assistant", session=session)
    print(*map(dict, session.get_messages()), agent.session is session, Agent is openstackai_sessions_agents.Agent)
    session.close()
"""
THEIRS_WIN = """
import openstackai.sessions
from openstackai import Agent, Runner
from openstackai.sessions import SessionManager
print(openstackai.sessions.__file__.endswith("__init__.py"), Agent.__module__, Runner.__module__)
"""
OURS_ARE_BACK = """
import openstackai_sessions
from openstackai import Agent, sessions
from openstackai.sessions import SQLiteSession
print(sessions is openstackai_sessions, Agent is openstackai_sessions.Agent)
"""


def recorded_files(venv: Venv) -> dict[str, str]:
    """Every file of their RECORD with the digest of what is on disk now; a missing file raises."""
    (record,) = venv.site.glob("openstackai-0.6.1.dist-info/RECORD")
    with record.open(newline="") as lines:
        names = [row[0] for row in csv.reader(lines)]
    assert len(names) > 100
    return {name: hashlib.sha256((venv.site / name).read_bytes()).hexdigest() for name in names}


@pytest.fixture(scope="module")
def alone(make_venv: Callable[..., Venv]) -> tuple[str, dict[str, str]]:
    """Their distribution as it is without us, with the packages that ours would bring, since it uses some of them."""
    venv = make_venv(THEIRS, "openai-agents", "msgspec")
    return venv.run(SURVEY), recorded_files(venv)


@pytest.mark.parametrize("order", [(THEIRS, OURS), (OURS, THEIRS)], ids=["theirs first", "ours first"])
def test_both_stay_whole_in_either_order_and_after_either_is_removed(
    make_venv: Callable[..., Venv], alone: tuple[str, dict[str, str]], order: tuple[str, str]
) -> None:
    survey, files = alone
    venv = make_venv()
    for requirement in order:
        venv.install(requirement)

    assert recorded_files(venv) == files
    assert venv.run(SURVEY) == survey
    assert venv.run(THEIRS_WIN) == "True openstackai.core.agent openstackai.runner.executor"
    assert venv.run(OURS_WORK) == "{'role': 'user', 'content': 'My name is Alice'} True True"

    venv.uninstall(*OUR_NAMES)
    assert recorded_files(venv) == files
    assert venv.run(THEIRS_WIN) == "True openstackai.core.agent openstackai.runner.executor"

    venv.install(OURS)
    assert recorded_files(venv) == files
    venv.uninstall("openstackai")
    assert venv.run(OURS_ARE_BACK) == "True True"
    venv.uninstall(*OUR_NAMES)
    assert not [file for file in venv.files() if file.startswith("openstackai")]
