"""A stand-in for a paid model. Everything else in these tests is the real SDK."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeAlias, cast

from agents import (
    AgentOutputSchemaBase,
    Handoff,
    Model,
    ModelResponse,
    ModelSettings,
    ModelTracing,
    Tool,
    TResponseInputItem,
    Usage,
)
from agents.items import TResponseOutputItem, TResponseStreamEvent
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseReasoningItem,
    ResponseTextDeltaEvent,
)
from openai.types.responses.response_prompt_param import ResponsePromptParam
from openai.types.responses.response_reasoning_item import Summary
from typing_extensions import override

from openstackai_sessions_core import AsyncSession, JSONValue, Session

Output: TypeAlias = "TResponseOutputItem | Exception | Callable[[], Awaitable[None]]"
_numbers = itertools.count(1)


def say(text: str, *, id: str | None = None) -> ResponseOutputMessage:
    """A message of the model's."""
    return ResponseOutputMessage(
        id=id or f"msg_{next(_numbers)}",
        content=[ResponseOutputText(annotations=[], text=text, type="output_text", logprobs=[])],
        role="assistant",
        status="completed",
        type="message",
    )


def call(tool: str, call_id: str, /, **arguments: JSONValue) -> ResponseFunctionToolCall:
    """A call of a tool, or of a handoff."""
    return ResponseFunctionToolCall(
        arguments=json.dumps(arguments), call_id=call_id, name=tool, type="function_call", id=f"fc_{next(_numbers)}"
    )


def think(text: str) -> ResponseReasoningItem:
    """Reasoning, with the part of it that only the provider can read."""
    return ResponseReasoningItem(
        id=f"rs_{next(_numbers)}",
        summary=[Summary(text=text, type="summary_text")],
        type="reasoning",
        encrypted_content="gAAAAAB\u2026==",
    )


class StandInModel(Model):
    """Answers with what it was given, turn by turn, and keeps what it was sent.

    A turn is what the model puts out in it: items; an exception, which is raised; functions, which are awaited.
    """

    def __init__(self, *turns: Output | Sequence[Output]) -> None:
        self.turns = [turn if isinstance(turn, Sequence) else [turn] for turn in turns]
        self.inputs: list[list[TResponseInputItem]] = []

    async def _next(self, input: str | list[TResponseInputItem]) -> list[TResponseOutputItem]:
        items = [{"role": "user", "content": input}] if isinstance(input, str) else input
        self.inputs.append(copy.deepcopy(cast("list[TResponseInputItem]", items)))
        given: list[TResponseOutputItem] = []
        for output in self.turns.pop(0):
            if isinstance(output, Exception):
                raise output
            if callable(output):
                await output()
            else:
                given.append(output)
        return given

    @override
    async def get_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        model_settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        handoffs: list[Handoff],
        tracing: ModelTracing,
        *,
        previous_response_id: str | None,
        conversation_id: str | None,
        prompt: ResponsePromptParam | None,
    ) -> ModelResponse:
        return ModelResponse(output=await self._next(input), usage=Usage(), response_id=None)

    @override
    async def stream_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        model_settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        handoffs: list[Handoff],
        tracing: ModelTracing,
        *,
        previous_response_id: str | None,
        conversation_id: str | None,
        prompt: ResponsePromptParam | None,
    ) -> AsyncIterator[TResponseStreamEvent]:
        output = await self._next(input)
        sequence = itertools.count()
        for index, item in enumerate(output):
            if isinstance(item, ResponseOutputMessage):
                for word in item.content[0].model_dump().get("text", "").split():
                    yield ResponseTextDeltaEvent(
                        content_index=0,
                        delta=f"{word} ",
                        item_id=item.id,
                        logprobs=[],
                        output_index=index,
                        sequence_number=next(sequence),
                        type="response.output_text.delta",
                    )
        response = Response(
            id=f"resp_{next(_numbers)}",
            created_at=0,
            model="stand-in",
            object="response",
            output=output,
            parallel_tool_calls=True,
            tool_choice="auto",
            tools=[],
        )
        yield ResponseCompletedEvent(response=response, sequence_number=next(sequence), type="response.completed")


async def stored(session: Session | AsyncSession) -> list[dict[str, JSONValue]]:
    """What the session holds, as plain dicts."""
    messages = session.get_messages() if isinstance(session, Session) else await session.get_messages()
    return [dict(message) for message in messages]


def outline(items: Sequence[object]) -> list[str]:
    """One word or two for each item, to compare the course of a conversation at a glance."""
    lines = []
    for item in cast("Sequence[dict[str, JSONValue]]", items):
        kind = item.get("type", "message")
        content = item.get("content")
        if kind == "message":
            text = content if isinstance(content, str) else _text(content)
            lines.append(f"{item['role']}: {text}")
        elif kind == "function_call":
            lines.append(f"call {item['call_id']}: {item['name']}")
        elif kind == "function_call_output":
            lines.append(f"output {item['call_id']}: {item['output']}")
        else:
            lines.append(str(kind))
    return lines


def _text(content: JSONValue) -> str:
    assert isinstance(content, list)
    return " ".join(str(part.get("text", part.get("type"))) for part in content if isinstance(part, dict))
