"""Between a definition and its rows: the only place that knows both shapes."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

from toolcatalog.core import search_text
from toolcatalog.core.definition import Capability, Definition, Document, Pattern, to_document
from toolcatalog.models import Capability as CapabilityRow
from toolcatalog.models import Pattern as PatternRow
from toolcatalog.models import ToolVersion

_PATTERN_FIELDS = tuple(field.name for field in dataclasses.fields(Pattern))
_SCALARS = (
    "description",
    "platform",
    "category",
    "status",
    "enabled",
    "defaults",
    "dependencies",
    "examples",
)


def write(row: ToolVersion, definition: Definition) -> None:
    """Make a row say what a definition says; its name and version are the caller's to set."""
    for name in _SCALARS:
        setattr(row, name, getattr(definition, name))
    row.free_metadata = definition.metadata
    row.tags = definition.tags
    row.search_texts = search_text.by_weight(definition)
    row.capabilities = [
        CapabilityRow(
            position=position,
            capability_name=name,
            description=capability.description,
            patterns=_pattern_rows(capability),
        )
        for position, (name, capability) in enumerate(definition.capabilities.items())
    ]


def _pattern_rows(capability: Capability) -> list[PatternRow]:
    return [
        PatternRow(position=position, pattern_name=name, **{f: getattr(pattern, f) for f in _PATTERN_FIELDS})
        for position, (name, pattern) in enumerate(capability.patterns.items())
    ]


def read(row: ToolVersion, *, whole: bool = True) -> Definition:
    """Return the definition that a row and its capabilities hold; not `whole`, without these."""
    capabilities = row.capabilities if whole else ()
    return Definition(
        tool_name=row.tool_name,
        version=row.version,
        metadata=row.free_metadata,
        capabilities={
            capability.capability_name: Capability(
                description=capability.description,
                patterns={
                    pattern.pattern_name: Pattern(**{f: getattr(pattern, f) for f in _PATTERN_FIELDS})
                    for pattern in capability.patterns
                },
            )
            for capability in capabilities
        },
        **{name: getattr(row, name) for name in _SCALARS},
    )


def answer(row: ToolVersion, *, whole: bool = True) -> Document:
    """Return a tool as it is answered: the definition, and what the catalog knows about it.

    Not `whole`, its capabilities are not looked at, and seem to be none. The maps and lists of the tool
    itself are always there, so that a client need not ask whether.
    """
    definition = read(row, whole=whole)
    document = to_document(definition)
    return {
        "id": row.tool_id,
        **document,
        **{name: document.get(name, getattr(definition, name)) for name in _ALWAYS},
        "revision": row.change.revision,
        "is_latest": row.is_latest,
        "created_at": timestamp(row.created_at),
        "updated_at": timestamp(row.updated_at),
        "created_by": row.created_by,
        "updated_by": row.updated_by,
        "source": source(row),
    }


_ALWAYS = ("defaults", "capabilities", "dependencies", "metadata", "examples")


def source(row: ToolVersion) -> dict[str, Any]:
    """Say where a tool's definition came from."""
    if row.source_kind == "file":
        return {"kind": "file", "path": row.source_path, "sha256": row.source_sha256}
    return {"kind": "api"}


def timestamp(moment: dt.datetime) -> str:
    """Write a moment as RFC 3339 in UTC."""
    return moment.astimezone(dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
