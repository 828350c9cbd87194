"""The OpenAPI document says what the API does: schemathesis tries to show that one of them is wrong."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
import yaml
from flask import Flask
from hypothesis import strategies as st
from schemathesis import Case, Response
from schemathesis.checks import load_all_checks
from schemathesis.config import SchemathesisConfig
from schemathesis.core.media_types import YAML_MEDIA_TYPES
from schemathesis.schemas import BaseSchema

from tests.conftest import tool
from toolcatalog import settings
from toolcatalog.app import create_app
from toolcatalog.sources.writing import yaml_texts

load_all_checks()

_OPENAPI = "/api/v1/openapi.json"
# Their bodies are whole definitions, or parts: the systematic phase alone takes minutes, so it is slow.
_DEFINITIONS = [
    "create_tool", "replace_fields", "patch_tool", "validate_definition", "validate_change", "import_tools",
]  # fmt: skip
_CHANGES = ["replace_fields", "patch_tool", "enable_tool", "disable_tool", "roll_tool_back", "retire_tool"]
# What stands in the database, so that more than 404 is met.
_KNOWN = {
    "references": ["grep", "df", "search", "1", "2", "9223372036854775808"],
    "versions": ["1.0", "2.0"],
    "platforms": ["linux"],
    "categories": ["system"],
    "capabilities": ["text_search"],
    "tags": ["text"],
    "names": ["grep"],
    "words": ["find files", "grep"],
    "etags": ["*"],
}
_KNOWN_OF = {
    "path.reference": "references", "path.name": "references", "path.version": "versions",
    "path.platform": "platforms", "path.category": "categories", "path.capability": "capabilities",
    "query.platform": "platforms", "query.category": "categories", "query.capability": "capabilities",
    "query.tag": "tags", "query.name": "names", "query.version": "versions", "query.from": "versions",
    "query.to": "versions", "query.q": "words", "header.If-Match": "etags",
}  # fmt: skip


def _config(max_examples: int, *, systematic_definitions: bool) -> SchemathesisConfig:
    changes = {
        "include-operation-id": _CHANGES,
        "checks": {
            "positive_data_acceptance": {"expected-statuses": ["2xx", "404", "409", "412"]},
            "negative_data_rejection": {"expected-statuses": ["400", "404", "409", "412", "415", "422"]},
        },
    }
    # A tool may bear the name of one of these paths, so that PUT, PATCH and DELETE are allowed there too.
    also_tools = {
        "include-path-regex": "^/api/v1/tools/[a-z]+$",
        "checks": {"allow_header_conformance": {"enabled": False}},
    }
    definitions = {
        "include-operation-id": _DEFINITIONS,
        "phases": {"coverage": {"enabled": systematic_definitions}},
    }
    return SchemathesisConfig.from_dict(
        {
            "seed": 1,
            "generation": {
                "max-examples": max_examples, "deterministic": True, "database": "none", "allow-x00": False,
            },
            "phases": {"coverage": {"generate-duplicate-query-parameters": True}},
            "dictionaries": {name: {"values": values} for name, values in _KNOWN.items()},
            "parameters": {
                name: {"dictionary": known, "probability": 0.7} for name, known in _KNOWN_OF.items()
            },
            "operations": [changes, also_tools, definitions],
        }
    )  # fmt: skip


schemathesis.openapi.format(
    "expression", st.sampled_from(["1", "N", "50 + 0.02 * file_count", "log2(N) ** 2"])
)
schemathesis.openapi.format("condition", st.sampled_from(["N > 100", "pages >= 2 and N < 5"]))
schemathesis.openapi.format("regex", st.sampled_from(["", "a+", "^[0-9]{1,3}$"]))


@schemathesis.deserializer(*YAML_MEDIA_TYPES)
def _read_stream(_: Any, response: Response) -> Any:
    """An export is several YAML documents."""
    return list(yaml.safe_load_all(response.content))


@schemathesis.serializer(*YAML_MEDIA_TYPES)
def _write_document(_: Any, value: Any) -> bytes:
    """Quote what YAML 1.2 takes for a number and PyYAML, which knows 1.1, leaves bare, such as `0E0`."""
    return value if isinstance(value, bytes) else "".join(yaml_texts([value])).encode()


class _Current:
    """The application of the test that runs, since the schema is read before any runs."""

    app: Flask

    def __call__(self, environ: Any, start_response: Any) -> Any:
        return self.app(environ, start_response)


current = _Current()


def _document() -> dict[str, Any]:
    app = create_app(settings.load({"DATABASE_URL": "postgresql://nobody@localhost/none"}))
    document: dict[str, Any] = app.test_client().get(_OPENAPI).json
    return document


def _with_extensions(value: Any) -> Any:
    """Put into words of OpenAPI what the document says in extensions, so that it is tried too."""
    if isinstance(value, list):
        return [_with_extensions(item) for item in value]
    if not isinstance(value, dict):
        return value
    said = {key.replace("x-format", "format"): _with_extensions(item) for key, item in value.items()}
    for content_type in said.get("x-also-accepts", ()):
        said["content"][content_type] = said["content"]["application/json"]
    return said


def _schema(config: SchemathesisConfig) -> BaseSchema:
    schema = schemathesis.openapi.from_dict(_with_extensions(_document()), config=config)
    schema.app = current
    return schema


api = _schema(_config(15, systematic_definitions=False))
definitions_in_full = _schema(_config(15, systematic_definitions=True)).exclude(
    # An import takes one definition or many, in four spellings: what multiplies is covered by the others.
    lambda context: (
        context.operation.definition.raw["operationId"] not in set(_DEFINITIONS) - {"import_tools"}
    )
)


@pytest.fixture(autouse=True)
def stocked(app: Flask) -> None:
    client = app.test_client()
    for one in (tool(), tool(version="2.0"), tool("df"), tool("search")):
        assert client.post("/api/v1/tools", json=one).status_code == 201
    current.app = app


def test_the_document_is_valid() -> None:
    api.validate()


def test_the_document_has_every_route(app: Flask) -> None:
    documented = {
        (method.upper(), path.replace("{", "<").replace("}", ">"))
        for path, methods in api.raw_schema["paths"].items()
        for method in methods
        if method != "parameters"
    }
    routed = {
        (method, rule.rule.replace("<int:", "<"))
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    undocumented = {path for _, path in routed - documented}
    assert documented <= routed
    assert undocumented == {"/", _OPENAPI, "/metrics", *_docs_pages(app)}


def _docs_pages(app: Flask) -> set[str]:
    return {rule.rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith("swagger_ui")}


@api.parametrize()
def test_every_operation_does_what_the_document_says(case: Case) -> None:
    _try(case)


@pytest.mark.slow
@pytest.mark.unhurried
@definitions_in_full.parametrize()
def test_every_operation_on_definitions_does_so_systematically(case: Case) -> None:
    _try(case)


def _try(case: Case) -> None:
    positive = case.meta.generation.mode.is_positive
    _keep_within_what_a_schema_can_say(case, positive=positive)
    response = case.call()
    # These answer 200 also to what is wrong, and say in the answer that it is.
    refused = _refused_in_the_answer(case, response)
    assert not (positive and refused) or _is_taken(response), response.text
    excluded = [schemathesis.checks.negative_data_rejection] if refused or _is_nothing(case, response) else []
    case.validate_response(response, excluded_checks=excluded)


def _is_taken(response: Response) -> bool:
    """Tell whether all that was refused is there already, or twice in an import: no schema can say that."""
    answer = response.json()
    errors = [error["message"] for one in answer.get("results", [answer]) for error in one.get("errors", ())]
    taken = (" is there already and differs", " is defined in item ", " has a version ")
    return bool(errors) and all(any(words in error for words in taken) for error in errors)


def _is_nothing(case: Case, response: Response) -> bool:
    """Tell whether a body was sent that is none, which is right here, and no wrong one for schemathesis."""
    operation = case.operation.definition.raw["operationId"]
    if operation == "validate_change":
        return not response.request.body
    if operation != "import_tools" or response.request.method != "POST" or response.status_code != 200:
        return False
    # `null` is how YAML writes an empty document.
    return not response.json()["results"]


def _keep_within_what_a_schema_can_say(case: Case, *, positive: bool) -> None:
    if isinstance(case.query, dict):
        case.query.pop("cursor", None)
        if isinstance(case.query.get("wait"), int):
            case.query["wait"] = min(0, case.query["wait"])
        if positive and "min_revision" in case.query:
            case.query["min_revision"] = 4  # as far as the catalog has come
        if positive and "names" in case.query:
            # A comma inside a name parts it in two, and either may be empty.
            case.query["names"] = ",".join(filter(None, case.query["names"].split(","))) or "grep"
    if not positive:
        return
    case.body = _without_contradictions(_with_distinct_names(_without_nul(case.body)))
    operation = case.operation.definition.raw["operationId"]
    if isinstance(case.body, dict) and operation in ("replace_fields", "patch_tool", "validate_change"):
        case.body.pop("tool_name", None)  # a tool keeps its name
        if operation == "patch_tool" and isinstance(case.body.get("capabilities"), dict):
            del case.body["capabilities"]  # half a capability is good only where the other half is there


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "0")
    if isinstance(value, dict):
        return {_without_nul(name): _without_nul(item) for name, item in value.items()}
    return [_without_nul(item) for item in value] if isinstance(value, list) else value


def _with_distinct_names(value: Any) -> Any:
    """Number the names in a list of capabilities or patterns: a map has no name twice, and a list may not."""
    if isinstance(value, dict):
        return {name: _with_distinct_names(item) for name, item in value.items()}
    if not isinstance(value, list):
        return value
    items = [_with_distinct_names(item) for item in value]
    for number, item in enumerate(items):
        for key in ("capability_name", "pattern_name"):
            if isinstance(item, dict) and isinstance(item.get(key), str):
                item[key] = f"{item[key][:90]}{number}"
    return items


def _without_contradictions(value: Any) -> Any:
    """Leave out of definitions where one field may contradict another, or say what is no JSON Schema."""
    if isinstance(value, list):
        return [_without_contradictions(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {name: _without_contradictions(item) for name, item in value.items() if name != "output_schema"}
    lists = [kept.get(name) for name in ("required_inputs", "optional_inputs")]
    inputs = [one for each in lists if isinstance(each, list) for one in each if isinstance(one, dict)]
    for number, one in enumerate(inputs):
        one.pop("default", None)
        if isinstance(one.get("name"), str):
            one["name"] = f"{one['name']}{number}"
    return kept


def _refused_in_the_answer(case: Case, response: Response) -> bool:
    operation = case.operation.definition.raw["operationId"]
    if operation not in _DEFINITIONS or response.request.method != "POST" or response.status_code != 200:
        return False
    answer = response.json()
    return bool(answer.get("failed")) or answer.get("valid") is False
