"""Every alert rings once, by a real fault of a real service, and drowns no other that it does not explain.

In the deployments of the deployment guide. `prometheus.py` says what is the shipped files' and what is not.
"""

from __future__ import annotations

import http.client
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.cluster import Client, Host, Postgres, eventually
from tests.coherence.conftest import StartHost
from tests.conftest import tool
from tests.monitoring.prometheus import JOB, Asked, Monitoring, monitoring, shortened
from tests.monitoring.test_files import ALERTS, PANELS, RECORDED
from tests.service.conftest import free_port
from toolcatalog.db import plain_connection

pytestmark = [pytest.mark.slow, pytest.mark.unhurried]
TOOLS = "/api/v1/tools"
TOOL_COUNT = 30
# More threads than the pool has connections, as the bulkhead keeps some for what needs no database.
SETTINGS = {"WORKERS": "2", "MAX_WRITES_PER_MINUTE": "0"}


@contextmanager
def repeated(host: Host, count: int, step: Callable[[Client, int, int], None]) -> Iterator[None]:
    """Have so many clients do something over and over, given who they are and for which time, in a block."""
    ended = threading.Event()

    def repeat(number: int) -> None:
        client = Client(host.port)
        turn = 0
        while not ended.is_set():
            try:
                step(client, number, turn)
            except (OSError, http.client.HTTPException):
                ended.wait(0.1)  # the service restarts, or has ended
            turn += 1
        client.close()

    threads = [threading.Thread(target=repeat, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def ask_what_is_cached(client: Client, _number: int, _turn: int) -> None:
    client.get(f"{TOOLS}/tool-1")
    time.sleep(0.005)


def ask_something_new(client: Client, number: int, turn: int) -> None:
    client.get(f"{TOOLS}?name=no-such-tool-{number}-{turn}")


def write(client: Client, number: int, turn: int) -> None:
    answer = client.call("PATCH", f"{TOOLS}/tool-{number}", {"description": f"in turn {turn}"})
    if answer.status == 503:
        time.sleep(0.5)  # as it is told to, if not so long


def write_a_file(tools_dir: Path) -> Callable[[Client, int, int], None]:
    def step(_client: Client, _number: int, turn: int) -> None:
        (tools_dir / "often.yaml").write_text(yaml.safe_dump(tool("often", description=f"in turn {turn}")))
        time.sleep(0.7)

    return step


def make_slow(postgres: Postgres, seconds: float) -> None:
    """Have PostgreSQL take so long for each change."""
    with plain_connection(postgres.url, "test") as connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE OR REPLACE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN PERFORM pg_sleep({seconds}); RETURN NEW; END $$"
        )
        cursor.execute(
            "CREATE OR REPLACE TRIGGER slow BEFORE INSERT ON changes FOR EACH ROW EXECUTE FUNCTION be_slow()"
        )


def panel_expressions() -> Iterator[tuple[str, set[str]]]:
    """Yield the expressions of the dashboard, shortened, with the labels that their legends name."""
    for panel in PANELS:
        for target in panel["targets"]:
            expression = target["expr"].replace("$job", JOB).replace("$__rate_interval", "5m")
            yield shortened(expression), set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))


def check_no_gaps(prometheus: Asked) -> None:
    """See that nothing that is recorded or drawn is not a number; what there is nothing of may be missing."""
    for expression in [*RECORDED, *(expression for expression, _ in panel_expressions())]:
        values = [series["value"][1] for series in prometheus.query(expression)]
        assert "NaN" not in values, expression


def check_panels(prometheus: Asked) -> None:
    """See that every expression of every panel gives series, with the labels that its legend names."""
    for expression, labels in panel_expressions():
        eventually(lambda expression=expression: prometheus.query(expression))
        for series in prometheus.query(expression):
            assert labels <= set(series["metric"]), (expression, series)


@pytest.fixture
def tools_on_disk(tools_dir: Path) -> None:
    for number in range(TOOL_COUNT):
        (tools_dir / f"{number}.yaml").write_text(yaml.safe_dump(tool(f"tool-{number}")))


@pytest.mark.usefixtures("tools_on_disk")
def test_each_of_the_18_rings_by_a_real_fault(
    start_host: StartHost, postgres: Postgres, tools_dir: Path, tmp_path: Path
) -> None:
    postgres.query("UPDATE catalog_state SET backed_up_at = now() - interval '27 hours'", "for_one_test")
    host = start_host(**SETTINGS)
    begun = time.monotonic()
    with monitoring(tmp_path, {JOB: [f"127.0.0.1:{host.port}"]}) as watched:
        for fault in (
            nobody_asks, definitions_are_broken_and_cache_is_cold, many_ask, database_is_slow,
            database_is_down, tools_are_gone, service_is_down,
        ):  # fmt: skip
            fault(watched, host, postgres)
            print(f"{time.monotonic() - begun:5.1f} s {fault.__name__}: {sorted(watched.watch.fired())}")
        assert watched.watch.fired() & set(ALERTS) == set(ALERTS)
        assert ("ToolCatalogServiceDown", "firing", "tool-catalog-on-call") in watched.receiver.told


def nobody_asks(watched: Monitoring, _host: Host, _postgres: Postgres) -> None:
    watched.watch.wait_for("ToolCatalogNoTraffic", "ToolCatalogBackupTooOld")
    check_no_gaps(watched.prometheus)
    assert watched.watch.fired() == {"ToolCatalogNoTraffic", "ToolCatalogBackupTooOld"}


