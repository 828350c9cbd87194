"""The short way to an answer that is in the cache: a WSGI layer that knows it by the request's own words.

Flask takes longer to route a request, read its query and build a response than all else together takes to
answer it. So what Flask answered from the cache is remembered by the request line, with the headers that it
sent; who asks in the same words is answered from that, as long as the cache says that it is true. Whatever
is not plain goes to Flask: other methods, `If-Match`, another ETag than the present one, other sites, keys
not known to open.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toolcatalog import metrics
from toolcatalog.api import measuring
from toolcatalog.api.access import Guard
from toolcatalog.api.context import Context, request_id
from toolcatalog.api.proxies import client_address

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    Headers = list[tuple[str, str]]
    # The path, decoded, and the query as it was sent: what Flask goes by.
    Words = tuple[str, str]

# Set by who answers a read from the cache: the answer, the route and the tool by which it was asked for.
READ = "toolcatalog.read"
_OF_EACH_REQUEST = frozenset({"x-request-id", "x-catalog-revision", "cache-status"})
# RFC 9110, 15.4.5: they describe a body, and 304 has none.
_OF_THE_BODY = frozenset({"content-type", "content-length"})


@dataclass(frozen=True, slots=True)
class _Way:
    """What is said with an answer each time, and where it is counted."""

    route: str
    tool: str | None
    headers: Headers
    headers_of_304: Headers
    count_200: Any
    count_304: Any
    seconds: Any
    hits: Any


class Shortcut:
    """A WSGI application that answers from the cache, and asks `app` for what it cannot answer itself."""

    def __init__(self, app: WSGIApplication, parts: Context, guard: Guard, *, log_all: bool) -> None:
        self._app = app
        self._cache = parts.cache
        self._coherence = parts.coherence
        self._outage = parts.database.outage
        self._guard = guard
        self._log_all = log_all

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        begun = time.perf_counter()
        words = _words(environ)
        if words is None:
            return self._app(environ, start_response)
        if self._outage.is_on or not self._coherence.is_in_step():
            return self._ask(words, environ, start_response)
        revision = self._cache.revision
        answer = self._cache.find(words)
        if answer is None:
            return self._ask(words, environ, start_response)
        way = answer.ways.get(words)
        known = environ.get("HTTP_IF_NONE_MATCH")
        # Weak behind a proxy that compresses; If-None-Match compares weakly (RFC 9110, 13.1.2).
        is_known = known is not None and known.removeprefix("W/") == f'"{answer.etag}"'
        reader = self._guard.reader(environ.get("HTTP_AUTHORIZATION"))
        if way is None or reader is None or (known is not None and not is_known):
            return self._app(environ, start_response)
        identity = request_id(environ.get("HTTP_X_REQUEST_ID", ""))
        headers = [
            *(way.headers_of_304 if is_known else way.headers),
            ("X-Catalog-Revision", str(max(revision, answer.revision))),
            ("Cache-Status", f"tool-catalog; hit; ttl={int(self._cache.seconds_left(answer))}"),
            ("X-Request-ID", identity),
        ]
        way.hits.inc()
        (way.count_304 if is_known else way.count_200).inc()
        seconds = time.perf_counter() - begun
        way.seconds.observe(seconds)
        if self._log_all:
            status = 304 if is_known else 200
            asker = measuring.Asker(identity, reader, client_address(environ), way.tool)
            measuring.log_request("GET", way.route, status, seconds, asker)
        start_response("304 NOT MODIFIED" if is_known else "200 OK", headers)
        return () if is_known else (answer.body,)

    def _ask(self, words: Words, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Have `app` answer, and remember how it did."""

        def remember(status: str, headers: Headers, *error: Any) -> Any:
            if READ in environ and status == "200 OK":
                answer, route, tool = environ[READ]
                self._cache.add_way(answer, words, _way(route, tool, headers))
            return start_response(status, headers, *error)

        return self._app(environ, remember)


def _words(environ: WSGIEnvironment) -> Words | None:
    """Return what is asked for; None of a request that says more than that."""
    is_plain = (
        environ["REQUEST_METHOD"] == "GET"
        and not environ.get("SCRIPT_NAME")
        and "HTTP_IF_MATCH" not in environ
        and "HTTP_ORIGIN" not in environ
    )
    return (environ.get("PATH_INFO", ""), environ.get("QUERY_STRING", "")) if is_plain else None


def _way(route: str, tool: str | None, headers: Headers) -> _Way:
    each_time = [header for header in headers if header[0].lower() not in _OF_EACH_REQUEST]
    counted = metrics.current()
    return _Way(
        route,
        tool,
        each_time,
        [header for header in each_time if header[0].lower() not in _OF_THE_BODY],
        counted.requests.labels("GET", route, "200"),
        counted.requests.labels("GET", route, "304"),
        counted.request_seconds.labels("GET", route),
        counted.cache_hits,
    )
