"""The bulkhead: how many threads of a process may wait for the database at once.

Whatever else a process does (answers from the cache, liveness, metrics) has the other threads, also while the
database hangs, or all who ask it wait for a lock.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from toolcatalog import metrics
from toolcatalog.errors import DatabaseBusy


class Bulkhead:
    """A number of places, each for one thread. Thread-safe."""

    def __init__(self, places: int) -> None:
        self.places = places
        self._free = threading.BoundedSemaphore(places)
        self._mine = threading.local()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take a place for this thread, which may have one already.

        Raises:
            DatabaseBusy: at once, when all are taken.
        """
        if getattr(self._mine, "is_held", False):
            yield
            return
        if not self._free.acquire(blocking=False):
            raise refused()
        self._mine.is_held = True
        try:
            yield
        finally:
            self._mine.is_held = False
            self._free.release()


def refused() -> DatabaseBusy:
    """Count a request that is not let in, and make what it is told."""
    metrics.current().database_refusals.inc()
    return DatabaseBusy("The database answers too slowly for all who ask. Try again shortly.")
