"""Two processes, one conversation: the first is told a name, the second, started afterwards, is asked for it.

    python -m openstackai_sessions_agents.demo

Uses the model that the environment offers: `OPENAI_BASE_URL` (any server that speaks chat completions) or
`OPENAI_API_KEY` (OpenAI), with `DEMO_MODEL` for the model's name. Without them, a small stand-in answers.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import agents
import openai

from openstackai_sessions_agents import Agent, Runner
from openstackai_sessions_agents._demo_model import DemoModel

FIRST = ("My name is Alice", "What's my name?")
SECOND = ("Do you remember me?",)
SESSION_ID = "user-123"


def main() -> int:
    """Hold the conversation and show it; 0 where the second process remembered, 1 where it did not."""
    print(_which_model())
    if find_spec("openstackai_sessions_sqlite") is None:
        print("The demo keeps its conversation in SQLite: pip install 'openstackai-sessions[agents,sqlite]'.")
        return 1
    with tempfile.TemporaryDirectory(prefix="openstackai-sessions-") as folder:
        path = Path(folder) / "sessions.db"
        print(f"The conversation is session {SESSION_ID!r} in {path}.")
        answers = _watch("The first process", path, FIRST) and _watch("A second process", path, SECOND)
    remembered = bool(answers) and "alice" in answers[-1].lower()
    print()
    print(
        "The second process remembered Alice." if remembered else "FAILED: the second process did not remember Alice."
    )
    return 0 if remembered else 1


def _watch(title: str, path: Path, inputs: Sequence[str]) -> list[str]:
    """Talk in a process of its own and show what is said as it is said; the answers, or none where it failed."""
    command = [sys.executable, "-m", "openstackai_sessions_agents.demo", str(path), *inputs]
    answers = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:  # noqa: S603 - ourselves
        print(f"\n{_styled('1', f'{title} ({process.pid})')}", flush=True)
        assert process.stdout is not None
        for line in process.stdout:
            question, answer = json.loads(line)
            print(f"  {_styled('2', 'user:     ')} {question}\n  {_styled('2', 'assistant:')} {answer}", flush=True)
            answers.append(answer)
    return answers if process.returncode == 0 else []


def _talk(path: str, inputs: Sequence[str]) -> int:
    """What each of the two processes runs: the documentation's basic usage."""
    from openstackai_sessions_sqlite import SQLiteSession

    # The SDK sends traces to OpenAI, which is right for OpenAI's own users alone.
    if not os.environ.get("OPENAI_API_KEY") or os.environ.get("OPENAI_BASE_URL"):
        agents.set_tracing_disabled(disabled=True)
    session = SQLiteSession(db_path=path, session_id=SESSION_ID)
    agent = Agent(name="Assistant", instructions="Remember user preferences", session=session, model=_model())
    for text in inputs:
        try:
            result = Runner.run_sync(agent, text)
        except openai.OpenAIError as error:
            print(f"The model did not answer: {error} (DEMO_MODEL chooses another)", file=sys.stderr)
            return 1
        print(json.dumps([text, str(result.final_output)]), flush=True)
    session.close()
    return 0


def _model() -> agents.Model | str | None:
    name = os.environ.get("DEMO_MODEL") or None
    base_url = os.environ.get("OPENAI_BASE_URL")
    key = os.environ.get("OPENAI_API_KEY")
    if base_url:
        # Servers of one's own often want no key, but the client does.
        client = openai.AsyncOpenAI(base_url=base_url, api_key=key or "none", timeout=20, max_retries=0)
        return agents.OpenAIChatCompletionsModel(name or agents.models.get_default_model(), client)
    return name if key else DemoModel()


def _which_model() -> str:
    name = os.environ.get("DEMO_MODEL") or "the SDK's default model"
    base_url = os.environ.get("OPENAI_BASE_URL")
    if base_url:
        return f"Model: {name} at {urlsplit(base_url).hostname}."
    if os.environ.get("OPENAI_API_KEY"):
        return f"Model: {name} at OpenAI."
    return (
        "Model: a stand-in that ships with this demo; it answers only from the history it is sent.\n"
        "(For a real one set OPENAI_API_KEY or OPENAI_BASE_URL, and DEMO_MODEL.)"
    )


def _styled(style: str, text: str) -> str:
    """The text with a style of the terminal's, where a terminal will show it."""
    return f"\033[{style}m{text}\033[0m" if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else text


if __name__ == "__main__":
    sys.exit(_talk(sys.argv[1], sys.argv[2:]) if sys.argv[1:] else main())
