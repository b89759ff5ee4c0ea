"""Write the synchronous twin of every module that is written asynchronously.

    python tools/twins.py           write the twins
    python tools/twins.py --check   fail where a twin is not what would be written

The asynchronous file is the one to edit. A twin differs by whole words only: `await` and `async` go, names lose their
`Async`, and so on by the table below. Whatever cannot be said that way lives in a hand-written pair of modules
(`_async_seam.py`, `_seam.py`). A word of the asynchronous side that is left in a twin is an error.
"""

from __future__ import annotations

import argparse
import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

CORE = "packages/openstackai-sessions-core/src/openstackai_sessions_core"
POSTGRES = "packages/openstackai-sessions-postgres/src/openstackai_sessions_postgres"

REDIS = "packages/openstackai-sessions-redis/src/openstackai_sessions_redis"

CONFORMANCE = "packages/openstackai-sessions-conformance/src/openstackai_sessions_conformance"
MUTANTS = "packages/openstackai-sessions-conformance/tests/mutants"

TWINS = {
    f"{CORE}/_async_store.py": f"{CORE}/_store.py",
    f"{CORE}/_async_session.py": f"{CORE}/_session.py",
    f"{CORE}/_async_base.py": f"{CORE}/_base.py",
    f"{CORE}/_async_retry.py": f"{CORE}/_retry.py",
    f"{CORE}/_async_dispatch.py": f"{CORE}/_dispatch.py",
    f"{POSTGRES}/_async_home.py": f"{POSTGRES}/_home.py",
    f"{POSTGRES}/_async_session.py": f"{POSTGRES}/_session.py",
    f"{POSTGRES}/_async_shelf.py": f"{POSTGRES}/_shelf.py",
    f"{POSTGRES}/_async_store.py": f"{POSTGRES}/_store.py",
    f"{REDIS}/_async_store.py": f"{REDIS}/_store.py",
    **{
        str(path.relative_to(ROOT)): str(path.relative_to(ROOT)).replace("async_", "")
        for path in sorted(
            [
                *(ROOT / "tests").glob("*/*async_*.py"),
                *(ROOT / CONFORMANCE).glob("_async_*.py"),
                *(ROOT / MUTANTS).glob("async_*.py"),
            ]
        )
        if path.name not in ("async_seam.py", "_async_seam.py", "_async_own.py")
    },
}

WORDS = [
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\b__aenter__\b", "__enter__"),
    (r"\b__aexit__\b", "__exit__"),
    (r"\bAsyncIterator\b", "Iterator"),
    (r"\bAwaitable\[((?:[^\[\]]|\[[^\[\]]*\])*)\]", r"\1"),
    (r"\bAsync(?=[A-Z])", ""),
    (r"\b_async_", "_"),
    (r"\bopen_async\b", "open"),
    (r"\basync_", ""),
    (r"\bopen_async_", "open_"),
    (r"\bthe caller's task\b", "the caller's thread"),
    (r"\bin the writer's thread or task\b", "in the writer's thread"),
    (r"\bfrom any task\b", "from any thread"),
]

LEFTOVER = re.compile(
    r"\b(?:await|async|asyncio|anyio|awaitable)\b|Async|Awaitable|\b_?async_",
    re.IGNORECASE,
)


def twin(source: Path) -> str:
    """The text of the synchronous twin, formatted."""
    text = source.read_text("utf-8")
    for pattern, replacement in WORDS:
        text = re.sub(pattern, replacement, text)
    header = f"# Written by tools/twins.py from {source.name}: edit that file, then run `make twins`.\n"
    text = _format(header + text)
    for number, line in enumerate(text.splitlines()[1:], 2):
        if LEFTOVER.search(line):
            name = source.relative_to(ROOT)
            raise SystemExit(f"{name}: line {number} of its twin is still asynchronous: {line.strip()}")
    return text


def _format(text: str) -> str:
    ruff = [sys.executable, "-m", "ruff"]
    for command in (
        ["check", "--select", "I,F401,RUF022", "--fix-only", "--quiet"],
        ["format", "--quiet"],
    ):
        text = subprocess.run(
            [*ruff, *command, "--stdin-filename", str(ROOT / CORE / "twin.py"), "-"],
            input=text, capture_output=True, text=True, check=True, cwd=ROOT,
        ).stdout  # fmt: skip
    ast.parse(text)
    return text


def main() -> int:
    """Write or check every twin."""
    parser = argparse.ArgumentParser(description="Write the synchronous twins of asynchronous modules.")
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; fail where a twin is out of date",
    )
    check = parser.parse_args().check
    stale = []
    for source, target in TWINS.items():
        text = twin(ROOT / source)
        path = ROOT / target
        if not path.exists() or path.read_text("utf-8") != text:
            stale.append(target)
            if not check:
                path.write_text(text, "utf-8")
    for target in stale:
        print(f"{'out of date' if check else 'written'}: {target}")
    if check and stale:
        print("run `make twins` and commit the result")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
