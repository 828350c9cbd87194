"""What has the name of a YAML file and is none, and files that pretend not to have changed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.service.conftest import command, environment
from toolcatalog.errors import Finding, FolderHangs
from toolcatalog.reload import files
from toolcatalog.reload.files import Folder
from toolcatalog.settings import PROJECT_ROOT


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


def make_link_to_endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def make_link_to_nothing(path: Path) -> None:
    path.symlink_to("nowhere.yaml")


def make_link_to_fifo(path: Path) -> None:
    os.mkfifo(path.with_suffix(".fifo"))
    path.symlink_to(path.with_suffix(".fifo"))


def make_folder(path: Path) -> None:
    path.mkdir()


KINDS: list[tuple[Callable[[Path], None], str]] = [
    (make_fifo, "cannot be read: it is a named pipe (FIFO), not a file"),
    (make_socket, "cannot be read: it is a socket, not a file"),
    (make_link_to_endless, "cannot be read: it is a device, not a file"),
    (make_link_to_nothing, "cannot be read: No such file or directory"),
    (make_link_to_fifo, "cannot be read: it is a named pipe (FIFO), not a file"),
    (make_folder, "is a folder, not a file"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "good.yaml").write_text("tool_name: good\ndescription: fine\n")
    return Folder(tmp_path, limit_seconds=10)


@pytest.fixture
def stuck() -> Iterator[threading.Event]:
    """What a system call that never returns waits for; it is let go of after the test."""
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.parametrize(("make", "message"), KINDS, ids=[make.__name__ for make, _ in KINDS])
def test_what_is_no_regular_file_is_named_and_not_opened(
    folder: Folder, make: Callable[[Path], None], message: str
) -> None:
    odd = folder.path / "odd.yaml"
    make(odd)
    findings: list[Finding] = []
    assert list(folder.hashes(findings)) == ["good.yaml"]
    assert findings == [Finding((), message, str(odd))]
    assert folder.list_all() == ([folder.path / "good.yaml"], findings)


@pytest.mark.parametrize(("make", "message"), KINDS[:-1], ids=[make.__name__ for make, _ in KINDS[:-1]])
def test_what_takes_the_place_of_a_file_after_it_was_listed_is_not_waited_for(
    folder: Folder, make: Callable[[Path], None], message: str
) -> None:
    make(folder.path / "odd.yaml")
    [item] = folder.read("odd.yaml")
    assert item.findings == (Finding((), message, str(folder.path / "odd.yaml")),)


@pytest.mark.parametrize(("make", "message"), KINDS, ids=[make.__name__ for make, _ in KINDS])
def test_validate_names_it_and_fails(folder: Folder, make: Callable[[Path], None], message: str) -> None:
    odd = folder.path / "odd.yaml"
    make(odd)
    done = subprocess.run(
        command("validate", str(folder.path)),
        env=environment(PROJECT_ROOT), cwd=folder.path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "1 definitions, 1 errors, 3 warnings.\n")
    assert done.stderr.splitlines()[0] == f"{odd}: {message}"


def test_a_pipe_that_is_named_is_read() -> None:
    """As a shell names one for `validate <(...)`."""
    done = subprocess.run(
        command("validate", "/dev/stdin"),
        input="tool_name: good\ndescription: fine\n",
        env=environment(PROJECT_ROOT), cwd=PROJECT_ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == "1 definitions, 0 errors, 3 warnings.\n", done.stderr


def test_of_a_file_that_is_too_large_only_the_beginning_is_read(folder: Folder) -> None:
    large = folder.path / "large.yaml"
    with large.open("wb") as file:
        file.truncate(1 << 40)  # a terabyte, none of it on the disk
    findings: list[Finding] = []
    assert list(folder.hashes(findings)) == ["good.yaml", "large.yaml"]
    assert findings == []
    [item] = folder.read("large.yaml")
    assert item.findings == (Finding((), "is larger than 67,108,864 bytes", str(large)),)


def test_a_file_that_was_rewritten_with_the_same_size_and_time_is_read_again(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_COARSEST_CLOCK_SECONDS", -60.0)  # as if it had not just been written
    good = folder.path / "good.yaml"
    status = good.stat()
    before = folder.hashes([])
    assert folder.hashes([]) == before
    good.write_text("tool_name: good\ndescription: nice\n")
    os.utime(good, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert good.stat().st_size == status.st_size
    assert folder.hashes([]) != before


def test_a_file_that_did_not_change_is_not_read_again(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_COARSEST_CLOCK_SECONDS", -60.0)
    before = folder.hashes([])
    monkeypatch.setattr(files, "_read", None)
    assert folder.hashes([]) == before


def test_a_folder_that_does_not_answer_is_given_up_until_it_does(
    folder: Folder, stuck: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Folder(folder.path, limit_seconds=0.2)
    walk = os.walk
    with monkeypatch.context() as patched:
        patched.setattr(os, "walk", lambda *args, **options: stuck.wait() and walk(*args, **options))
        with pytest.raises(FolderHangs) as raised:
            folder.hashes([])
    assert str(raised.value) == (
        f"{folder.path} has not answered within 0.2 seconds. If it is on a network file system, see whether "
        "its server can be reached; reloading goes on when the folder answers."
    )
    with pytest.raises(FolderHangs):  # it would answer now, but is not asked while it owes an answer
        folder.read("good.yaml")
    stuck.set()
    for thread in threading.enumerate():
        if thread.name == "toolcatalog-files":
            thread.join()
    assert list(folder.hashes([])) == ["good.yaml"]


def test_a_slow_folder_is_not_given_up_while_it_makes_progress(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        (folder.path / f"{number}.yaml").write_text("{}")
    folder = Folder(folder.path, limit_seconds=2.0)
    read = files._read
    pause = threading.Event()
    monkeypatch.setattr(files, "_read", lambda path: (pause.wait(0.15), read(path))[1])
    assert len(folder.hashes([])) == 21


_HANGS = """
import os, threading
from toolcatalog import cli
from toolcatalog.reload import files, time_limit
os.walk = lambda *_, **__: threading.Event().wait()
files.TimeLimit = lambda folder, _: time_limit.TimeLimit(folder, 0.2)
cli.main()
"""


def test_the_command_line_gives_up_and_ends(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _HANGS, "validate", str(tmp_path)],
        env=environment(PROJECT_ROOT), cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith(f"toolcatalog: {tmp_path} has not answered within 0.2 seconds.")
    assert done.stderr.count("\n") == 1
