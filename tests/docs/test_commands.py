"""The deployment guide and the runbook: every command is run, and prints what they say.

They are run in order, on a Debian machine of the test's own: the runbook operates what the guide has set up.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.machine import Machine
from tests.docs.transcript import Step, steps
from toolcatalog import __version__
from toolcatalog.settings import PROJECT_ROOT

GUIDE, RUNBOOK = (
    PROJECT_ROOT / "docs" / "deployment-guide.md",
    PROJECT_ROOT / "docs" / "operations-runbook.md",
)
# What runs on such a machine before anybody deploys: Debian starts it at boot.
_BOOT = """
install --directory --owner=postgres /run/postgresql
pg_ctlcluster 15 main start
supervisord --configuration /etc/supervisor/supervisord.conf
nginx
cd /var/lib/prometheus
prometheus --config.file=/etc/prometheus/prometheus.yml --web.listen-address=127.0.0.1:9090 \
    --web.enable-lifecycle --storage.tsdb.path=/var/lib/prometheus/docs >/run/prometheus.log 2>&1 &
prometheus-alertmanager --config.file=/etc/prometheus/alertmanager.yml --web.listen-address=127.0.0.1:9093 \
    --cluster.listen-address= --storage.path=/var/lib/prometheus/told >/run/alertmanager.log 2>&1 &
cd
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with PostgreSQL, supervisor, nginx and Prometheus, as Debian's packages leave them."""
    folder = tmp_path_factory.mktemp("machine")
    releases(folder / "releases.git")
    machine = Machine(folder / "scratch")
    try:
        machine.run(
            f"git config --system url.{folder}/releases.git.insteadOf https://github.com/example/tool-catalog.git"
        )
        machine.run(_BOOT)
        yield machine
    finally:
        machine.close()


def releases(repository: Path) -> None:
    """Make a repository with this tree, as it lies here, and with a release after it."""
    environment = {**os.environ, "GIT_INDEX_FILE": str(repository) + ".index"}
    for who in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{who}_NAME": "Tool Catalog", f"GIT_{who}_EMAIL": "releases@example.com"}

    def git(*arguments: str, text: str | None = None) -> str:
        command = ["git", f"--git-dir={repository}", "--work-tree=.", *arguments]
        done = subprocess.run(
            command, cwd=PROJECT_ROOT, env=environment, check=True, capture_output=True, input=text, text=True
        )
        return done.stdout.strip()

    subprocess.run(["git", "init", "--quiet", "--bare", repository], check=True)
    git("add", "--all")
    commit = git("commit-tree", git("write-tree"), "-m", "The release")
    git("tag", f"v{__version__}", commit)
    source = (PROJECT_ROOT / "toolcatalog" / "__init__.py").read_text()
    blob = git("hash-object", "-w", "--stdin", text=source.replace(__version__, "0.2.0"))
    git("update-index", "--cacheinfo", f"100644,{blob},toolcatalog/__init__.py")
    git("tag", "v0.2.0", git("commit-tree", git("write-tree"), "-p", commit, "-m", "The release after it"))


@pytest.mark.slow
@pytest.mark.unhurried
def test_every_command_prints_what_the_documents_say(machine: Machine) -> None:
    for document in (GUIDE, RUNBOOK):
        for step in steps(document.read_text()):
            if step.not_run is None:
                run(machine, document, step)


def run(machine: Machine, document: Path, step: Step) -> None:
    begun = time.monotonic()
    printed = machine.run(step.command)
    place = f"{document.name}:{step.line}"
    print(f"{place} {time.monotonic() - begun:.1f} s: {step.command.splitlines()[0][:90]}")
    assert step.is_met_by(printed), f"{place}\n$ {step.command}\n{printed}\nand not\n{step.expected}"


@pytest.mark.parametrize("document", [GUIDE, RUNBOOK], ids=lambda path: path.name)
def test_jq_passes_over_lines_of_the_log_that_are_no_json(document: Path) -> None:
    """Supervisor and gunicorn write into the same file; on a machine of tests they may not have yet."""
    reading = [
        step for step in steps(document.read_text()) if re.search(r"\.log\b.*jq|jq.*\.log\b", step.command)
    ]
    assert reading
    assert [
        step.line for step in reading if "--raw-input" not in step.command or "fromjson?" not in step.command
    ] == []


def test_few_commands_are_not_run_and_each_has_a_reason() -> None:
    for document in (GUIDE, RUNBOOK):
        text = document.read_text()
        all_steps = list(steps(text))
        not_run = [step for step in all_steps if step.not_run]
        assert len(not_run) * 10 <= len(all_steps), document.name
        assert text.count("\n$ ") == len(all_steps), "a command stands outside of a block of commands"
        assert "```bash" not in text, document.name
        assert "```sh" not in text, document.name
