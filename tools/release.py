"""Check that a tag is fit to be released, and print the folder of the package that it releases.

    python tools/release.py openstackai-sessions-core-v0.1.0

The tag names the distribution and its version; that version must be the one in the sources, and the changelog must have
a dated entry for it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def check(tag: str, root: Path = ROOT) -> Path:
    """The package's folder, below the root; SystemExit says what is wrong with the tag."""
    matched = re.fullmatch(r"(?P<name>[a-z-]+)-v(?P<version>[0-9].*)", tag)
    if matched is None:
        raise SystemExit(f"{tag}: a tag is <distribution>-v<version>")
    name, version = matched["name"], matched["version"]
    folder = root / "packages" / name
    if not folder.is_dir():
        raise SystemExit(f"{tag}: there is no package {name}")
    source = (folder / "src" / name.replace("-", "_") / "_version.py").read_text(encoding="utf-8")
    if f'__version__ = "{version}"' not in source.splitlines():
        raise SystemExit(f"{tag}: the sources of {name} say another version")
    changes = (folder / "CHANGELOG.md").read_text(encoding="utf-8")
    if not re.search(rf"^## {re.escape(version)} \(\d{{4}}-\d\d-\d\d\)$", changes, re.MULTILINE):
        raise SystemExit(f"{tag}: the changelog of {name} has no line '## {version} (YYYY-MM-DD)'")
    return folder.relative_to(root)


if __name__ == "__main__":
    print(check(sys.argv[1]).as_posix())
