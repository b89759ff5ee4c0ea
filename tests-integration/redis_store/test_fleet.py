"""Many threads and processes on one session, starts on an empty server, moves between backends."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from openstackai_sessions_core import InMemorySession, Message, Session
from openstackai_sessions_redis import RedisSession, RedisStore
from openstackai_sessions_sqlite import SQLiteSession
from redis_store.conftest import FULL, RedisPlace

WORKER = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from openstackai_sessions_redis import RedisStore
place, kind, threads, each, process = json.loads(sys.argv[1])
store = RedisStore(**place)

def append(thread):
    session = store.session("s")
    for number in range(each):
        session.add_message("user", [process, thread, number])
        if number % 10 == 0:
            session.set(f"{process} {thread} {number}", number)
    return each

def pop(thread):
    session = store.session("s")
    taken = []
    while (message := session.pop_message()) is not None:
        taken.append(message["n"])
    return taken

sys.stdin.readline()
with ThreadPoolExecutor(threads) as pool:
    done = list(pool.map({"append": append, "pop": pop}[kind], range(threads)))
print(json.dumps(done))
"""


def run(place: RedisPlace, kind: str, *, processes: int, threads: int, each: int = 0) -> list[Any]:
    """The results of workers that begin at the same moment."""
    where = {"url": place.url, "prefix": place.prefix, "cluster": place.cluster}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, json.dumps([where, kind, threads, each, number])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for number in range(processes)
    ]  # fmt: skip
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    results = []
    for worker in workers:
        out, _ = worker.communicate(timeout=300)
        assert worker.returncode == 0
        results += json.loads(out)
    return results


def test_eight_thousand_appends_of_eight_processes(place: RedisPlace, store: RedisStore) -> None:
    run(place, "append", processes=8, threads=4, each=250)
    session = store.session("s")
    messages = session.get_messages()
    contents: list[Any] = [message.content for message in messages]
    assert len(messages) == 8_000
    assert [message.position for message in messages] == list(range(1, 8_001))
    for process in range(8):
        for thread in range(4):
            own = [content[2] for content in contents if content[:2] == [process, thread]]
            assert own == list(range(250)), "each once, in the order in which it was written"
    assert list(session.iter_messages()) == messages
    assert len(session.metadata()) == 8 * 4 * 25, "no key was lost"


def test_two_thousand_pops_of_two_processes(place: RedisPlace, store: RedisStore) -> None:
    store.session("s").add_messages([{"n": number} for number in range(2_000)])
    taken = run(place, "pop", processes=2, threads=8)
    assert sorted(number for one in taken for number in one) == list(range(2_000))
    for one in taken:
        assert one == sorted(one, reverse=True)


IMPORTED = {
    "format": "openstackai-session", "version": 1, "session_id": "x", "created_at": None,
    "metadata": {"batch": "import"},
    "messages": [{"id": f"import {n}", "created_at": "2026-01-01T00:00:00.000000Z",
                  "data": {"batch": "import", "n": n}} for n in range(3)],
}  # fmt: skip


def test_racing_writes_never_bring_back_double_or_tear(store: RedisStore) -> None:
    """Appends in batches of three against pop, clear, delete and import, with readers that look on."""
    stop = threading.Event()
    gone: set[object] = set()
    popped: list[Message] = []
    lock = threading.Lock()

    def append(worker: int) -> None:
        session = store.session("s")
        number = 0
        while not stop.is_set():
            session.add_messages([{"batch": [worker, number], "n": n} for n in range(3)])
            number += 1

    def disturb(seed: int) -> None:
        rng, session = random.Random(seed), store.session("s")
        for _ in range(250):
            seen = {json.dumps(message["batch"]) for message in session.get_messages() if message["batch"] != "import"}
            end = rng.choice([session.clear, session.delete, lambda: session.import_data(IMPORTED), None])
            if end is not None:
                end()
                with lock:
                    gone.update(seen)

    def pop() -> None:
        session = store.session("popped")
        while not stop.is_set():
            session.add_messages([{"batch": "p", "n": n} for n in range(3)])
            while (message := session.pop_message()) is not None:
                with lock:
                    popped.append(message)

    def look() -> None:
        session = store.session("s")
        while not stop.is_set():
            with lock:
                known = set(gone)
            messages = session.get_messages()
            positions = [message.position for message in messages]
            assert positions == sorted(set(positions))
            batches = [json.dumps(message["batch"]) for message in messages]
            assert len(messages) % 3 == 0
            for start in range(0, len(messages), 3):
                assert len(set(batches[start : start + 3])) == 1, "a batch stays whole"
            assert len({*batches}) == len(batches) // 3, "nothing is doubled"
            assert not known & set(batches), "nothing comes back"

    with ThreadPoolExecutor(10) as pool:
        others = [pool.submit(append, worker) for worker in range(3)]
        others += [pool.submit(pop) for _ in range(2)] + [pool.submit(look) for _ in range(2)]
        for one in [pool.submit(disturb, seed) for seed in range(2)]:
            one.result()
        stop.set()
        for one in others:
            one.result()
    keys = [(message.id, message.position) for message in popped]
    assert len(keys) == len(set(keys))


