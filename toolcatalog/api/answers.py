"""Answers: JSON bytes with their ETag and revision, conditional requests, and pages."""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from flask import Response, request
from werkzeug.exceptions import PreconditionRequired

from toolcatalog.api import context
from toolcatalog.api.cursors import Cursor
from toolcatalog.core import json_text
from toolcatalog.core.definition import Document
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
    body = _body(value)
    response = Response(body, status=status, mimetype=JSON)
    response.set_etag(_etag(body))
    if revision is not None:
        response.headers["X-Catalog-Revision"] = str(revision)
    response.make_conditional(request)
    if response.status_code == HTTPStatus.PRECONDITION_FAILED:
        raise PreconditionFailed("This is not what it was when you read it. Read it again without If-Match.")
    return response


def _body(value: Any) -> bytes:
    return json_text.dumps(value).encode() + b"\n"  # the line break is for terminals


def _etag(body: bytes) -> str:
    """Return the entity tag of a representation: the same bytes, the same tag, in every process."""
    return hashlib.sha256(body).hexdigest()[:32]


def answer_tool(row: ToolVersion, *, status: int = 200) -> Response:
    """Answer a tool that was just changed or made; its own revision is then the last one."""
    tool = rows.answer(row)
    response = answer(tool, revision=tool["revision"], status=status)
    if status == 201:
        response.headers["Location"] = f"/api/v1/tools/{tool['id']}"
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
        if _etag(_body(rows.answer(row))) not in wanted:
            raise PreconditionFailed(
                "The tool has changed since you read it. Read it again, and change that."
            )

    return check


def with_page_headers(response: Response, total: int | None, following: Cursor | None) -> Response:
    """Say how long the whole list is, and where the next page is (RFC 8288)."""
    if total is not None:
        response.headers["X-Total-Count"] = str(total)
    if following is not None:
        parameters = [(name, value) for name, value in request.args.items(multi=True) if name != "cursor"]
        query = urlencode([*parameters, ("cursor", following.text)])
        response.headers["Link"] = f'<{request.path}?{query}>; rel="next"'
    return response


def chosen(tool: Document, fields: list[str] | None) -> Document:
    """Return the named fields of an answer, in the answer's order; all of them for None."""
    if fields is None:
        return tool
    return {name: value for name, value in tool.items() if name in fields}
