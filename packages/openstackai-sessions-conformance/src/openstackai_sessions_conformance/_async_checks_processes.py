"""K and more: other processes write, are killed, or lose power with the machine."""

from __future__ import annotations

import random
import tempfile
import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from openstackai_sessions_conformance._async_recorded import noted, shown
from openstackai_sessions_conformance._async_scene import AsyncScene, check, plain_check
from openstackai_sessions_conformance._async_seam import Runner, open_on
from openstackai_sessions_conformance._blocking import handle_of, opened
from openstackai_sessions_conformance._capabilities import Capability
from openstackai_sessions_conformance._crash import CrashReport, Worker, crash_clients, crash_server
from openstackai_sessions_conformance._crash_worker import Orders, find
from openstackai_sessions_conformance._disk_log import DiskLog, FileEventKind
from openstackai_sessions_conformance._findings import refuses, require, same
from openstackai_sessions_conformance._harness import leave_out, need
from openstackai_sessions_conformance._history import Call, Kind, Recorder, Violation, read_histories
from openstackai_sessions_conformance._history_rules import check_appends, check_removals
from openstackai_sessions_conformance._place import Place
from openstackai_sessions_conformance._power import check_power_loss
from openstackai_sessions_conformance._settings import Tier
from openstackai_sessions_core import SchemaVersionError, UnsupportedError

__all__ = ["AsyncProcessChecks"]


def _opener(place: Place) -> tuple[str, list[str]]:
    target, arguments = need(place, "opener")
    return target, list(arguments)


def _report(report: CrashReport) -> None:
    require(
        not report.violations, "everything acknowledged, once, in whole batches, in a store that opens", str(report)
    )
    require(report.acknowledged, "something acknowledged before the kills", str(report))


def _judge(violations: Sequence[Violation]) -> None:
    shown = "\n".join(str(violation) for violation in violations[:3])
    require(not violations, "a history that keeps the rules", f"{len(violations)} violations:\n{shown}")


def orders(place: Place, work: str, folder: str, number: int, **changes: Any) -> Orders:
    """What a worker is told to do on a place."""
    target, arguments = _opener(place)
    told: Orders = {
        "target": target,
        "args": arguments,
        "session_id": "s",
        "client": f"w{number}",
        "history": str(Path(folder, f"{uuid.uuid4().hex}")),
        "seed": number,
        "batch": 5,
        "work": work,
        "count": 0,
    }
    told.update(changes)  # type: ignore[typeddict-item]
    return told


def together_elsewhere(all_orders: Sequence[Orders]) -> list[Call]:
    """Let as many processes begin at once; return what they noted, once all have ended well."""
    with ExitStack() as stack:
        workers = []
        for each in all_orders:
            workers.append(Worker(each["target"]))
            stack.callback(workers[-1].kill)
        for worker in workers:
            require(worker.hears("ready"), "a process that imports the store's module", worker.error)
        for worker, each in zip(workers, all_orders, strict=True):
            worker.tell(each)
        failed = [worker.error for worker in workers if not worker.hears("done")]
    require(not failed, "no error in any of the processes", f"{len(failed)} failed, the first by {failed[:1]}")
    written = [each["history"] for each in all_orders if Path(each["history"]).exists()]
    return read_histories(*written) if all_orders[0]["count"] else []


