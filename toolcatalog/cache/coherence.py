"""Keeps the cache of a worker in step with the catalog.

Each request compares what the workers of the host know of the catalog with what this one's cache has heard
of: sixteen bytes. Only when they differ are the changes read.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from toolcatalog.cache.dependence import SeenChange
from toolcatalog.cache.shared import SharedState, State
from toolcatalog.cache.store import Cache
from toolcatalog.errors import DatabaseUnavailable

log = logging.getLogger(__name__)


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

        This one need not read them, unless it has not heard of all that were made before them.
        """
        with self._lock:
            if self._cache.revision == revision - len(changes):
                self._cache.advance(revision, changes)
        self.tell(State(revision, drops=0))

    def tell_restored(self, state: State) -> None:
        """Let all workers of this host know that the catalog went back: what they hold never was."""
        log.warning("The catalog went back to revision %d: the database was restored.", state.revision)
        self._shared.reset(State(state.revision, self._shared.read().drops + 1))

    def known(self) -> State:
        """Return the newest state that is known on this host."""
        return self._shared.read()

    def _catch_up(self, *, at_least: int) -> None:
        with self._lock:
            raw, known = self._shared.raw(), self._shared.read()
            if raw == self._in_step_with and self._cache.revision >= at_least:
                return
            if known.drops != self._drops:
                self._cache.drop_all()
                self._drops = known.drops
            if self._cache.revision < max(known.revision, at_least) or self._cache.revision == 0:
                news = self._read_news(self._cache.revision)
                self._cache.advance(news.state.revision, news.changes)
                self._shared.advance(news.state)
            self._in_step_with = raw
