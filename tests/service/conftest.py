"""The service as users run it: `toolcatalog serve` from a checkout, gunicorn, embedded PostgreSQL."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import requests

from toolcatalog.settings import PROJECT_ROOT

_LEFT_OUT = shutil.ignore_patterns(
    "var", ".venv", ".git", ".*_cache", ".hypothesis", "__pycache__", ".coverage*"
)


@dataclass(frozen=True)
class Service:
    """A running service: where it answers, its checkout, its process, and what it has said so far."""

    url: str
    folder: Path
    process: subprocess.Popen[bytes]
    output: Path

    def said(self) -> str:
        return self.output.read_text()


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, with a `var/` of its own."""
    return copied(tmp_path_factory.mktemp("checkout"))


@pytest.fixture
def own_checkout(tmp_path: Path) -> Path:
    """A copy of the project for one test alone."""
    return copied(tmp_path)


def copied(into: Path) -> Path:
    folder = into / "toolcatalog"
    shutil.copytree(PROJECT_ROOT, folder, ignore=_LEFT_OUT)
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(checkout: Path, **settings: str) -> dict[str, str]:
    """An environment in which the package of a checkout is the one that is imported."""
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "TOOLS_DIR")}
    return {**kept, "PYTHONPATH": str(checkout), **settings}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "toolcatalog.cli", *arguments]


def start(checkout: Path, **settings: str) -> Service:
    """Run the service until it says what to try."""
    port = settings.setdefault("PORT", str(free_port()))
    output = checkout / f"output-{port}.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(
            command("serve"),
            env=environment(checkout, **settings),
            cwd=checkout,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    service = Service(f"http://127.0.0.1:{port}", checkout, process, output)
    deadline = time.monotonic() + 60
    while "Stop " not in service.said():
        assert process.poll() is None, service.said()
        assert time.monotonic() < deadline, service.said()
        time.sleep(0.05)
    return service


def terminate(pid: int) -> None:
    os.kill(pid, signal.SIGTERM)


@contextmanager
def serving(checkout: Path, end: Callable[[int], None] = terminate, **settings: str) -> Iterator[Service]:
    """Run the service until the block ends; it has to stop by itself then, and leave no process behind."""
    service = start(checkout, **settings)
    family = psutil.Process(service.process.pid).children(recursive=True)
    try:
        yield service
    finally:
        end(service.process.pid)
        assert service.process.wait(timeout=40) == 0, service.said()
        assert psutil.wait_procs(family, timeout=10)[1] == []


@pytest.fixture(scope="session")
def service(checkout: Path) -> Iterator[Service]:
    """A running service with the catalog that ships."""
    with serving(checkout) as running:
        yield running


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        yield opened
