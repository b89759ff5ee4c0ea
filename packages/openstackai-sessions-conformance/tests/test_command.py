"""The command and the statement it writes."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from openstackai_sessions_conformance._capabilities import DEFAULT, Capability
from openstackai_sessions_conformance._registry import CHECKS
from openstackai_sessions_conformance._statement import Ran, Statement


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "openstackai_sessions_conformance", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.parametrize("store", ["InMemoryStore", "AsyncInMemoryStore"])
def test_the_reference_store_conforms(store: str, tmp_path: Path) -> None:
    done = run(f"openstackai_sessions_core:{store}", "--seed", "3", "--json", "out.json", folder=tmp_path)
    assert done.returncode == 0, done.stdout[-2000:]
    assert done.stdout.rstrip().endswith(f"{store} conforms.")
    statement: dict[str, Any] = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert (statement["conforms"], statement["seed"], statement["tier"]) == (True, 3, "quick")
    assert [check["number"] for check in statement["checks"]] == list(CHECKS)
    assert {check["status"] for check in statement["checks"] if check["capability"] is None} == {"passed"}
    assert "\r" not in done.stderr
    assert {"openstackai-sessions-core", "pytest", "hypothesis", "python"} <= set(statement["versions"])
    assert len(done.stderr.splitlines()) == sum(len(check["tests"]) for check in statement["checks"])
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"], "nothing else is left behind"


def test_a_faulty_store_does_not_conform_and_its_author_learns_why(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from openstackai_sessions_core import InMemoryStore\n"
        "class Store(InMemoryStore):\n"
        "    def read(self, session_id, *, limit, before):\n"
        "        return super().read(session_id, limit=None, before=before)[:limit]\n"
        "def make_store(folder, **options):\n"
        "    return Store(**options)\n"
    )
    done = run("mine:make_store", "--only", "24", "--json", "-", folder=tmp_path)
    assert done.returncode == 1
    (check,) = [check for check in json.loads(done.stdout)["checks"] if check["number"] == 24]
    assert check["status"] == "failed"
    assert "usual cause" in done.stderr


@pytest.mark.parametrize("wrong", [["nowhere:thing"], ["json:nothing"], ["json"], ["--only", "x", "json:loads"], []])
def test_wrong_usage_is_told_apart(wrong: list[str], tmp_path: Path) -> None:
    assert run(*wrong, folder=tmp_path).returncode == 2


def test_the_checks_can_be_listed(tmp_path: Path) -> None:
    done = run("--list", folder=tmp_path)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == len(CHECKS)


def test_a_statement_names_the_distribution_of_the_store() -> None:
    made = Statement("pluggy:PluginManager", "sync", "quick", 1, DEFAULT)
    versions: Any = made.to_json()["versions"]
    assert versions["pluggy"] == version("pluggy")
    unknown: Any = Statement("mine:make_store", "sync", "quick", 1, DEFAULT).to_json()["versions"]
    assert set(versions) - set(unknown) == {"pluggy"}
    assert (made.distribution, Statement("mine:make_store", "sync", "quick", 1, DEFAULT).distribution) == (
        "pluggy",
        None,
    )


TARGETS = {
    "class": "class Mine(SessionStoreConformance):\n    make_store = Store\n",
    "callable": "def Mine(folder, **options):\n    return Store(**options)\n",
    "place": "class Mine(Place):\n    open = lambda self, **_: Store()\n    fresh = lambda self: self\n",
}


@pytest.mark.parametrize("kind", TARGETS)
def test_a_statement_names_the_distribution_of_the_class_of_the_store(kind: str, tmp_path: Path) -> None:
    (tmp_path / "thirdparty.py").write_text(
        "from openstackai_sessions_core import InMemoryStore\nclass Store(InMemoryStore): pass\n"
    )
    installed = tmp_path / "third_party_store-1.2.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party-store\nVersion: 1.2\n")
    (installed / "top_level.txt").write_text("thirdparty\n")
    (tmp_path / "mine.py").write_text(
        "from openstackai_sessions_conformance import Place, SessionStoreConformance\n"
        f"from thirdparty import Store\n{TARGETS[kind]}"
    )
    done = run("mine:Mine", "--only", "1", "--json", "out.json", folder=tmp_path)
    statement = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert (statement["distribution"], statement["versions"]["third-party-store"]) == ("third-party-store", "1.2")
    assert "third-party-store 1.2, suite " in done.stdout


def test_it_conforms_only_when_every_mandatory_check_passed() -> None:
    def statement(**changed: Any) -> Statement:
        made = Statement("b", "sync", "quick", 1, DEFAULT)
        for number in CHECKS:
            status = changed.get(f"c{number}", "passed")
            made.ran.append(Ran(f"test_{number}", number, status, 0.1, "why"))
        return made

    assert statement().conforms
    assert not statement(c27="skipped").conforms
    assert not statement(c27="failed").conforms
    assert not statement(c72="failed").conforms
    assert statement(c72="not claimed").conforms
    assert statement(c72="skipped").conforms
    partly = statement()
    partly.ran.append(Ran("another", 27, "left out", 0.0, "left out: no clock"))
    assert partly.conforms
    assert "does not conform" in statement(c27="skipped").to_text()
    absent = Statement("b", "sync", "quick", 1, DEFAULT)
    assert not absent.conforms


def test_a_claim_that_nothing_proved_is_said_to_be_so() -> None:
    made = Statement("b", "sync", "quick", 1, DEFAULT | Capability.SERVER | Capability.PROC)
    for number, rule in CHECKS.items():
        made.ran.append(
            Ran(f"test_{number}", number, "skipped" if rule.capability is Capability.SERVER else "passed", 0.1)
        )
    assert made.conforms
    assert made.unproved == ["SERVER"]
    assert made.to_json()["unproved"] == ["SERVER"]
    assert "not proved by any check here: SERVER" in made.to_text()


def test_what_passed_in_part_is_said_to_have_done_so() -> None:
    made = Statement("b", "sync", "quick", 1, DEFAULT, only=frozenset({1, 54}))
    made.ran += [
        Ran("test_001_a", 1, "passed", 0.1),
        Ran("test_054_a", 54, "passed", 0.1),
        Ran("test_054_b", 54, "left out", 0.1, "left out: the place has no hook `hold`"),
    ]
    assert made.in_part == [54]
    assert made.to_json()["in_part"] == [54]
    text = made.to_text()
    assert "in part: left out: the place has no hook `hold`" in text
    assert "passed in part, for want of what the lines above name: 054" in text
    # Of a part of the suite, the rest is not spoken of.
    assert [line.split()[0] for line in text.splitlines() if line.startswith("  0")] == ["001", "054"]


def test_a_test_class_whose_claims_are_changed_still_opens_in_other_processes(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        "from openstackai_sessions_conformance import SessionStoreConformance\n"
        "from openstackai_sessions_sqlite import SQLiteStore\n"
        "class TestMine(SessionStoreConformance):\n"
        "    def make_store(self, folder, **options):\n"
        "        return SQLiteStore(folder / 'sessions.db', **options)\n"
    )
    done = run("test_mine:TestMine", "--claim", "PROC", "--only", "78", "--json", "out.json", folder=tmp_path)
    (check,) = [one for one in json.loads((tmp_path / "out.json").read_text("utf-8"))["checks"] if one["number"] == 78]
    assert check["status"] == "passed", done.stdout[-1000:] + done.stderr[-1000:]
    assert done.stdout.rstrip().endswith("1 of 1 checks passed; nothing is said of the others.")
