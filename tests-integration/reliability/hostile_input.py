"""Documents that lie and ids that look like something else: refused by name, or taken as they are."""

from __future__ import annotations

import copy
import gc
import json
import resource
import sys
import unicodedata
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

from openstackai_sessions_core import ImportFormatError, InMemoryStore, Session, SessionError, ValidationError
from reliability._framework import Campaign, Tally
from reliability._places import place

__all__ = ["CAMPAIGNS"]

# One document in so many is imported on the real engine; reading it is the same code everywhere.
ENGINE = 10
# In bytes: how much more memory the whole campaign may take at its peak than before.
MEMORY = 256 * 1024 * 1024

ODD: list[Any] = [
    None, True, False, 0, 1, -1, 1.0, 1.5, -0.0, 1e308, float("nan"), float("inf"), 2**63, -(2**63) - 1, 10**400, "",
    "x", "\0", "\ud800", "\uffff", "e\u0301", "1", "null", "2026-01-02T03:04:05Z", "2026-13-45T99:99:99.000000Z",
    "0000-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z", "a" * 5000, b"bytes", {}, [], [[]], {"": ""},
    {"id": "1"}, [None], (1, 2), {1, 2}, object, {1: 2}, "openstackai-session", 2, "__proto__", "../../etc/passwd",
]  # fmt: skip

# Pieces that mean something to one engine or another.
PIECES = [
    "a", "A", "b", "\u00e9", "e\u0301", "\u212a", "K", "k", "\u0130", "i", "\u00df", "SS", " ", "\u00a0", "\u200b",
    "\u202e", "\ufeff", "\uffff", "\U0001f468\u200d\U0001f469", ":", "::", "{", "}", "{a}", "*", "?", "[a]", "%", "_",
    "\\", "/", "..", "'", '"', "`", ";--", "$1", "%s", "%(x)s", "{0}", "0", "1", "01", "1.0", "None", "null",
    "messages", ":messages", "state", "|", ",", "=", "&", "#", "@", "!", "~", "^", "+", "-", "<", ">", "(", ")",
]  # fmt: skip
REFUSED: list[Any] = ["", "\0", "a\0b", "\n", "\x7f", "\x85", "\ud800", "a" * 513, "\u00e9" * 257, None, 1, 1.0, True,
                      b"a", ["a"], ("a",), {"a": 1}, object()]  # fmt: skip


def import_hostile(tally: Tally) -> None:
    """Change a good document at random, import it, and look that it came whole, or not at all."""
    with place("sqlite") as somewhere, somewhere.open() as store:
        tally.place = f"memory, and {somewhere.version} for one in {ENGINE}"
        targets = [Session(InMemoryStore(), "s"), Session(store, "s")]
        before = _peak()
        held: list[Any] = [target.export() for target in targets]
        while tally.left:
            index = int(tally.done % ENGINE == 0)
            target = targets[index]
            document = _hostile(tally.random)
            told = repr(document)[:300]
            try:
                target.import_data(document, mode=tally.random.choice(("replace", "append")))
            except ImportFormatError:
                tally.numbers["refused"] += 1
                tally.expect(target.export() == held[index], f"refused, and the session has changed: {told}")
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is none of ours
                tally.violate(f"{error!r} for {told}")
            else:
                tally.numbers["taken"] += 1
                _check_taken(target, document, tally, told)
            # From time to time, begin anew: what was appended adds up.
            if tally.done % 50 < 2:
                target.delete()
            held[index] = target.export()
            tally.step()
        for bomb in _bombs():
            try:
                targets[0].import_data(bomb)
            except ImportFormatError:
                tally.numbers["huge ones refused"] += 1
            except BaseException as error:  # noqa: BLE001 - as above
                tally.violate(f"{error!r} for a huge document that begins {bomb[:80]!r}")
            else:
                tally.violate(f"a huge document was taken that begins {bomb[:80]!r}")
            gc.collect()
        grown = _peak() - before
        tally.numbers["MiB of memory at the peak"] = grown // 2**20
        tally.expect(grown < MEMORY, f"the memory has grown by {grown:,} bytes")


def _check_taken(target: Session, document: object, tally: Tally, told: str) -> None:
    """What was taken is there to the last message."""
    read: Any = document if isinstance(document, dict) else json.loads(document)  # type: ignore[arg-type] # text
    exported: Any = target.export()
    ids = [message["id"] for message in exported["messages"]]
    wanted = [message["id"] for message in read["messages"]]
    tally.expect(ids[len(ids) - len(wanted) :] == wanted or set(wanted) <= set(ids), f"taken in part: {told}")
    data = {message["id"]: message["data"] for message in exported["messages"]}
    for message in read["messages"]:
        same = json.dumps(data[message["id"]]) == json.dumps(message["data"])
        tally.expect(same, f"taken, and changed: {message!r}")


def _hostile(random: Random) -> Any:
    document = _good(random)
    for _ in range(random.choice((0, 1, 1, 1, 2, 3))):
        _spoil(document, random)
    shape = random.random()
    if shape < 0.5:
        return document
    try:
        text = json.dumps(document)
    except (TypeError, ValueError):
        return document
    if shape < 0.7:
        return text
    data = bytearray(text.encode("utf-8", "surrogatepass"))
    for _ in range(random.choice((0, 1, 1, 3))):
        data[random.randrange(len(data))] = random.randrange(256)
    if random.random() < 0.2:
        del data[random.randrange(len(data)) :]
    if random.random() < 0.1:
        # The same key twice.
        data = data.replace(b'"version": 1', b'"version": 1, "version": 1')
    return bytes(data)


