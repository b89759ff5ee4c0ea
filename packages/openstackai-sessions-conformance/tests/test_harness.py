"""What the suite does around its checks: claims, overrides, seeds, time-outs, the list of checks."""

from __future__ import annotations

import math
import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import pytest

from openstackai_sessions_conformance import (
    DEFAULT,
    AsyncSessionStoreConformance,
    Capability,
    Place,
    SessionStoreConformance,
)
from openstackai_sessions_conformance._async_machine import run_machine as async_run_machine
from openstackai_sessions_conformance._findings import Finding, refuses, same
from openstackai_sessions_conformance._harness import Conformance, bounded, checks_of
from openstackai_sessions_conformance._machine import run_machine
from openstackai_sessions_conformance._place import CallablePlace, Clock, hold_file
from openstackai_sessions_conformance._registry import CHECKS, GROUPS
from openstackai_sessions_conformance._run import run_suite
from openstackai_sessions_conformance._seam import open_on
from openstackai_sessions_core import (
    AsyncInMemoryStore,
    BackendUnavailableError,
    InMemoryStore,
    Limits,
    UnsupportedError,
    ValidationError,
)
from openstackai_sessions_core.backend import Operation
from openstackai_sessions_sqlite import SQLiteStore


@pytest.mark.parametrize("suite", [SessionStoreConformance, AsyncSessionStoreConformance])
def test_no_number_is_missing(suite: type[Conformance]) -> None:
    assert list(CHECKS) == list(range(1, 105))
    own = {100, 101} if suite is SessionStoreConformance else set()
    present = {function.check.number for function in checks_of(suite).values()}  # type: ignore[attr-defined]
    assert set(CHECKS) - present == own


def test_every_check_names_its_number_and_states_its_rule() -> None:
    for suite in (SessionStoreConformance, AsyncSessionStoreConformance):
        for name, function in checks_of(suite).items():
            check: Any = function.check  # type: ignore[attr-defined]
            assert name.startswith(f"test_{check.number:03d}_")
            assert check.rule.endswith(".")
            assert check.cause
    assert {rule.group for rule in CHECKS.values()} == set(GROUPS)


def test_a_check_cannot_be_overridden_in_silence() -> None:
    with pytest.raises(TypeError, match="test_027_order_survives_a_backward_clock"):

        class Silent(SessionStoreConformance):
            def test_027_order_survives_a_backward_clock(self, place: Place) -> None:
                """Do nothing."""

    with pytest.raises(TypeError, match="xfail"):
        type("Gone", (SessionStoreConformance,), {"test_001_a_fresh_session_is_empty": None})
    with pytest.raises(TypeError, match="xfail"):

        class Lax(SessionStoreConformance):
            @pytest.mark.xfail(reason="not strict", strict=False)
            def test_001_a_fresh_session_is_empty(self, place: Place) -> None:
                super().test_001_a_fresh_session_is_empty(place)

    no_condition: list[pytest.MarkDecorator] = [
        pytest.mark.xfail(False, strict=True, reason="never expected"),
        pytest.mark.xfail(condition=False, strict=True, reason="never expected"),
        pytest.mark.xfail(strict=True, reason=" "),
        pytest.mark.skip(reason="it cannot pass"),
    ]
    for mark in no_condition:
        with pytest.raises(TypeError, match=r"xfail.* without a condition"):
            type(
                "Sly", (SessionStoreConformance,), {"test_001_a_fresh_session_is_empty": mark(lambda self, place: None)}
            )

    class _Honest(SessionStoreConformance):
        @pytest.mark.xfail(reason="the engine has no clock", strict=True)
        def test_027_order_survives_a_backward_clock(self, place: Place) -> None:
            super().test_027_order_survives_a_backward_clock(place)

    assert checks_of(SessionStoreConformance)


def test_a_check_that_is_expected_to_fail_is_not_left_out_instead() -> None:
    class Expects(SessionStoreConformance):
        make_store = InMemoryStore

        @pytest.mark.xfail(reason="the engine has no clock", strict=True)
        def test_027_order_survives_a_backward_clock(self, place: Place) -> None:
            pytest.skip("left out: no clock")

    statement = run_suite(Expects, name="mine", seed=1, only=frozenset({27}))
    (ran,) = [one for one in statement.ran if one.name == "test_027_order_survives_a_backward_clock"]
    assert (ran.status, ran.reason) == ("failed", "expected: the engine has no clock")


def test_a_failure_says_what_was_expected_seen_and_usual(tmp_path: Path) -> None:
    class Faulty(InMemoryStore):
        def read(self, session_id: str, *, limit: int | None, before: int | None) -> Any:
            return super().read(session_id, limit=None, before=before)[: limit or None]

    suite = SessionStoreConformance()
    suite.seed = 7  # type: ignore[misc]
    with pytest.raises(AssertionError) as caught:
        suite.test_024_limit_gives_the_newest_oldest_first(CallablePlace(Faulty, tmp_path))
    text = str(caught.value)
    assert "024 limit=n gives the newest n, oldest first" in text
    for part in ("expected:    get_messages(1) of 11", "seen: ", "usual cause: LIMIT", "CONFORMANCE_SEED=7"):
        assert part in text


