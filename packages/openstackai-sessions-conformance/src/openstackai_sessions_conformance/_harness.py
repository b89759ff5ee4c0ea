"""How a check runs: claimed or not, in bounded time, and reported in the author's words."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, NoReturn, cast

import pytest

from openstackai_sessions_conformance._capabilities import DEFAULT, REFUSABLE, Capability
from openstackai_sessions_conformance._findings import Finding, fail
from openstackai_sessions_conformance._place import CallablePlace, Place, Store
from openstackai_sessions_conformance._registry import CHECKS, GROUPS
from openstackai_sessions_conformance._settings import Tier, the_seed, the_tier

__all__ = ["Check", "Conformance", "bounded", "checks_of", "leave_out", "make_check", "need"]

PATIENCE = {"quick": 1, "full": 5, "soak": 60}
# Of a check that hangs so many other threads are shown.
MOST_THREADS = 6


def leave_out(reason: str) -> NoReturn:
    """Leave out one part of a check, and say why."""
    pytest.skip(f"left out: {reason}")


def need(place: Place, hook: str) -> Any:
    """A hook of the place; without it the check is skipped, with that reason."""
    found = getattr(place, hook)
    if not found:
        pytest.skip(f"the place has no hook `{hook}`")
    return found


class Check:
    """What a test function of the suite knows about itself."""

    def __init__(self, number: int, cause: str, rule: str) -> None:
        self.number = number
        self.cause = cause
        self.rule = rule


class Conformance:
    """What both test classes share: what a backend's author sets, and the fixture that makes a place."""

    make_store: Callable[..., Store]
    """Makes a store: `make_store(self, folder)` or `make_store(self)`; keyword options that it names are passed."""

    capabilities: ClassVar[Capability] = DEFAULT
    """What the backend claims."""

    tier: ClassVar[Tier | None] = None
    """`quick`, `full` or `soak`; the environment variable OPENSTACKAI_CONFORMANCE_TIER goes before it."""

    seed: ClassVar[int | None] = None
    """What random choices begin with; the environment variable OPENSTACKAI_CONFORMANCE_SEED goes before it."""

    kinds: ClassVar[Capability] = ~Capability.NONE
    """The capabilities that this side, sync or async, can have at all."""

    suite: ClassVar[dict[str, Callable[..., None]]] = {}
    """The checks by the names of their test functions, as they were before any subclass."""

    def __init_subclass__(cls, **keywords: object) -> None:
        super().__init_subclass__(**keywords)
        verify(cls)

    @pytest.fixture
    def place(self, tmp_path: Path) -> Iterator[Place]:
        """A new, empty place; override it where `make_store` does not say enough."""
        make = getattr(self, "make_store", None)
        if make is None:
            pytest.fail(f"{type(self).__name__} needs a method make_store, or a fixture place", pytrace=False)
        folder = tmp_path / "place"
        folder.mkdir()
        place = CallablePlace(make, folder, self)
        yield place
        place.close()


def checks_of(cls: type) -> dict[str, Callable[..., None]]:
    """The checks that a class has, by the names of their test functions."""
    found = {}
    for name in dir(cls):
        function = inspect.getattr_static(cls, name, None)
        if name.startswith("test_") and isinstance(getattr(function, "check", None), Check):
            found[name] = cast("Callable[..., None]", function)
    return found


def verify(cls: type[Conformance]) -> None:
    """Refuse a class in which a check is missing or overridden, unless by a reasoned, strict xfail."""
    for name, original in cls.suite.items():
        present = inspect.getattr_static(cls, name, None)
        if present is original:
            continue
        if not inspect.isfunction(present) or not _owns_up(present):
            raise TypeError(
                f"{cls.__name__}.{name} takes the place of a conformance check; a check that cannot pass is overridden "
                f"by a function that calls it, marked @pytest.mark.xfail(strict=True, reason='...') without a condition"
            )
        if not hasattr(present, "unskipped"):
            setattr(cls, name, _unskipped(present))


def _owns_up(function: Callable[..., object]) -> bool:
    """Whether a function is marked to fail, always, and says why."""
    marks = [mark for mark in getattr(function, "pytestmark", ()) if mark.name in ("xfail", "skip", "skipif")]
    return bool(marks) and all(
        mark.name == "xfail"
        and not mark.args
        and "condition" not in mark.kwargs
        and mark.kwargs.get("strict") is True
        and str(mark.kwargs.get("reason") or "").strip()
        for mark in marks
    )


