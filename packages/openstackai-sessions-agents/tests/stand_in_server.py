"""A stand-in for a paid model's server: chat completions and responses over HTTP, on this machine alone."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

Items: TypeAlias = "list[dict[str, Any]]"
Answer: TypeAlias = "str | tuple[str, str, Mapping[str, object]]"
"""A text, or a call: id of the call, name of the tool, arguments."""


class RefusedError(Exception):
    """What an answer raises for the server to refuse the request with this code."""


class StandInServer(ThreadingHTTPServer):
    """Answers each request by a function of the conversation that it holds, and keeps what it was sent."""

    daemon_threads = True

    def __init__(self, answer: Callable[[Items], Answer]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.requests: list[tuple[str, Items]] = []

    @property
    def url(self) -> str:
        """What a client takes as its base URL."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


@contextmanager
def serving(answer: Callable[[Items], Answer]) -> Iterator[StandInServer]:
    """A server that runs as long as the block does."""
    with StandInServer(answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StandInServer

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        kind = self.path.removeprefix("/v1/")
        if kind == "chat/completions":
            items = request["messages"]
        elif kind == "responses":
            given = request["input"]
            items = [{"role": "user", "content": given}] if isinstance(given, str) else given
        else:
            self.send_error(404)
            return
        self.server.requests.append((kind, items))
        reply = _completion if kind == "chat/completions" else _response
        try:
            whole, events = reply(self.server.answer(items))
        except RefusedError as error:
            self._send("application/json", json.dumps({"error": {"message": "Not now", "code": str(error)}}), 400)
            return
        if request.get("stream"):
            body = "".join(f"event: {name}\ndata: {data}\n\n" if name else f"data: {data}\n\n" for name, data in events)
            self._send("text/event-stream", body)
        else:
            self._send("application/json", json.dumps(whole))

    def _send(self, kind: str, body: str, status: int = 200) -> None:
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent: a test reads what its program prints."""


_numbers = itertools.count(1)
Reply: TypeAlias = "tuple[dict[str, Any], list[tuple[str, str]]]"


def _completion(answer: Answer) -> Reply:
    """The reply of chat completions, whole and as events."""
    head: dict[str, Any] = {"id": f"chatcmpl-{next(_numbers)}", "created": 0, "model": "stand-in"}
    message: dict[str, Any] = {"role": "assistant", "content": answer if isinstance(answer, str) else None}
    if not isinstance(answer, str):
        call_id, name, arguments = answer
        function = {"name": name, "arguments": json.dumps(arguments)}
        message["tool_calls"] = [{"id": call_id, "type": "function", "function": function}]
    finish = "stop" if isinstance(answer, str) else "tool_calls"
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    whole: dict[str, Any] = {
        **head,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": usage,
    }
    deltas: list[dict[str, Any]] = [{"role": "assistant"}]
    if isinstance(answer, str):
        deltas += [{"content": f"{word} " if rest else word} for word, rest in _words(answer)]
    else:
        (made,) = message["tool_calls"]
        deltas.append({"tool_calls": [{"index": 0, **made}]})
    chunk = {**head, "object": "chat.completion.chunk"}
    choices: list[list[dict[str, Any]]] = [[{"index": 0, "delta": delta, "finish_reason": None}] for delta in deltas]
    choices.append([{"index": 0, "delta": {}, "finish_reason": finish}])
    events = [("", json.dumps({**chunk, "choices": choice})) for choice in choices]
    return whole, [*events, ("", json.dumps({**chunk, "choices": [], "usage": usage})), ("", "[DONE]")]


def _words(text: str) -> list[tuple[str, bool]]:
    words = text.split(" ")
    return [(word, index < len(words) - 1) for index, word in enumerate(words)]


def _response(answer: Answer) -> Reply:
    """The reply of responses, whole and as events."""
    number = next(_numbers)
    item: dict[str, Any]
    if isinstance(answer, str):
        content = [{"type": "output_text", "text": answer, "annotations": [], "logprobs": []}]
        item = {
            "id": f"msg_{number}",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": content,
        }
    else:
        call_id, name, arguments = answer
        item = {
            "id": f"fc_{number}",
            "type": "function_call",
            "call_id": call_id,
            "name": name,
            "arguments": json.dumps(arguments),
            "status": "completed",
        }
    reasoning = {"id": f"rs_{number}", "type": "reasoning", "summary": [], "encrypted_content": f"secret {number}"}
    whole = {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": 0,
        "status": "completed",
        "model": "stand-in",
        "output": [reasoning, item],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": 1,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 1,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 2,
        },
    }
    data: list[dict[str, Any]] = [
        {"type": "response.created", "response": {**whole, "status": "in_progress", "output": []}},
        {"type": "response.output_item.done", "output_index": 0, "item": reasoning},
        {"type": "response.output_item.done", "output_index": 1, "item": item},
        {"type": "response.completed", "response": whole},
    ]
    return whole, [(event["type"], json.dumps({**event, "sequence_number": n})) for n, event in enumerate(data)]
