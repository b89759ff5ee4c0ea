"""Failing every call of a driver in turn."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from openstackai_sessions_conformance import _sweep
from openstackai_sessions_conformance._sweep import CallFaults, SweepError, async_sweep, sweep


class Driver:
    """Keeps lines; a transaction keeps all or none."""

    def __init__(self) -> None:
        self.kept: list[str] = []
        self._pending: list[str] = []

    def begin(self) -> None:
        self._pending = []

    def write(self, line: str) -> str:
        self._pending.append(line)
        return line

    def commit(self) -> None:
        self.kept += self._pending

    async def write_async(self, line: str) -> None:
        await asyncio.sleep(0)
        self.kept.append(line)

    @staticmethod
    def fixed() -> str:
        return "fixed"

    @classmethod
    def named(cls) -> str:
        return cls.__name__


NAMES = ("begin", "write", "commit")
TARGETS = [(Driver, name) for name in NAMES]


def scenario(faults: CallFaults, driver: Driver | None = None) -> list[str]:
    driver = driver or Driver()
    driver.begin()
    driver.commit()
    try:
        with faults.armed():
            driver.begin()
            assert [driver.write("a"), driver.write("b")] == ["a", "b"]
            driver.commit()
    except OSError:
        assert faults.struck is not None
    else:
        assert faults.struck is None
    driver.begin()
    return driver.kept


@pytest.mark.parametrize("after", [False, True])
def test_every_call_fails_once_before_or_after_it_is_made(after: bool) -> None:
    kept: list[list[str]] = []
    swept = sweep(lambda faults: kept.append(scenario(faults)), TARGETS, OSError, after=after)
    assert swept.names == ("Driver.begin", "Driver.write", "Driver.write", "Driver.commit")
    assert swept.calls == 4
    both = ["a", "b"]
    assert kept == [[], [], [], both if after else [], both]
    assert not any(hasattr(vars(Driver)[name], "__wrapped__") for name in NAMES)


def test_one_object_can_be_watched_alone() -> None:
    driver, other = Driver(), Driver()
    faults = CallFaults(OSError, at=1)
    with faults.watching((driver, "begin")), faults.armed():
        other.begin()
        with pytest.raises(OSError, match=r"^$"):
            driver.begin()
        driver.begin()
    assert faults.calls == 2
    assert "begin" not in vars(driver)


def test_a_scenario_that_does_not_hold_is_reported_with_the_call_that_failed() -> None:
    def broken(faults: CallFaults) -> None:
        assert scenario(faults) in ([], ["a", "b"])
        assert faults.struck != "Driver.commit", "something was kept"

    with pytest.raises(
        SweepError, match=r"call 4, Driver.commit, failing before it was made: .*something was kept"
    ) as e:
        sweep(broken, TARGETS, OSError)
    assert isinstance(e.value.__cause__, AssertionError)
    assert not hasattr(vars(Driver)["begin"], "__wrapped__")


def test_a_sweep_that_tests_nothing_or_never_ends_is_an_error() -> None:
    with pytest.raises(SweepError, match="nothing was tested"):
        sweep(lambda faults: Driver().begin(), TARGETS, OSError)
    with pytest.raises(SweepError, match="without a fault"):
        sweep(lambda faults: 1 / 0, TARGETS, OSError)

    def insists(faults: CallFaults) -> None:
        driver = Driver()
        with faults.armed():
            while faults.struck is None:
                try:
                    driver.begin()
                except OSError:
                    return

    with pytest.raises(SweepError, match="after 20 runs"):
        sweep(insists, TARGETS, OSError, most=20)


@pytest.mark.parametrize("after", [False, True])
async def test_what_is_awaited_fails_before_or_after_it_is_done(after: bool) -> None:
    kept: list[list[str]] = []

    async def awaited(faults: CallFaults) -> None:
        driver = Driver()
        try:
            with faults.armed():
                await driver.write_async("a")
                await driver.write_async("b")
        except asyncio.CancelledError:
            pass
        kept.append(driver.kept)

    swept = await async_sweep(awaited, [(Driver, "write_async")], asyncio.CancelledError, after=after)
    assert swept.calls == 2
    assert kept == ([["a"], ["a", "b"], ["a", "b"]] if after else [[], ["a"], ["a", "b"]])


async def test_a_function_that_returns_what_is_awaited_fails_after_it_is_done() -> None:
    driver = Driver()

    class Lazy:
        def write(self, line: str) -> object:
            return driver.write_async(line)

    async def awaited(faults: CallFaults) -> None:
        with faults.armed(), pytest.raises(OSError, match=r"^$") if not driver.kept else faults.armed():
            await Lazy().write("a")  # type: ignore[misc]

    assert (await async_sweep(awaited, [(Lazy, "write")], OSError, after=True)).calls == 1
    assert driver.kept == ["a", "a"]


def test_methods_without_self_are_watched_too() -> None:
    faults = CallFaults(OSError, at=9)
    with faults.watching((Driver, "fixed"), (Driver, "named")), faults.armed():
        assert (Driver.fixed(), Driver().fixed(), Driver.named(), Driver().named()) == ("fixed",) * 2 + ("Driver",) * 2
    assert faults.calls == 4
    assert isinstance(vars(Driver)["named"], classmethod)
    assert isinstance(vars(Driver)["fixed"], staticmethod)


def test_a_dotted_name_is_found_and_what_was_inherited_stays_so() -> None:
    assert _sweep._found("sqlite3.dbapi2.connect") == (sqlite3.dbapi2, "connect")
    with pytest.raises(ValueError, match="nosuch"):
        _sweep._found("nosuch.thing")
    with pytest.raises(AttributeError):
        _sweep._found("sqlite3.nosuch.thing")


def test_a_batch_on_sqlite_is_all_or_nothing_whichever_call_fails(tmp_path: Path) -> None:
    store = pytest.importorskip("openstackai_sessions_sqlite")
    connection = "openstackai_sessions_sqlite._connection.Connection"
    seen: set[int] = set()

    def batch(faults: CallFaults) -> None:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.db"
        with store.SQLiteStore(path, retry_timeout=0) as opened:
            session = opened.session("s")
            session.add_message("user", "first")
            try:
                with faults.armed():
                    session.add_messages([{"n": number} for number in range(5)])
            except store_errors():
                pass
            seen.add(session.count())
            session.add_message("user", "last")
            assert session.count() in (2, 7)

    def broken() -> sqlite3.Error:
        return sqlite3.OperationalError("disk I/O error")

    targets = [f"{connection}.{name}" for name in ("execute", "executemany", "commit")]
    for after in (False, True):
        assert sweep(batch, targets, broken, after=after).calls >= 3
    assert seen == {1, 6}
    assert "execute" not in vars(_sweep._found(targets[0])[0])


def store_errors() -> type[Exception]:
    from openstackai_sessions_core import SessionError

    return SessionError
