"""A session as one value: it does what the store in memory does, and its stored form stays readable."""

from __future__ import annotations

import random
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import msgspec
import pytest

from openstackai_sessions_core import (
    ConflictError,
    CorruptDataError,
    InMemoryStore,
    LimitExceededError,
    Limits,
    SchemaVersionError,
    SessionError,
)
from openstackai_sessions_core.backend import (
    ImportedMessage,
    NewMessage,
    Operation,
    SessionImport,
    SessionState,
    StoreOptions,
)

SECOND = 1_000_000
OPTIONS = StoreOptions(retry_timeout=0, op_id_ttl=30.5)
ARTICLE = NewMessage("m1", b'{"role":"user"}', True)


def opened(stored: bytes | None, now: int = 0, options: StoreOptions = OPTIONS) -> SessionState:
    return SessionState("s", stored, now=now, options=options)


def operation(id: str, *call: object) -> Operation:
    return Operation(id, blake2b(repr(call).encode(), digest_size=16).digest())


def draw_write(source: random.Random, number: int) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    """A primitive that writes, with its arguments; ids of messages and operations come again."""
    ids = source.sample(["m1", "m2", "m3", "m4"], source.randrange(4))
    payloads = [source.choice([b"{}", b'{"n":1}']) if source.random() < 0.2 else b'{"n":0}' for _ in ids]
    values = dict.fromkeys(source.sample(["k", "l"], source.randrange(3)), b"1")
    removed = [key for key in ("k", "l", "m") if key not in values and source.random() < 0.5]
    messages = [ImportedMessage(id, number, data) for id, data in zip(ids, payloads, strict=True)]
    append, created_at = source.random() < 0.5, source.choice([None, 5])
    name, arguments = source.choice(
        [
            ("append", ([NewMessage(id, data, True) for id, data in zip(ids, payloads, strict=True)],)),
            ("append", ([NewMessage(f"fresh{number}", b"{}", False)],)),
            ("pop", ()),
            ("clear", ()),
            ("write_metadata", (values, removed)),
            ("replace", (SessionImport(created_at, messages, values, append),)),
            ("delete", ()),
        ]
    )
    op = operation(source.choice(["op1", "op2", f"own{number}", f"own{number}"]), name, arguments)
    ttl = {} if name == "delete" else {"ttl": source.choice([None, None, None, 10 * SECOND])}
    return name, (op, *arguments), ttl


def attempt(call: Callable[[], Any]) -> object:
    try:
        found = call()
    except SessionError as error:
        return type(error)
    return tuple(map(list, found[2:])), found[:2]


@pytest.mark.parametrize("seed", range(25))
def test_it_does_what_the_store_in_memory_does(seed: int) -> None:
    source, now = random.Random(seed), 1_000
    memory = InMemoryStore(retry_timeout=0, op_id_ttl=30.5, clock=lambda: now)
    stored: bytes | None = None
    for number in range(60):
        now += source.choice([0, 0, 1, 7, 41])
        memory.purge()
        name, arguments, ttl = draw_write(source, number)
        state = opened(stored, now * SECOND)
        before = state.encode()
        done = attempt(lambda: getattr(state, name)(*arguments, **ttl))  # noqa: B023 - called at once
        assert done == attempt(lambda: getattr(memory, name)("s", *arguments, **ttl))  # noqa: B023 - called at once
        if isinstance(done, type):
            assert state.encode() == before, "what fails changes nothing"
        stored = state.encode()
        state = opened(stored, now * SECOND)
        assert (state.encode(), state.expired) == (stored, False)
        assert [*state.read(limit=None, before=None)] == [*memory.read("s", limit=None, before=None)]
        assert [*state.read(limit=2, before=4)] == [*memory.read("s", limit=2, before=4)]
        assert (state.read(limit=0, before=None), state.load()) == ([], memory.load("s"))
        assert state.read_metadata(["k", "m"]) == memory.read_metadata("s", ["k", "m"])
        assert [info for info in [state.info()] if info] == memory.list_page("", after=None, limit=9)
        head, other = state.head(), memory.head("s")
        assert (head and head[1:]) == (other and other[1:])


