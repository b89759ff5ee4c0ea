"""Every example of the documented page that needs no server, as it is written there, in one program.

Between the examples stands what a reader of the page may expect of them. It runs in an empty folder, with a stand-in
for the paid model behind ``OPENAI_BASE_URL``.
"""

from openstackai import Agent, Runner
from openstackai.sessions import InMemorySession, SessionEvent, SQLiteSession

# SQLite Session

session = SQLiteSession("conversations.db")

# Use with agent
agent = Agent(name="Assistant", session=session)

# Basic Usage

# Create session
session = SQLiteSession(db_path="sessions.db", session_id="user-123")

agent = Agent(name="Assistant", instructions="Remember user preferences", session=session)

# Conversation persists
result1 = Runner.run_sync(agent, "My name is Alice")
result2 = Runner.run_sync(agent, "What's my name?")
# "Your name is Alice"
assert result2.final_output == "Your name is Alice."

# Later session...
agent2 = Agent(name="Assistant", session=session)
result = Runner.run_sync(agent2, "Do you remember me?")
# "Yes, you're Alice!"
assert result.final_output == "Yes, you're Alice!"
assert session.count() == 6

# Get/Set Messages
session = SQLiteSession("operations.db")

# Get conversation history
messages = session.get_messages()
assert messages == []

# Add message
session.add_message("user", "Hello")
session.add_message("assistant", "Hi there!")
assert session.get_messages() == [
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi there!"},
]

# Clear session
session.clear()
assert session.get_messages() == []

# Get/Set Metadata

# Store metadata
session.set("user_name", "Alice")
session.set("preferences", {"theme": "dark"})

# Retrieve metadata
name = session.get("user_name")
prefs = session.get("preferences")
assert (name, prefs) == ("Alice", {"theme": "dark"})


# Multiple Sessions


# Different session per user
def get_session(user_id: str) -> SQLiteSession:
    """Verbatim but for this line and the annotation of what is returned."""
    return SQLiteSession(db_path="sessions.db", session_id=f"user-{user_id}")


# Usage
session = get_session("alice")
agent = Agent(name="Assistant", session=session)
assert session.get_messages() == []
assert get_session("123").count() == 6

# Session Context Manager
with SQLiteSession("db.sqlite", "user-123") as session:
    agent = Agent(name="Assistant", session=session)
    result = Runner.run_sync(agent, "Hello")
# Session automatically saved
assert SQLiteSession("db.sqlite", "user-123").get_messages(limit=2)[0] == {"role": "user", "content": "Hello"}

# Export/Import
session = get_session("123")

# Export session
data = session.export()

# Import session
new_session = SQLiteSession("new.db", "user-123")
new_session.import_data(data)
assert new_session.export() == data
assert [message.id for message in new_session.get_messages()] == [message.id for message in session.get_messages()]

# Session Events
said: list[str] = []
session.on(SessionEvent.MESSAGE_ADDED, lambda msg: said.append(f"New: {msg['content']}"))
session.on(SessionEvent.SESSION_CLEARED, lambda: said.append("Cleared"))
session.add_message("user", "Bye")
session.clear()
assert said == ["New: Bye", "Cleared"]

# The table's fourth backend needs no server either.
memory = InMemorySession()
memory.add_message("user", "Hello")
assert memory.get_messages() == [{"role": "user", "content": "Hello"}]

print("Every example ran.")
