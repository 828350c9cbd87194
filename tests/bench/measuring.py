"""What is measured."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.bench import catalogs
from tests.bench.catalogs import Import, name_of, search_words
from tests.bench.servers import Server, Speed, gunicorn, milliseconds, record, wrk
from tests.cluster import Postgres
from toolcatalog import upgrade
from toolcatalog.settings import normalised_url

# Odd, and so many that a neighbour's burst on the machine is not in the median.
ROUNDS = 5
_TOOL, _LIST = f"/api/v1/tools/{name_of(7)}", "/api/v1/tools?limit=200"
_FILTERED = "/api/v1/tools?platform=linux&limit=20"
_SEARCH = "/api/v1/tools/search?q=which+process+uses+the+disk&limit=10"
# What is asked for again and again, so that it comes from the cache: name -> path, and whether it is a 304.
CACHED = {
    "one tool": (_TOOL, False),
    "list of 200": (_LIST, False),
    "filtered list of 20": (_FILTERED, False),
    "search": (_SEARCH, False),
    "304": (_TOOL, True),
}
CEILING, FLASK, SERVICE, LOGGING = "bare WSGI", "bare Flask", "service", "service, LOG_REQUESTS=all"
_WARMING, _REQUESTS = 50, 200
_MIXED_REQUESTS = 1_000_000
# One in a hundred is a search in words of its own, which is not cached.
_MIXED = """
request = function()
    if math.random(100) == 1 then
        return wrk.format("GET", "/api/v1/tools/search?q=disk+number" .. math.random(1000000) .. "&limit=10")
    end
    return wrk.format("GET", string.format("/api/v1/tools/tool-%06d", math.random(0, 199)))
