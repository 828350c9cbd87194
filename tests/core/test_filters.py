"""Whether a definition passes filters, as the cache asks: it never fails, whatever a definition says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.core import generated
from toolcatalog.core import definition as formats
from toolcatalog.core.definition import Definition, Document
from toolcatalog.core.filters import Filters

ANY_TAGS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(),
    st.dictionaries(st.text(), st.integers()), st.lists(st.one_of(st.text(), st.integers(), st.none())),
)  # fmt: skip
VALUES = st.none() | st.lists(st.text(min_size=1), min_size=1, max_size=3).map(tuple)
FILTERS = st.builds(
    Filters, platform=VALUES, category=VALUES, status=VALUES, capability=VALUES, tag=VALUES,
    enabled=st.none() | st.booleans(), name=st.none() | st.text(), version=st.none() | st.text(),
)  # fmt: skip


def selects(filters: Filters, definition: Definition) -> bool:
    """What the query of a list does with the columns that a definition is written into."""
    columns: tuple[tuple[Any, set[Any]], ...] = (
        (filters.platform, {definition.platform}),
        (filters.category, {definition.category}),
        (filters.status, {definition.status}),
        (filters.capability, set(definition.capabilities)),
        (filters.tag, set(definition.tags)),
    )
    return (
        all(wanted is None or not found.isdisjoint(wanted) for wanted, found in columns)
        and filters.enabled in (None, definition.enabled)
        and filters.name in (None, definition.tool_name)
        and filters.version in (None, definition.version)
    )


@given(generated.documents, ANY_TAGS, FILTERS)
def test_what_the_query_selects_may_pass_and_nothing_raises(
    written: Document, said: Any, filters: Filters
) -> None:
    stored = formats.from_document({**written, "metadata": {**written.get("metadata", {}), "tags": said}})
    document = formats.to_document(stored)
    assert filters.may_pass(document) == selects(filters, stored)
    of_itself = Filters(
        platform=(stored.platform,) if stored.platform else None,
        capability=tuple(stored.capabilities) or None,
        tag=tuple(stored.tags) or None,
        status=(stored.status, "other"),
        enabled=stored.enabled,
        name=stored.tool_name,
    )
    assert of_itself.may_pass(document)


@pytest.mark.parametrize("said", [5, 2024, True, None, "disk", {"disk": 1}, [5, None]])
def test_tags_that_are_no_list_of_words_are_no_tags(said: Any) -> None:
    assert not Filters(tag=("disk",)).may_pass({"metadata": {"tags": said}})


@example(["linux", "windows"])
@given(st.lists(st.text(min_size=1), min_size=1))
def test_of_several_values_any_will_do(values: list[str]) -> None:
    for value in values:
        assert Filters(platform=tuple(values)).may_pass({"platform": value})
    assert not Filters(platform=tuple(values)).may_pass({"platform": "".join(values) + "x"})
