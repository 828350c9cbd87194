"""Giving out definitions as plain documents, which go back in unchanged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, select

from toolcatalog.core.definition import Document
from toolcatalog.core.filters import Filters
from toolcatalog.errors import Finding, NotFound
from toolcatalog.models import CatalogState, Change, ToolVersion
from toolcatalog.services import rows
from toolcatalog.services.listing import LISTED, conditions

BATCH = 200


def documents(
    connection: Connection, names: Sequence[str] | None = None, filters: Filters | None = None
) -> Iterator[Document]:
    """Yield the latest version of all tools, or of those that are named and pass; memory stays flat."""
    wanted = conditions((filters or Filters()).given())
    after = ""
    while True:
        query = select(ToolVersion.tool_name, Change.after).join(ToolVersion.change)
        query = query.where(*wanted, ToolVersion.tool_name > after)
        if names is not None:
            query = query.where(ToolVersion.tool_name.in_(names))
        batch = connection.execute(query.order_by(ToolVersion.tool_name).limit(BATCH)).all()
        yield from (row.after for row in batch)
        if len(batch) < BATCH:
            return
        after = batch[-1].tool_name


class State(NamedTuple):
    """What an export is made from: the revision of the last change, and when that was made.

    Both, since after a restore of an older backup the same revision may be another change.
    """

    revision: int
    changed_at: str | None


def read_state(connection: Connection) -> State:
    """Return what the catalog is at; 0 and None for one that never changed."""
    revision, changed_at = connection.execute(_STATE).one()
    return State(revision, None if changed_at is None else rows.timestamp(changed_at))


_STATE = select(CatalogState.revision, Change.at).outerjoin(Change, Change.revision == CatalogState.revision)


def check_names(connection: Connection, names: Sequence[str]) -> None:
    """Make sure that there is a tool for each name.

    Raises:
        NotFound: with a finding for each name that has none.
    """
    query = select(ToolVersion.tool_name).where(LISTED, ToolVersion.tool_name.in_(names))
    known = set(connection.scalars(query))
    missing = [name for name in dict.fromkeys(names) if name not in known]
    if missing:
        raise NotFound(
            f"There is no tool of {len(missing)} of the names.",
            [Finding(("names",), f'there is no tool "{name}"') for name in missing],
        )
