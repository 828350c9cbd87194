"""PostgreSQL goes away under load, and comes back: what the cache holds is served all the time."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

import psutil
import pytest

from tests.cluster import Host, Postgres, eventually
from tests.coherence.conftest import StartHost
from tests.conftest import tool
from toolcatalog.db import plain_connection

TOOLS = "/api/v1/tools"
COUNT = 30


def stocked(host: Host) -> None:
    client = host.client()
    tools = [tool(f"tool-{number}") for number in range(COUNT)]
    assert client.call("POST", f"{TOOLS}/import", tools).status == 200
    for each in host.clients_of_all_workers():
        eventually(lambda each=each: "; hit" in each.get(TOOLS).headers["Cache-Status"])


class Load(threading.Thread):
    """Reads every tool and the full list, over and over, and counts what it gets."""

    def __init__(self, host: Host) -> None:
        super().__init__()
        self._client = host.client()
        self.ended = threading.Event()
        self.seen: Counter[tuple[str, int, bool]] = Counter()

    def run(self) -> None:
        number = 0
        while not self.ended.is_set():
            number += 1
            path = TOOLS if number % 10 == 0 else f"{TOOLS}/tool-{number % COUNT}"
            response = self._client.get(path)
            is_stale = "stale" in response.headers.get("Cache-Status", "")
            self.seen[path if path == TOOLS else "one", response.status, is_stale] += 1
            time.sleep(0.005)


def check_outage(host: Host, postgres: Postgres, seconds: float) -> None:
    stocked(host)
    workers = host.workers()
    threads = {pid: psutil.Process(pid).num_threads() for pid in workers}
    loads = [Load(host) for _ in range(4)]
    for load in loads:
        load.start()
    time.sleep(0.5)
    postgres.stop()
    began = time.monotonic()
    writes: list[tuple[int, float, Any]] = []
    writer = host.client()
    while time.monotonic() - began < seconds:
        sent = time.monotonic()
        refused = writer.call("PATCH", f"{TOOLS}/tool-1", {"description": "lost?"})
        writes.append((refused.status, time.monotonic() - sent, refused.headers.get("Retry-After")))
        time.sleep(0.1)
    health = writer.get("/health")
    postgres.start()
    back = time.monotonic()
    eventually(
        lambda: writer.call("PATCH", f"{TOOLS}/tool-1", {"description": "back"}).status == 200,
        within_seconds=5,
    )
    clients = host.clients_of_all_workers()
    eventually(
        lambda: all("stale" not in each.get(f"{TOOLS}/tool-2").headers["Cache-Status"] for each in clients)
    )
    recovered = time.monotonic() - back
    for load in loads:
        load.ended.set()
        load.join()

    seen = sum((load.seen for load in loads), Counter())
    slowest = max(took for _, took, _ in writes)
    print(f"{seconds:g} s without: {dict(seen)}; {len(writes)} writes refused, slowest in {slowest:.3f} s; "
          f"all back {recovered:.2f} s after the database")  # fmt: skip
    assert {status for _, status, _ in seen} == {200}
    assert seen["one", 200, True] > 100
    assert seen[TOOLS, 200, True] > 10
    assert {(status, retry) for status, _, retry in writes} == {(503, "2")}
    assert sorted(took for _, took, _ in writes)[len(writes) // 2] < 0.05
    assert (health.status, health.json["status"]) == (200, "degraded")
    assert recovered < 5
    assert host.workers() == workers
    time.sleep(1)
    for pid in workers:
        assert (
            psutil.Process(pid).num_threads() <= threads[pid] + 8
        )  # gunicorn's own, which begin when needed
    for each in host.clients_of_all_workers():
        assert each.get(f"{TOOLS}/tool-1").json["description"] == "back"


def test_reads_go_on_without_the_database(start_host: StartHost, postgres: Postgres) -> None:
    check_outage(start_host(WORKERS="2"), postgres, seconds=4)


@pytest.mark.slow
def test_reads_go_on_for_half_a_minute(start_host: StartHost, postgres: Postgres) -> None:
    check_outage(start_host(WORKERS="4"), postgres, seconds=30)


@pytest.mark.slow
def test_a_database_that_hangs_holds_up_nobody_for_long(start_host: StartHost, postgres: Postgres) -> None:
    host = start_host(WORKERS="2", DB_STATEMENT_TIMEOUT_MS="1000")
    stocked(host)
    client = host.client()
    postgres.freeze()
    try:
        eventually(lambda: "stale" in client.get(f"{TOOLS}/tool-0").headers["Cache-Status"])
        for number in range(COUNT):
            assert client.get(f"{TOOLS}/tool-{number}").status == 200
        for _ in range(20):
            assert client.call("PATCH", f"{TOOLS}/tool-0", {"description": "x"}).status == 503
        took = []
        for number in range(200):
            sent = time.monotonic()
            assert client.get(f"{TOOLS}/tool-{number % COUNT}").status == 200
            took.append(time.monotonic() - sent)
        assert max(took) < 1
    finally:
        postgres.thaw()
    eventually(lambda: client.call("PATCH", f"{TOOLS}/tool-0", {"description": "x"}).status == 200)


def test_a_restored_backup_is_noticed(start_host: StartHost, postgres: Postgres) -> None:
    host = start_host(WORKERS="2")
    stocked(host)
    clients = host.clients_of_all_workers()
    with plain_connection(postgres.url, "test") as connection, connection.cursor() as cursor:
        cursor.execute("TRUNCATE patterns, capabilities, tool_versions, changes, tools, source_files")
        cursor.execute("UPDATE catalog_state SET revision = 0")
    for client in clients:
        eventually(lambda client=client: client.get(TOOLS).json == [])
