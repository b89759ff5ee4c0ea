"""The demo, as a reader starts it, and what it says where the second process does not remember."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import cast

import agents
import pytest
from stand_in_server import Items, serving

from openstackai_sessions_agents import Agent, Runner, demo
from openstackai_sessions_agents._demo_model import DemoModel, answer
from openstackai_sessions_core import InMemorySession

SETTINGS = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "DEMO_MODEL", "PYTHONWARNINGS")


@pytest.fixture(autouse=True)
def _no_model_but_what_a_test_offers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)


def lines(text: str) -> list[str]:
    """The transcript, its numbers and paths made plain."""
    plain = re.sub(r"\(\d+\)", "(pid)", re.sub(r"in /.*sessions\.db", "in (path)", text))
    return [re.sub(r" +", " ", line.strip()) for line in plain.splitlines() if line]


def test_the_second_process_remembers(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "openstackai_sessions_agents.demo"],
        env=os.environ | {"TMPDIR": str(tmp_path), "TEMP": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert lines(done.stdout) == [
        "Model: a stand-in that ships with this demo; it answers only from the history it is sent.",
        "(For a real one set OPENAI_API_KEY or OPENAI_BASE_URL, and DEMO_MODEL.)",
        "The conversation is session 'user-123' in (path).",
        "The first process (pid)",
        "user: My name is Alice",
        "assistant: Hello Alice, I'll remember that.",
        "user: What's my name?",
        "assistant: Your name is Alice.",
        "A second process (pid)",
        "user: Do you remember me?",
        "assistant: Yes, you're Alice!",
        "The second process remembered Alice.",
    ]
    first, second = re.findall(r"\((\d+)\)", done.stdout)
    assert first != second
    assert "\033" not in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_model_from_the_environment_is_asked_and_one_that_forgets_fails_the_demo(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def forgets(items: Items) -> str:
        return answer(items) if len(items) < 6 else "Who are you?"

    with serving(forgets) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url.replace("127.0.0.1", "user:hunter2@127.0.0.1"))
        monkeypatch.setenv("DEMO_MODEL", "my-model")
        status = demo.main()
    said = capfd.readouterr()
    assert (status, said.err) == (1, "")
    transcript = lines(said.out)
    assert transcript[0] == "Model: my-model at 127.0.0.1."
    assert "assistant: Your name is Alice." in transcript
    assert transcript[-2:] == ["assistant: Who are you?", "FAILED: the second process did not remember Alice."]
    assert "hunter2" not in said.out
    assert [(kind, len(items)) for kind, items in server.requests] == [("chat/completions", size) for size in (2, 4, 6)]


def test_a_server_that_is_not_there_fails_the_demo_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(answer) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    status = demo.main()
    said = capfd.readouterr()
    assert said.err == "The model did not answer: Connection error. (DEMO_MODEL chooses another)\n"
    assert (status, lines(said.out)[-1]) == (1, "FAILED: the second process did not remember Alice.")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([], "I don't know you."),
        (["Do you remember me?"], "I don't know you."),
        (["What's my name?"], "I don't know you."),
        (["My name is Alice", "What's my name?"], "Your name is Alice."),
        (["my name is Bob", "My name is Alice", "Do you remember me?"], "Yes, you're Alice!"),
    ],
)
def test_the_stand_in_knows_only_what_the_history_says(said: list[str], expected: str) -> None:
    assert answer([{"role": "user", "content": text} for text in said]) == expected
    parts = [{"role": "user", "content": [{"type": "input_text", "text": text}]} for text in said]
    assert answer(cast("list[dict[str, object]]", parts)) == expected


def test_the_stand_in_takes_no_names_from_answers() -> None:
    assert answer([{"role": "assistant", "content": "My name is Alice"}, {"role": "user", "content": "Hi"}]) == (
        "I don't know you."
    )


async def test_the_stand_in_forgets_what_a_session_does_not_hold() -> None:
    session = InMemorySession()
    agent = Agent(name="Assistant", session=session, model=DemoModel())
    await Runner.run(agent, "My name is Alice")
    assert (await Runner.run(agent, "Do you remember me?")).final_output == "Yes, you're Alice!"
    session.clear()
    result: agents.RunResultStreaming = Runner.run_streamed(agent, "Do you remember me?")
    async for _ in result.stream_events():
        pass
    assert result.final_output == "I don't know you."
