"""Certificates, right and wrong, and a front that speaks TLS for a server that was built without."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
from pathlib import Path

import trustme

LOCALHOST = "127.0.0.1"
# How a client of PostgreSQL asks for TLS: eight bytes, answered by one.
POSTGRES_ASKS = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"


class Certificates:
    """The files of a server that is called `name`, and of an authority that has nothing to do with it."""

    def __init__(self, folder: Path, name: str = "localhost") -> None:
        authority = trustme.CA()
        issued = authority.issue_cert(name)
        chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
        self.authority = _write(folder / "authority.pem", authority.cert_pem.bytes())
        self.stranger = _write(folder / "stranger.pem", trustme.CA().cert_pem.bytes())
        self.certificate = _write(folder / "certificate.pem", chain)
        self.key = _write(folder / "key.pem", issued.private_key_pem.bytes())
        self.key.chmod(0o600)


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


class Front:
    """Ends TLS in front of a server that does not speak it. What it is sent in plain text it refuses."""

    def __init__(self, port: int, files: Certificates, *, postgres: bool = False) -> None:
        self._to = port
        self._postgres = postgres
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(files.certificate, files.key)
        self._context.load_verify_locations(files.authority)
        self._context.verify_mode = ssl.CERT_OPTIONAL
        self._listener = socket.create_server((LOCALHOST, 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.closing(plain):
            plain.settimeout(10)
            if self._postgres:
                if plain.recv(len(POSTGRES_ASKS), socket.MSG_WAITALL) != POSTGRES_ASKS:
                    return
                plain.sendall(b"S")
            with (
                self._context.wrap_socket(plain, server_side=True) as client,
                socket.create_connection((LOCALHOST, self._to), timeout=10) as server,
            ):
                while _pass_on(client, server):
                    pass


def _pass_on(client: ssl.SSLSocket, server: socket.socket) -> bool:
    """Pass on what is there, by one thread: no two may use a TLS socket at once. False at the end."""
    ready = [client] if client.pending() else select.select([client, server], [], [])[0]
    if client in ready:
        client.settimeout(0)
        try:
            data = client.recv(65_536)
        except ssl.SSLWantReadError:
            return True
        finally:
            client.settimeout(10)
        server.sendall(data)
        return bool(data)
    data = server.recv(65_536)
    client.sendall(data)
    return bool(data)
