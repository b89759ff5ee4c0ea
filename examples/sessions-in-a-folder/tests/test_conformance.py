"""The folder keeps the contract."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sessions_in_a_folder import FolderStore

from openstackai_sessions_conformance import Capability, SessionStoreConformance
from openstackai_sessions_core.backend import StoreOptions


class TestFolderStore(SessionStoreConformance):
    capabilities = Capability.PROC | Capability.TTL | Capability.THREADS | Capability.MULTIPROC | Capability.FORK

    def make_store(self, folder: Path, clock: Callable[[], float] = time.time, **options: Any) -> FolderStore:
        return FolderStore(folder, options=StoreOptions(**options), clock=clock)
