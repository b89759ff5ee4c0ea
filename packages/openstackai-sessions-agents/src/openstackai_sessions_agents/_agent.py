"""The agent that carries its session."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, cast

import agents
from agents import (
    AgentBase,
    AgentHooks,
    AgentOutputSchemaBase,
    AgentToolStreamEvent,
    FunctionTool,
    Handoff,
    InputGuardrail,
    Model,
    ModelSettings,
    OutputGuardrail,
    Prompt,
    RunConfig,
    RunContextWrapper,
    RunHooks,
    RunResult,
    RunResultStreaming,
    StopAtTools,
    TContext,
    Tool,
    ToolsToFinalOutputFunction,
    default_tool_error_function,
)
from typing_extensions import Self, override

from openstackai_sessions_agents._adapter import SessionLike, as_agents_session

if TYPE_CHECKING:
    from agents.agent import MCPConfig
    from agents.agent_tool_input import StructuredToolInputBuilder
    from agents.mcp import MCPServer
    from agents.prompts import DynamicPromptFunction
    from agents.tool import ToolErrorFunction
    from agents.util._types import MaybeAwaitable

__all__ = ["Agent"]


@dataclass
class Agent(agents.Agent[TContext], Generic[TContext]):
    """An agent that remembers: the SDK's `Agent` with one argument more, the `session` that its runs are kept in.

    `session` is a `Session`, an `AsyncSession` or a session of the SDK. It serves the runs that `Runner` starts with
    this agent, whole: an agent that takes over by a handoff goes on in it, and its own session is left alone, as is
    that of an agent used as a tool. A session given to the run itself wins. The agent never closes its session, and
    any number of agents may carry the same one.

    Raises `ValidationError` for what is no session; all else is the SDK's.
    """

    session: SessionLike | None = field(default=None, kw_only=True)

    if TYPE_CHECKING:

        def __init__(  # noqa: PLR0917 - the SDK's signature, and the session
            self,
            name: str,
            handoff_description: str | None = None,
            tools: list[Tool] = ...,
            mcp_servers: list[MCPServer] = ...,
            mcp_config: MCPConfig = ...,
            instructions: str
            | Callable[[RunContextWrapper[TContext], agents.Agent[TContext]], MaybeAwaitable[str]]
            | None = None,
            prompt: Prompt | DynamicPromptFunction | None = None,
            handoffs: list[agents.Agent[Any] | Handoff[TContext, Any]] = ...,
            model: str | Model | None = None,
            model_settings: ModelSettings | dict[str, Any] = ...,
            input_guardrails: list[InputGuardrail[TContext]] = ...,
            output_guardrails: list[OutputGuardrail[TContext]] = ...,
            output_type: type[Any] | AgentOutputSchemaBase | None = None,
            hooks: AgentHooks[TContext] | None = None,
            tool_use_behavior: Literal["run_llm_again", "stop_on_first_tool"]
            | StopAtTools
            | ToolsToFinalOutputFunction = "run_llm_again",
            reset_tool_choice: bool = True,  # noqa: FBT002 - the SDK's
            *,
            session: SessionLike | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        super().__post_init__()  # type: ignore[no-untyped-call] # the SDK leaves this one method unannotated
        if self.session is not None:
            as_agents_session(self.session)

    @override
    def clone(self, **kwargs: Any) -> Self:
        """Make a copy of the agent, with the given arguments changed; it carries the same session unless given another.

        `clone(session=None)` gives an agent that carries none.
        """
        return cast("Self", super().clone(**kwargs))

    if TYPE_CHECKING:

        @override
        def as_tool(
            self,
            tool_name: str | None,
            tool_description: str | None,
            custom_output_extractor: Callable[[RunResult | RunResultStreaming], Awaitable[str]] | None = None,
            is_enabled: bool | Callable[[RunContextWrapper[Any], AgentBase[Any]], MaybeAwaitable[bool]] = True,
            on_stream: Callable[[AgentToolStreamEvent], MaybeAwaitable[None]] | None = None,
            run_config: RunConfig | dict[str, Any] | None = None,
            max_turns: int | None = None,
            hooks: RunHooks[TContext] | None = None,
            previous_response_id: str | None = None,
            conversation_id: str | None = None,
            session: SessionLike | None = None,
            failure_error_function: ToolErrorFunction | None = default_tool_error_function,
            needs_approval: bool | Callable[[RunContextWrapper[Any], dict[str, Any], str], Awaitable[bool]] = False,
            parameters: type[Any] | None = None,
            input_builder: StructuredToolInputBuilder | None = None,
            include_input_schema: bool = False,
            on_stream_max_pending_events: int | None = 1024,
        ) -> FunctionTool: ...

    else:

        @functools.wraps(agents.Agent.as_tool)
        def as_tool(self, *arguments: object, **options: object) -> FunctionTool:
            # The session that the agent carries stays out of it; one that is given here is the caller's wish.
            given = inspect.signature(super().as_tool).bind(*arguments, **options)
            if given.arguments.get("session") is not None:
                given.arguments["session"] = as_agents_session(given.arguments["session"])
            return super().as_tool(*given.args, **given.kwargs)