def test_a_store_that_raises_fails_by_an_assertion(tmp_path: Path) -> None:
    class Broken(InMemoryStore):
        def head(self, session_id: str) -> Any:
            raise ZeroDivisionError("in the store")

    with pytest.raises(AssertionError, match="ZeroDivisionError: in the store"):
        SessionStoreConformance().test_001_a_fresh_session_is_empty(CallablePlace(Broken, tmp_path))


def test_what_is_not_claimed_must_be_refused(tmp_path: Path) -> None:
    class NoTtl(InMemoryStore):
        def session(self, session_id: str, *, ttl: float | None = None) -> Any:
            if ttl is not None:
                raise UnsupportedError("no ttl here")
            return super().session(session_id)

    suite = SessionStoreConformance()
    suite.capabilities = Capability.STREAM  # type: ignore[misc]
    with pytest.raises(pytest.skip.Exception, match="not claimed: TTL"):
        suite.test_076_bad_times_are_refused(CallablePlace(NoTtl, tmp_path))
    with pytest.raises(AssertionError, match="which is not claimed"):
        suite.test_076_bad_times_are_refused(CallablePlace(InMemoryStore, tmp_path))


def test_what_hangs_is_reported_with_the_place_where_it_hangs() -> None:
    stop = threading.Event()

    def wait_for_ever() -> None:
        stop.wait(30)

    began = time.monotonic()
    with pytest.raises(Finding, match="wait_for_ever"):
        bounded(wait_for_ever, 0.2)
    assert time.monotonic() - began < 5
    stop.set()


def test_equal_values_of_other_types_are_not_the_same() -> None:
    for seen, expected in ((1, 1.0), (1, True), (0.0, -0.0), ([1], (1,)), ({"a": 1, "b": 2}, {"b": 2, "a": 1})):
        with pytest.raises(Finding):
            same(seen, expected, "the value")
    with pytest.raises(Finding, match="no error"), refuses(ValueError, "nothing"):
        pass


def test_a_place_finds_out_what_a_callable_takes(tmp_path: Path) -> None:
    def plain() -> InMemoryStore:
        return InMemoryStore()

    def with_folder(folder: Path, *, limits: Limits | None = None) -> InMemoryStore:
        assert folder.is_dir()
        return InMemoryStore(limits=limits)

    place = CallablePlace(plain, tmp_path)
    assert (place.single, set(place.options), place.clock) == (True, set(), None)
    assert place.open() is place.open()
    assert place.fresh().open() is not place.open()
    place = CallablePlace(with_folder, tmp_path / "place")
    assert (place.single, set(place.options)) == (False, {"limits"})
    assert CallablePlace(InMemoryStore, tmp_path).clock is not None


class Folders(SessionStoreConformance):
    """A test class for stores in a folder, with a hook that looks into it."""

    def make_store(self, folder: Path, **options: Any) -> SQLiteStore:
        return SQLiteStore(folder / "s.db", **options)

    def hold(self, folder: Path, sessions: Sequence[str]) -> AbstractContextManager[None]:
        assert sessions
        return hold_file(folder / "s.db")


def test_a_hook_of_a_class_is_told_the_folder_of_each_place(tmp_path: Path) -> None:
    suite = Folders()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        place = CallablePlace(suite.make_store, tmp_path / name, suite)
        session = SQLiteStore(tmp_path / name / "s.db", timeout=0.2, retry_timeout=0).session("s")
        session.add_message("user", "x")
        assert place.hold is not None
        with place.hold(["s"]), pytest.raises(BackendUnavailableError):
            session.add_message("user", "y")
        session.store.close()


def test_a_callable_that_drops_what_it_is_given_is_blamed_itself(tmp_path: Path) -> None:
    def drops_clock(folder: Path, *, clock: object = None) -> SQLiteStore:
        return SQLiteStore(folder / "s.db")

    def drops_limits(folder: Path, *, limits: object = None) -> SQLiteStore:
        return SQLiteStore(folder / "s.db")

    suite = SessionStoreConformance()
    with pytest.raises(AssertionError, match="takes `clock` and does not hand it to the store"):
        suite.test_072_before_the_deadline_all_and_after_it_nothing(CallablePlace(drops_clock, tmp_path))
    with pytest.raises(AssertionError, match=r"a store opened with limits=.* to have it"):
        open_on(CallablePlace(drops_limits, tmp_path), limits=Limits(message_bytes=10))


def test_a_place_that_takes_a_clock_is_given_its_own(tmp_path: Path) -> None:
    class Here(Place):
        options = ("clock",)
        clock = Clock()

        def open(self, **options: Any) -> SQLiteStore:
            return SQLiteStore(tmp_path / "s.db", **options)

    Here.clock.elapse(10**6)
    store = open_on(Here())
    made = store.session("s").add_message("user", "x").created_at.timestamp()
    store.close()
    assert abs(made - time.time() - 10**6) < 1000


