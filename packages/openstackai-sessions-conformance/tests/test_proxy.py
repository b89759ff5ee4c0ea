"""The wire that fails on command."""

from __future__ import annotations

import socket
import socketserver
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from openstackai_sessions_conformance._proxy import Fault, FaultProxy


class Server(socketserver.ThreadingTCPServer):
    """Applies each line it receives and says which it was."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        self.applied: list[bytes] = []
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(socketserver.StreamRequestHandler):
    server: Server

    def handle(self) -> None:
        try:
            for line in self.rfile:
                self.server.applied.append(line.strip())
                self.wfile.write(b"done " + line)
        except OSError:
            pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def proxy(server: Server) -> Iterator[FaultProxy]:
    with FaultProxy("127.0.0.1", server.server_address[1]) as proxy:
        yield proxy


class Client(closing["Client"]):
    def __init__(self, proxy: FaultProxy) -> None:
        super().__init__(self)
        self.socket = socket.create_connection((proxy.host, proxy.port), timeout=5)

    def close(self) -> None:
        self.socket.close()

    def ask(self, line: bytes) -> bytes:
        self.socket.sendall(line + b"\n")
        reply = b""
        while not reply.endswith(b"\n"):
            data = self.socket.recv(65_536)
            if not data:
                return reply + b"<end>"
            reply += data
        return reply.strip()


def eventually(claim: object) -> bool:
    assert callable(claim)
    deadline = time.monotonic() + 5
    while not claim():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def test_everything_passes_where_no_fault_is_set(proxy: FaultProxy, server: Server) -> None:
    with Client(proxy) as client, Client(proxy) as other:
        assert client.ask(b"one") == b"done one"
        assert other.ask(b"two") == b"done two"
        big = b"x" * 3_000_000
        assert client.ask(big) == b"done " + big
    assert server.applied == [b"one", b"two", big]
    assert proxy.connections == 2
    assert proxy.requests == 3


def test_a_request_cut_before_it_is_sent_never_arrives(proxy: FaultProxy, server: Server) -> None:
    cut = proxy.add(Fault.CUT_BEFORE)
    with Client(proxy) as client:
        assert client.ask(b"lost") == b"<end>"
    assert cut.hits == 1
    with Client(proxy) as client:
        assert client.ask(b"kept") == b"done kept"
    assert server.applied == [b"kept"]


def test_a_request_cut_after_it_was_applied_loses_only_its_reply(proxy: FaultProxy, server: Server) -> None:
    cut = proxy.add(Fault.CUT_AFTER)
    with Client(proxy) as client, pytest.raises(ConnectionResetError):
        client.ask(b"applied")
    assert server.applied == [b"applied"]
    assert cut.hits == 1


def test_a_reset_is_an_rst_before_the_request_arrives(proxy: FaultProxy, server: Server) -> None:
    reset = proxy.add(Fault.RESET)
    with Client(proxy) as client, pytest.raises(ConnectionResetError):
        client.ask(b"lost")
    assert server.applied == []
    assert reset.hits == 1


def test_a_half_closed_connection_still_carries_requests(proxy: FaultProxy, server: Server) -> None:
    proxy.add(Fault.HALF_CLOSE)
    with Client(proxy) as client:
        assert client.ask(b"one") == b"<end>"
        client.socket.sendall(b"two\n")
        assert eventually(lambda: server.applied == [b"one", b"two"])


def test_a_black_hole_says_nothing_and_stays_open(proxy: FaultProxy, server: Server) -> None:
    hole = proxy.add(Fault.BLACK_HOLE)
    with Client(proxy) as client:
        client.socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.ask(b"lost")
        with pytest.raises(TimeoutError):
            client.ask(b"lost too")
    assert server.applied == []
    assert hole.hits == 1


def test_a_delay_lasts_as_long_as_told(proxy: FaultProxy) -> None:
    delay = proxy.add(Fault.DELAY, seconds=0.15)
    with Client(proxy) as client:
        began = time.monotonic()
        assert client.ask(b"slow") == b"done slow"
        assert time.monotonic() - began > 0.14
        assert delay.hits == 1
        assert client.ask(b"quick") == b"done quick"
        assert delay.hits == 1


def test_a_throttled_connection_is_as_slow_as_told(proxy: FaultProxy) -> None:
    proxy.add(Fault.THROTTLE, bytes_per_second=20_000)
    with Client(proxy) as client:
        began = time.monotonic()
        assert client.ask(b"x" * 2_000) == b"done " + b"x" * 2_000
        assert time.monotonic() - began > 0.15  # 2,000 bytes there and 2,000 back


def test_the_nth_request_that_a_predicate_means_is_struck(proxy: FaultProxy, server: Server) -> None:
    cut = proxy.add(Fault.CUT_BEFORE, when=lambda request: b"write" in request, nth=2)
    with Client(proxy) as client:
        replies = [client.ask(line) for line in (b"read", b"write 1", b"read", b"write 2")]
    assert replies == [b"done read", b"done write 1", b"done read", b"<end>"]
    assert (cut.seen, cut.hits) == (2, 1)
    assert server.applied == [b"read", b"write 1", b"read"]


def test_a_predicate_sees_a_request_that_comes_in_pieces(proxy: FaultProxy, server: Server) -> None:
    cut = proxy.add(Fault.CUT_BEFORE, when=lambda request: b"in two" in request)
    with Client(proxy) as client:
        client.socket.sendall(b"in ")
        time.sleep(0.05)
        assert client.ask(b"two pieces") == b"<end>"
    assert (cut.seen, cut.hits) == (1, 1)
    assert server.applied in ([], [b"in"])


def test_a_fault_strikes_as_often_as_told_and_until_removed(proxy: FaultProxy) -> None:
    twice = proxy.add(Fault.CUT_BEFORE, times=2)
    for number in range(3):
        with Client(proxy) as client:
            assert client.ask(b"x") == (b"<end>" if number < 2 else b"done x")
    assert twice.hits == 2
    always = proxy.add(Fault.CUT_BEFORE, times=None)
    for _ in range(4):
        with Client(proxy) as client:
            assert client.ask(b"x") == b"<end>"
    proxy.remove(always)
    with Client(proxy) as client:
        assert client.ask(b"x") == b"done x"
    assert always.hits == 4


def test_a_fault_of_one_connection_leaves_the_others_alone(proxy: FaultProxy) -> None:
    cut = proxy.add(Fault.CUT_BEFORE, connection=2)
    with Client(proxy) as first, Client(proxy) as second:
        assert first.ask(b"x") == b"done x"
        assert second.ask(b"x") == b"<end>"
    assert cut.hits == 1


def test_the_first_of_two_rules_that_are_due_strikes(proxy: FaultProxy) -> None:
    watch = proxy.add(Fault.PASS, when=lambda request: b"seen" in request, times=None)
    cut = proxy.add(Fault.CUT_BEFORE)
    with Client(proxy) as client:
        assert client.ask(b"seen") == b"done seen"
        assert client.ask(b"other") == b"<end>"
    assert (watch.hits, cut.hits) == (1, 1)


def test_a_connection_can_fail_as_it_is_made(proxy: FaultProxy, server: Server) -> None:
    reset = proxy.add(Fault.RESET, at_connect=True)
    hole = proxy.add(Fault.BLACK_HOLE, at_connect=True)
    with pytest.raises((ConnectionResetError, BrokenPipeError)), Client(proxy) as client:
        client.ask(b"x")
        client.ask(b"x")
    with Client(proxy) as client:
        client.socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.ask(b"x")
    assert reset.wait()
    assert hole.wait()
    with Client(proxy) as client:
        assert client.ask(b"x") == b"done x"
    assert server.applied == [b"x"]


def test_refused_connections_are_accepted_again_on_the_same_port(proxy: FaultProxy) -> None:
    with Client(proxy) as client:
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            Client(proxy)
        assert client.ask(b"open still") == b"done open still"
        proxy.accept()
        with Client(proxy) as other:
            assert other.ask(b"again") == b"done again"


def test_dropped_connections_are_reset(proxy: FaultProxy) -> None:
    with Client(proxy) as client:
        assert client.ask(b"x") == b"done x"
        proxy.drop()
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            client.ask(b"x")


def test_where_no_server_runs_the_client_is_reset() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    with FaultProxy("127.0.0.1", port) as proxy:
        with pytest.raises((ConnectionResetError, BrokenPipeError)), Client(proxy) as client:
            client.ask(b"x")
            client.ask(b"x")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no Unix sockets in asyncio")
def test_a_server_on_a_unix_socket_is_reached() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "s"))
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()
            with FaultProxy(path=path) as proxy, Client(proxy) as client:
                client.socket.sendall(b"hello\n")
                end, _ = listener.accept()
                with end:
                    assert end.recv(100) == b"hello\n"


def test_a_url_is_led_through_the_proxy(proxy: FaultProxy) -> None:
    assert proxy.url("redis://me:secret@server:1/0?a=b") == f"redis://me:secret@127.0.0.1:{proxy.port}/0?a=b"
    assert proxy.url("redis://server") == f"redis://127.0.0.1:{proxy.port}"


def test_what_can_never_strike_is_refused(proxy: FaultProxy) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        proxy.add(Fault.RESET, nth=0)
    with pytest.raises(ValueError, match="no request"):
        proxy.add(Fault.CUT_AFTER, at_connect=True)
    with pytest.raises(ValueError, match="either"):
        FaultProxy()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_closed_proxy_leaves_no_thread_and_no_descriptor(server: Server) -> None:
    def held() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    threads, descriptors = threading.active_count(), held()
    for _ in range(3):
        with FaultProxy("127.0.0.1", server.server_address[1]) as proxy, Client(proxy) as client:
            assert client.ask(b"x") == b"done x"
        proxy.close()
    assert eventually(lambda: threading.active_count() <= threads)
    assert eventually(lambda: held() <= descriptors)
