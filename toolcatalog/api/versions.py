"""A tool over time: its versions, its history, and what differs between two versions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from flask import Response
from flask_smorest import Blueprint
from sqlalchemy import Connection

from toolcatalog.api import rendering
from toolcatalog.api.context import Context
from toolcatalog.api.operations import PAGE_HEADERS, TOTAL_HEADER, operation
from toolcatalog.api.reads import answer_read, history_headers, key_of, page_headers
from toolcatalog.api.tools import Query, answer_version
from toolcatalog.cache.dependence import OnTool
from toolcatalog.cache.store import Answer
from toolcatalog.core.merge import difference
from toolcatalog.schemas.queries import DifferenceQuery, HistoryQuery, ReadQuery
from toolcatalog.schemas.shapes import listed, ref
from toolcatalog.services import changes, rows, tools
from toolcatalog.services.tools import Reference

blueprint = Blueprint(
    "versions", __name__, url_prefix="/api/v1/tools/<reference>", description="A tool over time."
)


@operation(blueprint, "GET", "/versions", query=ReadQuery, answers=listed(ref("Tool")), headers=TOTAL_HEADER)
def list_versions(query: Query, reference: str) -> Response:
    """List the versions of a tool, the newest first.

    Retired versions are left out. Versions are ordered by PEP 440 or semver where they parse as one.
    """

    def read(connection: Connection) -> _Read:
        found = tools.list_versions(connection, Reference.parse(reference))
        return _Read(found[0].tool_id, [rows.answer(row) for row in found], page_headers(len(found), None))

    return _answer_of_tool(query, read)


@operation(blueprint, "GET", "/versions/<version>", query=ReadQuery, answers=ref("Tool"))
def get_version(query: Query, reference: str, version: str) -> Response:
    """Return one version of a tool.

    As the tool itself with the parameter `version`.
    """
    return answer_version(Reference.parse(reference), version, query)


@operation(
    blueprint, "GET", "/history", query=HistoryQuery, answers=listed(ref("Change")), headers=PAGE_HEADERS
)
def get_history(query: Query, reference: str) -> Response:
    """List who changed a tool, when, and how, the newest change first; also of a retired tool.

    Each change has the definition before and after. `before` gives the next, older page.
    """

    def read(connection: Connection) -> _Read:
        tool = tools.get_identity(connection, Reference.parse(reference))
        found = changes.list_of_tool(connection, tool.id, query.get("before"), query["limit"] + 1)
        total = changes.count_of_tool(connection, tool.id)
        shown = found[: query["limit"]]
        before = shown[-1].revision if len(found) > len(shown) else None
        return _Read(tool.id, [changes.answer(one) for one in shown], history_headers(total, before))

    return _answer_of_tool(query, read)


@operation(blueprint, "GET", "/diff", query=DifferenceQuery, answers=ref("Difference"))
def get_difference(query: Query, reference: str) -> Response:
    """List what differs between two versions.

    Maps are compared field by field, lists as a whole.
    """

    def read(connection: Connection) -> _Read:
        old, new = (
            tools.get(connection, Reference.parse(reference), version)
            for version in (query["from_"], query.get("to"))
        )
        difference_ = difference(old.definition, new.definition)
        return _Read(old.tool_id, {"from": old.version, "to": new.version, "changes": difference_})

    return _answer_of_tool(query, read)


class _Read(NamedTuple):
    """What was read of one tool, and what is said with it."""

    tool_id: int
    value: Any
    headers: tuple[tuple[str, str], ...] = ()


def _answer_of_tool(query: Query, read: Callable[[Connection], _Read]) -> Response:
    """Answer what was read of one tool."""
    key = key_of(query)

    def render(parts: Context) -> Answer:
        with parts.database.read() as connection:
            found = read(connection)
            revision = changes.current_revision(connection)
        text = rendering.body(found.value)
        return rendering.answer(text, key, revision, OnTool(found.tool_id), found.headers)

    return answer_read(key, query, render)
