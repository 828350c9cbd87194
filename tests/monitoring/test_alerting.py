"""Real Prometheus and real Alertmanager: every panel has data, and every fault reaches who is to know of it.

The files are those that ship; only their intervals are shortened, and the receivers replaced by one of ours.
"""

from __future__ import annotations

import http.client
import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from tests.cluster import Host, Postgres, eventually
from tests.coherence.conftest import StartHost
from tests.conftest import tool
from tests.monitoring.test_files import FOLDER, PANELS, RULES
from tests.service.conftest import free_port
from toolcatalog.db import plain_connection

pytestmark = pytest.mark.slow
TOOLS = "/api/v1/tools"
WINDOW = "10s"


class Receiver:
    """Takes Alertmanager's messages, and remembers which alerts it told of."""

    def __init__(self) -> None:
        self.told: set[tuple[str, str, str]] = set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for alert in body["alerts"]:
                    receiver.told.add((alert["labels"]["alertname"], alert["status"], body["receiver"]))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/"

    def heard(self, alert: str, status: str = "firing") -> bool:
        return any(told[:2] == (alert, status) for told in self.told)


def shortened(expression: str) -> str:
    return expression.replace("[5m]", f"[{WINDOW}]").replace("offset 1h", "offset 15s")


def write_files(folder: Path, host: Host, alertmanager_port: int, receiver: Receiver) -> None:
    rules = json.loads(json.dumps(RULES))
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule["expr"] = shortened(rule["expr"])
            if "for" in rule:
                rule["for"] = "2s"
    (folder / "rules.yml").write_text(yaml.safe_dump(rules))
    prometheus = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    prometheus["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    prometheus["rule_files"] = ["rules.yml"]
    prometheus["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{host.port}"]}]
    prometheus["alerting"]["alertmanagers"][0]["static_configs"] = [
        {"targets": [f"127.0.0.1:{alertmanager_port}"]}
    ]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(prometheus))
    routing = yaml.safe_load((FOLDER / "alertmanager.yml").read_text())
    routing["route"] |= {"group_wait": "0s", "group_interval": "1s"}
    routing["receivers"] = [
        {"name": one["name"], "webhook_configs": [{"url": receiver.url}]} for one in routing["receivers"]
    ]
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(routing))


class Prometheus:
    def __init__(self, port: int) -> None:
        self._port = port

    def get(self, path: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            connection.request("GET", path)
            return json.load(connection.getresponse())
        finally:
            connection.close()

    def is_ready(self) -> bool:
        try:
            return self.get("/api/v1/status/buildinfo")["status"] == "success"
        except (OSError, ValueError):
            return False

    def query(self, expression: str) -> list[dict[str, Any]]:
        found = self.get(f"/api/v1/query?query={quote(expression)}")
        assert found["status"] == "success", found
        return found["data"]["result"]


def program(name: str) -> str:
    found = shutil.which(name)
    assert found, (
        f"{name} is not installed (Debian: prometheus, prometheus-alertmanager); .ci/run installs it"
    )
    return found


@contextmanager
def running(command: list[str], folder: Path) -> Iterator[None]:
    """Run a program in a folder, where its output goes too, until the block ends."""
    with (folder / f"{Path(command[0]).name}.txt").open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=20)


@pytest.fixture
def watched(
    start_host: StartHost, tools_dir: Path, tmp_path: Path
) -> Iterator[tuple[Host, Prometheus, Receiver]]:
    for number in range(12):
        (tools_dir / f"{number}.yaml").write_text(yaml.safe_dump(tool(f"tool-{number}")))
    host = start_host(WORKERS="4", THREADS="4", DB_POOL_SIZE="1", DB_MAX_OVERFLOW="1")
    receiver = Receiver()
    receiver.thread.start()
    port, alertmanager_port = free_port(), free_port()
    write_files(tmp_path, host, alertmanager_port, receiver)
    commands = [
        [program("prometheus"), "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb",
         f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"],
        [program("prometheus-alertmanager"), "--config.file=alertmanager.yml", "--storage.path=am",
         f"--web.listen-address=127.0.0.1:{alertmanager_port}", "--cluster.listen-address="],
    ]  # fmt: skip
    with ExitStack() as stack:
        for command in commands:
            stack.enter_context(running(command, tmp_path))
        prometheus = Prometheus(port)
        eventually(prometheus.is_ready)
        yield host, prometheus, receiver
    receiver.server.shutdown()
    receiver.thread.join()
    receiver.server.server_close()


class Traffic(threading.Thread):
    """Ordinary reads, until it is told to end."""

    def __init__(self, host: Host, path: str) -> None:
        super().__init__()
        self._client, self._path, self.ended = host.client(), path, threading.Event()

    def run(self) -> None:
        number = 0
        while not self.ended.is_set():
            number += 1
            try:
                self._client.get(self._path.format(number))
            except (OSError, http.client.HTTPException):
                return
            time.sleep(0.02)


def make_slow(postgres: Postgres, seconds: float) -> None:
    with plain_connection(postgres.url, "test") as connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE OR REPLACE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN PERFORM pg_sleep({seconds}); RETURN NEW; END $$"
        )
        cursor.execute(
            "CREATE OR REPLACE TRIGGER slow BEFORE INSERT ON changes FOR EACH ROW EXECUTE FUNCTION be_slow()"
        )


