"""The JSON Schema of the format: well-formed, and of one mind with the reader."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from tests.core import generated
from tests.core.rules import PATTERN, RULES, TOOL, having
from tests.core.test_names import NAMES, NO_LABELS, NO_TOOL_NAMES
from toolcatalog.core import json_text
from toolcatalog.core.definition import json_schema, read
from toolcatalog.core.expressions import ExpressionError, compile_condition, compile_expression
from toolcatalog.core.kinds import check_regex
from toolcatalog.errors import Path, dotted

Document = dict[str, Any]

SCHEMA = json_schema()


def _checked(check: Callable[[str], object]) -> Callable[[object], bool]:
    def is_well_formed(value: object) -> bool:
        if isinstance(value, str):
            check(value)
        return True

    return is_well_formed


# To a plain validator these are notes; to this one, what they are to the reader.
FORMATS = FormatChecker(formats=())
FORMATS.checks("expression", raises=ExpressionError)(_checked(compile_expression))
FORMATS.checks("condition", raises=ExpressionError)(_checked(compile_condition))
FORMATS.checks("regex", raises=ExpressionError)(_checked(check_regex))
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=FORMATS)


def test_the_schema_is_one_of_draft_2020_12() -> None:
    assert SCHEMA["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_is_json() -> None:
    assert json_text.loads(json_text.dumps(SCHEMA).encode()) == SCHEMA


def test_the_schema_tells_an_editor_fields_defaults_and_values() -> None:
    fields = SCHEMA["properties"]
    assert list(fields) == [
        "tool_name", "version", "description", "platform", "category", "status", "enabled", "defaults",
        "capabilities", "dependencies", "metadata", "examples",
    ]  # fmt: skip
    assert {name: field["default"] for name, field in fields.items() if "default" in field} == {
        "version": "1.0",
        "status": "active",
        "enabled": True,
    }
    assert fields["status"] == {
        "description": "Where the tool is in its life.",
        "$ref": "#/$defs/Status",
        "default": "active",
    }
    assert SCHEMA["$defs"]["Status"] == {
        "type": "string",
        "enum": ["active", "deprecated", "disabled", "testing", "draft"],
    }
    assert fields["platform"]["examples"] == [
        "linux", "windows", "macos", "network", "scheduler", "container", "kubernetes", "database", "cloud",
        "monitoring", "multi-platform", "custom",
    ]  # fmt: skip
    assert (SCHEMA["required"], SCHEMA["additionalProperties"]) == (["tool_name", "description"], False)


def test_an_estimate_is_a_number_or_an_expression() -> None:
    pattern = SCHEMA["$defs"]["Pattern"]
    assert pattern["properties"]["cost_estimate"]["$ref"] == "#/$defs/Estimate"
    assert SCHEMA["$defs"]["Estimate"] == {
        "anyOf": [
            {"type": "string", "format": "expression", "minLength": 1, "maxLength": 500},
            {"type": "number", "minimum": 0},
        ]
    }
    assert pattern["properties"]["policy"]["$ref"] == "#/$defs/Policy"
    condition = dict(SCHEMA["$defs"]["Policy"]["properties"]["requires_background_if"])
    assert condition.pop("description").startswith("A condition over the variables")
    assert condition == {
        "type": "string",
        "format": "condition",
        "minLength": 1,
        "maxLength": 500,
    }


def test_every_field_says_what_it_means() -> None:
    described = {
        f"{part}.{name}": field.get("description", "")
        for part, schema in {"Tool": SCHEMA, **SCHEMA["$defs"]}.items()
        for name, field in schema.get("properties", {}).items()
    }
    assert len(described) > 50
    assert [name for name, said in described.items() if not said.endswith(".")] == []


def test_every_part_is_defined_once_and_used() -> None:
    referred = set(re.findall(r'"\$ref": "#/\$defs/(\w+)"', json.dumps(SCHEMA)))
    assert referred == set(SCHEMA["$defs"])
    assert json.dumps(SCHEMA).count('"$defs"') == 1


@pytest.mark.parametrize(
    ("name", "valid"),
    [*((name, True) for name in NAMES), *((name, False) for name in [*NO_LABELS, *NO_TOOL_NAMES, ""])],
)
def test_names_are_allowed_as_the_reader_allows_them(name: str, valid: bool) -> None:
    assert VALIDATOR.is_valid({**TOOL, "tool_name": name}) is valid
    assert VALIDATOR.is_valid(having((*PATTERN, "description"), name)) is bool(name)


@pytest.mark.parametrize("name", [*NO_LABELS, "", "x" * 101])
def test_names_of_capabilities_are_restricted_in_both_spellings(name: str) -> None:
    patterns = {"x": {"description": "x"}}
    assert not VALIDATOR.is_valid({**TOOL, "capabilities": {name: {"patterns": patterns}}})
    assert not VALIDATOR.is_valid({**TOOL, "capabilities": [{"capability_name": name, "patterns": patterns}]})


# -- The two against each other


@pytest.mark.parametrize(("path", "value"), [(path, value) for path, good, _ in RULES for value in good])
def test_the_schema_accepts_the_good_values_of_every_field(path: Path, value: Any) -> None:
    assert VALIDATOR.is_valid(having(path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    # How deep a value is nested, JSON Schema cannot say.
    [(path, value) for path, _, bad in RULES for value, message in bad if "nested" not in message],
)
def test_the_schema_refuses_the_bad_values_of_every_field(path: Path, value: Any) -> None:
    assert not VALIDATOR.is_valid(having(path, value))


JUNK: list[Any] = [
    None, True, False, 0, -1, 1, 1.0, 1.5, 10**400, "", " ", "x", " x", "a/b", "x\n", "12", "1e3", "N > 1",
    "(", "active", "string", "x" * 21, "x" * 51, "x" * 101, "x" * 501, "x" * 2001, [], {}, [None], ["x"],
    {"x": 1}, [{}], {"x": {"description": "x"}}, [{"name": "x"}],
    {"x": {"patterns": {"x": {"description": "x"}}}},
]  # fmt: skip


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Every place in a document below its top."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in below:
        yield (*path, step)
        yield from places(inner, (*path, step))


@st.composite
def mutated(draw: st.DrawFn) -> Document:
    """A definition with a few things replaced, removed or added, most of them wrong."""
    document = copy.deepcopy(draw(generated.documents))
    for _ in range(draw(st.integers(1, 2))):
        known = list(places(document))
        if not known:
            break
        path = draw(st.sampled_from(known))
        here: Any = document
        for step in path[:-1]:
            here = here[step]
        change = draw(st.sampled_from(("replace", "replace", "remove", "add")))
        if change == "replace":
            here[path[-1]] = copy.deepcopy(draw(st.sampled_from(JUNK)))
        elif change == "remove":
            del here[path[-1]]
        elif isinstance(here, dict):
            here[draw(st.sampled_from(("x", "", "a/b", "name", "description", "pattern_name")))] = "x"
        else:
            here.append(copy.deepcopy(draw(st.sampled_from(JUNK))))
    return document


def agree(document: Document) -> None:
    errors = [
        f"{dotted(each.path)}: {each.message}"
        for each in read(document, stored=True)[1].errors  # that fields contradict each other it cannot say
        # What JSON Schema cannot say: no two members of a list have the same value in one field.
        if not each.message.endswith("is there twice")
    ]
    refusals = [each.message[:200] for each in VALIDATOR.iter_errors(document)]
    assert bool(refusals) == bool(errors), (errors, refusals)


@settings(max_examples=60, deadline=None)
@given(generated.documents)
def test_the_schema_accepts_what_the_reader_accepts(document: Document) -> None:
    assert read(document)[1].errors == []
    assert VALIDATOR.is_valid(document)


@settings(max_examples=250, deadline=None)
@given(mutated())
def test_the_schema_refuses_what_the_reader_refuses(document: Document) -> None:
    agree(document)


def test_both_refuse_what_is_no_definition() -> None:
    for document in JUNK:
        assert read(document)[0] is None
        assert not VALIDATOR.is_valid(document)
