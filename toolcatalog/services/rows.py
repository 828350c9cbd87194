"""Between a definition and its rows: writing it into columns, and answering it from its last change.

What is changed is an object of its model, in a session. What is only read is a plain row, of a connection,
since SQLAlchemy takes longer to make an object than PostgreSQL takes to find it. Both have what an answer
needs under the same names.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import Connection, Row, insert

from toolcatalog.core import search_text
from toolcatalog.core.definition import FIELD_NAMES, Definition, Document, Pattern
from toolcatalog.models import Capability as CapabilityRow
from toolcatalog.models import Change, ToolVersion
from toolcatalog.models import Pattern as PatternRow

_PATTERN_FIELDS = tuple(field.name for field in dataclasses.fields(Pattern))
# Of a definition, what its row has in columns of their own that come with it.
HEAD_FIELDS = ("tool_name", "version", "description", "platform", "category", "status", "enabled")
DOCUMENT_FIELDS = frozenset(FIELD_NAMES).difference(HEAD_FIELDS)
_COLUMNS = (*HEAD_FIELDS[2:], "defaults", "dependencies", "examples")
# Of a live version, what `answer` needs, and what it needs when it is not `whole`.
HEAD = (
    ToolVersion.id,
    ToolVersion.tool_id,
    *(getattr(ToolVersion, name) for name in HEAD_FIELDS),
    ToolVersion.is_latest,
    ToolVersion.created_at,
    ToolVersion.updated_at,
    ToolVersion.created_by,
    ToolVersion.updated_by,
    ToolVersion.source_kind,
    ToolVersion.source_path,
    ToolVersion.source_sha256,
    Change.revision,
)
WHOLE = (*HEAD, Change.after.label("definition"))
# A version of a tool, to be changed or as it was read.
Version = ToolVersion | Row[Any]
_ALWAYS: Document = {"defaults": {}, "capabilities": {}, "dependencies": [], "metadata": {}, "examples": []}


def write(
    row: ToolVersion, definition: Definition, document: Document, fields: Collection[str] = FIELD_NAMES
) -> None:
    """Make a row say what these fields of a definition say; `document` is the definition written out.

    Its name, its version and its capabilities are the caller's to set. What is not written stays as it is in
    PostgreSQL, which then need not make its search and indexes anew.
    """
    for name in _COLUMNS:
        if name in fields:
            setattr(row, name, getattr(definition, name))
    if "metadata" in fields:
        row.free_metadata = definition.metadata
        row.tags = definition.tags
    if not search_text.FIELDS.isdisjoint(fields):
        row.search_texts = search_text.by_weight(document)


def add_capabilities(connection: Connection, said: Iterable[tuple[int, Definition]]) -> None:
    """Add the rows of capabilities and their patterns. A version is given by its row's id, and has some."""
    found = [
        (version_id, position, name, capability)
        for version_id, definition in said
        for position, (name, capability) in enumerate(definition.capabilities.items())
    ]
    added = connection.scalars(
        _ADD_CAPABILITIES,
        [
            {"tool_version_id": version_id, "position": position, "capability_name": name,
             "description": capability.description}
            for version_id, position, name, capability in found
        ],
    )  # fmt: skip
    patterns = [
        {"capability_id": capability_id, "position": position, "pattern_name": name}
        | {field: getattr(pattern, field) for field in _PATTERN_FIELDS}
        for capability_id, (*_, capability) in zip(added, found, strict=True)
        for position, (name, pattern) in enumerate(capability.patterns.items())
    ]
    connection.execute(_ADD_PATTERNS, patterns)


_ADD_CAPABILITIES = insert(CapabilityRow).returning(CapabilityRow.id, sort_by_parameter_order=True)
_ADD_PATTERNS = insert(PatternRow)


def answer(row: Version, *, whole: bool = True) -> Document:
    """Return a tool as it is answered: the definition, and what the catalog knows about it.

    Not `whole`, it has no more of the definition than `HEAD_FIELDS`. Otherwise the maps and lists of the tool
    itself are always there, so that a client need not ask whether.
    """
    return {
        "id": row.tool_id,
        **(_whole(row) if whole else _head(row)),
        "revision": row.revision,
        "is_latest": row.is_latest,
        "created_at": timestamp(row.created_at),
        "updated_at": timestamp(row.updated_at),
        "created_by": row.created_by,
        "updated_by": row.updated_by,
        "source": source(row),
    }


def needs_whole(fields: Collection[str]) -> bool:
    """Tell whether fields of an answer stand only in the whole definition."""
    return not DOCUMENT_FIELDS.isdisjoint(fields)


def _whole(row: Version) -> Document:
    document = row.definition
    return {**document, **{name: document.get(name, empty) for name, empty in _ALWAYS.items()}}


def _head(row: Version) -> Document:
    values = ((name, getattr(row, name)) for name in HEAD_FIELDS)
    return {name: value for name, value in values if value is not None}


def source(row: Version) -> dict[str, Any]:
    """Say where a tool's definition came from."""
    if row.source_kind == "file":
        return {"kind": "file", "path": row.source_path, "sha256": row.source_sha256}
    return {"kind": "api"}


def timestamp(moment: dt.datetime) -> str:
    """Write a moment as RFC 3339 in UTC."""
    return moment.astimezone(dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
