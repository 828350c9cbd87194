"""The metrics of real workers: true sums, whoever answers and whoever died."""

from __future__ import annotations

import random
import string
import threading
import time
from http import HTTPStatus
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.cluster import Client, Host, Postgres, eventually, kill
from tests.coherence.conftest import StartHost
from tests.conftest import tool
from toolcatalog import metrics
from toolcatalog.db import plain_connection

TOOLS = "/api/v1/tools"
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scrape(client: Client) -> Samples:
    text = client.get("/metrics").body.decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(samples: Samples, name: str, **labels: str) -> float:
    return sum(
        value
        for (found, given), value in samples.items()
        if found == f"tool_catalog_{name}" and labels.items() <= dict(given).items()
    )


@pytest.fixture
def host(start_host: StartHost) -> Host:
    return start_host(WORKERS="3")


def test_requests_are_summed_over_all_workers_and_scrapes_are_not_counted(host: Host) -> None:
    clients = host.clients_of_all_workers()
    before = scrape(clients[0])
    for client in clients:
        for _ in range(10):
            assert client.get(f"{TOOLS}?limit=5").status == 200
        client.get("/health")
        client.get("/nothing/here")
        assert client.call("BREW", TOOLS).status == 405
    for client in clients:
        found = scrape(client)
        asked = {"method": "GET", "endpoint": TOOLS, "status": "200"}
        assert (
            total(found, "api_requests_total", **asked) - total(before, "api_requests_total", **asked) == 30
        )
        assert total(found, "api_requests_total", endpoint="unmatched", status="404") == 3
        assert total(found, "api_requests_total", method="OTHER") == 3
        assert total(found, "api_request_duration_seconds_count", endpoint=TOOLS, method="GET") >= 30
        assert total(found, "api_requests_total", endpoint="/health") == 0
        assert total(found, "api_requests_total", endpoint="/metrics") == 0
        assert total(found, "api_errors_total") == 0


def test_the_json_figures_say_what_prometheus_hears_through_any_worker(host: Host) -> None:
    clients = host.clients_of_all_workers()
    assert clients[0].call("POST", TOOLS, tool()).status == 201
    for client in clients:
        for _ in range(3):
            client.get(f"{TOOLS}/grep")
    figures = [client.get(f"{TOOLS}/performance/stats").json for client in clients]
    for one in figures:
        cache, pool = one["cache"], one["connection_pool"]
        assert cache["hits"] + cache["misses"] >= 9
        assert one["cache_hit_rate"] == cache["hit_rate"] > 0.3
        assert (cache["max_size"], pool["size"], pool["available"] > 0) == (1000, 8, True)
        assert one["db_query_time_p95"] > 0
        assert one["error_rate"] == 0
    found = [client.get(f"{TOOLS}/metrics").json for client in clients]
    samples = scrape(clients[1])
    hits = total(samples, "cache_hits_total")
    assert figures[-1]["cache"]["hits"] == hits
    for one in found:
        assert one["uptime_seconds"] > 0
        assert one["db_query_time_avg_ms"] > 0
    eventually(lambda: clients[0].get(f"{TOOLS}/metrics").json["tools_loaded_total"] == 1)


def test_gauges_say_how_workers_are_put_together(host: Host) -> None:
    [client, *_] = host.clients_of_all_workers()
    assert client.call("POST", TOOLS, tool()).status == 201

    def revisions(samples: Samples) -> list[float]:
        return [value for (name, _), value in samples.items() if name == "tool_catalog_revision"]

    eventually(lambda: revisions(scrape(client)) == [1.0, 1.0, 1.0])
    found = scrape(client)
    assert total(found, "connection_pool_size") == 8
    assert total(found, "connection_pool_available") <= 20
    assert total(found, "build_info", version="0.1.0") == 1
    assert total(found, "cache_max_size") == 1000
    eventually(lambda: total(scrape(client), "tools_loaded") == 1)
    kill(host.workers()[0])
    eventually(lambda: len(host.workers()) == 3)
    survivor = host.client()
    eventually(lambda: revisions(scrape(survivor)) == [1.0, 1.0, 1.0])


