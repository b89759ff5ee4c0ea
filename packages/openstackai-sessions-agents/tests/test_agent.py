"""The agent: the SDK's, and one field more."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from pathlib import Path
from typing import Any

import agents
import pytest
from stand_in import StandInModel

import openstackai_sessions_agents._agent
from openstackai_sessions_agents import Agent, as_agents_session
from openstackai_sessions_core import AsyncInMemorySession, InMemorySession, InMemoryStore, ValidationError


def test_an_agent_is_the_sdks_agent_with_a_session() -> None:
    session = InMemorySession()
    agent = Agent(name="Assistant", instructions="Be brief", session=session)
    assert isinstance(agent, agents.Agent)
    assert (agent.name, agent.instructions, agent.session) == ("Assistant", "Be brief", session)
    assert Agent(name="Assistant").session is None
    assert [field.name for field in dataclasses.fields(Agent)] == [
        *(field.name for field in dataclasses.fields(agents.Agent)),
        "session",
    ]
    assert "session=<InMemorySession 'default'>" in repr(agent)


def test_the_session_is_given_by_name() -> None:
    ours, theirs = (inspect.signature(kind).parameters for kind in (Agent, agents.Agent))
    assert list(ours) == [*theirs, "session"]
    assert ours["session"].kind is inspect.Parameter.KEYWORD_ONLY
    for name in theirs:
        assert (ours[name].kind, str(ours[name].default)) == (theirs[name].kind, str(theirs[name].default))


@pytest.mark.parametrize("name", ["__init__", "as_tool"])
def test_the_signatures_that_type_checkers_see_name_every_argument_of_the_sdk(name: str) -> None:
    tree = ast.parse(Path(openstackai_sessions_agents._agent.__file__).read_text("utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == name]
    declared = functions[0].args
    names = [argument.arg for argument in [*declared.args, *declared.kwonlyargs]]
    theirs = list(inspect.signature(getattr(agents.Agent, name)).parameters)
    expected = [*theirs, "session"] if "session" not in theirs else theirs
    # An older SDK knows fewer of them.
    assert [argument for argument in names if argument in expected] == expected
    assert set(names) - set(expected) <= {"on_stream_max_pending_events"}


def test_an_agent_takes_every_kind_of_session() -> None:
    class Theirs:
        session_id = "x"
        session_settings: agents.SessionSettings | None = None

        async def get_items(self, limit: int | None = None) -> list[agents.TResponseInputItem]:
            return [][:limit]

        async def add_items(self, items: list[agents.TResponseInputItem]) -> None: ...

        async def pop_item(self) -> agents.TResponseInputItem | None:
            return None

        async def clear_session(self) -> None: ...

    sqlite = agents.SQLiteSession("x")
    for session in (InMemorySession(), AsyncInMemorySession(), as_agents_session(InMemorySession()), sqlite, Theirs()):
        assert Agent(name="Assistant", session=session).session is session
    sqlite.close()


@pytest.mark.parametrize(
    "wrong",
    ["user-123", b"", 0, "", InMemoryStore(), InMemorySession, object()],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_session_is_refused(wrong: Any) -> None:
    kind = type(wrong).__name__
    message = f"session must be a Session, an AsyncSession or a session of the agents SDK, not {kind}"
    with pytest.raises(ValidationError, match=message):
        Agent(name="Assistant", session=wrong)
    with pytest.raises(ValidationError, match=message):
        Agent(name="Assistant").clone(session=wrong)
    with pytest.raises(ValidationError, match=message):
        as_agents_session(wrong)


def test_the_sdks_own_checks_still_run() -> None:
    with pytest.raises(TypeError, match="Agent name must be a string"):
        Agent(name=1)  # type: ignore[arg-type] # the mistake that is tested


def test_a_clone_is_of_the_same_class_and_carries_the_session() -> None:
    class Mine(Agent[str]):
        pass

    session, other = InMemorySession("a"), InMemorySession("b")
    agent = Mine(name="Assistant", session=session, model=StandInModel())
    clone = agent.clone(name="Clone")
    assert (type(clone), clone.name, clone.session, clone.model) == (Mine, "Clone", session, agent.model)
    assert agent.clone(session=other).session is other
    assert agent.clone(session=None).session is None
    assert (agent.name, agent.session) == ("Assistant", session)


def test_agents_that_carry_different_sessions_differ() -> None:
    session = InMemorySession()
    assert Agent(name="A", session=session) == Agent(name="A", session=session)
    assert Agent(name="A", session=session) != Agent(name="A", session=InMemorySession())


def test_as_tool_keeps_the_sdks_signature() -> None:
    assert inspect.signature(Agent.as_tool) == inspect.signature(agents.Agent.as_tool)
