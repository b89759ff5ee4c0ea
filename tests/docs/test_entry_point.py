"""The example backend is found by its entry point, as "Write a backend" says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ENTRY_POINTS = """
[openstackai_sessions.stores]
jsonfile = file_store:open_file_store
"""
PROGRAM = """
from openstackai_sessions import ValidationError, open_store
with open_store("jsonfile:///sessions.json") as store:
    store.session("user-123").add_message("user", "Hello")
with open_store("jsonfile:///sessions.json") as store:
    print(dict(store.session("user-123").get_messages()[0]))
try:
    open_store("jsonfile:///sessions.json?fast=1")
except ValidationError:
    print("refused")
"""


def test_a_url_opens_the_store_that_an_entry_point_names(tmp_path: Path) -> None:
    info = tmp_path / "file_store-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: file-store\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path += [{str(HERE)!r}, {str(tmp_path)!r}]\n{PROGRAM}"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.stdout.splitlines() == ["{'role': 'user', 'content': 'Hello'}", "refused"]
