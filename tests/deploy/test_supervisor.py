"""The service under a real supervisord, driven through supervisorctl, and switched behind a real nginx."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import signal
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.cluster import Client, Postgres, eventually, kill
from tests.conftest import tool
from tests.deploy.load import load
from tests.deploy.supervised import Supervisor, certificate, nginx_main, supervised
from tests.service.conftest import copied, free_port
from toolcatalog.settings import PROJECT_ROOT

pytestmark = [pytest.mark.slow, pytest.mark.unhurried]


def healthy(port: int) -> bool:
    client = Client(port)
    try:
        return client.get("/health").status == 200
    except OSError:
        return False
    finally:
        client.close()


def settings_file(postgres: Postgres, tools_dir: Path, **more: object) -> str:
    given = {"DATABASE_URL": postgres.url, "TOOLS_DIR": tools_dir, "HOT_RELOAD": "off", **more}
    return "".join(f"{name}='{value}'\n" for name, value in given.items())


def test_supervisord_runs_the_service(postgres: Postgres, tools_dir: Path, tmp_path: Path) -> None:
    port, name = free_port(), "tool-catalog"
    env_file = settings_file(postgres, tools_dir, PORT=port, WORKERS=2)
    with supervised(tmp_path, "tool-catalog.conf", env_file) as supervisor:
        eventually(lambda: healthy(port), 30)
        eventually(lambda: "RUNNING" in supervisor.ctl("status", name))
        master = psutil.Process(supervisor.pid(name))
        workers = {child.pid for child in master.children()}
        assert len(workers) == 2

        supervisor.ctl("signal", "HUP", name)
        eventually(lambda: not workers & {child.pid for child in master.children()})
        assert supervisor.pid(name) == master.pid

        family = [master, *master.children()]
        supervisor.ctl("restart", name)
        eventually(lambda: healthy(port), 30)
        assert not any(process.is_running() for process in family)

        kill(supervisor.pid(name))
        eventually(lambda: "RUNNING" in supervisor.ctl("status", name) and healthy(port), 30)

        family = [psutil.Process(supervisor.pid(name)), *psutil.Process(supervisor.pid(name)).children()]
        supervisor.ctl("stop", name)
        assert "STOPPED" in supervisor.ctl("status", name)
        assert not any(process.is_running() for process in family)
        lines = [line for line in supervisor.log("tool-catalog.log").splitlines() if line.startswith("{")]
        assert any("A worker starts" in json.loads(line)["message"] for line in lines)


def test_a_master_that_is_killed_leaves_no_worker(
    postgres: Postgres, tools_dir: Path, tmp_path: Path
) -> None:
    port, name = free_port(), "tool-catalog"
    env_file = settings_file(postgres, tools_dir, PORT=port)
    with supervised(tmp_path, "tool-catalog.conf", env_file) as supervisor:
        eventually(lambda: healthy(port), 30)
        orphans = psutil.Process(supervisor.pid(name)).children()
        kill(supervisor.pid(name))
        eventually(lambda: not any(orphan.is_running() for orphan in orphans), 30)


@contextmanager
def nginx(folder: Path, tls_port: int) -> Iterator[list[str]]:
    """A real nginx on the shipped files; gives the command that signals it."""
    command = ["nginx", "-e", "stderr", "-c", str(nginx_main(folder, tls_port, free_port()))]
    with (folder / "nginx.log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log)
    try:
        eventually(lambda: (folder / "nginx.pid").exists() and (folder / "nginx.pid").read_text())
        yield command
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait(timeout=60)


def through(tls_port: int) -> http.client.HTTPSConnection:
    trusting = ssl._create_unverified_context()  # noqa: S323 - the certificate was made a moment ago
    return http.client.HTTPSConnection("127.0.0.1", tls_port, context=trusting, timeout=40)


def read(tls_port: int, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = through(tls_port)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    answer = response.status, dict(response.getheaders()), response.read()
    connection.close()
    return answer


@dataclass
class Colours:
    """What scripts/blue_green.sh is told."""

    supervisor: Supervisor
    nginx: list[str]
    ports: dict[str, int]

    def switch_to(self, release: Path) -> str:
        """Run the script; gives its exit code and what it said."""
        folder = self.supervisor.folder
        given = {
            "ROOT": str(folder), "UPSTREAM": str(folder / "tool-catalog-upstream.conf"),
            "SUPERVISORCTL": " ".join(self.supervisor.command), "NGINX": " ".join(self.nginx),
            "BLUE_PORT": str(self.ports["3006"]), "GREEN_PORT": str(self.ports["3007"]),
            "READY_SECONDS": "10", "DRAIN_SECONDS": "2",
        }  # fmt: skip
        script = PROJECT_ROOT / "scripts" / "blue_green.sh"
        done = subprocess.run([script, release], capture_output=True, env={**os.environ, **given})
        return f"{done.returncode} {done.stdout.decode()}{done.stderr.decode()}"


@pytest.fixture
def colours(postgres: Postgres, tools_dir: Path, tmp_path: Path) -> Iterator[tuple[Colours, int]]:
    """Both colours under a supervisord, none of which runs yet, and nginx; gives its port for TLS."""
    ports, tls_port = {"3006": free_port(), "3007": free_port()}, free_port()
    env_file = settings_file(postgres, tools_dir, TRUSTED_PROXIES="127.0.0.1", LOG_REQUESTS="all")
    certificate(tmp_path)
    with (
        supervised(tmp_path, "tool-catalog-blue-green.conf", env_file, ports) as supervisor,
        nginx(tmp_path, tls_port) as command,
    ):
        yield Colours(supervisor, command, ports), tls_port


def test_nginx_leads_to_the_other_colour_without_a_failure(
    colours: tuple[Colours, int], tmp_path: Path
) -> None:
    both, tls_port = colours
    assert "Done: blue serves" in both.switch_to(PROJECT_ROOT)
    # Not load's own health checks: nginx caches what it may, and the limit is one of a client.
    with load(lambda: through(tls_port), requests_per_second=100) as made:
        time.sleep(1)
        assert "Done: green serves" in both.switch_to(PROJECT_ROOT)
        assert "STOPPED" in both.supervisor.ctl("status", "tool-catalog-blue")
        time.sleep(1)
    print(f"through nginx: {made.answered} answered, {len(made.failures)} failed")
    assert made.failures == []
    assert made.answered > 300

    broken = copied(tmp_path / "broken")
    (broken / ".venv").symlink_to(PROJECT_ROOT / ".venv")
    (broken / "wsgi.py").write_text("raise SystemExit('This release is broken.')\n")
    said = both.switch_to(broken)
    assert said.startswith("1 ")
    assert "blue is not ready: it does not start; green still serves." in said
    assert "This release is broken." in said
    assert read(tls_port, "/health")[0] == 200


def test_nginx_caches_reads_and_believes_no_client(colours: tuple[Colours, int]) -> None:
    both, tls_port = colours
    both.switch_to(PROJECT_ROOT)
    first, again = (read(tls_port, "/api/v1/tools") for _ in range(2))
    assert (first[0], first[1]["X-Cache"], again[1]["X-Cache"]) == (200, "MISS", "HIT")
    time.sleep(2.1)
    assert read(tls_port, "/api/v1/tools")[1]["X-Cache"] == "REVALIDATED"
    assert read(tls_port, "/api/v1/tools", Authorization="Bearer tc_1")[1]["X-Cache"] == "BYPASS"
    assert read(tls_port, "/api/v1/tools", **{"If-None-Match": first[1]["ETag"]})[0] == 304
    assert "X-Cache" not in read(tls_port, "/health")[1]
    assert read(tls_port, "/metrics", **{"X-Forwarded-For": "6.6.6.6"})[0] == 200
    assert "Strict-Transport-Security" in first[1]
    both.supervisor.ctl("stop", "tool-catalog-blue")
    time.sleep(1.1)
    stale = read(tls_port, "/api/v1/tools")
    assert (stale[0], stale[1]["X-Cache"], stale[2]) == (200, "STALE", first[2])


def ask(
    tls_port: int, method: str, path: str, body: object = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Send a request as a client that can read gzip; the answer is as it came, compressed or not."""
    connection = through(tls_port)
    sent = {"Accept-Encoding": "gzip", "Content-Type": "application/json", **headers}
    connection.request(method, path, body=None if body is None else json.dumps(body), headers=sent)
    response = connection.getresponse()
    answer = response.status, dict(response.getheaders()), response.read()
    connection.close()
    return answer


