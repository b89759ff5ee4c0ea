"""What a session holds after a run: exactly what the SDK put there, item by item."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import Enum
from typing import Any, cast

import agents
import openai
import pytest
from agents import TResponseInputItem
from openai.types.responses import (
    ResponseCodeInterpreterToolCall,
    ResponseFileSearchToolCall,
    ResponseFunctionWebSearch,
    ResponseOutputMessage,
    ResponseOutputText,
)
from openai.types.responses.response_code_interpreter_tool_call import OutputLogs
from openai.types.responses.response_file_search_tool_call import Result
from openai.types.responses.response_function_web_search import ActionSearch
from openai.types.responses.response_output_item import ImageGenerationCall, McpCall
from openai.types.responses.response_output_text import AnnotationURLCitation, Logprob
from pydantic import BaseModel
from stand_in import StandInModel, call, outline, say, stored, think

from openstackai_sessions_agents import Agent, Runner, SessionLike, as_agents_session
from openstackai_sessions_core import (
    AsyncInMemorySession,
    AsyncInMemoryStore,
    AsyncSession,
    InMemorySession,
    InMemoryStore,
    LimitExceededError,
    Limits,
    SerializationError,
    Session,
    SessionEvent,
)

NewSession = Callable[[str], Session | AsyncSession]


class Reference:
    """A session of the SDK that keeps the very objects it is given, as JSON text: what ours must equal."""

    def __init__(self) -> None:
        self.session_id = "reference"
        self.session_settings: agents.SessionSettings | None = None
        self.lines: list[str] = []

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        lines = self.lines if limit is None else self.lines[max(0, len(self.lines) - limit) :]
        return [json.loads(line) for line in lines]

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        self.lines += [json.dumps(item) for item in items]

    async def pop_item(self) -> TResponseInputItem | None:
        return json.loads(self.lines.pop()) if self.lines else None

    async def clear_session(self) -> None:
        self.lines.clear()


class Weather(BaseModel):
    """What a tool or a model may say of a place."""

    city: str
    degrees: float


@agents.function_tool
def weather(city: str) -> Weather:
    return Weather(city=city, degrees=-0.0)


@agents.function_tool
def photo() -> agents.ToolOutputImage:
    return agents.ToolOutputImage(image_url="data:image/png;base64,iVBORw0KGgo=", detail="low")


@agents.function_tool
def fails() -> str:
    raise ValueError("no weather today")


MULTIMODAL: list[TResponseInputItem] = [
    {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "What is this? \u0000 \U0001f600 e\u0301 \uffff\r\n"},
            {"type": "input_image", "image_url": "data:image/jpeg;base64,/9j/4AAQ", "detail": "high"},
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
        ],
    }
]
EVERY_KIND: list[Any] = [
    think("Let me see."),
    ResponseFunctionWebSearch(
        id="ws_1", action=ActionSearch(query="weather", type="search"), status="completed", type="web_search_call"
    ),
    ResponseFileSearchToolCall(
        id="fs_1",
        queries=["a", "b"],
        status="completed",
        type="file_search_call",
        results=[
            Result(attributes={"year": 2026.0, "draft": True}, file_id="f", filename="a.txt", score=1e-16, text="x")
        ],
    ),
    ResponseCodeInterpreterToolCall(
        id="ci_1",
        code="print(1)",
        container_id="c",
        outputs=[OutputLogs(logs="1\n", type="logs")],
        status="completed",
        type="code_interpreter_call",
    ),
    ImageGenerationCall(id="ig_1", result="iVBORw0KGgo=", status="completed", type="image_generation_call"),
    McpCall(id="mcp_1", arguments="{}", name="n", server_label="s", type="mcp_call", output="{}"),
    ResponseOutputMessage(
        id="__fake_id__",
        content=[
            ResponseOutputText(
                annotations=[
                    AnnotationURLCitation(end_index=3, start_index=0, title="t", type="url_citation", url="https://x.y")
                ],
                text="See here",
                type="output_text",
                logprobs=[Logprob(token="See", bytes=[83], logprob=-1.0000000000000002e-07, top_logprobs=[])],  # noqa: S106
            ),
        ],
        role="assistant",
        status="completed",
        type="message",
    ),
]


async def converse(session: SessionLike, streamed: bool) -> StandInModel:
    """One conversation with every kind of item that a run of this SDK stores."""
    model = StandInModel(
        [
            think("Two cities."),
            call("weather", "c1", city="Oslo"),
            call("weather", "c2", city="Rome"),
            call("fails", "c3"),
        ],
        [say("Let me look.", id="__fake_id__"), call("photo", "c4")],
        [say("Here you are.", id="__fake_id__")],
        EVERY_KIND,
        [say("Yes.", id="__fake_id__")],
    )
    agent = agents.Agent(name="Assistant", model=model, tools=[weather, photo, fails])
    inputs: list[str | list[TResponseInputItem]] = ["What is the weather?", MULTIMODAL, "Sure?"]
    for input in inputs:
        if streamed:
            result = Runner.run_streamed(agent, input, session=session)
            async for _ in result.stream_events():
                pass
        else:
            await Runner.run(agent, input, session=session)
    assert model.turns == []
    return model


def exactly(items: object) -> str:
    """Text that tells 1 from 1.0 and from True, -0.0 from 0.0 and one order of keys from another."""
    return json.dumps(items)


@pytest.mark.parametrize("streamed", [False, True], ids=["run", "streamed"])
async def test_every_kind_of_item_comes_back_exactly(
    session: Session | AsyncSession, streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = Reference()
    sent = []
    for place in (reference, session):
        # Both conversations number their items alike.
        monkeypatch.setattr("stand_in._numbers", iter(range(1, 100)))
        sent.append(exactly((await converse(place, streamed)).inputs))
    assert sent[0] == sent[1]
    assert exactly(await stored(session)) == exactly(await reference.get_items())
    items = await as_agents_session(session).get_items()
    assert exactly(items) == exactly(await reference.get_items())
    assert {type(item) for item in items} == {dict}
    kinds = {item.get("type", "message") for item in items}
    assert kinds == {
        "code_interpreter_call",
        "file_search_call",
        "function_call",
        "function_call_output",
        "image_generation_call",
        "mcp_call",
        "message",
        "reasoning",
        "web_search_call",
    }


class Status(str, Enum):
    """What many a tool returns: text that is a member of an enum."""

    READY = "ready"


@agents.function_tool
def status() -> Status:
    return Status.READY


@pytest.mark.parametrize("streamed", [False, True], ids=["run", "streamed"])
async def test_text_that_is_an_enum_is_kept_as_the_plain_text_that_the_model_is_sent(
    session: Session | AsyncSession, streamed: bool
) -> None:
    model = StandInModel(call("status", "c1"), say("Ready"))
    agent = agents.Agent(name="Assistant", model=model, tools=[status])
    await _run(agent, Status.READY, session, streamed)
    items = await stored(session)
    assert outline(items) == ["user: ready", "call c1: status", "output c1: ready", "assistant: Ready"]
    assert {type(items[0]["content"]), type(items[2]["output"])} == {str}


async def test_an_emoji_that_came_in_two_halves_is_kept_whole(session: Session | AsyncSession) -> None:
    # Some servers cut a stream between the halves of what UTF-16 writes in two; the SDK puts them side by side.
    halves, half = "Hi \ud83d\ude00", "lone \ud83d, \ufeffe\u0301"
    agent = Agent(name="Assistant", session=session, model=StandInModel([say(halves), say(half)]))
    await Runner.run(agent, halves)
    assert outline(await stored(session)) == ["user: Hi \U0001f600", "assistant: Hi \U0001f600", f"assistant: {half}"]


async def test_item_ids_are_data_and_may_repeat(session: Session | AsyncSession) -> None:
    model = StandInModel(*[say("Yes", id="__fake_id__") for _ in range(3)])
    agent = Agent(name="Assistant", session=session, model=model)
    for _ in range(3):
        await Runner.run(agent, "Sure?")
    messages = session.get_messages() if isinstance(session, Session) else await session.get_messages()
    assert [message.get("id") for message in messages] == [None, "__fake_id__"] * 3
    assert len({message.id for message in messages}) == 6


async def test_parallel_tool_calls_are_stored_side_by_side_in_one_batch(
    session: Session | AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[list[str]] = []
    append = session.store.append

    def spy(session_id: str, op: Any, messages: Any, **options: Any) -> Any:
        batches.append(outline([json.loads(message.data) for message in messages]))
        return append(session_id, op, messages, **options)

    monkeypatch.setattr(session.store, "append", spy)
    model = StandInModel([call("weather", f"c{number}", city="Oslo") for number in range(3)], say("Cold"))
    await Runner.run(Agent(name="Assistant", session=session, model=model, tools=[weather]), "Weather?")
    output = "city='Oslo' degrees=-0.0"
    assert [len(batch) for batch in batches] == [1, 6, 1]
    assert batches[1] == [f"call c{n}: weather" for n in range(3)] + [f"output c{n}: {output}" for n in range(3)]


async def test_structured_output_is_stored_as_the_text_that_the_model_wrote(session: Session | AsyncSession) -> None:
    text = '{"city": "Oslo", "degrees": 1e-16}'
    agent = Agent(name="Assistant", session=session, model=StandInModel(say(text)), output_type=Weather)
    result = await Runner.run(agent, "Weather?")
    assert result.final_output_as(Weather) == Weather(city="Oslo", degrees=1e-16)
    assert outline(await stored(session)) == ["user: Weather?", f"assistant: {text}"]


@pytest.mark.parametrize("where", ["run", "session"])
async def test_session_settings_limit_what_the_model_is_sent_and_not_what_is_kept(
    session: Session | AsyncSession, where: str
) -> None:
    model = StandInModel(*[say(f"answer {number}") for number in range(3)])
    agent = Agent(name="Assistant", model=model)
    settings = agents.SessionSettings(limit=2)
    adapted = as_agents_session(session)
    config = agents.RunConfig()
    if where == "run":
        config.session_settings = settings
    else:
        adapted.session_settings = settings
    for number in range(3):
        await Runner.run(agent, f"question {number}", session=adapted, run_config=config)
    assert outline(model.inputs[2]) == ["user: question 1", "assistant: answer 1", "user: question 2"]
    assert len(await stored(session)) == 6


async def test_a_limit_never_sends_an_output_without_its_call(session: Session | AsyncSession) -> None:
    model = StandInModel(call("weather", "c1", city="Oslo"), say("Cold"), say("Still cold"))
    agent = Agent(name="Assistant", session=session, model=model, tools=[weather])
    await Runner.run(agent, "Weather?")
    await Runner.run(agent, "And now?", run_config=agents.RunConfig(session_settings=agents.SessionSettings(limit=2)))
    assert outline(model.inputs[-1]) == ["assistant: Cold", "user: And now?"]


async def test_a_session_input_callback_sees_plain_items_and_decides_what_is_sent(
    session: Session | AsyncSession,
) -> None:
    kinds: set[type] = set()

    def only_users(history: list[TResponseInputItem], new: list[TResponseInputItem]) -> list[TResponseInputItem]:
        kinds.update(type(item) for item in history)
        return [item for item in history if item.get("role") == "user"] + new

    model = StandInModel(say("a"), say("b"))
    agent = Agent(name="Assistant", session=session, model=model)
    config = agents.RunConfig(session_input_callback=only_users)
    await Runner.run(agent, "one", run_config=config)
    await Runner.run(agent, "two", run_config=config)
    assert kinds == {dict}
    assert outline(model.inputs[1]) == ["user: one", "user: two"]
    assert outline(await stored(session)) == ["user: one", "assistant: a", "user: two", "assistant: b"]


def trip(*_: object) -> agents.GuardrailFunctionOutput:
    return agents.GuardrailFunctionOutput(output_info=None, tripwire_triggered=True)


@pytest.mark.parametrize("parallel", [False, True], ids=["blocking", "parallel"])
@pytest.mark.parametrize("streamed", [False, True], ids=["run", "streamed"])
async def test_a_blocked_input_is_kept_without_an_answer_as_in_the_sdks_own_sessions(
    session: Session | AsyncSession, parallel: bool, streamed: bool
) -> None:
    for place in (Reference(), session):
        agent = agents.Agent(
            name="Assistant",
            model=StandInModel(say("Secret")),
            input_guardrails=[agents.InputGuardrail(trip, run_in_parallel=parallel)],
        )
        with pytest.raises(agents.InputGuardrailTripwireTriggered):
            await _run(agent, "Tell me", place, streamed)
        assert outline(await as_agents_session(place).get_items()) == ["user: Tell me"]


@pytest.mark.parametrize("streamed", [False, True], ids=["run", "streamed"])
async def test_the_text_that_an_output_guardrail_blocked_is_not_kept(
    session: Session | AsyncSession, streamed: bool
) -> None:
    for place in (Reference(), session):
        model = StandInModel(call("weather", "c1", city="Oslo"), say("Secret"))
        agent = agents.Agent(
            name="Assistant", model=model, tools=[weather], output_guardrails=[agents.OutputGuardrail(trip)]
        )
        with pytest.raises(agents.OutputGuardrailTripwireTriggered):
            await _run(agent, "Tell me", place, streamed)
        items = await as_agents_session(place).get_items()
        assert outline(items)[:2] == ["user: Tell me", "call c1: weather"]
        assert "Secret" not in exactly(items)


async def _run(agent: agents.Agent[Any], input: str, session: SessionLike, streamed: bool) -> None:
    if streamed:
        async for _ in Runner.run_streamed(agent, input, session=session).stream_events():
            pass
    else:
        await Runner.run(agent, input, session=session)


@pytest.mark.parametrize("streamed", [False, True], ids=["run", "streamed"])
async def test_what_was_said_before_a_model_failed_is_kept_and_the_next_run_goes_on(
    session: Session | AsyncSession, streamed: bool
) -> None:
    model = StandInModel(call("weather", "c1", city="Oslo"), ConnectionError("the line is dead"), say("Cold"))
    agent = Agent(name="Assistant", session=session, model=model, tools=[weather])
    with pytest.raises(ConnectionError, match="the line is dead"):
        await _run(agent, "Weather?", session, streamed)
    output = "output c1: city='Oslo' degrees=-0.0"
    assert outline(await stored(session)) == ["user: Weather?", "call c1: weather", output]
    await _run(agent, "Once more", session, streamed)
    assert outline(await stored(session))[3:] == ["user: Once more", "assistant: Cold"]


async def test_a_run_that_waits_for_approval_is_resumed_from_text_in_the_same_session(
    session: Session | AsyncSession,
) -> None:
    @agents.function_tool(needs_approval=True)
    def pay(amount: int) -> str:
        return f"paid {amount}"

    model = StandInModel(call("pay", "c1", amount=7), say("Done"))
    agent = Agent(name="Assistant", session=session, model=model, tools=[pay])
    waiting = await Runner.run(agent, "Pay 7")
    state = await agents.RunState.from_string(agent, waiting.to_state().to_string())
    state.approve(state.get_interruptions()[0])
    result = await Runner.run(agent, state)
    assert result.final_output == "Done"
    assert outline(await stored(session)) == ["user: Pay 7", "call c1: pay", "output c1: paid 7", "assistant: Done"]


async def test_the_adapter_pops_and_clears(session: Session | AsyncSession) -> None:
    adapted = as_agents_session(session)
    items = cast("list[TResponseInputItem]", [{"role": "user", "content": str(number)} for number in range(3)])
    assert (adapted.session_id, adapted.session_settings) == ("user-123", None)
    assert await adapted.pop_item() is None
    await adapted.add_items([])
    await adapted.add_items(items)
    assert await adapted.get_items() == items
    assert await adapted.get_items(2) == items[1:]
    assert await adapted.get_items(limit=0) == []
    adapted.session_settings = agents.SessionSettings(limit=1)
    assert (await adapted.get_items(), await adapted.get_items(2)) == (items[2:], items[1:])
    adapted.session_settings = None
    popped = await adapted.pop_item()
    assert (popped, type(popped)) == (items[2], dict)
    await adapted.clear_session()
    assert await adapted.get_items() == []
    assert isinstance(adapted, agents.Session)
    assert as_agents_session(adapted) is adapted
    assert repr(adapted) == f"as_agents_session({session!r})"


async def test_the_sdks_wrapper_that_compacts_histories_takes_an_adapted_session(
    session: Session | AsyncSession,
) -> None:
    asked: list[list[Any]] = []

    def now(context: dict[str, Any]) -> bool:
        asked.append(context["session_items"])
        return False

    async with openai.AsyncOpenAI(api_key="none") as client:
        compacting = agents.OpenAIResponsesCompactionSession(
            "user-123",
            as_agents_session(session),
            client=client,
            compaction_mode="input",
            should_trigger_compaction=now,
        )
        model = StandInModel(say("Hello"), say("Hello again"))
        agent = Agent(name="Assistant", session=compacting, model=model)
        await Runner.run(agent, "Hi")
        await Runner.run(agent, "Hi again")
        await compacting.run_compaction()
    course = ["user: Hi", "assistant: Hello", "user: Hi again", "assistant: Hello again"]
    assert outline(await stored(session)) == course
    assert [outline(items) for items in asked] == [course]


async def test_a_run_fires_the_events_of_the_handle_it_was_given(session: Session | AsyncSession) -> None:
    added: list[Any] = []
    session.on(SessionEvent.MESSAGE_ADDED, added.append)
    session.on(SessionEvent.MESSAGE_REMOVED, added.remove)
    session.on(SessionEvent.SESSION_CLEARED, added.clear)
    await Runner.run(Agent(name="Assistant", session=session, model=StandInModel(say("Hello"))), "Hi")
    assert outline(added) == ["user: Hi", "assistant: Hello"]
    await as_agents_session(session).pop_item()
    assert outline(added) == ["user: Hi"]
    await as_agents_session(session).clear_session()
    assert added == []


@pytest.mark.parametrize("streamed", [False, True], ids=["run", "streamed"])
async def test_input_that_is_not_json_is_refused_and_nothing_of_it_is_kept(
    session: Session | AsyncSession, streamed: bool
) -> None:
    model = StandInModel(say("Hello"), say("Hello"))
    agent = Agent(name="Assistant", session=session, model=model)
    items: Any = [{"role": "user", "content": [{"type": "input_text", "text": "Hi", "score": float("nan")}]}]
    with pytest.raises(SerializationError):
        await _run(agent, items, session, streamed)
    assert await stored(session) == []


async def test_an_item_that_contains_itself_is_refused(session: Session | AsyncSession) -> None:
    item: Any = {"role": "user", "content": []}
    item["content"].append(item)
    with pytest.raises(SerializationError, match="containing itself"):
        await as_agents_session(session).add_items([item])
    assert await stored(session) == []


@pytest.mark.parametrize("kind", [InMemorySession, AsyncInMemorySession])
async def test_an_item_beyond_the_stores_limit_is_the_stores_error(kind: Any) -> None:
    store: Any = InMemoryStore(limits=Limits(message_bytes=1_000))
    if kind is AsyncInMemorySession:
        store = AsyncInMemoryStore(limits=Limits(message_bytes=1_000))
    session = kind("a", store=store)
    with pytest.raises(LimitExceededError):
        await Runner.run(Agent(name="Assistant", session=session, model=StandInModel(say("Hi"))), "x" * 2_000)
    assert await stored(session) == []
