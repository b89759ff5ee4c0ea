"""What is in the wheels and sdists: all that a user needs, and not one file more."""

from __future__ import annotations

import configparser
import subprocess
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from wheels.venvs import ROOT

NAMES = sorted(path.parent.name for path in (ROOT / "packages").glob("*/pyproject.toml"))
FRONT_DOOR = "openstackai-sessions"
# Each of these takes part in the documented import path, and none of them is a file of the other distribution that is
# called openstackai: it brings openstackai/__init__.py, __init__.pyi, py.typed and openstackai/sessions/__init__.py.
DOCUMENTED_PATH = {
    "openstackai-stubs/__init__.pyi",
    "openstackai-stubs/py.typed",
    "openstackai/Agent.py",
    "openstackai/Runner.py",
    "openstackai/sessions.py",
    "openstackai/sessions/py.typed",
}
PUBLISHED = {".py", ".typed", ".json", ".lua", ".sql"}


def wheel(wheelhouse: Path, name: str) -> zipfile.ZipFile:
    (found,) = wheelhouse.glob(f"{name.replace('-', '_')}-[0-9]*.whl")
    return zipfile.ZipFile(found)


def source_files(name: str) -> set[str]:
    """Every file of the package's sources, as an import would see it."""
    source = ROOT / "packages" / name / "src"
    found = (path for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(source).as_posix() for path in found}


def test_every_package_gives_one_wheel_and_one_sdist(wheelhouse: Path) -> None:
    expected = [f"{name.replace('-', '_')}-0.1.0{end}" for name in NAMES for end in ("-py3-none-any.whl", ".tar.gz")]
    assert sorted(path.name for path in wheelhouse.iterdir() if path.name != ".gitignore") == sorted(expected)


@pytest.mark.parametrize("name", NAMES)
def test_a_wheel_holds_its_sources_and_its_record(wheelhouse: Path, name: str) -> None:
    package = name.replace("-", "_")
    information = f"{package}-0.1.0.dist-info"
    files = set(wheel(wheelhouse, name).namelist())
    records = {f"{information}/{file}" for file in ("METADATA", "WHEEL", "RECORD", "licenses/LICENSE")}
    if f"{information}/entry_points.txt" in files:
        records.add(f"{information}/entry_points.txt")
    assert files == source_files(name) | records
    tops = {package, information}
    assert {file.partition("/")[0] for file in files} == (
        tops | {"openstackai", "openstackai-stubs"} if name == FRONT_DOOR else tops
    )
    assert f"{package}/py.typed" in files
    assert {Path(file).suffix or Path(file).name for file in source_files(name) - DOCUMENTED_PATH} <= PUBLISHED


def test_the_front_door_alone_ships_the_documented_path_and_no_file_of_anybody_else(wheelhouse: Path) -> None:
    for name in NAMES:
        files = wheel(wheelhouse, name).namelist()
        assert {file for file in files if file.startswith(("openstackai/", "openstackai-"))} == (
            DOCUMENTED_PATH if name == FRONT_DOOR else set()
        )
    front_door = wheel(wheelhouse, FRONT_DOOR)
    assert front_door.read("openstackai/sessions/py.typed") == b""
    assert front_door.read("openstackai-stubs/py.typed") == b"partial\n"


def test_no_two_wheels_hold_the_same_file(wheelhouse: Path) -> None:
    files = [file for name in NAMES for file in wheel(wheelhouse, name).namelist()]
    assert len(files) == len(set(files))


@pytest.mark.parametrize("name", NAMES)
def test_an_sdist_holds_the_sources_and_what_a_reader_wants(wheelhouse: Path, name: str) -> None:
    stem = f"{name.replace('-', '_')}-0.1.0"
    with tarfile.open(wheelhouse / f"{stem}.tar.gz") as archive:
        files = {member.name.removeprefix(f"{stem}/") for member in archive.getmembers() if member.isfile()}
    # Hatch adds .gitignore, so that a wheel built from the sdist leaves out what one built from the checkout does.
    texts = {"README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml", "PKG-INFO", ".gitignore"}
    assert files == {f"src/{file}" for file in source_files(name)} | texts


