"""Keeping a small catalog whole in the cache, so that all of it can be read when the database is away."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import cast

from flask import Flask, Response, g

from toolcatalog import metrics
from toolcatalog.api import context

_AT_MOST_EVERY_SECONDS = 1.0
_LIST = "/api/v1/tools"


class Warming:
    """What keeps the full list, and with it every tool, in the cache. Used by one thread."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._due = 0.0

    def warm_sometimes(self) -> None:
        """Ask for the full list as a client would, unless that was just done."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + _AT_MOST_EVERY_SECONDS
        parts = context.of(self._app)
        count = parts.prober.look().tools
        if count is None:
            return
        metrics.current().tools_loaded.set(count)
        path = _LIST if parts.cache.keep_whole(count) else None
        while path is not None:
            link = self._ask(path).headers.get("Link")
            path = link[1:].partition(">")[0] if link else None

    def _ask(self, path: str) -> Response:
        view = cast(Callable[[], Response], self._app.view_functions["tools.list_tools"])
        with self._app.test_request_context(path):
            g.is_nobodys = True
            return view()