def test_nginx_compresses_and_its_weak_tags_are_taken_back(colours: tuple[Colours, int]) -> None:
    both, tls_port = colours
    both.switch_to(PROJECT_ROOT)
    tools = [tool(f"tool {number:03}") for number in range(200)]
    assert ask(tls_port, "POST", "/api/v1/tools/import", tools)[0] == 200

    plain = read(tls_port, "/api/v1/tools?limit=200")
    assert "Content-Encoding" not in plain[1]
    status, headers, body = ask(tls_port, "GET", "/api/v1/tools?limit=200")
    assert (status, headers["Content-Encoding"], headers["Vary"]) == (200, "gzip", "Accept-Encoding")
    assert gzip.decompress(body) == plain[2]
    print(f"{len(plain[2])} bytes, {len(body)} compressed")
    assert len(body) < len(plain[2]) / 5
    assert headers["ETag"] == f"W/{plain[1]['ETag']}"

    # From nginx's cache, past it, and with a key, which is never cached.
    for more in ({}, {"Cache-Control": "no-cache"}, {"Authorization": "Bearer tc_1"}):
        same = ask(tls_port, "GET", "/api/v1/tools?limit=200", **{"If-None-Match": headers["ETag"], **more})
        assert (same[0], same[2]) == (304, b"")

    one = "/api/v1/tools/tool%20007"
    etag = ask(tls_port, "GET", one)[1]["ETag"]
    assert etag.startswith('W/"')
    for method, change in (("PUT", {"enabled": False}), ("PATCH", {"description": "other"})):
        changed = ask(tls_port, method, one, change, **{"If-Match": etag})
        assert (changed[0], changed[1]["Content-Encoding"]) == (200, "gzip")
        refused = ask(tls_port, method, one, {"status": "draft"}, **{"If-Match": etag})
        assert refused[0] == 412
        etag = changed[1]["ETag"]
    assert ask(tls_port, "DELETE", one, **{"If-Match": etag})[0] == 204
