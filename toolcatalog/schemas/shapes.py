"""Schemas of which the OpenAPI document is put together; whatever is a field says what it means."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

Schema = dict[str, Any]

_NULL: Schema = {"type": "null"}


def text(says: str) -> Schema:
    """A string."""
    return {"type": "string", "description": says}


def whole(says: str) -> Schema:
    """An integer."""
    return {"type": "integer", "description": says}


def amount(says: str) -> Schema:
    """A number from 0."""
    return {"type": "number", "minimum": 0, "description": says}


def share(says: str) -> Schema:
    """A number from 0 to 1."""
    return amount(says) | {"maximum": 1}


def flag(says: str) -> Schema:
    """True or false."""
    return {"type": "boolean", "description": says}


def time(says: str) -> Schema:
    """A moment as RFC 3339 has it."""
    return {"type": "string", "format": "date-time", "description": says}


def one_of(values: Iterable[str], says: str) -> Schema:
    """One of these strings."""
    return {"type": "string", "enum": list(values), "description": says}


def anything(says: str) -> Schema:
    """Any JSON value."""
    return {"description": says}


def ref(name: str, says: str | None = None) -> Schema:
    """Refer to a schema of the document's components; a field also says what it means."""
    return {"$ref": f"#/components/schemas/{name}"} | ({} if says is None else {"description": says})


def listed(item: Schema, says: str | None = None) -> Schema:
    """An array of what is given."""
    return {"type": "array", "items": item} | ({} if says is None else {"description": says})


def nullable(schema: Schema) -> Schema:
    """What is given, or null; the description stays with the whole."""
    described = {key: value for key, value in schema.items() if key == "description"}
    return described | {"anyOf": [{key: schema[key] for key in schema if key not in described}, _NULL]}


def shape(says: str, fields: dict[str, Schema], optional: Collection[str] = ()) -> Schema:
    """An object with exactly these fields."""
    return {
        "type": "object",
        "description": says,
        "properties": fields,
        "required": [name for name in fields if name not in optional],
        "additionalProperties": False,
    }
