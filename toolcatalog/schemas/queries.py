"""The parameters of questions: what may stand after the `?`. An unknown parameter is an error, not ignored:
a misspelled filter that is ignored answers with tools that were not asked for.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import marshmallow as ma
from marshmallow import validate
from webargs.fields import DelimitedList

from toolcatalog.core import definition
from toolcatalog.core.filters import SORTS
from toolcatalog.core.kinds import nearest

MAX_LIMIT = 1000
MAX_SEARCH_LENGTH = 500
MAX_WAIT_SECONDS = 60

SUMMARY_FIELDS = (
    "id", "tool_name", "version", "description", "platform", "category", "status", "enabled", "revision",
    "is_latest", "updated_at",
)  # fmt: skip
FIELDS = ("id", *definition.FIELD_NAMES, *definition.ADDED_FIELDS[1:])


class Word(ma.fields.String):
    """A text without NUL, which PostgreSQL cannot compare with."""

    def __init__(self, *, longest: int = 100, **options: Any) -> None:
        rules = [validate.Length(min=1, max=longest), validate.Regexp(r"^[^\x00]*$", error="contains NUL.")]
        super().__init__(validate=rules, **options)


class Switch(ma.fields.Boolean):
    """`true` or `false`, as JSON has it."""

    truthy = {"true"}
    falsy = {"false"}


class QuerySchema(ma.Schema):
    """The base of all questions."""

    class Meta:
        unknown = ma.RAISE

    def handle_error(self, error: ma.ValidationError, data: Any, **_: Any) -> None:
        """Name the parameter that an unknown one was probably meant to be."""
        for name, messages in error.messages_dict.items():
            if messages == [self.error_messages["unknown"]]:
                messages[:] = [f"is not a parameter here; {nearest(str(name), sorted(self.fields))}"]


def limit(default: int) -> ma.fields.Integer:
    """How many rows a page has at most."""
    return ma.fields.Integer(load_default=default, validate=validate.Range(min=1, max=MAX_LIMIT))


class FilterQuery(QuerySchema):
    """What a list of tools may be narrowed by."""

    platform = Word()
    category = Word()
    status = ma.fields.String(validate=validate.OneOf(definition.STATUSES))
    enabled = Switch()
    capability = Word()
    tag = Word()
    name = Word(metadata={"description": "the exact name"})
    version = Word(metadata={"description": "tools at this version, be it their latest or not"})
    updated_since = ma.fields.AwareDateTime(
        format="iso",
        default_timezone=dt.UTC,
        metadata={"description": "RFC 3339; UTC where it has no offset"},
    )


class PageQuery(QuerySchema):
    """Which part of a list is answered."""

    limit = limit(MAX_LIMIT)
    cursor = Word(longest=2000, metadata={"description": "from the Link header of the page before"})


class ViewQuery(QuerySchema):
    """Which fields of each tool are answered."""

    fields_ = DelimitedList(
        ma.fields.String(validate=validate.OneOf(FIELDS)),
        data_key="fields",
        metadata={"description": "only these fields, separated by commas"},
    )
    view = ma.fields.String(
        load_default="full",
        validate=validate.OneOf(("full", "summary")),
        metadata={"description": f"summary: {', '.join(SUMMARY_FIELDS)}"},
    )


class ListQuery(FilterQuery, PageQuery, ViewQuery):
    """A list of tools."""

    sort = ma.fields.String(load_default="tool_name", validate=validate.OneOf(SORTS))


class SearchQuery(FilterQuery, PageQuery, ViewQuery):
    """A search."""

    limit = limit(50)
    q = Word(
        longest=MAX_SEARCH_LENGTH,
        load_default="",
        metadata={"description": "what the tool should do, in any words; typos are tolerated"},
    )
    name = Word(metadata={"description": "a part of the name"})


class ToolQuery(QuerySchema):
    """One tool."""

    version = Word(metadata={"description": "this version; the latest without"})


class DifferenceQuery(QuerySchema):
    """Two versions of a tool."""

    from_ = Word(data_key="from", required=True)
    to = Word(metadata={"description": "the latest without"})


class HistoryQuery(QuerySchema):
    """The changes of one tool, the newest first."""

    limit = limit(100)
    before = ma.fields.Integer(
        validate=validate.Range(min=1, max=2**63 - 1), metadata={"description": "older than this revision"}
    )


class ChangesQuery(QuerySchema):
    """The changes of all tools, in order."""

    since = ma.fields.Integer(load_default=0, validate=validate.Range(min=0, max=2**63 - 1))
    wait = ma.fields.Integer(
        load_default=0,
        validate=validate.Range(min=0, max=MAX_WAIT_SECONDS),
        metadata={"description": "seconds to wait for a change when there is none"},
    )
    limit = limit(MAX_LIMIT)


class ImportQuery(QuerySchema):
    """How an import goes about its work."""

    dry_run = Switch(
        load_default=False, metadata={"description": "say what would become of each, write nothing"}
    )
    overwrite = Switch(load_default=False, metadata={"description": "replace what is there and differs"})
    partial_ = Switch(
        data_key="partial",
        load_default=False,
        metadata={"description": "write the good ones although others fail"},
    )


class ExportQuery(QuerySchema):
    """Which definitions come out, and how."""

    names = DelimitedList(Word(), metadata={"description": "only these, separated by commas; all without"})
    format = ma.fields.String(load_default="yaml", validate=validate.OneOf(("yaml", "json")))


class ExportBody(QuerySchema):
    """As the query of GET, for many names, or names with commas."""

    names = ma.fields.List(Word(), validate=validate.Length(max=10_000))
    format = ma.fields.String(load_default="yaml", validate=validate.OneOf(("yaml", "json")))
