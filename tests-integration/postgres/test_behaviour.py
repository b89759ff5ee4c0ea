"""The tests that every backend passes, on PostgreSQL: the same bodies, collected here with this folder's places."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import behaviour

for _path in sorted(Path(behaviour.__path__[0]).glob("test_*.py")):
    _module = import_module(f"behaviour.{_path.stem}")
    for _name, _value in vars(_module).items():
        if _name.startswith("test_"):
            # Two modules may name a test alike.
            globals()[f"{_path.stem}__{_name.removeprefix('test_')}"] = _value
