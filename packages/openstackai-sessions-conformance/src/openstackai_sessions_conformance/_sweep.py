"""Make the first call of a driver fail, then the second, and so on, until a scenario ends without a fault."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TypeAlias, cast

__all__ = ["CallFaults", "Sweep", "SweepError", "Target", "async_sweep", "sweep"]

Target: TypeAlias = str | tuple[object, str]
"""A function to watch: `"package.module.Class.method"`, or an object (a class or a module too) and an attribute."""


class SweepError(AssertionError):
    """The scenario does not hold where one call fails; the text says which, and the cause how."""


@dataclass(frozen=True)
class Sweep:
    """What a sweep went through: the calls that were made to fail, one in each run of the scenario."""

    names: tuple[str, ...]

    @property
    def calls(self) -> int:
        """How many calls that were."""
        return len(self.names)


class CallFaults:
    """Counts the calls of watched functions while it is armed, and makes call number `at` (from 1) raise an error.

    `after`: the error is raised once the real call has returned (or, where that is awaited, has been), else the call is
    never made. Calls from several threads or tasks are counted in the order in which they come.
    """

    def __init__(self, error: Callable[[], BaseException], *, at: int, after: bool = False) -> None:
        self.calls = 0
        """Calls counted so far."""
        self.struck: str | None = None
        """The function that was made to fail, or None where none was yet."""
        self._error = error
        self._at = at
        self._after = after
        self._armed = 0
        self._lock = threading.Lock()

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Count calls, and let one fail, within this block only; in every thread."""
        self._armed += 1
        try:
            yield
        finally:
            self._armed -= 1

    @contextmanager
    def watching(self, *targets: Target) -> Iterator[None]:
        """Watch these functions within the block; afterwards they are what they were."""
        with ExitStack() as undo:
            for target in targets:
                undo.callback(self._watch(*(_found(target) if isinstance(target, str) else target)))
            yield

    def _watch(self, owner: object, name: str) -> Callable[[], None]:
        # A class, a module or an object may inherit what is watched: then it is not to be put back, but removed.
        own = vars(owner).get(name)
        static = inspect.getattr_static(owner, name)
        real = cast("Callable[..., object]", getattr(owner, name))
        label = f"{getattr(owner, '__name__', type(owner).__name__)}.{name}"
        watched: object = self._watched(real, label)
        if inspect.isclass(owner) and isinstance(static, (classmethod, staticmethod)):
            watched = staticmethod(self._watched(real, label))
        setattr(owner, name, watched)
        if own is None:
            return lambda: delattr(owner, name)
        return lambda: setattr(owner, name, own)

    def _watched(self, real: Callable[..., object], label: str) -> Callable[..., object]:
        async def fail_after(result: Awaitable[object]) -> object:
            await result
            raise self._error()

        @functools.wraps(real)
        def call(*args: object, **kwargs: object) -> object:
            if not self._is_struck(label):
                return real(*args, **kwargs)
            if not self._after:
                raise self._error()
            result = real(*args, **kwargs)
            if inspect.isawaitable(result):
                return fail_after(result)
            raise self._error()

        @functools.wraps(real)
        async def call_async(*args: object, **kwargs: object) -> object:
            result = call(*args, **kwargs)
            return await result if inspect.isawaitable(result) else result

        return call_async if inspect.iscoroutinefunction(real) else call

    def _is_struck(self, label: str) -> bool:
        with self._lock:
            if not self._armed:
                return False
            self.calls += 1
            if self.calls != self._at:
                return False
            self.struck = label
            return True


def sweep(
    scenario: Callable[[CallFaults], object],
    targets: Sequence[Target],
    error: Callable[[], BaseException],
    *,
    after: bool = False,
    most: int = 1000,
) -> Sweep:
    """Run a scenario with its first call of the targets failing, then with its second, until it makes no more.

    The scenario begins anew each time: it prepares, does what is tested `with faults.armed():`, catches what that may
    raise, and asserts what must hold whichever call failed. `error` makes the error: a class will do. Raises
    `SweepError` where the scenario fails, makes no call at all, or still makes new ones after `most` runs.
    """
    names: list[str] = []
    while True:
        faults = _faults(names, error, after=after, most=most)
        with faults.watching(*targets), _explained(faults, len(names) + 1, after=after):
            scenario(faults)
        if faults.struck is None:
            return _swept(names)
        names.append(faults.struck)


async def async_sweep(
    scenario: Callable[[CallFaults], Awaitable[object]],
    targets: Sequence[Target],
    error: Callable[[], BaseException],
    *,
    after: bool = False,
    most: int = 1000,
) -> Sweep:
    """Sweep through an asynchronous scenario; see `sweep`."""
    names: list[str] = []
    while True:
        faults = _faults(names, error, after=after, most=most)
        with faults.watching(*targets), _explained(faults, len(names) + 1, after=after):
            await scenario(faults)
        if faults.struck is None:
            return _swept(names)
        names.append(faults.struck)


def _faults(names: Sequence[str], error: Callable[[], BaseException], *, after: bool, most: int) -> CallFaults:
    if len(names) >= most:
        raise SweepError(f"after {most} runs, each with another call failing, the scenario still makes new calls")
    return CallFaults(error, at=len(names) + 1, after=after)


def _swept(names: Sequence[str]) -> Sweep:
    if not names:
        raise SweepError("the scenario calls none of the targets while the faults are armed: nothing was tested")
    return Sweep(tuple(names))


@contextmanager
def _explained(faults: CallFaults, number: int, *, after: bool) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if faults.struck is None:
            raise SweepError(
                f"the scenario fails without a fault ({faults.calls} calls): {error!r}; a fault before it may "
                "have left something behind"
            ) from error
        moment = "after it was made" if after else "before it was made"
        raise SweepError(f"with call {number}, {faults.struck}, failing {moment}: {error!r}") from error


def _found(dotted: str) -> tuple[object, str]:
    """The owner of what a dotted name means, and its last part."""
    parts = dotted.split(".")
    for size in range(len(parts) - 1, 0, -1):
        try:
            owner: object = import_module(".".join(parts[:size]))
        except ModuleNotFoundError as error:
            if error.name is None or not ".".join(parts[:size]).startswith(error.name):
                raise
            continue
        for part in parts[size:-1]:
            owner = getattr(owner, part)
        return owner, parts[-1]
    raise ValueError(f"no module of {dotted!r} can be imported")
