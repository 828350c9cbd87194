"""The shapes of answers, for the OpenAPI document: JSON Schema of what the views send.

What a tool is made of comes from the format (`schemas.definitions`); the rest is described here.
"""

from __future__ import annotations

from toolcatalog.schemas import definitions
from toolcatalog.schemas.shapes import (
    Schema,
    amount,
    anything,
    flag,
    listed,
    nullable,
    one_of,
    ref,
    shape,
    share,
    text,
    time,
    whole,
)

_REQUEST_ID = "The id of the request, as X-Request-ID has it."
_FIELD_ERROR = shape(
    "One thing that is wrong or doubtful, and where it stands.",
    {
        "path": text("The place in what was sent, its steps joined by dots; empty for the whole."),
        "message": text("What is wrong with it, for people."),
        "line": whole("The line of the text, from 1, where there is one."),
    },
    optional=("line",),
)
_PROBLEM = shape(
    "Why a request was refused or failed, as RFC 9457 has it.",
    {
        "type": text("Always about:blank: the code says which problem it is."),
        "title": text("The name of the status code."),
        "status": whole("The status code."),
        "code": text("Which problem it is, for programs; it does not change."),
        "detail": text("What happened and what to do, for people."),
        "request_id": text(_REQUEST_ID),
        "errors": listed(ref("FieldError"), "What is wrong with which field, where fields are at fault."),
    },
    optional=("errors",),
)
_VALIDATION = shape(
    "What is wrong or doubtful with a definition.",
    {
        "valid": flag("Whether it would be accepted."),
        "errors": listed(ref("FieldError"), "Why it would not."),
        "warnings": listed(ref("FieldError"), "What is allowed and probably not meant."),
    },
)
_IMPORT_RESULT = shape(
    "What became of one definition of an import.",
    {
        "index": whole("Its place in what was sent, from 0."),
        "tool_name": nullable(text("The tool that it defines; null where that could not be read.")),
        "version": nullable(text("The version that it defines; null where that could not be read.")),
        "result": ref("ImportOutcome", "What became of it."),
        "errors": listed(ref("FieldError"), "Why it failed."),
    },
)
_IMPORT = shape(
    "What became of the definitions of an import.",
    {
        "created": whole("How many were added."),
        "updated": whole("How many replaced another."),
        "unchanged": whole("How many were there already, and the same."),
        "failed": whole("How many were refused."),
        "dry_run": flag("Whether this only says what would be, and nothing was written."),
        "results": listed(ref("ImportedItem"), "Each of them, in the order in which they were sent."),
    },
)
_CAPABILITY_SUMMARY = shape(
    "Something that tools of the catalog can do.",
    {
        "capability_name": text("Its name."),
        "tool_count": whole("How many tools can do it."),
        "description": nullable(text("The first description, by alphabet, that a tool gives of it.")),
    },
)
_ACTIONS = ("created", "updated", "enabled", "disabled", "rolled_back", "retired", "restored")
_CHANGE = shape(
    "One committed change of a tool.",
    {
        "revision": whole("Its number: changes of all tools are counted in the order of their commits."),
        "tool_id": whole("The number of the tool."),
        "tool_name": text("The name of the tool."),
        "version": text("The version that was changed."),
        "action": one_of(_ACTIONS, "What was done."),
        "actor": text("Who did it: the name of an API key, anonymous, file or cli."),
        "at": time("When it was done."),
        "request_id": nullable(text("The id of the request that did it.")),
        "before": nullable(ref("Definition", "The definition before; null where there was none.")),
        "after": nullable(ref("Definition", "The definition after; null where there is none.")),
    },
)
_CHANGES = shape(
    "A page of the change feed.",
    {
        "changes": listed(ref("Change"), "The changes, in order."),
        "revision": whole("What to give as `since` to go on from here."),
    },
)
_FIELD_DIFFERENCE = shape(
    "One difference between two definitions.",
    {
        "op": one_of(("add", "remove", "replace"), "What turns the one into the other."),
        "path": text("The place, its steps joined by dots."),
        "from": anything("The value in the one."),
        "to": anything("The value in the other."),
    },
    optional=("from", "to"),
)
_DIFFERENCE = shape(
    "What differs between two versions of a tool.",
    {
        "from": text("The one version."),
        "to": text("The other version."),
        "changes": listed(ref("FieldDifference"), "What turns the one into the other."),
    },
)
_DATABASE_HEALTH = shape(
    "How the database is.",
    {
        "status": ref("DatabaseStatus", "Whether it answers."),
        "checked_seconds_ago": amount("How many seconds ago it was asked."),
        "detail": text("What to do about it."),
    },
    optional=("detail",),
)
_CACHE_HEALTH = shape(
    "How full the cache of the worker is.",
    {"size": whole("How many answers it holds."), "max_size": whole("How many it may hold.")},
)
_HEALTH = shape(
    "How the service is.",
    {
        "status": ref("HealthStatus", "degraded: reads are answered from the cache only."),
        "version": text("The release of the service."),
        "uptime": amount("Seconds since the start."),
        "revision": whole("The last committed change that this worker knows."),
        "lag_seconds": amount("For how many seconds this worker has not followed what others change."),
        "database": ref("DatabaseHealth", "How the database is."),
        "cache": ref("CacheHealth", "How full the cache of this worker is."),
        "tools": nullable(whole("How many tools there are; null while the database does not answer.")),
    },
)
_PROBE = shape(
    "What a probe of an orchestrator is told.",
    {"status": ref("ProbeStatus", "Whether requests are answered.")},
)
_METRICS = shape(
    "The main metrics of all workers, since the start.",
    {
        "uptime_seconds": amount("Seconds since the start."),
        "tools_loaded_total": whole("How many tools there are."),
        "requests_total": whole("How many requests were answered."),
        "error_rate": share("Which part of them ended in an error."),
        "response_time_p95_ms": amount("In how many milliseconds 95 of 100 were answered."),
        "response_time_p99_ms": amount("In how many milliseconds 99 of 100 were answered."),
        "cache_hit_rate": share("Which part of the reads was answered from the cache."),
        "db_query_time_avg_ms": amount("How many milliseconds a query took on average."),
        "db_query_time_p95_ms": amount("In how many milliseconds 95 of 100 queries were done."),
        "db_errors_total": whole("How many queries failed."),
        "hot_reloads_total": whole("How many reloads there were."),
        "hot_reload_failures_total": whole("How many of them failed."),
    },
)
_CONNECTION_POOL = shape(
    "The connections to the database, of all workers.",
    {
        "size": whole("How many there may be."),
        "available": whole("How many are free."),
        "in_use": whole("How many are in use."),
    },
)
_CACHE_STATS = shape(
    "The caches of all workers.",
    {
        "size": whole("How many answers they hold."),
        "max_size": whole("How many they may hold."),
        "hits": whole("How many reads were answered from them."),
        "misses": whole("How many were not."),
        "hit_rate": share("Which part of the reads was."),
        "evictions": whole("How many answers had to go to make room."),
    },
)
_PERFORMANCE = shape(
    "What cache, database and connections do, over all workers.",
    {
        "cache_hit_rate": share("Which part of the reads was answered from the cache."),
        "db_query_time_avg": amount("How many milliseconds a query took on average."),
        "db_query_time_p95": amount("In how many milliseconds 95 of 100 queries were done."),
        "response_time_p95": amount("In how many milliseconds 95 of 100 requests were answered."),
        "error_rate": share("Which part of the requests ended in an error."),
        "requests_total": whole("How many requests were answered."),
        "connection_pool": ref("ConnectionPoolStats", "The connections to the database."),
        "cache": ref("CacheStats", "The caches."),
    },
)
_FILE_ERROR = shape(
    "One thing that is wrong in the definitions' folder.",
    {
        "file": nullable(text("The file, below the folder.")),
        "line": nullable(whole("The line, from 1.")),
        "path": text("The place in the document, its steps joined by dots."),
        "message": text("What is wrong, for people."),
    },
)
_RELOAD_FIELDS: dict[str, Schema] = {
    "at": time("When it ended."),
    "trigger": one_of(("startup", "file", "manual", "api", "periodic"), "Why it was done."),
    "result": ref("ReloadOutcome", "partial: some files were not applied."),
    "host": text("The host that did it."),
    "pid": whole("The process that did it."),
    "duration_ms": amount("How many milliseconds it took."),
    "files": whole("How many files the folder has."),
    "created": whole("How many definitions were added."),
    "updated": whole("How many replaced another."),
    "unchanged": whole("How many were there already, and the same."),
    "failed": whole("How many were refused."),
    "retired": whole("How many were retired, since no file has them any more."),
    "revision": nullable(whole("The last change that it made; null where it made none.")),
    "errors": listed(ref("FileError"), "What is wrong in which file after it."),
    "request_id": nullable(text("The id of the request that asked for it.")),
}
_RELOAD_STATUS = shape(
    "How hot reload is set up, and how the last reload ended.",
    {
        "hot_reload": one_of(("on", "polling", "off"), "In which way the folder is watched."),
        "folder": text("The folder of the definitions."),
        "leader": nullable(text("Who watches it, as host:pid; null while nobody does.")),
        "period_seconds": amount("After how many seconds the folder is looked through in any case."),
        "last_reload": nullable(ref("Reload", "The last reload; null when there was none.")),
        "errors": listed(ref("FileError"), "What is wrong in which file after it."),
    },
)
_RELOAD_STATISTICS = shape(
    "The reloads that are kept, counted.",
    {
        "total": whole("How many there are."),
        "succeeded": whole("How many applied all files."),
        "failed": whole("How many did not."),
        "by_trigger": {
            "type": "object",
            "additionalProperties": {"type": "integer"},
            "description": "How many there are for each reason.",
        },
        "duration_ms_average": amount("How many milliseconds one took on average."),
        "duration_ms_p95": amount("In how many milliseconds 95 of 100 were done."),
        "since": nullable(time("When the first of them was.")),
        "last_success_at": nullable(time("When the last was that applied all files.")),
        "last_failure_at": nullable(time("When the last was that did not.")),
    },
)
_MATCH = shape(
    "A field in which a search found words.",
    {
        "field": text("The field, its steps joined by dots."),
        "words": listed({"type": "string"}, "The words of the question that are in it."),
    },
)

