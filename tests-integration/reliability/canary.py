"""A password and a message that must never be seen: every error, its causes, every log, every repr is searched."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import pickle
import traceback
import uuid
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import psycopg

from openstackai_sessions_conformance._proxy import Fault, FaultProxy
from openstackai_sessions_core import AsyncSession, Session, SessionEvent, open_async_store, open_store
from openstackai_sessions_postgres import AsyncPostgresSession, PostgresSession, PostgresStore
from openstackai_sessions_redis import AsyncRedisSession, RedisSession, RedisStore
from reliability._framework import Campaign, Tally
from reliability._places import Place, PostgresPlace, RedisPlace, place
from servers.shown import everything_shown

__all__ = ["CAMPAIGNS"]

# Stands in every password and every message.
SECRET = "c4n4ry"  # noqa: S105 - it is to be looked for


class Ears(logging.Handler):
    """Everything that is logged, by whomever, at whatever level."""

    def __init__(self) -> None:
        super().__init__(0)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = f"{record.getMessage()} {record.args!r} {record.exc_text or ''}"
        if record.exc_info:
            text += "".join(traceback.format_exception(*record.exc_info))
        self.heard.append(text)


@contextlib.contextmanager
def listening() -> Iterator[list[str]]:
    """Collect what is logged, warned and printed."""
    root, ears, printed = logging.getLogger(), Ears(), io.StringIO()
    level = root.level
    root.addHandler(ears)
    root.setLevel(1)
    try:
        with (
            warnings.catch_warnings(record=True) as caught,
            contextlib.redirect_stderr(printed),
            contextlib.redirect_stdout(printed),
        ):
            warnings.simplefilter("always")
            yield ears.heard
        ears.heard += [str(each.message) for each in caught] + [printed.getvalue()]
    finally:
        root.setLevel(level)
        root.removeHandler(ears)


def hear(name: str, tally: Tally) -> None:
    """Go through everything that can go wrong, with a password that nobody may see."""
    with place(name) as somewhere:
        tally.place = somewhere.version
        password = f"{SECRET}:{uuid.uuid4().hex[:6]}/@%'\\ ?"
        url, wrong = _protect(somewhere, password)
        while tally.left:
            for scene in _scenes(somewhere, url, wrong, password):
                with listening() as heard:
                    try:
                        heard.append(repr(scene()))
                    except Exception as error:  # noqa: BLE001 - every error is looked at
                        heard.append(everything_shown(error))
                        tally.numbers["errors"] += 1
                for text in heard:
                    for form in (SECRET, quote(password, safe=""), repr(password)[1:-1]):
                        if form in text:
                            at = text.index(form)
                            tally.violate(f"{_name(scene)} shows it: …{text[max(0, at - 150) : at + 60]!r}")
                tally.numbers["texts searched"] += len(heard)
                tally.step()


def _name(scene: Callable[[], object]) -> str:
    if isinstance(scene, partial):
        return f"{scene.func.__name__}{scene.args[1:] or ''}".replace(SECRET, "…")
    return scene.__name__


def _protect(somewhere: Place, password: str) -> tuple[str, str]:
    """Give the server a password; URLs with it and with another."""
    quoted, other = quote(password, safe=""), quote(f"wrong {SECRET}", safe="")
    if isinstance(somewhere, RedisPlace):
        with somewhere.server.client() as client:
            client.config_set("requirepass", password)
        somewhere.server.options["password"] = password
        at = f"@127.0.0.1:{somewhere.server.port}/0"
        return f"redis://:{quoted}{at}", f"redis://:{other}{at}"
    assert isinstance(somewhere, PostgresPlace)
    with psycopg.connect(somewhere.server.url, autocommit=True) as connection:
        connection.execute(
            psycopg.sql.SQL("CREATE ROLE {} SUPERUSER LOGIN PASSWORD {}").format(
                psycopg.sql.Identifier("guest"), psycopg.sql.Literal(password)
            )
        )
    at = f"@127.0.0.1:{somewhere.server.port}/postgres"
    return f"postgresql://guest:{quoted}{at}", f"postgresql://guest:{other}{at}"


def _scenes(somewhere: Place, url: str, wrong: str, password: str) -> Iterator[Callable[[], object]]:
    place, _, _ = url.rpartition("@")
    scheme = url.partition("://")[0]
    bad = [
        f"{place}@127.0.0.1:1/0",
        f"{place}@host.invalid/0",
        f"{place}@127.0.0.1:notaport/0",
        f"{place}@127.0.0.1:99999/0",
        f"{place}@[::bad/0",
        f"{place}@/0",
        f"{scheme}://u:{password}@127.0.0.1/0",
        f"{scheme}://u:%zz{SECRET}@127.0.0.1/0",
        f"{scheme}:u:{SECRET}@127.0.0.1",
        f"u:{SECRET}@127.0.0.1",
        f"http://u:{SECRET}@127.0.0.1",
        f"{url}?unknown={SECRET}",
        f"{url}?password={SECRET}&password={SECRET}",
        f"{scheme}://u:a#{SECRET}@127.0.0.1:1/0",
        f" {url}",
        wrong,
    ]
    for each in bad:
        for opener in (open_store, open_async_store):
            yield partial(_use, opener, each)
    for opener in (open_store, open_async_store):
        yield partial(_use, opener, url)
    for fault in (Fault.CUT_AFTER, Fault.CUT_BEFORE, Fault.RESET, Fault.HALF_CLOSE, Fault.BLACK_HOLE):
        for at_connect in (False, True):
            if not at_connect or fault not in (Fault.CUT_AFTER, Fault.CUT_BEFORE):
                yield partial(_break, somewhere, url, fault, at_connect)
    yield partial(_look, url, password)
    yield partial(_handlers, url)
    yield partial(_dead, somewhere, url)


def _use(opener: Callable[[str], Any], url: str) -> object:
    store = opener(url)
    # What cannot work is not tried for long.
    store._options = replace(store._options, retry_timeout=0.0)
    return _through(store)


def _through(store: Any) -> object:
    if hasattr(store, "__aenter__"):

        async def work() -> object:
            async with store:
                session = AsyncSession(store, "s")
                await session.add_message("user", SECRET)
                await session.export()
                return store, session

        return asyncio.run(work())
    with store:
        session = Session(store, "s")
        session.add_message("user", SECRET)
        return store, session


def _store(url: str, **options: Any) -> Any:
    return RedisStore(url=url, **options) if url.startswith("redis") else PostgresStore(url, **options)


def _break(somewhere: Place, url: str, fault: Fault, at_connect: bool) -> object:
    proxy = somewhere.proxy()
    with proxy:
        options: dict[str, Any] = {"timeout": 0.5, "retry_timeout": 0.0}
        store = _store(_via(url, proxy), **options)
        proxy.add(fault, at_connect=at_connect, times=None)
        try:
            return _through(store)
        finally:
            proxy.drop()


def _via(url: str, proxy: FaultProxy) -> str:
    place, _, rest = url.rpartition("@")
    return f"{place}@127.0.0.1:{proxy.port}/{rest.partition('/')[2]}"


def _look(url: str, password: str) -> object:
    """Whatever can be printed of what knows the password."""
    store = _store(url)
    sessions: list[Any]
    if url.startswith("redis"):
        sessions = [kind(url=url, session_id="s") for kind in (RedisSession, AsyncRedisSession)]
        sessions += [kind(password=password, session_id="s") for kind in (RedisSession, AsyncRedisSession)]
    else:
        sessions = [kind(url, session_id="s") for kind in (PostgresSession, AsyncPostgresSession)]
    shown = [repr(each) + str(each) for each in (store, *sessions, *(each.store for each in sessions))]
    shown += [repr(each.store._settings) for each in sessions]  # what a debugger shows
    for each in sessions:
        try:
            shown.append(repr(pickle.dumps(each)))
        except TypeError as error:
            shown.append(everything_shown(error))
    return shown


def _handlers(url: str) -> object:
    """A handler that raises is logged, without what it was told."""
    with _store(url) as store:
        session = Session(store, "s")

        def fail(_: object) -> None:
            raise RuntimeError("a handler's own error")

        session.on(SessionEvent.MESSAGE_ADDED, fail)
        session.add_message("user", SECRET)
    return None


def _dead(somewhere: Place, url: str) -> object:
    """The server is killed under a handle."""
    with _store(url, retry_timeout=0.0, timeout=1.0) as store:
        session = Session(store, "s")
        session.add_message("user", SECRET)
        somewhere.kill()
        try:
            session.add_message("user", SECRET)
        finally:
            somewhere.start()
            if isinstance(somewhere, RedisPlace):
                del somewhere.server.options["password"]
                _protect(somewhere, _password_of(url))
    return None


def _password_of(url: str) -> str:
    return unquote(urlsplit(url).password or "")


CAMPAIGNS = [
    Campaign(
        f"canary/{name}",
        "scenes",
        "0 appearances of a password or a message in errors, causes, logs, warnings, output, reprs",
        200,
        40,
        partial(hear, name),
    )
    for name in ("valkey", "postgres")
]
