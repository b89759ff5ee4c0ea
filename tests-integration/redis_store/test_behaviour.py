"""The behaviour that every backend has, on real servers: the same bodies as in tests/behaviour, sync and async."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

import behaviour

FOLDER = Path(behaviour.__file__).parent

for path in sorted(FOLDER.glob("test_*.py")):
    pytest.register_assert_rewrite(f"behaviour.{path.stem}")
    for name, body in vars(import_module(f"behaviour.{path.stem}")).items():
        if name.startswith("test_") and callable(body):
            # Sync and async bodies share their names.
            globals()[f"{name}__{path.stem.removeprefix('test_')}"] = body
