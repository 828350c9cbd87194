"""A PostgreSQL that may be stopped, and hosts over it, for tests of what must hold whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from tests.cluster import Host, Postgres, empty_catalog, eventually, running_host, running_postgres


class StartHost(Protocol):
    def __call__(self, **settings: str) -> Host: ...


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    with running_postgres() as postgres:
        yield postgres


@pytest.fixture
def postgres(server: Postgres) -> Iterator[Postgres]:
    with empty_catalog(server) as postgres:
        yield postgres


@pytest.fixture
def tools_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "tools"
    folder.mkdir()
    return folder


@pytest.fixture
def start_host(postgres: Postgres, tools_dir: Path, tmp_path: Path) -> Iterator[StartHost]:
    """Starts masters, which have loaded the folder, if they are to, and end with the test."""
    with ExitStack() as stack:
        count = 0

        def start(**settings: str) -> Host:
            nonlocal count
            count += 1
            output = tmp_path / f"host{count}.txt"
            host = stack.enter_context(running_host(postgres.url, tools_dir, output, **settings))
            status = host.client()
            if settings.get("HOT_RELOAD") != "off":
                eventually(lambda: status.get("/api/v1/tools/reload/status").json["last_reload"])
            return host

        yield start
