"""The shapes of answers, for the OpenAPI document: JSON Schema of what the views send.

A tool's own fields come from the format (`core.definition`); the rest is described here.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from toolcatalog.core import definition

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "integer"}
SWITCH: Schema = {"type": "boolean"}
TIME: Schema = {"type": "string", "format": "date-time"}


def ref(name: str) -> Schema:
    """Refer to a schema of the document's components."""
    return {"$ref": f"#/components/schemas/{name}"}


def listed(item: Schema) -> Schema:
    """An array of what is given."""
    return {"type": "array", "items": item}


def shape(fields: dict[str, Schema], optional: Collection[str] = ()) -> Schema:
    """An object with exactly these fields."""
    required = [name for name in fields if name not in optional]
    return {"type": "object", "properties": fields, "required": required, "additionalProperties": False}


def nullable(schema: Schema) -> Schema:
    """What is given, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


_ADDED: dict[str, Schema] = {
    "id": NUMBER,
    "revision": NUMBER,
    "is_latest": SWITCH,
    "created_at": TIME,
    "updated_at": TIME,
    "created_by": TEXT,
    "updated_by": TEXT,
    "source": {
        "oneOf": [
            shape({"kind": {"const": "file"}, "path": TEXT, "sha256": TEXT}),
            shape({"kind": {"const": "api"}}),
        ]
    },
}


def _definition() -> Schema:
    schema = definition.json_schema()
    del schema["$schema"]
    return schema


def _changes_of_definition() -> Schema:
    """Any of a definition's fields, none of them needed."""
    return {key: value for key, value in _definition().items() if key != "required"}


# What is asked of a map, and not of the part of it that a patch is. A name that cannot be set can be unset.
_OF_WHOLE_MAPS = ("required", "minProperties", "propertyNames")


def _patch_of(schema: Schema) -> Schema:
    """What may stand in a JSON merge patch for a value of a schema (RFC 7396): of a map, any part.

    Null takes a field away, and also one that is not there; what has to be there takes no null.
    """
    if "anyOf" in schema:
        return {**schema, "anyOf": [_patch_of(one) for one in schema["anyOf"]]}
    if schema.get("type") != "object":
        return schema
    needed = schema.get("required", ())
    fields = {
        name: _patch_of(one) if name in needed else nullable(_patch_of(one))
        for name, one in schema.get("properties", {}).items()
    }
    others = schema.get("additionalProperties", True)
    if isinstance(others, dict):
        others = nullable(_patch_of(others))
    kept = {key: value for key, value in schema.items() if key not in _OF_WHOLE_MAPS}
    return {**kept, "properties": fields, "additionalProperties": others or {"type": "null"}}


def _patch_of_definition() -> Schema:
    return {
        **_patch_of(_definition()),
        "title": "Tool patch",
        "description": "A JSON merge patch (RFC 7396) of a tool definition.",
    }


def _tool() -> Schema:
    schema = _definition()
    schema["title"] = "Tool"
    schema["properties"] |= _ADDED
    del schema["additionalProperties"], schema["required"]  # `fields=` may choose any
    return schema


