"""A steady load of reads and writes, and what became of each request."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.conftest import tool

Connect = Callable[[], http.client.HTTPConnection]

_THREADS = 8
_HEADERS = {"Content-Type": "application/json"}
_READS = (
    "/health", "/api/v1/tools", "/api/v1/tools/{}", "/api/v1/tools/search?q=load",
    "/api/v1/tools?enabled=true", "/api/v1/changes?since=0&limit=20",
)  # fmt: skip


@dataclass
class Load:
    """What was answered, and what was not. `failures` says why, in the order of their times.

    `acknowledgements` are the writes that were answered: the tool's name, and the description it was given.
    """

    connect: Connect
    requests_per_second: float
    prefix: str
    answered: int = 0
    acknowledgements: list[tuple[str, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    versions: set[str] = field(default_factory=set)
    slowest_seconds: float = 0.0
    _stopped: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, thread: int) -> None:
        """Send requests at a steady pace until it is stopped; odd threads keep their connection."""
        client = _Client(self.connect, keeps=bool(thread % 2))
        due = time.monotonic()
        number = 0
        while not self._stopped.is_set():
            number += 1
            self._send(client, f"{self.prefix}-{thread}", number)
            due += _THREADS / self.requests_per_second
            time.sleep(max(0.0, due - time.monotonic()))
        client.close()

    def _send(self, client: _Client, name: str, number: int) -> None:
        is_write = number % 10 == 0
        method = "PATCH" if is_write else "GET"
        path = f"/api/v1/tools/{name}" if is_write else _READS[number % len(_READS)].format(name)
        body = json.dumps({"description": str(number)}) if is_write else None
        begun = time.monotonic()
        try:
            status, answer = client.request(method, path, body)
        except (OSError, http.client.HTTPException) as error:
            self._note(failure=f"{method} {type(error).__name__}: {path}: {error}")
            return
        with self._lock:
            self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - begun)
            if path == "/health" and status == 200:
                self.versions.add(json.loads(answer)["version"])
            if is_write and status == 200:
                self.acknowledgements.append((name, str(number)))
        self._note(failure=None if status == 200 else f"{method} {status}: {path}: {answer[:200]!r}")

    def _note(self, failure: str | None) -> None:
        with self._lock:
            self.answered += failure is None
            if failure is not None:
                self.failures.append(failure)

    def kinds_of_failures(self) -> Counter[str]:
        """How often each method failed with each status or error."""
        return Counter(failure.split(":")[0] for failure in self.failures)

    def stop(self) -> None:
        self._stopped.set()


class _Client:
    """Behaves as HTTP clients do: a kept connection that was closed meanwhile is opened anew.

    Only a request that the server cannot have begun to answer, or that may be repeated (RFC 9110, 9.2.2), is
    sent again; a write is sent on a connection of its own.
    """

    def __init__(self, connect: Connect, *, keeps: bool) -> None:
        self._connect = connect
        self._keeps = keeps
        self._kept: http.client.HTTPConnection | None = None

    def request(self, method: str, path: str, body: str | None) -> tuple[int, bytes]:
        if self._kept is not None and method == "GET":
            try:
                return self._on(self._kept, method, path, body)
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                self.close()
        connection = self._connect()
        is_kept = False
        try:
            answer = self._on(connection, method, path, body)
            is_kept = self._keeps and method == "GET"
        finally:
            if not is_kept:
                connection.close()
        if is_kept:
            self._kept = connection
        return answer

    @staticmethod
    def _on(
        connection: http.client.HTTPConnection, method: str, path: str, body: str | None
    ) -> tuple[int, bytes]:
        connection.request(method, path, body, _HEADERS)
        response = connection.getresponse()
        return response.status, response.read()

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None


def _to_port(port: int) -> Connect:
    return lambda: http.client.HTTPConnection("127.0.0.1", port, timeout=40)


@contextmanager
def load(to: int | Connect, requests_per_second: float = 200, prefix: str = "load") -> Iterator[Load]:
    """Load a service until the block ends; `to` is its port, or makes a connection to it.

    The tools that it writes to are named with the prefix.
    """
    connect = _to_port(to) if isinstance(to, int) else to
    client = _Client(connect, keeps=False)
    for thread in range(_THREADS):
        definition = json.dumps(tool(f"{prefix}-{thread}"))
        status, answer = client.request("POST", "/api/v1/tools", definition)
        assert status in (201, 409), answer
    made = Load(connect, requests_per_second, prefix)
    threads = [threading.Thread(target=made.run, args=(number,)) for number in range(_THREADS)]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        made.stop()
        for thread in threads:
            thread.join()
        client.close()
