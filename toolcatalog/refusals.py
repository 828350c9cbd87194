"""Answers to what gunicorn cannot take for a request, which the application therefore never sees.

They are problem documents (RFC 9457) with an `X-Request-ID`, as all errors are; gunicorn's own are HTML.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import NamedTuple

from gunicorn.http import errors

from toolcatalog.api.problems import problem_document
from toolcatalog.core import json_text

# A message may quote what was sent, which may be long.
_LONGEST_QUOTE = 300


class Refusal(NamedTuple):
    """Why there is no proper answer: the status, a code for programs, and what to do, for people."""

    status: int
    code: str
    advice: str


FAILURE = Refusal(
    500,
    "internal_server_error",
    "Something went wrong here, not in your request. It was logged with this request id.",
)
_NO_HTTP = Refusal(400, "bad_request", "Send a request as RFC 9112 has it.")
_REFUSALS: dict[type[Exception], Refusal] = {
    # What the application itself tried to send is no fault of the client.
    errors.InvalidResponseHeader: FAILURE,
    errors.InvalidResponseHeaderName: FAILURE,
    errors.LimitRequestLine: Refusal(
        414, "uri_too_long", "Shorten the URL; the names for an export can be sent in a POST."
    ),
    errors.LimitRequestHeaders: Refusal(
        431,
        "request_header_fields_too_large",
        "Send fewer headers or shorter ones, or have MAX_HEADER_BYTES raised.",
    ),
    errors.ExpectationFailed: Refusal(417, "expectation_failed", "Expect nothing but 100-continue."),
}


def refusal_of(error: Exception) -> Refusal:
    """Tell what to say of an error of gunicorn's parser, or of one that nobody foresaw."""
    otherwise = _NO_HTTP if isinstance(error, errors.ParseException) else FAILURE
    return _REFUSALS.get(type(error), otherwise)


def response(error: Exception, request_id: str) -> bytes:
    """Return the whole response to a request that ended in an error; the connection is to be closed then."""
    refusal = refusal_of(error)
    detail = refusal.advice if refusal is FAILURE else f"{str(error)[:_LONGEST_QUOTE]}. {refusal.advice}"
    document = problem_document(refusal.status, refusal.code, detail, request_id)
    body = json_text.dumps(document).encode()
    head = (
        f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}\r\n"
        "Connection: close\r\n"
        "Content-Type: application/problem+json\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"X-Request-ID: {request_id}\r\n"
        "\r\n"
    )
    return head.encode() + body