def test_forced_interleavings_of_two_writers(store: RedisStore) -> None:
    """Each operation is one step on the server, so that every order of two is an order of whole operations."""

    def state(session: Session) -> object:
        document = session.export()
        return [message["data"] for message in document["messages"]], document["metadata"]  # type: ignore[index, union-attr, call-overload]

    def calls(session: Session) -> dict[str, Any]:
        return {
            "append": lambda: session.add_messages([{"n": "new 1"}, {"n": "new 2"}]),
            "pop": session.pop_message,
            "clear": session.clear,
            "delete": session.delete,
            "set": lambda: session.set("k", "new"),
            "import": lambda: session.import_data(document),
        }

    source = store.session("source")
    source.add_messages([{"n": "imported"}])
    source.set("k", "imported")
    document = source.export()
    count = 0
    for first in calls(source):
        for second in calls(source):
            expected = []
            for order in ((first, second), (second, first)):
                count += 1
                session = store.session(f"expected {count}")
                session.add_messages([{"n": 1}, {"n": 2}])
                for name in order:
                    calls(session)[name]()
                expected.append(state(session))
            for attempt in range(6):
                session = store.session(f"{first} {second} {attempt}")
                session.add_messages([{"n": 1}, {"n": 2}])
                barrier = threading.Barrier(2)

                def go(name: str, session: Session = session, barrier: threading.Barrier = barrier) -> None:
                    barrier.wait()
                    calls(session)[name]()

                threads = [threading.Thread(target=go, args=(name,)) for name in (first, second)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                assert state(session) in expected, (first, second)


START = """
import os, sys
from openstackai_sessions_redis import RedisSession
url, prefix, cluster, rounds = sys.argv[1], sys.argv[2], sys.argv[3] == "True", int(sys.argv[4])
for round_ in range(rounds):
    here = f"{prefix}:{round_}"
    wait, go = os.pipe()
    children = []
    for number in range(64):
        pid = os.fork()
        if pid == 0:
            try:
                os.close(go)
                os.read(wait, 1)
                session = RedisSession(url=url, prefix=here, session_id="s", cluster=cluster)
                session.add_message("user", number)
                assert session.count() > 0
            except BaseException as error:
                print(repr(error), file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        children.append(pid)
    os.close(wait)
    os.close(go)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 64
    with RedisSession(url=url, prefix=here, session_id="s", cluster=cluster) as session:
        assert sorted(message.content for message in session.get_messages()) == list(range(64))
"""


# A hundred rounds take minutes: ten tests of ten, each with the time that a test has.
@pytest.mark.parametrize("part", range(10 if FULL else 1))
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_sixty_four_processes_start_on_an_empty_server(place: RedisPlace, part: int) -> None:
    arguments = [place.url, f"{place.prefix}:{part}", str(place.cluster), "10" if FULL else "5"]
    done = subprocess.run(
        [sys.executable, "-c", START, *arguments], capture_output=True, text=True, check=False, timeout=600
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_conversation_goes_from_file_to_redis_to_memory_and_back(place: RedisPlace, tmp_path: Path) -> None:
    first = SQLiteSession(str(tmp_path / "first.db"), "user-123")
    first.add_messages([{"role": "user", "content": value} for value in (1, 1.0, True, "\ud800", {"b": 1, "a": -0.0})])
    first.add_message("tool", None, id="call 1", result=[1e16, 5e-324])
    first.pop_message()
    first.add_message("tool", None, id="call 2", result=[1e16, 5e-324])
    first.update({"theme": "dark", "n": 0.1})
    redis = RedisSession(url=place.url, prefix=place.prefix, cluster=place.cluster, session_id="user-123")
    memory = InMemorySession("user-123")
    last = SQLiteSession(str(tmp_path / "last.db"), "user-123")
    document = first.export()
    for session in (redis, memory, last):
        session.import_data(json.dumps(document))
        assert json.dumps(session.export()) == json.dumps(document)
        document = session.export()
    assert [(message, message.id, message.created_at) for message in last.get_messages()] == [
        (message, message.id, message.created_at) for message in first.get_messages()
    ]


HOSTILE = [
    "x", "X", "x ", " x", "x:", ":x", "x:messages", "x:log", "log:x", "state:x", "{x}", "{x", "x}", "}{", "{}", "{}x",
    "x*", "*", "?", "[x]", "x\\", "x%00", "%", "x/y", "../x", "a:{0}:log:x", "é", "e\u0301", "ß", "ẞ", "İ", "i\u0307",
    "\u200bx", "\ufeffx", "\uffff", "\U0010ffff", "🎉" * 128, "x" * 512, "x" * 511, "index", "deadlines", "ops-older:x",
    "'", '"', "x\u00a0", "\u202ex", "0", "00", "-1", "nil", "None", "EVAL", "$1", "@all",
]  # fmt: skip


def test_ids_built_to_collide_are_isolated(place: RedisPlace, store: RedisStore) -> None:
    prefixes = [place.prefix, f"{place.prefix}:log", f"{place.prefix}:x"]
    stores = [RedisStore(url=place.url, prefix=prefix, cluster=place.cluster) for prefix in prefixes]
    assert len(set(HOSTILE)) == len(HOSTILE)
    sessions = {(number, id): one.session(id, ttl=1_000) for number, one in enumerate(stores) for id in HOSTILE}
    for (number, id), session in sessions.items():
        session.add_messages([{"id": id, "store": number}], ids=["same"])
        session.set("id", [number, id])

    def look() -> dict[tuple[int, str], object]:
        return {key: (session.get_messages(), session.metadata()) for key, session in sessions.items()}

    before = look()
    for (number, id), found in before.items():
        assert found == ([{"id": id, "store": number}], {"id": [number, id]})
    for key, session in list(sessions.items())[:: 1 if FULL else 7]:
        for call in (
            session.pop_message,
            session.clear,
            session.delete,
            partial(session.add_message, "user", "new"),
        ):
            call()
        after = look()
        assert {one for one in before if after[one] != before[one]} == {key}
        session.delete()
        session.add_messages([{"id": key[1], "store": key[0]}], ids=["same"])
        session.set("id", [key[0], key[1]])
    for one in stores:
        listed = [info.id for info in one.list_sessions(limit=1_000)]
        assert listed == sorted(HOSTILE, key=str.encode)
        for prefix in ("x", "{", "é", "🎉", "*", "x:"):
            expected = [id for id in listed if id.startswith(prefix)]
            assert [info.id for info in one.list_sessions(prefix)] == expected
        one.close()


def test_a_listing_of_many_sessions_pages_through_all(place: RedisPlace, store: RedisStore) -> None:
    ids = sorted({f"{random.Random(n).randrange(10**6):x}/{n}" for n in range(3_000)}, key=str.encode)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: store.session(name).set("k", 1), ids))
    for limit in (1, 7, 100, 999, 5_000):
        seen: list[str] = []
        after: str | None = None
        while page := store.list_sessions(after=after, limit=limit):
            assert len(page) <= limit
            seen += [info.id for info in page]
            after = page[-1].id
            if limit == 1 and len(seen) > 300:
                break
        assert seen == ids[: len(seen)]
        assert len(seen) > 300
    assert [info.id for info in store.list_sessions("a", limit=5_000)] == [id for id in ids if id.startswith("a")]
    assert store.list_sessions(after=ids[-1]) == []
    assert store.list_sessions("zzz") == []
    assert store.list_sessions(limit=0) == []
    assert os.environ.get("CI") or len(ids) == 3_000


def test_a_batch_of_ten_thousand_is_one_step(store: RedisStore) -> None:
    session = store.session("s")
    stop = threading.Event()
    seen: set[int] = set()

    def look() -> None:
        reader = store.session("s")
        while not stop.is_set():
            seen.add(reader.count())

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look)
        messages = session.add_messages([{"n": number, "text": "x" * 200} for number in range(10_000)])
        stop.set()
        looking.result()
    assert seen <= {0, 10_000}
    assert session.get_messages() == messages
    given = store.session("given")
    given.add_messages([{"n": number} for number in range(10_000)], ids=[f"id {n}" for n in range(10_000)])
    again = given.add_messages([{"n": number} for number in range(10_000)], ids=[f"id {n}" for n in range(10_000)])
    assert [message.position for message in again] == list(range(1, 10_001))
    assert given.count() == 10_000


@pytest.mark.parametrize("size", [16 * 1024 * 1024 - 40])
def test_the_largest_message_comes_back(store: RedisStore, size: int) -> None:
    session = store.session("s")
    message = session.add_message("user", "é" * (size // 2))
    assert session.get_messages() == [message]
    assert list(session.iter_messages()) == [message]
    assert session.pop_message(op_id="pop") == message
    assert session.pop_message(op_id="pop") == message
