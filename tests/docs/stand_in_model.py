"""A stand-in for a paid model, for the examples: it knows the name that the history it is sent gives, and nothing else.

It serves the Responses API on this machine alone, prints its base URL, and ends when its input does.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

NAME = re.compile(r"\bmy name is (\w+)", re.IGNORECASE)


def answer(items: list[dict[str, Any]]) -> str:
    """The reply to the last message of the user."""
    said = [str(item["content"]) for item in items if item.get("role") == "user"]
    names = [name for text in said for name in NAME.findall(text)]
    if not names:
        return "I don't know you."
    if NAME.search(said[-1]):
        return f"Hello {names[-1]}."
    return f"Yes, you're {names[-1]}!" if "remember" in said[-1] else f"Your name is {names[-1]}."


class Handler(BaseHTTPRequestHandler):
    """One request, answered whole or as a stream of events."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        given = request["input"]
        items = [{"role": "user", "content": given}] if isinstance(given, str) else given
        text = {"type": "output_text", "text": answer(items), "annotations": []}
        message = {"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": [text]}
        response = {
            "id": "r",
            "object": "response",
            "created_at": 0,
            "status": "completed",
            "model": "stand-in",
            "output": [message],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
        }
        body, kind = json.dumps(response), "application/json"
        if request.get("stream"):
            event = {"type": "response.completed", "sequence_number": 0, "response": response}
            body, kind = f"event: response.completed\ndata: {json.dumps(event)}\n\n", "text/event-stream"
        data = body.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        print(f"http://127.0.0.1:{server.server_address[1]}/v1", flush=True)
        sys.stdin.read()
