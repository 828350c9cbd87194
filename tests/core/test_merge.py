"""JSON merge patch, and the difference between two documents."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core import generated
from toolcatalog.core import json_text
from toolcatalog.core.merge import difference, is_same, merge_patch


# RFC 7396, appendix A
@pytest.mark.parametrize(
    ("original", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_patch_does_what_the_rfc_shows(original: Any, patch: Any, result: Any) -> None:
    before = copy.deepcopy((original, patch))
    assert merge_patch(original, patch) == result
    assert (original, patch) == before


def test_a_patched_field_stays_in_its_place_and_a_new_one_comes_last() -> None:
    merged = merge_patch({"a": 1, "b": {"c": 1, "d": 2}}, {"e": 3, "b": {"c": 4}, "a": 5})
    assert json_text.dumps(merged) == '{"a":5,"b":{"c":4,"d":2},"e":3}'


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({}, {}, []),
        ({"a": 1}, {"a": 1, "b": 2}, [{"op": "add", "path": "b", "to": 2}]),
        ({"a": 1, "b": None}, {"a": 1}, [{"op": "remove", "path": "b", "from": None}]),
        ({"a": 1}, {"a": 2}, [{"op": "replace", "path": "a", "from": 1, "to": 2}]),
        (
            {"a": {"b": {"c": 1, "d": 2}}, "x": 0},
            {"y": 0, "a": {"b": {"c": 3, "e": 4}}},
            [
                {"op": "replace", "path": "a.b.c", "from": 1, "to": 3},
                {"op": "remove", "path": "a.b.d", "from": 2},
                {"op": "add", "path": "a.b.e", "to": 4},
                {"op": "remove", "path": "x", "from": 0},
                {"op": "add", "path": "y", "to": 0},
            ],
        ),
        ({"a": [1, 2]}, {"a": [2, 1]}, [{"op": "replace", "path": "a", "from": [1, 2], "to": [2, 1]}]),
        (
            {"a": [{"b": 1}]},
            {"a": [{"b": 2}]},
            [{"op": "replace", "path": "a", "from": [{"b": 1}], "to": [{"b": 2}]}],
        ),
        ({"a": {"b": 1}}, {"a": "b"}, [{"op": "replace", "path": "a", "from": {"b": 1}, "to": "b"}]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, []),
        (1, 2, [{"op": "replace", "path": "", "from": 1, "to": 2}]),
    ],
)
def test_a_difference_names_what_was_added_removed_and_replaced(
    old: Any, new: Any, expected: list[dict[str, Any]]
) -> None:
    assert difference(old, new) == expected


@pytest.mark.parametrize(
    ("old", "new"), [(1, 1.0), (1, True), (1.0, True), (0, False), (0.0, -0.0), ("1", 1)]
)
def test_what_is_written_otherwise_differs_though_python_finds_it_equal(old: Any, new: Any) -> None:
    assert not is_same(old, new)
    assert not is_same({"a": [old]}, {"a": [new]})
    found = difference({"a": old}, {"a": new})
    assert [(each["op"], repr(each["from"]), repr(each["to"])) for each in found] == [
        ("replace", repr(old), repr(new))
    ]


def _patch(difference_: list[dict[str, Any]]) -> dict[str, Any]:
    """A merge patch that does what a difference of flat maps says."""
    return {each["path"]: each.get("to") for each in difference_}


flat = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 3) | st.lists(st.integers(0, 2), max_size=2))


@settings(max_examples=60, deadline=None)
@given(flat, flat)
def test_a_difference_leads_from_the_old_to_the_new(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert merge_patch(old, _patch(difference(old, new))) == new


@settings(max_examples=60, deadline=None)
@given(generated.values)
def test_nothing_differs_from_itself(value: Any) -> None:
    assert difference(value, copy.deepcopy(value)) == []
    assert is_same(value, copy.deepcopy(value))
