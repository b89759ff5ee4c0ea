"""A wire that swallows everything and stays open: every call ends within its documented time-out."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from openstackai_sessions_conformance._proxy import Fault, FaultProxy
from openstackai_sessions_core import AsyncSession, BackendUnavailableError, OutcomeUnknownError, Session
from reliability._actor import Threaded
from reliability._framework import Campaign, Tally
from reliability._places import Place, place

__all__ = ["CAMPAIGNS"]

# In seconds: what the stores are told, and what a machine that is busy may add.
TIMEOUT, SLACK = 1.0, 3.0
# A connection has whole seconds on PostgreSQL, and libpq takes one for two.
CONNECT = {"valkey": 1.0, "redis": 1.0, "postgres": 2.0}
DOCUMENT = {
    "format": "openstackai-session",
    "version": 1,
    "session_id": "s",
    "created_at": None,
    "messages": [],
    "metadata": {},
}
CALLS: dict[str, Callable[[Any], Any]] = {
    "add_message": lambda session: session.add_message("user", "x"),
    "add_messages": lambda session: session.add_messages([{"role": "user"}] * 20),
    "pop_message": lambda session: session.pop_message(),
    "clear": lambda session: session.clear(),
    "set": lambda session: session.set("a", 1),
    "remove": lambda session: session.remove("a"),
    "import_data": lambda session: session.import_data(DOCUMENT),
    "delete": lambda session: session.delete(),
    "get_messages": lambda session: session.get_messages(),
    "count": lambda session: session.count(),
    "metadata": lambda session: session.metadata(),
    "export": lambda session: session.export(),
    "list_sessions": lambda session: session.store_list(),
}
WRITES = tuple(CALLS)[:8]


class _Calls:
    """A handle and its store, whose calls are awaited."""

    def __init__(self, session: Any, store_list: Callable[[], Any]) -> None:
        self._session = session
        self.store_list = store_list

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


def swallow(name: str, style: str, tally: Tally) -> None:
    """Make each call with a connection that goes dead under it, and with one that never comes about."""
    with place(name) as somewhere:
        tally.place = somewhere.version
        with somewhere.open() as store:
            Session(store, "s").add_message("user", "x")
        ways = [(call, at_connect) for call in CALLS for at_connect in (False, True)]
        tally.random.shuffle(ways)
        for call, at_connect in itertools.islice(itertools.cycle(ways), tally.wanted):
            asyncio.run(_one(somewhere, name, style, call, tally, at_connect=at_connect))
            tally.step()


async def _one(somewhere: Place, name: str, style: str, call: str, tally: Tally, *, at_connect: bool) -> None:
    options: dict[str, Any] = {"timeout": TIMEOUT, "retry_timeout": 0.0}
    if name != "postgres":
        options["connect_timeout"] = TIMEOUT
    with somewhere.proxy() as proxy:
        if style == "async":
            async with somewhere.open_async(via=proxy, **options) as store:
                calls = _Calls(AsyncSession(store, "s"), store.list_sessions)
                await _time(calls, name, call, proxy, tally, at_connect=at_connect)
                proxy.close()
        else:
            with somewhere.open(via=proxy, **options) as plain:
                lister = partial(asyncio.to_thread, plain.list_sessions)
                calls = _Calls(Threaded(Session(plain, "s")), lister)
                await _time(calls, name, call, proxy, tally, at_connect=at_connect)
                proxy.close()


async def _time(calls: _Calls, name: str, call: str, proxy: FaultProxy, tally: Tally, *, at_connect: bool) -> None:
    if not at_connect:
        # A write: on Redis the first one asks for its permissions before it sends anything, and would die asking.
        await calls.set("before", 1)
    proxy.add(Fault.BLACK_HOLE, at_connect=at_connect, times=None)
    bound = (CONNECT[name] if at_connect else TIMEOUT) + SLACK
    began = time.monotonic()
    what = f"{call} on a connection that {'never comes about' if at_connect else 'goes dead'}"
    try:
        await asyncio.wait_for(CALLS[call](calls), 5 * bound)
    except OutcomeUnknownError:
        tally.expect(call in WRITES and not at_connect, f"{what}: the outcome of what writes nothing is unknown")
    except BackendUnavailableError:
        tally.expect(call not in WRITES or at_connect, f"{what}: said to be not applied, which nobody can know")
    except BaseException as error:  # noqa: BLE001 - whatever it is, the table tells it
        tally.violate(f"{what} raised {error!r}")
    else:
        tally.violate(f"{what} returned")
    took = time.monotonic() - began
    tally.numbers["milliseconds at most"] = max(tally.numbers["milliseconds at most"], round(took * 1000))
    tally.expect(took < bound, f"{what} took {took:.1f} s")


CAMPAIGNS = [
    Campaign(
        f"time_outs/{name}-{style}",
        "calls",
        f"timeout={TIMEOUT:g}: every call ends within it, by the right error",
        2 * len(CALLS),
        5,
        partial(swallow, name, style),
    )
    for name in ("valkey", "postgres")
    for style in ("sync", "async")
]
