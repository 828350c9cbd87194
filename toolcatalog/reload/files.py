"""The definitions in a folder: which files there are, and what their bytes are. Knows no database."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from toolcatalog.errors import Finding
from toolcatalog.sources import definitions
from toolcatalog.sources.definitions import Item, Source
from toolcatalog.sources.documents import MAX_BYTES

SUFFIXES = (".yaml", ".yml")
# A file that was written so shortly before it was read may be written again without another time stamp.
_COARSEST_CLOCK_SECONDS = 2.0


class _Signature(NamedTuple):
    inode: int
    size: int
    modified_ns: int


@dataclass(slots=True)
class Folder:
    """A folder of definitions, and what is known of its files, so that only those that changed are read."""

    path: Path
    _hashes: dict[str, tuple[_Signature, str]] = field(default_factory=dict)

    def hashes(self, findings: list[Finding]) -> dict[str, str]:
        """Return the SHA-256 of each YAML file, by path below the folder, in order.

        What cannot be read is not among them, and stands in `findings`.
        """
        found: dict[str, str] = {}
        for path in find(self.path, findings):
            name = path.relative_to(self.path).as_posix()
            try:
                found[name] = self._hash(path, name)
            except OSError as error:
                findings.append(_unreadable(path, error))
        return found

    def _hash(self, path: Path, name: str) -> str:
        status = path.stat()
        signature = _Signature(status.st_ino, status.st_size, status.st_mtime_ns)
        known = self._hashes.get(name)
        if known is not None and known[0] == signature:
            return known[1]
        begun = time.time()
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if status.st_mtime < begun - _COARSEST_CLOCK_SECONDS:
            self._hashes[name] = (signature, sha256)
        return sha256

    def read(self, name: str) -> list[Item]:
        """Read a file's definitions, each with its source and the place of what is wrong with it."""
        path = self.path / name
        try:
            if path.stat().st_size > MAX_BYTES:
                return [Item(None, (Finding((), f"is larger than {MAX_BYTES:,} bytes", str(path)),))]
            data = path.read_bytes()
        except OSError as error:
            return [Item(None, (_unreadable(path, error),))]
        source = Source(name, hashlib.sha256(data).hexdigest())
        return list(definitions.read_yaml(data, file=str(path), source=source))


def find(folder: Path, findings: list[Finding]) -> Iterator[Path]:
    """Yield the YAML files below a folder, in order; hidden files and folders are left out.

    Links are followed. A folder that cannot be listed is said in `findings`.
    """

    def note(error: OSError) -> None:
        findings.append(_unreadable(Path(error.filename or folder), error))

    seen: set[tuple[int, int]] = set()
    for at, folders, names in os.walk(folder, onerror=note, followlinks=True):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and _is_new(Path(at, name), seen)
        )
        for name in sorted(names):
            if name.endswith(SUFFIXES) and not name.startswith("."):
                yield Path(at, name)


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


def _unreadable(path: Path, error: OSError) -> Finding:
    return Finding((), f"cannot be read: {error.strerror}", str(path))
