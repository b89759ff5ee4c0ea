"""Type-check ``typing-usage/`` as a user would: mypy and pyright, both strict, against installed wheels."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from build_all import ROOT, build_all

USAGE = ROOT / "typing-usage"
VERSIONS = ("3.10", "3.14")


def main() -> int:
    """Build, install into an environment of its own, check, and run what can be run; 0 where all of it passes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build_all(folder / "dist")
        subprocess.run(["uv", "venv", "-q", "--python", sys.executable, str(folder / "venv")], check=True)
        environment = os.environ | {"VIRTUAL_ENV": str(folder / "venv")}
        wheels = sorted(str(wheel) for wheel in (folder / "dist").glob("*.whl"))
        subprocess.run(["uv", "pip", "install", "-q", *wheels], env=environment, check=True)
        python = str(folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python")

        checks = [
            ["mypy", "--config-file=", "--strict", f"--python-executable={python}", f"--python-version={version}", "."]
            for version in VERSIONS
        ]
        checks += [["pyright", f"--pythonpath={python}", f"--pythonversion={version}"] for version in VERSIONS]
        checks.append([python, "-I", "usage.py"])
        failed = False
        for check in checks:
            print("$", *(word.replace(python, "python") for word in check), flush=True)
            done = subprocess.run(check, cwd=USAGE, check=False)
            failed = failed or done.returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
