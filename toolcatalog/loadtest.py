"""A load test of a running service, with Locust: what its users would do, and a score of 100.

Imported by its command alone: Locust replaces the standard library's sockets by its own when it is imported.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from locust import FastHttpUser, constant, task  # first of all: it has to come before sockets are made
from locust.env import Environment
from locust.html import get_html_report
from locust.stats import stats_history

import gevent  # isort: skip
import psutil
import requests

PASSING_SCORE = 70
_TOOLS = "/api/v1/tools"
_WORDS = ("process", "disk", "service", "network", "log", "file", "backup", "user", "container", "database")
_SAMPLE_SECONDS = 1.0


class CannotRun(Exception):
    """The load test cannot begin; one sentence says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done. `users` begin one after the other over the ramp-up, and pause between requests."""

    url: str
    users: int
    seconds: float
    ramp_up_seconds: float
    think_seconds: float
    key: str | None = None


@dataclass
class Figures:
    """What became of the requests of one scenario, or of all. Times in milliseconds, in no order."""

    milliseconds: list[float] = field(default_factory=list)
    failures: int = 0

    @property
    def requests(self) -> int:
        """All requests, failed ones too."""
        return len(self.milliseconds)

    def percentile(self, share: float) -> float:
        """The time within which this share of the requests was answered; 0.0 without any."""
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    def summary(self) -> dict[str, float]:
        """The figures of the table."""
        mean = sum(self.milliseconds) / self.requests if self.requests else 0.0
        return {
            "requests": self.requests,
            "failures": self.failures,
            "mean_ms": round(mean, 2),
            **{f"p{percent}_ms": round(self.percentile(percent / 100), 2) for percent in (50, 95, 99)},
        }


@dataclass(frozen=True, slots=True)
class Criterion:
    """A part of the score: what is wanted, what was measured, and the points that it is worth."""

    wanted: str
    measured: str
    points: int
    is_met: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was measured; `service` is what was seen of the service's processes, cache and pool meanwhile."""

    plan: Plan
    scenarios: dict[str, Figures]
    service: dict[str, float]
    html: str

    @property
    def total(self) -> Figures:
        """All scenarios together."""
        every = self.scenarios.values()
        milliseconds = [each for figures in every for each in figures.milliseconds]
        return Figures(milliseconds, sum(figures.failures for figures in every))

    def criteria(self) -> list[Criterion]:
        """Judge what was measured."""
        total = self.total
        p95, p99 = total.percentile(0.95), total.percentile(0.99)
        failed = total.failures / total.requests if total.requests else 1.0
        rate = total.requests / self.plan.seconds
        spread = p99 / p95 if p95 else 0.0
        return [
            Criterion("p95 under 50 ms", f"{p95:.1f} ms", 40, 0 < p95 < 50),
            Criterion("errors under 1 %", f"{failed:.2%}", 30, failed < 0.01),
            Criterion("at least 10 requests a second", f"{rate:.1f}", 20, rate >= 10),
            Criterion("p99 under twice p95", f"{spread:.2f} times", 10, 0 < spread < 2),
        ]

    @property
    def score(self) -> int:
        """Points of 100."""
        return sum(criterion.points for criterion in self.criteria() if criterion.is_met)

    def table(self) -> str:
        """The figures for people: the scenarios, the service, the score."""
        rows: list[tuple[str, ...]] = [("", "requests", "failures", "mean ms", "p50 ms", "p95 ms", "p99 ms")]
        for name, figures in [*self.scenarios.items(), ("all", self.total)]:
            rows.append((name, *(f"{value:g}" for value in figures.summary().values())))
        lines = [f"{row[0]:16}" + "".join(f"{cell:>10}" for cell in row[1:]) for row in rows]
        lines += ["", *(f"{name:20}{value:>10g}" for name, value in self.service.items()), ""]
        for criterion in self.criteria():
            points = criterion.points if criterion.is_met else 0
            lines.append(f"{points:3} of {criterion.points:2}  {criterion.wanted}: {criterion.measured}")
        return "\n".join([*lines, f"Score: {self.score}/100 ({PASSING_SCORE} or more is a pass)"])

    def write(self, folder: Path) -> None:
        """Write `result.json`, and `report.html` with plots."""
        folder.mkdir(parents=True, exist_ok=True)
        found = {
            "score": self.score,
            "users": self.plan.users,
            "seconds": self.plan.seconds,
            "total": self.total.summary(),
            "scenarios": {name: figures.summary() for name, figures in self.scenarios.items()},
            "service": self.service,
        }
        (folder / "result.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        (folder / "report.html").write_text(self.html, encoding="utf-8")


def run(plan: Plan, say: Callable[[str], None]) -> Outcome:
    """Load a service as planned; `say` is told every few seconds how far it is.

    Raises:
        CannotRun: when the service does not answer, or has no tools.
    """
    names = _names(plan)
    scenarios: dict[str, Figures] = defaultdict(Figures)
    environment = Environment(user_classes=[_user(plan, names)], host=plan.url)

    def note(name: str, response_time: float, exception: Exception | None, **_: Any) -> None:
        scenarios[name].milliseconds.append(response_time)
        scenarios[name].failures += exception is not None

    environment.events.request.add_listener(note)
    runner = environment.create_local_runner()
    history = gevent.spawn(stats_history, runner)
    sampler = _Sampler(plan)
    watching = gevent.spawn(sampler.watch)
    runner.start(plan.users, spawn_rate=plan.users / max(plan.ramp_up_seconds, 0.1))
    for second in range(int(plan.seconds)):
        gevent.sleep(min(1.0, plan.seconds - second))
        if second % 5 == 4:
            done = sum(figures.requests for figures in scenarios.values())
            say(f"{second + 1} of {plan.seconds:.0f} s, {done} requests")
    runner.quit()
    gevent.killall([history, watching])
    html = get_html_report(environment, show_download_link=False)
    return Outcome(plan, dict(sorted(scenarios.items())), sampler.seen(), html)


def _headers(plan: Plan) -> dict[str, str]:
    return {"Authorization": f"Bearer {plan.key}"} if plan.key else {}


def _names(plan: Plan) -> list[str]:
    try:
        answer = requests.get(
            f"{plan.url}{_TOOLS}?view=summary&limit=1000", headers=_headers(plan), timeout=10
        )
        answer.raise_for_status()
        names = [tool["tool_name"] for tool in answer.json()]
    except requests.RequestException as error:
        raise CannotRun(f"{plan.url} does not answer as a Tool Catalog: {error}") from error
    if not names:
        raise CannotRun(f"{plan.url} has no tools to ask for: import some first")
    return names


def _one_of(values: Sequence[str]) -> str:
    return random.choice(values)  # noqa: S311 - no secret


def _user(plan: Plan, names: list[str]) -> type[FastHttpUser]:
    """Make the class of a user, who does each of these so many times in a hundred."""

    class User(FastHttpUser):
        wait_time = constant(plan.think_seconds)

        def ask(self, name: str, path: str) -> None:
            self.client.get(path, name=name, headers=_headers(plan))

        @task(35)
        def list_tools(self) -> None:
            self.ask("list", _TOOLS)

        @task(20)
        def search(self) -> None:
            self.ask("search by name", f"{_TOOLS}/search?q={_one_of(_WORDS)}")

        @task(15)
        def get_by_name(self) -> None:
            self.ask("get by name", f"{_TOOLS}/name/{quote(_one_of(names), safe='')}")

        @task(15)
        def list_enabled(self) -> None:
            self.ask("enabled filter", f"{_TOOLS}?enabled=true")

        @task(10)
        def get_latest(self) -> None:
            self.ask("latest version", f"{_TOOLS}/{quote(_one_of(names), safe='')}")

        @task(5)
        def stats(self) -> None:
            self.ask("stats", f"{_TOOLS}/performance/stats")

    return User


class _Sampler:
    """Looks once a second at the service: its processes if they are on this machine, its cache and pool."""

    def __init__(self, plan: Plan) -> None:
        self._url = f"{plan.url}{_TOOLS}/performance/stats"
        self._headers = _headers(plan)
        self._processes = _processes_behind(plan.url)
        self._cpu_seconds = self._read_cpu()
        self._first = self._last = self._read_stats()
        self._samples: dict[str, list[float]] = defaultdict(list)

    def watch(self) -> None:
        """Sample until it is killed."""
        while True:
            gevent.sleep(_SAMPLE_SECONDS)
            before, self._cpu_seconds = self._cpu_seconds, self._read_cpu()
            if self._processes:
                self._samples["cpu_percent"].append(100 * (self._cpu_seconds - before) / _SAMPLE_SECONDS)
                memory = sum(process.memory_info().rss for process in self._living())
                self._samples["memory_mb"].append(memory / 1e6)
            self._last = self._read_stats() or self._last
            if self._last:
                self._samples["pool_in_use"].append(self._last["connection_pool"]["in_use"])

    def seen(self) -> dict[str, float]:
        """What was seen; without what could not be."""
        seen: dict[str, float] = {}
        for name, values in self._samples.items():
            seen[f"{name}_mean"] = round(sum(values) / len(values), 1)
            seen[f"{name}_max"] = round(max(values), 1)
        if self._first and self._last:
            hits, misses = (
                self._last["cache"][kind] - self._first["cache"][kind] for kind in ("hits", "misses")
            )
            seen["cache_hit_rate"] = round(hits / (hits + misses), 4) if hits + misses else 0.0
            seen["cache_size"] = self._last["cache"]["size"]
            seen["pool_size"] = self._last["connection_pool"]["size"]
        return seen

    def _living(self) -> list[psutil.Process]:
        return [process for process in self._processes if process.is_running()]

    def _read_cpu(self) -> float:
        times = [process.cpu_times() for process in self._living()]
        return float(sum(each.user + each.system for each in times))

    def _read_stats(self) -> Any:
        try:
            return requests.get(self._url, headers=self._headers, timeout=5).json()
        except (requests.RequestException, ValueError):
            return None


def _processes_behind(url: str) -> list[psutil.Process]:
    """Find the processes that listen on the port of a service on this machine; none where that may not be."""
    parts = urlsplit(url)
    if parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        return []
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:  # macOS asks for root
        return []
    port = parts.port or 80
    pids = [one.pid for one in connections if one.status == "LISTEN" and one.laddr[1:] == (port,) and one.pid]
    if not pids:
        return []
    # The socket is that of a gunicorn master and of its workers, of which one is told.
    found = psutil.Process(pids[0])
    parent = found.parent()
    master = parent if parent is not None and parent.name() == found.name() else found
    return [master, *master.children(recursive=True)]
