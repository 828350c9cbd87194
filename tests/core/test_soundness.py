"""What a definition contradicts itself in: an error where it is written, a warning where it is stored."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.core import generated
from tests.core.rules import CAPABILITY, INPUT, OPTIONAL, PATTERN, TOOL, Document, found, having
from toolcatalog.core.definition import VALUE_TYPES, from_document, read
from toolcatalog.core.soundness import MAX_MATCHED_LENGTH, matches_whole
from toolcatalog.errors import InvalidDefinition, Path, dotted

CATASTROPHE = "(a|aa)+"
LONG = "a" * 200 + "!"


def of_input(value: Document, place: Path = INPUT) -> Document:
    return having(place[:-1], [{"name": "x", **value}])


@pytest.mark.parametrize("field", ["time_estimate_ms", "cost_estimate"])
@pytest.mark.parametrize(
    ("text", "amount"), [("-1", "-1"), ("2 - 3", "-1"), ("-min(1, 0.5)", "-0.5"), ("0 - 1e-300", "-1e-300")]
)
def test_an_estimate_that_is_negative_whatever_the_variables_are(field: str, text: str, amount: str) -> None:
    said = f'"{text}" is {amount}, which is out of range: 0 or more'
    assert found(having((*PATTERN, field), text)) == ([(dotted((*PATTERN, field)), said)], [])


@pytest.mark.parametrize("text", ["0", "-0", "1 - 1", "1e3", "N - 5", "max(0, -N)"])
def test_an_estimate_that_may_be_positive(text: str) -> None:
    assert found(having((*PATTERN, "cost_estimate"), text)) == ([], [])


def test_the_name_of_an_input_stands_once_in_a_pattern() -> None:
    document = having(INPUT[:-1], [{"name": "x"}, {"name": "y"}, {"name": "x"}])
    here: Any = document
    for step in PATTERN:
        here = here[step]
    here["optional_inputs"] = [{"name": "z"}, {"name": "y"}]
    assert found(document) == (
        [
            (dotted((*PATTERN, "required_inputs", 2, "name")), '"x" is the name of required_inputs.0 too'),
            (dotted((*PATTERN, "optional_inputs", 1, "name")), '"y" is the name of required_inputs.1 too'),
        ],
        [],
    )


VALUES: dict[str, Any] = {
    "string": "x", "integer": 3, "number": 2.5, "boolean": True, "array": [1], "object": {"a": 1},
}  # fmt: skip


@pytest.mark.parametrize("place", [INPUT, OPTIONAL], ids=["required", "optional"])
@pytest.mark.parametrize(("type_", "kind"), [(type_, kind) for type_ in VALUES for kind in VALUES])
def test_a_default_is_of_the_type_of_its_input(place: Path, type_: str, kind: str) -> None:
    errors, _ = found(of_input({"type": type_, "default": VALUES[kind]}, place))
    fits = type_ == kind or (type_, kind) == ("number", "integer")
    assert [path for path, _ in errors] == ([] if fits else [dotted((*place, "default"))])


@pytest.mark.parametrize(
    ("type_", "value", "shown"),
    [("integer", 1.5, "1.5"), ("boolean", 0, "0"), ("string", None, "null"), ("array", {}, "{}")],
)
def test_what_a_default_is_and_should_be_is_said(type_: str, value: Any, shown: str) -> None:
    said = f'"{shown}" is not of the type {type_}'
    assert found(of_input({"type": type_, "default": value})) == ([(dotted((*INPUT, "default")), said)], [])


def test_a_whole_number_is_an_integer_however_it_is_written() -> None:
    assert found(of_input({"type": "integer", "default": 1.0})) == ([], [])


@pytest.mark.parametrize(
    ("validation", "value", "fits"),
    [
        ("[a-z]+", "abc", True),
        ("[a-z]+", "abc1", False),
        ("^[a-z]+$", "abc\n", False),
        ("a|ab", "ab", True),
        ("", "", True),
        ("", "x", False),
        ("[0-9]+", 12, True),
        ("[0-9]+", -1, False),
        ("[0-9]+", [-1], True),
        ("x", None, True),
    ],
)
def test_a_default_matches_the_validation_of_its_input_from_end_to_end(
    validation: str, value: Any, fits: bool
) -> None:
    errors, _ = found(of_input({"validation": validation, "default": value}))
    assert [path for path, _ in errors] == ([] if fits else [dotted((*INPUT, "default"))])
    assert all(said.endswith("does not match the input's own validation") for _, said in errors)


def test_an_expression_that_tries_all_combinations_is_given_up() -> None:
    said = "cannot be matched with the default in time: repeat no group that repeats something itself"
    document = of_input({"validation": CATASTROPHE, "default": LONG})
    assert found(document) == ([(dotted((*INPUT, "validation")), said)], [])


def test_a_match_is_given_up_that_would_take_years() -> None:
    assert [matches_whole(CATASTROPHE, LONG) for _ in range(3)] == [None] * 3
    assert matches_whole("a*", "a" * MAX_MATCHED_LENGTH) is True
    assert matches_whole("a*", "a" * (MAX_MATCHED_LENGTH + 1)) is None


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"type": "text"}, ("type",)),
        ({"properties": []}, ("properties",)),
        ({"properties": {"a": {"type": ["string", "nil"]}}}, ("properties", "a", "type")),
        ({"allOf": [{}, {"minimum": "1"}]}, ("allOf", 1, "minimum")),
        ({"pattern": "("}, ("pattern",)),
    ],
)
def test_an_output_schema_is_a_json_schema(schema: Document, path: Path) -> None:
    [(where, said)], warnings = found(having((*PATTERN, "output_schema"), schema))
    assert (where, warnings) == (dotted((*PATTERN, "output_schema", *path)), [])
    assert said.startswith("is no JSON Schema (2020-12): ")


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object", "properties": {"x": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"type": "integer"}}},
        {"$schema": "http://json-schema.org/draft-07/schema#", "items": {"enum": [1, None, 10**400]}},
        {"x-own": [1], "format": "hostname", "pattern": r"^(?!x)\d+$"},
    ],
)
def test_what_is_a_json_schema_is_accepted(schema: Document) -> None:
    assert found(having((*PATTERN, "output_schema"), schema)) == ([], [])


def test_the_path_leads_through_lists_as_they_were_written() -> None:
    pattern = {"description": "x", "cost_estimate": "-1"}
    document = {
        **copy.deepcopy(TOOL),
        "capabilities": [
            {"capability_name": "a", "patterns": {"b": {"description": "x"}}},
            {
                "capability_name": "b",
                "patterns": [{"pattern_name": "a", **pattern}, {**pattern, "pattern_name": "b"}],
            },
        ],
    }
    assert [path for path, _ in found(document)[0]] == [
        "capabilities.1.patterns.0.cost_estimate", "capabilities.1.patterns.1.cost_estimate",
    ]  # fmt: skip


UNSOUND = [
    having((*PATTERN, "cost_estimate"), "-1"),
    having(INPUT[:-1], [{"name": "x"}, {"name": "x"}]),
    of_input({"type": "integer", "default": "x"}),
    of_input({"validation": "[0-9]", "default": "x"}),
    having((*PATTERN, "output_schema"), {"type": "text"}),
]


@pytest.mark.parametrize("document", UNSOUND)
def test_what_is_stored_is_read_all_the_same_with_a_warning(document: Document) -> None:
    with pytest.raises(InvalidDefinition) as refused:
        from_document(document)
    definition, report = read(document, stored=True)
    assert definition is not None
    assert (report.errors, report.warnings) == ([], list(refused.value.findings))
    assert dotted(report.warnings[0].path).startswith(dotted(CAPABILITY))


@pytest.mark.filterwarnings("ignore:Possible (nested set|set)")  # of `re`, which reads it all the same
@settings(max_examples=300, deadline=None)
@given(
    generated.free_maps
    | st.dictionaries(
        st.sampled_from(("type", "items", "pattern", "$ref", "enum", "allOf")), generated.values
    ),
    generated.values,
    st.sampled_from(VALUE_TYPES),
    generated.texts,
)
@example({"$ref": "\ud7ff"}, "x", "string", "[[a]")
def test_whatever_is_written_is_judged(schema: Document, default: Any, type_: str, validation: str) -> None:
    document = of_input({"type": type_, "validation": validation, "default": default})
    here: Any = document
    for step in PATTERN:
        here = here[step]
    here["output_schema"] = schema
    definition, report = read(document)
    assert (definition is None) == bool(report.errors)
