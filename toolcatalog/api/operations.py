"""One decorator that is a view's contract: method, path, parameters, body, answer and problems."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from flask_smorest import Blueprint

from toolcatalog.api.answers import JSON
from toolcatalog.api.bodies import YAML_TYPES
from toolcatalog.schemas.answers import Schema, ref
from toolcatalog.schemas.queries import QuerySchema

View = Callable[..., Any]

_PROBLEM = {"application/problem+json": {"schema": ref("Problem")}}
# What every operation may answer, what those with a body may, and what a change may.
_ALWAYS = (422, 503)
_WITH_BODY = (400, 413, 415)
_CONDITIONAL = (412, 428)

_HEADERS: dict[str, Schema] = {
    "X-Request-ID": {"schema": {"type": "string"}},
    "ETag": {"schema": {"type": "string"}},
    "X-Catalog-Revision": {"schema": {"type": "integer"}},
}
PAGE_HEADERS: dict[str, Schema] = {
    "X-Total-Count": {"schema": {"type": "integer"}},
    "Link": {"schema": {"type": "string"}, "description": 'the next page, as `<...>; rel="next"` (RFC 8288)'},
}
_IF_MATCH = {
    "in": "header",
    "name": "If-Match",
    "schema": {"type": "string"},
    "description": "the ETag of the tool as it was read; 412 when it has changed since",
}


def operation(
    blueprint: Blueprint,
    method: str,
    rule: str,
    *,
    answers: Schema | None,
    status: int = 200,
    query: type[QuerySchema] | None = None,
    body: Schema | None = None,
    yaml: bool = False,
    optional_body: bool = False,
    content_types: Iterable[str] = (JSON,),
    headers: dict[str, Schema] | None = None,
    conditional: bool = False,
    problems: tuple[int, ...] = (),
) -> Callable[[View], View]:
    """Route a view, read its query, and describe it in the OpenAPI document.

    `answers` is the schema of the good answer, None where it has no body; `yaml` says that the body may be
    YAML too; `conditional` that `If-Match` is heeded.
    """
    possible = {*_ALWAYS, *problems, *(_WITH_BODY if body else ()), *(_CONDITIONAL if conditional else ())}
    if "<" in rule:
        possible.add(404)
    documented: dict[str, Any] = {
        "responses": {
            str(status): _good_answer(status, answers, content_types, headers),
            **{str(code): _problem(code) for code in sorted(possible)},
        }
    }
    if body is not None:
        types = (JSON, *YAML_TYPES) if yaml else _json_types(method)
        documented["requestBody"] = {
            "required": not optional_body,
            "content": {name: {"schema": body} for name in types},
        }
    if conditional:
        documented["parameters"] = [_IF_MATCH]

    def decorator(view: View) -> View:
        documented["operationId"] = view.__name__
        decorated = blueprint.doc(**documented)(view)
        if query is not None:
            # webargs would leave out parameters that it does not know; the schemas refuse them.
            decorated = blueprint.arguments(query, location="query", unknown=None)(decorated)
        blueprint.add_url_rule(rule, view.__name__, decorated, methods=[method])
        return view

    return decorator


def _json_types(method: str) -> tuple[str, ...]:
    return (JSON, "application/merge-patch+json") if method == "PATCH" else (JSON,)


def _good_answer(
    status: int, schema: Schema | None, content_types: Iterable[str], headers: dict[str, Schema] | None
) -> Schema:
    answer: Schema = {"description": HTTPStatus(status).phrase, "headers": {**_HEADERS, **(headers or {})}}
    if schema is not None:
        answer["content"] = {name: {"schema": schema} for name in content_types}
    return answer


def _problem(code: int) -> Schema:
    return {"description": HTTPStatus(code).phrase, "content": _PROBLEM}
