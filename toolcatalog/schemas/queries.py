"""The parameters of questions: what may stand after the `?`. An unknown parameter is an error, not ignored:
a misspelled filter that is ignored answers with tools that were not asked for.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import marshmallow as ma
from marshmallow import validate
from webargs.fields import DelimitedList
from webargs.multidictproxy import MultiDictProxy

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

    allowed = r"^[^\x00]*$"

    def __init__(self, *, longest: int = 100, **options: Any) -> None:
        rules = [validate.Length(min=1, max=longest), validate.Regexp(self.allowed, error="contains NUL.")]
        super().__init__(validate=rules, **options)


class OneOfSeveral(Word):
    """A value of several, between which the commas stand."""

    allowed = r"^[^\x00,]*$"


class Switch(ma.fields.Boolean):
    """`true` or `false`, as JSON has it."""

    truthy = {"true"}
    falsy = {"false"}


class Whole(ma.fields.Integer):
    """A whole number as JSON has it; Python alone would also take `+5`, `1_000` and `٣`."""

    def _validated(self, value: Any) -> Any:
        if not re.fullmatch("-?[0-9]+", value):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class Moment(ma.fields.AwareDateTime):
    """A point in time, in UTC: PostgreSQL takes no offset of 16 hours or more, as RFC 3339 does."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> dt.datetime:
        moment = super()._deserialize(value, attr, data, **options)
        try:
            return moment.astimezone(dt.UTC)
        except OverflowError as error:  # in the first hours of the year 1, or the last of 9999
            raise self.make_error("invalid", input=value, obj_type=self.OBJ_TYPE) from error


class Several(DelimitedList):
    """Several values: separated by commas, or the parameter again for each, as many clients write lists."""

    is_multiple = True

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        return super()._deserialize(",".join(value), attr, data, **options)  # type: ignore[no-untyped-call]


