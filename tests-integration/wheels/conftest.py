"""Wheels built once, and environments to install them in."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from wheels.venvs import ROOT, Venv


@pytest.fixture(scope="session")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist of every package."""
    folder = tmp_path_factory.mktemp("wheelhouse") / "dist"
    subprocess.run([sys.executable, str(ROOT / "tools" / "build_all.py"), str(folder)], check=True)
    return folder


@pytest.fixture(scope="session")
def make_venv(tmp_path_factory: pytest.TempPathFactory, wheelhouse: Path) -> Callable[..., Venv]:
    """Make an environment with these requirements installed, for the interpreter that runs the tests."""

    def make(*requirements: str, python: str = sys.executable) -> Venv:
        venv = Venv(tmp_path_factory.mktemp("venv") / "v", wheelhouse, python)
        if requirements:
            venv.install(*requirements)
        return venv

    return make
