"""Several processes on one file: nothing is lost, doubled, brought back or torn, also when one of them is killed.

The loops are short here. `SQLITE_ROUNDS=100 pytest test_processes.py` runs each a hundred times as long.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from openstackai_sessions_sqlite import SQLiteStore, _operations, _plans

Run = Callable[..., str]
Start = Callable[..., "subprocess.Popen[str]"]

ROUNDS = int(os.environ.get("SQLITE_ROUNDS", "1"))


def finish(*processes: subprocess.Popen[str]) -> list[str]:
    """Let all processes go at the same time, wait for them, and return what they printed."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.communicate()[1]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = []
    for process in processes:
        output, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        outputs.append(output)
    return outputs


def check_whole(path: Path) -> None:
    """The file is sound, and what it says about itself is true."""
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        held = "SELECT s.session_id FROM sessions AS s WHERE s.session_id IS NOT NULL AND s.count <> (SELECT count(*)"
        assert db.execute(f"{held} FROM messages AS m WHERE m.session = s.key)").fetchall() == []
        beyond = "SELECT 1 FROM messages AS m JOIN sessions AS s ON s.key = m.session WHERE s.session_id IS NOT NULL"
        assert db.execute(f"{beyond} AND m.position >= s.next_position").fetchall() == []


APPENDS = """
    import sys, threading
    from openstackai_sessions_sqlite import SQLiteSession
    path, process, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    print("ready", flush=True)
    sys.stdin.readline()
    failures = []
    def append(thread):
        try:
            session = SQLiteSession(path, "shared")
            last = 0
            for number in range(count):
                message = session.add_message("user", f"{process} {thread} {number}")
                assert message.position > last
                last = message.position
        except BaseException as error:
            failures.append(error)
    threads = [threading.Thread(target=append, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
"""


def test_two_processes_of_eight_threads_append_to_one_session(path: Path, start: Start) -> None:
    count = 500
    finish(*(start(APPENDS, path, process, count) for process in range(2)))
    with SQLiteStore(path) as store:
        messages = store.session("shared").get_messages()
    assert [message.position for message in messages] == list(range(1, 2 * 8 * count + 1))
    contents = [str(message.content) for message in messages]
    assert len(set(contents)) == len(contents)
    for process, thread in itertools.product(range(2), range(8)):
        own = [int(text.split()[2]) for text in contents if text.startswith(f"{process} {thread} ")]
        assert own == list(range(count))
    check_whole(path)


OPENS = """
    import os, sys, traceback
    from openstackai_sessions_sqlite import SQLiteSession
    path, count = sys.argv[1], int(sys.argv[2])
    waiting, go = os.pipe()
    children = []
    for number in range(count):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.close(go)
                os.read(waiting, 1)  # ends for all at once, when the parent closes the other end
                session = SQLiteSession(path, "shared")
                session.add_message("user", str(number))
                assert session.get_messages()
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        children.append(child)
    os.close(go)
    assert all(os.waitpid(child, 0)[1] == 0 for child in children)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="64 interpreters would take a minute to start; forks start at once")
@pytest.mark.parametrize("round_", range(3 * ROUNDS))
def test_sixty_four_processes_start_on_no_file_at_all(path: Path, run: Run, round_: int) -> None:
    run(OPENS, path, 64)
    with SQLiteStore(path) as store:
        contents = [str(message.content) for message in store.session("shared").get_messages()]
    assert sorted(contents, key=int) == [str(number) for number in range(64)]
    check_whole(path)


RACES = """
    import sys
    from openstackai_sessions_sqlite import SQLiteSession
    path, what, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    session = SQLiteSession(path, "shared")
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(count):
        if what == "append":
            first, second = session.add_messages([{"n": number, "part": 1}, {"n": number, "part": 2}])
            assert second.position == first.position + 1
            print("appended", number, first.position, second.position)
        elif what == "pop":
            message = session.pop_message()
            if message is not None:
                print("popped", message["n"], message["part"], message.position)
        elif what == "clear":
            session.clear()
        elif what == "delete":
            session.delete()
        elif what == "import":
            session.import_data({"format": "openstackai-session", "version": 1, "session_id": "x", "created_at": None,
                                 "messages": [], "metadata": {"k": number}})
        elif what == "read":
            messages = session.get_messages()
            positions = [message.position for message in messages]
            assert positions == sorted(set(positions))