_FIELD_ERROR = shape({"path": TEXT, "message": TEXT, "line": NUMBER}, optional=("line",))
_IMPORT_RESULT = shape(
    {
        "index": NUMBER,
        "tool_name": nullable(TEXT),
        "version": nullable(TEXT),
        "result": {"enum": ["created", "updated", "unchanged", "failed"]},
        "errors": listed(_FIELD_ERROR),
    }
)
_PROBLEM = shape(
    {
        "type": TEXT,
        "title": TEXT,
        "status": NUMBER,
        "code": TEXT,
        "detail": TEXT,
        "request_id": TEXT,
        "errors": listed(_FIELD_ERROR),
    },
    optional=("errors",),
)
_IMPORT = shape(
    {
        "created": NUMBER,
        "updated": NUMBER,
        "unchanged": NUMBER,
        "failed": NUMBER,
        "dry_run": SWITCH,
        "results": listed(_IMPORT_RESULT),
    }
)
_ACTIONS = ("created", "updated", "enabled", "disabled", "rolled_back", "retired", "restored")
_CHANGE = shape(
    {
        "revision": NUMBER,
        "tool_id": NUMBER,
        "tool_name": TEXT,
        "version": TEXT,
        "action": {"enum": list(_ACTIONS)},
        "actor": TEXT,
        "at": TIME,
        "request_id": nullable(TEXT),
        "before": nullable({"type": "object"}),
        "after": nullable({"type": "object"}),
    }
)
_ONE_DIFFERENCE = shape(
    {"op": {"enum": ["add", "remove", "replace"]}, "path": TEXT, "from": {}, "to": {}},
    optional=("from", "to"),
)
_HEALTH = shape(
    {
        "status": {"enum": ["healthy", "degraded", "unhealthy"]},
        "version": TEXT,
        "uptime": {"type": "number"},
        "revision": NUMBER,
        "lag_seconds": {"type": "number"},
        "database": shape(
            {
                "status": {"enum": ["up", "down", "unresponsive"]},
                "checked_seconds_ago": {"type": "number"},
            }
        ),
        "cache": shape({"size": NUMBER, "max_size": NUMBER}),
        "tools": nullable(NUMBER),
    }
)
_PROBE = shape({"status": {"enum": ["alive", "ready", "not ready"]}})
_AMOUNT: Schema = {"type": "number", "minimum": 0}
_SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
_METRICS = shape(
    {
        "uptime_seconds": _AMOUNT,
        "tools_loaded_total": NUMBER,
        "requests_total": NUMBER,
        "error_rate": _SHARE,
        "response_time_p95_ms": _AMOUNT,
        "response_time_p99_ms": _AMOUNT,
        "cache_hit_rate": _SHARE,
        "db_query_time_avg_ms": _AMOUNT,
        "db_query_time_p95_ms": _AMOUNT,
        "db_errors_total": NUMBER,
        "hot_reloads_total": NUMBER,
        "hot_reload_failures_total": NUMBER,
    }
)
_PERFORMANCE = shape(
    {
        "cache_hit_rate": _SHARE,
        "db_query_time_avg": _AMOUNT,
        "db_query_time_p95": _AMOUNT,
        "response_time_p95": _AMOUNT,
        "error_rate": _SHARE,
        "requests_total": NUMBER,
        "connection_pool": shape({"size": NUMBER, "available": NUMBER, "in_use": NUMBER}),
        "cache": shape(
            {
                "size": NUMBER,
                "max_size": NUMBER,
                "hits": NUMBER,
                "misses": NUMBER,
                "hit_rate": _SHARE,
                "evictions": NUMBER,
            }
        ),
    }
)

_RELOAD_FIELDS: dict[str, Schema] = {
    "at": TIME,
    "trigger": {"enum": ["startup", "file", "manual", "api", "periodic"]},
    "result": {"enum": ["success", "partial", "failure"]},
    "host": TEXT,
    "pid": NUMBER,
    "duration_ms": {"type": "number"},
    "files": NUMBER,
    **dict.fromkeys(("created", "updated", "unchanged", "failed", "retired"), NUMBER),
    "revision": nullable(NUMBER),
    "errors": listed(
        shape({"file": nullable(TEXT), "line": nullable(NUMBER), "path": TEXT, "message": TEXT})
    ),
    "request_id": nullable(TEXT),
}
_RELOAD_STATUS = shape(
    {
        "hot_reload": {"enum": ["on", "polling", "off"]},
        "folder": TEXT,
        "leader": nullable(TEXT),
        "period_seconds": {"type": "number"},
        "last_reload": nullable(ref("Reload")),
        "errors": _RELOAD_FIELDS["errors"],
    }
)
_RELOAD_STATISTICS = shape(
    {
        **dict.fromkeys(("total", "succeeded", "failed"), NUMBER),
        "by_trigger": {"type": "object", "additionalProperties": NUMBER},
        "duration_ms_average": {"type": "number"},
        "duration_ms_p95": {"type": "number"},
        **dict.fromkeys(("since", "last_success_at", "last_failure_at"), nullable(TIME)),
    }
)


def components() -> dict[str, Schema]:
    """Return the schemas of the OpenAPI document by name."""
    tool = _tool()
    reasons = {
        "score": {"type": "number"},
        "matches": listed(shape({"field": TEXT, "words": listed(TEXT)})),
    }
    return {
        "ToolDefinition": _definition(),
        "ToolChanges": _changes_of_definition(),
        "ToolPatch": _patch_of_definition(),
        "Tool": tool,
        "Hit": tool | {"title": "Hit", "properties": {**tool["properties"], **reasons}},
        "Problem": _PROBLEM,
        "Validation": shape(
            {"valid": SWITCH, "errors": listed(_FIELD_ERROR), "warnings": listed(_FIELD_ERROR)}
        ),
        "Import": _IMPORT,
        "Capability": shape({"capability_name": TEXT, "tool_count": NUMBER, "description": nullable(TEXT)}),
        "Change": _CHANGE,
        "Changes": shape({"changes": listed(ref("Change")), "revision": NUMBER}),
        "Difference": shape({"from": TEXT, "to": TEXT, "changes": listed(_ONE_DIFFERENCE)}),
        "Reload": shape(_RELOAD_FIELDS),
        "ReloadResult": shape({**_RELOAD_FIELDS, "workers_behind": NUMBER}),
        "ReloadStatus": _RELOAD_STATUS,
        "ReloadStatistics": _RELOAD_STATISTICS,
        "Health": _HEALTH,
        "Probe": _PROBE,
        "Metrics": _METRICS,
        "PerformanceStats": _PERFORMANCE,
    }
