"""What the cache takes for a tool of a list, and what PostgreSQL selects for it, are the same."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

from flask import Flask
from hypothesis import HealthCheck, assume, given, settings

from tests.api.test_tools import TOOLS
from tests.core import generated
from tests.core.test_filters import ANY_TAGS, FILTERS
from toolcatalog.api import context
from toolcatalog.core.filters import Filters
from toolcatalog.services import listing

# Of the tools: each example makes one of its own.
NUMBERS = count(1)


def of_itself(stored: dict[str, Any], tags: Any) -> Filters:
    """What a definition passes: of each field its own value, beside one that it does not have."""
    words = [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
    return Filters(
        platform=(stored["platform"], "other") if stored.get("platform") else None,
        category=(stored["category"], "other") if stored.get("category") else None,
        capability=("other", *stored["capabilities"]) if stored.get("capabilities") else None,
        tag=("other", *words) if words else None,
        status=("draft", stored["status"]),
        enabled=stored["enabled"],
        version=stored["version"],
    )


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(generated.documents, ANY_TAGS, FILTERS)
def test_a_definition_passes_where_the_query_selects_it(
    app: Flask, written: dict[str, Any], tags: Any, any_filters: Filters
) -> None:
    assume(r"\x00" not in repr((tags, any_filters)))  # neither a body nor a parameter can have NUL
    client, database = app.test_client(), context.of(app).database
    metadata = {**written.get("metadata", {}), "tags": tags}
    made = client.post(TOOLS, json={**written, "tool_name": f"tool {next(NUMBERS)}", "metadata": metadata})
    assert made.status_code == 201, made.json
    stored = made.json
    others = Filters(tag=("other",)), Filters(capability=("other",))
    for filters in (any_filters, of_itself(stored, tags), *others):
        wanted = replace(filters, name=stored["tool_name"])
        with database.read() as connection:
            page = listing.page(connection, wanted, sort="tool_name", after=None, limit=1)
        assert wanted.may_pass(stored) == (page.total == 1), (wanted, stored)
