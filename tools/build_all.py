"""Build the wheel and the sdist of every package with Hatch: ``python tools/build_all.py [folder]``, else ``dist``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def build_all(folder: Path) -> None:
    """Fill the folder, emptied first, with what would be published."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # Where this runs inside one of Hatch's environments, that is not the environment to build in.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HATCH_ENV_ACTIVE")}
    environment.pop("HATCH_ENV", None)
    for package in sorted((ROOT / "packages").glob("*/pyproject.toml")):
        command = ["hatch", "build", str(folder.resolve())]
        done = subprocess.run(
            command,
            cwd=package.parent,
            env=environment,
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if done.returncode != 0:
            raise SystemExit(f"{done.stdout}{package.parent.name} was not built")


if __name__ == "__main__":
    into = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist"
    build_all(into)
    print(*sorted(path.name for path in into.iterdir()), sep="\n")
