"""Every file under deploy/, checked with the program made for it: `make deploy-check`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.deploy.supervised import certificate, nginx_main
from toolcatalog.settings import PROJECT_ROOT, Settings

DEPLOY = PROJECT_ROOT / "deploy"
UNIT = DEPLOY / "systemd" / "tool-catalog.service"
BACKUP_UNIT = DEPLOY / "systemd" / "tool-catalog-backup.service"

pytestmark = pytest.mark.slow


def run(*command: str | Path, **environment: str) -> str:
    """Run a checker; gives all that it said."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, env={**os.environ, **environment}
    )
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for unit in UNIT.parent.iterdir():
        here = unit.read_text().replace("/opt/tool-catalog/current/.venv/bin/python", sys.executable)
        here = here.replace("/opt/tool-catalog/current/deploy", str(DEPLOY))
        (tmp_path / unit.name).write_text(here)
    for unit in UNIT.parent.iterdir():
        assert run("systemd-analyze", "verify", tmp_path / unit.name) == ""


@pytest.mark.parametrize("unit", [UNIT, BACKUP_UNIT], ids=lambda path: path.name)
def test_the_unit_is_hardened(unit: Path) -> None:
    said = run("systemd-analyze", "security", "--offline=true", unit)
    exposure = float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)[1])
    print(f"exposure {exposure}")
    assert exposure < 2.5


def test_hadolint_finds_nothing() -> None:
    assert run(Path(sys.executable).with_name("hadolint"), DEPLOY / "docker" / "Dockerfile") == ""


def test_everything_that_the_image_copies_is_there_and_is_sent() -> None:
    copied = re.findall(
        r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "docker" / "Dockerfile").read_text(), re.MULTILINE
    )
    names = {name for line in copied for name in line.split()}
    assert {name for name in names if not (PROJECT_ROOT / name).exists()} == set()
    sent = (PROJECT_ROOT / ".dockerignore").read_text()
    assert names == set(re.findall(r"^!(.+)$", sent, re.MULTILINE))


def test_compose_takes_the_file() -> None:
    file = DEPLOY / "docker" / "compose.yaml"
    given = {"POSTGRES_PASSWORD": "secret", "GRAFANA_PASSWORD": "secret"}
    services = yaml.safe_load(run("docker-compose", "-f", file, "config", **given))["services"]
    assert set(services) == {
        "tool-catalog", "migrations", "postgres", "prometheus", "alertmanager", "grafana",
    }  # fmt: skip
    for name in ("tool-catalog", "migrations"):
        assert services[name]["read_only"]
        assert services[name]["cap_drop"] == ["ALL"]
    refused = subprocess.run(["docker-compose", "-f", file, "config", "-q"], capture_output=True)
    assert b"set it" in refused.stderr  # no password has a default
    for service in services.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0] if isinstance(volume, str) else volume["source"]
            if source.startswith("/") and not source.endswith("/secrets"):
                assert Path(source).exists(), source


def test_prometheus_takes_the_configuration_of_compose(tmp_path: Path) -> None:
    rules = "prometheus-alerts-tool-catalog.yml"
    (tmp_path / rules).write_bytes((PROJECT_ROOT / "monitoring" / rules).read_bytes())
    (tmp_path / "prometheus.yml").write_bytes((DEPLOY / "docker" / "prometheus.yml").read_bytes())
    assert "SUCCESS" in run("promtool", "check", "config", tmp_path / "prometheus.yml")


def test_nginx_takes_the_files(tmp_path: Path) -> None:
    certificate(tmp_path)
    assert "test is successful" in run(
        "nginx", "-t", "-e", "stderr", "-c", nginx_main(tmp_path, 18443, 18080)
    )


def test_nginx_lets_through_what_the_service_takes() -> None:
    text = (DEPLOY / "nginx" / "tool-catalog.conf").read_text()
    sizes = [int(number) * 1024**2 for number in re.findall(r"client_max_body_size (\d+)m;", text)]
    everywhere, of_an_import = sizes
    assert Settings().max_body_bytes <= everywhere < of_an_import == Settings().max_import_bytes


def test_bash_takes_the_scripts() -> None:
    for script in (*(PROJECT_ROOT / "scripts").glob("*.sh"), DEPLOY / "tool-catalog-backup"):
        assert run("bash", "-n", script) == ""
        assert run("shellcheck", script) == ""
