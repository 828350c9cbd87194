"""The bulkhead: how many threads of a process may wait for the database at once.

Whatever else a process does (answers from the cache, liveness, metrics) has the other threads, also while the
database hangs, or all who ask it wait for a lock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from toolcatalog import metrics
from toolcatalog.errors import DatabaseBusy

# When no place was taken or given back for so long, those that have one hang: there is no use in waiting.
TURNOVER_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 5.0


class Bulkhead:
    """A number of places, each for one thread. Thread-safe."""

    def __init__(self, places: int) -> None:
        self.places = places
        self._free = threading.BoundedSemaphore(places)
        self._turned_over_at = 0.0
        self._mine = threading.local()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take a place for this thread, which may have one already.

        Raises:
            DatabaseBusy: when all are taken: at once when none comes free, else after some seconds.
        """
        if getattr(self._mine, "is_held", False):
            yield
            return
        self._take()
        self._mine.is_held = True
        try:
            yield
        finally:
            self._mine.is_held = False
            self._turned_over_at = time.monotonic()
            self._free.release()

    def _take(self) -> None:
        given_up_at = time.monotonic() + _LONGEST_WAIT_SECONDS
        while not self._free.acquire(timeout=self._patience()):
            if not self._patience() or time.monotonic() > given_up_at:
                raise refused()
        self._turned_over_at = time.monotonic()

    def _patience(self) -> float:
        return max(0.0, self._turned_over_at + TURNOVER_SECONDS - time.monotonic())


def refused() -> DatabaseBusy:
    """Count a request that is not let in, and make what it is told."""
    metrics.current().database_refusals.inc()
    return DatabaseBusy("The database answers too slowly for all who ask. Try again shortly.")
