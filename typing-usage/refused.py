"""What type checkers must refuse: each ignore below is itself an error where a checker has nothing to say."""

import openstackai_sessions
from openstackai import Sessions  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
from openstackai.sessions import MongoSession  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
from openstackai_sessions import InMemorySession, SQLiteSession

openstackai_sessions.Sesion  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]

session = InMemorySession()
session.add_message("user", {"sets", "are not JSON"})  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
session.add_message(1, "a role is text")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
session.get_messages("ten")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
session.on("message_added", print)  # type: ignore[call-overload] # pyright: ignore[reportArgumentType, reportCallIssue]
session.import_data({}, mode="merge")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
SQLiteSession(None)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
number: int = session.get("a")  # type: ignore[assignment] # pyright: ignore[reportAssignmentType]

__all__ = ["MongoSession", "Sessions"]
