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
    """Answer a read with 304 to a client that has it already.

    Raises:
        PreconditionFailed: when `If-Match` names another state of what is read.
    """
    if request.method not in ("GET", "HEAD"):
        return response
    tag = response.get_etag()[0] or ""
    if not _is_matched(tag):
        raise PreconditionFailed("This is not what it was when you read it. Read it again without If-Match.")
    if request.if_none_match.contains_weak(tag):
        response.status_code = HTTPStatus.NOT_MODIFIED
    return response


def _is_matched(tag: str) -> bool:
    """Tell whether `If-Match` lets a request pass; without one, all do.

    RFC 9110, 13.1.1, wants a strong comparison, so that nobody changes what is alike and not the same. Our
    tags are hashes of the bytes before compression. A proxy that compresses has to mark them as weak (W/),
    but they still name that one state. A strong comparison would refuse every change through such a proxy.
    """
    return "If-Match" not in request.headers or request.if_match.contains_weak(tag)


def leave_out_type_of_nothing(response: Response) -> Response:
    """Take the type from an answer without a body, such as 204 or that of OPTIONS."""
    if response.is_sequence and not any(response.response):
        del response.headers["Content-Type"]
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
    """Return what `If-Match` and `If-None-Match` ask to hold before a change; None when they ask nothing.

    Raises:
        PreconditionRequired: without `If-Match`, when `REQUIRE_IF_MATCH` wants one.
    """
    if "If-Match" not in request.headers:
        if context.current().require_if_match:
            raise PreconditionRequired("Changes here need If-Match with the ETag of the tool as you read it.")
        if "If-None-Match" not in request.headers:
            return None

    def check(row: ToolVersion) -> None:
        tag = rendering.etag(rendering.body(rows.answer(row)))
        if not _is_matched(tag):
            raise PreconditionFailed(
                "The tool has changed since you read it. Read it again, and change that."
            )
        if request.if_none_match.contains_weak(tag):
            raise PreconditionFailed(
                "The tool is there, in a state that If-None-Match excludes. Leave it out to change the tool."
            )

    return check
