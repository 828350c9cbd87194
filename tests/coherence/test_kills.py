"""Every process killed under load: nothing acknowledged is lost, and the port is served again soon."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.cluster import Client, Host, Postgres, eventually, kill, running_host
from tests.conftest import tool
from tests.loads import Askers, asking
from tests.service.conftest import environment, free_port
from toolcatalog.settings import PROJECT_ROOT

TOOLS = "/api/v1/tools"


class Writer(threading.Thread):
    """Adds tools, one after the other, and keeps the names of those that were acknowledged."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port
        self.ended = threading.Event()
        self.acknowledged: list[str] = []

    def run(self) -> None:
        client, number = Client(self._port), 0
        while not self.ended.is_set():
            number += 1
            try:
                if client.call("POST", TOOLS, tool(f"tool-{number}")).status == 201:
                    self.acknowledged.append(f"tool-{number}")
            except OSError:
                client.close()
                client = Client(self._port)
                time.sleep(0.01)
        client.close()


@contextmanager
def writing(port: int) -> Iterator[Writer]:
    writer = Writer(port)
    writer.start()
    try:
        yield writer
    finally:
        writer.ended.set()
        writer.join()


def names(host: Host) -> set[str]:
    return {each["tool_name"] for each in host.client().get(f"{TOOLS}?fields=tool_name").json}


@pytest.mark.slow
def test_a_killed_master_frees_its_port_and_loses_nothing(
    postgres: Postgres, tools_dir: Path, tmp_path: Path
) -> None:
    port = free_port()
    given = {"PORT": str(port), "DATABASE_URL": postgres.url, "TOOLS_DIR": str(tools_dir), "WORKERS": "2"}
    master = subprocess.Popen(
        [Path(sys.executable).with_name("gunicorn"), "--config", "deploy/gunicorn.conf.py", "wsgi:app"],
        env=environment(PROJECT_ROOT, **given), cwd=PROJECT_ROOT,
    )  # fmt: skip
    first = Host(port, master, tmp_path / "none", tools_dir, postgres.url)
    eventually(lambda: _answers(port) and len(first.workers()) == 2, within_seconds=60)
    orphans = [psutil.Process(pid) for pid in first.workers()]
    readers = Askers(first, 8, lambda number: f"{TOOLS}/tool-{number % 10 + 1}")
    with asking(readers), writing(port) as writer:
        eventually(lambda: len(writer.acknowledged) > 20)
        master.kill()
        master.wait()
        begun = time.monotonic()
        with running_host(postgres.url, tools_dir, tmp_path / "second.txt", PORT=str(port)) as second:
            took = time.monotonic() - begun
            before = len(writer.acknowledged)
            eventually(lambda: len(writer.acknowledged) > before + 20)
            assert psutil.wait_procs(orphans, timeout=10)[1] == []
            writer.ended.set()
            writer.join()
            readers.stop()
            assert set(writer.acknowledged) <= names(second)
            print(f"served {took:.1f} s after the master was killed; {len(writer.acknowledged)} writes kept")
    assert took < 5


@pytest.mark.slow
def test_killed_workers_lose_nothing(postgres: Postgres, tools_dir: Path, tmp_path: Path) -> None:
    with running_host(postgres.url, tools_dir, tmp_path / "host.txt") as host, writing(host.port) as writer:
        for _ in range(6):
            before = len(writer.acknowledged)
            eventually(lambda before=before: len(writer.acknowledged) > before + 10)
            for victim in host.workers():
                kill(victim)
            begun = time.monotonic()
            eventually(lambda: _answers(host.port), within_seconds=5)
            print(f"answers {time.monotonic() - begun:.1f} s after all workers were killed")
        writer.ended.set()
        writer.join()
        eventually(lambda: len(host.workers()) == 2)
        assert set(writer.acknowledged) <= names(host)


def _answers(port: int) -> bool:
    client = Client(port)
    try:
        return client.get("/health").status == 200
    except OSError:
        return False
    finally:
        client.close()
