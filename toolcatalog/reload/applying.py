"""Applying a folder of definitions to the catalog.

A file is applied whole or not at all: one that cannot be read, or that has an error anywhere, changes
nothing, and what it last said stays. What a file no longer says is retired, and can be restored.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from toolcatalog.core import versions
from toolcatalog.db import Database
from toolcatalog.errors import Finding, FolderHangs
from toolcatalog.models import Reload, SourceFile, ToolVersion
from toolcatalog.reload.files import Folder
from toolcatalog.services import imports, reloads, tools
from toolcatalog.services.changes import FILE, Actor, Journal
from toolcatalog.services.tools import Reference
from toolcatalog.sources.definitions import Item, Release, defined_already, release_of

# Any number, the same for all that apply a folder to this catalog: one does at a time.
_ONE_AT_A_TIME = 3005_0002
# More files than these, and a larger share, do not vanish at a wish: a mount is lost.
_MANY_FILES = 10
_LARGE_SHARE = 0.25

ToolVersionKey = tuple[str, str]
# A version as a file spells it, and that file.
Claim = tuple[str, str]


@dataclass(slots=True)
class _Run:
    """One application: what is in the folder, what the catalog took from it before, and what is wrong."""

    session: Session
    folder: Folder
    present: dict[str, str]
    known: dict[str, str]
    findings: list[Finding]
    only: str | None
    # Which file says what, so that two that say the same do not take turns.
    claims: dict[Release, Claim] = field(default_factory=dict)
    applied: dict[str, list[ToolVersionKey]] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)


def apply(
    database: Database,
    folder: Folder,
    trigger: str,
    *,
    only: str | None = None,
    accept_removals: bool = False,
    request_id: str | None = None,
    on_file: Callable[[str], None] = lambda _: None,
) -> Reload:
    """Take in the files that are new or changed since they were last taken in, and retire what vanished.

    Returns what came of it, as it is kept in the history: always if somebody asked for it, else only if it
    is news. `only` is the name of a tool: files without it wait. `on_file` is called for each file that is
    read. Whoever calls tells the caches.

    Raises:
        ConcurrentChange: when another transaction holds one of the tools.
        DatabaseUnavailable: when PostgreSQL cannot be reached, or another reload takes long.
    """
    begun = time.monotonic()
    findings: list[Finding] = []
    outcome = Reload(trigger=trigger, host=socket.gethostname(), pid=os.getpid(), request_id=request_id)
    try:
        present = folder.hashes(findings)
        with database.write() as session:
            session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ONE_AT_A_TIME})
            taken_in = session.execute(select(SourceFile.path, SourceFile.sha256))
            known = {path: sha256 for path, sha256 in taken_in}  # noqa: C416 - dict() of rows has no types
            run = _Run(session, folder, present, known, findings, only)
            journal = Journal(session, Actor(FILE, request_id))
            outcome.counts = _apply(run, journal, on_file, accept_removals=accept_removals)
            journal.close()
            outcome.revision = journal.revision or None
            _keep(session, outcome, begun, findings, len(present))
    except FolderHangs as error:
        # Nothing was changed: what was about to be is rolled back.
        outcome.counts = {**imports.count([]), "retired": 0}
        with database.write() as session:
            _keep(session, outcome, begun, [Finding((), str(error), str(folder.path))], 0)
    return outcome


def _keep(session: Session, outcome: Reload, begun: float, findings: list[Finding], files: int) -> None:
    outcome.result = _result(findings, files)
    outcome.duration_ms = round(1000 * (time.monotonic() - begun), 1)
    outcome.files = files
    outcome.errors = [_written(finding) for finding in findings]
    reloads.keep(session, outcome)


def _apply(
    run: _Run, journal: Journal, on_file: Callable[[str], None], *, accept_removals: bool
) -> dict[str, int]:
    changed = [name for name, sha256 in run.present.items() if run.known.get(name) != sha256]
    run.claims = _claims(run, set(changed))
    items = _items(run, changed, on_file)
    results = list(imports.take_in(journal, items, overwrite=True, partial=True))
    failed = [finding for one in results for finding in one.findings]
    run.findings += failed
    _forget(run, {finding.file for finding in failed})
    retired = _retire_what_files_left_out(run, journal)
    retired += _retire_vanished(run, journal, accept_removals=accept_removals)
    _remember(run)
    return {**imports.count(results), "retired": retired}


def _claims(run: _Run, changed: set[str]) -> dict[Release, Claim]:
    """Say which tools the files define that have not changed."""
    query = select(ToolVersion.tool_name, ToolVersion.version, ToolVersion.source_path).where(
        ToolVersion.source_kind == "file", ToolVersion.retired_at.is_(None)
    )
    unchanged = set(run.present) - changed
    return {
        (name, versions.key(version)): (version, path)
        for name, version, path in run.session.execute(query)
        if path in unchanged
    }


def _items(run: _Run, changed: list[str], on_file: Callable[[str], None]) -> Iterator[Item]:
    for name in changed:
        on_file(name)
        items = run.folder.read(name)
        if run.only is not None and run.only not in [
            one.definition and one.definition.tool_name for one in items
        ]:
            continue
        findings = [finding for item in items for finding in (*item.findings, *_clashes(run, name, item))]
        if findings:
            run.findings += findings
            continue
        keys = [(item.definition.tool_name, item.definition.version) for item in items if item.definition]
        run.claims.update(
            (release_of(item.definition), (item.definition.version, name))
            for item in items
            if item.definition
        )
        run.applied[name] = keys
        run.sha256[name] = next((item.source.sha256 for item in items if item.source), run.present[name])
        yield from items


def _clashes(run: _Run, name: str, item: Item) -> Iterator[Finding]:
    if item.definition is None:
        return
    version, owner = run.claims.get(release_of(item.definition), ("", name))
    if owner != name:
        yield defined_already(item, version, owner)


def _forget(run: _Run, files: set[str | None]) -> None:
    """Have files read again at the next look: what they say was not taken in."""
    for name in [name for name in run.applied if str(run.folder.path / name) in files]:
        del run.applied[name], run.sha256[name]


def _retire_what_files_left_out(run: _Run, journal: Journal) -> int:
    """Retire what applied files do not say any more.

    An older version than those that a file says is history, and stays.
    """
    going = []
    for row in _rows_of(run, list(run.applied)):
        said = [version for name, version in run.applied[row.source_path or ""] if name == row.tool_name]
        if row.version in said:
            continue
        if all(versions.is_newer(row.version, than=version) for version in said):
            going.append(row)
    return _retire(journal, going)


def _retire_vanished(run: _Run, journal: Journal, *, accept_removals: bool) -> int:
    vanished = sorted(set(run.known) - set(run.present))
    if not vanished or run.only is not None:
        return 0
    if any(finding.message.startswith("cannot be read") for finding in run.findings):
        return 0  # a folder that cannot be listed hides files, it does not remove them
    if not accept_removals and len(vanished) > max(_MANY_FILES, _LARGE_SHARE * len(run.known)):
        message = (
            f"{len(vanished)} of {len(run.known)} files vanished at once, as when a mount is lost, "
            "so their tools were kept; if it is meant: toolcatalog reload --accept-removals"
        )
        run.findings.append(Finding((), message, str(run.folder.path)))
        return 0
    retired = _retire(journal, _rows_of(run, vanished))
    run.session.execute(delete(SourceFile).where(SourceFile.path.in_(vanished)))
    return retired


def _rows_of(run: _Run, paths: list[str]) -> list[ToolVersion]:
    query = select(ToolVersion).where(ToolVersion.source_path.in_(paths), ToolVersion.retired_at.is_(None))
    return list(run.session.scalars(query.order_by(ToolVersion.tool_name, ToolVersion.version)))


def _retire(journal: Journal, going: list[ToolVersion]) -> int:
    for row in going:
        tools.retire(journal, Reference(id=row.tool_id), row.version)
    return len(going)


def _remember(run: _Run) -> None:
    if run.sha256:
        rows = [{"path": path, "sha256": sha256} for path, sha256 in run.sha256.items()]
        statement = insert(SourceFile)
        statement = statement.on_conflict_do_update(
            index_elements=[SourceFile.path],
            set_={"sha256": statement.excluded.sha256},
        )
        run.session.execute(statement, rows)


def _result(findings: list[Finding], files: int) -> str:
    if not findings:
        return "success"
    broken = {finding.file for finding in findings}
    return "failure" if len(broken) >= files else "partial"


def _written(finding: Finding) -> dict[str, Any]:
    return {
        "file": finding.file,
        "line": finding.line,
        "path": ".".join(str(step) for step in finding.path),
        "message": finding.message,
    }
