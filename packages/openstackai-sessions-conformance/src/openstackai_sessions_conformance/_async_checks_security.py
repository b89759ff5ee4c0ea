"""M. Security: names, secrets, URLs, and content that stays content."""

from __future__ import annotations

import logging
import pickle
import traceback
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

from openstackai_sessions_conformance._async_checks_events import Listener, hear_all
from openstackai_sessions_conformance._async_scene import AsyncScene, check
from openstackai_sessions_conformance._async_seam import open_on
from openstackai_sessions_conformance._findings import refuses, require, same
from openstackai_sessions_conformance._values import LOOKALIKES
from openstackai_sessions_conformance._views import document, entry
from openstackai_sessions_core import SessionError, ValidationError, open_async_store

__all__ = ["AsyncSecurityChecks"]

HOSTILE = [
    "x'; DROP TABLE sessions; --", 'x"; DROP TABLE sessions; --', "x`", "x; SELECT 1", "x) OR (1=1", "x/*", "x--",
    "$(id)", "{x}", "%(x)s", "%s", "x\\", "x*", "[x]", "../x", "a b", "é", "SELECT", "user", "KEYS *", "x\u2028y",
    "\U0001f600", "return redis.call('FLUSHALL')",
]  # fmt: skip
CANARY = "canary-7Hq2vX"