"""


def events(outputs: list[str], name: str) -> list[tuple[int, ...]]:
    lines = (line.split() for output in outputs for line in output.splitlines())
    return [tuple(map(int, line[1:])) for line in lines if line[0] == name]


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_each_message_is_popped_once_or_still_there(path: Path, start: Start, round_: int) -> None:
    outputs = finish(
        *(start(RACES, path, "append", 150) for _ in range(2)),
        *(start(RACES, path, "pop", 200) for _ in range(2)),
        start(RACES, path, "read", 60),
    )
    appended = [place for _, first, second in events(outputs, "appended") for place in (first, second)]
    popped = [place for _, _, place in events(outputs, "popped")]
    with SQLiteStore(path) as store:
        left = [message.position for message in store.session("shared").get_messages()]
    assert len(appended) == len(set(appended)) == 600
    assert len(popped) == len(set(popped))
    assert sorted(popped + left) == sorted(appended)
    check_whole(path)


@pytest.mark.parametrize("what", ["clear", "delete", "import"])
@pytest.mark.parametrize("round_", range(ROUNDS))
def test_nothing_that_was_removed_comes_back(path: Path, start: Start, what: str, round_: int) -> None:
    outputs = finish(
        *(start(RACES, path, "append", 150) for _ in range(2)),
        start(RACES, path, what, 60),
        start(RACES, path, "read", 60),
    )
    appended = [(number, place) for number, first, second in events(outputs, "appended") for place in (first, second)]
    assert len(appended) == 600
    with SQLiteStore(path) as store:
        left = store.session("shared").get_messages()
        # What is left is the end of what was appended, with no gap: a removal takes all that was there before it.
        places = [message.position for message in left]
        assert places == list(range(places[0], places[0] + len(places))) if places else True
        parts = [message["part"] for message in left]
        assert parts == [1, 2] * (len(parts) // 2), "a batch was torn"
        if what != "delete":  # which begins positions again
            assert places == sorted(place for _, place in appended)[len(appended) - len(places) :]
        store.session("shared").delete()
        assert store.session("shared").get_messages() == []
        store.purge_expired()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM messages").fetchone() == (0,)
    check_whole(path)


KILLED = """
    import asyncio, itertools, sys, threading
    from openstackai_sessions_sqlite import AsyncSQLiteSession, SQLiteSession
    path, run = sys.argv[1], sys.argv[2]
    lock = threading.Lock()
    def say(*words):
        with lock:
            print(*words, flush=True)
    def work(name):
        session = SQLiteSession(path, name)
        for number in itertools.count():
            session.add_messages([{"run": run, "n": number, "part": part} for part in range(3)])
            say(name, run, number)
    async def work_async():
        async def task(name):
            session = AsyncSQLiteSession(path, name)
            for number in itertools.count():
                await session.add_messages([{"run": run, "n": number, "part": part} for part in range(3)])
                say(name, run, number)
        await asyncio.gather(*(task(f"task-{number}") for number in range(8)))
    print("ready", flush=True)
    for number in range(2):
        threading.Thread(target=work, args=(f"thread-{number}",), daemon=True).start()
    asyncio.run(work_async())
