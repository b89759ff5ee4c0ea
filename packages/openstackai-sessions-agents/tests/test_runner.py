"""Which session a run is kept in, and what the runner leaves to the SDK."""

from __future__ import annotations

import asyncio
import inspect
import traceback
from collections.abc import Callable
from typing import Any

import agents
import pytest
from stand_in import StandInModel, call, outline, say, stored

from openstackai_sessions_agents import Agent, Runner, SessionLike, as_agents_session
from openstackai_sessions_core import (
    AsyncInMemorySession,
    AsyncSession,
    InMemorySession,
    Session,
    SessionClosedError,
    ValidationError,
)

NewSession = Callable[[str], Session | AsyncSession]
FIRST = ["user: My name is Alice", "assistant: Hello Alice"]
SECOND = [*FIRST, "user: What's my name?", "assistant: Your name is Alice"]


async def stream(agent: agents.Agent[Any], input: str, **options: Any) -> agents.RunResultStreaming:
    """A streamed run, read to its end."""
    result = Runner.run_streamed(agent, input, **options)
    async for _ in result.stream_events():
        pass
    return result


async def run(agent: agents.Agent[Any], input: str, **options: Any) -> agents.RunResult:
    return await Runner.run(agent, input, **options)


@pytest.mark.parametrize("run", [run, stream])
async def test_a_run_remembers_what_the_sessions_earlier_runs_said(
    session: Session | AsyncSession, run: Callable[..., Any]
) -> None:
    model = StandInModel(say("Hello Alice"), say("Your name is Alice"))
    agent = Agent(name="Assistant", instructions="Remember user preferences", session=session, model=model)

    first = await run(agent, "My name is Alice")
    assert first.final_output == "Hello Alice"
    assert outline(await stored(session)) == FIRST

    second = await run(agent, "What's my name?")
    assert second.final_output == "Your name is Alice"
    assert outline(model.inputs[1]) == SECOND[:3]
    assert outline(await stored(session)) == SECOND


@pytest.mark.usefixtures("default_loop")
def test_run_sync_remembers_too_and_so_does_another_agent_with_the_session(session: Session | AsyncSession) -> None:
    model = StandInModel(say("Hello Alice"), say("Yes, you're Alice!"))
    Runner.run_sync(Agent(name="Assistant", session=session, model=model), "My name is Alice")
    result = Runner.run_sync(Agent(name="Assistant", session=session, model=model), "Do you remember me?")
    assert result.final_output == "Yes, you're Alice!"
    assert outline(model.inputs[1]) == [*FIRST, "user: Do you remember me?"]


@pytest.mark.parametrize("run", [run, stream])
async def test_an_agent_without_a_session_remembers_nothing(run: Callable[..., Any]) -> None:
    model = StandInModel(say("Hello Alice"), say("Who are you?"))
    agent = Agent(name="Assistant", model=model)
    await run(agent, "My name is Alice")
    await run(agent, "What's my name?")
    assert outline(model.inputs[1]) == ["user: What's my name?"]


@pytest.mark.parametrize("run", [run, stream])
async def test_the_starting_agents_session_serves_the_whole_run_through_handoffs(
    new_session: NewSession, run: Callable[..., Any]
) -> None:
    starts, theirs = new_session("starts"), new_session("theirs")
    model = StandInModel(call("transfer_to_billing", "c1"), say("Billing here"), say("Triage again"))
    billing = Agent(name="Billing", model=model, session=theirs)
    triage = Agent(name="Triage", model=model, session=starts, handoffs=[billing])

    result = await run(triage, "My bill is wrong")

    assert result.last_agent is billing
    course = outline(await stored(starts))
    assert course[:2] == ["user: My bill is wrong", "call c1: transfer_to_billing"]
    assert course[2].startswith("output c1: ")
    assert course[3:] == ["assistant: Billing here"]
    assert await stored(theirs) == []


