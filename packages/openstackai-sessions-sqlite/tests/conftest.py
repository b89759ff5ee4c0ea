"""Fixtures of the tests that look at SQLite itself."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from openstackai_sessions_sqlite import SQLiteStore

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def clock() -> list[float]:
    """The time on the stores' clock, in seconds, which only tests move."""
    return [1_700_000_000.0]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture
def store(path: Path, clock: list[float]) -> Iterator[SQLiteStore]:
    store = SQLiteStore(path, clock=lambda: clock[0])
    yield store
    store.close()


@pytest.fixture
def start() -> Iterator[Start]:
    """Start another Python with a program and arguments; warnings are errors there too."""
    started: list[subprocess.Popen[str]] = []

    def start(program: str, *arguments: object, user: int | None = None) -> subprocess.Popen[str]:
        command = [sys.executable, "-W", "error", "-c", textwrap.dedent(program), *map(str, arguments)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, user=user
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def run(start: Start) -> Callable[..., str]:
    """Run a program to its end and return what it printed."""

    def run(program: str, *arguments: object) -> str:
        process = start(program, *arguments)
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        return output

    return run
