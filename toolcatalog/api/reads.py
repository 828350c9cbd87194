"""Reads, answered from the cache: kept in step with the catalog first, and said how in `Cache-Status`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask import Response, g, request

from toolcatalog import metrics
from toolcatalog.api import context, measuring
from toolcatalog.api.answers import JSON, conditional
from toolcatalog.api.context import Context
from toolcatalog.api.cursors import Cursor
from toolcatalog.api.shortcut import READ
from toolcatalog.cache.store import Answer, Found, Key
from toolcatalog.errors import DatabaseUnavailable, PreconditionFailed

# RFC 9211; the name by which a client tells this cache from others on the way.
_CACHE = "tool-catalog"


@dataclass(frozen=True, slots=True)
class _Read:
    """How an answer was come by: what it shows, and what is said of it."""

    answer: Answer
    revision: int
    status: str


def answer_read(key: Key, query: Mapping[str, Any], render: Callable[[Context], Answer]) -> Response:
    """Answer a question from the cache, or by rendering, which one thread does for all that wait for it.

    `query` may ask for a `min_revision`, to see what was changed through another host. A hit or a miss is
    counted, unless `g.is_nobodys` says that no client asks.

    Raises:
        PreconditionFailed: when the catalog has not come to that revision.
        DatabaseUnavailable: when neither the database nor the cache can answer.
    """
    parts = context.current()
    is_in_step = parts.coherence.keep_up() and not parts.database.outage.is_on
    if query.get("min_revision") is not None:
        _reach(parts, query["min_revision"])
    read = _read(parts, key, render) if is_in_step else _read_perhaps_stale(parts, key, render)
    if query.get("min_revision") is None and request.url_rule is not None:
        request.environ[READ] = (read.answer, request.url_rule.rule, measuring.tool_asked_for())
    return _respond(read)


def _reach(parts: Context, revision: int) -> None:
    if not parts.coherence.reach(revision):
        raise PreconditionFailed(
            f"The catalog is at revision {parts.cache.revision} and has not come to {revision}."
        )


def _read(parts: Context, key: Key, render: Callable[[Context], Answer]) -> _Read:
    revision = parts.cache.revision
    try:
        found = _find_or_load(parts, key, render)
    except DatabaseUnavailable as error:
        return _stale(parts, key, error)
    if "is_nobodys" not in g:
        counted = metrics.current()
        (counted.cache_hits if found.is_hit else counted.cache_misses).inc()
    if not found.is_hit:
        detail = "; collapsed" if found.is_shared else "; stored" if found.answer.is_valid else ""
        return _Read(found.answer, found.answer.revision, f"{_CACHE}; fwd=miss{detail}")
    left = int(parts.cache.seconds_left(found.answer))
    return _Read(found.answer, max(revision, found.answer.revision), f"{_CACHE}; hit; ttl={left}")


def _find_or_load(parts: Context, key: Key, render: Callable[[Context], Answer]) -> Found:
    answer = parts.cache.find(key)
    if answer is not None:
        return Found(answer, is_hit=True)
    # Also those that wait for another thread's query wait for the database.
    with parts.database.bulkhead.place():
        return parts.cache.fetch(key, lambda: _load(parts, render))


def _load(parts: Context, render: Callable[[Context], Answer]) -> Answer:
    counted, begun = metrics.current(), time.perf_counter()
    try:
        answer = render(parts)
    except DatabaseUnavailable:
        counted.loads.labels("database", "failure").inc()
        raise
    counted.loads.labels("database", "success").inc()
    counted.load_seconds.observe(time.perf_counter() - begun)
    return answer


def _read_perhaps_stale(parts: Context, key: Key, render: Callable[[Context], Answer]) -> _Read:
    """Answer while the database is away: from the cache, as it was, or else by trying to reach it."""
    if parts.cache.find_stale(key) is not None:
        return _stale(parts, key)
    return _read(parts, key, render)


def _stale(parts: Context, key: Key, error: DatabaseUnavailable | None = None) -> _Read:
    answer = parts.cache.find_stale(key)
    if answer is None:
        raise error or DatabaseUnavailable("This is not in the cache, and the database cannot be reached.")
    left = min(int(parts.cache.seconds_left(answer)), 0)
    return _Read(answer, answer.revision, f'{_CACHE}; hit; ttl={left}; detail="stale: database unavailable"')


def _respond(read: _Read) -> Response:
    response = Response(read.answer.body, mimetype=JSON)
    response.set_etag(read.answer.etag)
    response.headers["X-Catalog-Revision"] = str(read.revision)
    response.headers["Cache-Status"] = read.status
    for name, value in read.answer.headers:
        response.headers[name] = value
    return conditional(response)


def key_of(query: Mapping[str, Any]) -> Key:
    """Return the request's path and parameters as a key: what was left out is as if its default was given."""
    given = (
        (name, tuple(value) if isinstance(value, list) else value)
        for name, value in query.items()
        if name != "min_revision"
    )
    return (request.path, *sorted(given))


def page_headers(total: int, following: Cursor | None) -> tuple[tuple[str, str], ...]:
    """Say how long the whole list is, and where the next page is (RFC 8288)."""
    return _list_headers(total, "cursor", None if following is None else following.text)


def history_headers(total: int, before: int | None) -> tuple[tuple[str, str], ...]:
    """Say how long a whole history is, and where the next page is, which ends before a revision."""
    return _list_headers(total, "before", None if before is None else str(before))


def _list_headers(total: int, parameter: str, following: str | None) -> tuple[tuple[str, str], ...]:
    count = ("X-Total-Count", str(total))
    if following is None:
        return (count,)
    left_out = (parameter, "min_revision")
    parameters = [(name, value) for name, value in request.args.items(multi=True) if name not in left_out]
    query = urlencode([*parameters, (parameter, following)])
    return (count, ("Link", f'<{request.path}?{query}>; rel="next"'))
