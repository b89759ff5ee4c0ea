"""What the scripts take and what they answer, as bytes: no I/O here."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from hashlib import sha1
from itertools import chain
from typing import Any, NamedTuple, NoReturn

import msgspec

from openstackai_sessions_core import (
    ConflictError,
    CorruptDataError,
    LimitExceededError,
    SchemaVersionError,
    SessionInfo,
)
from openstackai_sessions_core.backend import (
    Head,
    ImportedMessage,
    Limits,
    NewMessage,
    Operation,
    Outcome,
    Record,
    SessionImport,
    check_size,
    from_microseconds,
)

__all__ = [
    "Page",
    "append_arguments",
    "append_outcome",
    "describe",
    "head",
    "import_arguments",
    "metadata_pairs",
    "number",
    "plain_outcome",
    "pop_outcome",
    "record",
    "refuse",
    "staged",
    "tail",
    "write_arguments",
]

# An id of this form is kept in the index of ids only once a caller has given one: most logs hold no other ids, and
# the index costs more than half of what the messages themselves do.
LIKE_OURS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.ASCII).fullmatch
# Positions are counted in a double on the server, so that nothing beyond this is a position.
MAX_POSITION = 2**53


def number(value: int | None) -> bytes:
    """A number of messages, a position or a time; empty for None."""
    return b"" if value is None else b"%d" % min(value, MAX_POSITION)


# -- The state of a session, and the elements of its log ------------------------------------------------------------

LAYOUT = "1"


class State(NamedTuple):
    """A session without its content; the numbers are text as they are stored."""

    life: str
    next: str
    base: str
    messages: str
    removals: str
    bytes: str
    given: str
    bare: str
    created_at: str
    updated_at: str
    ttl: str


def state_of(line: str) -> State:
    layout, _, rest = line.partition(" ")
    fields = rest.split(" ")
    if layout != LAYOUT or len(fields) != len(State._fields):
        raise unknown_state()
    return State(*fields)


def unknown_state() -> SchemaVersionError:
    return SchemaVersionError(
        "the session was written by a newer version of openstackai-sessions-redis (or by another program): "
        "upgrade this one; nothing was changed"
    )


def _sum(data: bytes) -> bytes:
    """By which a script knows that a payload is as it was stored: the first eight digits of its SHA-1."""
    return sha1(data, usedforsecurity=False).hexdigest()[:8].encode()


# As the scripts take an element apart: what can be read here can be popped there.
ELEMENT = re.compile(rb"(\d+) (-?\d+) [^ \n]* ([^\n]*)\n(.*)", re.DOTALL).fullmatch


def record(element: bytes, base: int, where: str) -> Record:
    """A message from its element, `position microseconds sum id`, a line end, and the payload."""
    found = ELEMENT(element)
    try:
        if found:
            position, created_at, id, data = found.groups()
            return Record(int(position) + base, id.decode(), int(created_at), data)
    except ValueError:
        pass
    raise CorruptDataError(f"{where} cannot be read: it is not a record of this library")


# A record from its fields, as `Record._make` does it in several times the time.
_make: Callable[[Iterable[Any]], Record] = partial(tuple.__new__, Record)

_unpack = msgspec.msgpack.Decoder(tuple[str, int, list[list[str]]]).decode


class Page:
    """Some messages of a log, oldest first, with the session's state. `more`: some were left out.

    Raises `UnicodeError` for a packed reply that holds broken UTF-8: it is then to be had plain.
    """

    __slots__ = ("more", "records", "state")

    def __init__(self, reply: bytes | list[Any]) -> None:
        if isinstance(reply, bytes):
            try:
                line, more, chunks = _unpack(reply)
            except msgspec.DecodeError as error:
                raise UnicodeError(str(error)) from None
            self.more = more == 1
            self.state = state_of(line)
            self.records = _records(chunks, int(self.state.base))
        else:
            self.more = reply[1] == 1
            self.state = state_of(reply[0].decode("utf-8", "replace"))
            self.records = _plain_records([element for chunk in reply[2] for element in chunk], int(self.state.base))

    @property
    def token(self) -> bytes:
        """The log as it was: this changes when messages are removed."""
        return f"{self.state.life} {self.state.removals}".encode()


def tail(reply: bytes, limit: int) -> Page | None:
    """The page of the newest `limit` messages; None where there is no session. Also where a part of it is missing."""
    try:
        line, _, (elements,) = _unpack(reply)
    except msgspec.DecodeError as error:
        raise UnicodeError(str(error)) from None
    page = None
    if line:
        page = Page.__new__(Page)
        page.state = state_of(line)
        page.records = _records([elements], int(page.state.base))
        page.more = int(page.state.messages) > limit
    if len(elements) != (min(limit, int(page.state.messages)) if page is not None else 0):
        raise LookupError
    return page


def _records(chunks: Sequence[list[str]], base: int) -> list[Record]:
    """Column by column, because a loop over the elements would take twice as long as decoding the payloads."""
    elements = chunks[0] if len(chunks) == 1 else list(chain.from_iterable(chunks))
    if not elements:
        return []
    try:
        heads, _, payloads = zip(*[element.partition("\n") for element in elements], strict=True)
        positions, times, _, ids = zip(*[head.split(" ", 3) for head in heads], strict=True)
        first, last = int(positions[0]) + base, int(positions[-1]) + base
        # They rise, so that nothing is missing between ends that are as far apart as there are elements.
        gaps = last - first + 1 != len(elements)
        numbers = [int(position) + base for position in positions] if gaps else range(first, last + 1)
        return list(map(_make, zip(numbers, ids, map(int, times), map(str.encode, payloads), strict=True)))
    except ValueError:
        return _plain_records([element.encode() for element in elements], base)


def _plain_records(elements: Sequence[bytes], base: int) -> list[Record]:
    records: list[Record] = []
    for element in elements:
        try:
            records.append(record(element, base, ""))
        except CorruptDataError:
            raise _unreadable(element, records) from None
    return records


def _unreadable(element: bytes, before: Sequence[Record]) -> CorruptDataError:
    position = before[-1].position + 1 if before else None
    place = f"the message after position {position - 1}" if position else "the oldest message read"
    return CorruptDataError(
        f"{place} cannot be read: what is stored ({len(element)} bytes) is not a record of this library",
        position=position,
    )


# -- Writes --------------------------------------------------------------------------------------------------------


def write_arguments(op: Operation, session_id: bytes, op_id_ttl: int, ttl: int | None) -> list[bytes]:
    """What every writing script takes first."""
    return [
        op.id.encode(),
        op.digest,
        b"%d" % op_id_ttl,
        b"" if ttl is None else b"%d" % ttl,
        # A life that may begin with this write: no other one of the session has the same number.
        b"%d" % int.from_bytes(os.urandom(7), "big"),
        session_id,
    ]


# By whether an id looks like the library's own, and whether the caller gave it: see append_given.lua.
MARKS = {(True, False): b".", (True, True): b"u", (False, False): b"i", (False, True): b"g"}


def append_arguments(messages: Sequence[NewMessage]) -> tuple[str, list[bytes]]:
    """The script to append these with, and what it takes."""
    ids: list[bytes] = []
    marks: list[bytes] = []
    bodies: list[bytes] = []
    plain = True
    for id, data, given in messages:
        encoded = id.encode()
        ids.append(encoded)
        mark = MARKS[LIKE_OURS(id) is not None, given]
        plain = plain and mark == b"."
        marks.append(mark)
        bodies.append(b"%b %b\n%b" % (_sum(data), encoded, data))
    if plain:
        return "append", [b"\n".join(ids), *bodies]
    return "append_given", [b"\n".join(ids), b"".join(marks), *bodies]


def append_outcome(reply: bytes, messages: Sequence[NewMessage]) -> Outcome:
    """`=` before what was done earlier; then `+` or `-`, the first position, the time, and what was there already."""
    repeated = reply.startswith(b"=")
    applied = _applied(reply, repeated)
    text, _, ids = reply[repeated:].partition(b"\n")
    first, now, *notes = text[1:].split(b" ")
    known: dict[int, tuple[int, int]] = {}
    for note in notes:
        index, *stored = map(int, note.split(b":"))
        known[index - 1] = stored[0], stored[1]
    # A repetition has other ids where the caller gave none: those of the first time count.
    kept = ids.decode().split("\n") if repeated and ids else [message.id for message in messages]
    position, time = int(first), int(now)
    if not known:
        fresh = [Record(position + i, id, time, messages[i].data) for i, id in enumerate(kept)]
        return Outcome(applied, repeated, fresh if messages else [], [True] * len(messages))
    records: list[Record] = []
    added: list[bool] = []
    for index, message in enumerate(messages):
        if index in known:
            records.append(Record(known[index][0], kept[index], known[index][1], message.data))
            added.append(False)
        else:
            records.append(Record(position, kept[index], time, message.data))
            added.append(True)
            position += 1
    return Outcome(applied, repeated, records, added)


def plain_outcome(reply: bytes) -> Outcome:
    """`+` where something was done, else `-`; `=` stands before what was done earlier."""
    repeated = reply.startswith(b"=")
    return Outcome(_applied(reply, repeated), repeated)


def _applied(reply: bytes, repeated: bool) -> bool:
    sign = reply[repeated : repeated + 1]
    if sign not in (b"+", b"-"):
        raise ValueError("neither done nor left")
    return sign == b"+"


def pop_outcome(reply: bytes) -> Outcome:
    applied, repeated, *_ = plain_outcome(reply)
    if not applied:
        return Outcome(applied, repeated)
    head, _, data = reply[repeated + 1 :].partition(b"\n")
    position, created_at, id = head.split(b" ", 2)
    return Outcome(True, repeated, (Record(int(position), id.decode(), int(created_at), data),))


def metadata_pairs(values: Mapping[str, bytes]) -> list[bytes]:
    return [part for key, value in values.items() for part in (key.encode(), value)]


def staged(messages: Sequence[ImportedMessage], first: int) -> list[bytes]:
    """What the staging script takes for some messages of an import, the first of which is number `first`."""
    elements: list[bytes] = []
    ids: list[bytes] = []
    for position, (id, created_at, data) in enumerate(messages, first):
        encoded = id.encode()
        elements.append(b"%d %d %b %b\n%b" % (position, created_at, _sum(data), encoded, data))
        if not LIKE_OURS(id):
            ids += (encoded, b"%d" % position)
    return [b"%d" % len(elements), *elements, *ids]


def import_arguments(content: SessionImport, limits: Limits) -> list[bytes]:
    return [
        b"append" if content.append else b"replace",
        b"" if content.created_at is None else b"%d" % content.created_at,
        b"%d" % len(content.messages),
        b"%d" % limits.metadata_bytes,
        *metadata_pairs(content.metadata),
    ]


def refuse(reply: bytes, session_id: str, op: Operation | None, ids: Sequence[str], limits: Limits) -> NoReturn:
    """Raise what a script's refusal (a reply that begins with `!`) stands for."""
    what = reply[1:]
    if what == b"state":
        raise unknown_state()
    if what == b"damaged":
        raise CorruptDataError(
            f"the server has dropped a part of session {session_id!r}: an eviction, or another program, removed some "
            "of its keys. Set maxmemory-policy to noeviction; delete the session to begin again"
        )
    if what == b"op" and op is not None:
        raise ConflictError(f"op_id {op.id!r} was used before for another write to this session; use a new one")
    if what.startswith(b"id"):
        id = ids[int(what[2:]) - 1]
        raise ConflictError(f"a message with the id {id!r} and another content is in the session")
    if what.startswith(b"metadata "):
        check_size("the session's metadata", int(what[9:]), limits.metadata_bytes, "metadata_bytes")
        raise LimitExceededError("the session's metadata is too large")
    raise CorruptDataError(f"the server answered {what[:40]!r}, which this version does not know")


# -- Reads ---------------------------------------------------------------------------------------------------------


def head(reply: bytes) -> Head:
    line, _, newest = reply.decode().rpartition(" ")
    state = state_of(line)
    return Head(int(state.life), int(state.messages), int(newest), int(state.created_at), int(state.updated_at))


def describe(ids: Sequence[bytes], reply: bytes) -> list[SessionInfo]:
    """The sessions of a bucket that are there, from a line of state for each."""
    found: list[SessionInfo] = []
    for id, line in zip(ids, reply.decode().split("\n"), strict=True):
        if line:
            state = state_of(line)
            created_at, updated_at = int(state.created_at), int(state.updated_at)
            found.append(
                SessionInfo(
                    id.decode(), int(state.messages), from_microseconds(created_at), from_microseconds(updated_at)
                )
            )
    return found
