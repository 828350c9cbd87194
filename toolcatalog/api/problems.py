"""Errors as answers: RFC 9457 problem documents, with a code for programs and a sentence for people."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus
from typing import Any

from flask import Response, g
from flask_smorest import Api
from werkzeug.exceptions import HTTPException

from toolcatalog import errors
from toolcatalog.api.answers import answer
from toolcatalog.core import json_text
from toolcatalog.errors import CatalogError, Finding, dotted

log = logging.getLogger(__name__)

STATUS: dict[type[CatalogError], HTTPStatus] = {
    errors.InvalidDocument: HTTPStatus.BAD_REQUEST,
    errors.InvalidDefinition: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.InvalidQuery: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.AlreadyExists: HTTPStatus.CONFLICT,
    errors.ConcurrentChange: HTTPStatus.CONFLICT,
    errors.PreconditionFailed: HTTPStatus.PRECONDITION_FAILED,
    errors.ImportRejected: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.DatabaseUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.DatabaseBusy: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.SchemaOutOfDate: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.NoRights: HTTPStatus.SERVICE_UNAVAILABLE,
}
RETRY_AFTER_SECONDS = 2
RETRY_AFTER_CONFLICT_SECONDS = 1
DOCS = "/api/v1/docs"


def problem(status: int, code: str, detail: str, findings: Sequence[Finding] = ()) -> Response:
    """Make a problem document (RFC 9457, section 3)."""
    body = problem_document(status, code, detail, g.request_id)
    if findings:
        body["errors"] = as_errors(findings)
    response = Response(json_text.dumps(body), status=status, mimetype="application/problem+json")
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def problem_document(status: int, code: str, detail: str, request_id: str) -> dict[str, Any]:
    """Return what every problem document has."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "code": code,
        "detail": detail,
        "request_id": request_id,
    }


def as_errors(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Write findings as they stand in answers; `line` only where the text had lines."""
    return [
        {"path": dotted(each.path), "message": each.message} | ({"line": each.line} if each.line else {})
        for each in findings
    ]


class ProblemApi(Api):  # type: ignore[misc]  # flask-smorest has no types
    """flask-smorest's Api, whose errors are problem documents too."""

    # Each operation says which problems it may answer; a default of another shape would be wrong twice.
    DEFAULT_ERROR_RESPONSE_NAME = None

    def _register_responses(self) -> None:
        """Leave out flask-smorest's own shape of errors, which nothing here has."""

    def _register_pagination_header(self) -> None:
        """Leave out flask-smorest's own way of paging."""

    def _openapi_json(self) -> Response:
        """Answer the document, with its ETag as all reads."""
        return answer(self.spec.to_dict())

    def handle_http_exception(self, error: HTTPException) -> Response:
        """Answer an error of Flask, of webargs (its `data`), or one that nobody foresaw."""
        status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
        code = HTTPStatus(status).phrase.lower().replace(" ", "_")
        messages = (getattr(error, "data", None) or {}).get("messages")
        if messages is not None:
            response = problem(status, "invalid", "The request is not valid.", _of_all_locations(messages))
        else:
            response = problem(status, code, _sentence(error))
        for name, value in error.get_headers():
            if name.lower() not in ("content-type", "content-length"):
                response.headers[name] = value
        return response


def _of_all_locations(messages: dict[str, Any]) -> list[Finding]:
    """Leave out what webargs puts around the messages: `query`."""
    return [finding for location in messages.values() for finding in flattened(location)]


def flattened(messages: Any, path: errors.Path = ()) -> Iterator[Finding]:
    """Turn marshmallow's messages, lists in maps by field and index, into findings."""
    if isinstance(messages, dict):
        for step, found in messages.items():
            yield from flattened(found, (*path, step))
    else:
        yield from (Finding(path, str(each)) for each in messages)


def _sentence(error: HTTPException) -> str:
    if error.code == HTTPStatus.NOT_FOUND:
        return f"There is nothing at this path; {DOCS} lists what there is."
    if error.code == HTTPStatus.INTERNAL_SERVER_ERROR:
        return "Something went wrong here, not in your request. It was logged with this request id."
    return error.description or error.name


def answer_catalog_error(error: CatalogError) -> Response:
    """Answer one of the catalog's own errors."""
    response = problem(STATUS[type(error)], error.code, str(error), error.findings)
    if isinstance(error, errors.ConcurrentChange):
        response.headers["Retry-After"] = str(RETRY_AFTER_CONFLICT_SECONDS)
    return response
