"""What the tools of the catalog can do, as one list of names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from toolcatalog.models import Capability, CatalogState, ToolVersion
from toolcatalog.services.listing import LISTED


@dataclass(frozen=True, slots=True)
class Summary:
    """A capability over all tools: how many have it, and the first of their descriptions by alphabet."""

    capability_name: str
    tool_count: int
    description: str | None


class Page(NamedTuple):
    """Some capabilities by name, whether there are more, how many in all, and the revision that they show."""

    found: list[Summary]
    has_more: bool
    total: int
    revision: int


def page(connection: Connection, *, after: str | None, limit: int) -> Page:
    """Return capabilities by name, after a name."""
    query = (
        select(Capability.capability_name, func.count(), func.min(Capability.description))
        .join(ToolVersion, ToolVersion.id == Capability.tool_version_id)
        .where(LISTED)
        .group_by(Capability.capability_name)
        .order_by(Capability.capability_name)
        .limit(limit + 1)
    )
    if after is not None:
        query = query.where(Capability.capability_name > after)
    total, revision = connection.execute(_TOTAL).one()
    found = [Summary(*row) for row in connection.execute(query)]
    return Page(found[:limit], len(found) > limit, total, revision)


_TOTAL = select(
    select(func.count(Capability.capability_name.distinct()))
    .join(ToolVersion, ToolVersion.id == Capability.tool_version_id)
    .where(LISTED)
    .scalar_subquery(),
    CatalogState.revision,
)
