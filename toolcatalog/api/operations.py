"""One decorator that is a view's contract: method, path, parameters, body, answer and problems."""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from flask_smorest import Blueprint

from toolcatalog.api.answers import JSON
from toolcatalog.api.bodies import YAML_TYPES
from toolcatalog.schemas.queries import QuerySchema
from toolcatalog.schemas.shapes import Schema, ref, text, whole

View = Callable[..., Any]

# The scope that an operation needs, by its endpoint; `OPEN` needs none.
OPEN = "open"
SCOPES: dict[str, str] = {}

_PROBLEM = {"application/problem+json": {"schema": ref("Problem")}}
_WITH_BODY = (400, 413, 415, 422)
_CONDITIONAL = (412, 428)
_REFUSALS = {OPEN: set(), "read": {401, 429}, "write": {401, 403, 429}, "admin": {401, 403, 429}}


def _header(schema: Schema, *, required: bool = False) -> Schema:
    """Describe a header of an answer; the description is the header's own."""
    described = {"description": schema["description"], "schema": {"type": schema["type"]}}
    return described | ({"required": True} if required else {})


_REQUEST_ID: dict[str, Schema] = {
    "X-Request-ID": _header(
        text("The id of this request: the one that it came with, if it may stand in a log, or a new one."),
        required=True,
    )
}
_RETRY_AFTER: dict[str, Schema] = {
    "Retry-After": _header(whole("After how many seconds to try again."), required=True)
}
_RETRY_CONFLICT: dict[str, Schema] = {
    "Retry-After": _header(whole("With the code concurrent_change: after how many seconds to try again."))
}
_WHEN_TO_RETRY = {409: _RETRY_CONFLICT, 429: _RETRY_AFTER, 503: _RETRY_AFTER}
_LOCATION: dict[str, Schema] = {"Location": _header(text("Where the new tool is."), required=True)}
_ETAG: dict[str, Schema] = {
    "ETag": _header(text("The tag of this representation, for If-None-Match and If-Match."), required=True)
}
_REVISION: dict[str, Schema] = {
    "X-Catalog-Revision": _header(whole("The last committed change that this answer shows."))
}
VERSION_HEADERS: dict[str, Schema] = {
    "Content-Location": _header(text("Where just this version is read and changed, with this ETag."))
}
RETIRED, UNTIL_RESTORED = "X-Catalog-Retired", "until-restored"
RETIRED_HEADERS: dict[str, Schema] = {
    RETIRED: {
        "description": "Until it is restored, no edit of its file brings it back.",
        "schema": {"type": "string", "enum": [UNTIL_RESTORED]},
        "required": True,
    }
}
TOTAL_HEADER: dict[str, Schema] = {
    "X-Total-Count": _header(whole("How many there are in all, on all pages together."))
}
PAGE_HEADERS: dict[str, Schema] = {
    **TOTAL_HEADER,
    "Link": _header(text('Where the next page is, as `<...>; rel="next"` (RFC 8288); absent on the last.')),
}
_IF_MATCH = {
    "in": "header",
    "name": "If-Match",
    "schema": {"type": "string"},
    "description": "the ETag of the tool as it was read; 412 when it has changed since",
}
_IF_NONE_MATCH = {
    "in": "header",
    "name": "If-None-Match",
    "schema": {"type": "string"},
    "description": "the ETag of an earlier answer; 304 when it still holds",
}
_IF_NONE_MATCH_OF_CHANGE = _IF_NONE_MATCH | {
    "description": "412 when the tool has this ETag; `*` when there is such a tool at all",
}
_PATH_PARAMETERS = {
    "reference": "the number or the name of a tool",
    "name": "the name of a tool",
    "version": "a version of the tool",
    "platform": "a platform, such as linux",
    "category": "a category, such as system",
    "capability": "the name of a capability",
}
_RESPONSES = {
    200: "The answer.",
    201: "It was made.",
    204: "It was done; there is no body.",
    304: "The answer is the one that the client has.",
    400: "The request or its body cannot be read.",
    401: "A key is needed, or the one given is none.",
    403: "The key may not do this.",
    404: "There is nothing of that name or number.",
    409: "It contradicts what the catalog has, or somebody else is changing it at this moment.",
    412: "It is not in the state that the request asks for.",
    413: "The body is too large.",
    415: "The body is of a type, or in an encoding, that is not read here.",
    422: "A parameter or a field is not valid; `errors` says which.",
    428: "Changes here need If-Match.",
    429: "Too many requests.",
    503: "The database cannot be reached at the moment, and the answer is not in the cache.",
}


