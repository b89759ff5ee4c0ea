# Written by tools/twins.py from async_faulty.py: edit that file, then run `make twins`.
"""A store whose calls fail as told: before they reach the real store, or after it has applied them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from openstackai_sessions_core import BackendError, SessionInfo
from openstackai_sessions_core.backend import (
    BaseStore,
    Durability,
    Head,
    NewMessage,
    Operation,
    Outcome,
    RecordTuple,
    SessionImport,
    Snapshot,
)


class FaultyStore(BaseStore):
    """Raises `before` (one fault a call, in order) instead of calling, then `after` once the call was applied."""

    def __init__(self, real: BaseStore) -> None:
        super().__init__(real.options)
        self.real = real
        self.before: list[BackendError | None] = []
        self.after: list[BackendError | None] = []
        self.calls: list[str] = []

    def _enter(self, name: str) -> None:
        self.calls.append(name)
        if self.before and (fault := self.before.pop(0)) is not None:
            raise fault

    def _leave(self) -> None:
        if self.after and (fault := self.after.pop(0)) is not None:
            raise fault

    def append(self, session_id: str, op: Operation, messages: Sequence[NewMessage], *, ttl: int | None) -> Outcome:
        self._enter("append")
        outcome = self.real.append(session_id, op, messages, ttl=ttl)
        self._leave()
        return outcome

    def pop(self, session_id: str, op: Operation, *, ttl: int | None) -> Outcome:
        self._enter("pop")
        outcome = self.real.pop(session_id, op, ttl=ttl)
        self._leave()
        return outcome

    def clear(self, session_id: str, op: Operation, *, ttl: int | None) -> Outcome:
        self._enter("clear")
        outcome = self.real.clear(session_id, op, ttl=ttl)
        self._leave()
        return outcome

    def write_metadata(
        self, session_id: str, op: Operation, values: Mapping[str, bytes], removed: Sequence[str], *, ttl: int | None
    ) -> Outcome:
        self._enter("write_metadata")
        outcome = self.real.write_metadata(session_id, op, values, removed, ttl=ttl)
        self._leave()
        return outcome

    def replace(self, session_id: str, op: Operation, content: SessionImport, *, ttl: int | None) -> Outcome:
        self._enter("replace")
        outcome = self.real.replace(session_id, op, content, ttl=ttl)
        self._leave()
        return outcome

    def delete(self, session_id: str, op: Operation) -> Outcome:
        self._enter("delete")
        outcome = self.real.delete(session_id, op)
        self._leave()
        return outcome

    def read(self, session_id: str, *, limit: int | None, before: int | None) -> Sequence[RecordTuple]:
        self._enter("read")
        return self.real.read(session_id, limit=limit, before=before)

    def scan(self, session_id: str, life: int, *, after: int, until: int, limit: int) -> Sequence[RecordTuple]:
        self._enter("scan")
        return self.real.scan(session_id, life, after=after, until=until, limit=limit)

    def head(self, session_id: str) -> Head | None:
        self._enter("head")
        return self.real.head(session_id)

    def read_metadata(self, session_id: str, keys: Sequence[str] | None) -> Mapping[str, bytes]:
        self._enter("read_metadata")
        return self.real.read_metadata(session_id, keys)

    def load(self, session_id: str) -> Snapshot | None:
        self._enter("load")
        return self.real.load(session_id)

    def list_page(self, prefix: str, *, after: str | None, limit: int) -> Sequence[SessionInfo]:
        self._enter("list_page")
        return self.real.list_page(prefix, after=after, limit=limit)

    def purge(self) -> int:
        self._enter("purge")
        return self.real.purge()

    def durability(self) -> Durability:
        return self.real.durability()

    def close(self) -> None:
        self.real.close()
