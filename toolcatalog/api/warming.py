"""Keeping a small catalog whole in the cache, so that all of it can be read when the database is away."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import cast

from flask import Flask, Response

from toolcatalog.api import context
from toolcatalog.errors import CatalogError

log = logging.getLogger(__name__)

_AT_MOST_EVERY_SECONDS = 1.0
_LOOK_AGAIN_AT_A_LARGE_ONE_SECONDS = 60.0


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
        try:
            if not self._warm():
                self._due = time.monotonic() + _LOOK_AGAIN_AT_A_LARGE_ONE_SECONDS
        except CatalogError as error:
            log.debug("The cache could not be warmed: %s", error)

    def _warm(self) -> bool:
        """Fill the cache; False when the catalog is larger than it."""
        cache = context.of(self._app).cache
        view = cast(Callable[[], Response], self._app.view_functions["tools.list_tools"])
        path: str | None = "/api/v1/tools"
        while path is not None:
            with self._app.test_request_context(path):
                response = view()
            if not cache.keep_whole(int(response.headers["X-Total-Count"])):
                return False
            path = response.headers["Link"][1:].partition(">")[0] if "Link" in response.headers else None
        return True
