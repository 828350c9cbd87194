"""Search, and the capabilities that tools are found by."""

from __future__ import annotations

import dataclasses

from flask import Response
from flask_smorest import Blueprint

from toolcatalog.api import answers, cursors
from toolcatalog.api.answers import answer
from toolcatalog.api.context import reading
from toolcatalog.api.operations import PAGE_HEADERS, operation
from toolcatalog.api.tools import Query, answer_page, bound, fields_of, filters_of
from toolcatalog.schemas.answers import listed, ref
from toolcatalog.schemas.queries import ListQuery, PageQuery, SearchQuery
from toolcatalog.services import capabilities, rows
from toolcatalog.services import search as searching

blueprint = Blueprint("search", __name__, url_prefix="/api/v1")


@operation(
    blueprint, "GET", "/tools/search", query=SearchQuery, answers=listed(ref("Hit")), headers=PAGE_HEADERS
)
def search_tools(query: Query) -> Response:
    """Find tools by what they should do, in any words, or by a part of their name; the best first."""
    fields = fields_of(query)
    with reading() as session:
        results = searching.search(
            session,
            query.get("q", ""),
            query.get("name"),
            filters_of({**query, "name": None}),
            after=cursors.read(query.get("cursor"), bound(query), (float, str)),
            limit=query["limit"],
        )
        found = [
            {
                **answers.chosen(rows.answer(hit.row), fields),
                "score": round(hit.score, 6),
                "matches": hit.matches,
            }
            for hit in results.hits
        ]
    following = cursors.make(results.next, bound(query))
    return answers.with_page_headers(answer(found, revision=results.revision), results.total, following)


@operation(
    blueprint,
    "GET",
    "/capabilities",
    query=PageQuery,
    answers=listed(ref("Capability")),
    headers=PAGE_HEADERS,
)
def list_capabilities(query: Query) -> Response:
    """List what the tools of the catalog can do, by name, with how many can."""
    after = cursors.read(query.get("cursor"), {}, (str,))
    with reading() as session:
        found, more, revision = capabilities.page(
            session, after=after[0] if after else None, limit=query["limit"]
        )
    following = (found[-1].capability_name,) if more else None
    response = answer([dataclasses.asdict(one) for one in found], revision=revision)
    return answers.with_page_headers(response, None, cursors.make(following, {}))


@operation(
    blueprint, "GET", "/capabilities/<capability>/tools", query=ListQuery(exclude=["capability"]),
    answers=listed(ref("Tool")), headers=PAGE_HEADERS,
)  # fmt: skip
def list_tools_of_capability(query: Query, capability: str) -> Response:
    """List the tools that can do something."""
    return answer_page({**query, "capability": capability})
