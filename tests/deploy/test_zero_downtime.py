"""Nothing fails while workers, masters and versions come and go, under 200 requests a second."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.cluster import Host, Postgres, eventually, kill, running_host
from tests.coherence.conftest import StartHost
from tests.deploy.load import Load, load
from tests.service.conftest import copied

# Fewer requests than these would be no load.
ENOUGH = 300


def check(made: Load, host: Host, *, lost_at_most: int = 0) -> None:
    """All was answered, and what was acknowledged is there."""
    print(f"{made.answered} answered, {len(made.failures)} failed, slowest {made.slowest_seconds:.3f} s")
    assert made.answered > ENOUGH
    assert len(made.failures) <= lost_at_most, made.failures
    client = host.client()
    for name, description in dict(made.acknowledgements).items():
        found = int(client.get(f"/api/v1/tools/{name}").json["description"])
        assert found >= int(description)


def test_hup_replaces_the_workers(start_host: StartHost) -> None:
    host = start_host(WORKERS="2", HOT_RELOAD="off")
    before = host.workers()
    with load(host.port) as made:
        for _ in range(2):
            time.sleep(1)
            host.process.send_signal(signal.SIGHUP)
            old = host.workers()
            eventually(lambda old=old: len(host.workers()) == 2 and not set(old) & set(host.workers()))
        eventually(lambda: made.answered > ENOUGH, 60)
    assert not set(before) & set(host.workers())
    check(made, host)


def test_workers_that_have_answered_enough_are_replaced(start_host: StartHost, tmp_path: Path) -> None:
    host = start_host(
        WORKERS="2", HOT_RELOAD="off", GUNICORN_CMD_ARGS="--max-requests 200 --max-requests-jitter 50"
    )
    before = host.workers()
    with load(host.port) as made:
        eventually(lambda: len(host.workers()) == 2 and not set(before) & set(host.workers()), 30)
        eventually(lambda: made.answered > ENOUGH, 60)
    check(made, host)


def test_a_killed_worker_takes_only_its_own_requests_with_it(start_host: StartHost) -> None:
    host = start_host(WORKERS="2", THREADS="4", HOT_RELOAD="off")
    with load(host.port) as made:
        for _ in range(3):
            time.sleep(1)
            victim = host.workers()[0]
            kill(victim)
            eventually(lambda victim=victim: len(host.workers()) == 2 and victim not in host.workers())
        eventually(lambda: made.answered > ENOUGH, 60)
    # At most what its threads were answering, and what it had taken from the listening socket: one each.
    check(made, host, lost_at_most=3 * 2 * 4)


def test_waiting_for_changes_does_not_hold_up_a_restart(start_host: StartHost) -> None:
    host = start_host(WORKERS="1", HOT_RELOAD="off")
    client, (worker,) = host.client(), host.workers()
    revision = client.get("/api/v1/changes").json["revision"]
    begun = time.monotonic()
    with subprocess.Popen(
        ["curl", "-s", f"http://127.0.0.1:{host.port}/api/v1/changes?since={revision}&wait=30"],
        stdout=subprocess.PIPE,
    ) as waiting:  # fmt: skip
        eventually(lambda: _connections(worker) >= 2)
        host.process.send_signal(signal.SIGHUP)
        answer = waiting.communicate(timeout=25)[0]
    assert answer.startswith(b'{"changes":[]')
    assert time.monotonic() - begun < 20


def _connections(pid: int) -> int:
    return sum(one.status == "ESTABLISHED" for one in psutil.Process(pid).net_connections("tcp"))


@pytest.mark.slow
def test_the_next_version_takes_over_the_listening_socket(
    postgres: Postgres, tools_dir: Path, tmp_path: Path
) -> None:
    """As the deployment guide says: `current` leads to the next version, then USR2, then TERM to the old."""
    releases = {}
    for version in ("1.0", "1.1"):
        releases[version] = copied(tmp_path / version)
        package = releases[version] / "toolcatalog" / "__init__.py"
        package.write_text(f'"""A release."""\n\n__version__ = "{version}"\n')
    current = tmp_path / "current"
    current.symlink_to(releases["1.0"])
    output = tmp_path / "output.txt"
    with running_host(postgres.url, tools_dir, output, current, HOT_RELOAD="off") as host:
        _upgrade(host, current, releases["1.1"])


def _upgrade(host: Host, current: Path, release: Path) -> None:
    eventually(lambda: len(host.workers()) == 2)
    old = set(host.workers())
    with load(host.port) as made:
        eventually(lambda: made.versions == {"1.0"})
        following = current.with_name("next")
        following.symlink_to(release)
        following.rename(current)
        host.process.send_signal(signal.SIGUSR2)
        eventually(lambda: set(host.workers()) - old)
        (new,) = (psutil.Process(pid) for pid in set(host.workers()) - old)
        try:
            eventually(lambda: "1.1" in made.versions, 30)
            host.process.send_signal(signal.SIGTERM)
            assert host.process.wait(timeout=40) == 0
            made.versions.clear()
            eventually(lambda: made.versions == {"1.1"})
            eventually(lambda: made.answered > ENOUGH, 60)
        except BaseException:
            new.terminate()
            raise
    check(made, host)
    new.terminate()
    new.wait(timeout=40)
