"""The public API as a user types it; mypy and pyright, both strict, read this against installed wheels.

It also runs: ``python usage.py`` does what it says, on a file in a temporary folder and without a model.
"""

import asyncio
import json
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TypedDict

from agents import RunResult, RunResultStreaming, function_tool
from typing_extensions import assert_type

from openstackai import Agent, Runner
from openstackai.sessions import (
    AsyncInMemorySession,
    AsyncInMemoryStore,
    AsyncSession,
    AsyncSQLiteSession,
    AsyncSQLiteStore,
    BackendError,
    BackendUnavailableError,
    ConflictError,
    ImportFormatError,
    InMemorySession,
    InMemoryStore,
    JSONObject,
    JSONValue,
    LimitExceededError,
    Limits,
    Message,
    OutcomeUnknownError,
    SerializationError,
    Session,
    SessionError,
    SessionEvent,
    SessionInfo,
    SQLiteSession,
    SQLiteStore,
    ValidationError,
    open_async_store,
    open_store,
)


class Turn(TypedDict):
    """A message as model clients type it."""

    role: str
    content: str


def messages(session: Session) -> None:
    """Any backend's handle is a Session."""
    added = session.add_message("user", "Hello", name="alice", tags=["a", "b"])
    assert_type(added, Message)
    assert_type(added.id, str)
    assert_type(added.position, int)
    assert_type(added.created_at, datetime)
    assert_type(added.role, JSONValue)
    assert_type(added["content"], JSONValue)
    session.add_message("assistant", [{"type": "text", "text": "Hi"}], id="m-2", op_id="op-2")
    assert_type(
        session.add_messages([{"role": "user", "content": "a"}, {"any": {"shape": [1, 2.0, None]}}]), list[Message]
    )
    turns: list[Turn] = [{"role": "user", "content": "typed"}]
    session.add_messages(turns)
    session.add_messages([added, {"type": "reasoning"}], ids=[None, "m-4"], op_id="op-4")
    assert_type(session.get_messages(), list[Message])
    session.get_messages(10)
    session.get_messages(limit=10, before=3)
    for message in session.iter_messages(page_size=100):
        assert_type(message, Message)
    assert_type(session.pop_message(), Message | None)
    assert_type(session.count(), int)
    assert_type(session.session_id, str)
    session.clear()


def metadata(session: Session) -> None:
    """Metadata takes and gives JSON."""
    session.set("user_name", "Alice")
    session.set("preferences", {"theme": "dark"}, op_id="op-5")
    session.update({"a": 1, "b": None})
    assert_type(session.get("user_name"), JSONValue)
    assert_type(session.get("missing", 0), JSONValue)
    session.remove("user_name")
    assert_type(session.metadata(), dict[str, JSONValue])


def documents(session: Session, other: Session) -> None:
    """What is exported goes into any other session."""
    data = session.export()
    assert_type(data, JSONObject)
    other.import_data(data)
    other.import_data(json.dumps(data), mode="append", op_id="op-6")


def events(session: Session) -> None:
    """Handlers subscribe by a call or a decorator."""
    session.on(SessionEvent.MESSAGE_ADDED, lambda msg: print(f"New: {msg}"))
    session.on(SessionEvent.MESSAGE_REMOVED, lambda msg: print(msg.position))
    session.on(SessionEvent.METADATA_CHANGED, lambda key, value: print(key.upper(), value))
    unsubscribe = session.on(SessionEvent.SESSION_CLEARED, lambda: print("Cleared"))
    unsubscribe()

    @session.on(SessionEvent.METADATA_CHANGED)
    def changed(key: str, value: JSONValue) -> None:
        print(key, value)

    changed("still", "callable")
    session.off(SessionEvent.METADATA_CHANGED, changed)


def stores(folder: Path) -> None:
    """A store holds many sessions, and a URL names one."""
    with SQLiteStore(folder / "stores.db") as store:
        messages(store.session("alice"))
        for info in store.list_sessions("ali", after=None, limit=10):
            assert_type(info, SessionInfo)
            assert_type(info.message_count, int)
            assert_type(info.updated_at, datetime)
        store.delete_session("alice")
        assert_type(store.purge_expired(), int)
        store.durability()
        generic: Session = Session(store, "bob", ttl=3600)
        generic.delete()
    with open_store(f"sqlite:///{folder}/url.db") as opened:
        metadata(opened.session("carol"))
    shared = InMemoryStore(limits=Limits(message_bytes=1024))
    documents(InMemorySession("a", store=shared), InMemorySession("b", store=shared, ttl=60.5))