class AsyncSecurityChecks:
    """The checks of group M."""

    @check(91, cause="a name or an argument is put into a statement, a pattern or a script")
    async def test_091_hostile_names_are_literal(self, scene: AsyncScene) -> None:
        """What users name - messages, operations, prefixes, tables and schemas - is taken literally or refused."""
        await scene.session("safe").add_messages([{"n": 1}, {"n": 2}])
        await scene.session("safe").set("k", 1)
        before = await scene.session("safe").export()
        for name in HOSTILE:
            session = scene.session()
            (message,) = await session.add_messages([{"n": name}], ids=[name], op_id=name)
            same(message.id, name, "the id of the message")
            (again,) = await session.add_messages([{"n": name}], ids=[name])
            same(again.position, message.position, f"the position of the message {name!r}, found by its id")
            await session.add_messages([{"n": name}], ids=[name], op_id=name)
            same(await session.count(), 1, f"count() after repeating the operation {name!r}")
            await session.set("k", name, op_id=name + "2")
            same(await session.get("k"), name, "the metadata value")
            same(await scene.store.list_sessions(name), [], f"list_sessions({name!r})")
            await scene.store.list_sessions(after=name)
            await session.import_data(document(entry(name, n=name), session_id=name, metadata={name: name}))
            same(await session.metadata(), {name: name}, "metadata after importing a document with hostile names")
            await session.delete()
        same(await scene.session("safe").export(), before, "another session after all of it")
        if scene.place.named is not None:
            for name in [*HOSTILE, "", "x" * 300, "a\x00b", "\ud800"]:
                try:
                    store = await open_on(scene.place.named(name))
                    await store.session("s").add_message("user", name.encode(errors="replace").decode())
                    same(await store.session("s").count(), 1, f"count() under the name {name!r}")
                    await store.session("s").delete()
                    await store.close()
                except (SessionError, ValueError):
                    continue
            same(await scene.session("safe").export(), before, "our session after stores with hostile names")

    @check(92, cause="arguments or addresses in repr, in messages of errors, or in logs")
    async def test_092_secrets_never_appear(self, scene: AsyncScene) -> None:
        """Passwords and content are absent from repr, errors with their causes, logs, warnings and pickles."""
        secrets = [*scene.place.secrets, CANARY]
        texts: list[tuple[str, str]] = []
        records: list[logging.LogRecord] = []
        listener = Listener(records)
        roots = [logging.getLogger(name) for name in ("", "openstackai_sessions")]
        levels = [logger.level for logger in roots]
        for logger in roots:
            logger.addHandler(listener)
            logger.setLevel(logging.DEBUG)
        session = scene.session()
        closed = await scene.fresh()
        await closed.close()
        failing: list[Callable[[], Awaitable[object]]] = [
            lambda: session.add_message("user", CANARY, id="x" * 999),
            lambda: session.add_messages([{"content": CANARY, "x": {1, 2}}]),
            lambda: session.add_message("user", {"nested": {"password": CANARY, "x": b"1"}}),
            lambda: session.add_message("user", CANARY + " other", id="taken"),
            lambda: session.set("k", {"x": CANARY, "y": {1}}),
            lambda: session.set("k", CANARY * 200_000),
            lambda: session.import_data(document(entry("a", text=CANARY), {"id": "b"})),
            lambda: closed.session("s").add_message("user", CANARY),
            lambda: closed.session("s").get_messages(),
        ]
        try:
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                hear_all(session)
                await session.add_message("user", CANARY, id="taken")
                await session.set("key", CANARY)
                await session.get_messages()
                for call in failing:
                    try:
                        await call()
                    except SessionError as error:
                        chain = "".join(traceback.format_exception_only(type(error), error))
                        for cause in (error.__cause__, error.__context__):
                            chain += repr(cause)
                        texts.append(("the text of an error", chain))
        finally:
            for logger, level in zip(roots, levels, strict=True):
                logger.removeHandler(listener)
                logger.setLevel(level)
        same(len(texts), len(failing), "the number of calls that were refused")
        texts += [("a warning", str(one.message)) for one in warned]
        texts += [("a log record", record.getMessage() + repr(record.args)) for record in records]
        for name, thing in (("store", scene.store), ("handle", session), ("closed store", closed)):
            texts += [(f"repr of a {name}", repr(thing)), (f"str of a {name}", str(thing))]
            try:
                texts.append((f"pickle of a {name}", repr(pickle.dumps(thing))))
            except TypeError as error:
                texts.append((f"the refusal to pickle a {name}", str(error)))
        for what, text in texts:
            found = [secret for secret in secrets if secret and secret in text]
            require(not found, f"no secret in {what}", text.replace(CANARY, "<the canary>")[:300])

    @check(94, cause="any URL is tried, or unknown parameters are ignored")
    async def test_094_only_declared_schemes_open(self, scene: AsyncScene) -> None:
        """`open_store` refuses schemes and query parameters that nobody has declared."""
        for url in (
            "file:///etc/passwd",
            "http://127.0.0.1/x",
            "pickle:x",
            "python:os.system",
            "",
            "x",
            "://",
            "javascript:1",
        ):
            with refuses(ValidationError, f"open_store({url!r})"):
                open_async_store(url)
        with refuses(ValidationError, "open_store('memory://?nonsense=1')"):
            open_async_store("memory://?nonsense=1")
        same(await scene.store.list_sessions(), [], "list_sessions()")

    @check(95, cause="pickle, yaml or eval somewhere on the way back")
    async def test_095_reading_runs_no_code(self, scene: AsyncScene) -> None:
        """Content that other formats would run comes back as text, and is never logged."""
        session = scene.session()
        bombs = [
            *LOOKALIKES,
            'c__builtin__\neval\n(S\'open("/tmp/x","w")\'\ntR.',
            "!!python/object/apply:os.system ['true']",
            '{"py/reduce": [{"py/type": "os.system"}, {"py/tuple": ["true"]}]}',
        ]
        records: list[logging.LogRecord] = []
        listener = Listener(records)
        logger = logging.getLogger()
        logger.addHandler(listener)
        level = logger.level
        logger.setLevel(logging.DEBUG)
        try:
            await session.add_messages([{"content": bomb, "__reduce__": bomb, "py/object": bomb} for bomb in bombs])
            await session.update({f"key {number}": bomb for number, bomb in enumerate(bombs)})
            await session.add_message("user", CANARY)
            messages = await session.get_messages()
            same([message.content for message in messages[:-1]], bombs, "the contents")
            exported: Any = await session.export()
            await session.import_data(exported)
            await session.pop_message()
            same([message.content for message in await session.get_messages()], bombs, "the contents after an import")
        finally:
            logger.removeHandler(listener)
            logger.setLevel(level)
        logged = [record.getMessage() for record in records if CANARY in record.getMessage() + repr(record.args)]
        require(not logged, "logs without content", logged[:1])
