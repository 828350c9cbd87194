"""The definitions in a folder: found, compared with what the catalog took from them, and applied.

A file is applied whole or not at all: one that cannot be read, or that has an error anywhere, changes
nothing, and what it last said stays.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from toolcatalog.db import Database
from toolcatalog.errors import Finding
from toolcatalog.services import imports
from toolcatalog.services.changes import Actor, Journal
from toolcatalog.sources import definitions
from toolcatalog.sources.definitions import Item, Source
from toolcatalog.sources.documents import MAX_BYTES

SUFFIXES = (".yaml", ".yml")


@dataclass(slots=True)
class Applied:
    """What became of a folder: how many definitions were created, updated or left, and what was refused."""

    counts: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def find(folder: Path) -> list[Path]:
    """List the YAML files below a folder, in order; hidden files and folders are left out."""
    found = []
    for at, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            Path(at, name) for name in sorted(names) if name.endswith(SUFFIXES) and not name.startswith(".")
        ]
    return found


def apply(
    database: Database, folder: Path, actor: Actor, on_file: Callable[[Path], None] = lambda _: None
) -> Applied:
    """Take in the files of a folder that are new or have changed since they were last taken in.

    `on_file` is called for each file before it is read.
    """
    applied = Applied()
    with database.read() as session:
        known = imports.known_files(session)
    with database.write() as session:
        journal = Journal(session, actor)
        items = _changed(folder, known, applied, on_file)
        results = list(imports.take_in(journal, items, overwrite=True, partial=True))
        journal.close()
    applied.counts = imports.count(results)
    applied.findings += [finding for one in results for finding in one.findings]
    return applied


def _changed(
    folder: Path, known: Mapping[str, str], applied: Applied, on_file: Callable[[Path], None]
) -> Iterator[Item]:
    for path in find(folder):
        on_file(path)
        items = _read(path, path.relative_to(folder).as_posix(), known)
        findings = [finding for item in items for finding in item.findings]
        applied.findings += findings
        if not findings:
            yield from items


def _read(path: Path, name: str, known: Mapping[str, str]) -> list[Item]:
    """Read a file's definitions; none when the catalog has taken in just these bytes."""
    try:
        if path.stat().st_size > MAX_BYTES:
            return [Item(None, (Finding((), f"is larger than {MAX_BYTES:,} bytes", str(path)),))]
        data = path.read_bytes()
    except OSError as error:
        return [Item(None, (Finding((), f"cannot be read: {error.strerror}", str(path)),))]
    sha256 = hashlib.sha256(data).hexdigest()
    if known.get(name) == sha256:
        return []
    return list(definitions.read_yaml(data, file=str(path), source=Source(name, sha256)))
