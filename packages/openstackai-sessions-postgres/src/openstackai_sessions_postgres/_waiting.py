"""Bounds on waiting for a server, and a look at whether a connection still lives."""

from __future__ import annotations

import select
from time import monotonic
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.waiting import Ready

from openstackai_sessions_postgres._faults import NoAnswerError

__all__ = ["is_stale", "until"]

T = TypeVar("T")


def until(gen: PQGen[T], deadline: float) -> PQGen[T]:
    """The same work, given up with `NoAnswerError` once the deadline (monotonic) has passed without an answer."""
    try:
        state = next(gen)
        while True:
            ready = yield state
            if ready == Ready.NONE and monotonic() >= deadline:
                gen.close()
                raise NoAnswerError("PostgreSQL did not answer in time")
            state = gen.send(ready)
    except StopIteration as stop:
        result: T = stop.value
        return result


def is_stale(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> bool:
    """Whether an idle connection has meanwhile been closed by the server; asks nobody, takes microseconds."""
    pgconn = connection.pgconn
    # One look reads what the server said last (a notice, a farewell), the next one finds the end of the stream.
    for _ in range(3):
        if connection.closed or not _is_readable(pgconn.socket):
            break
        try:
            pgconn.consume_input()
        except psycopg.Error:
            return True
    return connection.closed


def _is_readable(fileno: int) -> bool:
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(fileno, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([fileno], [], [], 0)[0])
