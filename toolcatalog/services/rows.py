"""Between a definition and its rows: writing it into columns, and answering it from its last change."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Collection
from typing import Any

from toolcatalog.core import search_text
from toolcatalog.core.definition import (
    FIELD_NAMES,
    Capability,
    Definition,
    Document,
    Pattern,
    to_document,
)
from toolcatalog.models import Capability as CapabilityRow
from toolcatalog.models import Pattern as PatternRow
from toolcatalog.models import ToolVersion

_PATTERN_FIELDS = tuple(field.name for field in dataclasses.fields(Pattern))
# Of a definition, what its row has in columns of their own that come with it.
HEAD_FIELDS = ("tool_name", "version", "description", "platform", "category", "status", "enabled")
DOCUMENT_FIELDS = frozenset(FIELD_NAMES).difference(HEAD_FIELDS)
_COLUMNS = (*HEAD_FIELDS[2:], "defaults", "dependencies", "examples")
_ALWAYS: Document = {"defaults": {}, "capabilities": {}, "dependencies": [], "metadata": {}, "examples": []}


def write(row: ToolVersion, definition: Definition) -> None:
    """Make a row say what a definition says, without its capabilities.

    Its name and version are the caller's to set.
    """
    for name in _COLUMNS:
        setattr(row, name, getattr(definition, name))
    row.free_metadata = definition.metadata
    row.tags = definition.tags
    row.search_texts = search_text.by_weight(to_document(definition))


def add_capabilities(row: ToolVersion, definition: Definition) -> None:
    """Add the capabilities of a definition; those that the row had before are the caller's to delete."""
    row.capabilities.add_all(
        CapabilityRow(
            position=position,
            capability_name=name,
            description=capability.description,
            patterns=_pattern_rows(capability),
        )
        for position, (name, capability) in enumerate(definition.capabilities.items())
    )


def _pattern_rows(capability: Capability) -> list[PatternRow]:
    return [
        PatternRow(position=position, pattern_name=name, **{f: getattr(pattern, f) for f in _PATTERN_FIELDS})
        for position, (name, pattern) in enumerate(capability.patterns.items())
    ]


def answer(row: ToolVersion, *, whole: bool = True) -> Document:
    """Return a tool as it is answered: the definition, and what the catalog knows about it.

    Not `whole`, it has no more of the definition than `HEAD_FIELDS`, and its change's text need not be
    loaded. Otherwise the maps and lists of the tool itself are always there, so that a client need not ask
    whether.
    """
    return {
        "id": row.tool_id,
        **(_whole(row) if whole else _head(row)),
        "revision": row.change.revision,
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


def _whole(row: ToolVersion) -> Document:
    document = row.change.definition
    return {**document, **{name: document.get(name, empty) for name, empty in _ALWAYS.items()}}


def _head(row: ToolVersion) -> Document:
    values = ((name, getattr(row, name)) for name in HEAD_FIELDS)
    return {name: value for name, value in values if value is not None}


def source(row: ToolVersion) -> dict[str, Any]:
    """Say where a tool's definition came from."""
    if row.source_kind == "file":
        return {"kind": "file", "path": row.source_path, "sha256": row.source_sha256}
    return {"kind": "api"}


def timestamp(moment: dt.datetime) -> str:
    """Write a moment as RFC 3339 in UTC."""
    return moment.astimezone(dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
