"""A wire between a client and a server that fails on command: for TCP, whatever is spoken over it."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

__all__ = ["Fault", "FaultProxy", "Rule"]

T = TypeVar("T")
Self = TypeVar("Self", bound="FaultProxy")

CHUNK = 65_536
# What `when` is shown of one request, in bytes.
SHOWN = 1024 * 1024
# In seconds: a server that says nothing for so long after its first bytes has finished its reply.
QUIET = 0.02
# In seconds: no step of the proxy itself takes longer.
PATIENCE = 10.0
# A throttled wire sends so many pieces a second.
PIECES = 50


class Fault(Enum):
    """What can happen to a request, or to a connection as it is made."""

    PASS = "pass"  # noqa: S105 - not a password
    """Nothing: the rule only counts."""
    DELAY = "delay"
    """It arrives `seconds` later."""
    CUT_BEFORE = "cut before"
    """It never arrives, and the client meets the end of the stream."""
    CUT_AFTER = "cut after"
    """It arrives and is carried out; its reply is swallowed, then the connection is reset."""
    HALF_CLOSE = "half-close"
    """It arrives, but the client meets the end of the stream in the place of a reply, and may go on sending."""
    RESET = "reset"
    """It never arrives, and the connection is reset in both directions (RST)."""
    BLACK_HOLE = "black hole"
    """It never arrives, and nothing passes on this connection any more, which stays open."""
    THROTTLE = "throttle"
    """From here on the connection passes `bytes_per_second` in each direction."""


@dataclass(eq=False)
class Rule:
    """When a fault strikes, and how often it has; made by `FaultProxy.add`, whose docstring says what each field is."""

    fault: Fault
    when: Callable[[bytes], bool] | None = None
    connection: int | None = None
    nth: int = 1
    times: int | None = 1
    at_connect: bool = False
    seconds: float = 0.0
    bytes_per_second: int = 1024
    seen: int = 0
    """Requests (or connections) that it was meant for, struck or not."""
    hits: int = 0
    """How often the fault has happened, to its end."""
    _begun: int = 0
    _happened: threading.Condition = field(default_factory=threading.Condition, repr=False)

    def wait(self, hits: int = 1, timeout: float = 5.0) -> bool:
        """Wait, in seconds, until the fault has happened so often; False where it has not."""
        with self._happened:
            return self._happened.wait_for(lambda: self.hits >= hits, timeout)

    def _is_due(self) -> bool:
        """Count one more; whether the fault strikes it."""
        self.seen += 1
        if self.seen < self.nth or (self.times is not None and self._begun >= self.times):
            return False
        self._begun += 1
        return True

    def _note(self) -> None:
        with self._happened:
            self.hits += 1
            self._happened.notify_all()


class FaultProxy:
    """A TCP server on 127.0.0.1 that passes everything on to `host:port` (or to a Unix socket, `path=`), or fails to.

    Runs in a thread of its own from `start()`, or `with`, until `close()`; every method may be called from any thread.
    A *request* is what a client sends until the server next says something. Where several are under way on one
    connection at once, they count as one until then, and what `CUT_AFTER` swallows is the replies of all of them.

        with FaultProxy("127.0.0.1", 6379) as proxy:
            client = redis.Redis(port=proxy.port)
            lost = proxy.add(Fault.CUT_AFTER, when=lambda request: b"RPUSH" in request)
            ...
            assert lost.hits == 1
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0, *, path: str | None = None) -> None:
        if (port == 0) == (path is None):
            raise ValueError("name the server by either port or path")
        self.host = "127.0.0.1"
        self.port = 0
        self.connections = 0
        """Connections accepted so far; their numbers begin at 1."""
        self.requests = 0
        """Requests begun so far."""
        self._server = (host, port, path)
        self._rules: list[Rule] = []
        self._loop = asyncio.SelectorEventLoop()  # add_reader exists in no other kind on Windows
        self._thread: threading.Thread | None = None
        self._listener: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self: Self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def start(self) -> None:
        """Begin to listen; `port` says where."""
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._thread.start()
        self._do(self._listen())

    def close(self) -> None:
        """Reset every connection and stop; idempotent."""
        if self._thread is None:
            if not self._loop.is_closed():
                self._loop.close()
            return
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._thread = None
        self._loop.close()

    def url(self, server: str) -> str:
        """The server's URL with the proxy's host and port in the place of its own."""
        parts = urlsplit(server)
        user, at, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{user}{at}{self.host}:{self.port}"))

    def add(
        self,
        fault: Fault,
        *,
        when: Callable[[bytes], bool] | None = None,
        connection: int | None = None,
        nth: int = 1,
        times: int | None = 1,
        at_connect: bool = False,
        seconds: float = 0.0,
        bytes_per_second: int = 1024,
    ) -> Rule:
        """Make a fault strike requests from now on; the rule returned counts how often it did.

        `when` is shown the bytes of a request (at most the first MiB; again as more arrive) and says whether it is
        meant; `connection` is the number of the only connection meant; the fault strikes from the `nth` request meant,
        `times` requests (None: every one). `at_connect`: it strikes connections as they are made instead, before
        anything is sent. The first rule that is due strikes. What has been passed on cannot be taken back: of a
        request longer than 64 KiB, the server may have received a part.
        """
        if nth < 1 or (times is not None and times < 1) or bytes_per_second < 1 or seconds < 0:
            raise ValueError("nth, times and bytes_per_second are at least 1, seconds at least 0")
        if at_connect and (when is not None or fault in (Fault.CUT_AFTER, Fault.CUT_BEFORE)):
            raise ValueError("a connection that is being made has no request to look at or to cut")
        rule = Rule(fault, when, connection, nth, times, at_connect, seconds, bytes_per_second)
        self._rules = [*self._rules, rule]
        return rule

    def remove(self, *rules: Rule) -> None:
        """Let these faults happen no more (none named: all). What they did to a connection stays."""
        self._rules = [rule for rule in self._rules if rules and rule not in rules]

    def drop(self) -> None:
        """Reset every connection now, whatever it is doing."""
        self._do(self._drop())

    def refuse(self) -> None:
        """Refuse connections, as where no server runs, until `accept`; those that are open stay."""
        self._do(self._refuse())

    def accept(self) -> None:
        """Accept connections again, on the same port."""
        if self._listener is None:
            self._do(self._listen())

    # -- In the proxy's thread ------------------------------------------------------------------------------------

    def _do(self, work: Coroutine[None, None, T]) -> T:
        if self._thread is None:
            work.close()
            raise RuntimeError("the proxy is not running")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    async def _listen(self) -> None:
        self._listener = socket.create_server((self.host, self.port))
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._loop.add_reader(self._listener, self._admit)

    async def _refuse(self) -> None:
        if self._listener is not None:
            self._admit()
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    async def _drop(self) -> None:
        if self._listener is not None:
            self._admit()
        ending = list(self._tasks)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        await asyncio.sleep(0)  # the transports end one step later

    async def _stop(self) -> None:
        await self._refuse()
        await self._drop()

    def _admit(self) -> None:
        """Begin with every connection that waits to be accepted."""
        assert self._listener is not None
        with suppress(BlockingIOError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                task = self._loop.create_task(self._carry(client, self.connections))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _carry(self, client: socket.socket, number: int) -> None:
        """Carry one connection to its end."""
        try:
            client.setblocking(False)
            wire = _Wire(self, number, *await asyncio.open_connection(sock=client))
        except OSError:  # the client has gone already
            client.close()
            return
        except asyncio.CancelledError:
            client.close()
            raise
        await wire.run(*self._server)

    def _due(self, wire: _Wire, request: bytes | None, looked: set[Rule]) -> Rule | None:
        """The rule that strikes this request (None: this connection). `looked`: those that have counted it already."""
        for rule in self._rules:
            if rule in looked or rule.at_connect != (request is None) or rule.connection not in (None, wire.number):
                continue
            if request is not None and rule.when is not None and not rule.when(request):
                continue
            looked.add(rule)
            if rule._is_due():  # noqa: SLF001 - ours
                return rule
        return None


class _Wire:
    """One connection: two streams that pass on what they read, in two tasks."""

    def __init__(
        self, proxy: FaultProxy, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.number = number
        self._proxy = proxy
        self._reader = reader
        self._client = writer
        self._server: asyncio.StreamWriter | None = None
        self._rate: int | None = None
        self._swallowed_by: Rule | None = None
        self._silent = False
        self._replied = True

    def _reset(self) -> None:
        """End both directions with an RST."""
        for writer in (self._client, self._server):
            if writer is not None:
                sock = writer.get_extra_info("socket")
                with suppress(OSError):
                    linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()

    async def run(self, host: str, port: int, path: str | None) -> None:
        """Pass everything on until both sides have ended."""
        try:
            if not await self._is_let_in():
                return
            if path is None:
                reader, self._server = await asyncio.open_connection(host, port)
            else:
                reader, self._server = await asyncio.open_unix_connection(path)
            await asyncio.gather(self._pass_requests(self._server), self._pass_replies(reader))
        except OSError:
            self._reset()
        except asyncio.CancelledError:
            self._reset()
            raise
        finally:
            for writer in (self._client, self._server):
                if writer is not None:
                    writer.close()

    async def _is_let_in(self) -> bool:
        rule = self._proxy._due(self, None, set())  # noqa: SLF001 - ours
        if rule is None:
            return True
        return await self._strike(rule)

    async def _strike(self, rule: Rule) -> bool:
        """Do what the rule says; whether what it struck may pass."""
        if rule.fault is Fault.DELAY:
            await asyncio.sleep(rule.seconds)
        elif rule.fault is Fault.THROTTLE:
            self._rate = rule.bytes_per_second
        elif rule.fault is Fault.BLACK_HOLE:
            self._silent = True
        elif rule.fault is Fault.CUT_AFTER:
            self._swallowed_by = rule
            return True
        # Counted first: whoever sees the fault finds it counted.
        rule._note()  # noqa: SLF001 - ours
        if rule.fault is Fault.RESET:
            self._reset()
        elif rule.fault is Fault.HALF_CLOSE:
            self._silent = True
            self._client.write_eof()
        elif rule.fault is Fault.CUT_BEFORE:
            self._client.close()
        elif rule.fault is Fault.BLACK_HOLE:
            while await self._reader.read(CHUNK):
                pass
        return rule.fault in (Fault.PASS, Fault.DELAY, Fault.THROTTLE, Fault.HALF_CLOSE)

    async def _pass_requests(self, server: asyncio.StreamWriter) -> None:
        request = b""
        looked: set[Rule] = set()
        while data := await self._reader.read(CHUNK):
            if self._replied:
                self._replied = False
                self._proxy.requests += 1
                request = b""
                looked = set()
            request = (request + data)[:SHOWN]
            rule = self._proxy._due(self, request, looked)  # noqa: SLF001 - ours
            if rule is not None and not await self._strike(rule):
                server.transport.abort()
                return
            await self._send(server, data)
        if server.can_write_eof():
            server.write_eof()

    async def _pass_replies(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(CHUNK):
            self._replied = True
            if self._swallowed_by is not None:
                with suppress(asyncio.TimeoutError):
                    while await asyncio.wait_for(reader.read(CHUNK), QUIET):
                        pass
                self._swallowed_by._note()  # noqa: SLF001 - ours
                self._reset()
                return
            if not self._silent:
                await self._send(self._client, data)
        if not self._silent and self._client.can_write_eof():
            self._client.write_eof()

    async def _send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if self._rate is None:
            writer.write(data)
        else:
            size = max(1, self._rate // PIECES)
            for start in range(0, len(data), size):
                piece = data[start : start + size]
                writer.write(piece)
                await asyncio.sleep(len(piece) / self._rate)
        await writer.drain()
