"""A backup is restored under running services: what their caches held never was, and is not shown."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from tests.cluster import Client, Host, eventually
from tests.coherence.conftest import StartHost
from tests.conftest import tool
from tests.service.conftest import command, environment
from toolcatalog.settings import PROJECT_ROOT

TOOLS = "/api/v1/tools"


def cli(host: Host, *arguments: str) -> None:
    given = environment(PROJECT_ROOT, DATABASE_URL=host.database_url)
    subprocess.run(command(*arguments), cwd=host.tools_dir, env=given, check=True, capture_output=True)


def descriptions(client: Client) -> dict[str, str]:
    return {one["tool_name"]: one["description"] for one in client.get(TOOLS).json}


def described(client: Client, name: str) -> str:
    return str(client.get(f"{TOOLS}/{name}").json["description"])


def changed(client: Client, count: int, said: str) -> None:
    for number in range(count):
        assert client.call("PATCH", f"{TOOLS}/a", {"description": f"{said} {number}"}).status == 200


def test_every_worker_of_every_host_shows_what_was_restored(start_host: StartHost, tmp_path: Path) -> None:
    hosts = [start_host(WORKERS="2", HOT_RELOAD="off") for _ in range(2)]
    client = hosts[0].client()
    client.call("POST", TOOLS, tool("a", description="backed up"))
    cli(hosts[0], "backup", str(tmp_path / "b.dump"))
    changed(client, 3, "later")
    clients = [each for host in hosts for each in host.clients_of_all_workers()]
    for each in clients:
        eventually(lambda each=each: descriptions(each) == {"a": "later 2"})
    cli(hosts[0], "restore", "--replace", str(tmp_path / "b.dump"))
    for each in clients:
        eventually(lambda each=each: descriptions(each) == {"a": "backed up"}, within_seconds=3)
    changed(client, 1, "after")
    for each in clients:
        eventually(lambda each=each: descriptions(each) == {"a": "after 0"}, within_seconds=3)
        assert each.get(f"{TOOLS}/a/history").json[0]["revision"] == 2


def test_a_worker_that_slept_does_not_take_the_restored_catalog_for_the_one_it_knew(
    start_host: StartHost, tmp_path: Path
) -> None:
    """The revision has gone past the one it knew, so that only the count of drops tells."""
    asleep, awake = (start_host(WORKERS="1", HOT_RELOAD="off") for _ in range(2))
    client = awake.client()
    for name in "ab":
        client.call("POST", TOOLS, tool(name, description="backed up"))
    cli(awake, "backup", str(tmp_path / "b.dump"))
    client.call("PATCH", f"{TOOLS}/b", {"description": "never was"})
    sleeper = asleep.client()
    eventually(lambda: described(sleeper, "b") == "never was")
    (worker,) = asleep.workers()
    time.sleep(2)  # then it has warmed its cache, and sleeps without a lock that the restore would wait for
    os.kill(worker, signal.SIGSTOP)
    try:
        cli(awake, "restore", "--replace", str(tmp_path / "b.dump"))
        eventually(lambda: described(client, "b") == "backed up")
        changed(client, 5, "after")
    finally:
        os.kill(worker, signal.SIGCONT)
    # Not the list, for which each tool would be compared with the database.
    eventually(lambda: described(sleeper, "a") == "after 4", within_seconds=5)
    assert described(sleeper, "b") == "backed up"
