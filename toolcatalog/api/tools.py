"""Tools: lists, single ones, and their changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flask import Response
from flask_smorest import Blueprint

from toolcatalog.api import bodies, cursors, rendering
from toolcatalog.api.answers import answer_tool, precondition
from toolcatalog.api.context import Context, changing
from toolcatalog.api.operations import (
    PAGE_HEADERS,
    RETIRED,
    RETIRED_HEADERS,
    UNTIL_RESTORED,
    VERSION_HEADERS,
    operation,
)
from toolcatalog.api.reads import answer_read, key_of, page_headers
from toolcatalog.cache.dependence import OnList
from toolcatalog.cache.store import Answer, Key
from toolcatalog.core import definition as definitions
from toolcatalog.core.definition import Document
from toolcatalog.core.filters import Filters
from toolcatalog.core.merge import merge_patch
from toolcatalog.schemas.queries import SUMMARY_FIELDS, ListQuery, ToolQuery, ToolReadQuery
from toolcatalog.schemas.shapes import listed, ref
from toolcatalog.services import listing, rows, tools
from toolcatalog.services.tools import Reference

blueprint = Blueprint(
    "tools", __name__, url_prefix="/api/v1/tools", description="Tools: lists, single ones, and their changes."
)

_TOOLS = listed(ref("Tool"))
_LIST_NAMES = (
    "platform",
    "category",
    "status",
    "enabled",
    "capability",
    "tag",
    "name",
    "version",
    "updated_since",
)

Query = Mapping[str, Any]


@operation(blueprint, "GET", "", query=ListQuery, answers=_TOOLS, headers=PAGE_HEADERS)
def list_tools(query: Query) -> Response:
    """List the latest version of each tool, filtered, ordered, a page at a time.

    Each tool stands there once, in the version that is its latest. `fields` and `view` choose what is
    said of each; the filters narrow the list, and all given have to hold.
    """
    return answer_page(query)


@operation(
    blueprint,
    "GET",
    "/platform/<platform>",
    query=ListQuery(exclude=["platform"]),
    answers=_TOOLS,
    headers=PAGE_HEADERS,
)
def list_tools_of_platform(query: Query, platform: str) -> Response:
    """List the tools of a platform.

    As the list of all tools with the filter `platform`; a platform that no tool has gives an empty
    list.
    """
    return answer_page({**query, "platform": (platform,)})


@operation(
    blueprint,
    "GET",
    "/category/<category>",
    query=ListQuery(exclude=["category"]),
    answers=_TOOLS,
    headers=PAGE_HEADERS,
)
def list_tools_of_category(query: Query, category: str) -> Response:
    """List the tools of a category.

    As the list of all tools with the filter `category`; a category that no tool has gives an empty
    list.
    """
    return answer_page({**query, "category": (category,)})


def filters_of(query: Query) -> Filters:
    """Return the filters among the parameters of a question."""
    return Filters(**{name: query.get(name) for name in _LIST_NAMES})


def fields_of(query: Query) -> list[str] | None:
    """Return the fields that a question asks for; None for all."""
    chosen: list[str] | None = query.get("fields_")
    return chosen or (list(SUMMARY_FIELDS) if query["view"] == "summary" else None)


def bound(query: Query) -> dict[str, Any]:
    """Return the parameters that a cursor is bound to: which tools, and in which order."""
    return {name: query.get(name) for name in (*_LIST_NAMES, "sort", "q")}


def answer_page(query: Query) -> Response:
    """Answer the page of a list that a question asks for."""
    key = key_of(query)
    return answer_read(key, query, lambda parts: _render_page(parts, key, query))


def _render_page(parts: Context, key: Key, query: Query) -> Answer:
    sort, fields, filters = query["sort"], fields_of(query), filters_of(query)
    after = cursors.read(query.get("cursor"), bound(query), listing.position_types(sort))
    place: dict[str, Any] = {"sort": sort, "after": after, "limit": query["limit"]}
    with parts.database.read() as connection:
        if fields is None:
            text, page = rendering.page_of_tools(connection, parts.cache, filters, **place)
        else:
            page = listing.page(connection, filters, **place)
            whole = rows.needs_whole(fields)
            found = listing.load(connection, [row.id for row in page.rows], whole=whole)
            answers = [rows.answer(found[row.id], whole=whole) for row in page.rows]
            text = rendering.body([rendering.chosen(tool, fields) for tool in answers])
    headers = page_headers(page.total, cursors.make(page.next, bound(query)))
    return rendering.answer(text, key, page.revision, OnList(filters), headers)


@operation(blueprint, "GET", "/<reference>", query=ToolReadQuery, answers=ref("Tool"))
def get_tool(query: Query, reference: str) -> Response:
    """Return one tool, whole, by id or name.

    Digits are an id, anything else is a name. A tool that bears the name of another path, such as
    `search`, is found by its id, or at `/api/v1/tools/name/{name}`.
    """
    return answer_version(Reference.parse(reference), query.get("version"), query)


@operation(blueprint, "GET", "/name/<name>", query=ToolReadQuery, answers=ref("Tool"))
def get_tool_by_name(query: Query, name: str) -> Response:
    """Return one tool, whole, by name; also one whose name is a word of a path here.

    The answer is the same as by id, down to its ETag.
    """
    return answer_version(Reference(name=name), query.get("version"), query)


def answer_version(reference: Reference, version: str | None, query: Query) -> Response:
    """Answer one version of a tool, the latest for None."""

    def render(parts: Context) -> Answer:
        with parts.database.read() as connection:
            row, revision = tools.read(connection, reference, version)
        return rendering.tool(row, revision)

    return answer_read(rendering.tool_key(reference, version), query, render)


@operation(
    blueprint, "POST", "", body=ref("ToolDefinition"), status=201, answers=ref("Tool"), problems=(409,),
    headers=VERSION_HEADERS,
)  # fmt: skip
def create_tool() -> Response:
    """Add a tool, or a version of one that is there.

    The newest version becomes the latest. 409 when the tool has this version already, or had it and it
    is retired.
    """
    definition = definitions.from_document(bodies.json_object())
    with changing() as journal:
        row = tools.create(journal, definition)
    return answer_tool(row, status=201)


_CHANGE: dict[str, Any] = {
    "query": ToolQuery, "answers": ref("Tool"), "conditional": True, "problems": (409,),
    "headers": VERSION_HEADERS,
}  # fmt: skip


@operation(blueprint, "PUT", "/<reference>", body=ref("ToolChanges"), **_CHANGE)
def replace_fields(query: Query, reference: str) -> Response:
    """Replace the fields given. Another `version` makes a new version, and keeps this one.

    A field that is given takes the place of the whole field that was there; fields that are not given
    stay. What changes nothing takes no revision.
    """
    body = bodies.json_object()
    return _change(query, reference, lambda document: {**document, **body})


@operation(blueprint, "PATCH", "/<reference>", body=ref("ToolPatch"), **_CHANGE)
def patch_tool(query: Query, reference: str) -> Response:
    """Merge a JSON merge patch (RFC 7396) into a tool: null removes a field.

    Maps are merged field by field, lists are replaced. A patch that changes nothing takes no revision.
    """
    body = bodies.json_object()
    return _change(query, reference, lambda document: merge_patch(document, body))


@operation(blueprint, "PATCH", "/<reference>/enable", **_CHANGE)
def enable_tool(query: Query, reference: str) -> Response:
    """Let a tool be used.

    A tool that is enabled already stays as it is. For a tool that came from a file, this holds until
    file and catalog say the same again.
    """
    return _change(query, reference, lambda document: {**document, "enabled": True}, stored=True)


@operation(blueprint, "PATCH", "/<reference>/disable", **_CHANGE)
def disable_tool(query: Query, reference: str) -> Response:
    """Keep a tool from being used; it stays in the catalog.

    A tool that is disabled already stays as it is. For a tool that came from a file, this holds until
    file and catalog say the same again.
    """
    return _change(query, reference, lambda document: {**document, "enabled": False}, stored=True)


def _change(
    query: Query, reference: str, change: Callable[[Document], Document], *, stored: bool = False
) -> Response:
    meant = Reference.parse(reference), query.get("version")
    with changing() as journal:
        row = tools.replace(journal, *meant, change, precondition(), stored=stored)
    return answer_tool(row)


@operation(
    blueprint, "POST", "/<reference>/rollback", body=ref("Rollback"),
    answers=ref("Tool"), conditional=True, problems=(409,), headers=VERSION_HEADERS,
)  # fmt: skip
def roll_tool_back(reference: str) -> Response:
    """Make an earlier version the latest, as a new change.

    The newer versions stay, and the mark of the latest stays here until a version is added that is
    newer than the one it was moved from.
    """
    version = bodies.required_text(bodies.json_object(), "version")
    with changing() as journal:
        row = tools.roll_back(journal, Reference.parse(reference), version, precondition())
    return answer_tool(row)


@operation(
    blueprint,
    "DELETE",
    "/<reference>",
    query=ToolQuery,
    status=204,
    answers=None,
    etag=False,
    headers=RETIRED_HEADERS,
    conditional=True,
    problems=(409,),
)
def retire_tool(query: Query, reference: str) -> Response:
    """Take a tool, or one version of it, out of the catalog. Nothing is lost: a restore brings it back.

    Without `version`, all versions are retired. When the latest is, the newest that is left becomes the
    latest. What is retired so stays retired also when its file is edited.
    """
    with changing() as journal:
        tools.retire(journal, Reference.parse(reference), query.get("version"), precondition())
    return Response(status=204, headers={RETIRED: UNTIL_RESTORED})


@operation(
    blueprint, "POST", "/<reference>/restore", query=ToolQuery, answers=ref("Tool"), problems=(409,),
    headers=VERSION_HEADERS,
)  # fmt: skip
def restore_tool(query: Query, reference: str) -> Response:
    """Bring back what was retired last, or one version.

    Without `version`, the versions that were retired last come back together, as they were; within a
    minute, or by a reload, they say what their file says now. What is there already stays as it is.
    """
    with changing() as journal:
        row = tools.restore(journal, Reference.parse(reference), query.get("version"))
    return answer_tool(row)
