"""The load test and the check of the API, against a running service."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import requests

from tests.service.conftest import Service, command, environment, free_port
from toolcatalog.settings import PROJECT_ROOT

SCENARIOS = {"list", "search by name", "get by name", "enabled filter", "latest version", "stats"}


def load_test(url: str, output: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("loadtest", "--url", url, "--output", str(output), *options),
        env=environment(PROJECT_ROOT), cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_a_load_test_is_scored_and_written_down(service: Service, tmp_path: Path) -> None:
    before = requests.get(f"{service.url}/api/v1/tools/metrics", timeout=10).json()["requests_total"]
    made = load_test(service.url, tmp_path, "--users", "4", "--seconds", "5", "--think-time", "0.02")
    found = json.loads((tmp_path / "result.json").read_text())
    assert made.returncode == (0 if found["score"] >= 70 else 1), made.stderr
    assert f"Score: {found['score']}/100" in made.stdout
    assert "5 of 5 s" in made.stderr
    assert set(found["scenarios"]) == SCENARIOS
    assert all(name in made.stdout for name in SCENARIOS)
    total = found["total"]
    assert total["failures"] == 0
    assert sum(one["requests"] for one in found["scenarios"].values()) == total["requests"] > 100
    assert found["scenarios"]["list"]["requests"] > found["scenarios"]["stats"]["requests"]
    assert 0 < total["p50_ms"] <= total["p95_ms"] <= total["p99_ms"]
    after = requests.get(f"{service.url}/api/v1/tools/metrics", timeout=10).json()["requests_total"]
    assert after - before >= total["requests"]
    seen = found["service"]
    assert seen["memory_mb_max"] > 50
    assert 0 < seen["cpu_percent_max"] < 800
    assert 0 < seen["cache_hit_rate"] <= 1
    assert "<html" in (tmp_path / "report.html").read_text()


def test_what_cannot_be_loaded_is_told_in_one_line(tmp_path: Path) -> None:
    made = load_test(f"http://127.0.0.1:{free_port()}", tmp_path, "--seconds", "1")
    assert made.returncode == 1
    (line,) = made.stderr.strip().splitlines()
    assert line.startswith("Error: http://127.0.0.1:")
    assert "does not answer" in line


@pytest.mark.parametrize("has_key", [True, False])
def test_the_check_of_the_api_says_what_passed(service: Service, *, has_key: bool) -> None:
    """A key that the service does not ask for does no harm."""
    key = {"TOOL_CATALOG_KEY": "tc_00000000_" + "0" * 64} if has_key else {}
    made = subprocess.run(
        ["scripts/test_api.sh", service.url],
        env={**os.environ, **key}, cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout
    assert made.stdout.splitlines()[-1] == "18 passed, 0 failed"


def test_the_check_of_the_api_fails_where_nothing_answers() -> None:
    made = subprocess.run(
        ["scripts/test_api.sh", f"http://127.0.0.1:{free_port()}"],
        cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert made.returncode == 1
    assert made.stderr.startswith("Nothing answers at http://127.0.0.1:")