class AsyncProcessChecks:
    """The checks 52, 78 to 81, and 102."""

    @check(52, cause="a lock of this process, or positions and counts that are remembered in it", seconds=120)
    async def test_052_processes_that_append_keep_one_order(self, scene: AsyncScene) -> None:
        """Eight processes append and read: each acknowledged append is there once, and every read is a prefix."""
        workers, count = 8, scene.pick(15, 150, 1500)
        with tempfile.TemporaryDirectory() as folder:
            told = [
                orders(scene.place, "append", folder, number, seed=scene.seed * 10 + number, count=count)
                for number in range(workers)
            ]
            calls = together_elsewhere(told)
        same(len(calls), workers * count, "the number of calls that were made")
        _judge(check_appends(calls, shown(await scene.session().get_messages())))

    @check(52, cause="a removal reads, and then deletes what it has read; an append meets an old life's counter")
    async def test_052_processes_that_remove_bring_nothing_back(self, scene: AsyncScene) -> None:
        """Eight processes append, pop, clear and delete: nothing comes back, is there twice, or is lost."""
        workers, count = 8, scene.pick(15, 100, 1000)
        with tempfile.TemporaryDirectory() as folder:
            told = [
                orders(scene.place, "remove", folder, number, seed=scene.seed * 10 + number, count=count)
                for number in range(workers)
            ]
            calls = together_elsewhere(told)
        _judge(check_removals(calls, shown(await scene.session().get_messages())))

    @plain_check(
        78, cause="the call returns before the write has left the process, or batches are written in parts", seconds=150
    )
    def test_078_a_kill_of_the_client_loses_nothing(
        self, place: Place, capabilities: Capability, seed: int, tier: Tier
    ) -> None:
        """Processes that are killed while they write leave everything acknowledged, and no batch in part."""
        del capabilities
        target, arguments = _opener(place)
        kills = {"quick": 6, "full": 60, "soak": 1000}[tier]
        _report(crash_clients(target, arguments, kills=kills, writers=2, seed=seed))

    @plain_check(79, cause="the server acknowledges what it has not written to its disk", seconds=150)
    def test_079_a_kill_of_the_server_loses_nothing(
        self, place: Place, capabilities: Capability, seed: int, tier: Tier
    ) -> None:
        """A server that is killed while processes write, and started again, has everything acknowledged once."""
        del capabilities
        kill = need(place, "kill_server")
        target, arguments = _opener(place)
        kills = {"quick": 2, "full": 15, "soak": 200}[tier]
        report = crash_server(target, arguments, kill=kill, restart=lambda: None, kills=kills, seed=seed)
        _report(report)

    @plain_check(80, cause="synchronous is not FULL, or the file system's cache is taken for the disk", seconds=120)
    def test_080_a_loss_of_power_loses_nothing(
        self, place: Place, capabilities: Capability, seed: int, tier: Tier
    ) -> None:
        """Whatever unsynced writes a loss of power drops, all that was acknowledged is there, and the file opens.

        The sync comes before the acknowledgement.
        """
        del capabilities
        database, reopen = need(place, "database"), need(place, "reopen")
        try:
            disk = DiskLog(database.parent)
            disk.__enter__()
        except UnsupportedError as error:
            leave_out(str(error))
        runner = Runner()
        try:
            recorder = Recorder(clock=disk.tick)
            store = runner.do(lambda: open_on(place))
            session = store.session("s")
            for number in range({"quick": 12, "full": 60, "soak": 400}[tier]):
                labels = [f"{number}.{part}" for part in range(1 + number % 3)]
                runner.do(lambda labels=labels: noted(recorder, "me", session, Kind.APPEND, labels))  # type: ignore[misc]
            runner.do(store.close)
        finally:
            disk.__exit__(None, None, None)
            runner.close()
        syncs = [event.at for event in disk.events if event.kind is FileEventKind.SYNC]
        late = [call for call in recorder.calls if not any(call.invoked < at < call.completed for at in syncs)]
        require(not late, "a sync within each append, before it is acknowledged", f"none within {late[:1]}")
        images = {"quick": 40, "full": 400, "soak": 4000}[tier]
        report = check_power_loss(
            disk, recorder.calls, reopen, name=database.name, session_id="s", images=images, seed=seed
        )
        require(not report.wrong, "all that was acknowledged in every image of the disk", str(report))

    @plain_check(81, cause="an import, a clear or a migration is more than one transaction", seconds=150)
    def test_081_a_kill_leaves_old_or_new(self, place: Place, capabilities: Capability, seed: int, tier: Tier) -> None:
        """A kill while a session is imported or cleared, or a place first opened, leaves what was or what will be."""
        del capabilities
        _opener(place)
        for number in range({"quick": 6, "full": 60, "soak": 600}[tier]):
            _one_kill(place, seed * 1000 + number, early=number % 3 == 0)

    @check(102, cause="tables are made without a lock, or `IF NOT EXISTS` is trusted with races", seconds=150)
    async def test_102_many_processes_start_at_once(self, scene: AsyncScene) -> None:
        """Processes that all start on an empty place each write without an error."""
        place, workers = scene.new_place(), scene.pick(8, 64, 64)
        with tempfile.TemporaryDirectory() as folder:
            together_elsewhere([orders(place, "start", folder, number) for number in range(workers)])
        store = await scene.open_at(place)
        seen = sorted(str(message.content) for message in await store.session("s").get_messages())
        same(seen, sorted(f"w{number}" for number in range(workers)), "one message of each process")

    @check(102, cause="the version is not looked at, or only that it is there")
    async def test_102_a_newer_form_is_refused(self, scene: AsyncScene) -> None:
        """What a newer version has stored raises `SchemaVersionError`, for reads and writes, and stays as it is."""
        place = scene.new_place()
        renew = need(place, "renew")
        store = await open_on(place)
        await store.session("s").add_message("user", "x")
        await store.close()
        renew()
        for name, arguments in (("add_message", ("user", "y")), ("get_messages", ())):
            with refuses(SchemaVersionError, f"{name} on what a newer version has stored"):
                store = await open_on(place)
                try:
                    await getattr(store.session("s"), name)(*arguments)
                finally:
                    await store.close()


def _one_kill(place: Place, seed: int, *, early: bool) -> None:
    """Kill a process that imports and clears; `early`: while it opens a place that is new."""
    chance = random.Random(seed)
    new = place.fresh() if early else place
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        if early:
            stack.callback(new.close)
        told = orders(new, "step", folder, 0, session_id=f"steps {seed}", batch=40)
        worker = Worker(told["target"])
        stack.callback(worker.kill)
        require(worker.hears("ready"), "a process that imports the store's module", worker.error)
        worker.tell(told)
        if not early:
            require(worker.hears("acknowledged"), "a process that imports", worker.error)
        time.sleep(chance.uniform(0, 0.06))
        worker.kill()
        path = Path(told["history"])
        lines = [line for line in path.read_text("utf-8").split("\n")[:-1] if line] if path.exists() else []
        store = opened(find(told["target"]), *told["args"])
        session = handle_of(store, told["session_id"])
        # At one instant: a server may be at the last request of the one that was killed.
        held: Any = session.export()
        seen = [[message["data"]["content"] for message in held["messages"]], held["metadata"]]
        session.add_message("user", "afterwards")
        same(session.pop_message(), {"role": "user", "content": "afterwards"}, "what is written after the kill")
        store.close()
    what, number = (lines[-1].split()[0], int(lines[-1].split()[1])) if lines else ("cleared", 0)
    imported, cleared = [[number] * 40, {"number": number}], [[], {"number": number} if number else {}]
    before = [[], {"number": number - 1} if number > 1 else {}]
    allowed: dict[str, list[object]] = {
        "importing": [before, imported],
        "imported": [imported],
        "clearing": [imported, cleared],
    }
    wanted: list[object] = allowed.get(what, [cleared])
    require(seen in wanted, f"the old or the new state of a kill while {what} {number}: {wanted}", seen)
