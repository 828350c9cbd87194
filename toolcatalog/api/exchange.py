"""Definitions in and out: validate, import, export."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any

from flask import Response
from flask_smorest import Blueprint

from toolcatalog.api import bodies
from toolcatalog.api.answers import JSON, answer
from toolcatalog.api.context import changing, reading
from toolcatalog.api.operations import operation
from toolcatalog.api.problems import as_errors
from toolcatalog.api.tools import Query
from toolcatalog.core import definition as definitions
from toolcatalog.core import json_text
from toolcatalog.schemas.answers import listed, ref, shape
from toolcatalog.schemas.queries import ExportBody, ExportQuery, ImportQuery, ToolQuery
from toolcatalog.services import exports, imports, tools
from toolcatalog.services.changes import current_revision
from toolcatalog.services.imports import Result
from toolcatalog.services.tools import Reference
from toolcatalog.sources.writing import yaml_texts

blueprint = Blueprint("exchange", __name__, url_prefix="/api/v1/tools")

_ONE_OR_MANY = {"anyOf": [ref("ToolDefinition"), listed(ref("ToolDefinition"))]}
_YAML = "application/yaml"


@operation(
    blueprint,
    "POST",
    "/validate",
    body=ref("ToolDefinition"),
    yaml=True,
    answers=ref("Validation"),
    scope="read",
)
def validate_definition() -> Response:
    """Say what is wrong or doubtful with a definition; changes nothing."""
    item = bodies.one_item()
    return answer(
        {
            "valid": item.definition is not None,
            "errors": as_errors(item.findings),
            "warnings": as_errors(item.warnings),
        }
    )


@operation(
    blueprint, "POST", "/<reference>/validate", query=ToolQuery, body=ref("ToolChanges"), optional_body=True,
    answers=ref("Validation"), scope="read",
)  # fmt: skip
def validate_change(query: Query, reference: str) -> Response:
    """Say what a PUT of the fields given would make wrong or doubtful; without a body, what is so now."""
    body = bodies.optional_json_object()
    with reading() as connection:
        row = tools.get(connection, Reference.parse(reference), query.get("version"))
        definition, report = definitions.read({**row.definition, **body})
        if definition is not None:
            report.errors += tools.find_conflicts(connection, row, definition)
    return answer(
        {
            "valid": not report.errors,
            "errors": as_errors(report.errors),
            "warnings": as_errors(report.warnings),
        }
    )


@operation(
    blueprint, "POST", "/import", query=ImportQuery, body=_ONE_OR_MANY, yaml=True, answers=ref("Import"),
    problems=(409,),
)  # fmt: skip
def import_tools(query: Query) -> Response:
    """Take in definitions, one or many, as YAML or JSON: all or nothing, or `partial` each for itself."""
    items = bodies.items()
    with changing() as journal:
        results = list(
            imports.take_in(
                journal,
                items,
                overwrite=query["overwrite"],
                partial=query["partial_"],
            )
        )
        if query["dry_run"]:
            journal.discard()
    return answer(_import_answer(results, dry_run=query["dry_run"]))


def _import_answer(results: list[Result], *, dry_run: bool) -> dict[str, Any]:
    return {
        **imports.count(results),
        "dry_run": dry_run,
        "results": [
            {
                "index": one.index,
                "tool_name": one.tool_name,
                "version": one.version,
                "result": one.result,
                "errors": as_errors(one.findings),
            }
            for one in results
        ],
    }


_EXPORT: dict[str, Any] = {
    "answers": listed(ref("ToolDefinition")), "content_types": (_YAML, JSON), "etag": False,
}  # fmt: skip


@operation(blueprint, "GET", "/export", query=ExportQuery, problems=(404,), **_EXPORT)
def export_tools(query: Query) -> Response:
    """Give out the latest definitions as they go back in: of all tools, or of named ones."""
    return _export(query.get("names"), query["format"])


@operation(
    blueprint, "POST", "/export", scope="read", problems=(404,),
    body=shape(
        {
            "names": listed({"type": "string", "minLength": 1, "maxLength": 100}) | {"maxItems": 10_000},
            "format": {"enum": ["yaml", "json"]},
        },
        optional=("names", "format"),
    ),
    **_EXPORT,
)  # fmt: skip
def export_named_tools() -> Response:
    """Give out the latest definitions of many named tools."""
    body = ExportBody().load(bodies.json_object())
    return _export(body.get("names"), body["format"])


def _export(names: list[str] | None, format_: str) -> Response:
    """Stream definitions from one snapshot, which stays open until the last of them is sent."""
    with ExitStack() as opened:
        connection = opened.enter_context(reading())
        if names is not None:
            exports.check_names(connection, names)
        revision = current_revision(connection)
        documents = exports.documents(connection, names)
        texts = yaml_texts(documents) if format_ == "yaml" else _array(map(json_text.dumps, documents))
        response = Response(texts, mimetype=_YAML if format_ == "yaml" else JSON)
        response.call_on_close(opened.pop_all().close)
    response.headers["X-Catalog-Revision"] = str(revision)
    return response


def _array(texts: Iterable[str]) -> Iterator[str]:
    yield "["
    for place, text in enumerate(texts):
        yield f",\n{text}" if place else text
    yield "]\n"