def check_panels(prometheus: Prometheus) -> None:
    """Every expression of every panel gives series with the labels that its legend names."""
    for panel in PANELS:
        for target in panel["targets"]:
            expression = target["expr"].replace("$job", "tool-catalog").replace("$__rate_interval", WINDOW)
            wanted = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            eventually(lambda expression=expression: prometheus.query(shortened(expression)))
            for series in prometheus.query(shortened(expression)):
                assert wanted <= set(series["metric"]), (panel["title"], expression, series)


def write_all_the_time(host: Host, ended: threading.Event, number: int) -> None:
    client = host.client()
    while not ended.is_set():
        client.call("PATCH", f"{TOOLS}/tool-{number}", {"description": str(time.monotonic())})


def test_every_panel_has_data_and_every_fault_is_heard_of(
    watched: tuple[Host, Prometheus, Receiver], postgres: Postgres
) -> None:
    host, prometheus, receiver = watched
    client = host.client()
    traffic = Traffic(host, f"{TOOLS}/tool-1")
    traffic.start()
    (host.tools_dir / "new.yaml").write_text(yaml.safe_dump(tool("new")))
    check_panels(prometheus)
    rules = prometheus.get("/api/v1/rules")["data"]["groups"]
    assert [len(group["rules"]) for group in rules if group["name"] == "tool_catalog_alerts"] == [18]
    assert not [told for told in receiver.told if "Down" in told[0] or "Error" in told[0]], receiver.told

    (host.tools_dir / "new.yaml").write_text("tool_name: [broken")
    eventually(lambda: receiver.heard("ToolCatalogHotReloadFailures"), 40)
    (host.tools_dir / "new.yaml").write_text(yaml.safe_dump(tool("new")))
    eventually(lambda: receiver.heard("ToolCatalogHotReloadFailures", "resolved"), 60)

    cold = Traffic(host, f"{TOOLS}?name=no-such-tool-{{}}")
    traffic.ended.set()
    cold.start()
    eventually(lambda: receiver.heard("ToolCatalogVeryLowCacheHitRate"), 60)
    cold.ended.set()

    make_slow(postgres, 0.8)
    ended = threading.Event()
    writers = [threading.Thread(target=write_all_the_time, args=(host, ended, n)) for n in range(12)]
    for writer in writers:
        writer.start()
    for alert in (
        "ToolCatalogSlowDatabaseQueries", "ToolCatalogVeryHighResponseTime", "ToolCatalogSLAViolation",
        "ToolCatalogConnectionPoolExhausted",
    ):  # fmt: skip
        eventually(lambda alert=alert: receiver.heard(alert), 60)
    ended.set()
    for writer in writers:
        writer.join()
    make_slow(postgres, 0)

    for name in [f"tool-{number}" for number in range(12)] + ["new"]:
        assert client.call("DELETE", f"{TOOLS}/{name}").status == 204
    eventually(lambda: receiver.heard("ToolCatalogNoToolsLoaded"), 60)
    eventually(lambda: receiver.heard("ToolCatalogToolCountDropped"), 60)
    eventually(lambda: receiver.heard("ToolCatalogNoTraffic"), 60)

    before = set(receiver.told)
    host.process.terminate()
    host.process.wait(timeout=40)
    eventually(lambda: receiver.heard("ToolCatalogServiceDown"), 60)
    time.sleep(3)
    news = {told[0] for told in receiver.told - before if told[1] == "firing"}
    assert news == {"ToolCatalogServiceDown"}
    assert ("ToolCatalogServiceDown", "firing", "tool-catalog-on-call") in receiver.told
    print(f"heard of: {', '.join(sorted({told[0] for told in receiver.told if told[1] == 'firing'}))}")
    traffic.join()
    cold.join()