# Fields of one name, and what each may say: a name of its own, so that clients get a type of that name.
_ENUMERATIONS = {
    "ImportOutcome": one_of(("created", "updated", "unchanged", "failed"), "What became of a definition."),
    "ReloadOutcome": one_of(("success", "partial", "failure"), "How a reload ended."),
    "HealthStatus": one_of(("healthy", "degraded", "unhealthy"), "How the service is."),
    "DatabaseStatus": one_of(
        ("up", "down", "unresponsive", "out_of_date", "no_rights"),
        "Whether the database answers, and as it should.",
    ),
    "ProbeStatus": one_of(("alive", "ready", "not ready"), "Whether requests are answered."),
}


def components() -> dict[str, Schema]:
    """Return the schemas of the OpenAPI document by name."""
    of_tools = definitions.components()
    found = {
        "score": {"type": "number", "description": "How well it answers; more is better."},
        "matches": listed(ref("Match"), "Why it was found."),
    }
    tool = of_tools["Tool"]
    return {
        **of_tools,
        **_ENUMERATIONS,
        "Hit": tool
        | {"description": "A tool that a search found.", "properties": {**tool["properties"], **found}},
        "Match": _MATCH,
        "Rollback": shape(
            "Which version a rollback goes to.",
            {"version": text("A live version of the tool.") | {"minLength": 1}},
        ),
        "FieldError": _FIELD_ERROR,
        "Problem": _PROBLEM,
        "Validation": _VALIDATION,
        "Import": _IMPORT,
        "ImportedItem": _IMPORT_RESULT,
        "Export": shape(
            "Which definitions come out, and how.",
            {
                "names": listed(
                    {"type": "string", "minLength": 1, "maxLength": 100},
                    "The names of the tools; all tools where it is left out.",
                )
                | {"maxItems": 10_000},
                "format": one_of(("yaml", "json"), "How they are written; yaml where it is left out."),
            },
            optional=("names", "format"),
        ),
        "CapabilitySummary": _CAPABILITY_SUMMARY,
        "Change": _CHANGE,
        "Changes": _CHANGES,
        "Difference": _DIFFERENCE,
        "FieldDifference": _FIELD_DIFFERENCE,
        "Reload": shape("A reload of the definitions' folder, and what came of it.", _RELOAD_FIELDS),
        "ReloadReport": shape(
            "A reload that was asked for, and who has followed it.",
            {
                **_RELOAD_FIELDS,
                "workers_behind": whole("How many workers have not dropped their caches within 5 seconds."),
            },
        ),
        "FileError": _FILE_ERROR,
        "ReloadStatus": _RELOAD_STATUS,
        "ReloadStatistics": _RELOAD_STATISTICS,
        "JsonSchema": {"type": "object", "description": "A JSON Schema (2020-12)."},
        "Health": _HEALTH,
        "DatabaseHealth": _DATABASE_HEALTH,
        "CacheHealth": _CACHE_HEALTH,
        "Probe": _PROBE,
        "Metrics": _METRICS,
        "PerformanceStats": _PERFORMANCE,
        "ConnectionPoolStats": _CONNECTION_POOL,
        "CacheStats": _CACHE_STATS,
    }
