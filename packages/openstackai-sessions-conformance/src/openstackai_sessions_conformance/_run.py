"""Running the suite outside of a test module: choosing the class, and recording what pytest reports."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import inspect
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis.configuration import set_hypothesis_home_dir

from openstackai_sessions_conformance._async_suite import AsyncSessionStoreConformance
from openstackai_sessions_conformance._capabilities import Capability
from openstackai_sessions_conformance._harness import Check, Conformance
from openstackai_sessions_conformance._place import CallablePlace, Place
from openstackai_sessions_conformance._settings import SEED_VARIABLE, TIER_VARIABLE
from openstackai_sessions_conformance._statement import Ran, Statement, Status
from openstackai_sessions_conformance._suite import SessionStoreConformance
from openstackai_sessions_core import ValidationError

__all__ = ["Progress", "chosen", "resolve", "run_suite"]

TARGET = Path(__file__).with_name("_target.py")

Progress: TypeAlias = Callable[[str, str], None]
"""Told, after each test function, in one line how it ended, and why it failed (else "")."""

_chosen: list[type[Conformance]] = []


def chosen() -> type[Conformance]:
    """The class that the run under way is about."""
    return _chosen[-1]


def resolve(target: str) -> object:
    """What `package.module:name` stands for."""
    module, colon, name = target.partition(":")
    if not colon or not module or not name:
        raise ValidationError(f"{target!r} must look like mypackage.stores:make_store")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: object = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ValidationError(f"{target!r} cannot be found: {error}") from error
    return found


def _class_of(target: object, capabilities: Capability | None) -> type[Conformance]:
    """A test class for a callable that makes a store, for a place, or a test class itself."""
    if inspect.isclass(target) and issubclass(target, Conformance):
        base: type[Conformance] = target
        members: dict[str, Any] = {}
    elif isinstance(target, Place) or (inspect.isclass(target) and issubclass(target, Place)):
        made = target if isinstance(target, Place) else target()
        base = _side(made)

        def place(_: object) -> Iterator[Place]:
            fresh = made.fresh()
            yield fresh
            fresh.close()

        members = {"place": pytest.fixture(place)}
    elif callable(target):
        with tempfile.TemporaryDirectory() as folder:
            base = _side(CallablePlace(target, Path(folder)))
        members = {"make_store": staticmethod(target)}
    else:
        raise ValidationError(f"{target!r} is neither a callable that makes a store, nor a Place, nor a test class")
    if capabilities is not None:
        members["capabilities"] = capabilities
    return type("TestStore", (base,), members) if members else base


def _side(place: Place) -> type[Conformance]:
    async def probe() -> bool:
        store: Any = place.open()
        if inspect.isawaitable(store):
            store = await store
        closed = store.close()
        if inspect.isawaitable(closed):
            await closed
            return True
        return False

    return AsyncSessionStoreConformance if asyncio.run(probe()) else SessionStoreConformance


class _Recorder:
    """A pytest plugin that notes how each check ends."""

    def __init__(self, statement: Statement, progress: Progress, only: frozenset[int]) -> None:
        self._statement = statement
        self._progress = progress
        self._only = only
        self._total = 0
        self.broken: list[str] = []

    def pytest_configure(self, config: pytest.Config) -> None:
        # The messages are what is shown; parsing the sources of tracebacks takes long, and has failed on deep stacks.
        config.option.tbstyle = "native"

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        kept = []
        for item in items:
            check = getattr(getattr(item, "function", None), "check", None)
            name = item.name.partition("[")[0]
            if not isinstance(check, Check):
                check = getattr(chosen().suite.get(name), "check", None)
            if isinstance(check, Check) and (not self._only or check.number in self._only):
                item.user_properties.append(("check", check.number))
                kept.append((check.number, item))
        items[:] = [item for _, item in sorted(kept, key=lambda pair: pair[0])]
        self._total = len(items)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        place = getattr(item, "funcargs", {}).get("place")
        self._statement.store = self._statement.store or getattr(place, "opened_class", None)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.broken.append(str(report.longrepr))

    def pytest_internalerror(self, excrepr: object) -> None:
        self.broken.append(str(excrepr))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        number = dict(report.user_properties).get("check")
        if not isinstance(number, int) or (report.when != "call" and report.passed):
            return
        name = report.nodeid.rpartition("::")[2]
        status, reason = _judge(report)
        previous = next((one for one in self._statement.ran if one.name == name), None)
        if previous is not None:
            if report.failed:
                previous.status, previous.reason = status, reason
            return
        self._statement.ran.append(Ran(name, number, status, report.duration, reason))
        mark = {"passed": ".", "failed": "F", "skipped": "s", "not claimed": "-", "left out": "-"}[status]
        line = f"{len(self._statement.ran):4d}/{self._total}  {mark} {name}"
        self._progress(line, reason if status == "failed" else "")


def _judge(report: pytest.TestReport) -> tuple[Status, str]:
    if report.passed:
        return "passed", ""
    if hasattr(report, "wasxfail"):
        return "failed", f"expected: {report.wasxfail}"
    if report.failed:
        crash = getattr(getattr(report.longrepr, "reprcrash", None), "message", str(report.longrepr))
        return "failed", str(crash).removeprefix("AssertionError: ")
    text = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr).removeprefix("Skipped: ")
    known: tuple[Status, ...] = ("not claimed", "left out")
    for status in known:
        if text.startswith(status):
            return status, text
    return "skipped", text


def run_suite(
    target: object,
    *,
    name: str,
    tier: str = "quick",
    seed: int,
    capabilities: Capability | None = None,
    only: frozenset[int] = frozenset(),
    progress: Progress = lambda _line, _failure: None,
) -> Statement:
    """Run every check on a store and state how it went.

    `target` is a callable that makes a store, a `Place`, or a test class; `only` picks checks by number.
    """
    cls = _class_of(target, capabilities)
    kind = "async" if issubclass(cls, AsyncSessionStoreConformance) else "sync"
    statement = Statement(name, kind, tier, seed, cls.capabilities & cls.kinds, only=only)
    recorder = _Recorder(statement, progress, only)
    began = time.monotonic()
    settings = {
        TIER_VARIABLE: tier,
        SEED_VARIABLE: str(seed),
        "PYTEST_ADDOPTS": "",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    _chosen.append(cls)
    try:
        with (
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
            _environment(settings),
            _hypothesis_in(Path(folder, "h")),
        ):
            ini = Path(folder, "pytest.ini")
            ini.write_text("[pytest]\n", "utf-8")
            arguments = [
                "-c",
                str(ini),
                "--rootdir",
                folder,
                "--basetemp",
                str(Path(folder, "t")),
                "--import-mode=importlib",
            ]
            arguments += ["-p", "no:cacheprovider", "-p", "no:terminal", str(TARGET)]
            code = pytest.main(arguments, plugins=[recorder])
    finally:
        _chosen.pop()
        # It is imported anew for the next run, which is about another class.
        for key in [key for key, module in sys.modules.items() if getattr(module, "__file__", None) == str(TARGET)]:
            del sys.modules[key]
    if recorder.broken or code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise RuntimeError(f"the suite did not run to its end ({code!r}): {' '.join(recorder.broken)}")
    statement.seconds = time.monotonic() - began
    return statement


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _hypothesis_in(folder: Path) -> Iterator[None]:
    """Have Hypothesis keep its files there, and not in the current directory; unless the user says where."""
    if os.environ.get("HYPOTHESIS_STORAGE_DIRECTORY"):
        yield
        return
    set_hypothesis_home_dir(folder)
    try:
        yield
    finally:
        set_hypothesis_home_dir(None)
