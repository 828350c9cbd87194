"""Answers: JSON bytes with their ETag and revision, and conditional requests."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from flask import Response, request
from werkzeug.exceptions import PreconditionRequired

from toolcatalog.api import context, rendering
from toolcatalog.errors import PreconditionFailed
from toolcatalog.models import ToolVersion
from toolcatalog.services import rows
from toolcatalog.services.tools import Precondition

JSON = "application/json"


def answer(value: Any, *, revision: int | None = None, status: int = 200) -> Response:
    """Answer a value as JSON, with a strong ETag; 304 when the client has it already.

    `revision` is the last committed change that the value shows.

    Raises:
        PreconditionFailed: of a read, when `If-Match` names another state of it.
    """
    body = rendering.body(value)
    response = Response(body, status=status, mimetype=JSON)
    response.set_etag(rendering.etag(body))
    if revision is not None:
        response.headers["X-Catalog-Revision"] = str(revision)
    return conditional(response)


def conditional(response: Response) -> Response:
    """Answer 304 to who has it already.

    Raises:
        PreconditionFailed: when `If-Match` names another state of what is read.
    """
    response.make_conditional(request)
    if response.status_code == HTTPStatus.PRECONDITION_FAILED:
        raise PreconditionFailed("This is not what it was when you read it. Read it again without If-Match.")
    return response


def answer_tool(row: ToolVersion, *, status: int = 200) -> Response:
    """Answer a tool that was just changed or made; its own revision is then the last one.

    It says where just this version is read and changed, and so where its ETag holds: the tool's own path
    leads to the latest version, which may be another one.
    """
    tool = rows.answer(row)
    response = answer(tool, revision=tool["revision"], status=status)
    place = f"/api/v1/tools/{tool['id']}?{urlencode({'version': tool['version']})}"
    response.headers["Content-Location"] = place  # RFC 9110, 8.7
    if status == HTTPStatus.CREATED:
        response.headers["Location"] = place
    return response


def precondition() -> Precondition | None:
    """Return what `If-Match` asks to hold before a change; None when it asks nothing.

    Raises:
        PreconditionRequired: when it asks nothing and `REQUIRE_IF_MATCH` wants it to.
    """
    if "If-Match" not in request.headers:
        if context.current().require_if_match:
            raise PreconditionRequired("Changes here need If-Match with the ETag of the tool as you read it.")
        return None
    wanted = request.if_match

    def check(row: ToolVersion) -> None:
        if rendering.etag(rendering.body(rows.answer(row))) not in wanted:
            raise PreconditionFailed(
                "The tool has changed since you read it. Read it again, and change that."
            )

    return check