end
"""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Growth:
    """Memory of a worker, before and after so many requests; megabytes."""

    requests: int
    before_mb: float
    after_mb: float


@dataclass
class Figures:
    """What was measured with so many tools."""

    count: int
    imported: Import
    first_answer_seconds: float = 0.0
    worker_mb: float = 0.0
    # Case -> server -> one for each round.
    cached: dict[str, dict[str, list[Speed]]] = field(default_factory=dict)
    # What -> milliseconds, one for each request of each round.
    uncached: dict[str, list[list[float]]] = field(default_factory=dict)
    growth: Growth | None = None


class Bench:
    """A PostgreSQL and a folder in which catalogs are measured."""

    def __init__(self, postgres: Postgres, folder: Path, say: Say) -> None:
        self._postgres = postgres
        self._folder = folder
        self._say = say
        (folder / "tools").mkdir()

    def small(self, seconds: int, fallen: Callable[[Figures], list[str]]) -> list[str]:
        """Measure the cached answers of 200 tools against the ceiling only; returns those that are too slow.

        They are so twice: what `fallen` names the first time is measured again, since a neighbour on the
        machine takes its time from one measurement, and slower code from both.
        """
        figures, url = self._filled(200)
        with self._service(url) as service, ExitStack() as stack:
            servers = {CEILING: self._ceiling(service, stack), SERVICE: service}
            self._cached(figures, servers, seconds)
            slow = fallen(figures)
            if slow:
                self._cached(figures, servers, seconds)
                slow = [case for case in fallen(figures) if case in slow]
        return slow

    def whole(self, count: int, seconds: int) -> Figures:
        """Measure everything that depends on the size of the catalog; with 200 tools, everything."""
        figures, url = self._filled(count)
        with self._service(url) as service, ExitStack() as stack:
            figures.first_answer_seconds = service.first_answer_seconds
            servers = {CEILING: self._ceiling(service, stack), SERVICE: service}
            if count == 200:
                servers[FLASK] = stack.enter_context(self._bare("tests.bench.bare:flask"))
                servers[LOGGING] = stack.enter_context(self._service(url, LOG_REQUESTS="all"))
            self._cached(figures, servers, seconds)
            figures.worker_mb = service.worker_mb()
        self._uncached(figures, url)
        return figures

    def growth(self) -> Growth:
        """Answer a million requests, and see what the worker's memory became."""
        self._say(f"{_MIXED_REQUESTS:,} requests")
        script = self._folder / "mixed.lua"
        script.write_text(_MIXED)
        with self._service(self._url(200)) as service:
            wrk(service, "--script", str(script), seconds=20)
            before, requests = service.worker_mb(), 0
            while requests < _MIXED_REQUESTS:
                requests += wrk(service, "--script", str(script), seconds=10).requests
            return Growth(requests, before, service.worker_mb())

    def _url(self, count: int) -> str:
        return self._postgres.handle.get_uri(f"bench_{count}")

    def _filled(self, count: int) -> tuple[Figures, str]:
        self._say(f"{count:,} tools: import")
        self._postgres.query(f"CREATE DATABASE bench_{count}")
        upgrade.to_head(normalised_url(self._url(count)))
        definitions = self._folder / f"definitions-{count}"
        catalogs.write(definitions, count)
        imported = catalogs.take_in(self._url(count), definitions)
        self._postgres.query("VACUUM ANALYZE", f"bench_{count}")
        return Figures(count, imported), self._url(count)

    def _service(self, url: str, **given: str) -> Any:
        given = {"DATABASE_URL": url, "TOOLS_DIR": str(self._folder / "tools"), "LOG_FORMAT": "json", **given}
        return gunicorn("wsgi:app", "deploy/gunicorn.conf.py", self._folder / "service.log", **given)

    def _bare(self, app: str) -> Any:
        given = {"BENCH_ANSWERS": str(self._folder / "answers")}
        return gunicorn(app, "tests/bench/bare_gunicorn.py", self._folder / "bare.log", _TOOL, **given)

    def _ceiling(self, service: Server, stack: ExitStack) -> Server:
        paths = [path for path, _ in CACHED.values()]
        record(service, paths, self._folder / "answers")
        return stack.enter_context(self._bare("tests.bench.bare:wsgi"))

    def _cached(self, figures: Figures, servers: dict[str, Server], seconds: int) -> None:
        for case, (path, is_304) in CACHED.items():
            self._say(f"{figures.count:,} tools: {case}")
            etag = servers[SERVICE].get(path).headers["ETag"]
            options = ("--header", f"If-None-Match: {etag}") if is_304 else ()
            figures.cached[case] = {name: [] for name in servers}
            for _round, (name, server) in itertools.product(range(ROUNDS), servers.items()):
                figures.cached[case][name].append(wrk(server, *options, seconds=seconds, path=path))

    def _uncached(self, figures: Figures, url: str) -> None:
        self._say(f"{figures.count:,} tools: not cached")
        with self._service(url, CACHE_MAX_SIZE="1") as service:
            cases = _uncached(figures.count)
            for asked in cases.values():
                milliseconds(service, asked, _WARMING)
            figures.uncached = {what: [] for what in cases}
            for _round, (what, asked) in itertools.product(range(ROUNDS), cases.items()):
                figures.uncached[what].append(milliseconds(service, asked, _REQUESTS))


def _uncached(count: int) -> dict[str, Iterator[tuple[str, str, str | None]]]:
    """Requests of which no two in a row are the same."""
    # A number that shares no factor with the counts goes through all tools in leaps.
    turns = range(_WARMING + ROUNDS * _REQUESTS)
    names = [f"/api/v1/tools/{name_of(turn * 37 % count)}" for turn in turns]
    filters = (
        f"/api/v1/tools?platform={platform}&limit=20" for platform in itertools.cycle(("linux", "macos"))
    )
    searches = (f"/api/v1/tools/search?q={quote(search_words(turn))}&limit=10" for turn in itertools.count())
    bodies = (
        json.dumps({"description": f"Change number {turn} of {os.getpid()}"}) for turn in itertools.count()
    )
    return {
        "one tool": (("GET", path, None) for path in names),
        "filtered list of 20": (("GET", path, None) for path in filters),
        "search": (("GET", path, None) for path in searches),
        "change of a tool": (("PUT", path, body) for path, body in zip(names, bodies, strict=False)),
    }
