"""The README's tour: every command is run, and prints what the README says."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.conftest import Service
from toolcatalog.settings import PROJECT_ROOT

README = (PROJECT_ROOT / "README.md").read_text()


def steps() -> Iterator[tuple[str, str]]:
    """The commands of the tour in order, each with what it is said to print."""
    for block in re.findall(r"^```console\n(.*?)^```", README, re.MULTILINE | re.DOTALL):
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = step.partition("\n")
            yield command, output


def test_the_tour_prints_what_the_readme_says(service: Service, tmp_path: Path) -> None:
    for program in ("curl", "jq"):
        if shutil.which(program) is None:
            pytest.skip(f"the README's tour needs {program}, which is not installed here")
    for command, expected in steps():
        here = command.replace("http://127.0.0.1:3005", service.url)
        done = subprocess.run(["bash", "-c", here], cwd=tmp_path, capture_output=True, timeout=30)
        pattern = re.escape(expected).replace(re.escape("..."), ".*")
        assert re.fullmatch(pattern, done.stdout.decode()), f"$ {here}\n{done.stdout.decode()}"


def test_every_link_of_the_readme_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    for link in links:
        assert (PROJECT_ROOT / link).exists(), link
