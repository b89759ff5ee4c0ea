"""The behaviour tests run over the example backend of the documentation as they do over every other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from docs.file_store import FileStore
from openstackai_sessions_core.backend import AsyncBaseStore, BaseStore, StoreOptions
from places import Clock, Place


class FilePlace(Place):
    """The example backend, on a file of its own."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self._path = str(folder / "sessions.json")

    def open(self, **options: object) -> BaseStore:
        """Open a synchronous store."""
        return FileStore(self._path, StoreOptions(**options), self.clock)  # type: ignore[arg-type]

    def open_async(self, **options: object) -> AsyncBaseStore:
        """Raise, as the example has no asynchronous side."""
        raise AssertionError("the example backend is synchronous")

    def elapse(self, seconds: float) -> None:
        """Move the store's clock."""
        self.clock.elapse(seconds)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A new, empty file."""
    return FilePlace(tmp_path)


@pytest.fixture
def new_place(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Place]:
    """Makes more files."""
    return lambda: FilePlace(tmp_path_factory.mktemp("place"))
