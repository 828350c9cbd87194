"""What is answered where the application never sees a request."""

from __future__ import annotations

import json

import pytest
from gunicorn.http import errors
from gunicorn.http.errors import (
    InvalidHeader,
    InvalidResponseHeader,
    InvalidResponseHeaderName,
    ParseException,
)

from toolcatalog import refusals


@pytest.mark.parametrize("error", [RuntimeError("secret"), InvalidResponseHeader("X-Secret")], ids=type)
def test_a_failure_of_the_service_is_not_explained_to_clients(error: Exception) -> None:
    head, _, body = refusals.response(error, "0123").partition(b"\r\n\r\n")
    assert head.decode().split("\r\n") == [
        "HTTP/1.1 500 Internal Server Error",
        "Connection: close",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        "X-Request-ID: 0123",
    ]
    assert json.loads(body) == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "code": "internal_server_error",
        "detail": "Something went wrong here, not in your request. It was logged with this request id.",
        "request_id": "0123",
    }


def test_every_error_of_the_parser_is_the_clients_unless_it_is_ours() -> None:
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ParseException)
    ]
    ours = {kind for kind in kinds if refusals.refusal_of(kind.__new__(kind)) is refusals.FAILURE}
    assert ours == {InvalidResponseHeader, InvalidResponseHeaderName}


def test_what_is_quoted_is_cut_and_cannot_add_a_header() -> None:
    error = InvalidHeader("a\r\nX-Other: b" + "c" * 1000)
    head, _, body = refusals.response(error, "0123").partition(b"\r\n\r\n")
    assert b"X-Other" not in head
    assert len(json.loads(body)["detail"]) < 400
