"""The docs say what the code does."""

from __future__ import annotations

import re

import pytest

from docs.generate import FOLDER, PAGES
from scripts.drills import database_corrupted, failover, service_lost
from toolcatalog.core import definition


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_up_to_date(name: str) -> None:
    assert (FOLDER / name).read_text() == PAGES[name](), f"docs/{name} is out of date: run `make docs`"


def test_the_format_page_names_every_field() -> None:
    page = (FOLDER / "definition-format.md").read_text()
    schema = definition.json_schema()
    parts = ("Pattern", "Policy", "Preferences", "Input")
    fields = set(schema["properties"]).union(*(schema["$defs"][part]["properties"] for part in parts))
    assert {name for name in fields if f"`{name}`" not in page} == set()


def test_every_decision_has_its_parts_and_stands_in_the_index() -> None:
    folder = FOLDER / "decisions"
    index = (folder / "index.md").read_text()
    parts = ["Context", "Decision", "What it costs", "Think again when"]
    pages = sorted(path for path in folder.glob("*.md") if path.name != "index.md")
    for page in pages:
        assert re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE) == parts, page.name
        assert f"({page.name})" in index
    assert len(pages) == index.count(".md)")


def test_the_recovery_page_says_what_the_drills_do() -> None:
    page = (FOLDER / "backup-and-recovery.md").read_text()
    paths = {"archive": "/srv/archive", "rescued": "/srv/damaged/pg_wal"}
    for command in (database_corrupted.ARCHIVE_COMMAND, database_corrupted.RESTORE_COMMAND):
        assert f"_command = '{command.format(**paths)}'" in page
    for drill in (service_lost.DRILL, database_corrupted.DRILL, failover.DRILL):
        (line,) = re.findall(rf"^\| `{drill.name}` \| (\d+) (min|h) ", page, re.MULTILINE)
        assert int(line[0]) * {"min": 60, "h": 3600}[line[1]] == drill.limit_seconds