def _good(random: Random) -> dict[str, Any]:
    time = "2026-01-02T03:04:05.678901Z"
    return {
        "format": "openstackai-session",
        "version": 1,
        "session_id": "s",
        "created_at": time,
        "messages": [
            {"id": f"{random.getrandbits(40)}-{n}", "created_at": time, "data": {"role": "user", "content": n}}
            for n in range(random.randrange(4))
        ],
        "metadata": {"a": 1, "b": None},
    }


def _spoil(document: Any, random: Random) -> None:
    """Change one thing somewhere."""
    at = document
    while True:
        inner = list(at.values()) if isinstance(at, dict) else list(at)
        inner = [each for each in inner if isinstance(each, (dict, list)) and each]
        if not inner or random.random() < 0.4:
            break
        at = random.choice(inner)
    if isinstance(at, dict) and at:
        key = random.choice(list(at))
        way = random.random()
        if way < 0.15:
            del at[key]
        elif way < 0.25:
            at[random.choice(["", "extra", "id", 1, None, "\ud800"])] = random.choice(ODD)
        else:
            at[key] = copy.deepcopy(random.choice(ODD))
    elif isinstance(at, list):
        at.insert(random.randint(0, len(at)), copy.deepcopy(random.choice([*at, *ODD])))


def _bombs() -> list[Any]:
    """Documents that are large for what they say."""
    head = '{"format": "openstackai-session", "version": 1, "session_id": "s", "created_at": null, "metadata": {}, '
    return [
        "[" * 1_000_000,
        '{"a":' * 100_000,
        head + '"messages": [' + "0," * 1_000_000 + "0]}",
        head + '"messages": [' + "[" * 100_000 + "]" * 100_000 + "]}",
        head + '"messages": ' + "9" * 1_000_000 + "}",
        b"\x80\x04\x95" + b"\0" * 1000,
    ]


def _peak() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def cross_ids(name: str, tally: Tally) -> None:
    """Give sessions ids that look like each other, and do to each in turn what must not touch the rest."""
    with place(name) as somewhere, somewhere.open() as store:
        tally.place = somewhere.version
        ids = _ids(tally.wanted, tally.random)
        for id in ids:
            session = Session(store, id)
            session.add_messages([{"role": "user", "content": id}] * 2)
            session.update({id: id, "same": id})
        counts = dict.fromkeys(ids, 2)
        for id in ids:
            session = Session(store, id)
            _one_of(session, tally.random)()
            counts[id] = session.count()
            infos: dict[str, int] = {}
            after = None
            while page := store.list_sessions(after=after, limit=1000):
                infos |= {info.id: info.message_count for info in page}
                after = page[-1].id
            expected = {each: count for each, count in counts.items() if each in infos or count}
            tally.expect(infos == expected, f"what was done to {id!r} has touched another session")
            tally.numbers["pairs"] += len(ids) - 1
            tally.step()
        for id in ids:
            session = Session(store, id)
            texts = {message["content"] for message in session.get_messages()}
            tally.expect(texts <= {id, "new"}, f"{id!r} holds {texts}")
            tally.expect(set(session.metadata().values()) <= {id}, f"{id!r} holds {session.metadata()}")
        _refuse(partial(Session, store), tally)


def _one_of(session: Session, random: Random) -> Callable[[], object]:
    document: dict[str, object] = {**session.export(), "messages": []}
    calls: list[Callable[[], object]] = [
        session.pop_message,
        session.clear,
        session.delete,
        lambda: session.add_message("user", "new"),
        lambda: session.remove(session.session_id),
        lambda: session.import_data(document),
    ]
    return random.choice(calls)


def _ids(count: int, random: Random) -> list[str]:
    ids = dict.fromkeys([*PIECES, *(f"x{piece}" for piece in PIECES), "a" * 512, "a" * 511 + "b", "\u00e9" * 256])
    while len(ids) < count:
        ids.setdefault("".join(random.choices(PIECES, k=random.randint(2, 6))))
    chosen = list(ids)[:count]
    random.shuffle(chosen)
    assert all(unicodedata.category(letter) != "Cc" for id in chosen for letter in id)
    return chosen


def _refuse(make: Callable[[Any], Session], tally: Tally) -> None:
    for id in REFUSED:
        try:
            make(id)
        except ValidationError:
            tally.numbers["ids refused"] += 1
        except SessionError as error:
            tally.violate(f"the id {id!r} raised {error!r}")
        else:
            tally.violate(f"the id {id!r} was taken")


CAMPAIGNS = [
    Campaign(
        "hostile_input/documents",
        "documents",
        "0 partial writes, 0 errors outside the tree, bounded memory",
        100_000,
        3_000,
        import_hostile,
    ),
    *(
        Campaign(
            f"hostile_input/ids-{name}",
            "ids",
            "0 ids that touch another, pair by pair",
            300,
            60,
            partial(cross_ids, name),
        )
        for name in ("memory", "sqlite", "valkey", "postgres")
    ),
]
