"""The documented page runs as it is written, against installed wheels, on the oldest and the newest Python found."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from interpreters import VERSIONS, find
from openstackai_sessions_agents._demo_model import answer
from wheels.venvs import Venv

FOUND = [version for version in VERSIONS if find(version)]
PAGE = (Path(__file__).parent / "documented_page.py").read_text(encoding="utf-8")


class StandIn(BaseHTTPRequestHandler):
    """A stand-in for the paid model: the Responses API over HTTP, answering from the history it is sent, no more."""

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        items = request["input"]
        text = answer([{"role": "user", "content": items}] if isinstance(items, str) else items)
        message = {"type": "output_text", "text": text, "annotations": []}
        reply = {
            "id": "resp_1",
            "object": "response",
            "created_at": 0,
            "model": request["model"],
            "status": "completed",
            "output": [
                {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [message]}
            ],
            "parallel_tool_calls": False,
            "tool_choice": "auto",
            "tools": [],
        }
        body = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def model_url() -> Iterator[str]:
    """The address of the stand-in."""
    with HTTPServer(("127.0.0.1", 0), StandIn) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("version", sorted({FOUND[0], FOUND[-1]}, key=VERSIONS.index))
def test_the_documented_page_runs_through_both_import_paths(
    make_venv: Callable[..., Venv], model_url: str, tmp_path: Path, version: str
) -> None:
    venv = make_venv("openstackai-sessions[sqlite,agents]", python=find(version))
    paths = {
        "documented": PAGE,
        "always ours": PAGE.replace("from openstackai.sessions", "from openstackai_sessions").replace(
            "from openstackai import", "from openstackai_sessions import"
        ),
    }
    assert paths["documented"] != paths["always ours"]
    for name, page in paths.items():
        folder = tmp_path / name
        folder.mkdir()
        model = {"OPENAI_BASE_URL": model_url, "OPENAI_API_KEY": "none", "OPENAI_AGENTS_DISABLE_TRACING": "1"}
        code = f"import os; os.environ.update({model!r}); os.chdir({str(folder)!r})\n{page}"
        assert venv.run(code) == "Every example ran."
        # The first example only makes a handle: its file is not there, since nothing was written.
        files = {path.name for path in folder.iterdir()}
        assert {"sessions.db", "operations.db", "new.db", "db.sqlite"} <= files
        assert "conversations.db" not in files
