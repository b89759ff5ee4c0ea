"""What comes back is what went in, or it is refused before anything is written."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from behaviour.values import EXACT, NOT_JSON, exact, nested
from openstackai_sessions_core import SerializationError
from openstackai_sessions_core.backend import AsyncBaseStore


async def test_values_come_back_type_exact(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    for value in EXACT:
        sent = {"role": "user", "content": value, "field": value, "list": [value], "dict": {"key": value}}
        (returned,) = await session.add_messages([sent])
        (read,) = await session.get_messages(1)
        assert exact(dict(returned)) == exact(sent)
        assert exact(dict(read)) == exact(sent)
        popped = await session.pop_message()
        assert popped is not None
        assert exact(dict(popped)) == exact(sent)


async def test_metadata_comes_back_type_exact(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    for value in EXACT:
        await session.set("key", value)
        assert exact(await session.get("key")) == exact(value)
        assert exact(await session.metadata()) == exact({"key": value})


async def test_values_survive_export_and_import(async_store: AsyncBaseStore) -> None:
    import json

    session, other = async_store.session("s"), async_store.session("t")
    await session.add_messages([{"content": value} for value in EXACT])
    await session.update({f"key {index}": value for index, value in enumerate(EXACT)})
    document = await session.export()
    for form in (document, json.dumps(document), json.dumps(document).encode()):
        await other.import_data(form)
        copy = await other.export()
        assert exact({**copy, "session_id": "s"}) == exact(document)


async def test_what_is_not_json_is_refused(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    for value in NOT_JSON:
        for sent in ({"content": value}, {"content": [value]}, {"content": {"key": value}}):
            with pytest.raises(SerializationError, match=r"messages\[0\].content"):
                await session.add_messages([sent])
        with pytest.raises(SerializationError):
            await session.add_message("user", "x", field=value)
        with pytest.raises(SerializationError):
            await session.set("key", value)
        with pytest.raises(SerializationError):
            await session.update({"fine": 1, "key": value})
    assert await session.count() == 0
    assert await session.metadata() == {}
    assert await async_store.list_sessions() == []


async def test_keys_must_be_text(async_store: AsyncBaseStore) -> None:
    wrong: Any = {1: "a"}
    with pytest.raises(SerializationError, match="keys must be str"):
        await async_store.session("s").add_messages([wrong])


async def test_subclasses_of_dict_are_stored_as_dict(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    inner: defaultdict[str, int] = defaultdict(int, a=1)
    (message,) = await session.add_messages([OrderedDict(b=1, a=inner)])
    assert exact(dict(message)) == exact({"b": 1, "a": {"a": 1}})


async def test_nesting_to_sixty_four_is_kept(async_store: AsyncBaseStore) -> None:
    session = async_store.session("s")
    await session.add_messages([{"content": nested(63)}])
    (message,) = await session.get_messages()
    assert message.content == nested(63)
    with pytest.raises(SerializationError, match="deep"):
        await session.add_messages([{"content": nested(64)}])


def _no_pairs(text: str) -> bool:
    """Two characters that make a surrogate pair would come back as one, and are refused."""
    return text == text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=[])).filter(
        lambda text: text == text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    ),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=5), children, max_size=4),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.text(max_size=8), JSON, max_size=5))
async def test_any_object_comes_back_exactly(async_store: AsyncBaseStore, sent: dict[str, object]) -> None:
    session = async_store.session("s")
    (returned,) = await session.add_messages([sent])
    (read,) = await session.get_messages(1)
    assert exact(dict(returned)) == exact(dict(read)) == exact(sent)
