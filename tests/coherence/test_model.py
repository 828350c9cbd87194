"""Writes, reads, file changes, evictions and expiries in any order, held against a model of the catalog.

Two applications stand for two workers of a host: each has its cache, and they share what is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from flask import Flask
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.conftest import empty, tool
from toolcatalog import settings as app_settings
from toolcatalog.api import context
from toolcatalog.app import _reload, create_app
from toolcatalog.cache.store import Answer

TOOLS = "/api/v1/tools"
WORKERS = st.integers(0, 1)
NAMES = st.sampled_from(["a", "b", "c", "d", "e"])
FILES = st.sampled_from(["f", "g"])
PLATFORMS = ("linux", "windows")
TEXTS = st.integers(0, 5).map(str)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Workers(RuleBasedStateMachine):
    """What is listed, by name: the platform and the description."""

    apps: ClassVar[list[Flask]]
    clock: ClassVar[Clock]
    folder: ClassVar[Path]

    @initialize()
    def begin(self) -> None:
        empty(context.of(self.apps[0]))
        for path in self.folder.iterdir():
            path.unlink()
        self.listed: dict[str, tuple[str, str]] = {}
        self.known: dict[str, tuple[str, str]] = {}
        self.files: dict[str, tuple[str, str]] = {}

    def call(self, worker: int, method: str, path: str, body: Any = None) -> Any:
        return self.apps[worker].test_client().open(f"{TOOLS}{path}", method=method, json=body)

    @rule(worker=WORKERS, name=NAMES, platform=st.sampled_from(PLATFORMS), text=TEXTS)
    def write(self, worker: int, name: str, platform: str, text: str) -> None:
        fields = {"platform": platform, "description": text}
        if name in self.listed:
            assert self.call(worker, "PATCH", f"/{name}", fields).status_code == 200
        elif name in self.known:
            assert self.call(worker, "POST", f"/{name}/restore").status_code == 200
            assert self.call(worker, "PUT", f"/{name}", fields).status_code == 200
        else:
            assert self.call(worker, "POST", "", tool(name, **fields)).status_code == 201
        self.listed[name] = self.known[name] = (platform, text)

    @rule(worker=WORKERS, name=NAMES)
    def retire(self, worker: int, name: str) -> None:
        status = self.call(worker, "DELETE", f"/{name}").status_code
        assert status == (204 if name in self.listed else 404)
        self.listed.pop(name, None)

    @rule(worker=WORKERS, name=FILES, platform=st.sampled_from(PLATFORMS), text=TEXTS)
    def save_file(self, worker: int, name: str, platform: str, text: str) -> None:
        (self.folder / f"{name}.yaml").write_text(
            yaml.safe_dump(tool(name, platform=platform, description=text))
        )
        _reload(self.apps[worker], "file")
        self.listed[name] = (platform, text)

    @rule(worker=WORKERS, name=FILES)
    def remove_file(self, worker: int, name: str) -> None:
        (self.folder / f"{name}.yaml").unlink(missing_ok=True)
        _reload(self.apps[worker], "file")
        self.listed.pop(name, None)

    @rule(worker=WORKERS, name=NAMES | FILES)
    def read(self, worker: int, name: str) -> None:
        self.check_tool(self.call(worker, "GET", f"/{name}"), self.listed.get(name))

    @rule(
        worker=WORKERS,
        platform=st.sampled_from((None, *PLATFORMS)),
        view=st.sampled_from(["", "&view=summary"]),
    )
    def list(self, worker: int, platform: str | None, view: str) -> None:
        filtered = f"platform={platform}" if platform else "limit=100"
        answer = self.call(worker, "GET", f"?{filtered}{view}")
        found = {one["tool_name"]: (one["platform"], one["description"]) for one in answer.json}
        assert found == {n: t for n, t in self.listed.items() if platform in (None, t[0])}
        assert answer.headers["X-Total-Count"] == str(len(found))

    @rule(worker=WORKERS, text=TEXTS)
    def search(self, worker: int, text: str) -> None:
        answer = self.call(worker, "GET", f"/search?q={text}&limit=100")
        assert {one["tool_name"] for one in answer.json} == {
            n for n, t in self.listed.items() if t[1] == text
        }

    @rule(worker=WORKERS, name=NAMES, platform=st.sampled_from(PLATFORMS), text=TEXTS)
    def read_while_it_is_written(self, worker: int, name: str, platform: str, text: str) -> None:
        """Another worker writes between the query of a reader and what it puts into its cache."""
        before = self.listed.get(name)
        if before is None:
            return
        with interrupted(self.apps[worker], lambda: self.write_elsewhere(worker, name, platform, text)):
            answer = self.call(worker, "GET", f"/{name}")
        found = (answer.json["platform"], answer.json["description"])
        assert found in (before, self.listed[name])
        self.read(worker, name)

    @rule(worker=WORKERS, name=NAMES, platform=st.sampled_from(PLATFORMS), text=TEXTS)
    def list_while_it_is_written(self, worker: int, name: str, platform: str, text: str) -> None:
        with interrupted(self.apps[worker], lambda: self.write_elsewhere(worker, name, platform, text)):
            assert self.call(worker, "GET", f"?platform={platform}").status_code == 200
        self.list(worker, platform, "")

    def write_elsewhere(self, worker: int, name: str, platform: str, text: str) -> None:
        """Write through the other worker, and have another thread of this one hear of it first."""
        self.write(1 - worker, name, platform, text)
        assert context.of(self.apps[worker]).coherence.keep_up()

    @rule(seconds=st.sampled_from([1.0, 30.0, 100.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(worker=WORKERS)
    def drop(self, worker: int) -> None:
        context.of(self.apps[worker]).cache.drop_all()

    def check_tool(self, answer: Any, wanted: tuple[str, str] | None) -> None:
        if wanted is None:
            assert answer.status_code == 404
        else:
            assert (answer.json["platform"], answer.json["description"]) == wanted


class interrupted:  # noqa: N801 - a context manager
    """Have something done once, between an answer's query and its way into the cache."""

    def __init__(self, app: Flask, work: Callable[[], None]) -> None:
        self._cache = context.of(app).cache
        self._work: Callable[[], None] | None = work

    def __enter__(self) -> None:
        put = self._cache.put

        def interrupted_put(answer: Answer) -> None:
            work, self._work = self._work, None
            if work is not None:
                work()
            put(answer)

        self._cache.put = interrupted_put

    def __exit__(self, *_: object) -> None:
        del self._cache.put


@pytest.fixture
def workers(database_url: str, tmp_path: Path) -> Iterator[type[Workers]]:
    given = {
        "DATABASE_URL": database_url, "TOOLS_DIR": str(tmp_path), "CACHE_MAX_SIZE": "3",
        "CACHE_TTL_SECONDS": "60", "LOG_LEVEL": "ERROR",
    }  # fmt: skip
    Workers.apps = [create_app(app_settings.load(given)) for _ in range(2)]
    Workers.clock = Clock()
    Workers.folder = tmp_path
    first, second = (context.of(app) for app in Workers.apps)
    second.coherence._shared = first.coherence._shared
    for parts in (first, second):
        parts.cache._clock = Workers.clock
    yield Workers
    for parts in (first, second):
        parts.database.engine.dispose()


def check(workers: type[Workers], examples: int, steps: int) -> None:
    run_state_machine_as_test(
        workers,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_cache_shows_what_the_catalog_holds(workers: type[Workers]) -> None:
    check(workers, examples=15, steps=30)


@pytest.mark.slow
@pytest.mark.unhurried
def test_the_cache_shows_what_the_catalog_holds_in_ten_thousand_steps(workers: type[Workers]) -> None:
    check(workers, examples=200, steps=50)