def test_a_sequence_that_fails_is_shown_at_its_shortest(tmp_path: Path) -> None:
    class ForgetsMetadata(InMemoryStore):
        def clear(self, session_id: str, op: Operation, *, ttl: int | None) -> Any:
            self.write_metadata(session_id, Operation("x" + op.id, b""), {}, list(self.read_metadata(session_id, None)),
                                ttl=ttl)  # fmt: skip
            return super().clear(session_id, op, ttl=ttl)

    with pytest.raises(Finding) as caught:
        run_machine(
            CallablePlace(ForgetsMetadata, tmp_path), DEFAULT, seed=1, examples=300, steps=30, shrink=True, seconds=60
        )
    first, *calls = vars(caught.value)["__notes__"]
    assert first == "the calls, of which the last one differs:"
    assert len(calls) == 2
    assert "session 'a': clear() on store" in calls[-1]


def test_sequences_that_write_nothing_are_not_counted(tmp_path: Path) -> None:
    def histories(seed: int) -> list[str]:
        """What the lists of the sequences showed, where they showed any session."""
        shown: list[list[object]] = []

        class Watched(InMemoryStore):
            def __init__(self, **options: Any) -> None:
                super().__init__(**options)
                shown.append([])

            def list_page(self, prefix: str, *, after: str | None, limit: int) -> Any:
                found = super().list_page(prefix, after=after, limit=limit)
                shown[-1] += [(info.id, info.message_count) for info in found]
                return found

        run_machine(
            CallablePlace(Watched, tmp_path), DEFAULT, seed=seed, examples=6, steps=20, shrink=False, seconds=math.inf
        )
        return [repr(history) for history in shown if history]

    found = histories(1)
    assert len(found) == 6
    assert found == histories(1)
    assert found != histories(-1)


def test_a_sequence_may_begin_with_any_call(tmp_path: Path) -> None:
    """An asynchronous store is opened by the same runner that makes the calls."""
    for seed in range(3):
        async_run_machine(
            CallablePlace(AsyncInMemoryStore, tmp_path),
            DEFAULT, seed=seed, examples=60, steps=3, shrink=False, seconds=math.inf,
        )  # fmt: skip


def test_long_values_are_shown_where_they_differ() -> None:
    one, other = ["a" * 512, *range(300), "x", *range(300)], ["a" * 512, *range(300), "y", *range(300)]
    with pytest.raises(Finding) as caught:
        same(one, other, "the list")
    assert "'x'" in caught.value.seen
    assert "'y'" in caught.value.expected
    assert len(caught.value.seen) < 700


def test_a_class_without_a_store_says_so(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        "from openstackai_sessions_conformance import SessionStoreConformance\n"
        "class TestNothing(SessionStoreConformance): pass\n"
    )
    result = pytester.runpytest_subprocess("-k", "test_001", "-p", "no:cacheprovider", "-p", "no:asyncio")
    result.stdout.fnmatch_lines(["*needs a method make_store*"])


def test_the_suite_runs_under_any_configuration(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\naddopts = --strict-markers --strict-config\nfilterwarnings = error\n")
    pytester.makepyfile(
        """
        from openstackai_sessions_conformance import AsyncSessionStoreConformance, SessionStoreConformance
        from openstackai_sessions_core import AsyncInMemoryStore, InMemoryStore

        class TestSync(SessionStoreConformance):
            def make_store(self, **options):
                return InMemoryStore(**options)

        class TestAsync(AsyncSessionStoreConformance):
            make_store = AsyncInMemoryStore
        """
    )
    result = pytester.runpytest_subprocess("-k", "test_03 or test_05", "-p", "no:cacheprovider", "-p", "no:asyncio")
    assert result.parseoutcomes().get("failed", 0) == 0, result.stdout.str()[-2000:]
    assert result.parseoutcomes()["passed"] > 30


def test_bad_settings_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from openstackai_sessions_conformance._settings import TIER_VARIABLE, the_tier

    monkeypatch.setenv(TIER_VARIABLE, "slow")
    with pytest.raises(ValueError, match="quick, full, soak"):
        the_tier(None)
    assert issubclass(ValidationError, ValueError)


def test_the_lock_of_a_file_is_held_within_the_block_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "t.db", timeout=0, isolation_level=None)) as db:
        db.execute("CREATE TABLE t (n)")
        with hold_file(tmp_path / "t.db"), pytest.raises(sqlite3.OperationalError, match="locked"):
            db.execute("INSERT INTO t VALUES (1)")
        db.execute("INSERT INTO t VALUES (2)")
        assert db.execute("SELECT n FROM t").fetchall() == [(2,)]


def test_a_failure_names_the_ids_that_are_missing(tmp_path: Path) -> None:
    class Folds(InMemoryStore):
        def list_page(self, prefix: str, *, after: str | None, limit: int) -> Any:
            return [info for info in super().list_page(prefix, after=after, limit=limit) if info.id != "NULL"]

    class Faulty(SessionStoreConformance):
        make_store = Folds

    with pytest.raises(AssertionError) as failed:
        Faulty().test_042_hostile_ids_never_touch_each_other(CallablePlace(Folds, tmp_path))
    assert "seen:        1 missing, such as ['NULL']; others: []" in str(failed.value)
    assert "usual cause: ids are joined with a separator" in str(failed.value)