@pytest.mark.parametrize("name", NAMES)
def test_a_wheel_built_from_the_sdist_holds_the_same_files(wheelhouse: Path, tmp_path: Path, name: str) -> None:
    (sdist,) = wheelhouse.glob(f"{name.replace('-', '_')}-[0-9]*.tar.gz")
    subprocess.run(["uv", "build", "--quiet", "--wheel", "--out-dir", str(tmp_path), str(sdist)], check=True)
    assert sorted(wheel(tmp_path, name).namelist()) == sorted(wheel(wheelhouse, name).namelist())


@pytest.mark.parametrize("name", NAMES)
def test_metadata_says_what_an_index_shows(wheelhouse: Path, name: str) -> None:
    archive = wheel(wheelhouse, name)
    metadata = Parser().parsestr(archive.read(f"{name.replace('-', '_')}-0.1.0.dist-info/METADATA").decode())
    assert metadata["Version"] == "0.1.0"
    assert metadata["License-Expression"] == "MIT"
    assert metadata["License-File"] == "LICENSE"
    assert metadata["Requires-Python"] == ">=3.10"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert str(metadata.get_payload()).startswith(f"# {name}\n")
    siblings = [r for r in metadata.get_all("Requires-Dist") or [] if r.startswith("openstackai-sessions-")]
    assert all("<0.2,>=0.1.0" in requirement for requirement in siblings), siblings


def test_extras_bring_the_backend_and_nothing_else(wheelhouse: Path) -> None:
    metadata = wheel(wheelhouse, FRONT_DOOR).read("openstackai_sessions-0.1.0.dist-info/METADATA").decode()
    assert Parser().parsestr(metadata).get_all("Provides-Extra") == ["agents", "all", "postgres", "redis", "sqlite"]
    required = Parser().parsestr(metadata).get_all("Requires-Dist") or []
    assert sorted(required) == [
        "openstackai-sessions-agents<0.2,>=0.1.0; extra == 'agents'",
        "openstackai-sessions-agents<0.2,>=0.1.0; extra == 'all'",
        "openstackai-sessions-core<0.2,>=0.1.0",
        "openstackai-sessions-postgres<0.2,>=0.1.0; extra == 'all'",
        "openstackai-sessions-postgres<0.2,>=0.1.0; extra == 'postgres'",
        "openstackai-sessions-redis<0.2,>=0.1.0; extra == 'all'",
        "openstackai-sessions-redis<0.2,>=0.1.0; extra == 'redis'",
        "openstackai-sessions-sqlite<0.2,>=0.1.0; extra == 'all'",
        "openstackai-sessions-sqlite<0.2,>=0.1.0; extra == 'sqlite'",
    ]


def test_postgres_registers_its_url_schemes(wheelhouse: Path) -> None:
    entry_points = configparser.ConfigParser()
    archive = wheel(wheelhouse, "openstackai-sessions-postgres")
    entry_points.read_string(archive.read("openstackai_sessions_postgres-0.1.0.dist-info/entry_points.txt").decode())
    for group, opener in (("stores", "open_postgres_store"), ("async_stores", "open_async_postgres_store")):
        assert dict(entry_points[f"openstackai_sessions.{group}"]) == {
            "postgres": f"openstackai_sessions_postgres:{opener}",
            "postgresql": f"openstackai_sessions_postgres:{opener}",
        }


def test_sqlite_registers_its_url_scheme(wheelhouse: Path) -> None:
    entry_points = configparser.ConfigParser()
    archive = wheel(wheelhouse, "openstackai-sessions-sqlite")
    entry_points.read_string(archive.read("openstackai_sessions_sqlite-0.1.0.dist-info/entry_points.txt").decode())
    assert {group: dict(entry_points[group]) for group in entry_points.sections()} == {
        "openstackai_sessions.stores": {"sqlite": "openstackai_sessions_sqlite:open_sqlite_store"},
        "openstackai_sessions.async_stores": {"sqlite": "openstackai_sessions_sqlite:open_async_sqlite_store"},
    }
