"""Lists of tools: filtered, ordered, a page at a time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVarTuple

from sqlalchemy import ColumnElement, Connection, Select, Text, and_, any_, func, select, tuple_
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.orm import InstrumentedAttribute

from toolcatalog.core.filters import Filters
from toolcatalog.models import Capability, CatalogState, Change, ToolVersion
from toolcatalog.services import rows
from toolcatalog.services.rows import Version

LISTED = and_(ToolVersion.is_latest, ToolVersion.retired_at.is_(None))
# Where a page ends: the values that it is ordered by, of its last row.
Position = tuple[Any, ...]


Columns = TypeVarTuple("Columns")


@dataclass(frozen=True, slots=True)
class Listed:
    """A version's place in a list, and which state of it that is: its last change, if it is the latest."""

    id: int
    tool_name: str
    updated_at: dt.datetime
    is_latest: bool
    revision: int


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list; `total` counts the whole list, `next` is None on the last page."""

    rows: list[Listed]
    total: int
    revision: int
    next: Position | None


def conditions(given: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    """Say in SQL what filters ask for, by their names; a value may be a bound parameter of an array.

    All tools that are not retired pass where nothing is given.
    """
    wanted: list[ColumnElement[bool]] = [LISTED]
    if "version" in given:
        wanted = [ToolVersion.retired_at.is_(None), ToolVersion.version == given["version"]]
    wanted += [column == given[name] for name, column in _COLUMNS.items() if name in given]
    wanted += [_is_any_of(column, given[name]) for name, column in _OF_SEVERAL.items() if name in given]
    if "capability" in given:
        having = select(Capability.tool_version_id)
        having = having.where(_is_any_of(Capability.capability_name, given["capability"]))
        wanted.append(ToolVersion.id.in_(having))
    if "tag" in given:
        wanted.append(ToolVersion.tags.overlap(_array(given["tag"])))
    if "updated_since" in given:
        wanted.append(ToolVersion.updated_at >= given["updated_since"])
    return wanted


_COLUMNS = {"enabled": ToolVersion.enabled, "name": ToolVersion.tool_name}
_OF_SEVERAL: dict[str, InstrumentedAttribute[Any]] = {
    "platform": ToolVersion.platform,
    "category": ToolVersion.category,
    "status": ToolVersion.status,
}


def _is_any_of(column: InstrumentedAttribute[Any], values: Any) -> Any:
    """Compare with one value as such: only then an index gives the rows in the order of its next column."""
    if isinstance(values, list) and len(values) == 1:
        (value,) = values
        return column == value
    return column == any_(_array(values))


def _array(values: Any) -> Any:
    return array(values, type_=Text) if isinstance(values, list) else values


def page(connection: Connection, filters: Filters, *, sort: str, after: Position | None, limit: int) -> Page:
    """Return one page of a list; `after` None is the first."""
    wanted = conditions(filters.given())
    count = select(func.count()).select_from(ToolVersion).where(*wanted).scalar_subquery()
    state = (select(CatalogState.revision).scalar_subquery(), count)
    query = (
        select(
            ToolVersion.id,
            ToolVersion.tool_name,
            ToolVersion.updated_at,
            ToolVersion.is_latest,
            Change.revision,
            *state,
        )
        .select_from(ToolVersion)
        .join(ToolVersion.change)
        .where(*wanted)
    )
    found = connection.execute(ordered(query, sort, after).limit(limit + 1)).all()
    revision, total = found[0][-2:] if found else connection.execute(select(*state)).one()
    listed = [Listed(*row[:-2]) for row in found[:limit]]
    more = len(found) > limit
    return Page(listed, total, revision, position(listed[-1], sort) if more else None)


def load(connection: Connection, ids: Collection[int], *, whole: bool = True) -> dict[int, Version]:
    """Return versions by id; not `whole`: for no more than the head of an answer."""
    if not ids:
        return {}
    query = select(*rows.WHOLE if whole else rows.HEAD).select_from(ToolVersion).join(ToolVersion.change)
    return {row.id: row for row in connection.execute(query.where(ToolVersion.id.in_(ids)))}


def ordered(query: Select[*Columns], sort: str, after: Position | None) -> Select[*Columns]:
    """Order a query, and begin it after a position of that order."""
    key = _key(sort)
    if sort.startswith("-"):
        query = query.order_by(*(column.desc() for column in key))
        return query if after is None else query.where(tuple_(*key) < tuple_(*after))
    query = query.order_by(*key)
    return query if after is None else query.where(tuple_(*key) > tuple_(*after))


def position(row: Listed, sort: str) -> Position:
    """Return where a row stands in an order."""
    return tuple(getattr(row, column.key) for column in _key(sort))


def position_types(sort: str) -> tuple[type, ...]:
    """Return the types of a position's values."""
    return tuple(column.type.python_type for column in _key(sort))


def _key(sort: str) -> tuple[Any, ...]:
    if sort.lstrip("-") == "updated_at":
        return (ToolVersion.updated_at, ToolVersion.tool_name)
    return (ToolVersion.tool_name,)
