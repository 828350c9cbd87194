"""Search, and the capabilities that tools are found by."""

from __future__ import annotations

import dataclasses
from functools import partial

from flask import Response
from flask_smorest import Blueprint

from toolcatalog.api import cursors, rendering
from toolcatalog.api.context import Context
from toolcatalog.api.operations import PAGE_HEADERS, operation
from toolcatalog.api.reads import answer_read, key_of, page_headers
from toolcatalog.api.tools import Query, answer_page, bound, fields_of, filters_of
from toolcatalog.cache.dependence import OnEverything
from toolcatalog.cache.store import Answer, Key
from toolcatalog.schemas.queries import ListQuery, PageQuery, SearchQuery
from toolcatalog.schemas.shapes import listed, ref
from toolcatalog.services import capabilities, rows
from toolcatalog.services import search as searching

blueprint = Blueprint(
    "search",
    __name__,
    url_prefix="/api/v1",
    description="Search, and the capabilities that tools are found by.",
)


@operation(
    blueprint, "GET", "/tools/search", query=SearchQuery, answers=listed(ref("Hit")), headers=PAGE_HEADERS
)
def search_tools(query: Query) -> Response:
    """Find tools by what they should do, in any words, or by a part of their name; the best first.

    Every hit says which of its fields have which words. Without `q` and `name`, all tools that pass the
    filters are found.
    """
    key = key_of(query)
    return answer_read(key, query, lambda parts: _render_hits(parts, key, query))


def _render_hits(parts: Context, key: Key, query: Query) -> Answer:
    fields, question = fields_of(query), query.get("q", "")
    position = (float, str, partial(searching.read_plan, question))
    with parts.database.read() as connection:
        results = searching.search(
            connection,
            parts.words.statistics(connection, parts.coherence.known()),
            question,
            query.get("name"),
            filters_of({**query, "name": None}),
            after=cursors.read(query.get("cursor"), bound(query), position),
            limit=query["limit"],
        )
    found = [
        {
            **rendering.chosen(rows.answer(hit.row), fields),
            "score": round(hit.score, 6),
            "matches": hit.matches,
        }
        for hit in results.hits
    ]
    headers = page_headers(results.total, cursors.make(results.next, bound(query)))
    return rendering.answer(rendering.body(found), key, results.revision, OnEverything(), headers)


@operation(
    blueprint,
    "GET",
    "/capabilities",
    query=PageQuery,
    answers=listed(ref("CapabilitySummary")),
    headers=PAGE_HEADERS,
)
def list_capabilities(query: Query) -> Response:
    """List what the tools of the catalog can do, by name, with how many can.

    The list is in the order of the names. The tools behind a name are at
    `/api/v1/capabilities/{capability}/tools`.
    """
    key = key_of(query)
    return answer_read(key, query, lambda parts: _render_capabilities(parts, key, query))


def _render_capabilities(parts: Context, key: Key, query: Query) -> Answer:
    after = cursors.read(query.get("cursor"), {}, (str,))
    with parts.database.read() as connection:
        page = capabilities.page(connection, after=after[0] if after else None, limit=query["limit"])
    text = rendering.body([dataclasses.asdict(one) for one in page.found])
    last = (page.found[-1].capability_name,) if page.has_more else None
    headers = page_headers(page.total, cursors.make(last, {}))
    return rendering.answer(text, key, page.revision, OnEverything(), headers)


@operation(
    blueprint, "GET", "/capabilities/<capability>/tools", query=ListQuery(exclude=["capability"]),
    answers=listed(ref("Tool")), headers=PAGE_HEADERS,
)  # fmt: skip
def list_tools_of_capability(query: Query, capability: str) -> Response:
    """List the tools that can do something.

    As the list of all tools with the filter `capability`; a capability that no tool has gives an empty
    list.
    """
    return answer_page({**query, "capability": (capability,)})