def definitions_are_broken_and_cache_is_cold(watched: Monitoring, host: Host, _postgres: Postgres) -> None:
    broken = host.tools_dir / "broken.yaml"
    broken.write_text("tool_name: [")
    with repeated(host, 1, write_a_file(host.tools_dir)), repeated(host, 4, ask_something_new):
        watched.watch.wait_for(
            "ToolCatalogHotReloadFailures", "ToolCatalogFrequentHotReloads", "ToolCatalogLowCacheHitRate",
            "ToolCatalogVeryLowCacheHitRate", "ToolCatalogCacheMemoryHigh",
        )  # fmt: skip
    broken.unlink()
    # Over as soon as the file is mended, not when a window of time is over.
    eventually(lambda: not watched.watch.is_firing("ToolCatalogHotReloadFailures"))
    assert ("ToolCatalogLowCacheHitRate", JOB, "suppressed") in watched.watch.states


def many_ask(watched: Monitoring, host: Host, _postgres: Postgres) -> None:
    with repeated(host, 4, ask_what_is_cached), repeated(host, 1, write):
        watched.watch.wait_for("ToolCatalogUnusualTrafficSpike")
        check_panels(watched.prometheus)
    assert watched.watch.fired().isdisjoint({"ToolCatalogHighErrorRate", "ToolCatalogDatabaseDown"})


def database_is_slow(watched: Monitoring, host: Host, postgres: Postgres) -> None:
    make_slow(postgres, 0.8)
    with repeated(host, TOOL_COUNT, write):
        watched.watch.wait_for(
            "ToolCatalogSlowDatabaseQueries", "ToolCatalogHighResponseTime",
            "ToolCatalogVeryHighResponseTime", "ToolCatalogConnectionPoolExhausted",
            "ToolCatalogConnectionPoolLow", "ToolCatalogSLAViolation",
        )  # fmt: skip
    make_slow(postgres, 0)
    assert ("ToolCatalogHighResponseTime", JOB, "suppressed") in watched.watch.states
    assert ("ToolCatalogConnectionPoolLow", JOB, "suppressed") in watched.watch.states


def database_is_down(watched: Monitoring, host: Host, postgres: Postgres) -> None:
    postgres.stop()
    try:
        # Reads alone bring no error: that the database is down has an alert of its own.
        with repeated(host, 1, ask_what_is_cached):
            watched.watch.wait_for("ToolCatalogDatabaseDown")
        with repeated(host, 4, write):
            watched.watch.wait_for("ToolCatalogHighErrorRate", "ToolCatalogCriticalErrorRate")
    finally:
        postgres.start()
    eventually(lambda: not watched.watch.is_firing("ToolCatalogDatabaseDown"))


def tools_are_gone(watched: Monitoring, host: Host, _postgres: Postgres) -> None:
    client = host.client()
    for name in (*(f"tool-{number}" for number in range(TOOL_COUNT)), "often"):
        eventually(lambda name=name: client.call("DELETE", f"{TOOLS}/{name}").status == 204)
    watched.watch.wait_for("ToolCatalogNoToolsLoaded", "ToolCatalogToolCountDropped")


def service_is_down(watched: Monitoring, host: Host, _postgres: Postgres) -> None:
    stop(host)
    watched.watch.wait_for("ToolCatalogServiceDown")


def stop(host: Host) -> None:
    host.process.terminate()
    host.process.wait(timeout=40)


def test_a_colour_that_is_idle_raises_nothing_and_the_last_one_that_stops_does(
    start_host: StartHost, tmp_path: Path
) -> None:
    green_port = free_port()
    blue = start_host(**SETTINGS)
    with monitoring(tmp_path, {JOB: [f"127.0.0.1:{blue.port}", f"127.0.0.1:{green_port}"]}) as watched:
        down = {"ToolCatalogServiceDown", "ToolCatalogInstanceDown"}
        watched.watch.wait_for("ToolCatalogNoToolsLoaded")  # later than either would be
        assert watched.watch.fired().isdisjoint(down)
        green = start_host(**SETTINGS, PORT=str(green_port))
        stop(blue)
        time.sleep(5)
        assert watched.watch.fired().isdisjoint(down)
        stop(green)
        watched.watch.wait_for("ToolCatalogServiceDown")
        assert watched.watch.fired() & down == {"ToolCatalogServiceDown"}


@pytest.mark.usefixtures("tools_on_disk")
def test_a_host_in_maintenance_is_less_than_a_service_that_is_down_and_neither_drowns_another_job(
    start_host: StartHost, tools_dir: Path, tmp_path: Path
) -> None:
    (tools_dir / "broken.yaml").write_text("tool_name: [")
    anywhere = SETTINGS | {"HOST": "0.0.0.0", "AUTH": "writes", "WORKERS": "1"}  # noqa: S104 - three addresses of the loopback
    hosts = [start_host(**anywhere) for _ in range(4)]
    addresses = [f"127.0.0.{number}:{host.port}" for number, host in enumerate(hosts, 1)]
    with monitoring(tmp_path, {JOB: addresses[:3], "other": addresses[3:]}) as watched:
        watch = watched.watch
        eventually(lambda: watch.is_firing("ToolCatalogHotReloadFailures", "other"))
        stop(hosts[1])
        watch.wait_for("ToolCatalogInstanceDown", "ToolCatalogNoTraffic")
        time.sleep(3)
        assert "ToolCatalogServiceDown" not in watch.fired()
        assert ("ToolCatalogInstanceDown", "firing", "tool-catalog-team") in watched.receiver.told
        watch.states.clear()
        for host in (hosts[0], hosts[2]):
            stop(host)
        watch.wait_for("ToolCatalogServiceDown")
        eventually(lambda: ("ToolCatalogNoTraffic", JOB, "suppressed") in watch.states)
        time.sleep(1)
        # What is wrong elsewhere is told all the same.
        assert ("ToolCatalogHotReloadFailures", "other", "active") in watch.states
        assert ("ToolCatalogHotReloadFailures", "other", "suppressed") not in watch.states
