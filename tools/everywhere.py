"""Run the tests on every interpreter that this machine has among 3.10 to 3.14, and say which it has not."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from interpreters import VERSIONS, find


def main() -> int:
    """Test on each interpreter in turn; the status is 1 where any of them failed."""
    found = {version: executable for version in VERSIONS if (executable := find(version))}
    for version in VERSIONS:
        print(f"Python {version}: {found.get(version, 'not found on this machine')}", flush=True)
    folders = [str(Path(executable).parent) for executable in found.values()]
    environment = os.environ | {"PATH": os.pathsep.join([*folders, os.environ["PATH"]])}
    outcomes = {}
    for version in found:
        began = time.monotonic()
        command = ["hatch", "-q", "test", "--parallel", "-py", version, *sys.argv[1:]]
        outcomes[version] = subprocess.run(command, env=environment, check=False).returncode == 0
        print(f"Python {version}: {time.monotonic() - began:.0f} s", flush=True)
    for version, passed in outcomes.items():
        print(f"Python {version}: {'passed' if passed else 'FAILED'}")
    return 0 if outcomes and all(outcomes.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
