"""Taking in many definitions at once: all or nothing, or each for itself.

It goes in batches, so that memory stays flat.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeVar

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from toolcatalog.core import definition as definitions
from toolcatalog.core.definition import Definition
from toolcatalog.core.merge import is_same
from toolcatalog.errors import AlreadyExists, CatalogError, Finding, ImportRejected
from toolcatalog.models import Tool, ToolVersion
from toolcatalog.services import tools
from toolcatalog.services.changes import Journal
from toolcatalog.services.tools import Identity
from toolcatalog.sources.definitions import Item, Releases, Source, name_finding

# Enough that the time goes into rows and not into round trips; some 2 MB of definitions.
BATCH = 500


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a document: `created`, `updated`, `unchanged` or `failed`. `index` counts from 0."""

    index: int
    tool_name: str | None
    version: str | None
    result: str
    findings: tuple[Finding, ...] = ()


@dataclass(slots=True)
class _Known:
    """A tool that a batch touches, and all its versions, those added by the batch too."""

    tool: Identity
    versions: list[ToolVersion]


def take_in(
    journal: Journal, items: Iterable[Item], *, overwrite: bool = False, partial: bool = False
) -> Iterator[Result]:
    """Write definitions, yielding a result for each as it is written.

    A version that is there is left as it is when it says the same, replaced with `overwrite`, and an error
    without. What is retired is restored: as it was when it says the same, replaced with `overwrite`. But what
    somebody retired is left alone by files.

    Raises:
        ImportRejected: at the end, when a definition is invalid and not `partial`; the caller rolls back.
        AlreadyExists: likewise, when all are valid, but some there already.
        ConcurrentChange: when another transaction holds one of the tools for long.
    """
    failed: list[Result] = []
    is_invalid = False
    seen = Releases()
    for batch in _batches(enumerate(items), BATCH):
        known = _lock(journal.session, [item.definition.tool_name for _, item in batch if item.definition])
        for index, item in batch:
            result = _take_one(journal, known, seen, index, item, overwrite=overwrite)
            if result.result == "failed":
                failed.append(result)
                is_invalid = is_invalid or item.definition is None
            yield result
        journal.forget_rows()
    if failed and not partial:
        raise _rejection(failed, is_invalid=is_invalid)


def _rejection(failed: list[Result], *, is_invalid: bool) -> CatalogError:
    """Say why nothing is written: invalid definitions, or else only such as are there already."""
    return (ImportRejected if is_invalid else AlreadyExists)(
        f"{len(failed)} of the definitions cannot be imported, so nothing was written.",
        [_placed(each, one.index) for one in failed for each in one.findings],
    )


def _placed(finding: Finding, index: int) -> Finding:
    """Say of which item a finding is, unless it names a file, in which its path leads there."""
    return finding if finding.file is not None else replace(finding, path=(index, *finding.path))


Element = TypeVar("Element")


def _batches(elements: Iterable[Element], size: int) -> Iterator[list[Element]]:
    iterator = iter(elements)
    while batch := list(islice(iterator, size)):
        yield batch


def _lock(session: Session, names: list[str]) -> dict[str, _Known]:
    """Lock the tools of these names, making those that are not there, in one order for all writers."""
    if not names:
        return {}
    ordered = sorted(set(names))
    identity = (Tool.id, Tool.tool_name)
    query = select(*identity).where(Tool.tool_name.in_(ordered)).order_by(Tool.tool_name).with_for_update()
    found = {name: Identity(tool_id, name) for tool_id, name in session.execute(query)}
    missing = [name for name in ordered if name not in found]
    if missing:
        made = session.execute(insert(Tool).returning(*identity), [{"tool_name": name} for name in missing])
        found |= {name: Identity(tool_id, name) for tool_id, name in made}
    known = {name: _Known(tool, []) for name, tool in found.items()}
    old = [tool.id for name, tool in found.items() if name not in missing]
    if old:
        for row in session.scalars(tools.to_change().where(ToolVersion.tool_id.in_(old))):
            known[row.tool_name].versions.append(row)
    return known


def _take_one(
    journal: Journal,
    known: dict[str, _Known],
    seen: Releases,
    index: int,
    item: Item,
    *,
    overwrite: bool,
) -> Result:
    definition = item.definition
    if definition is None:
        return Result(index, item.tool_name, item.version, "failed", item.findings)
    repeated = seen.find_first(index, item)
    if repeated is not None:
        return _failed(index, definition, repeated)
    entry = known[definition.tool_name]
    row = tools.find_in_the_way(entry.versions, definition.version)
    if row is not None and row.version != definition.version:
        return _failed(index, definition, name_finding(item, tools.in_the_way(row, definition.version)))
    if item.source is not None and tools.stays_retired(row, entry.versions):
        return _left_retired(row, index, definition, item.source)
    if row is None:
        row = tools.add_version(journal, entry.tool, entry.versions, definition)
        entry.versions.append(row)
        _set_source(row, item.source)
        return Result(index, row.tool_name, row.version, "created")
    return _take_again(journal, entry, row, index, item, definition, overwrite=overwrite)


def _left_retired(row: ToolVersion | None, index: int, definition: Definition, source: Source) -> Result:
    """Leave what somebody retired; only take note of the file that defines it, for when it is restored."""
    if row is not None:
        _set_source(row, source)
    return Result(index, definition.tool_name, definition.version, "unchanged")


def _take_again(
    journal: Journal,
    entry: _Known,
    row: ToolVersion,
    index: int,
    item: Item,
    definition: Definition,
    *,
    overwrite: bool,
) -> Result:
    definition = tools.with_set_enabled(row, definition, from_file=item.source is not None)
    before, after = row.definition, definitions.to_document(definition)
    says_the_same, is_retired = is_same(before, after), row.retired_at is not None
    if says_the_same and not is_retired and _is_from(row, item.source):
        return Result(index, row.tool_name, row.version, "unchanged")
    if not overwrite and not (says_the_same and is_retired):
        return _failed(index, definition, name_finding(item, _differs(definition, is_retired=is_retired)))
    if is_retired:
        try:
            tools.bring_back(journal, row, entry.versions)
        except AlreadyExists as error:
            return _failed(index, definition, name_finding(item, str(error)))
    if not tools.overwrite(journal, row, before, definition) and not _is_from(row, item.source):
        journal.record(row, "updated", before, after)
    _set_source(row, item.source)
    return Result(index, row.tool_name, row.version, "updated")


def _differs(definition: Definition, *, is_retired: bool) -> str:
    what = f'"{definition.tool_name}" {definition.version}'
    if is_retired:
        return f"{what} is retired and differs: import with overwrite to restore and replace it"
    return f"{what} is there already and differs: import with overwrite to replace it"


def _is_from(row: ToolVersion, source: Source | None) -> bool:
    """Tell whether a row came from a source; None, an import by hand, takes it as it is."""
    return source is None or (row.source_path, row.source_sha256) == (source.path, source.sha256)


def _failed(index: int, definition: Definition, finding: Finding) -> Result:
    return Result(index, definition.tool_name, definition.version, "failed", (finding,))


def _set_source(row: ToolVersion, source: Source | None) -> None:
    if source is not None:
        row.source_kind, row.source_path, row.source_sha256 = "file", source.path, source.sha256


def count(results: Iterable[Result]) -> dict[str, int]:
    """Count results by what became of the documents."""
    counter = Counter(one.result for one in results)
    return {kind: counter[kind] for kind in ("created", "updated", "unchanged", "failed")}
