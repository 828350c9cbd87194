"""API keys over real workers: made and revoked from the command line, heard of in every worker."""

from __future__ import annotations

import json
import subprocess
import sys
from http.client import HTTPConnection

from tests.cluster import Host, eventually
from tests.coherence.conftest import StartHost
from tests.service.conftest import command, environment
from toolcatalog.settings import PROJECT_ROOT


def keys(host: Host, *arguments: str) -> str:
    given = environment(PROJECT_ROOT, DATABASE_URL=host.database_url)
    return (
        subprocess.check_output(command("keys", *arguments), cwd=host.tools_dir, env=given).decode().strip()
    )


def statuses(host: Host, key: str) -> set[int]:
    """What ten connections get, so that both workers are asked."""
    found = set()
    for _ in range(10):
        connection = HTTPConnection("127.0.0.1", host.port, timeout=10)
        connection.request("GET", "/api/v1/tools", headers={"Authorization": f"Bearer {key}"})
        found.add(connection.getresponse().status)
        connection.close()
    return found


def test_every_worker_hears_of_a_key_and_of_its_end(start_host: StartHost) -> None:
    host = start_host(WORKERS="2", AUTH="all", HOT_RELOAD="off", LOG_FORMAT="json")
    key = keys(host, "add", "reader")
    eventually(lambda: statuses(host, key) == {200}, within_seconds=5)
    keys(host, "revoke", "reader")
    eventually(lambda: statuses(host, key) <= {401, 429}, within_seconds=5)
    assert key not in host.said()
    lines = [json.loads(line) for line in host.said().splitlines()]
    assert any("the key reader, which was revoked" in line["message"] for line in lines)


def test_a_master_refuses_an_address_that_others_reach_without_keys() -> None:
    arguments = ["-c", "deploy/gunicorn.conf.py", "--bind", "0.0.0.0:0", "wsgi:app"]
    given = environment(PROJECT_ROOT, DATABASE_URL="postgresql://nobody@localhost/none")
    done = subprocess.run(
        [sys.executable, "-m", "gunicorn", *arguments],
        cwd=PROJECT_ROOT, env=given, capture_output=True, timeout=60,
    )  # fmt: skip
    assert done.returncode != 0
    assert b"AUTH='off' is not allowed: other machines can reach 0.0.0.0" in done.stderr
    assert b"Traceback" not in done.stderr
