"""Opening, in another process, the store that a test class or a callable opens here."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

__all__ = ["HERE", "address_of", "open_elsewhere"]

HERE = f"{__name__}:open_elsewhere"


def address_of(make: Callable[..., Any]) -> list[str] | None:
    """The module, its file and the name by which another process finds a callable; None where it cannot."""
    owner = getattr(make, "__self__", None)
    if owner is None or inspect.isclass(owner):
        return _address(make, "")
    # A class that was made for this run only has no address; the one that it was made from has.
    kinds = [kind for kind in type(owner).__mro__ if hasattr(kind, make.__name__)]
    return next(filter(None, (_address(kind, f".{make.__name__}") for kind in kinds)), None)


def _address(found: object, method: str) -> list[str] | None:
    name = getattr(found, "__qualname__", "<locals>") + method
    module = sys.modules.get(getattr(found, "__module__", ""))
    if "<" in name or module is None or getattr(module, "__file__", None) is None:
        return None
    reached: object = module
    for part in name.split("."):
        reached = getattr(reached, part, None)
    return None if reached is None else [module.__name__, str(module.__file__), name]


def open_elsewhere(module: str, file: str, name: str, folder: str) -> object:
    """Open the store of a folder."""
    try:
        found: Any = import_module(module)
    except ImportError:
        spec = spec_from_file_location(module, file)
        assert spec is not None
        assert spec.loader is not None
        found = sys.modules[module] = module_from_spec(spec)
        spec.loader.exec_module(found)
    owner: Any = None
    for part in name.split("."):
        owner, found = found, getattr(found, part)
    if inspect.isclass(owner) and inspect.isfunction(inspect.getattr_static(owner, name.rpartition(".")[2])):
        found = getattr(owner(), found.__name__)
    return found(Path(folder))
