"""The embedded PostgreSQL under `toolcatalog serve`: killed, full, broken; and what a start says of it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from tests.cluster import eventually
from tests.service.conftest import Service, command, environment, free_port, serving
from toolcatalog import embedded

DEFINITION = {"description": "counts", "platform": "linux", "category": "system"}


def postmaster(checkout: Path) -> int:
    return int((checkout / "var" / "postgres" / "postmaster.pid").read_text().split()[0])


def writes(service: Service, name: str) -> bool:
    """Create a tool; whether that was acknowledged."""
    try:
        body = {"tool_name": name, **DEFINITION}
        return requests.post(f"{service.url}/api/v1/tools", json=body, timeout=30).status_code == 201
    except requests.RequestException:
        return False


def started(checkout: Path) -> subprocess.CompletedProcess[str]:
    """Start the service; it must not come up."""
    return subprocess.run(
        command("serve"),
        env=environment(checkout, PORT=str(free_port())), cwd=checkout, capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip


@pytest.fixture
def stopped_checkout(own_checkout: Path) -> Path:
    """A checkout with a database, and without a running server."""
    with serving(own_checkout):
        pass
    return own_checkout


@pytest.mark.slow
@pytest.mark.unhurried
def test_a_killed_postgresql_comes_back_and_nothing_acknowledged_is_lost(own_checkout: Path) -> None:
    with serving(own_checkout) as service:
        acknowledged: list[str] = []
        over = threading.Event()

        def write() -> None:
            number = 0
            while not over.is_set():
                number += 1
                if writes(service, f"tool-{number}"):
                    acknowledged.append(f"tool-{number}")

        writer = threading.Thread(target=write)
        writer.start()
        for _ in range(3):
            before = len(acknowledged)
            eventually(lambda before=before: len(acknowledged) > before + 20, within_seconds=60)
            pid = postmaster(own_checkout)
            os.kill(pid, signal.SIGKILL)
            killed_at = len(acknowledged)
            took = eventually(lambda at=killed_at: len(acknowledged) > at + 20, within_seconds=60)
            print(f"writes again after {took:.1f} s")
            assert postmaster(own_checkout) != pid
        over.set()
        writer.join()
        for name in acknowledged:
            assert requests.get(f"{service.url}/api/v1/tools/{name}", timeout=30).status_code == 200
        said = service.said()
        assert said.count("The embedded PostgreSQL is gone; it is started again") == 3
        assert said.count("The embedded PostgreSQL is back") == 3
        assert "does not start" not in said


@pytest.fixture
def small_disk(own_checkout: Path) -> Iterator[Path]:
    """A disk of its own for the embedded PostgreSQL, with little room."""
    folder = own_checkout / "var"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(disk: Path) -> Path:
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            pass
    return ballast


@pytest.mark.slow
@pytest.mark.unhurried
def test_a_full_disk_is_named_and_postgresql_comes_back_when_there_is_room(small_disk: Path) -> None:
    checkout = small_disk.parent
    full = f"the disk of {small_disk / 'postgres'} is full. Make room on it."
    with serving(checkout) as service:
        assert writes(service, "before")
        ballast = fill(small_disk)
        os.kill(postmaster(checkout), signal.SIGKILL)
        eventually(lambda: service.said().count(full) >= 2, within_seconds=60)
        assert "Traceback" not in service.said()
        ballast.unlink()
        eventually(lambda: writes(service, f"after-{time.monotonic()}"), within_seconds=60)
        assert requests.get(f"{service.url}/api/v1/tools/before", timeout=30).status_code == 200
    ballast = fill(small_disk)
    refused = started(checkout)
    assert (refused.returncode, refused.stderr) == (
        3,
        f"toolcatalog: The embedded PostgreSQL does not start: {full}\n",
    )
    ballast.unlink()
    with serving(checkout):
        pass


@pytest.mark.slow
@pytest.mark.unhurried
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_corrupt_control_file_is_named(stopped_checkout: Path, damage: str) -> None:
    folder = stopped_checkout / "var" / "postgres"
    control = folder / "global" / "pg_control"
    content = control.read_bytes()
    if damage == "gone":
        control.unlink()
    else:
        control.write_bytes(content[:100] + b"\xff" * 8 + content[108:] if damage == "flipped" else b"")
    refused = started(stopped_checkout)
    assert (refused.returncode, refused.stderr) == (
        3,
        f"toolcatalog: The embedded PostgreSQL does not start: {control} is corrupt or gone. Move {folder} "
        "away and restore a backup (docs/backup-and-recovery.md).\n",
    )


@pytest.mark.slow
@pytest.mark.unhurried
def test_a_file_of_another_user_is_named(stopped_checkout: Path) -> None:
    folder = stopped_checkout / "var" / "postgres"
    os.chown(folder / "postgresql.conf", 0, 0)
    (folder / "postgresql.conf").chmod(0o600)
    refused = started(stopped_checkout)
    assert refused.returncode == 3
    assert refused.stderr == (
        f"toolcatalog: The embedded PostgreSQL does not start: {folder.owner()} may not use "
        f"{folder}/postgresql.conf in {folder}. Give it to {folder.owner()}.\n"
    )


@pytest.mark.slow
@pytest.mark.unhurried
def test_a_folder_that_others_may_enter_is_closed_to_them_before_the_start(stopped_checkout: Path) -> None:
    """PostgreSQL does not start with it; a copy, or a `chmod -R`, may have given it."""
    folder = stopped_checkout / "var" / "postgres"
    folder.chmod(0o755)
    with serving(stopped_checkout) as service:
        assert f"{folder} had the mode 0755" in service.said()
    assert oct(folder.stat().st_mode & 0o777) == "0o700"


def _is_running(folder: Path) -> bool:
    return (folder / "postmaster.pid").exists()


@pytest.mark.slow
@pytest.mark.unhurried
def test_a_start_waits_for_a_server_that_is_still_stopping(stopped_checkout: Path) -> None:
    folder = stopped_checkout / "var" / "postgres"
    with embedded.server(folder):
        pid = postmaster(stopped_checkout)
        checkpointer = next(
            child for child in psutil.Process(pid).children() if "checkpointer" in " ".join(child.cmdline())
        )
        checkpointer.suspend()  # which writes the last of a stop
        os.kill(pid, signal.SIGINT)
        eventually(lambda: "stopping" in (folder / "postmaster.pid").read_text())
        timer = threading.Timer(5, checkpointer.resume)
        timer.start()
        with serving(stopped_checkout):
            assert postmaster(stopped_checkout) != pid
            assert not timer.is_alive()
        timer.join()
        assert _is_running(folder)
    assert not _is_running(folder)  # who held it last has stopped it, although another one had started it


@pytest.mark.slow
@pytest.mark.unhurried
def test_a_pid_file_that_names_another_process_by_now_is_no_server(stopped_checkout: Path) -> None:
    """As after the restart of a container, where numbers begin anew."""
    folder = stopped_checkout / "var" / "postgres"
    lines = [str(os.getpid()), str(folder), "1700000000", "5432", str(folder), "", "0 0", "ready"]
    for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
        (folder / name).write_text("\n".join(lines) + "\n")
    with serving(stopped_checkout) as service:
        assert writes(service, "anew")
