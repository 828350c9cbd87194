"""Which names a tool may bear, and which a version, a platform, a capability and a pattern."""

from __future__ import annotations

import pytest

from tests.core.rules import LABEL, TOOL, found
from toolcatalog.core.definition import from_document

NAMES = [
    "grep",
    "7z",
    "g",
    "kubectl get",
    "two  spaces",
    "Test-NetConnection",
    "pg_dump",
    "g++",
    "user@host:tool",
    "1.0",
    "...",
    ".hidden",
    "-x",
    "1 2",
    "%2F",
    "a\\b",
    "a?b=c&d#e",
    "'quoted \"name\"'",
    "<script>",
    "名前",
    "Prüfung",
    "e\u0301",
    "🦊",
    "٣",  # a digit, and not one of an id
    "x" * 100,
    "🦊" * 100,
    "search",
]
# No name of anything.
NO_LABELS = [
    "a/b",
    "/",
    " grep",
    "grep ",
    " ",
    "grep\n",
    "\ngrep",
    "a\nb",
    "a\tb",
    "a\0b",
    "a\x1b[31mb",
    "a\x7fb",
    "a\x85b",
    "a\xa0b",  # no-break space
    "a\xadb",  # soft hyphen
    "a\u061cb",  # Arabic letter mark
    "a\u1680b",
    "a\u180eb",  # Mongolian vowel separator
    "a\u2003b",  # em space
    "a\u200bb",  # zero-width space
    "a\u200db",  # zero-width joiner
    "a\u200eb",  # left-to-right mark
    "a\u2028b",  # line separator
    "a\u202eb",  # right-to-left override
    "a\u2060b",  # word joiner
    "a\u2066b",  # left-to-right isolate
    "a\u3000b",
    "a\ufeffb",
    "a\ufffdb",
    "a\uffffb",
]
# Labels that are no names of tools: ids, and what HTTP clients take for path segments.
NO_TOOL_NAMES = ["1", "007", "1" * 100, ".", ".."]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_anything_printable(name: str) -> None:
    assert from_document({**TOOL, "tool_name": name}).tool_name == name


@pytest.mark.parametrize("name", [*NO_LABELS, *NO_TOOL_NAMES])
def test_a_name_that_could_mislead_is_refused(name: str) -> None:
    shown = name if len(name) <= 60 else name[:60] + "…"
    message = f'"{shown}" is not allowed: {LABEL}, and not digits alone'
    assert found({**TOOL, "tool_name": name})[0] == [("tool_name", message)]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "is empty"),
        ("x" * 101, "is 101 characters long; 100 are allowed"),
        (7, "has to be a string, not a number: put it in quotes"),
        (None, "has to be a string, not null: leave the field out, or give it a value"),
    ],
)
def test_a_name_is_a_string_of_1_to_100_characters(name: object, message: str) -> None:
    assert found({**TOOL, "tool_name": name})[0] == [("tool_name", message)]


@pytest.mark.parametrize("field", ["version", "platform", "category"])
@pytest.mark.parametrize("label", NO_LABELS)
def test_other_labels_keep_to_the_same_characters(field: str, label: str) -> None:
    assert found({**TOOL, field: label}) == ([(field, f'"{label}" is not allowed: {LABEL}')], [])


@pytest.mark.parametrize("label", ["1", ".", "..", "名 前", "x" * 20])
def test_other_labels_may_be_digits_and_dots(label: str) -> None:
    definition = from_document({**TOOL, "version": label, "platform": label, "category": label})
    assert (definition.version, definition.platform, definition.category) == (label, label, label)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        *((label, f'"{label}" is not allowed: {LABEL}') for label in NO_LABELS),
        ("", "is empty"),
        ("x" * 101, "is 101 characters long; 100 are allowed"),
    ],
)
def test_capabilities_and_patterns_are_named_by_labels_in_both_spellings(name: str, message: str) -> None:
    pattern = {"description": "x"}
    assert found({**TOOL, "capabilities": {name: {"patterns": {name: pattern}}}})[0] == [
        (f"capabilities.{name}", message),
        (f"capabilities.{name}.patterns.{name}", message),
    ]
    listed = [{"capability_name": name, "patterns": [{"pattern_name": name, **pattern}]}]
    assert found({**TOOL, "capabilities": listed})[0] == [
        ("capabilities.0.capability_name", message),
        ("capabilities.0.patterns.0.pattern_name", message),
    ]
