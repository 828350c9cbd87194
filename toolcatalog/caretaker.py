"""What a process does for itself beside its requests, each second and when the catalog has changed.

In a thread of its own: who follows changes must not wait for it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from toolcatalog.errors import CatalogError

log = logging.getLogger(__name__)

PERIOD_SECONDS = 1.0


class Caretaker:
    """The thread that does some tasks over and over; one that fails keeps the others from nothing."""

    def __init__(self, tasks: Sequence[Callable[[], None]]) -> None:
        self._tasks = tasks
        self._wanted = threading.Event()
        self._is_stopped = False
        self._thread = threading.Thread(target=self._run, name="toolcatalog-caretaker", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Do the tasks soon."""
        self._wanted.set()

    def stop(self) -> None:
        """End the thread, without waiting for a task that waits for the database."""
        self._is_stopped = True
        self._wanted.set()

    def _run(self) -> None:
        while not self._is_stopped:
            for task in self._tasks:
                try:
                    task()
                except CatalogError as error:
                    log.debug("Not now: %s", error)
                except Exception:
                    log.exception("A task that keeps the process in order failed")
            self._wanted.wait(PERIOD_SECONDS)
            self._wanted.clear()