def _unskipped(function: Callable[..., object]) -> Callable[..., object]:
    """The function, in which a skip is a failure: a check that is expected to fail is never left out instead."""

    @functools.wraps(function)
    def test(*arguments: object, **keywords: object) -> object:
        __tracebackhide__ = True
        try:
            return function(*arguments, **keywords)
        except pytest.skip.Exception as skipped:
            raise AssertionError(f"expected to fail, and did not run: {skipped}") from None

    test.unskipped = True  # type: ignore[attr-defined]
    return test


def make_check(
    number: int,
    cause: str,
    seconds: float,
    body: Callable[..., object],
    play: Callable[[Conformance, Place, int, Tier], None],
    refuse: Callable[[Conformance, Place, int, Tier], None],
) -> Callable[..., None]:
    """The test function that pytest sees; `play` runs the body, `refuse` requires that the capability is refused."""
    rule = CHECKS[number]
    text = inspect.cleandoc(body.__doc__ or rule.title)

    def test(self: Conformance, place: Place) -> None:
        __tracebackhide__ = True
        tier, seed = the_tier(self.tier), the_seed(self.seed)
        claimed = rule.capability is None or bool(rule.capability & self.capabilities & self.kinds)
        refusable = rule.capability is not None and bool(rule.capability & REFUSABLE)
        try:
            if claimed or refusable:
                chosen = play if claimed else refuse
                bounded(lambda: chosen(self, place, seed, tier), seconds * PATIENCE[tier])
        except (Exception, asyncio.CancelledError) as error:
            raise AssertionError(_message(number, text, cause, error, seed, tier)) from error
        if rule.capability is not None and not claimed:
            pytest.skip(f"not claimed: {rule.capability.name}")

    test.__name__ = body.__name__
    test.__qualname__ = body.__qualname__
    test.__module__ = body.__module__
    test.__doc__ = body.__doc__
    test.check = Check(number, cause, text)  # type: ignore[attr-defined]
    return test


def _message(number: int, text: str, cause: str, error: BaseException, seed: int, tier: Tier) -> str:
    rule = CHECKS[number]
    notes = "".join(f"\n  {note}" for note in getattr(error, "__notes__", ()))
    if isinstance(error, Finding):
        expected, seen = error.expected, error.seen
        cause = error.cause or cause
    elif isinstance(error, AssertionError):
        expected, seen = text, str(error)
    else:
        where = traceback.extract_tb(error.__traceback__)[-1]
        expected = "no error here"
        seen = f"{type(error).__name__}: {error} (at {Path(where.filename).name}:{where.lineno})"
    return (
        f"conformance check {rule.label} ({GROUPS[rule.group]})\n"
        f"  the rule:    {' '.join(text.split())}\n"
        f"  expected:    {expected}\n"
        f"  seen:        {seen}\n"
        f"  usual cause: {cause}\n"
        f"  replay with: OPENSTACKAI_CONFORMANCE_SEED={seed} OPENSTACKAI_CONFORMANCE_TIER={tier}"
        f"{notes}"
    )


def bounded(call: Callable[[], None], seconds: float, what: str = "the check") -> None:
    """Run a call in a thread of its own; one that does not end in time is reported with where it hangs."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, name="conformance check", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        fail(
            f"{what} ends within {seconds:g} s",
            f"it still runs:\n{_stacks(thread)}",
            cause="a deadlock, or a wait without a time-out",
        )
    if raised:
        raise raised[0]


def _stacks(first: threading.Thread) -> str:
    """Where a thread is, and then where the other threads are that may be in its way."""
    frames = sys._current_frames()  # noqa: SLF001 - the documented way to see where they are
    others = [one for one in threading.enumerate() if one not in (first, threading.current_thread())]
    parts = []
    for thread in [first, *others[:MOST_THREADS]]:
        frame = frames.get(thread.ident or 0)
        if frame is not None:
            parts.append(f"[{thread.name}]\n{''.join(traceback.format_stack(frame)[-4:])}")
    return "".join(parts) or "it has just ended"
