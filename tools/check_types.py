"""Run mypy, strict, over the packages, the tests and the tools: one run for each root that has modules of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def roots() -> list[tuple[Path, list[Path]]]:
    """Each folder whose files import one another by plain names, and what to check in it."""
    sources = sorted(ROOT.glob("packages/*/src"))
    # The folder of stubs has no importable name; typing-usage checks it, installed.
    packages = [child for source in sources for child in sorted(source.iterdir()) if child.name.isidentifier()]
    tests = sorted(path for path in ROOT.glob("packages/*/tests") if any(path.rglob("*.py")))
    others = [ROOT / "tests", ROOT / "tests-integration", ROOT / "tools", *sorted(ROOT.glob("examples/*"))]
    found = [(ROOT, packages)]
    found += [(folder, [folder]) for folder in [*tests, *others] if any(folder.rglob("*.py"))]
    return found


def main() -> int:
    """Check everything, whatever fails; 0 where nothing did."""
    failed = False
    sources = [str(path) for pattern in ("packages/*/src", "examples/*/src") for path in sorted(ROOT.glob(pattern))]
    tests = sorted(ROOT.glob("packages/openstackai-sessions-conformance/tests"))
    for base, targets in roots():
        print(f"mypy {base.relative_to(ROOT).as_posix() if base != ROOT else 'packages'}", flush=True)
        # As pytest has them on its path: the helpers of tests/, and the tools.
        helpers = [] if base == ROOT else [base, ROOT / "tests", ROOT / "tools", *tests]
        path = os.pathsep.join([*sources, *dict.fromkeys(map(str, helpers))])
        names = [str(target.relative_to(ROOT)) for target in targets]
        done = subprocess.run(["mypy", *names], cwd=ROOT, env=os.environ | {"MYPYPATH": path}, check=False)
        failed = failed or done.returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
