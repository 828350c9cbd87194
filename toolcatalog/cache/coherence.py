"""Keeps the cache of a worker in step with the catalog.

Each request compares what the workers of the host know of the catalog with what this one's cache has heard
of: sixteen bytes. Only when they differ are the changes read.

Whatever goes wrong on the way, the cache may forget too much; it never stops following, and never shows what
is no longer true.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from toolcatalog.cache.dependence import SeenChange
from toolcatalog.cache.shared import SharedState, State
from toolcatalog.cache.store import Cache
from toolcatalog.errors import DatabaseUnavailable

log = logging.getLogger(__name__)

# How long requests wait for the one of them that reads the changes: many times what that takes.
_WAIT_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class News:
    """The catalog's state, and the changes that led to it; None when they are too many to be listed."""

    state: State
    changes: Sequence[SeenChange] | None


# Reads the changes after a revision; raises DatabaseUnavailable.
ReadNews = Callable[[int], News]


class Coherence:
    """What makes that the cache of this worker shows all that is known of on this host. Thread-safe."""

    def __init__(self, cache: Cache, shared: SharedState, read_news: ReadNews) -> None:
        self._cache = cache
        self._shared = shared
        self._read_news = read_news
        self._in_step_with = b""
        self._drops: int | None = None
        self._lock = threading.Lock()
        # Since when the lock is held; None while it is not.
        self._catching_up_since: float | None = None

    def is_in_step(self) -> bool:
        """Tell whether the cache has heard of all that is known on this host."""
        return self._shared.raw() == self._in_step_with

    def keep_up(self) -> bool:
        """Catch up with what is known on this host; False when that needs the database, and it is away."""
        if self.is_in_step():
            return True
        try:
            self._catch_up(at_least=0)
        except DatabaseUnavailable:
            return False
        return True

    def reach(self, revision: int) -> bool:
        """Catch up with a revision, which may have been made anywhere; False when it was made nowhere.

        Raises:
            DatabaseUnavailable: when only the database could tell.
        """
        if self._cache.revision < revision:
            self._catch_up(at_least=revision)
        return self._cache.revision >= revision

    def tell(self, state: State) -> None:
        """Let all workers of this host know of a state of the catalog.

        A revision that lies behind what was known when it was asked for is that of a restored backup: it is
        `tell_restored` who is told of that.
        """
        self._shared.advance(state)

    def tell_changes(self, revision: int, changes: Sequence[SeenChange]) -> None:
        """Let all workers of this host know of changes that this one committed, the last of this revision.

        This one need not read them, unless it has not heard of all that were made before them, or another
        thread is just reading them.
        """
        try:
            if self._lock.acquire(blocking=False):
                try:
                    if self._cache.revision == revision - len(changes):
                        self._advance(revision, changes)
                finally:
                    self._lock.release()
        finally:
            self.tell(State(revision, drops=0))

    def tell_restored(self, state: State) -> None:
        """Let all workers of this host know that the catalog went back: what they hold never was."""
        log.warning("The catalog went back to revision %d: the database was restored.", state.revision)
        self._shared.reset(State(state.revision, self._shared.read().drops + 1))

    def known(self) -> State:
        """Return the newest state that is known on this host."""
        return self._shared.read()

    def _catch_up(self, *, at_least: int) -> None:
        with self._alone():
            raw, known = self._shared.raw(), self._shared.read()
            if raw == self._in_step_with and self._cache.revision >= at_least:
                return
            if known.drops != self._drops:
                self._cache.drop_all()
                self._drops = known.drops
            if self._cache.revision < max(known.revision, at_least) or self._cache.revision == 0:
                news = self._read(known)
                self._advance(news.state.revision, news.changes)
                self._shared.advance(news.state)
            self._in_step_with = raw

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Be the one thread that catches up.

        Raises:
            DatabaseUnavailable: when another one has been at it for long, and so waits for the database.
        """
        since = self._catching_up_since
        left = _WAIT_SECONDS if since is None else since + _WAIT_SECONDS - time.monotonic()
        if not self._lock.acquire(timeout=max(0.0, left)):
            raise DatabaseUnavailable("The database does not tell in time what changed. Try again shortly.")
        self._catching_up_since = time.monotonic()
        try:
            yield
        finally:
            self._catching_up_since = None
            self._lock.release()

    def _read(self, known: State) -> News:
        """Read the changes; when that fails in a way that another try would too, go on without them."""
        try:
            return self._read_news(self._cache.revision)
        except DatabaseUnavailable:
            raise
        except Exception:
            log.exception("The changes up to revision %d cannot be read", known.revision)
            return News(State(max(known.revision, self._cache.revision), known.drops), None)

    def _advance(self, revision: int, changes: Sequence[SeenChange] | None) -> None:
        try:
            self._cache.advance(revision, changes)
        except Exception:
            log.exception("The changes up to revision %d cannot be followed one by one", revision)
            self._cache.advance(revision, None)
