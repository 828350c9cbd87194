"""Measures the service on this machine: `make bench`. Compare figures of one run only; machines are noisy.

Each answer is asked for in-process, without a network, and set against a Flask view that returns the same
bytes: what is above 1 is the catalog's own work.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from flask import Flask, Response
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from tests.conftest import empty, tool
from toolcatalog import embedded, settings, upgrade
from toolcatalog.api import context
from toolcatalog.app import create_app
from toolcatalog.core.definition import from_document
from toolcatalog.services import imports
from toolcatalog.services.changes import Actor, Journal
from toolcatalog.settings import PROJECT_ROOT
from toolcatalog.sources.definitions import Item

TURNS = 200
READS = {
    "one tool": "/api/v1/tools/tool 00001",
    "list of 200": "/api/v1/tools?limit=200",
    "list of 200, summary": "/api/v1/tools?limit=200&view=summary",
    "filtered list of 20": "/api/v1/tools?platform=macos&limit=20",
    "search": "/api/v1/tools/search?q=where does an error message come from&limit=10",
    "search with a typo": "/api/v1/tools/search?q=mesage number00007&limit=10",
}


def milliseconds(act: Callable[[], Any], turns: int = TURNS) -> tuple[float, float]:
    """The median and the 95th percentile of how long something takes."""
    taken = []
    for _ in range(turns):
        begun = time.perf_counter()
        act()
        taken.append((time.perf_counter() - begun) * 1000)
    return statistics.median(taken), statistics.quantiles(taken, n=20)[-1]


def fill(app: Flask, count: int) -> float:
    """Put so many tools in; returns the seconds that it took."""
    database = context.of(app).database
    empty(context.of(app))
    client = app.test_client()
    platforms = ("linux", "macos", "windows", "network")
    documents = (
        tool(f"tool {number:05}", platform=platforms[number % 4], description=f"Tool number{number:05}")
        for number in range(count)
    )
    begun = time.perf_counter()
    with database.write() as session:
        journal = Journal(session, Actor("bench"))
        items = (Item(from_document(document)) for document in documents)
        assert sum(1 for _ in imports.take_in(journal, items)) == count
        journal.close()
    assert client.get("/api/v1/tools?limit=1").headers["X-Total-Count"] == str(count)
    return time.perf_counter() - begun


def bare(body: bytes) -> Flask:
    """A Flask application that does nothing but return these bytes."""
    app = Flask("bare")
    app.add_url_rule("/", "view", lambda: Response(body, mimetype="application/json"))
    return app


def measure(app: Flask, count: int) -> None:
    print(f"\n{count} tools, imported in {fill(app, count):.1f} s")  # noqa: T201
    print(f"{'':24}{'median ms':>10}{'p95 ms':>10}{'bare Flask = 1':>16}")  # noqa: T201
    client = app.test_client()
    for name, path in READS.items():
        body = client.get(path).data
        plain = bare(body).test_client()
        ceiling, _ = milliseconds(lambda plain=plain: plain.get("/"))  # type: ignore[misc]
        show(name, *milliseconds(lambda path=path: client.get(path)), ceiling)  # type: ignore[misc]
    turn = iter(range(10**9))
    target = "/api/v1/tools/tool 00002"
    show("change of a tool", *milliseconds(lambda: client.put(target, json={"description": str(next(turn))})))


def show(name: str, median: float, p95: float, ceiling: float | None = None) -> None:
    ratio = f"{median / ceiling:16.1f}" if ceiling else ""
    print(f"{name:24}{median:10.2f}{p95:10.2f}{ratio}")  # noqa: T201


def main() -> None:
    """Measure with few tools and with many, in a database of its own."""
    with embedded.server(PROJECT_ROOT / "var" / "bench" / "postgres", "bench") as url:
        engine = create_engine(make_url(url).set(database="postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text("DROP DATABASE bench WITH (FORCE)"))
            connection.execute(text("CREATE DATABASE bench"))
        engine.dispose()
        upgrade.to_head(url)
        app = create_app(settings.load({"DATABASE_URL": url, "LOG_LEVEL": "ERROR"}))
        for count in (200, 10_000):
            measure(app, count)
        context.of(app).database.engine.dispose()


if __name__ == "__main__":
    main()
