"""How documents become definitions and documents again: unknown fields, spellings, warnings, round trips."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from tests.core import generated
from tests.core.rules import (
    EXAMPLE,
    INPUT,
    OUTPUT,
    PATTERN,
    POLICY,
    PREFERENCE,
    TOOL,
    found,
    having,
)
from toolcatalog.core import json_text
from toolcatalog.core.definition import CATEGORIES, PLATFORMS, from_document, read, to_document
from toolcatalog.errors import Path, dotted

Document = dict[str, Any]

X: Document = {"description": "x"}


# -- Unknown fields


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        (("tool_nam",), 'did you mean "tool_name"?'),
        (("Version",), 'did you mean "version"?'),
        (("capability",), 'did you mean "capabilities"?'),
        (("id",), "known are tool_name, version, description, platform, category, status, enabled, defaults, "
                  "capabilities, dependencies, metadata, examples"),
        (("dependencies", 0, "require"), 'did you mean "required"?'),
        (("dependencies", 0, "x"), "known are name, type, required, version"),
        (("capabilities", "text_search", "pattern"), 'did you mean "patterns"?'),
        (("capabilities", "text_search", "capability_name"), "known are description, patterns"),
        ((*PATTERN, "complexity"), 'did you mean "complexity_score"?'),
        ((*PATTERN, "time_estimate"), 'did you mean "time_estimate_ms"?'),
        ((*PREFERENCE, "velocity"), "known are speed, accuracy, cost, complexity, completeness"),
        ((*INPUT, "typ"), 'did you mean "type"?'),
        ((*INPUT, "required"), "known are name, type, description, validation, default"),
        ((*OUTPUT, "default"), "known are name, type, description"),
    ],
)  # fmt: skip
def test_an_unknown_field_is_an_error_with_the_nearest_known(path: Path, hint: str) -> None:
    assert found(having(path, "x"))[0] == [(dotted(path), f"is not a field here; {hint}")]


@pytest.mark.parametrize(
    "path",
    [
        ("metadata", "team"),
        ("defaults", "freshnes"),
        (*POLICY, "max_costs"),
        (*EXAMPLE, "command"),
        (*PATTERN, "output_schema", "x-team"),
    ],
)
def test_where_fields_are_free_an_unknown_one_is_kept(path: Path) -> None:
    document = having(path, {"a": [None, 1.0]})
    assert found(document) == ([], [])
    assert to_document(from_document(document))[path[0]] == document[path[0]]


def test_the_examples_of_a_tool_are_whatever_was_written() -> None:
    examples = ["grep -r x", {"command": "x", "any": {"thing": None}}, None, 7, ["x"]]
    assert to_document(from_document({**TOOL, "examples": examples}))["examples"] == examples


# -- Spellings


def test_maps_and_lists_of_capabilities_and_patterns_give_the_same_definition() -> None:
    by_name = {
        "search": {"description": "x", "patterns": {"files": X, "a folder": {**X, "scope": "batch"}}},
        "count": {"patterns": {"lines": X}},
    }
    listed = [
        {
            "capability_name": "search",
            "description": "x",
            "patterns": [{"pattern_name": "files", **X}, {**X, "pattern_name": "a folder", "scope": "batch"}],
        },
        {"patterns": [{"pattern_name": "lines", **X}], "capability_name": "count"},
    ]
    mixed = [
        {"capability_name": "search", **by_name["search"]},
        {"capability_name": "count", "patterns": listed[1]["patterns"]},
    ]
    written = [
        json_text.dumps(to_document(from_document({**TOOL, "capabilities": spelled})))
        for spelled in (by_name, listed, mixed)
    ]
    assert written == [written[0]] * 3
    assert f'"capabilities":{json_text.dumps(by_name)}' in written[0]


def test_a_name_that_is_there_twice_in_a_list_is_an_error_at_the_second() -> None:
    patterns = [{"pattern_name": name, **X} for name in ("a", "b", "a", "a")]
    listed = [{"capability_name": "c", "patterns": patterns}, {"capability_name": "c", "patterns": {"a": X}}]
    assert found({**TOOL, "capabilities": listed})[0] == [
        ("capabilities.0.patterns.2.pattern_name", '"a" is there twice'),
        ("capabilities.0.patterns.3.pattern_name", '"a" is there twice'),
        ("capabilities.1.capability_name", '"c" is there twice'),
    ]


def test_errors_in_lists_are_found_at_their_index() -> None:
    listed = [
        {"patterns": [{"pattern_name": "a"}]},
        "x",
        {"capability_name": 7, "patterns": []},
        {"capability_name": "c", "patterns": {"a": {**X, "pattern_name": "a"}}, "pattern": 1},
    ]
    assert found({**TOOL, "capabilities": listed})[0] == [
        ("capabilities.0.capability_name", "is required"),
        ("capabilities.0.patterns.0.description", "is required"),
        ("capabilities.1", "has to be a map, not a string"),
        ("capabilities.2.capability_name", "has to be a string, not a number: put it in quotes"),
        ("capabilities.2.patterns", "is empty: at least 1 is needed"),
        ("capabilities.3.patterns.a.pattern_name", found_hint("pattern_name")),
        ("capabilities.3.pattern", 'is not a field here; did you mean "patterns"?'),
    ]


def found_hint(name: str) -> str:
    """What is said of a field that no pattern has."""
    return found(having((*PATTERN, name), "x"))[0][0][1]


# -- Warnings


def test_a_complete_definition_has_no_warnings() -> None:
    assert found({**TOOL, "metadata": {"tags": ["text", "files"]}}) == ([], [])


@pytest.mark.parametrize(
    ("path", "value", "hint"),
    [
        (("platform",), "Linux", 'did you mean "linux"?'),
        (("platform",), "mainframe", f"known are {', '.join(PLATFORMS)}"),
        (("category",), "networking", 'did you mean "network"?'),
        (("category",), "x", f"known are {', '.join(CATEGORIES)}"),
        (("defaults", "accuracy_level"), "realtime", 'did you mean "real-time"?'),
        (("defaults", "freshness"), "old", "known are live, recent, historical"),
    ],
)
def test_an_unusual_value_is_kept_with_a_warning(path: Path, value: str, hint: str) -> None:
    document = having(path, value)
    assert found(document) == ([], [(dotted(path), f'"{value}" is unusual; {hint}')])
    assert to_document(from_document(document))[path[0]] == document[path[0]]


@pytest.mark.parametrize(
    ("tags", "kept"),
    [
        ("text", []),
        (None, []),
        ({"text": True}, []),
        (["text", 7, "", None, ["x"], "x" * 101], ["text"]),
        ([True], []),
    ],
)
def test_tags_that_are_not_words_give_a_warning_and_are_not_found_by(tags: Any, kept: list[str]) -> None:
    document = {**TOOL, "metadata": {"tags": tags}}
    message = "is not a list of words: tools are found only by tags that are"
    assert found(document) == ([], [("metadata.tags", message)])
    definition = from_document(document)
    assert (definition.tags, definition.metadata) == (kept, {"tags": tags})


@pytest.mark.parametrize("tags", [[], ["text"], ["two words", "x" * 100, "text", "text"]])
def test_tags_that_are_words_give_none(tags: list[str]) -> None:
    document = {**TOOL, "metadata": {"tags": tags}}
    assert found(document) == ([], [])
    assert from_document(document).tags == tags


# -- Writing


def test_fields_are_written_in_the_order_of_the_format_and_free_ones_as_they_came() -> None:
    document = {
        "metadata": {"z": 1, "a": {"z": 1, "a": 2}, "m": 3},
        "status": "draft",
        **TOOL,
        "enabled": False,
        "examples": [],
        "defaults": {},
        "version": "2",
    }
    written = to_document(from_document(document))
    assert list(written) == [
        "tool_name", "version", "description", "platform", "category", "status", "enabled", "capabilities",
        "metadata",
    ]  # fmt: skip
    assert json_text.dumps(written["metadata"]) == '{"z":1,"a":{"z":1,"a":2},"m":3}'


def test_an_empty_schema_is_a_schema_and_zero_is_an_estimate() -> None:
    document = having((*PATTERN, "output_schema"), {})
    pattern = document["capabilities"]["text_search"]["patterns"]["search_files"]
    pattern |= {"cost_estimate": 0, "complexity_score": 0.0}
    written = to_document(from_document(document))
    assert written["capabilities"]["text_search"]["patterns"]["search_files"] == {
        "description": "Search files",
        "cost_estimate": 0,
        "complexity_score": 0.0,
        "output_schema": {},
    }


def test_a_part_of_a_definition_is_written_alone() -> None:
    capability = from_document(TOOL).capabilities["text_search"]
    assert to_document(capability) == TOOL["capabilities"]["text_search"]
    assert to_document(capability.patterns["search_files"]) == {"description": "Search files"}


@settings(max_examples=80, deadline=None)
@given(generated.documents)
def test_what_is_written_and_read_again_is_the_same_tool(document: Document) -> None:
    definition, report = read(document)
    assert (definition is not None, report.errors) == (True, [])
    assert definition is not None
    written = to_document(definition)
    again = from_document(written)
    assert again == definition
    # Equal is not enough: to Python, 1 is 1.0, and the order of a map does not matter.
    assert json_text.dumps(to_document(again)) == json_text.dumps(written)
    assert json_text.dumps(written.get("metadata", {})) == json_text.dumps(document.get("metadata", {}))
    through_json = from_document(json_text.loads(json_text.dumps(written).encode()))
    assert json_text.dumps(to_document(through_json)) == json_text.dumps(written)
