"""What the tools of the catalog can do, as one list of names."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from toolcatalog.models import Capability, ToolVersion
from toolcatalog.services.changes import current_revision
from toolcatalog.services.listing import LISTED


@dataclass(frozen=True, slots=True)
class Summary:
    """A capability over all tools: how many have it, and the first of their descriptions by alphabet."""

    capability_name: str
    tool_count: int
    description: str | None


def page(connection: Connection, *, after: str | None, limit: int) -> tuple[list[Summary], bool, int]:
    """Return capabilities by name, after a name; whether there are more; and the revision that they show."""
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
    revision = current_revision(connection)
    found = [Summary(*row) for row in connection.execute(query)]
    return found[:limit], len(found) > limit, revision