def test_what_alerts_read_is_there_before_it_rises(host: Host) -> None:
    found = scrape(host.client())
    for trigger in metrics.TRIGGERS:
        for result in metrics.RESULTS:
            assert ("tool_catalog_hot_reload_total", (("result", result), ("trigger", trigger))) in found
    labels = (("endpoint", f"{TOOLS}/<reference>"), ("method", "GET"), ("status", "503"))
    assert found["tool_catalog_api_requests_total", labels] == 0
    assert found["tool_catalog_hot_reload_failures_total", ()] == 0
    for error_type in metrics.API_ERRORS:
        assert found["tool_catalog_api_errors_total", (("error_type", error_type),)] == 0


@pytest.mark.parametrize("count", [500, pytest.param(5_000, marks=pytest.mark.slow)])
def test_no_label_grows_with_what_clients_send(host: Host, count: int) -> None:
    random_, client = random.Random(5), host.client()
    for number in range(count):
        path = "".join(random_.choices(string.ascii_letters + "/%.-_", k=random_.randrange(1, 30)))
        path = "".join(c if c != "%" else f"%{random_.randrange(32, 126):02x}" for c in path)
        prefix = random_.choice(["/", f"{TOOLS}/", f"{TOOLS}/name/", "/api/v1/"])
        method = random_.choice(
            ["GET", "POST", "DELETE", "".join(random_.choices(string.ascii_uppercase, k=5))]
        )
        assert client.call(method, f"{prefix}{path}").status < 500, (number, method, path)
    found = scrape(client)
    methods, endpoints, statuses = (
        {dict(labels)[name] for (metric, labels) in found if metric == "tool_catalog_api_requests_total"}
        for name in ("method", "endpoint", "status")
    )
    assert methods <= metrics.METHODS | {metrics.OTHER_METHOD}
    routes = set(host.client().get("/api/v1/openapi.json").json["paths"])
    known = {path.replace("{", "<").replace("}", ">") for path in routes}
    assert {one for one in endpoints if one in known} | {metrics.UNMATCHED} <= endpoints
    assert len(endpoints) <= len(known) + 10
    assert statuses <= {str(int(status)) for status in HTTPStatus}
    assert len(statuses) < 20
    assert len(found) < 5_000


class Asking(threading.Thread):
    """Sends so many requests, each on a connection of its own."""

    def __init__(self, host: Host, count: int) -> None:
        super().__init__()
        self._host, self._count, self.answered = host, count, 0

    def run(self) -> None:
        for _ in range(self._count):
            client = Client(self._host.port)
            assert client.get(f"{TOOLS}?limit=1").status == 200
            self.answered += 1
            client.close()