class AnyOf(Several):
    """Several values of which any will do: each once and in one order, so that one question has one key."""

    def __init__(self, item: ma.fields.Field[Any], **options: Any) -> None:
        super().__init__(item, validate=validate.Length(min=1, error="names no value"), **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        try:
            found = super()._deserialize(value, attr, data, **options)
        except ma.ValidationError as error:
            # Of the parameter as a whole: which of its values it is, the message says or is plain to see.
            messages = [each for found in error.messages_dict.values() for each in found]
            raise ma.ValidationError(messages) from error
        return tuple(sorted(set(found)))


class StrictSchema(ma.Schema):
    """What refuses fields that it does not know."""

    class Meta:
        unknown = ma.RAISE

    def handle_error(self, error: ma.ValidationError, data: Any, **_: Any) -> None:
        """Name the parameter that an unknown one was probably meant to be."""
        known = sorted(field.data_key or name for name, field in self.fields.items())
        for name, messages in error.messages_dict.items():
            if messages == [self.error_messages["unknown"]]:
                messages[:] = [f"is not a parameter here; {nearest(str(name), known)}"]


class QuerySchema(StrictSchema):
    """The base of all questions."""

    @ma.pre_load
    def _refuse_repetition(self, data: MultiDictProxy, **_: Any) -> MultiDictProxy:
        """Refuse a parameter of one value that stands there twice: either value would be a guess."""
        repeated = {
            name: ["is given more than once"]
            for name, values in data.lists()
            if len(values) > 1 and name not in data.multiple_keys
        }
        if repeated:
            raise ma.ValidationError(repeated)
        return data


def limit(default: int) -> Whole:
    """How many rows a page has at most."""
    return Whole(
        load_default=default,
        validate=validate.Range(min=1, max=MAX_LIMIT),
        metadata={"description": "how many a page has at most"},
    )


class ReadQuery(QuerySchema):
    """What every read may ask for."""

    min_revision = Whole(
        validate=validate.Range(min=0, max=2**63 - 1),
        metadata={"description": "show this change, also if another host made it; 412 if nobody did"},
    )


class FilterQuery(QuerySchema):
    """What a list of tools may be narrowed by."""

    platform = AnyOf(OneOfSeveral(), metadata={"description": "tools for any of these platforms"})
    category = AnyOf(OneOfSeveral(), metadata={"description": "tools for any of these kinds of work"})
    status = AnyOf(
        ma.fields.String(validate=validate.OneOf(definition.STATUSES)),
        metadata={"description": "tools of any of these statuses"},
    )
    enabled = Switch(metadata={"description": "tools that may be used, or those that may not"})
    capability = AnyOf(OneOfSeveral(), metadata={"description": "tools that can do any of these"})
    tag = AnyOf(OneOfSeveral(), metadata={"description": "tools with any of these tags"})


class ListFilterQuery(FilterQuery):
    """What a list of tools may be narrowed by besides."""

    name = Word(metadata={"description": "the exact name"})
    version = Word(metadata={"description": "tools at this version, be it their latest or not"})
    updated_since = Moment(
        format="iso",
        default_timezone=dt.UTC,
        metadata={"description": "tools that changed since, as RFC 3339 has it; UTC without an offset"},
    )


class PageQuery(ReadQuery):
    """Which part of a list is answered."""

    limit = limit(MAX_LIMIT)
    cursor = Word(longest=3000, metadata={"description": "from the Link header of the page before"})


class ViewQuery(QuerySchema):
    """Which fields of each tool are answered."""

    fields_ = Several(
        ma.fields.String(validate=validate.OneOf(FIELDS)),
        data_key="fields",
        validate=validate.Length(min=1, error="names no field"),
        metadata={"description": "only these fields, separated by commas"},
    )
    view = ma.fields.String(
        load_default="full",
        validate=validate.OneOf(("full", "summary")),
        metadata={"description": f"summary: {', '.join(SUMMARY_FIELDS)}"},
    )


class ListQuery(ListFilterQuery, PageQuery, ViewQuery):
    """A list of tools."""

    sort = ma.fields.String(
        load_default="tool_name",
        validate=validate.OneOf(SORTS),
        metadata={"description": "in which order; - turns it round"},
    )


class SearchQuery(ListFilterQuery, PageQuery, ViewQuery):
    """A search."""

    limit = limit(50)
    q = Word(
        longest=MAX_SEARCH_LENGTH,
        metadata={"description": "what the tool should do, in any words; typos are tolerated"},
    )
    name = Word(metadata={"description": "a part of the name"})


class ToolQuery(QuerySchema):
    """One tool."""

    version = Word(metadata={"description": "this version; the latest without"})


class ToolReadQuery(ToolQuery, ReadQuery):
    """One tool, to be read."""


class DifferenceQuery(ReadQuery):
    """Two versions of a tool."""

    from_ = Word(data_key="from", required=True, metadata={"description": "the one version"})
    to = Word(metadata={"description": "the other version; the latest without"})


class HistoryQuery(ReadQuery):
    """The changes of one tool, the newest first."""

    limit = limit(100)
    before = Whole(
        validate=validate.Range(min=1, max=2**63 - 1), metadata={"description": "older than this revision"}
    )


class ChangesQuery(QuerySchema):
    """The changes of all tools, in order."""

    since = Whole(
        load_default=0,
        validate=validate.Range(min=0, max=2**63 - 1),
        metadata={"description": "changes after this revision"},
    )
    wait = Whole(
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


class ExportQuery(FilterQuery):
    """Which definitions come out, and how."""

    names = Several(
        Word(),
        validate=validate.Length(min=1, error="names no tool"),
        metadata={"description": "only these, separated by commas; all without"},
    )
    format = ma.fields.String(
        load_default="yaml",
        validate=validate.OneOf(("yaml", "json")),
        metadata={"description": "how they are written"},
    )


class ExportBody(StrictSchema):
    """As the query of GET, for many names, or names with commas."""

    names = ma.fields.List(Word(), validate=validate.Length(max=10_000))
    format = ma.fields.String(load_default="yaml", validate=validate.OneOf(("yaml", "json")))


class ReloadQuery(QuerySchema):
    """A reload of the definitions."""

    tool_name = Word(metadata={"description": "only the file that defines this tool"})
    accept_removals = Switch(
        load_default=False,
        metadata={"description": "retire the tools of vanished files also when these are suspiciously many"},
    )


class ReloadHistoryQuery(QuerySchema):
    """The last reloads."""

    limit = limit(100)
