"""What the service is set against: a WSGI callable, and a Flask view, that answer with the same bytes."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flask import Flask, Response, request

# Path, query and whether the client has it already -> status, headers and body, as the service answered.
ANSWERS: dict[tuple[str, str, bool], tuple[str, list[tuple[str, str]], bytes]] = pickle.loads(  # noqa: S301 - our own
    Path(os.environ["BENCH_ANSWERS"]).read_bytes()
)


def wsgi(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer as fast as a WSGI callable can."""
    asked = environ["PATH_INFO"], environ["QUERY_STRING"], "HTTP_IF_NONE_MATCH" in environ
    status, headers, body = ANSWERS[asked]
    start_response(status, headers)
    return (body,)


flask = Flask("bare")


@flask.get("/<path:_path>")
def view(_path: str) -> Response:
    """Answer as fast as a Flask view can."""
    asked = request.path, request.query_string.decode(), "If-None-Match" in request.headers
    status, headers, body = ANSWERS[asked]
    return Response(body, status, headers)
