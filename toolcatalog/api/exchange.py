"""Definitions in and out: validate, import, export."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from flask import Response, request
from flask_smorest import Blueprint

import toolcatalog
from toolcatalog.api import bodies, rendering
from toolcatalog.api.answers import JSON, answer, conditional
from toolcatalog.api.context import changing, current, reading
from toolcatalog.api.operations import operation
from toolcatalog.api.problems import as_errors
from toolcatalog.api.tools import Query, filters_of
from toolcatalog.core import definition as definitions
from toolcatalog.core import json_text
from toolcatalog.core.filters import Filters
from toolcatalog.errors import DatabaseBusy
from toolcatalog.schemas.queries import ExportBody, ExportQuery, ImportQuery, ToolQuery
from toolcatalog.schemas.shapes import listed, ref
from toolcatalog.services import exports, imports, tools
from toolcatalog.services.imports import Result
from toolcatalog.services.tools import Reference
from toolcatalog.sources.writing import yaml_texts

blueprint = Blueprint(
    "exchange",
    __name__,
    url_prefix="/api/v1/tools",
    description="Definitions in and out: validated, imported, exported.",
)

_ONE_OR_MANY = {"anyOf": [ref("ToolDefinition"), listed(ref("ToolDefinition"))]}
_YAML = "application/yaml"
# Shorter than what the worker gives a client that sends nothing.
_PLACE_SECONDS = 5.0


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
    """Say what is wrong or doubtful with a definition; changes nothing.

    The answer is 200 also for a definition that is not valid, and says so in `valid`. The body may be
    YAML too.
    """
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
    """Say what a PUT of the fields given would make wrong or doubtful; without a body, what is so now.

    The answer is 200 also when the result would not be valid, and says so in `valid`.
    """
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
    """Take in definitions, one or many, as YAML or JSON: all or nothing, or `partial` each for itself.

    What is there and the same is left as it is; what differs is refused unless `overwrite` is set. An
    import of nothing is good, and does nothing. The body may be YAML too, with a document for each
    definition.
    """
    with _import_place():
        items = bodies.items(bodies.MAX_IMPORT)
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


@contextmanager
def _import_place() -> Iterator[None]:
    """Let one large import at a time into memory, where it takes up to eight times its size."""
    if not bodies.is_large():
        yield
        return
    place = current().large_import_place
    if not place.acquire(timeout=_PLACE_SECONDS):
        raise DatabaseBusy("Another large import is under way here already. Try again shortly.")
    try:
        yield
    finally:
        place.release()


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
    "answers": listed(ref("ToolDefinition")), "content_types": (_YAML, JSON), "problems": (404,),
}  # fmt: skip


@operation(blueprint, "GET", "/export", query=ExportQuery, **_EXPORT)
def export_tools(query: Query) -> Response:
    """Give out the latest definitions as they go back in: of all tools, or of named ones.

    The definitions come in the order of the names, from one snapshot. An import takes the answer as it
    is. Ask for `format=json` where YAML cannot be read.
    """
    return _export(query.get("names"), query["format"], filters_of(query))


@operation(blueprint, "POST", "/export", body=ref("Export"), scope="read", etag=False, **_EXPORT)
def export_named_tools() -> Response:
    """Give out the latest definitions of many named tools.

    As a GET, for more names than a URL can hold, and for names with commas.
    """
    body = ExportBody().load(bodies.json_object())
    return _export(body.get("names"), body["format"], Filters())


def _export(names: list[str] | None, format_: str, filters: Filters) -> Response:
    """Stream definitions from one snapshot, which stays open until the last of them is sent."""
    with ExitStack() as opened:
        _take_export_place(opened)
        connection = opened.enter_context(reading())
        if names is not None:
            exports.check_names(connection, names)
        state = exports.read_state(connection)
        documents = exports.documents(connection, names, filters)
        texts = yaml_texts(documents) if format_ == "yaml" else _array(map(json_text.dumps, documents))
        response = Response(texts, mimetype=_YAML if format_ == "yaml" else JSON)
        response.headers["X-Catalog-Revision"] = str(state.revision)
        if request.method != "POST":
            response.set_etag(_tag(state, names, format_, filters))
        # Before anything is rendered: what the client has already need not be.
        conditional(response)
        held = opened.pop_all()
        response.response = _while_held(texts, held)
        response.call_on_close(held.close)  # also when nothing of it is sent
    return response


def _while_held(texts: Iterator[str], held: ExitStack) -> Iterator[str]:
    """Let go of what an export holds as soon as its end is made."""
    with held:
        yield from texts


def _take_export_place(opened: ExitStack) -> None:
    """Take a place, while there is one: an export holds a connection for as long as its client reads."""
    places = current().export_places
    if not places.acquire(blocking=False):
        raise DatabaseBusy("Too many exports are under way here already. Try again shortly.")
    opened.callback(places.release)


def _tag(state: exports.State, names: list[str] | None, format_: str, filters: Filters) -> str:
    """Return the entity tag of an export without its bytes, which are a function of these."""
    made_from = (toolcatalog.__version__, state.revision, state.changed_at, names, format_, filters.given())
    return rendering.etag(json_text.dumps(made_from).encode())


def _array(texts: Iterable[str]) -> Iterator[str]:
    yield "["
    for place, text in enumerate(texts):
        yield f",\n{text}" if place else text
    yield "]\n"
