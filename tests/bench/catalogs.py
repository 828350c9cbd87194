"""Catalogs of any size, imported as their owners would."""

from __future__ import annotations

import os
import random
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.conftest import tool
from tests.service.conftest import command, environment
from toolcatalog.settings import PROJECT_ROOT

_PLATFORMS = ("linux", "macos", "windows", "network")
_SUBJECTS = ("disk", "process", "service", "network", "log", "file", "backup", "user", "container", "index")
_VERBS = (
    "shows",
    "lists",
    "measures",
    "checks",
    "compares",
    "finds",
    "counts",
    "explains",
    "watches",
    "sorts",
)
_MATTERS = (
    "usage",
    "latency",
    "errors",
    "owners",
    "limits",
    "versions",
    "rights",
    "history",
    "queues",
    "locks",
)


def name_of(number: int) -> str:
    return f"tool-{number:06}"


@dataclass(frozen=True)
class Import:
    """How long an import took, and the most memory that it used."""

    seconds: float
    peak_mb: float


def write(folder: Path, count: int) -> None:
    """Write so many definitions, some 2 KB each, no two with the same words; a thousand to a file."""
    folder.mkdir()
    chance = random.Random(1)
    document = tool("THE-NAME", platform="THE-PLATFORM", description="THE-DESCRIPTION")
    text = yaml.dump(document, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper))
    for first in range(0, count, 1_000):
        with (folder / f"{first}.yaml").open("w") as file:
            for number in range(first, min(first + 1_000, count)):
                said = (
                    f"{chance.choice(_VERBS).capitalize()} {chance.choice(_SUBJECTS)} "
                    f"{chance.choice(_MATTERS)} of the {chance.choice(_SUBJECTS)} number{number % 997}"
                )
                file.write("---\n")
                file.write(
                    text.replace("THE-NAME", name_of(number))
                    .replace("THE-PLATFORM", _PLATFORMS[number % len(_PLATFORMS)])
                    .replace("THE-DESCRIPTION", said)
                )


def take_in(database_url: str, folder: Path) -> Import:
    """Import a folder with the command line."""
    begun = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command("import", str(folder)),
            env=environment(PROJECT_ROOT, DATABASE_URL=database_url), cwd=PROJECT_ROOT,
            stdout=output, stderr=output,
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        assert process.returncode == 0, output.read()
    return Import(time.monotonic() - begun, usage.ru_maxrss / 1024)


def search_words(number: int) -> str:
    """A request that no two numbers under 100,000 have in common."""
    verb, subject = _VERBS[number % 10], _SUBJECTS[number // 10 % 10]
    return f"{verb} {subject} {_MATTERS[number // 100 % 10]} number{number // 1000}"