@pytest.mark.parametrize("run", [run, stream])
async def test_the_session_of_an_agent_used_as_a_tool_is_left_alone(
    new_session: NewSession, run: Callable[..., Any]
) -> None:
    mine, theirs = new_session("mine"), new_session("theirs")
    expert = Agent(name="Expert", model=StandInModel(say("42")), session=theirs)
    model = StandInModel(call("ask", "c1", input="What is it?"), say("It is 42"))
    agent = Agent(name="Assistant", model=model, session=mine, tools=[expert.as_tool("ask", "Asks")])

    await run(agent, "What is it?")

    assert outline(await stored(mine)) == [
        "user: What is it?",
        "call c1: ask",
        "output c1: 42",
        "assistant: It is 42",
    ]
    assert await stored(theirs) == []


@pytest.mark.parametrize("how", ["by name", "by position"])
async def test_a_session_given_to_as_tool_is_used(new_session: NewSession, how: str) -> None:
    mine, given = new_session("mine"), new_session("given")
    expert = Agent(name="Expert", model=StandInModel(say("42"), say("43")), session=mine)
    if how == "by name":
        tool = expert.as_tool("ask", "Asks", session=given)
    else:
        tool = expert.as_tool("ask", "Asks", None, True, None, None, None, None, None, None, given)
    for number in ("1", "2"):
        model = StandInModel(call("ask", f"c{number}", input=f"What is {number}?"), say("Well"))
        await Runner.run(Agent(name="Assistant", model=model, tools=[tool]), "Go")
    assert await stored(mine) == []
    assert outline(await stored(given)) == ["user: What is 1?", "assistant: 42", "user: What is 2?", "assistant: 43"]


@pytest.mark.parametrize("run", [run, stream])
@pytest.mark.parametrize("kind", ["Session", "AsyncSession", "adapted", "SDK"])
async def test_a_session_given_to_the_run_wins(
    session: Session | AsyncSession, run: Callable[..., Any], kind: str
) -> None:
    other = InMemorySession("other")
    theirs = agents.SQLiteSession("other")
    given: dict[str, SessionLike] = {
        "Session": other,
        "AsyncSession": AsyncInMemorySession("other"),
        "adapted": as_agents_session(other),
        "SDK": theirs,
    }
    model = StandInModel(say("Hello Alice"), say("Your name is Alice"))
    agent = Agent(name="Assistant", session=session, model=model)
    await run(agent, "My name is Alice", session=given[kind])
    await run(agent, "What's my name?", session=given[kind])
    assert await stored(session) == []
    assert outline(await as_agents_session(given[kind]).get_items()) == SECOND
    theirs.close()


@pytest.mark.parametrize("run", [run, stream])
async def test_an_agent_of_the_sdk_runs_with_and_without_a_session(
    session: Session | AsyncSession, run: Callable[..., Any]
) -> None:
    model = StandInModel(say("Hello Alice"), say("Hello again"))
    agent = agents.Agent(name="Assistant", model=model)
    await run(agent, "My name is Alice", session=session)
    await run(agent, "My name is Alice")
    assert outline(await stored(session)) == FIRST
    assert outline(model.inputs[1]) == FIRST[:1]


async def test_the_sdks_runner_takes_an_adapted_session(session: Session | AsyncSession) -> None:
    agent = agents.Agent(name="Assistant", model=StandInModel(say("Hello Alice")))
    await agents.Runner.run(agent, "My name is Alice", session=as_agents_session(session))
    assert outline(await stored(session)) == FIRST


@pytest.mark.parametrize("run", [run, stream])
@pytest.mark.parametrize(
    "option", [{"conversation_id": "conv_1"}, {"previous_response_id": "resp_1"}, {"auto_previous_response_id": True}]
)
async def test_what_the_sdk_refuses_beside_a_session_stays_refused(
    session: Session | AsyncSession, run: Callable[..., Any], option: dict[str, Any]
) -> None:
    model = StandInModel()
    agent = Agent(name="Assistant", session=session, model=model)
    with pytest.raises(agents.UserError, match="Session persistence cannot be combined with conversation_id"):
        await run(agent, "Hello", **option)
    assert (model.inputs, await stored(session)) == ([], [])


async def test_run_sync_refuses_a_running_loop_as_the_sdk_does(session: Session | AsyncSession) -> None:
    agent = Agent(name="Assistant", session=session, model=StandInModel())
    with pytest.raises(RuntimeError, match="when an event loop is already running"):
        Runner.run_sync(agent, "Hello")
    assert await stored(session) == []


