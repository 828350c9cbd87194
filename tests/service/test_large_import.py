"""10,000 definitions: in, out, and flat in memory."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml
from flask import Flask
from flask.testing import FlaskClient

from tests.conftest import tool
from tests.service.conftest import command, environment
from toolcatalog.settings import PROJECT_ROOT

# What 8,000 more definitions may take: their text and their results, and the noise of an allocator.
ALLOWED_GROWTH_MB = 40


def imported(database_url: str, path: Path, count: int) -> float:
    """Import so many definitions, and return the most memory that it took, in MB."""
    text = yaml.dump(tool("NAME"), Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper))
    path.write_text("---\n".join(text.replace("NAME", f"tool {count} {number}") for number in range(count)))
    environ = environment(PROJECT_ROOT, DATABASE_URL=database_url)
    with subprocess.Popen(command("import", str(path)), env=environ, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert (process.returncode, output.decode()) == (
        0,
        f"{count} created, 0 updated, 0 unchanged, 0 failed.\n",
    )
    return usage.ru_maxrss / 1024


@pytest.mark.slow
@pytest.mark.unhurried
def test_memory_is_flat_over_ten_thousand_definitions(
    app: Flask, client: FlaskClient, database_url: str, tmp_path: Path
) -> None:
    small = imported(database_url, tmp_path / "small.yaml", 2_000)
    large = imported(database_url, tmp_path / "large.yaml", 10_000)
    assert large - small < ALLOWED_GROWTH_MB, (small, large)
    assert client.get("/api/v1/tools?view=summary").headers["X-Total-Count"] == "12000"
    assert client.get("/api/v1/changes?since=11999").json["revision"] == 12_000
