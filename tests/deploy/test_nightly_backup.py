"""The nightly backup as it ships: the command lines of timer and cron, run in folders of a test's own."""

from __future__ import annotations

import configparser
import datetime as dt
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster import Postgres
from tests.service.conftest import free_port
from toolcatalog import backup
from toolcatalog.settings import PROJECT_ROOT

DEPLOY = PROJECT_ROOT / "deploy"
NO_DATABASE = 3


@dataclass(frozen=True)
class Machine:
    """A machine's folders: the installation, with the settings in `.env`, the backups, and the logs."""

    folder: Path

    @property
    def backups(self) -> Path:
        return self.folder / "backups"

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command line that ships, with this machine's folders in place of those that stand there."""
        script = (DEPLOY / "tool-catalog-backup").read_text()
        for shipped, here in (("/opt/tool-catalog", "root"), ("/var/backups/tool-catalog", "backups")):
            script = script.replace(shipped, str(self.folder / here))
        (self.folder / "root/current/deploy/tool-catalog-backup").write_text(script)
        command = command.replace("/opt/tool-catalog", str(self.folder / "root"))
        command = command.replace("/var/log/tool-catalog", str(self.folder / "log"))
        kept = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        return subprocess.run(
            ["/bin/sh", "-c", command], env={**kept, "PYTHONPATH": str(PROJECT_ROOT)}, cwd=self.folder,
            capture_output=True, text=True,
        )  # fmt: skip

    def use(self, url: str) -> None:
        (self.folder / "root/.env").write_text(f"DATABASE_URL='{url}'\n")

    def add_old(self, name: str, days: int) -> None:
        path = self.backups / name
        path.write_text("old")
        os.utime(path, (time.time() - 86_400 * days,) * 2)

    def names(self) -> set[str]:
        return {path.name for path in self.backups.iterdir()}


@pytest.fixture
def machine(tmp_path: Path, postgres: Postgres) -> Machine:
    for name in ("root/current/.venv/bin", "root/current/deploy", "backups", "log"):
        (tmp_path / name).mkdir(parents=True)
    program = tmp_path / "root/current/.venv/bin/toolcatalog"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m toolcatalog.cli "$@"\n')
    for path in (program, tmp_path / "root/current/deploy/tool-catalog-backup"):
        path.touch()
        path.chmod(0o755)
    made = Machine(tmp_path)
    made.use(postgres.url.replace("+psycopg2", ""))
    return made


def cron_entry() -> tuple[str, str]:
    """Return the user and the command of the one line that cron runs."""
    text = (DEPLOY / "cron" / "tool-catalog-backup").read_text()
    [line] = [line for line in text.splitlines() if line and not re.match(r"#|\w+=", line)]
    assert "%" not in line, "cron ends a command there"
    user, command = re.fullmatch(r"\d+ \d+ \* \* \* (\S+) (.*)", line).groups()
    return user, command


def timer_command() -> str:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(DEPLOY / "systemd" / "tool-catalog-backup.service")
    assert (unit["Service"]["User"], unit["Service"]["Type"]) == ("tool-catalog", "oneshot")
    assert unit["Service"]["ReadWritePaths"] == "/var/backups/tool-catalog"
    return unit["Service"]["ExecStart"]


COMMANDS = {"cron": cron_entry()[1], "systemd": timer_command()}
each_way = pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)


def test_cron_runs_it_as_the_user_of_the_service() -> None:
    assert cron_entry()[0] == "tool-catalog"


@each_way
def test_a_backup_is_made_and_only_nightly_ones_that_are_too_old_are_removed(
    machine: Machine, postgres: Postgres, command: str
) -> None:
    machine.add_old("nightly-2020-01-01.dump", 32)
    machine.add_old("nightly-2020-01-02.dump", 29)
    machine.add_old("before-0.2.0.dump", 400)
    done = machine.run(command)
    assert done.returncode == 0, done
    tonight = f"nightly-{dt.date.today():%Y-%m-%d}.dump"  # noqa: DTZ011 - a machine's own date, as `date` has it
    assert machine.names() == {tonight, "nightly-2020-01-02.dump", "before-0.2.0.dump"}
    assert backup.check(machine.backups / tonight).script_bytes > 0
    [(age,)] = postgres.query("SELECT now() - backed_up_at FROM catalog_state", "for_one_test")
    assert age < dt.timedelta(minutes=1)


@each_way
def test_a_backup_that_fails_says_so_by_its_exit_code_and_removes_nothing(
    machine: Machine, command: str
) -> None:
    machine.add_old("nightly-2020-01-01.dump", 32)
    machine.use(f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    done = machine.run(command)
    assert done.returncode == NO_DATABASE, done
    assert machine.names() == {"nightly-2020-01-01.dump"}
    log = machine.folder / "log" / "backup.log"
    assert "The database cannot be used" in done.stderr + (log.read_text() if log.exists() else "")


def test_cron_has_something_to_mail_only_when_it_failed(machine: Machine) -> None:
    assert (machine.run(COMMANDS["cron"]).stdout, machine.run(COMMANDS["cron"]).stderr) == ("", "")
    machine.use(f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    log = machine.folder / "log" / "backup.log"
    assert (
        machine.run(COMMANDS["cron"]).stdout
        == f"The nightly backup of Tool Catalog failed with 3: see {log}\n"
    )
