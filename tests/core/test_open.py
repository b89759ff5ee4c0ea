"""Opening stores by URL, and what the front of the core promises."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint

import pytest

from openstackai_sessions_core import (
    AsyncInMemoryStore,
    InMemorySession,
    InMemoryStore,
    Limits,
    Message,
    Session,
    SessionEvent,
    ValidationError,
    _open,
    open_async_store,
    open_store,
)
from openstackai_sessions_core.backend import ImportedMessage, NewMessage, Operation, SessionImport


def test_memory_is_new_each_time() -> None:
    one, two = open_store("memory://"), open_store("memory://")
    assert type(one) is InMemoryStore
    one.session("s").add_message("user", "x")
    assert two.session("s").count() == 0
    assert type(open_async_store("memory:///")) is AsyncInMemoryStore


@pytest.mark.parametrize(
    "url",
    [
        "memory://host",
        "memory:///path",
        "memory://?x=1",
        "memory://[",
        "",
        "x",
        "/path",
        "://",
        "a b://x",
        5,
        None,
        "sqlite:///a\tb.db",
        "sqlite:///a\n.db",
        "sqlite:///\ud800.db",
    ],
)
def test_bad_urls_are_refused(url: object) -> None:
    with pytest.raises(ValidationError):
        open_store(url)  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        open_async_store(url)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("scheme", "extra"), [("redis", "redis"), ("rediss", "redis"), ("postgresql", "postgres"), ("sqlite", "sqlite")]
)
def test_a_backend_that_is_missing_says_what_to_install(
    scheme: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_open, "entry_points", lambda group: [])
    for opener in (open_store, open_async_store):
        with pytest.raises(ImportError, match=rf"pip install 'openstackai-sessions\[{extra}\]'") as caught:
            opener(f"{scheme}://user:secret@host/db")
        assert "secret" not in str(caught.value)


def test_unknown_schemes_are_refused_without_telling_the_url() -> None:
    with pytest.raises(ValidationError, match="'mongodb'") as caught:
        open_store("mongodb://user:secret@host/db")
    assert "secret" not in str(caught.value)


def test_third_parties_add_schemes(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("third", "openstackai_sessions_core:InMemoryStore", _open.GROUP)
    opened: list[str] = []

    def open_third(url: str) -> InMemoryStore:
        opened.append(url)
        return InMemoryStore()

    monkeypatch.setattr(_open, "entry_points", lambda group: [entry] if group == _open.GROUP else [])
    monkeypatch.setattr(EntryPoint, "load", lambda _: open_third)
    assert type(open_store("third://place")) is InMemoryStore
    assert opened == ["third://place"]


def test_sessions_in_memory_are_private_unless_a_store_is_shared() -> None:
    InMemorySession("s").add_message("user", "x")
    assert InMemorySession("s").count() == 0
    store = InMemoryStore()
    InMemorySession("s", store=store).add_message("user", "x")
    assert InMemorySession("s", store=store).count() == 1
    with pytest.raises(ValidationError, match="store"):
        InMemorySession("s", store="sessions.db")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [
        {"retry_timeout": -1},
        {"retry_timeout": "5"},
        {"retry_timeout": 10**400},
        {"op_id_ttl": 29},
        {"op_id_ttl": float("nan")},
        {"op_id_ttl": 1e308},
        {"op_id_ttl": 1e13},
        {"op_id_ttl": 10**400},
        {"retry_timeout": 700},
        {"limits": 5},
        {"clock": 5},
    ],
)
def test_bad_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(
        ValidationError, match=next(iter(options)) if options != {"retry_timeout": 700} else "op_id_ttl"
    ):
        InMemoryStore(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [0, -1, 1.0, True, "5", None])
def test_bad_limits_are_refused(value: object) -> None:
    with pytest.raises(ValidationError, match="message_bytes"):
        Limits(message_bytes=value)  # type: ignore[arg-type]


def test_messages_can_be_made_for_tests() -> None:
    from datetime import datetime, timezone

    now = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=timezone.utc)
    message = Message({"role": "user", "content": "x"}, id="m", position=1, created_at=now)
    assert (message.id, message.position, message.created_at, message.role) == ("m", 1, now, "user")
    assert repr(message) == "Message({'role': 'user', 'content': 'x'}, id='m', position=1)"


def test_ten_thousand_handles_cost_microseconds() -> None:
    store = InMemoryStore()
    begun = time.perf_counter()
    handles = [Session(store, f"s{index}") for index in range(10_000)]
    assert time.perf_counter() - begun < 2
    assert len(handles) == 10_000


def test_threads_dispatch_independently() -> None:
    store = InMemoryStore()
    inside, release = threading.Event(), threading.Event()
    one, two = store.session("s"), store.session("t")
    seen: list[str] = []

    def wait(_: object) -> None:
        inside.set()
        release.wait(5)

    one.on(SessionEvent.MESSAGE_ADDED, wait)
    two.on(SessionEvent.MESSAGE_ADDED, lambda _: seen.append("two"))
    thread = threading.Thread(target=one.add_message, args=("user", "x"))
    thread.start()
    assert inside.wait(5)
    two.add_message("user", "y")
    assert seen == ["two"], "another thread's handler holds nobody up"
    release.set()
    thread.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_memory_works_after_a_fork_under_load() -> None:
    store = InMemoryStore()
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            store.session("busy").add_message("user", "x")

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    store.session("child").add_message("user", "x")
                    code = 0 if store.session("child").count() == 1 else 2
                finally:
                    os._exit(code)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert store.session("child").count() == 0


HUGE = 10**5000


@pytest.mark.parametrize(
    "call",
    [
        lambda session: session.get_messages(-HUGE),
        lambda session: session.get_messages(before=-HUGE),
        lambda session: session.iter_messages(page_size=-HUGE),
        lambda session: session.add_messages([{HUGE: 1}]),
        lambda session: session.import_data({}, mode=HUGE),
        lambda session: session.on(HUGE, print),
        lambda session: session.on(SessionEvent.MESSAGE_ADDED, HUGE),
        lambda session: session.store.session("s", ttl=HUGE),
        lambda _: InMemoryStore(op_id_ttl=HUGE),
        lambda _: Limits(message_bytes=-HUGE),
    ],
)
def test_numbers_too_long_to_print_are_refused_like_others(call: Callable[[Session], object]) -> None:
    with pytest.raises(ValidationError):
        call(InMemorySession())


def test_handlers_registered_by_many_threads_are_all_called() -> None:
    session = InMemorySession()
    called: list[Message] = []
    barrier = threading.Barrier(8)

    def register() -> None:
        barrier.wait()
        for _ in range(250):
            session.on(SessionEvent.MESSAGE_ADDED, called.append)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=register) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    session.add_message("user", "x")
    assert len(called) == 8 * 250


def test_an_append_struck_by_ctrl_c_leaves_no_part_of_a_batch() -> None:
    class Struck(list[NewMessage]):
        def __iter__(self) -> Iterator[NewMessage]:
            yield self[0]
            yield self[1]
            raise KeyboardInterrupt

    store, op = InMemoryStore(), Operation("op", b"")
    batch = [NewMessage(str(index), b"{}", given=True) for index in range(3)]
    with pytest.raises(KeyboardInterrupt):
        store.append("s", op, Struck(batch), ttl=None)
    assert store.read("s", limit=None, before=None) == []
    assert store.append("s", op, batch, ttl=None).added == [True, True, True]
    assert [record[0] for record in store.read("s", limit=None, before=None)] == [1, 2, 3]


def test_an_import_struck_by_ctrl_c_keeps_the_old_content() -> None:
    class Struck(str):
        __slots__ = ()

        def __hash__(self) -> int:
            raise KeyboardInterrupt

    store = InMemoryStore()
    session = store.session("s")
    session.add_message("user", "kept")
    content = SessionImport(None, [ImportedMessage("a", 1, b"{}"), ImportedMessage(Struck("b"), 1, b"{}")], {}, False)
    with pytest.raises(KeyboardInterrupt):
        store.replace("s", Operation("op", b""), content, ttl=None)
    assert session.get_messages() == [{"role": "user", "content": "kept"}]
