"""Real Prometheus and real Alertmanager over the files that ship, with all their durations divided by 60.

Only durations, addresses and receivers are replaced, in a copy that is made here: a rule that cannot fire, or
an alert that is suppressed by one that does not explain it, is the shipped one's.
"""

from __future__ import annotations

import copy
import http.client
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from tests.cluster import eventually
from tests.monitoring.test_files import FOLDER, RULES
from tests.service.conftest import free_port

FASTER = 60
# Ten of them are the window of a rate.
INTERVAL = "500ms"
JOB = "tool-catalog"
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def shortened(expression: str) -> str:
    """Divide the durations of an expression: the windows of its rates, and its offset."""
    return re.sub(r"(\[|offset )(\d+[smh])\b", lambda found: found[1] + _shorter(found[2]), expression)


def _shorter(duration: str) -> str:
    return f"{1000 * int(duration[:-1]) * _SECONDS[duration[-1]] // FASTER}ms"


class Receiver:
    """Takes Alertmanager's messages, and remembers which alerts it told of, and whom."""

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

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Asked:
    """A program that is asked over HTTP."""

    def __init__(self, port: int) -> None:
        self._port = port

    def get(self, path: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            connection.request("GET", path)
            return json.load(connection.getresponse())
        finally:
            connection.close()

    def answers(self, path: str) -> bool:
        try:
            return bool(self.get(path))
        except (OSError, ValueError):
            return False

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Ask Prometheus."""
        found = self.get(f"/api/v1/query?query={quote(expression)}")
        assert found["status"] == "success", found
        result: list[dict[str, Any]] = found["data"]["result"]
        return result


class Watch(threading.Thread):
    """Asks Alertmanager again and again, and remembers each alert that it had, by job, and in which state."""

    def __init__(self, alertmanager: Asked) -> None:
        super().__init__()
        self._alertmanager = alertmanager
        self._ended = threading.Event()
        self._now: set[tuple[str, str]] = set()
        self.states: set[tuple[str, str, str]] = set()

    def run(self) -> None:
        while not self._ended.wait(0.2):
            found = {
                (one["labels"]["alertname"], one["labels"]["job"], one["status"]["state"])
                for one in self._alertmanager.get("/api/v2/alerts")
            }
            self._now = {(name, job) for name, job, _ in found}
            self.states |= {one for one in found if one[2] != "unprocessed"}

    def end(self) -> None:
        self._ended.set()
        self.join()

    def fired(self, job: str = JOB) -> set[str]:
        """Return the alerts of a job that fired, if suppressed."""
        return {name for name, of_job, _ in self.states if of_job == job}

    def is_firing(self, name: str, job: str = JOB) -> bool:
        return (name, job) in self._now

    def wait_for(self, *names: str, within_seconds: float = 60) -> None:
        """Wait until all of these have fired."""
        try:
            eventually(lambda: set(names) <= self.fired(), within_seconds)
        except AssertionError as error:
            raise AssertionError(f"{sorted(set(names) - self.fired())} did not fire") from error


@dataclass(frozen=True)
class Monitoring:
    """A Prometheus that scrapes and judges, and an Alertmanager that decides who is told."""

    prometheus: Asked
    watch: Watch
    receiver: Receiver


@contextmanager
def monitoring(folder: Path, targets: dict[str, list[str]]) -> Iterator[Monitoring]:
    """Run both over the shipped files, with these targets (`address:port`) by their job."""
    receiver = Receiver()
    port, alertmanager_port = free_port(), free_port()
    write_files(folder, targets, alertmanager_port, receiver)
    commands = [
        [program("prometheus"), "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb",
         f"--web.listen-address=127.0.0.1:{port}", "--query.lookback-delta=5s"],
        [program("prometheus-alertmanager"), "--config.file=alertmanager.yml", "--storage.path=am",
         f"--web.listen-address=127.0.0.1:{alertmanager_port}", "--cluster.listen-address="],
    ]  # fmt: skip
    prometheus, alertmanager = Asked(port), Asked(alertmanager_port)
    with ExitStack() as stack:
        stack.callback(receiver.close)
        for command in commands:
            stack.enter_context(running(command, folder))
        eventually(lambda: prometheus.answers("/api/v1/status/buildinfo"))
        eventually(lambda: alertmanager.answers("/api/v2/status"))
        watch = Watch(alertmanager)
        watch.start()
        stack.callback(watch.end)
        yield Monitoring(prometheus, watch, receiver)


def write_files(
    folder: Path, targets: dict[str, list[str]], alertmanager_port: int, receiver: Receiver
) -> None:
    """Write copies of the shipped files for these targets."""
    rules = copy.deepcopy(RULES)
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule["expr"] = shortened(rule["expr"])
            if "for" in rule:
                rule["for"] = _shorter(rule["for"])
    (folder / "rules.yml").write_text(yaml.safe_dump(rules))
    prometheus = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    prometheus["global"] |= {
        "scrape_interval": INTERVAL,
        "scrape_timeout": INTERVAL,
        "evaluation_interval": INTERVAL,
    }
    prometheus["rule_files"] = ["rules.yml"]
    prometheus["scrape_configs"] = [
        {"job_name": job, "static_configs": [{"targets": addresses}]} for job, addresses in targets.items()
    ]
    prometheus["alerting"]["alertmanagers"] = [
        {"static_configs": [{"targets": [f"127.0.0.1:{alertmanager_port}"]}]}
    ]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(prometheus))
    routing = yaml.safe_load((FOLDER / "alertmanager.yml").read_text())
    routing["route"] |= {"group_wait": "0s", "group_interval": "1s"}
    routing["receivers"] = [
        {"name": one["name"], "webhook_configs": [{"url": receiver.url}]} for one in routing["receivers"]
    ]
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(routing))


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
