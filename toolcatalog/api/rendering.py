"""Rendering: from rows to the bytes of an answer, with what these depend on. Knows no request.

A tool is rendered once for each of its states; lists are put together from tools.
"""

from __future__ import annotations

import hashlib
from typing import Any

from sqlalchemy import Connection

from toolcatalog.cache.dependence import Dependence, OnTool
from toolcatalog.cache.store import Answer, Cache, Key
from toolcatalog.core import json_text
from toolcatalog.core.definition import Document
from toolcatalog.core.filters import Filters
from toolcatalog.services import listing, rows
from toolcatalog.services.listing import Listed, Position
from toolcatalog.services.rows import Version
from toolcatalog.services.tools import Reference


def body(value: Any) -> bytes:
    """Write a value as JSON; the line break at its end is for terminals."""
    return json_text.dumps(value).encode() + b"\n"


def etag(text: bytes) -> str:
    """Return the entity tag of a representation: the same bytes, the same tag, in every process."""
    return hashlib.sha256(text).hexdigest()[:32]


def tool(row: Version, revision: int) -> Answer:
    """Render a live version, read at a revision; it answers who asks for it by id and who does by name."""
    text = body(rows.answer(row))
    wanted = (None, row.version) if row.is_latest else (row.version,)
    return Answer(
        body=text,
        etag=etag(text),
        revision=revision,
        depends=OnTool(row.tool_id),
        keys=(
            _row_key(row.id),
            *(tool_key(Reference(id=row.tool_id), version) for version in wanted),
            *(tool_key(Reference(name=row.tool_name), version) for version in wanted),
        ),
        stamp=(row.revision, row.is_latest),
    )


def tool_key(reference: Reference, version: str | None) -> Key:
    """Return the key of a version of a tool, the latest for None, as somebody asks for it."""
    if reference.name is not None:
        return ("name", reference.name, version)
    return ("id", reference.id, version)


def _row_key(row_id: int) -> Key:
    return ("row", row_id)


def page_of_tools(
    connection: Connection,
    cache: Cache,
    filters: Filters,
    *,
    sort: str,
    after: Position | None,
    limit: int,
) -> tuple[bytes, listing.Page]:
    """Render a page of whole tools; those that the cache holds in their present state are not loaded."""
    page = listing.page(connection, filters, sort=sort, after=after, limit=limit)
    found = {row.id: _held(cache, row) for row in page.rows}
    missing = [row_id for row_id, text in found.items() if text is None]
    for row in listing.load(connection, missing).values():
        rendered = tool(row, page.revision)
        cache.put(rendered)
        found[row.id] = rendered.body
    return b"[" + b",".join(text[:-1] for text in found.values() if text) + b"]\n", page


def _held(cache: Cache, row: Listed) -> bytes | None:
    """Find the rendering of a version in just this state, which is true whatever the catalog has become."""
    answer = cache.find_stale(_row_key(row.id))
    return answer.body if answer is not None and answer.stamp == (row.revision, row.is_latest) else None


def chosen(tool: Document, fields: list[str] | None) -> Document:
    """Return the named fields of an answer, in the answer's order; all of them for None."""
    if fields is None:
        return tool
    return {name: value for name, value in tool.items() if name in fields}


def answer(
    text: bytes, key: Key, revision: int, depends: Dependence, headers: tuple[tuple[str, str], ...] = ()
) -> Answer:
    """Make the answer to one question of what was rendered for it."""
    return Answer(text, etag(text), revision, depends, (key,), headers)