def operation(
    blueprint: Blueprint,
    method: str,
    rule: str,
    *,
    answers: Schema | None,
    status: int = 200,
    query: type[QuerySchema] | QuerySchema | None = None,
    body: Schema | None = None,
    yaml: bool = False,
    optional_body: bool = False,
    content_types: tuple[str, ...] = (JSON,),
    headers: dict[str, Schema] | None = None,
    etag: bool = True,
    conditional: bool = False,
    unavailable: Schema | None = None,
    problems: tuple[int, ...] = (),
    scope: str | None = None,
) -> Callable[[View], View]:
    """Route a view, read its query, and describe it in the OpenAPI document.

    `answers` is the schema of the good answer, None where it has no body; `yaml` says that the body may be
    YAML too; `etag` that the good answer has one; `conditional` that `If-Match` is heeded.
    `unavailable` is what comes with 503 where that is no problem document. `scope` is what a key has to open;
    None means `read` for GET and `write` for others.
    """
    needed = scope or ("read" if method == "GET" else "write")
    is_read = method == "GET" and etag
    possible = {503, *problems, *(_WITH_BODY if body else ()), *(_CONDITIONAL if conditional else ())}
    if query is not None:
        possible.add(422)
    if "<" in f"{blueprint.url_prefix}{rule}":
        possible.add(404)
    if is_read:
        possible.add(412)
    possible |= _REFUSALS[needed] | (set() if method == "GET" else {429})
    contents = {} if answers is None else dict.fromkeys(content_types, answers)
    documented: dict[str, Any] = {
        "responses": {
            str(status): _good_answer(status, contents, {**(_ETAG if etag else {}), **(headers or {})}),
            **({"304": _good_answer(304, {}, _ETAG)} if is_read else {}),
            **{str(code): _problem(code) for code in sorted(possible)},
        }
    }
    if unavailable is not None:
        documented["responses"]["503"] = _good_answer(503, {JSON: unavailable}, {})
    if body is not None:
        documented["requestBody"] = {
            "required": not optional_body,
            "content": {name: {"schema": body} for name in _json_types(method)},
            # Beside the JSON types they would be a warning to generators of clients, which write no YAML.
            **({"x-also-accepts": list(YAML_TYPES)} if yaml else {}),
        }
    request_headers = (
        [_IF_MATCH, _IF_NONE_MATCH_OF_CHANGE] if conditional else [_IF_NONE_MATCH] if is_read else []
    )

    def decorator(view: View) -> View:
        documented["operationId"] = view.__name__
        documented["x-required-scope"] = needed
        if needed == OPEN:
            documented["security"] = []
        SCOPES[f"{blueprint.name}.{view.__name__}"] = needed
        decorated = blueprint.doc(**documented)(view)
        if query is not None:
            # One schema for all requests: webargs would make one of a class for each. It would also leave
            # out parameters that it does not know; the schemas refuse them.
            schema = query() if isinstance(query, type) else query
            decorated = blueprint.arguments(schema, location="query", unknown=None)(decorated)
        _document_parameters(decorated, request_headers)
        in_path = _path_parameters(f"{blueprint.url_prefix}{rule}")
        blueprint.add_url_rule(rule, view.__name__, decorated, methods=[method], parameters=in_path)
        return view

    return decorator


def _document_parameters(view: View, parameters: list[Schema]) -> None:
    """Describe parameters beside those of the query; flask-smorest's `doc` would put them in their place."""
    view._apidoc.setdefault("arguments", {}).setdefault("parameters", []).extend(parameters)  # type: ignore[attr-defined]


def _path_parameters(rule: str) -> list[Schema]:
    """Describe the parameters of a path; of which type they are, flask-smorest finds in the rule."""
    return [
        {"in": "path", "name": name, "description": _PATH_PARAMETERS[name]}
        for name in re.findall("<([a-z]+)>", rule)
    ]


def _json_types(method: str) -> tuple[str, ...]:
    return (JSON, "application/merge-patch+json") if method == "PATCH" else (JSON,)


def _good_answer(status: int, contents: dict[str, Schema], headers: dict[str, Schema]) -> Schema:
    every = {**_REQUEST_ID, **_REVISION, **(_LOCATION if status == HTTPStatus.CREATED else {})}
    answer: Schema = {"description": _RESPONSES[status], "headers": {**every, **headers}}
    if contents:
        answer["content"] = {name: {"schema": schema} for name, schema in contents.items()}
    return answer


def _problem(code: int) -> Schema:
    headers = {**_REQUEST_ID, **_WHEN_TO_RETRY.get(code, {})}
    return {"description": _RESPONSES[code], "headers": headers, "content": _PROBLEM}
