"""The demo's stand-in for a model, for machines that have none: it knows what the history says, and nothing else."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import cast

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
from agents.items import TResponseStreamEvent
from openai.types.responses import Response, ResponseCompletedEvent, ResponseOutputMessage, ResponseOutputText
from openai.types.responses.response_prompt_param import ResponsePromptParam
from typing_extensions import override

__all__ = ["DemoModel", "answer"]

NAME = re.compile(r"\bmy name is (\w+)", re.IGNORECASE)


def answer(items: Iterable[Mapping[str, object]]) -> str:
    """What the stand-in says to a conversation: the name that the user gave in it, if the user gave one."""
    said = [_text(item.get("content")) for item in items if item.get("role") == "user"]
    names = [match.group(1) for text in said for match in NAME.finditer(text)]
    question = said[-1] if said else ""
    if not names:
        return "I don't know you."
    if NAME.search(question):
        return f"Hello {names[-1]}, I'll remember that."
    return f"Yes, you're {names[-1]}!" if "remember" in question.lower() else f"Your name is {names[-1]}."


def _text(content: object) -> str:
    """The text of a message, which is a string or a list of parts."""
    if isinstance(content, str):
        return content
    parts = cast("list[Mapping[str, object]]", content or [])
    return " ".join(str(part.get("text", "")) for part in parts)


class DemoModel(Model):
    """Answers as `answer` does, at no cost and without a network."""

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
        return ModelResponse(output=[_message(input)], usage=Usage(), response_id=None)

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
        response = Response(
            id="stand-in",
            created_at=0,
            model="stand-in",
            object="response",
            output=[_message(input)],
            parallel_tool_calls=False,
            tool_choice="none",
            tools=[],
        )
        yield ResponseCompletedEvent(response=response, sequence_number=0, type="response.completed")


def _message(input: str | list[TResponseInputItem]) -> ResponseOutputMessage:
    items = [{"role": "user", "content": input}] if isinstance(input, str) else input
    text = ResponseOutputText(
        annotations=[], text=answer(cast("list[Mapping[str, object]]", items)), type="output_text"
    )
    return ResponseOutputMessage(id="stand-in", content=[text], role="assistant", status="completed", type="message")
