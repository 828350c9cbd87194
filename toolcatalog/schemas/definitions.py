"""A tool in the OpenAPI document: as it may be sent, as it is answered, and as a patch of it.

All three follow from the format (`core.definition`). What is sent may spell capabilities and patterns as maps
or as lists; what is answered has maps: a `CapabilityDefinition` is answered as a `Capability`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from toolcatalog.core import definition
from toolcatalog.schemas.shapes import Schema, flag, nullable, ref, shape, text, time, whole

_KNOWN_FORMATS = ("regex",)

_ADDED: dict[str, Schema] = {
    "id": whole("The number of the tool, the same in all its versions."),
    "revision": whole("The revision of the catalog in which this version last changed."),
    "is_latest": flag("Whether this is the version that is answered when none is asked for."),
    "created_at": time("When this version was added."),
    "updated_at": time("When this version last changed."),
    "created_by": text("Who added this version: the name of an API key, anonymous, file or cli."),
    "updated_by": text("Who last changed this version."),
    "source": {
        "description": "Where the definition came from.",
        "oneOf": [ref("FileSource"), ref("ApiSource")],
    },
}
_SOURCES: dict[str, Schema] = {
    "FileSource": shape(
        "A definition that was read from a file.",
        {
            "kind": {"const": "file", "description": "A file of the definitions' folder."},
            "path": text("The path of the file below that folder."),
            "sha256": text("The SHA-256 of the file's bytes, in hexadecimal digits."),
        },
    ),
    "ApiSource": shape(
        "A definition that was sent over HTTP.",
        {"kind": {"const": "api", "description": "The HTTP API."}},
    ),
}


def components() -> dict[str, Schema]:
    """Return the schemas of a tool and its parts by name."""
    sent = _format()
    answered: dict[str, Schema] = {}
    _add_answered("ToolDefinition", sent, answered)
    patches: dict[str, Schema] = {}
    _add_patch("ToolDefinition", sent, patches)
    fields = answered.pop("Tool")["properties"]
    changes = {key: value for key, value in sent["ToolDefinition"].items() if key != "required"}
    return {
        **sent,
        **answered,
        **patches,
        **_SOURCES,
        "ToolChanges": changes | {"description": "The fields of a tool to replace; the others stay."},
        # None is required: `fields=` may choose any.
        "Tool": {"type": "object", "description": "A tool of the catalog.", "properties": fields | _ADDED},
        "Definition": {
            "type": "object",
            "description": "A definition as the catalog writes it.",
            "properties": fields,
        },
    }


def _format() -> dict[str, Schema]:
    """Return the format with each of its parts as a component of its own."""
    schema = _for_document(definition.json_schema())
    parts: dict[str, Schema] = schema.pop("$defs")
    del schema["$schema"], schema["title"]  # beside a component's name, a title would be a second name
    return {"ToolDefinition": schema, **parts}


def _for_document(value: Any) -> Any:
    """Point references at the document's components, and leave out what generators of clients do not know."""
    if isinstance(value, list):
        return [_for_document(item) for item in value]
    if not isinstance(value, dict):
        return value
    written = {key: _for_document(item) for key, item in value.items()}
    if isinstance(target := written.get("$ref"), str):
        return written | ref(target.removeprefix("#/$defs/"))
    if isinstance(written.get("format"), str) and written["format"] not in _KNOWN_FORMATS:
        # JSON Schema allows formats of one's own; generators warn of each, and of an extension they do not.
        written["x-format"] = written.pop("format")
    return written


def _name_of(reference: Schema) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _add_answered(name: str, sent: dict[str, Schema], found: dict[str, Schema]) -> str:
    """Add a part as it is answered, with the parts that it refers to; returns its name."""
    answered = name.replace("Definition", "")
    if answered not in found:
        found[answered] = {}
        found[answered] |= _answered(sent[name], lambda inner: _add_answered(inner, sent, found))
    return answered


def _answered(value: Any, add: Callable[[str], str]) -> Any:
    """Turn what may be sent into what is answered: of two spellings, the map."""
    if isinstance(value, list):
        return [_answered(item, add) for item in value]
    if not isinstance(value, dict):
        return value
    spellings = value.get("anyOf", ())
    if any(one.get("type") == "array" for one in spellings):
        value = {key: inner for key, inner in value.items() if key != "anyOf"} | spellings[0]
    if "$ref" in value:
        return value | ref(add(_name_of(value)))
    return {key: _answered(inner, add) for key, inner in value.items()}


def _add_patch(name: str, sent: dict[str, Schema], found: dict[str, Schema]) -> str:
    """Add what may stand in a patch for a part; returns its name, or the part's own where it is no map."""
    if sent[name].get("type") != "object":
        return name
    patch = f"{name.replace('Definition', '')}Patch"
    if patch not in found:
        found[patch] = {}
        found[patch] |= _patch_of(sent[name], lambda inner: _add_patch(inner, sent, found))
        found[patch]["description"] = (
            f"A part of {name} in a JSON merge patch (RFC 7396): null removes a field."
        )
    return patch


def _patch_of(schema: Schema, add: Callable[[str], str]) -> Schema:
    """What may stand in a JSON merge patch for a value of a schema (RFC 7396): of a map, any part.

    Null takes a field away, and also one that is not there; what has to be there takes no null.
    """
    if "$ref" in schema:
        return schema | ref(add(_name_of(schema)))
    if "anyOf" in schema:
        return {**schema, "anyOf": [_patch_of(one, add) for one in schema["anyOf"]]}
    if schema.get("type") != "object":
        return schema
    needed = schema.get("required", ())
    fields = {
        name: _patch_of(one, add) if name in needed else nullable(_patch_of(one, add))
        for name, one in schema.get("properties", {}).items()
    }
    others = schema.get("additionalProperties", True)
    if isinstance(others, dict):
        others = nullable(_patch_of(others, add))
    kept = {key: value for key, value in schema.items() if key not in _OF_WHOLE_MAPS}
    return {**kept, "properties": fields, "additionalProperties": others or {"type": "null"}}


# What is asked of a map, and not of the part of it that a patch is. A name that cannot be set can be unset.
_OF_WHOLE_MAPS = ("required", "minProperties", "propertyNames")
