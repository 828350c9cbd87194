"""The service, run by its own command, and a client that notes every change that was acknowledged."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from toolcatalog.db import plain_connection

_TOOL = "drill"
_STARTED_WITHIN_SECONDS = 120
_BACK_WITHIN_SECONDS = 300
_PAUSE_SECONDS = 0.01
_TIMEOUT_SECONDS = 20


def free_port() -> int:
    """Return a port of this machine that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def call(port: int, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Make a request; returns status and answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request(
            method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"}
        )
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


class Service:
    """`toolcatalog serve` in a folder that has the project; a context manager that starts and stops it.

    `scratch` is where it logs, and keeps what it would in /tmp.
    """

    def __init__(self, folder: Path, database_url: str, port: int, scratch: Path) -> None:
        self.port = port
        self._folder = folder
        self._output = scratch / f"service-{port}.log"
        self._settings = {
            "DATABASE_URL": database_url, "PORT": str(self.port), "MAX_WRITES_PER_MINUTE": "0",
            "TOOLS_DIR": str(folder / "catalog"), "PYTHONPATH": str(folder), "PWD": str(folder),
            "TMPDIR": str(scratch),
        }  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Service:
        with self._output.open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "toolcatalog.cli", "serve"], env={**os.environ, **self._settings},
                cwd=self._folder, stdout=file, stderr=file, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + _STARTED_WITHIN_SECONDS
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"The service does not start: {self._output.read_text()[-2_000:]}")
            time.sleep(0.05)
        return self

    def _is_ready(self) -> bool:
        try:
            return call(self.port, "GET", "/health/ready")[0] == 200
        except (OSError, http.client.HTTPException, ValueError):
            return False

    def import_tools(self, count: int) -> None:
        """Have so many more tools, as `--tools` asks for."""
        for first in range(0, count, 1_000):
            tools = [_definition(f"{_TOOL}-{number}") for number in range(first, min(first + 1_000, count))]
            status, answer = call(self.port, "POST", "/api/v1/tools/import", tools)
            if status != 200:
                raise RuntimeError(f"The tools cannot be imported: {answer}")

    def kill(self) -> None:
        """End all its processes as a power cut does."""
        self._end(signal.SIGKILL)

    def __exit__(self, *_: object) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        try:
            # A group of its own: its gunicorn and the workers with it.
            os.killpg(self._process.pid, number)
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)


def _definition(name: str) -> dict[str, Any]:
    pattern = {"description": "One way of using it."}
    return {
        "tool_name": name, "description": "0", "platform": "linux", "category": "system",
        "capabilities": {"c": {"description": "What it can do.", "patterns": {"p": pattern}}},
    }  # fmt: skip


class Writer:
    """A client that changes one tool over and over, at the first of some ports that takes it.

    `acknowledged` are the numbers that it wrote and was told are written, and when.
    """

    def __init__(self, ports: list[int]) -> None:
        self.acknowledged: list[tuple[float, int]] = []
        self._ports = ports
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Writer:
        status, answer = call(self._ports[0], "POST", "/api/v1/tools", _definition(_TOOL))
        if status != 201:
            raise RuntimeError(f"The first change is refused: {answer}")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Write no more."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._stopped.wait(_PAUSE_SECONDS):
            number += 1
            try:
                body = {"description": str(number)}
                status, _ = call(self._ports[0], "PATCH", f"/api/v1/tools/{_TOOL}", body)
            except (OSError, http.client.HTTPException, ValueError):
                status = 0
            if status == 200:
                self.acknowledged.append((time.monotonic(), number))
            else:
                self._ports = [*self._ports[1:], self._ports[0]]

    def wait_for_acknowledgement(self) -> None:
        """Wait until another change is acknowledged."""
        now = time.monotonic()
        while not self.acknowledged or self.acknowledged[-1][0] <= now:
            if time.monotonic() > now + _BACK_WITHIN_SECONDS:
                raise RuntimeError(f"Nothing is acknowledged within {_BACK_WITHIN_SECONDS} s.")
            time.sleep(0.01)

    def back_at(self, disaster: float) -> float:
        """Return the end of the longest time without an acknowledgement since the disaster.

        What is damaged may go on acknowledging for a while, until somebody notices.
        """
        times = [disaster, *(at for at, _ in self.acknowledged if at > disaster)]
        return max(itertools.pairwise(times), key=lambda pair: pair[1] - pair[0])[1]

    def lost(self, database_url: str) -> list[int]:
        """Return what was acknowledged and is not in the history, or not shown."""
        with plain_connection(database_url, "toolcatalog drill") as connection, connection.cursor() as cursor:
            cursor.execute("SELECT after->>'description' FROM changes WHERE tool_name = %s", (_TOOL,))
            history = {int(number) for (number,) in cursor.fetchall()}
        _, shown = call(self._ports[0], "GET", f"/api/v1/tools/{_TOOL}")
        numbers = [number for _, number in self.acknowledged]
        hidden = [] if int(shown["description"]) >= numbers[-1] else [numbers[-1]]
        return [number for number in numbers if number not in history] + hidden
