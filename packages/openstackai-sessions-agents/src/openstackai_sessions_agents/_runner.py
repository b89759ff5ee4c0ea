"""The runner that keeps a run in the session of the agent it starts with."""

from __future__ import annotations

from typing import Any

import agents
from agents import (
    RunConfig,
    RunErrorHandlers,
    RunHooks,
    RunResult,
    RunResultStreaming,
    RunState,
    TContext,
    TResponseInputItem,
)
from agents.run import DEFAULT_MAX_TURNS
from typing_extensions import override

from openstackai_sessions_agents._adapter import SessionLike, as_agents_session
from openstackai_sessions_agents._agent import Agent

__all__ = ["Runner"]


class Runner(agents.Runner):
    """The SDK's `Runner`: each run remembers what the starting agent's session holds, and is kept in it.

    Arguments, results and errors are the SDK's. `session` may be a `Session`, an `AsyncSession` or a session of the
    SDK; it wins over the one that the starting agent carries, and sessions of other agents in the run play no part.
    An agent of the SDK itself carries none.
    """

    @classmethod
    @override
    async def run(
        cls,
        starting_agent: agents.Agent[TContext],
        input: str | list[TResponseInputItem] | RunState[TContext],
        *,
        context: TContext | None = None,
        max_turns: int | None = DEFAULT_MAX_TURNS,
        hooks: RunHooks[TContext] | None = None,
        run_config: RunConfig | dict[str, Any] | None = None,
        error_handlers: RunErrorHandlers[TContext] | None = None,
        previous_response_id: str | None = None,
        auto_previous_response_id: bool = False,
        conversation_id: str | None = None,
        session: SessionLike | None = None,
    ) -> RunResult:
        """Run an agent to its final output, kept in its session. The arguments are those of the SDK's `Runner.run`."""
        try:
            return await super().run(
                starting_agent,
                input,
                context=context,
                max_turns=max_turns,
                hooks=hooks,
                run_config=run_config,
                error_handlers=error_handlers,
                previous_response_id=previous_response_id,
                auto_previous_response_id=auto_previous_response_id,
                conversation_id=conversation_id,
                session=_session(starting_agent, session),
            )
        finally:
            # The SDK empties its frames where an error must not carry a run's data; this frame is one more of them.
            del starting_agent, input, context, hooks, run_config, error_handlers, session
            del previous_response_id, conversation_id

    @classmethod
    @override
    def run_sync(
        cls,
        starting_agent: agents.Agent[TContext],
        input: str | list[TResponseInputItem] | RunState[TContext],
        *,
        context: TContext | None = None,
        max_turns: int | None = DEFAULT_MAX_TURNS,
        hooks: RunHooks[TContext] | None = None,
        run_config: RunConfig | dict[str, Any] | None = None,
        error_handlers: RunErrorHandlers[TContext] | None = None,
        previous_response_id: str | None = None,
        auto_previous_response_id: bool = False,
        conversation_id: str | None = None,
        session: SessionLike | None = None,
    ) -> RunResult:
        """Run an agent to its final output and wait for it. The arguments are those of the SDK's `Runner.run_sync`.

        Where an event loop is running already, as in a notebook, it raises `RuntimeError`: there, `await Runner.run`.
        """
        try:
            return super().run_sync(
                starting_agent,
                input,
                context=context,
                max_turns=max_turns,
                hooks=hooks,
                run_config=run_config,
                error_handlers=error_handlers,
                previous_response_id=previous_response_id,
                auto_previous_response_id=auto_previous_response_id,
                conversation_id=conversation_id,
                session=_session(starting_agent, session),
            )
        finally:
            del starting_agent, input, context, hooks, run_config, error_handlers, session
            del previous_response_id, conversation_id

    @classmethod
    @override
    def run_streamed(
        cls,
        starting_agent: agents.Agent[TContext],
        input: str | list[TResponseInputItem] | RunState[TContext],
        context: TContext | None = None,
        max_turns: int | None = DEFAULT_MAX_TURNS,
        hooks: RunHooks[TContext] | None = None,
        run_config: RunConfig | dict[str, Any] | None = None,
        previous_response_id: str | None = None,
        auto_previous_response_id: bool = False,
        conversation_id: str | None = None,
        session: SessionLike | None = None,
        *,
        error_handlers: RunErrorHandlers[TContext] | None = None,
    ) -> RunResultStreaming:
        """Start a run and stream its events. The arguments are those of the SDK's `Runner.run_streamed`.

        The run goes on, and writes to the session, even if nobody reads the stream to its end: `result.cancel()`
        stops it. Close the session after that, not before.
        """
        return super().run_streamed(
            starting_agent,
            input,
            context=context,
            max_turns=max_turns,
            hooks=hooks,
            run_config=run_config,
            previous_response_id=previous_response_id,
            auto_previous_response_id=auto_previous_response_id,
            conversation_id=conversation_id,
            session=_session(starting_agent, session),
            error_handlers=error_handlers,
        )


def _session(starting_agent: agents.Agent[Any], session: SessionLike | None) -> agents.Session | None:
    """The session of a run, or None where neither the run nor its starting agent has one."""
    if session is None and isinstance(starting_agent, Agent):
        session = starting_agent.session
    return None if session is None else as_agents_session(session)