"""


def test_what_was_acknowledged_survives_a_kill_at_any_moment(path: Path, start: Start) -> None:
    acknowledged: set[tuple[str, str, int]] = set()
    for run in range(6 * ROUNDS):
        process = start(KILLED, path, run)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(random.uniform(0, 0.15))
        process.send_signal(signal.SIGKILL)
        output, _ = process.communicate(timeout=60)
        for line in output.splitlines(keepends=True):
            if line.endswith("\n"):
                name, killed, number = line.split()
                acknowledged.add((name, killed, int(number)))
        with SQLiteStore(path) as store:
            found: dict[tuple[str, str, int], list[int]] = {}
            for info in store.list_sessions():
                for message in store.session(info.id).get_messages():
                    key = (info.id, str(message["run"]), int(str(message["n"])))
                    found.setdefault(key, []).append(int(str(message["part"])))
        assert all(parts == [0, 1, 2] for parts in found.values()), "part of a batch"
        assert acknowledged <= set(found), "an acknowledged batch is missing"
        check_whole(path)
    assert acknowledged


KILLED_IN_AN_IMPORT = """
    import sys
    from openstackai_sessions_sqlite import SQLiteSession
    session = SQLiteSession(sys.argv[1], "a")
    document = {"format": "openstackai-session", "version": 1, "session_id": "a", "created_at": None, "metadata": {},
                "messages": [{"id": f"m{n}", "created_at": "2024-01-01T00:00:00.000000Z", "data": {"n": n}}
                             for n in range(20_000)]}
    print("ready", flush=True)
    session.import_data(document)
    print("done", flush=True)
"""


@pytest.mark.parametrize("round_", range(2 * ROUNDS))
def test_a_large_import_that_is_killed_leaves_the_old_or_the_new(path: Path, start: Start, round_: int) -> None:
    with SQLiteStore(path, clock=lambda: time.time() - 10_000) as store:
        store.session("a").add_message("user", "old", id="old")
    process = start(KILLED_IN_AN_IMPORT, path)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(random.uniform(0.05, 0.5))
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    with SQLiteStore(path) as store:
        ids = [message.id for message in store.session("a").get_messages()]
        assert ids in (["old"], [f"m{number}" for number in range(20_000)])
        store.session("a").add_message("user", "on it goes")
    with SQLiteStore(path, clock=lambda: time.time() + 3_700) as later:
        later.purge_expired()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM sessions").fetchone() == (1,)
        assert db.execute("SELECT count(*) FROM messages").fetchone() == (len(ids) + 1,)
    check_whole(path)


APPENDS_SLOWLY = """
    import sys
    from openstackai_sessions_sqlite import SQLiteSession
    session = SQLiteSession(sys.argv[1], "a")
    print("ready", flush=True)
    for line in sys.stdin:
        session.add_message("user", "between")
        print("added", flush=True)
"""


def test_appends_between_the_steps_of_a_large_import_are_replaced_and_positions_go_on(
    path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_plans, "LARGE_IMPORT", 10)
    monkeypatch.setattr(_operations, "STAGE", 10)
    other = start(APPENDS_SLOWLY, path)
    assert other.stdout is not None
    assert other.stdin is not None
    assert other.stdout.readline() == "ready\n"
    with SQLiteStore(path) as store:
        session = store.session("a")
        session.add_message("user", "old")
        session.set("k", 1)
        stage = _operations.stage

        def stage_and_let_another_append(*arguments: object) -> object:
            result = stage(*arguments)  # type: ignore[arg-type]
            waiting.append(1)
            return result

        waiting: list[int] = []
        write = store._database.write

        def write_then_append(run: Callable[[sqlite3.Connection], object]) -> object:
            result = write(run)
            if waiting:
                waiting.clear()
                assert other.stdin is not None
                assert other.stdout is not None
                other.stdin.write("go\n")
                other.stdin.flush()
                assert other.stdout.readline() == "added\n"
            return result

        monkeypatch.setattr(_operations, "stage", stage_and_let_another_append)
        monkeypatch.setattr(store._database, "write", write_then_append)
        document = {
            "format": "openstackai-session",
            "version": 1,
            "session_id": "x",
            "created_at": None,
            "messages": [
                {"id": f"m{number}", "created_at": "2024-01-01T00:00:00.000000Z", "data": {"n": number}}
                for number in range(35)
            ],
            "metadata": {"k": 2},
        }
        session.import_data(document)
        messages = session.get_messages()
        assert [message["n"] for message in messages] == list(range(35))
        # One before, four between the steps: the document's positions come after all that anybody has seen.
        assert [message.position for message in messages] == list(range(6, 41))
        assert session.metadata() == {"k": 2}
        assert session.add_message("user", "after").position == 41
    check_whole(path)
