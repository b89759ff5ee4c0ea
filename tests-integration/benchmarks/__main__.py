"""Run every benchmark in turn, each in a process of its own: `python -m benchmarks [name ...] [--json]`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    """Run those that are named, or all."""
    names = sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith("_"))
    parser = argparse.ArgumentParser(prog="benchmarks", description="Run the benchmarks.")
    parser.add_argument("names", nargs="*", choices=[*names, []], help=f"which: {', '.join(names)} (default: all)")
    parser.add_argument("--json", action="store_true", help="one JSON object a benchmark, a line each")
    options = parser.parse_args()
    failed = 0
    for name in options.names or names:
        if not options.json:
            print(f"\n== {name}", flush=True)
        arguments = ["--json"] if options.json else []
        failed |= subprocess.run([sys.executable, str(HERE / f"{name}.py"), *arguments], check=False).returncode
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
