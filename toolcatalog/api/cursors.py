"""Cursors: where a page ends, as a text that only fits the list that it came from."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from toolcatalog.core import json_text
from toolcatalog.errors import Finding, InvalidDocument, InvalidQuery


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position in a list, and the `text` that a client sends back to go on from there."""

    text: str
    position: tuple[Any, ...]


def make(position: tuple[Any, ...] | None, query: Mapping[str, Any]) -> Cursor | None:
    """Write a position as a cursor for a query; None for none, on the last page."""
    if position is None:
        return None
    values = [value.isoformat() if isinstance(value, dt.datetime) else value for value in position]
    packed = json_text.dumps([_fingerprint(query), *values])
    return Cursor(base64.urlsafe_b64encode(packed.encode()).decode().rstrip("="), position)


def read(
    text: str | None, query: Mapping[str, Any], types: tuple[type | Callable[[Any], Any], ...]
) -> tuple[Any, ...] | None:
    """Return the position that a cursor holds; None for no cursor.

    `types` are those of the position's values, or read them, since a client may have made the text up.

    Raises:
        InvalidQuery: when it is not a cursor of ours, or came from another query.
    """
    if text is None:
        return None
    try:
        packed = json_text.loads(base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True))
        fingerprint, *values = packed
        position = tuple(_value(value, kind) for value, kind in zip(values, types, strict=True))
    except (ValueError, TypeError, OverflowError, InvalidDocument) as error:
        raise _refused(
            "is not a cursor of this list: take it from the Link header, or leave it out"
        ) from error
    if fingerprint != _fingerprint(query):
        raise _refused("belongs to a list with other filters or another order: start that list anew")
    return position


def _value(value: Any, kind: type | Callable[[Any], Any]) -> Any:
    if kind is dt.datetime:
        return _moment(value)
    if not isinstance(kind, type):
        return kind(value)
    if not isinstance(value, kind):
        raise TypeError
    return value


def _moment(text: str) -> dt.datetime:
    """Return a point in time in UTC: PostgreSQL takes no offset of 16 hours or more, as Python does."""
    moment = dt.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(text)
    return moment.astimezone(dt.UTC)  # OverflowError in the first hours of the year 1, or the last of 9999


def _fingerprint(query: Mapping[str, Any]) -> str:
    """Tell queries apart; page size and choice of fields may change on the way through a list."""
    named = {name: str(value) for name, value in query.items() if value is not None}
    return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:16]


def _refused(message: str) -> InvalidQuery:
    return InvalidQuery("The page cannot be found.", [Finding(("cursor",), message)])
