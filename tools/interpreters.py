"""Find the Pythons 3.10 to 3.14 of this machine that start, and print them as ``3.12 /usr/bin/python3.12``.

A name on PATH is not enough: version managers put launchers there for versions that are not active, and a tool that
meets one of those goes off to download an interpreter. So each candidate is asked for its version.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

VERSIONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
ASK = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2], sys.executable)"


def candidates(version: str) -> Iterator[str]:
    """Every file that may be this version: on PATH first, then where version managers keep theirs."""
    for folder in os.get_exec_path():
        yield str(Path(folder) / f"python{version}")
    home = Path.home()
    kept = [
        (Path(os.environ.get("PYENV_ROOT") or home / ".pyenv") / "versions", f"{version}.*"),
        (Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or home / ".local/share/uv/python"), f"cpython-{version}.*"),
        (Path(os.environ.get("ASDF_DATA_DIR") or home / ".asdf") / "installs/python", f"{version}.*"),
        (Path(os.environ.get("MISE_DATA_DIR") or home / ".local/share/mise") / "installs/python", f"{version}.*"),
    ]
    for place, pattern in kept:
        if place.is_dir():
            for found in sorted(place.glob(pattern), reverse=True):
                yield str(found / "bin" / f"python{version}")


def find(version: str) -> str | None:
    """The first candidate that starts and says that it is this version."""
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        return str(Path(sys.base_prefix) / "bin" / f"python{version}")
    for candidate in candidates(version):
        if not os.access(candidate, os.X_OK):
            continue
        try:
            asked = subprocess.run([candidate, "-c", ASK], capture_output=True, text=True, timeout=20, check=False)
        except (OSError, subprocess.TimeoutExpired):
            continue
        said, _, executable = asked.stdout.strip().partition(" ")
        if asked.returncode == 0 and said == version:
            return executable
    return None


def main() -> None:
    """Print what was found; what was not goes to the error stream, so that a reader sees it and a script does not."""
    missing = []
    for version in VERSIONS:
        executable = find(version)
        if executable is None:
            missing.append(version)
        else:
            print(version, executable)
    if missing:
        print("not found:", ", ".join(missing), file=sys.stderr)


if __name__ == "__main__":
    main()
