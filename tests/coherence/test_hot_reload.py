"""Files that reload themselves: however they are saved, whoever dies meanwhile, whatever is wrong in one."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import Client, Host, Postgres, eventually, kill, percentile
from tests.coherence.conftest import StartHost
from tests.conftest import tool

TOOLS = "/api/v1/tools"


def written(path: Path, *documents: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump_all(documents))
    return path


def described(name: str, description: object) -> dict[str, Any]:
    return tool(name, description=str(description))


def descriptions(client: Client, name: str = "grep") -> str | None:
    answer = client.get(f"{TOOLS}/{name}")
    return answer.json["description"] if answer.status == 200 else None


def in_place(folder: Path, description: str) -> None:
    written(folder / "grep.yaml", described("grep", description))


def rename_over(folder: Path, description: str) -> None:
    written(folder / ".grep.yaml.swp", described("grep", description)).rename(folder / "grep.yaml")


def delete_and_create(folder: Path, description: str) -> None:
    (folder / "grep.yaml").unlink(missing_ok=True)
    written(folder / "grep.yaml", described("grep", description))


def kubernetes_swap(folder: Path, description: str) -> None:
    """As a ConfigMap is updated: files are links into `..data`, which is a link that is swapped."""
    version = folder / f"..{time.time_ns()}"
    version.mkdir()
    written(version / "grep.yaml", described("grep", description))
    (folder / "..data_tmp").symlink_to(version.name)
    old = folder / "..data"
    previous = old.readlink() if old.is_symlink() else None
    (folder / "..data_tmp").rename(old)
    if not (folder / "grep.yaml").is_symlink():
        (folder / "grep.yaml").unlink(missing_ok=True)
        (folder / "grep.yaml").symlink_to("..data/grep.yaml")
    if previous is not None:
        shutil.rmtree(folder / previous)


WAYS = [in_place, rename_over, delete_and_create, kubernetes_swap]


def history(client: Client) -> list[dict[str, Any]]:
    return client.get(f"{TOOLS}/reload/history?limit=1000").json


def save_times(host: Host, save: Callable[[Path, str], None], count: int) -> list[float]:
    """Save a file so often, and measure how long it takes until every worker shows it."""
    clients = host.clients_of_all_workers()
    took = []
    for number in range(count):
        wanted = f"{save.__name__} {number}"
        begun = time.monotonic()
        save(host.tools_dir, wanted)
        for client in clients:
            eventually(lambda client=client, wanted=wanted: descriptions(client) == wanted)
        took.append(time.monotonic() - begun)
    return took


@pytest.mark.parametrize("save", WAYS, ids=lambda save: save.__name__)
def test_a_saved_file_is_seen_through_every_worker(
    start_host: StartHost, tools_dir: Path, save: Callable[[Path, str], None]
) -> None:
    in_place(tools_dir, "at first")
    save_times(start_host(WORKERS="2"), save, 3)


@pytest.mark.slow
def test_a_saved_file_is_seen_in_half_a_second(start_host: StartHost, tools_dir: Path) -> None:
    in_place(tools_dir, "at first")
    host = start_host(WORKERS="4")
    slowest = {}
    for save in WAYS:
        took = save_times(host, save, 100)
        slowest[save.__name__] = percentile(took, 0.99)
        print(f"{save.__name__}: p50 {percentile(took, 0.5):.3f} s, p99 {slowest[save.__name__]:.3f} s")
    assert max(slowest.values()) < 0.5


def test_many_files_at_once_are_one_reload(start_host: StartHost, tools_dir: Path, tmp_path: Path) -> None:
    host = start_host(WORKERS="2")
    client = host.client()
    ready = tmp_path / "ready"
    ready.mkdir()
    for number in range(300):
        written(ready / f"{number}.yaml", described(f"tool-{number}", number))
    before = len(history(client))
    begun = time.monotonic()
    for path in ready.iterdir():
        path.rename(tools_dir / path.name)
    eventually(lambda: client.get(f"{TOOLS}?view=summary&limit=1").headers["X-Total-Count"] == "300")
    print(f"300 files seen after {time.monotonic() - begun:.3f} s")
    time.sleep(0.5)
    reloads = history(client)[: -before or None]
    assert [(one["trigger"], one["created"]) for one in reloads] == [("file", 300)]


def test_a_vanished_file_retires_its_tools_and_one_that_comes_back_restores_them(
    start_host: StartHost, tools_dir: Path
) -> None:
    path = written(tools_dir / "two.yaml", described("a", 1), described("b", 1))
    client = start_host(WORKERS="1").client()
    assert descriptions(client, "a") == "1"
    written(path, described("b", 2))
    eventually(lambda: client.get(f"{TOOLS}/a").status == 404)
    eventually(lambda: descriptions(client, "b") == "2")
    path.unlink()
    eventually(lambda: client.get(f"{TOOLS}/b").status == 404)
    assert "a restore brings it back" in client.get(f"{TOOLS}/b").json["detail"]
    written(path, described("a", 3), described("b", 3))
    eventually(lambda: (descriptions(client, "a"), descriptions(client, "b")) == ("3", "3"))
    assert [one["action"] for one in client.get(f"{TOOLS}/b/history").json] == [
        "updated", "restored", "retired", "updated", "created",
    ]  # fmt: skip


def test_a_broken_file_keeps_its_tool_and_says_what_is_wrong_until_it_is_mended(
    start_host: StartHost, tools_dir: Path
) -> None:
    bad = written(tools_dir / "bad.yaml", described("bad", "good once"))
    client = start_host(WORKERS="2").client()
    failed = client.get(f"{TOOLS}/reload/statistics").json["failed"]
    bad.write_text(yaml.safe_dump(described("bad", "now")).replace("enabled: true", "enabled: perhaps"))
    written(tools_dir / "fine.yaml", described("fine", "new"))
    eventually(lambda: descriptions(client, "fine") == "new")
    assert descriptions(client, "bad") == "good once"
    status = client.get(f"{TOOLS}/reload/status").json
    line = bad.read_text().splitlines().index("enabled: perhaps") + 1
    assert status["last_reload"]["result"] == "partial"
    [error] = status["errors"]
    assert (error["file"], error["line"], error["path"]) == (str(bad), line, "enabled")
    assert client.get(f"{TOOLS}/reload/statistics").json["failed"] == failed + 1
    written(bad, described("bad", "mended"))
    eventually(lambda: descriptions(client, "bad") == "mended")
    status = client.get(f"{TOOLS}/reload/status").json
    assert (status["errors"], status["last_reload"]["result"]) == ([], "success")


def test_half_of_the_files_do_not_vanish_at_a_wish(start_host: StartHost, tools_dir: Path) -> None:
    for number in range(40):
        written(tools_dir / f"{number}.yaml", described(f"tool-{number}", number))
    client = start_host(WORKERS="1").client()

    def count() -> str:
        return client.get(f"{TOOLS}?view=summary&limit=1").headers["X-Total-Count"]

    assert count() == "40"
    for number in range(20):
        (tools_dir / f"{number}.yaml").unlink()
    eventually(lambda: client.get(f"{TOOLS}/reload/status").json["errors"])
    [error] = client.get(f"{TOOLS}/reload/status").json["errors"]
    assert error["message"].startswith("20 of 40 files vanished at once")
    assert count() == "40"
    accepted = client.call("POST", f"{TOOLS}/reload?accept_removals=true")
    assert (accepted.json["result"], accepted.json["retired"]) == ("success", 20)
    assert count() == "20"


def test_a_lost_folder_changes_nothing(start_host: StartHost, tools_dir: Path, tmp_path: Path) -> None:
    in_place(tools_dir, "kept")
    client = start_host(WORKERS="1").client()
    assert descriptions(client) == "kept"
    tools_dir.rename(tmp_path / "elsewhere")
    eventually(lambda: client.get(f"{TOOLS}/reload/status").json["errors"])
    assert descriptions(client) == "kept"
    tools_dir.mkdir()
    in_place(tools_dir, "back")
    eventually(lambda: descriptions(client) == "back")
    in_place(tools_dir, "and watched")
    eventually(lambda: descriptions(client) == "and watched")


def test_what_was_changed_over_http_stays_until_the_file_changes(
    start_host: StartHost, tools_dir: Path
) -> None:
    in_place(tools_dir, "of the file")
    client = start_host(WORKERS="2").client()
    assert client.call("PATCH", f"{TOOLS}/grep", {"description": "over http"}).status == 200
    assert client.call("PATCH", f"{TOOLS}/grep/disable").status == 200
    assert client.call("POST", f"{TOOLS}/reload").json["result"] == "success"
    assert descriptions(client) == "over http"
    in_place(tools_dir, "of the file again")
    eventually(lambda: descriptions(client) == "of the file again")
    assert client.get(f"{TOOLS}/grep").json["enabled"] is False
    assert client.call("PATCH", f"{TOOLS}/grep/enable").status == 200
    written(tools_dir / "grep.yaml", tool(description="off", enabled=False))
    eventually(lambda: descriptions(client) == "off")
    assert client.get(f"{TOOLS}/grep").json["enabled"] is True  # it was set over HTTP, and stays
    assert client.call("PATCH", f"{TOOLS}/grep/disable").status == 200
    written(tools_dir / "grep.yaml", tool(description="agreed", enabled=False))
    eventually(lambda: descriptions(client) == "agreed")
    written(tools_dir / "grep.yaml", tool(description="on", enabled=True))
    eventually(lambda: descriptions(client) == "on")
    assert (
        client.get(f"{TOOLS}/grep").json["enabled"] is True
    )  # file and database had agreed: the file decides


def test_a_fifo_is_named_and_hot_reload_goes_on(start_host: StartHost, tools_dir: Path) -> None:
    in_place(tools_dir, "at first")
    client = start_host(WORKERS="2").client()
    os.mkfifo(tools_dir / "x.yaml")
    eventually(lambda: client.get(f"{TOOLS}/reload/status").json["errors"])
    [error] = client.get(f"{TOOLS}/reload/status").json["errors"]
    assert (error["file"], error["message"]) == (
        str(tools_dir / "x.yaml"),
        "cannot be read: it is a named pipe (FIFO), not a file",
    )
    assert client.call("POST", f"{TOOLS}/reload").json["result"] == "failure"
    in_place(tools_dir, "in spite of it")
    eventually(lambda: descriptions(client) == "in spite of it")
    (tools_dir / "x.yaml").unlink()
    eventually(lambda: client.get(f"{TOOLS}/reload/status").json["errors"] == [])


def test_an_edit_of_a_linked_files_target_is_seen(
    start_host: StartHost, tools_dir: Path, tmp_path: Path
) -> None:
    target = tmp_path / "elsewhere"
    target.mkdir()
    in_place(target, "at first")
    (tools_dir / "grep.yaml").symlink_to(target / "grep.yaml")
    client = start_host(WORKERS="2").client()
    in_place(target, "in place")
    eventually(lambda: descriptions(client) == "in place")
    rename_over(target, "renamed over")
    eventually(lambda: descriptions(client) == "renamed over")


def test_two_files_with_one_tool_do_not_take_turns(start_host: StartHost, tools_dir: Path) -> None:
    written(tools_dir / "a.yaml", described("x", "from a"))
    client = start_host(WORKERS="1").client()
    written(tools_dir / "b.yaml", described("x", "from b"))
    eventually(lambda: client.get(f"{TOOLS}/reload/status").json["errors"])
    [error] = client.get(f"{TOOLS}/reload/status").json["errors"]
    assert error["message"] == '"x" 1.0 is defined in a.yaml already'
    assert descriptions(client, "x") == "from a"
    (tools_dir / "a.yaml").unlink()
    eventually(lambda: descriptions(client, "x") == "from b")


def test_a_newer_version_keeps_the_older_and_going_back_retires_the_newer(
    start_host: StartHost, tools_dir: Path
) -> None:
    path = written(tools_dir / "grep.yaml", tool(version="1.0"))
    client = start_host(WORKERS="1").client()

    def versions() -> list[str]:
        found = client.get(f"{TOOLS}/grep/versions")
        return [one["version"] for one in found.json] if found.status == 200 else []

    written(path, tool(version="2.0"))
    eventually(lambda: versions() == ["2.0", "1.0"])
    written(path, tool(version="1.0"))
    eventually(lambda: versions() == ["1.0"])
    assert client.get(f"{TOOLS}/grep").json["version"] == "1.0"


@pytest.fixture
def watching(start_host: StartHost, tools_dir: Path) -> Host:
    in_place(tools_dir, "at first")
    host = start_host(WORKERS="3")
    client = host.client()
    eventually(lambda: client.get(f"{TOOLS}/reload/status").json["leader"])
    return host


def test_another_worker_takes_over_when_the_leader_is_killed(watching: Host) -> None:
    client = watching.client()
    for number in range(3):
        leader = client.get(f"{TOOLS}/reload/status").json["leader"]
        pid = int(leader.rpartition(":")[2])
        assert pid in watching.workers()
        client = next(each for each in watching.clients_of_all_workers() if watching._worker_of(each) != pid)
        kill(pid)
        in_place(watching.tools_dir, f"while nobody watched {number}")
        took = eventually(
            lambda number=number, client=client: descriptions(client) == f"while nobody watched {number}"
        )
        print(f"another took over, and had missed nothing, in {took:.2f} s")
        assert took < 5
        eventually(
            lambda leader=leader, client=client: client.get(f"{TOOLS}/reload/status").json["leader"] != leader
        )
        in_place(watching.tools_dir, f"and is watched {number}")
        eventually(lambda number=number, client=client: descriptions(client) == f"and is watched {number}")
        eventually(lambda: len(watching.workers()) == 3)


def test_who_lost_its_lock_asks_for_it_again(watching: Host, postgres: Postgres) -> None:
    client = watching.client()
    assert postgres.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name LIKE 'toolcatalog reloader%'"
    )
    in_place(watching.tools_dir, "after all")
    eventually(lambda: descriptions(client) == "after all")


def test_polling_sees_a_change_too(start_host: StartHost, tools_dir: Path) -> None:
    in_place(tools_dir, "at first")
    client = start_host(WORKERS="1", HOT_RELOAD="polling").client()
    time.sleep(0.5)
    in_place(tools_dir, "polled")
    eventually(lambda: descriptions(client) == "polled")


def seconds_left(client: Client) -> int:
    """How long an answer is good for yet, of 300; a worker may make it anew by itself, or makes it now."""
    status = client.get(f"{TOOLS}/grep").headers["Cache-Status"]
    return 300 if "fwd=miss" in status else int(status.rpartition("ttl=")[2])


def test_without_hot_reload_a_reload_is_asked_for(start_host: StartHost, tools_dir: Path) -> None:
    in_place(tools_dir, "at first")
    host = start_host(WORKERS="2", HOT_RELOAD="off")
    clients = host.clients_of_all_workers()
    assert descriptions(clients[0]) is None
    asked = clients[0].call("POST", f"{TOOLS}/reload")
    assert (asked.status, asked.json["created"], asked.json["trigger"]) == (200, 1, "api")
    assert asked.json["workers_behind"] == 0
    for client in clients:
        assert client.get(f"{TOOLS}/grep").status == 200
        eventually(lambda client=client: seconds_left(client) < 298)
    assert clients[1].call("POST", f"{TOOLS}/reload").status == 200
    for client in clients:  # dropped in every worker before it was answered
        assert seconds_left(client) >= 298
    written(host.tools_dir / "other.yaml", described("other", 1))
    in_place(host.tools_dir, "later")
    only = clients[0].call("POST", f"{TOOLS}/reload?tool_name=grep").json
    assert (only["updated"], only["created"]) == (1, 0)
    assert clients[1].get(f"{TOOLS}/other").status == 404
    assert clients[0].call("POST", f"{TOOLS}/reload?tool_name=nothing").status == 404


def test_the_history_survives_a_restart(start_host: StartHost, tools_dir: Path) -> None:
    in_place(tools_dir, "at first")
    first = start_host(WORKERS="1")
    before = history(first.client())
    assert [one["trigger"] for one in before] == ["startup"]
    again = start_host(WORKERS="1").client()
    assert history(again)[-1] == before[-1]
    statistics = again.get(f"{TOOLS}/reload/statistics").json
    assert (statistics["succeeded"], statistics["failed"]) == (statistics["total"], 0)
    assert statistics["by_trigger"]["startup"] >= 1
