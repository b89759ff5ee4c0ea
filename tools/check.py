"""Run every check that needs no server, all of them even if one fails, and say at the end which did."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable

CHECKS = {
    "format": ["ruff", "format", "--check", "."],
    "lint": ["ruff", "check", "."],
    "types": [PYTHON, "tools/check_types.py"],
    "twins": [PYTHON, "tools/twins.py", "--check"],
    "typed usage, installed": [PYTHON, "tools/check_usage.py"],
    "contents of wheels": [PYTHON, "-m", "pytest", "-q", "tests-integration/wheels/test_contents.py"],
}


def main() -> int:
    """The names of single checks may be given; 0 where all passed."""
    failed = []
    for name, command in CHECKS.items():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        print(f"== {name}", flush=True)
        began = time.monotonic()
        if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
            failed.append(name)
        print(f"   {time.monotonic() - began:.1f} s", flush=True)
    print(f"FAILED: {', '.join(failed)}" if failed else "All checks passed.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
