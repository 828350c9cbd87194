"""The rules of the definition format, field by field, and what a definition is made of."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.rules import (
    CAPABILITY,
    DEPENDENCY,
    INPUT,
    NO_TEXT,
    NULL,
    OPTIONAL,
    OUTPUT,
    PATTERN,
    RULES,
    SMALLEST,
    TOOL,
    Document,
    found,
    having,
    without,
)
from toolcatalog.core import definition as format_
from toolcatalog.core.definition import Capability, Definition, Pattern, from_document, to_document
from toolcatalog.errors import Finding, InvalidDefinition, Path, dotted


def at(definition: Definition, path: Path) -> Any:
    value: Any = definition
    for step in path:
        value = value[step] if isinstance(value, dict | list) else getattr(value, str(step))
    return value


@pytest.mark.parametrize(("path", "value"), [(path, value) for path, good, _ in RULES for value in good])
def test_a_good_value_is_read_and_written_as_it_is(path: Path, value: Any) -> None:
    document = having(path, value)
    definition = from_document(document)
    if path not in (("capabilities",), (*CAPABILITY, "patterns"), PATTERN):
        assert at(definition, path) == value
    assert from_document(to_document(definition)) == definition


@pytest.mark.parametrize(
    ("path", "value", "message"), [(path, *case) for path, _, bad in RULES for case in bad]
)
def test_a_bad_value_is_reported_with_its_path(path: Path, value: Any, message: str) -> None:
    assert found(having(path, value))[0] == [(dotted(path), message)]


def test_every_field_has_its_rule_tested() -> None:
    top = format_.json_schema()

    def resolved(schema: Document) -> Document:
        schema = schema.get("anyOf", [schema])[0]
        name = schema.get("$ref", "").removeprefix("#/$defs/")
        return resolved(top["$defs"][name]) if name else schema

    def places(schema: Document, path: str = "") -> set[str]:
        schema = resolved(schema)
        below = [(name, inner) for name, inner in schema.get("properties", {}).items()]
        below += [("*", schema[key]) for key in ("items", "additionalProperties") if schema.get(key)]
        deeper = set().union(*(places(inner, f"{path}.{name}") for name, inner in below))
        return deeper | {f"{path}.{name}" for name, _ in below if name != "*"}

    stars = {"text_search": "*", "search_files": "*", 0: "*"}
    tested = {"." + dotted(tuple(stars.get(step, step) for step in path)) for path, _, _ in RULES}
    assert places(top) - tested == {".tool_name"}


@pytest.mark.parametrize(
    "path",
    [("tool_name",), ("description",), (*CAPABILITY, "patterns"), (*PATTERN, "description")]
    + [(*place, "name") for place in (DEPENDENCY, INPUT, OPTIONAL, OUTPUT)],
)
def test_a_required_field_that_is_missing_is_named(path: Path) -> None:
    assert found(without(path))[0] == [(dotted(path), "is required")]


def test_the_smallest_definition_has_the_defaults_and_warnings_about_its_gaps() -> None:
    definition = from_document(SMALLEST)
    assert definition == Definition(
        tool_name="grep", version="1.0", description="Find text", platform=None, category=None,
        status="active", enabled=True, defaults={}, capabilities={}, dependencies=[], metadata={},
        examples=[],
    )  # fmt: skip
    assert to_document(definition) == {
        "tool_name": "grep",
        "version": "1.0",
        "description": "Find text",
        "status": "active",
        "enabled": True,
    }
    assert found(SMALLEST)[1] == [
        ("platform", "is missing: nobody who filters by platform will find this tool"),
        ("category", "is missing: nobody who filters by category will find this tool"),
        ("capabilities", "are missing: nobody who asks what can be done will find this tool"),
    ]


def test_a_definition_is_made_of_capabilities_and_patterns() -> None:
    assert from_document(TOOL).capabilities == {
        "text_search": Capability(patterns={"search_files": Pattern(description="Search files")})
    }


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (None, f"has to be a map, not null: {NULL}"),
        ([], "has to be a map, not a list"),
        ("x", "has to be a map, not a string"),
        (1, "has to be a map, not a number"),
    ],
)
def test_a_document_is_a_map(document: object, message: str) -> None:
    errors = found(document)[0]
    assert errors == [("", message)]


def test_every_error_of_a_document_is_told_at_once() -> None:
    document = {"tool_name": 7, "enabled": "no", "dependencies": [{"name": "x"}, {"type": "x"}]}
    with pytest.raises(InvalidDefinition) as caught:
        from_document(document)
    assert str(caught.value) == "The definition has 5 errors."
    assert caught.value.findings == (
        Finding(("description",), "is required"),
        Finding(("tool_name",), NO_TEXT),
        Finding(("enabled",), "has to be true or false, not a string"),
        Finding(("dependencies", 1, "name"), "is required"),
        Finding(
            ("dependencies", 1, "type"),
            '"x" is not one of service, package, permission, network, filesystem, platform',
        ),
    )


def test_one_error_is_called_one_error() -> None:
    with pytest.raises(InvalidDefinition, match=r"^The definition has 1 error\.$"):
        from_document({"tool_name": "grep"})
