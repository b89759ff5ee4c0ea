"""The examples of the documentation run as written against a real server, whatever port it really has."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from servers.redis import Server, binaries, need_binary, tls_server
from servers.tls import Certificates, Front

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLE = re.compile(r"^(<!-- not run: ([^\n]+) -->\n+)?```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# Leads the names and the port of the examples to the server of the test.
PRELUDE = """
import socket
_real = socket.getaddrinfo
def _lead(host, port, *args, **kwargs):
    if host in ("localhost", "redis", "redis.example.com") and port == 6379:
        host, port = "127.0.0.1", {port}
    return _real(host, port, *args, **kwargs)
socket.getaddrinfo = _lead
class Agent:
    def __init__(self, **arguments):
        self.__dict__.update(arguments)
"""

DOCUMENTED = """
from openstackai.sessions import RedisSession, SQLiteSession, SessionEvent

session = RedisSession(
    host="localhost",
    port=6379,
    session_id="user-123"
)
agent = Agent(
    name="Assistant",
    session=session
)
messages = session.get_messages()
assert messages == []
session.add_message("user", "Hello")
session.add_message("assistant", "Hi there!")
assert session.get_messages() == [
    {"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi there!"}
]
session.clear()
session.set("user_name", "Alice")
session.set("preferences", {"theme": "dark"})
name = session.get("user_name")
prefs = session.get("preferences")
assert (name, prefs) == ("Alice", {"theme": "dark"})

session = RedisSession(
    host="localhost",
    session_id="user-123",
    ttl=3600 # Expire after 1 hour
)
heard = []
session.on(SessionEvent.MESSAGE_ADDED, lambda msg: heard.append(f"New: {msg}"))
session.on(SessionEvent.SESSION_CLEARED, lambda: heard.append("Cleared"))
session.add_message("user", "x")
session.clear()
assert heard == [f"New: {({'role': 'user', 'content': 'x'})}", "Cleared"] or len(heard) == 2

def create_agent_for_user(user_id: str) -> Agent:
    session = RedisSession(
        host="redis",
        session_id=f"chat:{user_id}",
        ttl=86400 # 24 hours
    )
    return Agent(
        name="ChatBot",
        instructions="Friendly assistant",
        session=session
    )

# Per-user agents
alice_agent = create_agent_for_user("alice")
bob_agent = create_agent_for_user("bob")
alice_agent.session.add_message("user", "I am Alice")
assert bob_agent.session.get_messages() == []

# Migrate from SQLite to Redis
sqlite = SQLiteSession("old.db", "user-123")
sqlite.add_message("user", "old")
redis = RedisSession(host="localhost", session_id="user-123")

# Export and import
data = sqlite.export()
redis.import_data(data)
assert redis.get_messages() == [{"role": "user", "content": "old"}]
with redis as session:
    assert session.count() == 1
"""

SECURED = """
from openstackai.sessions import RedisSession

session = RedisSession(
    host="redis.example.com",
    port=6379,
    password="your-password",
    ssl=True,
    session_id="user-123"
)
session.add_message("user", "Hello")
assert session.count() == 1
"""


def asynchronous(source: str) -> str:
    """The same program on the asynchronous side."""
    lines = source.strip().splitlines()
    imports = [line for line in lines if line.startswith("from ")]
    body = "\n".join(line for line in lines if line not in imports)
    calls = "get_messages|add_message|clear|set|get|count|import_data|export"
    body = re.sub(rf"((?:\w+\.)?(?:session|redis|sqlite)\.(?:{calls})\()", r"await \1", body)
    body = body.replace("with redis", "async with redis").replace(
        "    assert session.count()", "    assert await session.count()"
    )
    body = body.replace("await await", "await")
    body = re.sub(r"\b(RedisSession|SQLiteSession)\(", r"Async\1(", body)
    inside = "\n".join("    " + line for line in body.splitlines())
    names = "from openstackai.sessions import AsyncRedisSession, AsyncSQLiteSession, SessionEvent"
    return f"import asyncio\n{names}\nasync def main():\n{inside}\nasyncio.run(main())\n"


def run(source: str, port: int, folder: Path, **environment: str) -> str:
    script = folder / "example.py"
    script.write_text(PRELUDE.format(port=port) + source, "utf-8")
    done = subprocess.run(
        [sys.executable, str(script)], cwd=folder, env=os.environ | environment, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("side", ["sync", "async"])
def test_the_documented_examples_run_as_written(server: Server, tmp_path: Path, side: str) -> None:
    pytest.importorskip("openstackai_sessions", reason="the front door is not installed here")
    source = DOCUMENTED if side == "sync" else asynchronous(DOCUMENTED)
    run(source, server.port, tmp_path)


@pytest.mark.parametrize("side", ["sync", "async"])
def test_the_documented_example_with_a_password_and_tls(tmp_path: Path, side: str) -> None:
    pytest.importorskip("openstackai_sessions", reason="the front door is not installed here")
    files = Certificates(tmp_path, "redis.example.com")
    secret = ("--requirepass", "your-password")
    with contextlib.ExitStack() as stack:
        if binary := next((binary for binary in binaries() if binary.tls), None):
            port = stack.enter_context(tls_server(binary, files, *secret, password="your-password")).port  # noqa: S106 - as documented
        else:
            plain = stack.enter_context(Server(need_binary(), secret, options={"password": "your-password"}))
            port = stack.enter_context(contextlib.closing(Front(plain.port, files))).port
        source = SECURED if side == "sync" else asynchronous(SECURED)
        # The authority stands in for one that the system trusts.
        run(source, port, tmp_path, SSL_CERT_FILE=str(files.authority))


def test_the_examples_of_the_redis_page_print_what_they_say(server: Server, tmp_path: Path) -> None:
    pytest.importorskip("openstackai_sessions", reason="the front door is not installed here")
    page = (ROOT / "docs" / "backends" / "redis.md").read_text("utf-8")
    examples = [source for _, why, source in EXAMPLE.findall(page) if why != "needs Sentinels"]
    assert len(examples) == 3
    source = "\n".join(examples)
    assert run(source, server.port, tmp_path).splitlines() == re.findall(r"# -> (.*)$", source, re.MULTILINE)
