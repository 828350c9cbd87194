"""Which version comes after which."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from toolcatalog.core import kinds
from toolcatalog.core.versions import is_newer, is_same_release, key, sort_key

ORDERS = [
    ["0.9", "1.0", "1.9", "1.10", "2", "10.0"],
    ["1.0.dev1", "1.0a1", "1.0a2", "1.0b1", "1.0rc1", "1.0", "1.0.post1", "1.1", "1!0.1"],
    ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0"],
    # What PEP 440 has no name for, as semver orders it: numbers by value and below words, more above fewer.
    [
        "0.9.9",
        "1.0.0-nightly.9",
        "1.0.0-nightly.10",
        "1.0.0-nightly.x",
        "1.0.0-nightly.x.1",
        "1.0.0-x",
        "1.0.0",
    ],
    ["v1.0.0-nightly.1+build.5", "v1.0.0-nightly.2", "v1.0.0"],
    ["2023.12", "2024.1", "2024.01.15"],
    # A word is no promise of order: below all that are numbers.
    ["", "1.x", "2024-01-01T00", "Latest", "alpha", "latest", "0.0.1", "1.0.0-nightly.1"],
    ["1.0-x.y", "1.0.0-x_y", "1.0.0-ä", "٣.٣.٣-x.y", "0"],
]


@pytest.mark.parametrize("versions", ORDERS, ids=lambda versions: versions[-1])
def test_versions_come_in_this_order(versions: list[str]) -> None:
    backwards = versions[::-1]
    assert sorted(backwards, key=sort_key) == versions
    for older, newer in itertools.combinations(versions, 2):
        assert is_newer(newer, older)
        assert not is_newer(older, newer)


@pytest.mark.parametrize(
    ("one", "other"),
    [("1", "1.0"), ("1.0", "v1.0"), ("1.0a1", "1.0-alpha.1"), ("1.0.0-x.1", "v1.0.0-x.1+build"), ("a", "a")],
)
def test_one_release_spelled_twice_is_neither_newer_nor_older(one: str, other: str) -> None:
    assert sort_key(one) == sort_key(other)
    assert is_same_release(one, other)
    assert not is_newer(one, other)
    assert not is_newer(other, one)


@pytest.mark.parametrize("versions", [["2", "1.0.dev1"], ["0", "zzz"]])
def test_the_newer_is_told_apart_from_the_older(versions: list[str]) -> None:
    newer, older = versions
    assert (is_newer(newer, older), is_newer(older, newer)) == (True, False)


labels = st.one_of(
    st.from_regex(r"v?[0-9]{1,2}(\.[0-9]{1,2}){0,2}((a|b|rc|\.post|\.dev)[0-9])?", fullmatch=True),
    st.from_regex(r"[0-9]\.[0-9]\.[0-9]-[0-9A-Za-z.-]{1,6}(\+[0-9a-z.]{1,3})?", fullmatch=True),
    st.text(max_size=20).filter(lambda text: re.search(kinds.LABEL, text) is not None),
)


@settings(max_examples=300, deadline=None)
@given(labels, labels, labels)
@example("٣.٣.٣-x.y", "1", "x")
@example("1.0.0-x", "1.0.0.dev0", "1.0.0-0")
def test_versions_have_a_total_order(a: str, b: str, c: str) -> None:
    for one, other in itertools.combinations((a, b, c), 2):
        less, equal, greater = (
            sort_key(one) < sort_key(other),
            sort_key(one) == sort_key(other),
            sort_key(one) > sort_key(other),
        )
        assert [less, equal, greater].count(True) == 1
        assert (is_newer(one, other), is_newer(other, one)) == (greater, less)
    first, second, third = sorted((a, b, c), key=sort_key)
    assert sort_key(first) <= sort_key(second) <= sort_key(third)
    assert sort_key(first) <= sort_key(third)


spellings = st.from_regex(
    r"v?0?[01](\.0?[01]){0,3}(-?(a|alpha|x|0?1|post|dev|rc)(\.0?[01x])?)?(\+(b|0?1))?", fullmatch=True
)


@settings(max_examples=1_000, deadline=None)
@given(spellings | labels, spellings | labels)
@example("1.0.0-x.1", "1-x.1")
@example("01.0.0-007.x+build", "v1.0.0-7.x")
@example("1.0.0-x", "1.0.0.dev0")
@example("1.0+01", "1.0+1")
@example("1.0", "1.0+1")
@example("0.0.0-0+b-x", "0.0.0-0")
def test_versions_have_the_same_key_when_neither_is_newer(one: str, other: str) -> None:
    assert (key(one) == key(other)) == (sort_key(one) == sort_key(other))
