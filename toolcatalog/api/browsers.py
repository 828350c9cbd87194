"""What browsers are told: which of an answer's uses are none, and which other sites may read it."""

from __future__ import annotations

from flask import Flask, Response, request
from flask_cors import CORS

from toolcatalog.api.problems import DOCS

_API_POLICY = "default-src 'none'; frame-ancestors 'none'"
# Swagger UI starts itself from a script in its page, and draws its icons from `data:`.
_DOCS_POLICY = (
    "default-src 'none'; connect-src 'self'; img-src 'self' data:; script-src 'self' 'unsafe-inline'; "
    "style-src 'self' 'unsafe-inline'; font-src 'self'; frame-ancestors 'none'"
)
_EXPOSED = (
    "Cache-Status", "Content-Location", "ETag", "Link", "Location", "Retry-After", "X-Catalog-Retired",
    "X-Catalog-Revision", "X-Request-ID", "X-Total-Count",
)  # fmt: skip


def install(app: Flask, origins: tuple[str, ...]) -> None:
    """Have the answers of an application say what browsers may do; pages of `origins` may read them."""
    app.after_request(_add_headers)
    if origins:
        CORS(app, origins=list(origins), expose_headers=list(_EXPOSED), max_age=3600)


def _add_headers(response: Response) -> Response:
    policy = _DOCS_POLICY if request.path.startswith(DOCS) else _API_POLICY
    response.headers["Content-Security-Policy"] = policy
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
