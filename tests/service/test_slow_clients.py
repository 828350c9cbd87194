"""Clients that are slow on every side, more of them than there are threads: an honest one does not notice."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import Event, Thread

import pytest
import requests

from tests.cluster import percentile
from tests.service.conftest import Service

GET = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /api/v1/tools HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
NOISE_SECONDS = 0.1


def connect(service: Service, buffer_bytes: int | None = None) -> socket.socket:
    connection = socket.socket()
    if buffer_bytes is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    connection.settimeout(20)
    connection.connect(("127.0.0.1", int(service.url.rsplit(":", 1)[1])))
    return connection


def latencies(service: Service, count: int) -> list[float]:
    """How long an honest client waits for what is cached, each time over a new connection."""
    taken = []
    for _ in range(count):
        begun = time.monotonic()
        assert requests.get(f"{service.url}/api/v1/tools/grep", timeout=10).status_code == 200
        taken.append(time.monotonic() - begun)
    return taken


@contextmanager
def trickling(connections: list[socket.socket]) -> Iterator[None]:
    """Send a byte a second over each connection."""
    ended = Event()

    def trickle() -> None:
        while not ended.wait(1):
            for each in connections:
                try:
                    each.send(b"a")
                except OSError:  # it was cut off, which is right
                    continue

    thread = Thread(target=trickle)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", [b"/api/v1/tools", b"/api/v1/tools/export"], ids=["one answer", "piece by piece"]
)
def test_clients_that_do_not_read_keep_nobody_waiting(service: Service, path: bytes) -> None:
    before = latencies(service, 100)
    with ExitStack() as opened:
        for _ in range(50):
            connection = opened.enter_context(connect(service, buffer_bytes=4096))
            connection.sendall((GET % path) * 5)
        time.sleep(2)
        during = latencies(service, 100)
    assert percentile(during, 0.95) <= max(3 * percentile(before, 0.95), NOISE_SECONDS)


@pytest.mark.slow
@pytest.mark.parametrize(
    "begun",
    [
        b"GET /api/v1/tools HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\nGET /api/v1/tools HTTP/1.1\r\nX-Slow: ",
        POST + b"Content-Length: 999\r\n\r\n",
        POST + b"Content-Length: 999999\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\nffff\r\n",
    ],
    ids=["header", "header after a request", "small body", "large body", "chunked body"],
)  # fmt: skip
def test_clients_that_send_a_byte_a_second_keep_nobody_waiting(service: Service, begun: bytes) -> None:
    before = latencies(service, 100)
    with ExitStack() as opened:
        slow = [opened.enter_context(connect(service)) for _ in range(150)]
        for each in slow:
            each.sendall(begun)
        with trickling(slow):
            time.sleep(2)
            during = latencies(service, 100)
    assert percentile(during, 0.95) <= max(3 * percentile(before, 0.95), NOISE_SECONDS)


def test_who_does_not_close_keeps_nobody_waiting(service: Service) -> None:
    """A connection that is to be closed lingers until its client has read the end."""
    with ExitStack() as opened:
        for _ in range(30):
            connection = opened.enter_context(connect(service))
            connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        begun = time.monotonic()
        latencies(service, 20)
        assert time.monotonic() - begun < 2


def test_a_slow_reader_gets_all_of_a_large_answer(service: Service) -> None:
    expected = requests.get(f"{service.url}/api/v1/tools", timeout=20).content
    with connect(service, buffer_bytes=4096) as connection:
        connection.sendall(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") % b"/api/v1/tools")
        time.sleep(1)
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
    assert answer.partition(b"\r\n\r\n")[2] == expected


def test_a_body_in_two_parts_is_one_body(service: Service) -> None:
    body = b'{"tool_name": "two-parts"}'
    with connect(service) as connection:
        head = b"POST /api/v1/tools/validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body))
        time.sleep(0.2)
        connection.sendall(body[:5])
        time.sleep(0.2)
        connection.sendall(body[5:])
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200")


def test_a_client_that_goes_in_the_middle_of_its_request_is_let_go(service: Service) -> None:
    with connect(service) as connection:
        connection.sendall(b"POST /api/v1/tools HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(65_536)[:12] in (b"", b"HTTP/1.1 415", b"HTTP/1.1 400")


@pytest.mark.slow
def test_all_of_them_together_keep_nobody_waiting(service: Service) -> None:
    before = latencies(service, 300)
    with ExitStack() as opened:
        for _ in range(50):
            opened.enter_context(connect(service, buffer_bytes=4096)).sendall((GET % b"/api/v1/tools") * 5)
        slow = [opened.enter_context(connect(service)) for _ in range(50)]
        for number, each in enumerate(slow):
            each.sendall(POST + b"Content-Length: 99999\r\n\r\n" * (number % 2))
        for _ in range(1000):
            opened.enter_context(connect(service))
        with trickling(slow):
            during = latencies(service, 300)
    print(f"p99 {percentile(before, 0.99):.3f} s before, {percentile(during, 0.99):.3f} s during")
    assert percentile(during, 0.99) <= max(3 * percentile(before, 0.99), NOISE_SECONDS)


@pytest.mark.slow
def test_a_client_that_does_not_read_is_cut_off(service: Service) -> None:
    with connect(service, buffer_bytes=4096) as connection:
        connection.sendall((GET % b"/api/v1/tools") * 5)
        time.sleep(14)
        received = 0
        with suppress(ConnectionError):
            while chunk := connection.recv(65_536):
                received += chunk.count(b"HTTP/1.1 200")
        assert received < 5
