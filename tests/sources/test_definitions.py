"""Definitions from YAML and JSON texts: one or many, and each finding with its place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from toolcatalog.core.definition import ADDED_FIELDS, from_document
from toolcatalog.errors import Finding, InvalidDocument
from toolcatalog.sources.definitions import Item, Source, read_json, read_yaml, without_added_fields

GREP = """\
# yaml-language-server: $schema=http://127.0.0.1:3005/api/v1/schema/tool.json
tool_name: grep
version: "3.11"
description: >-
  Print the lines
  of files
platform: linux
category: system
capabilities:
  text_search:
    patterns:
      search_files:
        description: Search files
        complexity_score: 0.3
"""
LS = "tool_name: ls\ndescription: List files\nplatform: linux\ncategory: system\ncapabilities: {}\n"
GREP_DOCUMENT: dict[str, Any] = {
    "tool_name": "grep",
    "version": "3.11",
    "description": "Print the lines of files",
    "platform": "linux",
    "category": "system",
    "capabilities": {
        "text_search": {
            "patterns": {"search_files": {"description": "Search files", "complexity_score": 0.3}}
        }
    },
}
NO_CAPABILITIES = "are missing: nobody who asks what can be done will find this tool"


def read(text: str, file: str | None = "tools.yaml") -> list[Item]:
    return list(read_yaml(text.encode(), file=file))


def told(items: list[Item]) -> list[tuple[str | None, list[str], list[str]]]:
    """Of each item: its name, its errors and its warnings, as a user reads them."""
    return [
        (
            item.definition.tool_name if item.definition else None,
            [str(finding) for finding in item.findings],
            [str(finding) for finding in item.warnings],
        )
        for item in items
    ]


def test_a_file_gives_a_definition() -> None:
    assert read(GREP) == [Item(from_document(GREP_DOCUMENT), file="tools.yaml", line=2)]


def test_each_item_names_the_file_that_it_came_from() -> None:
    source = Source("linux/tools.yaml", "0" * 64)
    items = list(read_yaml(f"{GREP}---\n{LS}---\nx: [".encode(), source=source))
    assert [item.source for item in items] == [source] * 3


def test_an_error_names_the_file_the_line_and_the_path() -> None:
    text = GREP.replace("0.3", "1.5").replace("platform:", "platfrom:") + "metadata:\n  tags: x\n"
    assert told(read(text)) == [
        (
            None,
            [
                'tools.yaml:7: platfrom: is not a field here; did you mean "platform"?',
                "tools.yaml:14: capabilities.text_search.patterns.search_files.complexity_score: "
                '"1.5" is out of range: 0 to 1',
            ],
            [],
        )
    ]


def test_what_is_missing_is_reported_at_the_line_of_what_lacks_it() -> None:
    text = "version: '1'\ncapabilities:\n  a:\n    description: x\n  b:\n    patterns:\n      c: {}\n"
    assert told(read(text))[0][1] == [
        "tools.yaml:1: tool_name: is required",
        "tools.yaml:1: description: is required",
        "tools.yaml:3: capabilities.a.patterns: is required",
        "tools.yaml:7: capabilities.b.patterns.c.description: is required",
    ]


def test_warnings_have_their_lines_too() -> None:
    text = LS.replace("linux", "Linux").replace("category: system\n", "") + "metadata:\n  tags: x\n"
    assert told(read("\n" + text)) == [
        (
            "ls",
            [],
            [
                'tools.yaml:4: platform: "Linux" is unusual; did you mean "linux"?',
                "tools.yaml:2: category: is missing: nobody who filters by category will find this tool",
                f"tools.yaml:5: capabilities: {NO_CAPABILITIES}",
                "tools.yaml:7: metadata.tags: is not a list of words: tools are found only by tags that are",
            ],
        )
    ]


def test_a_finding_has_path_line_and_file_of_its_own() -> None:
    (item,) = read("tool_name: x\ndescription: x\nexamples: []\ndependencies:\n- name: y\n  type: z\n")
    assert item.findings == (
        Finding(
            ("dependencies", 0, "type"),
            '"z" is not one of service, package, permission, network, filesystem, platform',
            "tools.yaml",
            6,
        ),
    )


def test_without_a_file_the_line_stands_alone() -> None:
    assert told(read("tool_name: x\ndescription: 7\n", file=None))[0][1] == [
        "2: description: has to be a string, not a number: put it in quotes"
    ]


def test_several_documents_are_several_definitions() -> None:
    text = f"---\n{GREP}---\n# nothing\n---\n{LS}---\n{LS.replace('ls', '7')}"
    assert told(read(text)) == [
        ("grep", [], []),
        ("ls", [], [f"tools.yaml:23: capabilities: {NO_CAPABILITIES}"]),
        (None, ["tools.yaml:25: tool_name: has to be a string, not a number: put it in quotes"], []),
    ]


def test_a_list_is_several_definitions() -> None:
    members = "- tool_name: a\n  description: x\n-\n  tool_name: b\n  descriptio: x\n- 7\n"
    text = f"{members}---\ntool_name: c\ndescription: x\n"
    assert [(name, errors) for name, errors, _ in told(read(text))] == [
        ("a", []),
        (
            None,
            [
                "tools.yaml:4: description: is required",
                'tools.yaml:5: descriptio: is not a field here; did you mean "description"?',
            ],
        ),
        (None, ["tools.yaml:6: has to be a map, not a number"]),
        ("c", []),
    ]


def test_a_broken_document_is_told_after_the_good_ones_before_it() -> None:
    assert told(read(f"{GREP}---\n{LS}bad: [\n---\n{LS}")) == [
        ("grep", [], []),
        (None, ["tools.yaml:22: line 22, column 1: did not find expected node content"], []),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", "tools.yaml:2: a: the key 'a' is given twice, in lines 1 and 2"),
        (
            "m:\n  x: !!python/name:os.system\n",
            "tools.yaml:2: m.x: the tag '!!python/name:os.system' is not allowed here",
        ),
        ("a: .nan\n", "tools.yaml:1: a: '.nan' is not a finite number; put it in quotes if it is a text"),
        ("a: \x07\n", "tools.yaml:1: the text contains the character U+0007, which is not allowed"),
    ],
)
def test_what_yaml_refuses_is_told_with_line_and_path(text: str, message: str) -> None:
    assert told(read(text)) == [(None, [message], [])]


def test_what_is_not_utf8_is_told_with_its_line() -> None:
    items = list(read_yaml(LS.encode() + b"\xff", file="x.yaml"))
    line = "x.yaml:6: the text is not UTF-8: byte 0xFF at offset 88"
    assert told(items) == [(None, [line], [])]


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n---\n", "[]", "--- ~"])
def test_an_empty_text_holds_no_definitions(text: str) -> None:
    assert read(text) == []


def test_a_text_that_is_no_map_is_one_bad_definition() -> None:
    assert told(read("just a text")) == [(None, ["tools.yaml:1: has to be a map, not a string"], [])]


# -- JSON


def test_a_json_object_is_one_definition_and_an_array_several() -> None:
    grep = Item(from_document(GREP_DOCUMENT))
    assert list(read_json(json.dumps(GREP_DOCUMENT).encode())) == [grep]
    several = list(read_json(json.dumps([GREP_DOCUMENT, {"tool_name": "x"}, None]).encode()))
    assert several[0] == grep
    assert told(several[1:]) == [
        (None, ["description: is required"], []),
        (None, ["has to be a map, not null: leave the field out, or give it a value"], []),
    ]
    assert list(read_json(b"[]")) == []


def test_what_the_catalog_adds_to_its_answers_is_ignored() -> None:
    answered = {**dict.fromkeys(ADDED_FIELDS, "x"), **GREP_DOCUMENT}
    assert without_added_fields(answered) == GREP_DOCUMENT
    grep = Item(from_document(GREP_DOCUMENT))
    assert list(read_json(json.dumps([answered, answered]).encode())) == [grep, grep]
    # Only on the outside: further in, such a name is an ordinary one.
    inner = {**GREP_DOCUMENT, "metadata": {"id": 7, "source": "x"}}
    assert list(read_json(json.dumps(inner).encode())) == [Item(from_document(inner))]


@pytest.mark.parametrize("value", [None, 7, "x", ["id"]])
def test_what_is_no_map_has_nothing_added(value: Any) -> None:
    assert without_added_fields(value) is value


def test_a_file_does_not_bear_what_the_catalog_adds() -> None:
    errors = [finding.path for item in read(LS + "id: 7\n") for finding in item.findings]
    assert errors == [("id",)]


def test_what_is_not_json_is_refused_as_a_whole() -> None:
    with pytest.raises(InvalidDocument, match=r"^The text is not JSON: Extra data at line 1, column 4\.$"):
        list(read_json(b"{} {}"))
