"""Documents as YAML: what is written, this reader and others read back as the same."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings

from tests.core import generated
from toolcatalog.core import json_text
from toolcatalog.core.definition import from_document, to_document
from toolcatalog.core.kinds import MAX_FREE_DEPTH
from toolcatalog.sources.definitions import Item, read_yaml
from toolcatalog.sources.documents import read_documents
from toolcatalog.sources.writing import yaml_texts


def written(*documents: Any) -> str:
    return "".join(yaml_texts(documents))


def read_back(value: Any) -> Any:
    (document,) = read_documents(written({"k": value}).encode())
    return document.value["k"]


def test_documents_are_separated_and_keep_their_order() -> None:
    assert written({"z": 1, "a": {"y": [1, "x"], "b": {}}}, {"é": "🦊 ü"}) == (
        '---\nz: 1\na:\n  y:\n  - 1\n  - x\n  b: {}\n---\né: "\\U0001F98A ü"\n'
    )
    assert written() == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain text", "plain text"),
        ("", "''"),
        ("yes", "'yes'"),
        ("null", "'null'"),
        ("~", "'~'"),
        ("1.0", "'1.0'"),
        ("1e3", "'1e3'"),
        ("0o17", "'0o17'"),
        ("017", "'017'"),
        ("1_000", "'1_000'"),
        ("2024-01-01", "'2024-01-01'"),
        ("12:30", "'12:30'"),
        (" leading", "' leading'"),
        ("a: b", "'a: b'"),
        ("a #b", "'a #b'"),
        ("<<", "'<<'"),
        ("\x85", '"\\N"'),
        ("\u2028", '"\\L"'),
        (True, "true"),
        (None, "null"),
        (1, "1"),
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (1e16, "1e+16"),
        (1e-7, "1e-07"),
        (10**30, "1" + "0" * 30),
    ],
)
def test_a_scalar_is_written_so_that_no_reader_takes_it_for_another(value: Any, text: str) -> None:
    assert written({"k": value}) == f"---\nk: {text}\n"


@pytest.mark.parametrize("text", generated.TRICKY_TEXTS)
def test_a_tricky_text_comes_back_as_a_value_and_as_a_key(text: str) -> None:
    for value in (text, [text], {text: text}, {text: {text: [text]}}):
        assert read_back(value) == value


@pytest.mark.parametrize("number", generated.TRICKY_NUMBERS)
def test_a_tricky_number_comes_back_as_it_was(number: float) -> None:
    assert repr(read_back(number)) == repr(number)
    assert read_back(str(number)) == str(number)


def test_a_value_that_occurs_twice_is_written_twice() -> None:
    shared = {"name": "x"}
    assert written({"a": shared, "b": [shared]}) == "---\na:\n  name: x\nb:\n- name: x\n"


def test_a_key_may_be_longer_than_yaml_likes() -> None:
    value = {"k" * 5000: {"x y " * 500: 1}}
    assert read_back(value) == value


def test_what_is_nested_as_deeply_as_the_format_allows_comes_back() -> None:
    deep: Any = 1
    for _ in range(MAX_FREE_DEPTH):
        deep = [deep]
    pattern = {"description": "x", "required_inputs": [{"name": "x", "default": deep}]}
    tool = {"tool_name": "x", "description": "x", "capabilities": {"c": {"patterns": {"p": pattern}}}}
    document = to_document(from_document(tool))
    text = written(document, [document]).encode()
    assert [each.value for each in read_documents(text)] == [document, [document]]


@settings(max_examples=120, deadline=None)
@given(generated.values)
@example(["\n" + "x y " * 60, "word " * 40 + " \n  " + "y" * 200, "\t\n \t", "a \n b\n\n\n c "])
def test_whatever_json_can_say_comes_back(value: Any) -> None:
    assert json_text.dumps(read_back(value)) == json_text.dumps(value)


@settings(max_examples=80, deadline=None)
@given(generated.documents)
def test_a_definition_comes_back_the_same(document: dict[str, Any]) -> None:
    definition = from_document(document)
    document = to_document(definition)
    before = copy.deepcopy(document)
    items = list(read_yaml(written(document, document).encode()))
    assert document == before
    assert [(item.definition, item.findings) for item in items] == [(definition, ())] * 2
    assert [json_text.dumps(_document(item)) for item in items] == [json_text.dumps(document)] * 2


def _document(item: Item) -> dict[str, Any]:
    assert item.definition is not None
    return to_document(item.definition)


@settings(max_examples=60, deadline=None)
@given(generated.texts)
def test_another_reader_of_yaml_finds_the_same_texts(text: str) -> None:
    """PyYAML has the rules of YAML 1.1: both versions agree on what is written here."""
    assert yaml.safe_load(written({"k": text})) == {"k": text}
    assert yaml.safe_load(written({text: "v"})) == {text: "v"}
