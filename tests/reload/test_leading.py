"""A leader whose folder does not answer: it lets another one lead, and comes back when it can."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tests.cluster import eventually
from toolcatalog.db import Database
from toolcatalog.reload import applying, leading
from toolcatalog.reload.files import Folder
from toolcatalog.reload.leading import LOCK, Reloader
from toolcatalog.reload.watching import Watcher
from toolcatalog.services import reloads


@dataclass
class Disk:
    """The file system as this process sees it, which may stop answering."""

    answers: threading.Event = field(default_factory=threading.Event)
    walk: Callable[..., Any] = os.walk

    def hanging_walk(self, *arguments: Any, **options: Any) -> Any:
        self.answers.wait()
        return self.walk(*arguments, **options)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    disk = Disk()
    disk.answers.set()
    monkeypatch.setattr(os, "walk", disk.hanging_walk)
    yield disk
    disk.answers.set()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "grep.yaml").write_text("tool_name: grep\ndescription: finds\n")
    return Folder(tmp_path, limit_seconds=0.5)


@pytest.fixture
def reloader(database: Database, database_url: str, folder: Folder) -> Iterator[Reloader]:
    def reload(trigger: str) -> None:
        applying.apply(database, folder, trigger)

    made = Reloader(database_url, Watcher(folder.path, polling=False), folder.limit, reload)
    made.start()
    yield made
    made.stop()


def leader(database: Database) -> str | None:
    with database.read() as connection:
        return reloads.find_leader(connection, LOCK)


def last(database: Database) -> tuple[str | None, list[str]]:
    with database.read() as connection:
        found = reloads.find_last(connection)
    return (None, []) if found is None else (found.result, [error["message"] for error in found.errors])


def count(database: Database) -> int:
    with database.read() as connection:
        return connection.scalar(text("SELECT count(*) FROM tools")) or 0


def test_it_gives_up_the_lead_says_so_and_leads_again_when_the_folder_answers(
    database: Database, folder: Folder, disk: Disk, reloader: Reloader, caplog: pytest.LogCaptureFixture
) -> None:
    eventually(lambda: last(database) == ("success", []))
    assert leader(database)
    disk.answers.clear()
    eventually(lambda: leader(database) is None)
    message = (
        f"{folder.path} has not answered within 0.5 seconds. If it is on a network file system, see whether "
        "its server can be reached; reloading goes on when the folder answers."
    )
    eventually(lambda: last(database) == ("failure", [message]))
    outcome = applying.apply(database, folder, "api")
    assert (outcome.result, outcome.counts) == (
        "failure",
        {"created": 0, "updated": 0, "unchanged": 0, "failed": 0, "retired": 0},
    )
    assert count(database) == 1  # what the folder said stays
    said = [record.message for record in caplog.records if record.name == leading.__name__]
    assert said == [f"This worker gives up watching the definitions: {message}"]
    (folder.path / "sed.yaml").write_text("tool_name: sed\ndescription: edits\n")
    disk.answers.set()
    eventually(lambda: count(database) == 2)
    assert last(database) == ("success", [])
    assert leader(database)


def test_a_stop_does_not_wait_for_a_folder_that_hangs(
    database: Database, disk: Disk, reloader: Reloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    eventually(lambda: last(database) == ("success", []))
    monkeypatch.setattr(leading, "_STOP_SECONDS", 0.2)
    disk.answers.clear()
    eventually(lambda: leader(database) is None)
    reloader.stop()
    assert reloader._thread.daemon
    disk.answers.set()
    eventually(lambda: not reloader._thread.is_alive())


def test_an_error_that_nobody_foresaw_does_not_end_the_watching(
    database: Database, folder: Folder, reloader: Reloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    eventually(lambda: last(database) == ("success", []))
    with monkeypatch.context() as patched:
        patched.setattr(Watcher, "refresh", lambda *_: 1 / 0)
        time.sleep(1.5)
    (folder.path / "sed.yaml").write_text("tool_name: sed\ndescription: edits\n")
    eventually(lambda: count(database) == 2)
