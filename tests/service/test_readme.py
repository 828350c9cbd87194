"""The README's tour: every command is run, and prints what the README says."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.transcript import steps
from tests.service.conftest import Service
from toolcatalog.settings import PROJECT_ROOT

README = (PROJECT_ROOT / "README.md").read_text()


def test_the_tour_prints_what_the_readme_says(service: Service, tmp_path: Path) -> None:
    for program in ("curl", "jq"):
        if shutil.which(program) is None:
            pytest.skip(f"the README's tour needs {program}, which is not installed here")
    for step in steps(README):
        here = step.command.replace("http://127.0.0.1:3005", service.url)
        done = subprocess.run(["bash", "-c", here], cwd=tmp_path, capture_output=True, timeout=30)
        assert step.is_met_by(done.stdout.decode()), (
            f"README.md:{step.line}: $ {here}\n{done.stdout.decode()}"
        )


def test_every_link_of_the_readme_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    for link in links:
        assert (PROJECT_ROOT / link).exists(), link
