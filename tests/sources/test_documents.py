"""What the reader of YAML accepts and refuses; every test runs with libyaml and with pure PyYAML."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.sources.reading import as_bytes, outcome, peak_of, read, refusal
from toolcatalog.errors import Path
from toolcatalog.sources import documents
from toolcatalog.sources.documents import Document, DocumentError, read_documents

BOTH = [yaml.CSafeLoader, yaml.SafeLoader]


@pytest.fixture(scope="module", params=BOTH, ids=["libyaml", "pure"], autouse=True)
def _loader(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "_LOADER", request.param)
        yield


def refusal_with_path(text: str) -> tuple[str, int | None, Path]:
    with pytest.raises(DocumentError) as caught:
        read(text)
    return str(caught.value), caught.value.line, caught.value.path


def read_one(text: str) -> Document:
    (document,) = read_documents(as_bytes(text))
    return document


# --- Lists and mappings, aliases and merge keys


def test_values_nest_in_block_and_flow_style() -> None:
    text = "a:\n  - b: [1, {c: d}]\n    e: {}\n  -\n  - []\nf: |\n  x\n  y\n"
    assert read(text) == [{"a": [{"b": [1, {"c": "d"}], "e": {}}, None, []], "f": "x\ny\n"}]


def test_a_key_given_twice_is_refused_with_both_lines() -> None:
    message = "the key 'a' is given twice, in lines 3 and 5"
    text = "# c\nouter:\n  - a: 1\n    b: 2\n    'a': 3\n"
    assert refusal_with_path(text) == (message, 5, ("outer", 0, "a"))


def test_a_long_key_is_shortened_in_messages() -> None:
    key = "k" * 1000
    assert refusal(f"{key}: 1\n{key}: 2") == (2, f"the key '{'k' * 57}...' is given twice, in lines 1 and 2")


def test_aliases_stand_for_what_was_anchored() -> None:
    text = "&k key: &s 12\nlist: &l [*s, *k]\nmap: &m {x: *l}\nagain: [*m, *l, &n ~, *n]\n"
    pair = [12, "key"]
    assert read(text) == [
        {"key": 12, "list": pair, "map": {"x": pair}, "again": [{"x": pair}, pair, None, None]}
    ]


def test_an_anchor_given_again_holds_from_there_on() -> None:
    assert read("[&a 1, *a, &a 2, *a]") == [[1, 1, 2, 2]]


def test_an_alias_without_anchor_is_refused_and_anchors_end_with_their_document() -> None:
    assert refusal("a: 1\nb: *c") == (2, "there is no anchor '&c' before the alias to it")
    assert refusal("&a x\n---\n*a\n") == (3, "there is no anchor '&a' before the alias to it")


@pytest.mark.parametrize("text", ["&a [*a]", "&a {b: [c, *a]}", "&a {<<: *a}"])
def test_an_alias_within_its_own_anchor_is_refused(text: str) -> None:
    assert refusal(text) == (1, "the alias '*a' is part of what it stands for")


def test_merge_keys_give_way_to_the_mapping_and_to_earlier_sources() -> None:
    text = (
        "- &a {x: 1, y: 1}\n- &b {y: 2, z: 2}\n- {<<: *a, y: 3}\n- {z: 0, <<: [*b, *a, {w: 4}]}\n"
        '- {"<<": 5}\n- {<<: []}\n- &c {<<: *a}\n- {<<: *c}\n'
    )
    assert read(text)[0][2:] == [
        {"x": 1, "y": 3},
        {"z": 0, "y": 2, "x": 1, "w": 4},
        {"<<": 5},
        {},
        {"x": 1, "y": 1},
        {"x": 1, "y": 1},
    ]


@pytest.mark.parametrize("source", ["1", "[[]]", "[{}, x]", "~"])
def test_a_merge_key_before_anything_else_is_refused(source: str) -> None:
    message = "'<<' must stand before a mapping or a list of mappings"
    assert refusal_with_path(f"a:\n  b: 1\n  <<: {source}") == (message, 3, ("a", "<<"))


# --- Lines and paths


def test_line_of_is_the_line_of_the_deepest_part_that_exists() -> None:
    text = "# c\n---\na: 1\nb:\n  c:\n    - x\n    -\n      d:\n        y\n    - [p,\n       q]\n"
    document = read_one(text)
    assert document.line == 3
    paths: dict[Path, int] = {
        (): 3,
        ("a",): 3,
        ("b",): 4,
        ("b", "c"): 5,
        ("b", "c", 0): 6,
        ("b", "c", 1): 8,
        ("b", "c", 1, "d"): 8,
        ("b", "c", 2, 1): 11,
        ("b", "c", 3): 5,
        ("b", "c", -1): 5,
        ("b", "c", "x"): 5,
        ("b", 0): 4,
        ("a", "x"): 3,
        ("x", "b"): 3,
    }
    assert {path: document.line_of(path) for path in paths} == paths


def test_line_of_an_alias_is_its_own_and_within_it_the_anchors() -> None:
    document = read_one("a: &a\n  b: 1\nc: *a\nd:\n  <<: *a\n  e: 1\nf: &f 1\ng: *f\n")
    paths: dict[Path, int] = {("c",): 3, ("c", "b"): 2, ("d",): 4, ("d", "b"): 2, ("d", "e"): 6, ("g",): 8}
    assert {path: document.line_of(path) for path in paths} == paths


def test_line_of_does_not_change_with_the_value() -> None:
    document = read_one("a: 1\nb: {c: 2}\n")
    document.value.clear()
    assert document.line_of(("b", "c")) == 2


def test_the_path_of_an_error_leads_to_the_value() -> None:
    message = "the tag '!foo' is not allowed here"
    assert refusal_with_path("a:\n  - 1\n  - b:\n      - c: !foo 1\n") == (message, 4, ("a", 1, "b", 0, "c"))


# --- Several documents


def test_documents_are_yielded_in_order_with_their_lines() -> None:
    text = b"a\n---\nb: 1\n...\n---\n\n- c\n--- {d: 2}\n"
    found = [(document.value, document.line) for document in read_documents(text)]
    assert found == [("a", 1), ({"b": 1}, 3), (["c"], 7), ({"d": 2}, 8)]


@pytest.mark.parametrize("text", ["", "\n\n", "# comment\n", "---\n---\n", "--- null\n---\n~\n", "\ufeff"])
def test_empty_documents_are_skipped(text: str) -> None:
    assert read(text) == []


def test_a_good_document_is_yielded_between_empty_ones() -> None:
    assert read("---\n---\na: 1\n---\n# nothing\n---\nb\n---\n") == [{"a": 1}, "b"]


@pytest.mark.parametrize(
    ("rest", "line"), [("--- {b: [}\n", 3), ("---\nb: 1\nb: 2\n", 5), ("--- b: 1\n", 3), ("--- %x\n", 3)]
)
def test_documents_before_a_bad_one_are_yielded(rest: str, line: int) -> None:
    found, error = outcome("---\na: 1\n" + rest)
    assert error is not None
    assert ([document.value for document in found], error.line) == ([{"a": 1}], line)


@pytest.mark.parametrize("text", ["{a: 1}}", "{a: 1} b", "[a]\nb: 1", "a\t: [\n"])
def test_a_document_with_something_behind_it_is_not_a_good_one(text: str) -> None:
    found, error = outcome(text)
    assert error is not None
    assert found == []


def test_memory_stays_flat_over_many_documents() -> None:
    text = "".join(f"---\nn: {n}\nname: number {n}\n" for n in range(500)).encode()
    peak, found = peak_of(lambda: sum(document.value["n"] for document in read_documents(text)))
    assert found == sum(range(500))
    assert peak < 3 * len(text) + 300_000


# --- Errors of syntax


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a:\n\tb: 1", 2, "line 2, column 1: a tab is not allowed here; indent with spaces"),
        ("a: 1\nb: @c", 2, "line 2, column 4: the character '@' is not allowed here; put the text in quotes"),
        ("a: b: c", 1, "line 1, column 5: a ':' is not allowed here; check the indentation and the quotes"),
        (
            "a:\n  - b\n c: 1",
            3,
            "line 3, column 2: this does not fit the lines above; check the indentation and the quotes"
            " (while parsing a block mapping that begins in line 1)",
        ),
        ('a: "x\nb: 1', 2, "the text ends too early (while scanning a quoted scalar that begins in line 1)"),
        ("{", 1, "the text ends too early"),
        ("a: 1\nb\nc: 2\n", 2, "line 2, column 1: a key without ':', or a text that is broken off"),
        ("a: 1\nb", 2, "line 2, column 1: a key without ':', or a text that is broken off"),
        (
            "{a: 1}}",
            1,
            "line 1, column 7: the document is complete here, and a new one must begin with '---'",
        ),
    ],
)
def test_errors_of_syntax_are_said_in_one_line_with_their_place(text: str, line: int, message: str) -> None:
    assert refusal(text) == (line, message)


@pytest.mark.parametrize("text", ['"\\q"', "[a, b\nc: d", "*", "!<x", "%YAML 2.0", "a: |9x", "%", "'"])
def test_other_errors_of_syntax_are_one_line_too(text: str) -> None:
    line, message = refusal(text + "\n---\n")
    assert line in (1, 2, 3)
    assert "\n" not in message


@pytest.mark.parametrize("text", ["!<%C0%80> x", '"\\UFFFFFFFF"', "!<%00> x"])
def test_faults_of_the_parsers_do_not_come_through(text: str) -> None:
    refusal(text)


def test_nothing_is_raised_that_has_no_stack_or_memory_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def give_up(_builder: object) -> None:
        raise RecursionError

    monkeypatch.setattr(documents._Builder, "document", give_up)
    assert refusal("a: 1") == (None, "the text cannot be read (RecursionError)")


# --- Bounds


def nested(depth: int, opening: str = "[", closing: str = "]") -> str:
    return opening * depth + "x" + closing * depth


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ("- ", ""), ('{"a": ', "}")])
def test_fifty_levels_are_read_and_no_more(opening: str, closing: str) -> None:
    message = "lists and mappings are nested more than 50 deep"
    expected = nested(50, opening.replace("- ", "["), closing or "]").replace("x", '"x"')
    assert json.dumps(read(nested(50, opening, closing))[0]) == expected
    assert refusal(nested(51, opening, closing)) == (1, message)
    assert refusal(opening * 10_000) == (1, message)


def test_levels_are_counted_with_aliases_written_out() -> None:
    text = f"- &a {nested(29)}\n- {nested(20).replace('x', '*a')}"
    assert json.dumps(read(text)[0][1]) == nested(49).replace("x", '"x"')
    message = "lists and mappings are nested more than 50 deep"
    assert refusal(text.replace(nested(29), nested(30))) == (2, message)


def test_values_are_counted_for_each_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_VALUES", 1_000)
    assert read("- x\n" * 999 + "---\n" + "- x\n" * 999) == [["x"] * 999] * 2
    assert refusal("- x\n" * 1000) == (1000, "the document has more than 1,000 values, aliases written out")


def test_values_are_counted_with_aliases_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_VALUES", 20)
    assert read("- &a {x: [1, 2]}\n- *a\n- *a\n- *a\n- ~\n- ~\n- ~") == [[{"x": [1, 2]}] * 4 + [None] * 3]
    message = "the document has more than 20 values, aliases written out"
    assert refusal_with_path("- &a {x: [1, 2]}\n- *a\n- *a\n- *a\n- [*a]") == (message, 5, (4, 0))


def test_characters_that_aliases_add_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    text = '- &a {"key": ["' + "x" * 90 + '"]}\n- *a\n- *a\n'
    monkeypatch.setattr(documents, "MAX_ADDED", 186)
    assert read(text) == [[{"key": ["x" * 90]}] * 3]
    monkeypatch.setattr(documents, "MAX_ADDED", 185)
    assert refusal(text) == (3, "the aliases of the document add more than 185 characters")


@pytest.mark.parametrize("item", ["{x: lol}", "[" + "x" * 1000 + "]"])
def test_a_bomb_of_aliases_is_refused_with_little_memory(item: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_VALUES", 10_000)
    lines = [f"a0: &a0 {item}"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    peak, (_, message) = peak_of(lambda: refusal("\n".join(lines)))
    assert message == "the document has more than 10,000 values, aliases written out"
    assert peak < 500_000


def test_merge_keys_count_as_what_they_bring_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_VALUES", 1_000)
    text = "- &a " + json.dumps(dict.fromkeys(map(str, range(100)))) + "\n- {<<: *a}" * 20
    assert refusal(text) == (10, "the document has more than 1,000 values, aliases written out")


# --- Any input

printable = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\u2028\u2029\ufeff\ufffe\uffff")
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | printable
    | st.sampled_from(["null", "yes", "1", "1e3", "2024-01-01", "1:30", ".inf", "<<", "=", " ", "\n"])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(printable, inner, max_size=4),
    max_leaves=15,
)


@settings(max_examples=100, deadline=None)
@given(values, st.sampled_from([None, 1]))
def test_json_reads_back_the_same(value: Any, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    assert repr(read(text)) == repr([] if value is None else [value])


pieces = st.lists(
    st.sampled_from("a1~ \n\r\t\0é\U0001f600[]{}\"'!&*#?>|\\")
    | st.sampled_from(
        ["a: ", "b: ", "- ", ", ", ": ", "? ", " #c", "\n  ", "\n---\n", "\n...\n", "&a ", "*a"]
    )
    | st.sampled_from(["<<: ", "!!str ", "!!int ", "!x ", "!<%C0> ", "0x1F", "1.5", "1e999", "%YAML 1.2\n"])
    | st.sampled_from(["%TAG ! x\n", "\\ud83d\\ude00", "\\ud800", "\\UFFFFFFFF", "\\0"]),
    max_size=15,
).map("".join)


@settings(max_examples=400, deadline=None)
@given(st.text() | pieces | st.binary())
@example("\n<<: &b\n *b")
def test_any_input_gives_documents_or_an_error(text: str | bytes) -> None:
    found, error = outcome(text)
    last_line = len(text) + 1
    for document in found:
        assert isinstance(document.value, dict | list | str | int | float)
        assert 1 <= document.line <= document.line_of(("a", 0)) <= last_line
        json.dumps(document.value, allow_nan=False, ensure_ascii=False).encode()
    if error:
        assert re.fullmatch(".+", str(error))
        assert error.line is None or 1 <= error.line <= last_line
