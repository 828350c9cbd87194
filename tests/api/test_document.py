"""The OpenAPI document tells people and generators of clients all that they have to know."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from toolcatalog import settings
from toolcatalog.app import create_app

Schema = dict[str, Any]
Place = tuple[str, ...]

METHODS = ("get", "put", "post", "delete", "patch")


def _document() -> Schema:
    app = create_app(settings.load({"DATABASE_URL": "postgresql://nobody@localhost/none", "AUTH": "all"}))
    document: Schema = app.test_client().get("/api/v1/openapi.json").json
    return document


DOCUMENT = _document()
COMPONENTS: dict[str, Schema] = DOCUMENT["components"]["schemas"]


def operations() -> Iterator[tuple[Place, Schema]]:
    for path, item in DOCUMENT["paths"].items():
        yield from (((path, method), item[method]) for method in METHODS if method in item)


def parameters() -> Iterator[tuple[Place, Schema]]:
    for path, item in DOCUMENT["paths"].items():
        yield from (((path, one["name"]), one) for one in item.get("parameters", []))
    for place, operation in operations():
        yield from (((*place, one["name"]), one) for one in operation.get("parameters", []))


def responses() -> Iterator[tuple[Place, Schema]]:
    for place, operation in operations():
        yield from (((*place, status), one) for status, one in operation["responses"].items())


def headers() -> Iterator[tuple[Place, Schema]]:
    for place, response in responses():
        yield from (((*place, name), one) for name, one in response["headers"].items())


def schemas(value: Any, place: Place) -> Iterator[tuple[Place, Schema]]:
    """Every map in a schema that is not one of names, itself included."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from schemas(item, (*place, str(number)))
    if isinstance(value, dict):
        yield place, value
        for key, item in value.items():
            inner = item if key != "properties" else list(item.values())
            yield from schemas(inner, (*place, key))


def properties() -> Iterator[tuple[Place, Schema]]:
    for component, schema in COMPONENTS.items():
        for place, inner in schemas(schema, (component,)):
            fields = inner.get("properties", {})
            yield from (((*place, name), field) for name, field in fields.items())


@pytest.mark.parametrize(
    "found", [operations, parameters, responses, headers, properties], ids=lambda f: f.__name__
)
def test_everything_says_what_it_means(found: Any) -> None:
    described = {place: one.get("description", "") for place, one in found()}
    assert len(described) > 30
    assert [place for place, said in described.items() if len(said) < 8] == []


def test_what_a_document_is_about_and_where_it_comes_from_is_said() -> None:
    assert DOCUMENT["info"]["description"]
    assert DOCUMENT["info"]["contact"]
    assert [server["url"] for server in DOCUMENT["servers"]] == ["/"]
    assert [tag["name"] for tag in DOCUMENT["tags"] if not tag["description"]] == []


def test_every_component_is_used_and_every_reference_has_one() -> None:
    referred = {
        schema["$ref"].rpartition("/")[2]
        for _, schema in schemas(DOCUMENT, ())
        if isinstance(schema.get("$ref"), str)
    }
    assert referred == set(COMPONENTS)


def test_every_list_says_how_long_it_is() -> None:
    lists = {
        place
        for place, operation in operations()
        for answer in operation["responses"].get("200", {}).get("content", {}).values()
        if answer["schema"].get("type") == "array"
    }
    counted = {place[:2] for place, _ in headers() if place[2:] == ("200", "X-Total-Count")}
    assert len(counted) == 9
    # An export is read to its end, and sent while it is read.
    assert lists - counted == {("/api/v1/tools/export", "get"), ("/api/v1/tools/export", "post")}


def test_every_read_has_a_tag() -> None:
    without = {
        place
        for place, operation in operations()
        if place[1] == "get" and "ETag" not in operation["responses"]["200"]["headers"]
    }
    assert without == {("/api/v1/tools/metrics/prometheus", "get")}


def test_no_two_schemas_have_one_title() -> None:
    titles = Counter(
        schema["title"]
        for _, schema in schemas(DOCUMENT["components"], ())
        if isinstance(schema.get("title"), str)
    )
    assert [title for title, count in titles.items() if count > 1] == []


def test_no_field_is_named_as_a_component_is() -> None:
    """A generator names the type of a field after both: `Reload.result` would be a second `ReloadResult`."""
    own_type = {
        place[0] + "".join(word.title() for word in place[-1].split("_"))
        for place, field in properties()
        if len(place) == 2 and ("enum" in field or "properties" in field)
    }
    assert own_type
    assert own_type & set(COMPONENTS) == set()


def test_fields_of_one_name_and_several_meanings_have_types_with_names() -> None:
    """A generator would number them: `Status1`, `Status2`."""
    inline = Counter(place[-1] for place, field in properties() if "enum" in field or "properties" in field)
    # That of a reload and of its report is the same.
    assert {name for name, count in inline.items() if count > 1} == {"trigger"}


def test_answers_have_maps_where_a_client_may_send_lists_too() -> None:
    sent = COMPONENTS["ToolDefinition"]["properties"]["capabilities"]
    assert [one.get("$ref", one.get("type")) for one in sent["anyOf"]] == [
        "#/components/schemas/CapabilityDefinitionMap", "array",
    ]  # fmt: skip
    for answer in ("Tool", "Hit", "Definition"):
        answered = COMPONENTS[answer]["properties"]["capabilities"]
        assert answered["$ref"] == "#/components/schemas/CapabilityMap"
    assert COMPONENTS["CapabilityMap"]["additionalProperties"] == {"$ref": "#/components/schemas/Capability"}
    patterns = COMPONENTS["Capability"]["properties"]["patterns"]
    assert patterns["$ref"] == "#/components/schemas/PatternMap"


def test_formats_are_those_that_everybody_knows() -> None:
    formats = {
        schema["format"] for _, schema in schemas(DOCUMENT, ()) if isinstance(schema.get("format"), str)
    }
    assert formats == {"date-time", "regex"}


def test_a_type_of_a_body_that_no_generator_writes_is_an_extension() -> None:
    also = {
        place[0]: one["requestBody"]["x-also-accepts"]
        for place, one in operations()
        if "x-also-accepts" in one.get("requestBody", {})
    }
    assert set(also) == {"/api/v1/tools/validate", "/api/v1/tools/import"}
    types = {name for _, one in operations() for name in one.get("requestBody", {}).get("content", {})}
    assert {name for name in types if not re.fullmatch(r"application/(.*\+)?json", name)} == set()
