"""A wire between client and server that tests cut."""

from __future__ import annotations

import contextlib
import socket
import threading
from urllib.parse import urlsplit, urlunsplit

# How a server ends what it says while a connection is made.
READY = b"Z\x00\x00\x00\x05I"


class Proxy:
    """Passes bytes on; `cut_replies` loses the next so many replies to requests, `silent` swallows everything.

    What a server says while a connection is made is none: a pool makes some on its own.
    `deaf`: new connections are taken, and nothing of them is passed on.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        password = f":{parts.password}" if parts.password else ""
        self.url = urlunsplit(parts._replace(netloc=f"{parts.username}{password}@127.0.0.1:{port}"))
        self.cut_replies = 0
        self.silent = False
        self.deaf = False
        self.connections = 0
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()
        self.drop()

    def drop(self) -> None:
        """Cut every connection."""
        with self._lock:
            for end in self._open:
                _shut(end)
            self._open.clear()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                if self.deaf:
                    with self._lock:
                        self._open.append(client)
                    continue
                server = socket.create_connection(self._server)
                with self._lock:
                    self._open += [client, server]
                threading.Thread(target=self._pass, args=(client, server, False), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, True), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, is_reply: bool) -> None:
        is_made = False
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if self.silent:
                    continue
                if is_reply and is_made and self.cut_replies > 0:
                    self.cut_replies -= 1
                    break
                is_made = is_made or data.endswith(READY)
                target.sendall(data)
        _shut(source)
        _shut(target)


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        end.close()