@pytest.mark.slow
def test_ten_thousand_requests_over_workers_that_are_recycled_are_ten_thousand(start_host: StartHost) -> None:
    host = start_host(WORKERS="4", GUNICORN_CMD_ARGS="--max-requests 400 --max-requests-jitter 50")
    first = set(host.workers())
    asked = {"method": "GET", "endpoint": TOOLS, "status": "200"}
    before = total(scrape(host.client()), "api_requests_total", **asked)
    threads = [Asking(host, 1_250) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(thread.answered for thread in threads) == 10_000
    assert not first & set(host.workers()), "no worker was recycled"
    client = host.client()
    assert total(scrape(client), "api_requests_total", **asked) - before == 10_000
    begun = time.perf_counter()
    scrape(client)
    print(f"10,000 requests counted exactly; a scrape took {1000 * (time.perf_counter() - begun):.1f} ms")


@pytest.mark.slow
def test_a_scrape_of_eight_workers_is_quick_also_after_all_were_recycled_often(start_host: StartHost) -> None:
    host = start_host(WORKERS="8", GUNICORN_CMD_ARGS="--max-requests 20 --max-requests-jitter 5")
    client = host.client()

    def scrape_seconds() -> float:
        took = []
        for _ in range(15):
            begun = time.perf_counter()
            scrape_size = len(host.client().get("/metrics").body)
            took.append(time.perf_counter() - begun)
        assert scrape_size > 10_000
        return min(took)  # what others take meanwhile, as workers that start, is not the scrape's

    seen = set(host.workers())
    first = scrape_seconds()
    for thread in (threads := [Asking(host, 250) for _ in range(4)]):
        thread.start()
    while any(thread.is_alive() for thread in threads):
        seen |= set(host.workers())
        time.sleep(0.05)
    later = scrape_seconds()
    print(
        f"scrape of 8 workers: {1000 * first:.1f} ms; after {len(seen)} workers lived: {1000 * later:.1f} ms"
    )
    assert len(seen) > 30
    assert later < 0.03 + first
    client.close()


def test_what_nobody_asked_for_is_no_hit_and_no_miss(host: Host) -> None:
    client = host.client()
    for number in range(5):  # each write has every worker fill its cache anew
        assert client.call("POST", TOOLS, tool(f"tool-{number}")).status == 201
        time.sleep(0.5)
    eventually(lambda: total(scrape(client), "tools_loaded") == 5)
    found = scrape(client)
    assert total(found, "cache_hits_total") + total(found, "cache_misses_total") == 0
    for _ in range(3):
        client.get(f"{TOOLS}/tool-1")
    found = scrape(client)
    assert total(found, "cache_hits_total") + total(found, "cache_misses_total") == 3


def test_the_age_of_the_last_backup_is_missing_until_there_was_one_and_rises_then(
    start_host: StartHost, postgres: Postgres
) -> None:
    before = start_host(WORKERS="2")
    assert total(scrape(before.client()), "database_up") == 1
    assert "tool_catalog_backup_age_seconds{" not in before.client().get("/metrics").body.decode()
    with plain_connection(postgres.url, "test") as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE catalog_state SET backed_up_at = now() - interval '2 hours'")
    host = start_host(WORKERS="2")  # one that runs looks every half a minute
    eventually(lambda: total(scrape(host.client()), "backup_age_seconds", database="for_one_test") >= 7_200)
    first = total(scrape(host.client()), "backup_age_seconds")
    assert first < 7_260
    eventually(lambda: total(scrape(host.client()), "backup_age_seconds") > first + 1)


def test_wrong_files_are_counted_until_they_are_mended_by_whichever_worker(
    start_host: StartHost, tools_dir: Path
) -> None:
    (tools_dir / "good.yaml").write_text(yaml.safe_dump(tool("good")))
    wrong = [tools_dir / "a.yaml", tools_dir / "b.yaml"]
    for path in wrong:
        path.write_text("tool_name: [")
    host = start_host(WORKERS="2")
    other = start_host(WORKERS="1")  # whose workers read no file: the other host's do
    for each in (host, other):
        eventually(lambda each=each: total(scrape(each.client()), "reload_errors") == 2)
    wrong[0].unlink()
    eventually(lambda: total(scrape(host.client()), "reload_errors") == 1)
    wrong[1].write_text(yaml.safe_dump(tool("b")))
    eventually(lambda: total(scrape(host.client()), "reload_errors") == 0)


def test_a_worker_that_reaches_no_database_says_so(start_host: StartHost, postgres: Postgres) -> None:
    host = start_host(WORKERS="2")
    clients = host.clients_of_all_workers()
    assert [total(scrape(client), "database_up") for client in clients] == [1, 1]
    postgres.stop()
    try:
        for client in clients:
            eventually(lambda client=client: total(scrape(client), "database_up") == 0)
    finally:
        postgres.start()
    for client in clients:
        eventually(lambda client=client: total(scrape(client), "database_up") == 1)
