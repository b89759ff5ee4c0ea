"""How asynchronous calls share connections: those that wait at the same moment travel together.

Written for the asynchronous side alone, where a call of its own for each would spend more time on the event loop's
bookkeeping than on the exchange.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

from redis.exceptions import ConnectionError as NoConnectionError, ReadOnlyError, ResponseError

from openstackai_sessions_core import SessionClosedError, SessionError
from openstackai_sessions_redis._errors import ANSWERS, DRIVER_ERRORS, NO_CONNECTION, Failures, answered
from openstackai_sessions_redis._settings import Settings

__all__ = ["ERRORS", "Lane", "Link", "Pool", "Reply"]

# What the server answered: bytes, a number, None, a list of these; or its error.
Reply: TypeAlias = Any
# A connection of the driver's, whose types do not cover all that is done with it here.
Link: TypeAlias = Any

# What one exchange carries at most: so few calls that the server works on one exchange while the loop prepares another.
MAX_CALLS = 16
MAX_BYTES = 1024 * 1024
PAUSE = 0.01
ERRORS = (*DRIVER_ERRORS, asyncio.TimeoutError)


class Pool(Protocol):
    """Where a lane borrows its connections."""

    def can_get_connection(self) -> bool: ...

    async def get_connection(self) -> Link: ...

    async def release(self, connection: Link) -> None: ...


class _Call:
    """Commands of one caller, and the future of their replies."""

    __slots__ = ("commands", "replies", "since", "write")

    def __init__(self, commands: Sequence[bytes], write: bool) -> None:
        self.commands = commands
        self.write = write
        self.since = time.monotonic()
        self.replies: asyncio.Future[list[Reply]] = asyncio.get_running_loop().create_future()

    def fail(self, error: BaseException) -> None:
        if not self.replies.done():
            self.replies.set_exception(error)


class Lane:
    """A queue of calls to one server, and up to `max_connections` carriers that take them there and back.

    A carrier takes everything that waits, sends it in one piece and reads the replies in order. It is a task of its
    own: a caller that is cancelled leaves its reply unread by nobody, and the connection clean.
    """

    def __init__(self, pool: Pool, settings: Settings, failures: Failures) -> None:
        self._pool = pool
        self._settings = settings
        self._failures = failures
        self._waiting: deque[_Call] = deque()
        self._carriers: set[asyncio.Task[None]] = set()
        self._starting = False
        self._reaper: asyncio.TimerHandle | None = None
        self._closed = False
        self._pauses = 0

    async def exchange(self, commands: Sequence[bytes], *, write: bool) -> list[Reply]:
        """Send commands and return their replies in order, errors among them."""
        if self._closed:
            raise SessionClosedError("the store is closed; make a new one")
        call = _Call(commands, write)
        self._waiting.append(call)
        self._dispatch()
        return await call.replies

    def _dispatch(self) -> None:
        """See to it that what waits is taken: by a carrier that starts now, or by the first that comes back."""
        if self._starting:
            return
        if len(self._carriers) < self._settings.max_connections:
            self._starting = True
            carrier = asyncio.get_running_loop().create_task(self._carry())
            self._carriers.add(carrier)
            carrier.add_done_callback(self._ended)
        elif self._reaper is None:
            # No call waits for a connection for longer than `pool_timeout`.
            delay = self._waiting[0].since + self._settings.pool_timeout - time.monotonic()
            self._reaper = asyncio.get_running_loop().call_later(max(0.0, delay), self._reap)

    def _ended(self, carrier: asyncio.Task[None]) -> None:
        """A call may have come while the carrier was giving its connection back: it was counted, and takes no more."""
        self._carriers.discard(carrier)
        if carrier.cancelled():
            # The loop is being shut down, perhaps before this one could begin; what tasks still write is taken.
            self._starting = False
        if any(not call.replies.done() for call in self._waiting):
            self._dispatch()

    def _reap(self) -> None:
        self._reaper = None
        overdue = time.monotonic() - self._settings.pool_timeout
        while self._waiting and (self._waiting[0].since <= overdue or self._waiting[0].replies.done()):
            self._waiting.popleft().fail(self._failures.no_connection())
        if self._waiting:
            self._dispatch()

    async def pause(self) -> None:
        """Have each carrier give its connection back after what it is at; others take what comes later."""
        self._pauses += 1
        if self._carriers:
            await asyncio.wait(self._carriers)

    async def close(self) -> None:
        """Refuse new calls, and wait for those under way."""
        self._closed = True
        if self._reaper is not None:
            self._reaper.cancel()
        if self._carriers:
            await asyncio.wait(self._carriers)

    # -- A carrier --------------------------------------------------------------------------------------------------

    async def _carry(self) -> None:
        connection: Link = None
        batch: list[_Call] = []
        pauses = self._pauses
        try:
            while pauses == self._pauses and (batch := self._take()):
                if connection is None:
                    connection = await self._connect(batch)
                if connection is not None:
                    await self._transfer(connection, batch)
        except BaseException:
            # The loop is being shut down: nobody waits for these any more.
            for call in batch:
                call.replies.cancel()
            raise
        finally:
            self._starting = False
            if connection is not None:
                await self._pool.release(connection)

    def _take(self) -> list[_Call]:
        batch: list[_Call] = []
        size = 0
        while self._waiting and len(batch) < MAX_CALLS and size < MAX_BYTES:
            call = self._waiting.popleft()
            if not call.replies.done():
                batch.append(call)
                size += sum(map(len, call.commands))
        self._starting = False
        if self._waiting:
            self._dispatch()
        return batch

    async def _connect(self, batch: list[_Call]) -> Link:
        """A connection, or None: then the batch has failed, or waits again for other carriers."""
        while True:
            # A blocking pool of the caller's would wait as long as it was told, rather than as this store was.
            if self._pool.can_get_connection():
                try:
                    return await asyncio.wait_for(self._pool.get_connection(), self._settings.connect_timeout)
                except Exception as error:  # noqa: BLE001 - a credential provider of the caller's raises what it likes
                    full = str(error).startswith(NO_CONNECTION) or (
                        isinstance(error, asyncio.TimeoutError) and not self._pool.can_get_connection()
                    )
                    if not full:
                        for call in batch:
                            call.fail(self._failures.unreachable(error))
                        return None
            # The caller's own pool is full.
            now = time.monotonic()
            for call in batch:
                if now - call.since > self._settings.pool_timeout:
                    call.fail(self._failures.no_connection())
            batch[:] = [call for call in batch if not call.replies.done()]
            if not batch:
                return None
            await asyncio.sleep(PAUSE)

    async def _transfer(self, connection: Link, batch: list[_Call]) -> None:
        left = deque(batch)
        try:
            await asyncio.wait_for(self._send_and_read(connection, left), self._settings.options.timeout)
        except Exception as error:  # noqa: BLE001 - the driver's parser raises ValueError for what is no reply
            if isinstance(error, asyncio.TimeoutError) and not str(error):
                error = TimeoutError(f"no reply within {self._settings.options.timeout:g} seconds")
            await connection.disconnect(nowait=True)
            for call in left:
                call.fail(self._failures.cut_off(error, write=call.write))
                if answered(error):
                    # That was to the first; nobody reads what the others are answered.
                    error = NoConnectionError("the connection was closed after another call's answer")
        except BaseException:
            await connection.disconnect(nowait=True)
            raise

    async def _send_and_read(self, connection: Link, left: deque[_Call]) -> None:
        commands = [command for call in left for command in call.commands]
        await connection.send_packed_command([b"".join(commands)])
        spent = False
        while left:
            call = left[0]
            replies: list[Reply] = []
            failure: SessionError | None = None
            for _ in call.commands:
                try:
                    reply = await connection.read_response(disable_decoding=True, disconnect_on_error=False)
                except ResponseError as error:
                    reply = error
                    # The name may lead to another server by now.
                    spent = spent or isinstance(error, ReadOnlyError)
                except ANSWERS as error:
                    # The driver takes these for the connection's failure; the next answers can be read all the same.
                    failure = failure or self._failures.cut_off(error, write=call.write)
                    spent = True
                    reply = None
                replies.append(reply)
            left.popleft()
            if failure is not None:
                call.fail(failure)
            elif not call.replies.done():
                call.replies.set_result(replies)
        if spent:
            await connection.disconnect(nowait=True)