@pytest.mark.parametrize("run", [run, stream])
@pytest.mark.parametrize(
    "wrong", ["user-123", b"x", 1, InMemorySession, object()], ids=lambda value: type(value).__name__
)
async def test_what_is_no_session_is_refused_before_the_run(run: Callable[..., Any], wrong: Any) -> None:
    model = StandInModel()
    with pytest.raises(
        ValidationError, match="session must be a Session, an AsyncSession or a session of the agents SDK"
    ):
        await run(Agent(name="Assistant", model=model), "Hello", session=wrong)
    changed = Agent(name="Assistant", model=model)
    changed.session = wrong
    with pytest.raises(ValidationError, match="session must be"):
        await run(changed, "Hello")
    assert model.inputs == []


@pytest.mark.parametrize("run", [run, stream])
async def test_a_closed_session_stops_the_run_before_the_model_is_asked(
    session: Session | AsyncSession, run: Callable[..., Any]
) -> None:
    if isinstance(session, Session):
        session.close()
    else:
        await session.close()
    model = StandInModel()
    with pytest.raises(SessionClosedError, match="make a new one"):
        await run(Agent(name="Assistant", session=session, model=model), "Hello")
    assert model.inputs == []


async def test_a_context_and_hooks_reach_the_run(session: Session | AsyncSession) -> None:
    seen: list[str] = []

    class Hooks(agents.RunHooks[str]):
        async def on_agent_start(self, context: agents.AgentHookContext[str], agent: agents.Agent[str]) -> None:
            seen.append(f"start {agent.name} for {context.context}")

    agent = Agent[str](name="Assistant", session=session, model=StandInModel(say("Hello")))
    await Runner.run(agent, "Hi", context="Alice", hooks=Hooks())
    assert seen == ["start Assistant for Alice"]


async def test_a_run_of_several_turns_stops_at_max_turns_and_keeps_what_was_said(
    session: Session | AsyncSession,
) -> None:
    @agents.function_tool
    def roll() -> str:
        return "6"

    model = StandInModel(call("roll", "c1"), call("roll", "c2"))
    agent = Agent(name="Assistant", session=session, model=model, tools=[roll])
    with pytest.raises(agents.MaxTurnsExceeded):
        await Runner.run(agent, "Roll", max_turns=2)
    assert outline(await stored(session)) == [
        "user: Roll",
        "call c1: roll",
        "output c1: 6",
        "call c2: roll",
        "output c2: 6",
    ]


@pytest.mark.parametrize("name", ["run", "run_sync", "run_streamed"])
def test_signatures_are_the_sdks(name: str) -> None:
    ours, theirs = (inspect.signature(getattr(runner, name)).parameters for runner in (Runner, agents.Runner))
    assert list(ours) == list(theirs)
    for parameter in ours.values():
        expected = theirs[parameter.name]
        assert (parameter.kind, parameter.default) == (expected.kind, expected.default)
        if parameter.name not in {"session", "starting_agent"}:
            assert parameter.annotation == expected.annotation
    assert inspect.iscoroutinefunction(getattr(Runner, name)) == inspect.iscoroutinefunction(
        getattr(agents.Runner, name)
    )


def test_no_frame_of_the_runner_holds_the_runs_data_once_it_has_failed(
    session: Session | AsyncSession, default_loop: asyncio.AbstractEventLoop
) -> None:
    agent = Agent(name="Assistant", session=session, model=StandInModel(ValueError("no"), ValueError("no")))
    errors = []
    with pytest.raises(ValueError, match="no") as caught:
        Runner.run_sync(agent, "a secret")
    errors.append(caught.value)
    with pytest.raises(ValueError, match="no") as caught:
        default_loop.run_until_complete(Runner.run(agent, "a secret"))
    errors.append(caught.value)
    for error in errors:
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        ours = [frame for frame in frames if frame.f_code.co_filename == inspect.getfile(Runner)]
        assert len(ours) == 1
        held = set(ours[0].f_locals)
        assert not {"input", "starting_agent", "context", "session", "previous_response_id", "conversation_id"} & held
