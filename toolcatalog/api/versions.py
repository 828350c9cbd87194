"""A tool over time: its versions, its history, and what differs between two versions."""

from __future__ import annotations

from typing import Any

from flask import Response
from flask_smorest import Blueprint

from toolcatalog.api.answers import answer
from toolcatalog.api.context import reading
from toolcatalog.api.operations import operation
from toolcatalog.api.tools import Query
from toolcatalog.core.definition import to_document
from toolcatalog.core.merge import difference
from toolcatalog.schemas.answers import listed, ref
from toolcatalog.schemas.queries import DifferenceQuery, HistoryQuery
from toolcatalog.services import changes, rows, tools
from toolcatalog.services.tools import Reference

blueprint = Blueprint("versions", __name__, url_prefix="/api/v1/tools/<reference>")


@operation(blueprint, "GET", "/versions", answers=listed(ref("Tool")))
def list_versions(reference: str) -> Response:
    """List the versions of a tool, the newest first."""
    with reading() as session:
        found = tools.list_versions(session, Reference.parse(reference))
        return answer([rows.answer(row) for row in found], revision=changes.current_revision(session))


@operation(blueprint, "GET", "/versions/<version>", answers=ref("Tool"))
def get_version(reference: str, version: str) -> Response:
    """Return one version of a tool."""
    with reading() as session:
        row = tools.get(session, Reference.parse(reference), version)
        return answer(rows.answer(row), revision=changes.current_revision(session))


@operation(blueprint, "GET", "/history", query=HistoryQuery, answers=listed(ref("Change")))
def get_history(query: Query, reference: str) -> Response:
    """List who changed a tool, when, and how, the newest change first; also of a retired tool."""
    with reading() as session:
        tool = tools.get_identity(session, Reference.parse(reference))
        found = changes.list_of_tool(session, tool.id, query.get("before"), query["limit"])
        return answer([changes.answer(one) for one in found], revision=changes.current_revision(session))


@operation(blueprint, "GET", "/diff", query=DifferenceQuery, answers=ref("Difference"))
def get_difference(query: Query, reference: str) -> Response:
    """List what differs between two versions."""
    with reading() as session:
        old, new = (
            tools.get(session, Reference.parse(reference), version)
            for version in (query["from_"], query.get("to"))
        )
        found: dict[str, Any] = {
            "from": old.version,
            "to": new.version,
            "changes": difference(to_document(rows.read(old)), to_document(rows.read(new))),
        }
        return answer(found, revision=changes.current_revision(session))