def handles(folder: Path) -> None:
    """The handles of the documented page."""
    with SQLiteSession(str(folder / "db.sqlite"), "user-123") as session:
        assert_type(session, SQLiteSession)
        messages(session)
        metadata(session)
        events(session)
        documents(session, InMemorySession())
    SQLiteSession(db_path=folder / "sessions.db", session_id="user-123", ttl=86400).close()
    SQLiteSession(":memory:").close()


def errors(session: Session) -> str:
    """The error tells whether it is safe to try again."""
    try:
        session.add_message("user", "Hello")
    except (SerializationError, ImportFormatError, LimitExceededError) as error:
        return str(error)
    except ValidationError as error:
        as_value_error: ValueError = error
        return str(as_value_error)
    except OutcomeUnknownError as error:
        session.add_message("user", "Hello", op_id=error.op_id)
    except BackendUnavailableError:
        return "nothing was applied"
    except (BackendError, ConflictError) as error:
        as_session_error: SessionError = error
        return repr(as_session_error)
    return ""


async def async_api(folder: Path) -> None:
    """The same names, awaited."""
    async with AsyncSQLiteSession(folder / "async.db", "user-123", ttl=60) as session:
        assert_type(session, AsyncSQLiteSession)
        generic: AsyncSession = session
        assert_type(await generic.add_message("user", "Hello"), Message)
        assert_type(await session.get_messages(50), list[Message])
        async for message in session.iter_messages():
            assert_type(message, Message)
        assert_type(await session.pop_message(), Message | None)
        await session.set("a", [1, 2])
        assert_type(await session.get("a"), JSONValue)
        assert_type(await session.metadata(), dict[str, JSONValue])
        await AsyncInMemorySession().import_data(await session.export())

        @session.on(SessionEvent.MESSAGE_REMOVED)
        async def removed(message: Message) -> None:
            print(message.id)

        session.off(SessionEvent.MESSAGE_REMOVED, removed)
    async with AsyncSQLiteStore(folder / "async.db") as store:
        assert_type(await store.list_sessions(), list[SessionInfo])
        assert_type(await store.session("user-123").count(), int)
    async with open_async_store("memory://") as opened:
        await opened.session("a").delete()
    async with AsyncInMemoryStore() as memory:
        await memory.delete_session("a")


@function_tool
def weather(city: str) -> str:
    """A tool, as the SDK has them."""
    return f"sunny in {city}"


def create_agent_for_user(user_id: str, folder: Path) -> Agent:
    """An agent carries its session; the annotation needs no type argument."""
    session = SQLiteSession(db_path=folder / "sessions.db", session_id=f"user-{user_id}")
    return Agent(name="ChatBot", instructions="Friendly assistant", tools=[weather], session=session)


def agent_api(folder: Path) -> Agent:
    """Agents made as the page makes them."""
    plain = Agent(name="Assistant")
    alice = create_agent_for_user("alice", folder)
    handing_off = Agent(name="Triage", handoffs=[plain, alice], session=AsyncInMemorySession())
    assert_type(alice.clone(name="Other"), Agent)
    return handing_off


def runs(agent: Agent) -> None:
    """Runs need a model, so that this is read by type checkers only."""
    result = Runner.run_sync(agent, "My name is Alice")
    assert_type(result, RunResult)
    print(result.final_output)
    Runner.run_sync(agent, "What's my name?", session=InMemorySession())


async def async_runs(agent: Agent) -> None:
    """The same, in a running loop."""
    assert_type(await Runner.run(agent, "Hello"), RunResult)
    streamed = Runner.run_streamed(agent, "Hello")
    assert_type(streamed, RunResultStreaming)
    async for event in streamed.stream_events():
        print(event.type)


def main() -> None:
    """Do all that needs no model."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        handles(folder)
        stores(folder)
        print(errors(InMemorySession()) or "no error")
        asyncio.run(async_api(folder))
        print(agent_api(folder).name)


if __name__ == "__main__":
    main()
