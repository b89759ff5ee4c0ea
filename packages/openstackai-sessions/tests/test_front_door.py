"""What the front door promises, on the sources; what wheels promise is in tests-integration/wheels."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import openstackai_sessions
import openstackai_sessions_core
from openstackai_sessions import _lazy

NAMES = [(part, name) for part in _lazy.PARTS for name in part.names]


def run(code: str, *, path: Path | None = None) -> str:
    """What a fresh interpreter prints; ``path`` is put in front of its sys.path."""
    begin = f"import sys; sys.path.insert(0, {str(path)!r})\n" if path else ""
    done = subprocess.run([sys.executable, "-c", begin + code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def names_that_checkers_read() -> list[str]:
    """The literal __all__ of the source, which is what a type checker goes by."""
    for node in ast.parse(inspect.getsource(openstackai_sessions)).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]:
            names: list[str] = ast.literal_eval(node.value)
            return names
    pytest.fail("no literal __all__")


def test_importing_it_imports_no_backend_no_driver_and_no_agents_sdk() -> None:
    loaded = run("import sys, openstackai_sessions, openstackai.sessions; print(*sys.modules)")
    heavy = {"sqlite3", "_sqlite3", "agents", "openai", "redis", "psycopg"}
    assert not heavy & set(loaded.split())
    assert not [name for name in loaded.split() if name.startswith(tuple(part.package for part in _lazy.PARTS))]


def test_looking_at_what_is_there_imports_nothing() -> None:
    loaded = run("import sys, openstackai_sessions as s; dir(s), s.__all__, help; print(*sys.modules)")
    assert not {"sqlite3", "agents"} & set(loaded.split())


def test_both_names_are_one_module() -> None:
    assert run("import openstackai.sessions as a, openstackai_sessions as b; print(a is b)") == "True"
    assert run("from openstackai import sessions as a; import openstackai_sessions as b; print(a is b)") == "True"


def test_importing_from_openstackai_binds_the_classes() -> None:
    code = """
import openstackai
from openstackai import Agent, Runner
import openstackai_sessions_agents as ours
print(Agent is ours.Agent is openstackai.Agent, Runner is ours.Runner is openstackai.Runner)
"""
    assert run(code) == "True True"


@pytest.mark.parametrize("part", _lazy.PARTS)
def test_a_lazy_name_is_the_object_of_its_package(part: _lazy.Part) -> None:
    code = f"""
import {part.package} as ours, openstackai_sessions as s
print(all(getattr(s, name) is getattr(ours, name) is vars(s)[name] for name in {part.names!r}))
"""
    assert run(code) == "True"


def test_a_core_name_is_the_object_of_core() -> None:
    public = set(openstackai_sessions_core.__all__) - {"__version__"}
    assert public <= set(openstackai_sessions.__all__)
    for name in public:
        assert getattr(openstackai_sessions, name) is getattr(openstackai_sessions_core, name)


def test_all_and_dir_list_what_is_installed() -> None:
    assert openstackai_sessions.__all__ == names_that_checkers_read()
    assert set(openstackai_sessions.__all__) <= set(dir(openstackai_sessions))


def test_checkers_and_the_interpreter_are_told_the_same_lazy_names() -> None:
    core = set(openstackai_sessions_core.__all__)
    assert {name for name in names_that_checkers_read() if name not in core} == {
        name for part in _lazy.PARTS for name in part.names
    }


def test_a_star_import_gives_what_is_installed() -> None:
    code = "from openstackai_sessions import *; import openstackai_sessions as s; print(set(s.__all__) - set(dir()))"
    assert run(code) == "set()"


@pytest.mark.parametrize("module", ["openstackai_sessions", "openstackai.sessions"])
@pytest.mark.parametrize(("part", "name"), NAMES)
def test_a_backend_that_is_not_installed_says_what_to_install(part: _lazy.Part, name: str, module: str) -> None:
    code = f"""
import sys
sys.modules[{part.package!r}] = None  # as if it were not installed
import openstackai_sessions
assert not {set(part.names)!r} & {{*dir(openstackai_sessions), *openstackai_sessions.__all__}}
try:
    from {module} import {name}
except ImportError as error:
    print(error)
"""
    said = f"{name} needs a package that is not installed: pip install 'openstackai-sessions[{part.extra}]'"
    assert run(code) == said


def test_a_broken_backend_is_not_reported_as_missing(tmp_path: Path) -> None:
    broken = tmp_path / "openstackai_sessions_redis"
    broken.mkdir()
    (broken / "__init__.py").write_text("import a_driver_that_is_missing\n")
    code = """
try:
    from openstackai_sessions import RedisSession
except ModuleNotFoundError as error:
    print(error.name, "pip install" in str(error))
"""
    assert run(code, path=tmp_path) == "a_driver_that_is_missing False"


def test_a_backend_of_a_later_day_is_found_and_listed(tmp_path: Path) -> None:
    later = tmp_path / "openstackai_sessions_redis"
    later.mkdir()
    names = next(part.names for part in _lazy.PARTS if part.extra == "redis")
    (later / "__init__.py").write_text("".join(f"class {name}: pass\n" for name in names))
    code = "import openstackai_sessions as s; print(s.RedisSession.__name__, 'RedisStore' in s.__all__ and dir(s))"
    assert run(code, path=tmp_path).startswith("RedisSession [")


def test_an_empty_folder_that_an_uninstall_left_behind_is_not_a_backend(tmp_path: Path) -> None:
    folder = tmp_path / "openstackai_sessions_later"
    folder.mkdir()
    code = """
from openstackai_sessions._lazy import Part
print(Part("openstackai_sessions_later", "later", ("LaterSession",)).is_installed())
"""
    assert run(code, path=tmp_path) == "False"
    (folder / "__init__.py").touch()
    assert run(code, path=tmp_path) == "True"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'openstackai_sessions' has no attribute 'Sesion'"):
        openstackai_sessions.Sesion  # type: ignore[attr-defined]  # noqa: B018 - the access is what is tested
    assert run("import openstackai_sessions as s; print(hasattr(s, 'MongoSession'))") == "False"


def test_nothing_of_ours_makes_openstackai_a_regular_package() -> None:
    import openstackai

    assert openstackai.__file__ is None
