"""Every Python example in the documentation runs and prints what it says.

The examples of a page are one program, run in a new folder. `# -> text`, at the end of a line or on a line of its own,
says what is printed; a page that says so once says all of it. A comment before an example sets it apart:
`<!-- a program of its own -->`, or `<!-- not run: why -->`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
# The backend that "Write a backend" shows.
BACKEND = ROOT / "examples" / "sessions-in-a-folder" / "src"
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "packages/*/README.md")
    for path in ROOT.glob(pattern)
    if "_build" not in path.parts
)
EXAMPLE = re.compile(
    r"^(?:<!-- (?P<apart>a program of its own|not run: [^\n]+) -->\n+)?"
    r"(?P<indent> *)```python\n(?P<source>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
PRINTED = re.compile(r"# -> (.*)$", re.MULTILINE)


def programs(page: str) -> list[str]:
    """The programs of a page that has any: the one of all examples, then those apart; lines keep their numbers."""
    together: list[str] = []
    apart: list[list[str]] = []
    for example in EXAMPLE.finditer(page):
        if (example["apart"] or "").startswith("not run"):
            continue
        lines = [] if example["apart"] else together
        lines += [""] * (page.count("\n", 0, example.start("source")) - len(lines))
        lines += [line.removeprefix(example["indent"]) for line in example["source"].splitlines()]
        apart += [lines] if example["apart"] else []
    return ["\n".join(lines) for lines in [together, *apart] if lines]


@pytest.fixture(scope="module")
def model() -> Iterator[dict[str, str]]:
    """The environment in which agents meet a stand-in for a paid model, which knows what the history says."""
    server = [sys.executable, str(Path(__file__).with_name("stand_in_model.py"))]
    with subprocess.Popen(server, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, "the stand-in did not start"
        yield {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "stand-in", "OPENAI_AGENTS_DISABLE_TRACING": "1"}
        process.communicate()


@pytest.mark.parametrize("page", [page for page in PAGES if programs((ROOT / page).read_text("utf-8"))])
def test_the_examples_of_a_page_run_and_print_what_it_says(page: str, tmp_path: Path, model: dict[str, str]) -> None:
    environment = os.environ | model | {"PYTHONPATH": str(BACKEND), "PYTHONIOENCODING": "utf-8"}
    for source in programs((ROOT / page).read_text("utf-8")):
        script = tmp_path / "examples.py"
        script.write_text(source, "utf-8")
        done = subprocess.run(
            [sys.executable, str(script)],
            cwd=tmp_path,
            env=environment,
            check=False,
            capture_output=True,
            encoding="utf-8",
            timeout=300,
        )
        assert done.returncode == 0, f"{page}: {done.stderr}"
        if said := PRINTED.findall(source):
            assert done.stdout.splitlines() == said


def test_examples_keep_their_lines_and_what_is_set_apart_is() -> None:
    left_out = "<!-- not run: needs a server -->\n```python\nfail()\n```\n"
    own = "<!-- a program of its own -->\n\n```python\nx = 3\n```\n"
    page = f"# A\n\n```python\nx = 1\n```\n{left_out}- item\n  ```python\n  y = 2\n  ```\n{own}"
    together, apart = programs(page)
    assert together.splitlines() == ["", "", "", "x = 1", *[""] * 7, "y = 2"]
    assert apart.splitlines() == [*[""] * 16, "x = 3"]
