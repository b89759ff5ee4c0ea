"""The backend of "Write a backend", built and installed beside the wheels as a stranger's would be, proves itself."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from wheels.venvs import ROOT, Venv

EXAMPLE = ROOT / "examples" / "sessions-in-a-folder"
OPEN = """
import tempfile
from openstackai_sessions_core import open_store
with tempfile.TemporaryDirectory() as folder:
    for _ in range(2):
        with open_store("folder:///" + folder) as store:
            store.session("user-123").add_message("user", "Hello")
            print(store.session("user-123").count())
"""


@pytest.fixture(scope="module")
def venv(make_venv: Callable[..., Venv], tmp_path_factory: pytest.TempPathFactory) -> Venv:
    wheels = tmp_path_factory.mktemp("example")
    subprocess.run(["uv", "build", "--quiet", "--wheel", "--out-dir", wheels, EXAMPLE], check=True)
    (wheel,) = wheels.glob("*.whl")
    return make_venv(f"sessions-in-a-folder[test] @ {wheel.as_uri()}")


def run(venv: Venv, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    python = venv.folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    return subprocess.run([str(python), *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=1500)


def test_it_needs_published_names_alone(venv: Venv) -> None:
    source = (EXAMPLE / "src" / "sessions_in_a_folder" / "__init__.py").read_text("utf-8")
    assert "openstackai_sessions_core._" not in source
    assert venv.run("import sessions_in_a_folder; print(sessions_in_a_folder.FolderStore.__name__)") == "FolderStore"


def test_its_url_opens_it(venv: Venv) -> None:
    assert venv.run(OPEN).split() == ["1", "2"]


def test_it_conforms(venv: Venv, tmp_path: Path) -> None:
    statement = tmp_path / "statement.json"
    target = "test_conformance:TestFolderStore"
    command = ("-m", "openstackai_sessions_conformance", target, "--json", str(statement))
    done = run(venv, *command, cwd=EXAMPLE / "tests")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    told = json.loads(statement.read_text("utf-8"))
    assert told["conforms"] is True
    assert told["counts"].get("failed", 0) == 0
    assert told["counts"]["passed"] > 80


def test_a_fault_in_it_is_found(venv: Venv, tmp_path: Path) -> None:
    source = (EXAMPLE / "src" / "sessions_in_a_folder" / "__init__.py").read_text("utf-8")
    popping = "        with self._changed(session_id) as state:\n            return state.pop("
    assert popping in source
    broken = source.replace("sessions_in_a_folder", "broken").replace(
        popping, "        return self._find(session_id).pop("
    )
    (tmp_path / "broken.py").write_text(broken, "utf-8")
    module = (EXAMPLE / "tests" / "test_conformance.py").read_text("utf-8").replace("sessions_in_a_folder", "broken")
    (tmp_path / "test_broken.py").write_text(module, "utf-8")
    done = run(venv, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "test_005", "test_broken.py", cwd=tmp_path)
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-2000:]
    assert "usual cause" in done.stdout
