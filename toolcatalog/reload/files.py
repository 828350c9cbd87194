"""The definitions in a folder: which files there are, and what their bytes are. Knows no database.

A folder belongs to people who need not be trusted, and may hold anything by the name of a YAML file: only
regular files are opened, and no more of them is read than a definition may have.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from toolcatalog.errors import Finding
from toolcatalog.reload.time_limit import SECONDS, TimeLimit
from toolcatalog.sources import definitions
from toolcatalog.sources.definitions import Item, Source
from toolcatalog.sources.documents import MAX_BYTES

SUFFIXES = (".yaml", ".yml")
# A file that was written so shortly before it was read may be written again without another time stamp.
_COARSEST_CLOCK_SECONDS = 2.0
_TOO_LARGE = f"is larger than {MAX_BYTES:,} bytes"
# To open a FIFO waits for a writer, and to open a terminal may make it this process's own.
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe (FIFO)"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class _Signature(NamedTuple):
    """What tells whether a file is the one that was read; nobody can set its time of change (`ctime`)."""

    inode: int
    size: int
    modified_ns: int
    changed_ns: int


class NotRegular(OSError):
    """There is something else than a file by that name; it was not opened."""

    def __init__(self, path: Path, mode: int) -> None:
        kind = next((kind for is_kind, kind in _KINDS if is_kind(mode)), "something else")
        super().__init__(None, f"it is {kind}, not a file", str(path))


@dataclass(slots=True)
class Folder:
    """A folder of definitions, and what is known of its files, so that only those that changed are read.

    Whatever asks the file system raises `FolderHangs` when it does not answer within the time limit.
    """

    path: Path
    limit_seconds: float = SECONDS
    limit: TimeLimit = field(init=False)
    _hashes: dict[str, tuple[_Signature, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.limit = TimeLimit(self.path, self.limit_seconds)

    def list_all(self) -> tuple[list[Path], list[Finding]]:
        """Return the YAML files below the folder, in order, and what cannot be read."""

        def look_through(note_progress: Callable[[], None]) -> tuple[list[Path], list[Finding]]:
            found: list[Path] = []
            findings: list[Finding] = []
            for path in _find(self.path, findings):
                found.append(path)
                note_progress()
            return found, findings

        return self.limit.run(look_through)

    def hashes(self, findings: list[Finding]) -> dict[str, str]:
        """Return the SHA-256 of each YAML file, by path below the folder, in order.

        What cannot be read is not among them, and stands in `findings`. Of a file that is too large, it is
        that of its beginning.
        """
        found, unreadable = self.limit.run(self._look_through)
        findings += unreadable
        return found

    def _look_through(self, note_progress: Callable[[], None]) -> tuple[dict[str, str], list[Finding]]:
        found: dict[str, str] = {}
        findings: list[Finding] = []
        for path in _find(self.path, findings):
            name = path.relative_to(self.path).as_posix()
            note_progress()
            try:
                found[name] = self._hash(path, name)
            except OSError as error:
                findings.append(unreadable(path, error))
        return found, findings

    def _hash(self, path: Path, name: str) -> str:
        known = self._hashes.get(name)
        if known is not None and known[0] == _signature(path.stat()):
            return known[1]
        begun = time.time()
        data, status = _read(path)
        sha256 = hashlib.sha256(data).hexdigest()
        if max(status.st_mtime, status.st_ctime) < begun - _COARSEST_CLOCK_SECONDS:
            self._hashes[name] = (_signature(status), sha256)
        return sha256

    def read(self, name: str) -> list[Item]:
        """Read a file's definitions, each with its source and the place of what is wrong with it."""
        path = self.path / name
        try:
            data = self.limit.run(lambda _: content(path))
        except OSError as error:
            return [Item(None, (unreadable(path, error),))]
        if len(data) > MAX_BYTES:
            return [Item(None, (Finding((), _TOO_LARGE, str(path)),))]
        source = Source(name, hashlib.sha256(data).hexdigest())
        return list(definitions.read_yaml(data, file=str(path), source=source))


def content(path: Path) -> bytes:
    """Return what is in a regular file: all of it, or of a larger one `MAX_BYTES` and one byte more.

    Raises:
        OSError: when it cannot be read, or is no regular file.
    """
    return _read(path)[0]


def _read(path: Path) -> tuple[bytes, os.stat_result]:
    """Return a file's bytes, and its status before they were read."""
    _check_regular(path, path.stat())
    # What is opened may be another one by now, hence the flags and the second look.
    with os.fdopen(os.open(path, _FLAGS), "rb") as file:
        status = os.fstat(file.fileno())
        _check_regular(path, status)
        return file.read(MAX_BYTES + 1), status


def _check_regular(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise NotRegular(path, status.st_mode)


def _signature(status: os.stat_result) -> _Signature:
    return _Signature(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _find(folder: Path, findings: list[Finding]) -> Iterator[Path]:
    """Yield the YAML files below a folder, in order; hidden files and folders are left out.

    Links are followed. What cannot be listed, or has the name of a YAML file and is none, is said in
    `findings`.
    """

    def note(error: OSError) -> None:
        findings.append(unreadable(Path(error.filename or folder), error))

    seen: set[tuple[int, int]] = set()
    for at, folders, names in os.walk(folder, onerror=note, followlinks=True):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and _is_new(Path(at, name), seen)
        )
        findings += [
            Finding((), "is a folder, not a file", str(Path(at, name))) for name in folders if is_yaml(name)
        ]
        for name in sorted(filter(is_yaml, names)):
            try:
                _check_regular(Path(at, name), Path(at, name).stat())
            except OSError as error:
                note(error)
            else:
                yield Path(at, name)


def is_yaml(name: str) -> bool:
    """Tell by its name whether a file is one that definitions are read from."""
    return name.endswith(SUFFIXES) and not name.startswith(".")


def _is_new(folder: Path, seen: set[tuple[int, int]]) -> bool:
    """Tell whether a folder was not walked yet: links can lead in circles."""
    try:
        status = folder.stat()
    except OSError:
        return True  # os.walk will say why it cannot be listed
    place = (status.st_dev, status.st_ino)
    if place in seen:
        return False
    seen.add(place)
    return True


def unreadable(path: Path, error: OSError) -> Finding:
    """Say of a file or folder why it cannot be read."""
    return Finding((), f"cannot be read: {error.strerror}", str(path))
