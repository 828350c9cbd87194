"""`toolcatalog serve`: what a newcomer meets, and what an operator does to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import requests

from tests.service.conftest import Service, command, environment, serving, start
from toolcatalog.settings import PROJECT_ROOT


def test_it_serves_the_catalog_and_says_what_to_try(service: Service, session: requests.Session) -> None:
    count = len(list((PROJECT_ROOT / "catalog").rglob("*.yaml")))
    health = session.get(f"{service.url}/health").json()
    assert {name: health[name] for name in ("status", "database", "tools")} == {
        "status": "healthy",
        "database": {"status": "up", "checked_seconds_ago": health["database"]["checked_seconds_ago"]},
        "tools": count,
    }
    assert f"{count} files in {service.folder}/catalog: {count} created." in service.said()
    assert f"serves {count} tools at {service.url}" in service.said()
    assert f"{service.url}/api/v1/docs/" in service.said()


def test_two_gunicorn_workers_answer(service: Service) -> None:
    (master,) = psutil.Process(service.process.pid).children()
    assert len(master.children()) == 2


def test_the_docs_page_needs_nothing_from_elsewhere(service: Service, session: requests.Session) -> None:
    page = session.get(service.url)  # by way of the redirect
    assert page.url == f"{service.url}/api/v1/docs/"
    assert "http://" not in page.text.replace(service.url, "").replace("http://www.w3.org", "")
    assert "https://" not in page.text
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css"):
        assert session.get(f"{page.url}{asset}").status_code == 200
    assert session.get(f"{service.url}/api/v1/openapi.json").json()["openapi"] == "3.1.0"


def test_a_tool_from_a_file_says_which(service: Service, session: requests.Session) -> None:
    tool = session.get(f"{service.url}/api/v1/tools/grep").json()
    assert (tool["source"]["kind"], tool["source"]["path"]) == ("file", "linux/grep.yaml")
    assert tool["created_by"] == "file"


def test_a_second_start_takes_in_only_what_changed(own_checkout: Path) -> None:
    grep = own_checkout / "catalog" / "linux" / "grep.yaml"
    with serving(own_checkout) as first:
        url = f"{first.url}/api/v1/tools/sed"
        assert requests.patch(f"{url}/disable", timeout=10).status_code == 200
    grep.write_text(grep.read_text().replace("platform: linux", "platform: macos"))
    with serving(own_checkout) as second:
        assert "catalog: 1 updated." in second.said()
        assert requests.get(f"{second.url}/api/v1/tools/grep", timeout=10).json()["platform"] == "macos"
        assert requests.get(f"{second.url}/api/v1/tools/sed", timeout=10).json()["enabled"] is False


def test_a_killed_service_starts_again_with_all_that_it_had_acknowledged(own_checkout: Path) -> None:
    """At once, at the same port, while clients hold connections to what the killed one has left behind."""
    killed = start(own_checkout)
    left = psutil.Process(killed.process.pid).children(recursive=True)
    with requests.Session() as kept:
        assert kept.patch(f"{killed.url}/api/v1/tools/sed/disable", timeout=10).status_code == 200
        os.kill(killed.process.pid, signal.SIGKILL)
        killed.process.wait()
        with serving(own_checkout, PORT=killed.url.rsplit(":", 1)[1]) as again:
            assert again.url == killed.url
            assert "nothing new" in again.said()
            assert requests.get(f"{again.url}/api/v1/tools/sed", timeout=10).json()["enabled"] is False
            assert psutil.wait_procs(left, timeout=40)[1] == []
    holders = own_checkout / "var" / "postgres" / ".handle_pids.json"
    assert holders.read_text() == "[]"
    assert not (own_checkout / "var" / "postgres" / "postmaster.pid").exists()


def test_a_port_in_use_is_said_at_once(service: Service) -> None:
    port = service.url.rsplit(":", 1)[1]
    refused = subprocess.run(
        command("serve"), env=environment(service.folder, PORT=port), cwd=service.folder, capture_output=True
    )
    (master,) = psutil.Process(service.process.pid).children()
    assert (refused.returncode, refused.stderr.decode()) == (
        2,
        f"toolcatalog: port {port} of 127.0.0.1 is taken by process {master.pid} ({master.name()}). "
        "Stop it, or set another PORT.\n",
    )


def test_a_host_of_another_machine_is_said(checkout: Path) -> None:
    refused = subprocess.run(
        command("serve"), env=environment(checkout, HOST="192.0.2.1", AUTH="writes"), cwd=checkout,
        capture_output=True, text=True,
    )  # fmt: skip
    assert (refused.returncode, refused.stderr) == (
        2,
        "toolcatalog: HOST='192.0.2.1' is not allowed: 192.0.2.1:3005: Cannot assign requested address\n",
    )


def test_a_broken_file_is_named_and_the_others_are_served(own_checkout: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "good.yaml").write_text("tool_name: good\ndescription: fine\n")
    (folder / "bad.yml").write_text("tool_name: bad\ndescription: x\nstatus: off\n---\ntool_name: also\n")
    (folder / ".hidden.yaml").write_text("{")
    with serving(own_checkout, TOOLS_DIR=str(folder)) as running:
        names = [tool["tool_name"] for tool in requests.get(f"{running.url}/api/v1/tools", timeout=10).json()]
        assert "good" in names
        assert "bad" not in names
        assert "also" not in names
        said = running.said()
    assert f'{folder}/bad.yml:3: status: "off" is not one of active, deprecated' in said
    assert f"{folder}/bad.yml:5: description: is required" in said


def test_without_a_database_url_wsgi_says_what_to_do(checkout: Path) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "gunicorn", "--check-config", "wsgi:app"],
        env=environment(checkout), cwd=checkout, capture_output=True,
    )  # fmt: skip
    assert refused.returncode != 0
    assert b"DATABASE_URL='' is not allowed: set it, or run `toolcatalog serve`" in refused.stderr


def test_ctrl_c_ends_it(checkout: Path) -> None:
    """A terminal sends the signal to all processes of the group, not just to the first."""
    with serving(checkout, end=lambda pid: os.killpg(pid, signal.SIGINT)) as running:
        assert requests.get(f"{running.url}/health", timeout=10).status_code == 200
