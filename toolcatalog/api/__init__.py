"""HTTP in, HTTP out: the routes, their contract in OpenAPI, and errors as problem documents."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, redirect
from flask_smorest import Blueprint
from flask_swagger_ui import get_swaggerui_blueprint
from marshmallow import ValidationError
from werkzeug.wrappers import Response as WerkzeugResponse

import toolcatalog
from toolcatalog.api import (
    changes,
    exchange,
    figures,
    formats,
    health,
    problems,
    reload,
    search,
    tools,
    versions,
)
from toolcatalog.api.answers import leave_out_type_of_nothing
from toolcatalog.errors import CatalogError
from toolcatalog.schemas import answers

_OPENAPI = "/api/v1/openapi.json"
BLUEPRINTS: tuple[Blueprint, ...] = (
    tools.blueprint,
    versions.blueprint,
    search.blueprint,
    exchange.blueprint,
    reload.blueprint,
    changes.blueprint,
    figures.blueprint,
    formats.blueprint,
    health.blueprint,
)


_ABOUT: dict[str, Any] = {
    "info": {
        "description": (
            "Definitions of operational tools: what each can do, how it is called, what it takes, and under "
            "which policy it may run. Errors are problem documents (RFC 9457). Lists are arrays; an unknown "
            "parameter is an error."
        ),
        "contact": {"name": "The operators of this catalog"},
    },
    "servers": [{"url": "/", "description": "The service that this document comes from."}],
}
# What holds for each operation that does not say that it is open.
_SECURITY: dict[str, dict[str, list[dict[str, list[str]]]]] = {
    "off": {},
    "writes": {"security": [{}, {"key": []}]},
    "all": {"security": [{"key": []}]},
}


def register(app: Flask, *, auth: str) -> None:
    """Give an application its routes, its OpenAPI document, and its errors.

    `auth` is `off`, `writes` or `all`; the document says in which way a key is needed.
    """
    app.config |= {
        "API_TITLE": "Tool Catalog",
        "API_VERSION": toolcatalog.__version__,
        "OPENAPI_VERSION": "3.1.0",
        "OPENAPI_URL_PREFIX": "/api/v1",
    }
    api = problems.ProblemApi(app, spec_kwargs={**_ABOUT, **_SECURITY[auth]})
    if auth != "off":
        api.spec.components.security_scheme(
            "key", {"type": "http", "scheme": "bearer", "description": "An API key: `toolcatalog keys add`."}
        )
    for name, schema in answers.components().items():
        api.spec.components.schema(name, schema)
    for blueprint in BLUEPRINTS:
        api.register_blueprint(blueprint)
    app.register_blueprint(
        get_swaggerui_blueprint(problems.DOCS, _OPENAPI, config={"app_name": "Tool Catalog"})
    )
    app.register_error_handler(CatalogError, problems.answer_catalog_error)
    app.register_error_handler(ValidationError, _answer_body_error)
    app.add_url_rule("/", "start", _start)
    app.after_request(leave_out_type_of_nothing)


def _start() -> WerkzeugResponse:
    """Lead who opens the service in a browser to the page where it can be tried."""
    return redirect(f"{problems.DOCS}/")


def _answer_body_error(error: ValidationError) -> Response:
    findings = list(problems.flattened(error.messages_dict))
    return problems.problem(422, "invalid", "The body is not valid.", findings)