def test_every_life_has_a_number_of_its_own() -> None:
    state, lives = opened(None), set()
    for number in range(9):
        state.append(operation(f"a{number}"), [ARTICLE], ttl=None)
        head = state.head()
        assert head is not None
        lives.add(head.life)
        state.delete(operation(f"d{number}"))
    assert len(lives) == 9


def test_what_is_past_its_deadline_is_gone_and_counted_once() -> None:
    state = opened(None)
    state.append(operation("op"), [ARTICLE], ttl=5 * SECOND)
    stored = state.encode()
    assert not opened(stored, 5 * SECOND - 1).expired
    late = SessionState(None, stored, now=5 * SECOND, options=OPTIONS)
    assert (late.expired, late.info(), late.head(), late.load()) == (True, None, None, None)
    left = late.encode()
    assert left is not None, "its operation is remembered still"
    assert not opened(left, 5 * SECOND).expired
    assert opened(left, 31 * SECOND).encode() is None


def test_its_stored_form_stays() -> None:
    state = opened(None, 7)
    state.append(operation("op"), [ARTICLE], ttl=None)
    state.write_metadata(operation("op2"), {"k": b"1"}, [], ttl=9 * SECOND)
    stored = state.encode()
    assert stored is not None
    form: Any = msgspec.msgpack.decode(stored)
    assert form["session"].pop("life") > 0
    assert form == {
        "version": 1,
        "session": {
            "id": "s",
            "created_at": 7,
            "updated_at": 7,
            "ttl": 9 * SECOND,
            "last_position": 1,
            "log": [[1, "m1", 7, b'{"role":"user"}']],
            "metadata": {"k": b"1"},
        },
        "operations": {
            "op": [30_500_007, operation("op").digest, b'[true,[[1,"m1",7]],[true],null]'],
            "op2": [30_500_007, operation("op2").digest, b"[true,[],[],null]"],
        },
    }


def test_what_cannot_be_read_says_so() -> None:
    stored = opened(None)
    stored.append(operation("op"), [ARTICLE], ttl=None)
    whole = stored.encode() or b""
    for damaged in (
        b"",
        b"\xc1",
        whole[:-1],
        whole + b"x",
        whole.replace(b"life", b"lift"),
        msgspec.msgpack.encode([]),
    ):
        with pytest.raises(CorruptDataError):
            opened(damaged)
    with pytest.raises(SchemaVersionError):
        opened(msgspec.msgpack.encode({"version": 2, "anything": None}))


def test_a_damaged_message_is_not_popped() -> None:
    state = opened(None)
    state.append(operation("op"), [NewMessage("m1", b"[", True)], ttl=None)
    with pytest.raises(CorruptDataError) as raised:
        state.pop(operation("pop"), ttl=None)
    assert raised.value.position == 1
    assert len(state.read(limit=None, before=None)) == 1


def test_what_is_refused_changes_nothing() -> None:
    state = opened(None, options=StoreOptions(limits=Limits(metadata_bytes=4)))
    state.append(operation("op"), [ARTICLE], ttl=None)
    stored = state.encode()
    document = SessionImport(None, [ImportedMessage("m2", 0, b"{}")], {"key": b"12"}, False)
    with pytest.raises(LimitExceededError):
        state.write_metadata(operation("set"), {"key": b"12"}, [], ttl=None)
    with pytest.raises(LimitExceededError):
        state.replace(operation("import"), document, ttl=None)
    with pytest.raises(ConflictError):
        state.append(operation("again"), [NewMessage("m2", b"{}", False), NewMessage("m1", b"{}", True)], ttl=None)
    with pytest.raises(ConflictError):
        state.append(operation("op", "another"), [ARTICLE], ttl=None)
    assert state.encode() == stored
