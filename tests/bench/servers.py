"""Starting what is measured, one worker pinned to a core, and loading it from the other core."""

from __future__ import annotations

import http.client
import os
import pickle
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from tests.cluster import eventually
from tests.service.conftest import environment, free_port
from toolcatalog.settings import PROJECT_ROOT

_SERVER_CORE, _CLIENT_CORE = "0", "1"
_MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0}
_OF_EACH_REQUEST = ("Date", "Server", "Connection", "Transfer-Encoding")


@dataclass(frozen=True)
class Server:
    """A gunicorn with one worker."""

    port: int
    process: subprocess.Popen[bytes]
    first_answer_seconds: float = 0.0

    def worker_mb(self) -> float:
        """Resident memory of the worker, with what it shares with its master; megabytes."""
        (worker,) = psutil.Process(self.process.pid).children()
        return worker.memory_info().rss / 1e6

    def get(self, path: str, headers: dict[str, str] | None = None) -> http.client.HTTPResponse:
        """Answer of a connection of its own; its body is in `.body`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", path, headers=headers or {})
            response = connection.getresponse()
            response.body = response.read()
        finally:
            connection.close()
        return response


@contextmanager
def gunicorn(
    app: str, configuration: str, log: Path, path: str = "/health", **given: str
) -> Iterator[Server]:
    """Run a WSGI application with one worker on its own core; it answers `path` when the block begins."""
    port = free_port()
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["taskset", "--cpu-list", _SERVER_CORE, Path(sys.executable).with_name("gunicorn"),
             "--config", configuration, "--max-requests", "0", app],  # the worker measured stays
            env=environment(PROJECT_ROOT, PORT=str(port), WORKERS="1", MAX_WRITES_PER_MINUTE="0", **given),
            cwd=PROJECT_ROOT, stdout=output, stderr=output,
        )  # fmt: skip
    server = Server(port, process)
    try:
        seconds = eventually(lambda: _answers(server, path), 120)
        yield replace(server, first_answer_seconds=seconds)
    finally:
        process.terminate()
        process.wait(timeout=40)


def _answers(server: Server, path: str) -> bool:
    assert server.process.poll() is None, "it ended: see the log"
    try:
        return server.get(path).status == 200
    except OSError:
        return False


@dataclass(frozen=True)
class Speed:
    """What a load generator saw."""

    requests: int
    requests_per_second: float
    p99_ms: float


def wrk(server: Server, *options: str, seconds: int, path: str = "/") -> Speed:
    """Load a path, or what a script asks for, over 16 kept connections, from the other core.

    Raises:
        AssertionError: when any answer was none, or no 2xx or 3xx.
    """
    made = subprocess.run(
        ["taskset", "--cpu-list", _CLIENT_CORE, "wrk", "--threads", "1", "--connections", "16",
         "--duration", f"{seconds}s", "--latency", *options, f"http://127.0.0.1:{server.port}{path}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "Non-2xx" not in made.stdout, made.stdout
    assert "Socket errors" not in made.stdout, made.stdout
    count = _found(r"(\d+) requests in", made.stdout)
    rate = _found(r"Requests/sec:\s+([\d.]+)", made.stdout)
    p99 = _found(r"99%\s+([\d.]+)(us|ms|s)", made.stdout)
    return Speed(int(count[1]), float(rate[1]), float(p99[1]) * _MILLISECONDS[p99[2]])


def _found(pattern: str, text: str) -> re.Match[str]:
    match = re.search(pattern, text)
    assert match, text
    return match


def record(server: Server, paths: Iterable[str], into: Path) -> None:
    """Write down for the bare servers what the service answers, to those who have it already too."""
    answers: dict[Any, Any] = {}
    for path in paths:
        response = server.get(path)
        _keep(answers, path, response)
        _keep(answers, path, server.get(path, {"If-None-Match": response.headers["ETag"]}))
    into.write_bytes(pickle.dumps(answers))


def _keep(answers: dict[Any, Any], path: str, response: http.client.HTTPResponse) -> None:
    where, _, query = path.partition("?")
    headers = [pair for pair in response.getheaders() if pair[0] not in _OF_EACH_REQUEST]
    body = response.body
    answers[where, query, response.status == 304] = (f"{response.status} {response.reason}", headers, body)


def milliseconds(server: Server, asked: Iterator[tuple[str, str, str | None]], count: int) -> list[float]:
    """Ask what is not cached, one after the other on a kept connection; returns how long each took."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    taken = []
    for _ in range(count):
        method, path, body = next(asked)
        begun = time.perf_counter()
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        response = connection.getresponse()
        response.read()
        taken.append((time.perf_counter() - begun) * 1000)
        assert response.status == 200, (path, response.status)
        assert "; hit" not in response.headers.get("Cache-Status", ""), path
    connection.close()
    return taken


def pin_this_process() -> None:
    """Keep this process, which asks, off the server's core."""
    os.sched_setaffinity(0, {int(_CLIENT_CORE)})
