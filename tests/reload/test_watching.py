"""Which folders are watched, and what in them is news."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from toolcatalog.reload.watching import Watcher


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "tools"
    made.mkdir()
    return made


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    made = tmp_path / "elsewhere"
    made.mkdir()
    (made / "grep.yaml").write_text("tool_name: grep\n")
    return made


@pytest.fixture
def watcher(folder: Path) -> Iterator[Watcher]:
    made = Watcher(folder, polling=False)
    yield made
    made.stop()


def refresh(watcher: Watcher) -> bool:
    return watcher.refresh(lambda: None)


def drain(watcher: Watcher) -> None:
    while watcher.wait(0.3):
        pass


def test_the_target_of_a_linked_file_is_watched(watcher: Watcher, folder: Path, elsewhere: Path) -> None:
    (folder / "grep.yaml").symlink_to(elsewhere / "grep.yaml")
    assert refresh(watcher)
    drain(watcher)
    (elsewhere / "grep.yaml").write_text("tool_name: sed\n")
    assert watcher.wait(10)
    (elsewhere / "new").write_text("tool_name: awk\n")
    drain(watcher)
    (elsewhere / "new").rename(elsewhere / "grep.yaml")
    assert watcher.wait(10)


def test_so_is_each_link_on_the_way_to_it(
    watcher: Watcher, folder: Path, elsewhere: Path, tmp_path: Path
) -> None:
    between = tmp_path / "between"
    between.mkdir()
    (between / "current").symlink_to("../elsewhere/grep.yaml")
    (folder / "grep.yaml").symlink_to(between / "current")
    assert refresh(watcher)
    drain(watcher)
    (between / "next").symlink_to("../elsewhere/other.yaml")
    drain(watcher)
    (between / "next").rename(between / "current")
    assert watcher.wait(10)


def test_what_else_is_beside_the_target_is_no_news(watcher: Watcher, folder: Path, elsewhere: Path) -> None:
    (folder / "grep.yaml").symlink_to(elsewhere / "grep.yaml")
    assert refresh(watcher)
    drain(watcher)
    (elsewhere / "other.yaml").write_text("tool_name: sed\n")
    (elsewhere / "below").mkdir()
    (elsewhere / "other.yaml").unlink()
    assert not watcher.wait(1)


def test_a_link_in_a_linked_folder_is_followed(
    watcher: Watcher, folder: Path, elsewhere: Path, tmp_path: Path
) -> None:
    (tmp_path / "linked").mkdir()
    (folder / "linked").symlink_to(tmp_path / "linked")
    (tmp_path / "linked" / "further").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(folder)  # in a circle
    assert refresh(watcher)
    assert not refresh(watcher)
    drain(watcher)
    (elsewhere / "grep.yaml").write_text("tool_name: sed\n")
    assert watcher.wait(10)
