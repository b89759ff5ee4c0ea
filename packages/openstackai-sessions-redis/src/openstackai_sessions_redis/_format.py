"""What the scripts take and what they answer, as bytes: no I/O here."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from hashlib import sha1

from openstackai_sessions_core import (
    ConflictError,
    CorruptDataError,
    LimitExceededError,
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
    "page",
    "plain_outcome",
    "pop_outcome",
    "record",
    "refuse",
    "staged",
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


# -- Elements of the log -------------------------------------------------------------------------------------------


def _sum(data: bytes) -> bytes:
    """By which a script knows that a payload is as it was stored: the first eight digits of its SHA-1."""
    return sha1(data, usedforsecurity=False).hexdigest()[:8].encode()


def record(element: bytes, base: int, where: str) -> Record:
    """A message from its element, `position microseconds sum id`, a line end, and the payload."""
    head, _, data = element.partition(b"\n")
    try:
        position, created_at, _, id = head.split(b" ", 3)
        return Record(int(position) + base, id.decode(), int(created_at), data)
    except ValueError:
        raise CorruptDataError(f"{where} cannot be read: it is not a record of this library") from None


class Page:
    """Some messages of a log, oldest first. `token` names the log as it was; `more`: some were left out."""

    __slots__ = ("more", "records", "token")

    def __init__(self, reply: bytes) -> None:
        head, lengths, elements = reply.split(b"\n", 2)
        life, removals, base, more = head.split(b" ")
        self.token = life + b" " + removals
        self.more = more == b"1"
        self.records = _records(lengths, elements, int(base))


def page(reply: bytes) -> Page:
    return Page(reply)


def _records(lengths: bytes, elements: bytes, base: int) -> list[Record]:
    records: list[Record] = []
    start = 0
    for length in map(int, lengths.split()):
        end = start + length
        head = elements.find(b"\n", start, end)
        try:
            position, created_at, _, id = elements[start:head].split(b" ", 3)
            records.append(Record(int(position) + base, id.decode(), int(created_at), elements[head + 1 : end]))
        except ValueError:
            raise _unreadable(elements[start:end], records) from None
        start = end
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


def append_arguments(messages: Sequence[NewMessage]) -> list[bytes]:
    ids: list[bytes] = []
    marks: list[bytes] = []
    bodies: list[bytes] = []
    plain = True
    for id, data, given in messages:
        encoded = id.encode()
        ids.append(encoded)
        if LIKE_OURS(id):
            mark = b"u" if given else b"."
        else:
            mark = b"g" if given else b"i"
        plain = plain and mark == b"."
        marks.append(mark)
        bodies.append(b"%b %b\n%b" % (_sum(data), encoded, data))
    return [b"\n".join(ids), b"" if plain else b"".join(marks), *bodies]


def append_outcome(reply: bytes, messages: Sequence[NewMessage]) -> Outcome:
    """`=` before what was done earlier; then `+` or `-`, the first position, the time, and what was there already."""
    repeated = reply.startswith(b"=")
    text, _, ids = reply[repeated:].partition(b"\n")
    first, now, *notes = text[1:].split(b" ")
    known: dict[int, tuple[int, int]] = {}
    for note in notes:
        place, position, created_at = note.split(b":")
        known[int(place) - 1] = int(position), int(created_at)
    # A repetition has other ids where the caller gave none: those of the first time count.
    kept = ids.decode().split("\n") if repeated and ids else [message.id for message in messages]
    position, time = int(first), int(now)
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
    return Outcome(text[:1] == b"+", repeated, records, added)


def plain_outcome(reply: bytes) -> Outcome:
    """`+` where something was done, else `-`; `=` stands before what was done earlier."""
    repeated = reply.startswith(b"=")
    return Outcome(reply[repeated : repeated + 1] == b"+", repeated)


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


def refuse(reply: bytes, session_id: str, op: Operation | None, ids: Sequence[str], limits: Limits) -> None:
    """Raise what a script's refusal (a reply that begins with `!`) stands for."""
    what = reply[1:]
    if what == b"damaged":
        raise CorruptDataError(
            f"the server has dropped a part of session {session_id!r}: an eviction, or another program, removed some of "
            "its keys. Set maxmemory-policy to noeviction; delete the session to begin again"
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
    life, count, newest, created_at, updated_at = map(int, reply.split(b" "))
    return Head(life, count, newest, created_at, updated_at)


def describe(ids: Sequence[bytes], reply: bytes) -> list[SessionInfo]:
    """The sessions of a bucket that are there, from one line for each."""
    found: list[SessionInfo] = []
    for id, line in zip(ids, reply.split(b"\n"), strict=True):
        if line:
            count, created_at, updated_at = map(int, line.split(b" "))
            found.append(
                SessionInfo(id.decode(), count, from_microseconds(created_at), from_microseconds(updated_at))
            )
    return found
