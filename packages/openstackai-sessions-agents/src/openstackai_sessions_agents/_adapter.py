"""Our sessions in the shape that the OpenAI Agents SDK asks of a session."""

from __future__ import annotations

from typing import TypeAlias, cast

import agents
from agents import SessionSettings, TResponseInputItem

from openstackai_sessions_agents._threads import read_in_thread, write_in_thread
from openstackai_sessions_core import AsyncSession, JSONObject, Message, Session, ValidationError

__all__ = ["SessionLike", "as_agents_session"]

DEPTH = 64  # what is nested deeper, or contains itself, no session takes

SessionLike: TypeAlias = Session | AsyncSession | agents.Session
"""What an agent can carry and a run can be given: a session of ours, sync or async, or any session of the SDK."""


def as_agents_session(session: SessionLike) -> agents.Session:
    """The session in the form that the SDK's own `Runner`, and whatever else is built on its sessions, takes it.

    `await agents.Runner.run(agent, "Hello", session=as_agents_session(session))`

    Each item of a run becomes one message, exactly as the SDK gives it; the items of one call become one batch, all
    or none. (Text is kept as the model is sent it: a member of an enum as plain text, an emoji in one piece.) The
    handle stays the caller's: its events fire, and nobody closes it. A sync session is used from worker threads, so
    its handlers run there, and the event loop never waits for its store. A session of the SDK is returned as it is.

    Raises `ValidationError` for anything else.
    """
    if isinstance(session, Session):
        return _SyncAdapter(session)
    if isinstance(session, AsyncSession):
        return _AsyncAdapter(session)
    if all(callable(getattr(session, name, None)) for name in ("get_items", "add_items", "pop_item", "clear_session")):
        return session
    raise ValidationError(
        f"session must be a Session, an AsyncSession or a session of the agents SDK, not {type(session).__name__}"
    )


class _AsyncAdapter:
    """An `AsyncSession` as the SDK sees it."""

    session_id: str
    session_settings: SessionSettings | None = None

    def __init__(self, session: AsyncSession) -> None:
        self.session_id = session.session_id
        self._session = session

    def __repr__(self) -> str:
        return f"as_agents_session({self._session!r})"

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        messages = await self._session.get_messages(_limit(limit, self.session_settings))
        return [_item(message) for message in messages]

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        await self._session.add_messages(_messages(items))

    async def pop_item(self) -> TResponseInputItem | None:
        message = await self._session.pop_message()
        return None if message is None else _item(message)

    async def clear_session(self) -> None:
        await self._session.clear()


class _SyncAdapter:
    """A `Session` as the SDK sees it; every call leaves the event loop's thread."""

    session_id: str
    session_settings: SessionSettings | None = None

    def __init__(self, session: Session) -> None:
        self.session_id = session.session_id
        self._session = session

    def __repr__(self) -> str:
        return f"as_agents_session({self._session!r})"

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        limit = _limit(limit, self.session_settings)
        return await read_in_thread(lambda: [_item(message) for message in self._session.get_messages(limit)])

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        await write_in_thread(lambda: self._session.add_messages(_messages(items)), self._session.store.timeout)

    async def pop_item(self) -> TResponseInputItem | None:
        message = await write_in_thread(self._session.pop_message, self._session.store.timeout)
        return None if message is None else _item(message)

    async def clear_session(self) -> None:
        await write_in_thread(self._session.clear, self._session.store.timeout)


def _limit(limit: int | None, settings: SessionSettings | None) -> int | None:
    """The limit of a read: the call's own, or else the one in the settings, as in the SDK's sessions."""
    return settings.limit if limit is None and settings is not None else limit


# Items carry ids of their own, which repeat (a chat-completions model calls every item "__fake_id__"): they are data,
# and never become message ids.
def _messages(items: list[TResponseInputItem]) -> list[JSONObject]:
    return [cast("JSONObject", _plain(item, 0)) for item in items]


def _plain(value: object, depth: int) -> object:
    """The value with its text as JSON has it, which is what the model is sent; the session refuses all that differs.

    A tool may return a member of an enum, which is text too, and a stream may have cut an emoji in two.
    """
    if isinstance(value, str):
        if type(value) is str and value.isascii():
            return value
        return str.__str__(value).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    if depth > DEPTH:
        return value
    if isinstance(value, dict):
        return {key: _plain(item, depth + 1) for key, item in value.items()}
    return [_plain(item, depth + 1) for item in value] if isinstance(value, list) else value


def _item(message: Message) -> TResponseInputItem:
    """The stored object as a plain dict, which no code can mistake for anything else."""
    return cast("TResponseInputItem", dict(message))
