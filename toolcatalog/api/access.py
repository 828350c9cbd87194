"""Who may do what: API keys and their scopes, and how often a client may write, or try a key that is none.

A route needs a scope unless it is named here as open: one that somebody forgets is closed.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable

from flask import Flask, g, request
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, TooManyRequests, Unauthorized

from toolcatalog import metrics
from toolcatalog.api.operations import OPEN, SCOPES
from toolcatalog.api.proxies import client_address
from toolcatalog.errors import DatabaseUnavailable
from toolcatalog.models.keys import SCOPES as KEY_SCOPES
from toolcatalog.services import keys
from toolcatalog.services.changes import ANONYMOUS
from toolcatalog.services.keys import Key, Keys

log = logging.getLogger(__name__)

# What a browser has to load before anybody can enter a key; it says nothing about this catalog.
_OPEN_ENDPOINTS = frozenset({"start", "api-docs.openapi_json", "swagger_ui.show"})
_READING_METHODS = ("GET", "HEAD", "OPTIONS")
_FAILED_ATTEMPTS = RateLimitItemPerMinute(10)
# How long requests wait for the one of them that reads the keys.
_LOAD_SECONDS = 0.5
_CHALLENGE = WWWAuthenticate("bearer", {"realm": "Tool Catalog"})


class Keyring:
    """The keys as this process last read them. Thread-safe.

    `generation` is a number that changes when they have to be read again.
    """

    def __init__(self, load: Callable[[], Keys], generation: Callable[[], int]) -> None:
        self._load = load
        self._generation = generation
        self._loaded: tuple[int, Keys] | None = None
        self._loading = threading.Lock()

    def find(self, presented: str) -> Key | None:
        """Find a key, revoked or not.

        Raises:
            DatabaseUnavailable: when the keys were never read and cannot be.
        """
        return keys.find(self._current(), presented)

    def find_loaded(self, presented: str) -> Key | None:
        """Find a key without asking the database; None too when they have to be read."""
        loaded = self._loaded
        if loaded is None or loaded[0] != self._generation():
            return None
        return keys.find(loaded[1], presented)

    def refresh(self) -> None:
        """Read the keys if they have to be read again.

        Raises:
            DatabaseUnavailable: when they cannot be.
        """
        self._current()

    def _current(self) -> Keys:
        generation = self._generation()
        loaded = self._loaded
        if loaded is None or loaded[0] != generation:
            if not self._loading.acquire(timeout=_LOAD_SECONDS):
                raise DatabaseUnavailable(
                    "The database does not tell in time which keys there are. Try again."
                )
            try:
                if self._loaded is None or self._loaded[0] != generation:
                    self._loaded = (generation, self._load())
                loaded = self._loaded
            finally:
                self._loading.release()
        return loaded[1]


class Guard:
    """What stands before every view. `auth` is `off`, `writes` or `all`; 0 writes a minute means any number.

    Attempts and writes are counted in each process on its own: several let through as many times as many.
    """

    def __init__(self, keyring: Keyring, *, auth: str, writes_per_minute: int) -> None:
        self._keyring = keyring
        self._scopes_checked = {"off": (), "writes": KEY_SCOPES[1:], "all": KEY_SCOPES}[auth]
        self._writes = RateLimitItemPerMinute(writes_per_minute) if writes_per_minute else None
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def install(self, app: Flask) -> None:
        """Have each request of an application checked."""
        app.before_request(self.check)

    def check(self) -> None:
        """Refuse a request that may not be answered; otherwise set `g.actor`, who makes it.

        Raises:
            Unauthorized: without a key, or with one that is none.
            Forbidden: with a key whose scope is too small.
            TooManyRequests: after too many writes, or too many keys that are none.
        """
        g.actor = ANONYMOUS
        scope = _scope_needed()
        if scope in self._scopes_checked:
            g.actor = self._admit(scope).name
        if self._writes is not None and request.method not in _READING_METHODS:
            self._hit(self._writes, g.actor if g.actor != ANONYMOUS else client_address(request.environ))

    def reader(self, authorization: str | None) -> str | None:
        """Name who may read with this header, as far as is known at once; None when `check` has to tell."""
        if "read" not in self._scopes_checked:
            return ANONYMOUS
        scheme, _, presented = (authorization or "").partition(" ")
        key = self._keyring.find_loaded(presented) if scheme == "Bearer" else None
        return key.name if key is not None and not key.is_revoked and key.opens("read") else None

    def _admit(self, scope: str) -> Key:
        given = request.authorization
        if given is None or given.type != "bearer" or not given.token:
            metrics.current().count_refusal("missing")
            detail = f"This needs an API key of the scope {scope}: Authorization: Bearer tc_..."
            raise Unauthorized(detail, www_authenticate=_CHALLENGE)
        key = self._keyring.find(given.token)
        if key is None or key.is_revoked:
            raise self._refusal_of("unknown" if key is None else "revoked", key)
        if key.opens(scope):
            return key
        metrics.current().count_refusal("scope")
        raise Forbidden(f"The key {key.name} has the scope {key.scope}; this needs {scope}.")

    def _refusal_of(self, reason: str, key: Key | None) -> Unauthorized:
        """Count and log a key that is none. Good ones from the same address are not slowed down with it."""
        self._hit(_FAILED_ATTEMPTS, client_address(request.environ), reason="throttled")
        metrics.current().count_refusal(reason)
        who = "a key that is none" if key is None else f"the key {key.name}, which was revoked"
        log.warning(
            "%s presented %s", client_address(request.environ), who, extra={"request_id": g.request_id}
        )
        return Unauthorized(f"The API key is {reason}.", www_authenticate=_CHALLENGE)

    def _hit(self, limit: RateLimitItem, client: str, reason: str = "too_many_writes") -> None:
        if not self._limiter.hit(limit, client):
            metrics.current().count_refusal(reason)
            seconds = self._limiter.get_window_stats(limit, client).reset_time - time.time()
            raise TooManyRequests(
                f"More than {limit.amount} a minute are too many here.",
                retry_after=max(1, math.ceil(seconds)),
            )


def _scope_needed() -> str | None:
    endpoint = request.endpoint
    if request.method == "OPTIONS" or endpoint in _OPEN_ENDPOINTS:
        return None
    scope = SCOPES.get(endpoint or "", "read")
    return None if scope == OPEN else scope
