"""The SDK's own OpenAI client against a stand-in server on this machine, over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise

import agents
import openai
import pytest
from stand_in import outline, stored
from stand_in_server import Answer, Items, RefusedError, StandInServer, serving

from openstackai_sessions_agents import Agent, Runner
from openstackai_sessions_core import AsyncSession, Session


@agents.function_tool
def weather(city: str) -> str:
    return f"It is cold in {city}."


def answer(items: Items) -> Answer:
    """Look at the weather first, then say what it is, and count the questions."""
    if items[-1].get("role") == "user":
        return f"call_{len(items)}", "weather", {"city": "Oslo"}
    questions = sum(item.get("role") == "user" for item in items)
    return f"Cold. That was question {questions}."


@pytest.fixture
def server() -> Iterator[StandInServer]:
    with serving(answer) as server:
        yield server


@pytest.fixture(params=["chat/completions", "responses"])
async def model(request: pytest.FixtureRequest, server: StandInServer) -> AsyncIterator[agents.Model]:
    """The SDK's model for each of the two protocols, as an OpenAI user has it."""
    async with openai.AsyncOpenAI(base_url=server.url, api_key="none", max_retries=0) as client:
        provider = agents.OpenAIProvider(openai_client=client, use_responses=request.param == "responses")
        yield provider.get_model("stand-in")


@pytest.mark.parametrize("streamed", [False, True], ids=["run", "streamed"])
async def test_a_conversation_with_a_tool_goes_on_where_it_stopped(
    session: Session | AsyncSession, server: StandInServer, model: agents.Model, streamed: bool
) -> None:
    agent = Agent(name="Assistant", model=model, session=session, tools=[weather])
    for question in (1, 2):
        result: agents.RunResult | agents.RunResultStreaming
        if streamed:
            result = stream = Runner.run_streamed(agent, "What is the weather?")
            async for _ in stream.stream_events():
                pass
        else:
            result = await Runner.run(agent, "What is the weather?")
        assert result.final_output == f"Cold. That was question {question}."

    items = await stored(session)
    course = [line for line in outline(items) if line != "reasoning"]
    calls = [str(item["call_id"]) for item in items if item.get("type") == "function_call"]
    assert course == [
        "user: What is the weather?",
        f"call {calls[0]}: weather",
        f"output {calls[0]}: It is cold in Oslo.",
        "assistant: Cold. That was question 1.",
        "user: What is the weather?",
        f"call {calls[1]}: weather",
        f"output {calls[1]}: It is cold in Oslo.",
        "assistant: Cold. That was question 2.",
    ]
    # Each request repeats all of the one before it, to the last field.
    sent = [items for _, items in server.requests]
    assert [len(items) for items in sent] == sorted(len(items) for items in sent)
    for before, after in pairwise(sent):
        assert json.dumps(after[: len(before)]) == json.dumps(before)


async def test_the_ids_that_chat_completions_repeat_are_kept_as_they_are(
    session: Session | AsyncSession, server: StandInServer
) -> None:
    async with openai.AsyncOpenAI(base_url=server.url, api_key="none") as client:
        model = agents.OpenAIChatCompletionsModel("stand-in", client)
        agent = Agent(name="Assistant", model=model, session=session, tools=[weather])
        for _ in range(2):
            await Runner.run(agent, "What is the weather?")
    items = await stored(session)
    assert [item.get("id") for item in items if item.get("role") == "assistant"] == ["__fake_id__", "__fake_id__"]


async def test_reasoning_that_only_the_provider_can_read_is_kept(
    session: Session | AsyncSession, server: StandInServer
) -> None:
    async with openai.AsyncOpenAI(base_url=server.url, api_key="none") as client:
        model = agents.OpenAIResponsesModel("stand-in", client)
        await Runner.run(Agent(name="Assistant", model=model, session=session, tools=[weather]), "What is the weather?")
    reasoning = [item for item in await stored(session) if item.get("type") == "reasoning"]
    assert [str(item["encrypted_content"])[:7] for item in reasoning] == ["secret ", "secret "]


@pytest.mark.parametrize("streamed", [False, True], ids=["run", "streamed"])
async def test_a_turn_that_the_sdk_tries_again_takes_nothing_out_of_the_session_and_adds_nothing_twice(
    session: Session | AsyncSession, server: StandInServer, model: agents.Model, streamed: bool
) -> None:
    agent = Agent(name="Assistant", model=model, session=session, tools=[weather])
    await Runner.run(agent, "What is the weather?")
    before = await stored(session)

    refusals = ["conversation_locked"]

    def locked_at_first(items: Items) -> Answer:
        if refusals and items[-1].get("role") != "user":
            raise RefusedError(refusals.pop())
        return answer(items)

    server.answer = locked_at_first
    if streamed:
        async for _ in Runner.run_streamed(agent, "And now?").stream_events():
            pass
    else:
        await Runner.run(agent, "And now?")
    assert refusals == []
    after = await stored(session)
    assert after[: len(before)] == before
    course = [line.partition(" call_")[0] for line in outline(after[len(before) :]) if line != "reasoning"]
    assert course == ["user: And now?", "call", "output", "assistant: Cold. That was question 2."]
