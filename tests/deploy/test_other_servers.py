"""Started by others than our gunicorn: another WSGI server, and with a socket that somebody else holds."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster import Client, Postgres, eventually
from tests.conftest import tool
from tests.deploy.load import load
from tests.service.conftest import environment, free_port
from toolcatalog.settings import PROJECT_ROOT

_WSGIREF = """
import sys
from wsgiref.simple_server import make_server
from wsgi import app
make_server("127.0.0.1", int(sys.argv[1]), app).serve_forever()
"""


def _is_up(port: int) -> bool:
    client = Client(port)
    try:
        return client.get("/health").status == 200
    except OSError:
        return False
    finally:
        client.close()


@contextmanager
def _wsgiref(database_url: str, tools_dir: Path, output: Path) -> Iterator[int]:
    port = free_port()
    given = {"DATABASE_URL": database_url, "TOOLS_DIR": str(tools_dir), "LOG_FORMAT": "console"}
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", _WSGIREF, str(port)],
            env=environment(PROJECT_ROOT, **given), cwd=PROJECT_ROOT, stdout=file, stderr=file,
        )  # fmt: skip
    try:
        eventually(lambda: _is_up(port))
        yield port
    finally:
        process.terminate()
        process.wait(timeout=20)


def _one_answer(port: int, method: str, path: str, body: object = None) -> int:
    """wsgiref answers one connection at a time, so none is kept."""
    client = Client(port)
    try:
        return client.call(method, path, body).status
    finally:
        client.close()


def test_any_wsgi_server_serves_it(postgres: Postgres, tools_dir: Path, tmp_path: Path) -> None:
    """What one process writes another one shows, though they share no memory, and the log says so."""
    outputs = [tmp_path / "first.txt", tmp_path / "second.txt"]
    with (
        _wsgiref(postgres.url, tools_dir, outputs[0]) as first,
        _wsgiref(postgres.url, tools_dir, outputs[1]) as second,
    ):
        assert _one_answer(second, "GET", "/api/v1/tools/grep") == 404
        assert _one_answer(first, "POST", "/api/v1/tools", tool("grep")) == 201
        eventually(lambda: _one_answer(second, "GET", "/api/v1/tools/grep") == 200, 3)
    for output in outputs:
        assert "other processes hear of a change from the database" in output.read_text()


def test_a_restart_behind_a_socket_of_systemd_fails_nothing(
    postgres: Postgres, tools_dir: Path, tmp_path: Path
) -> None:
    """As with tool-catalog.socket: systemd holds the socket, and requests wait in it while nobody serves."""
    with socket.create_server(("127.0.0.1", 0)) as held, (tmp_path / "output.txt").open("wb") as output:
        port = held.getsockname()[1]

        def start() -> subprocess.Popen[bytes]:
            given = {"DATABASE_URL": postgres.url, "TOOLS_DIR": str(tools_dir), "HOT_RELOAD": "off"}
            gunicorn = Path(sys.executable).with_name("gunicorn")
            script = (
                'exec 3<&"$1"; LISTEN_FDS=1 LISTEN_PID=$$ exec "$2" --config deploy/gunicorn.conf.py wsgi:app'
            )
            return subprocess.Popen(
                ["bash", "-c", script, "bash", str(held.fileno()), gunicorn],
                env=environment(PROJECT_ROOT, **given), cwd=PROJECT_ROOT,
                stdout=output, stderr=output, pass_fds=[held.fileno()],
            )  # fmt: skip

        process = start()
        try:
            eventually(lambda: _is_up(port))
            with load(port) as made:
                for _ in range(2):
                    eventually(lambda answered=made.answered: made.answered > answered + 100)
                    process.send_signal(signal.SIGTERM)
                    assert process.wait(timeout=40) == 0
                    process = start()
                eventually(lambda answered=made.answered: made.answered > answered + 100)
        finally:
            os.kill(process.pid, signal.SIGTERM)
            assert process.wait(timeout=40) == 0, (tmp_path / "output.txt").read_text()
    print(f"{made.answered} answered, {len(made.failures)} failed, slowest {made.slowest_seconds:.3f} s")
    assert made.failures == []
