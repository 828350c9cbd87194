"""Who watches: exactly one process of all hosts, the one that holds an advisory lock of the database.

When it dies, PostgreSQL lets go of its lock, and another takes over, beginning with what it may have missed.
When the folder does not answer it, it gives up the lock by itself.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable

import psycopg2
from psycopg2 import extensions

from toolcatalog.db import plain_connection
from toolcatalog.errors import CatalogError, FolderHangs
from toolcatalog.log import LastingFault
from toolcatalog.reload.time_limit import TimeLimit
from toolcatalog.reload.watching import Watcher

log = logging.getLogger(__name__)

# Any number, the same for all processes of this catalog.
LOCK = 3005_0003
_TRY_SECONDS = 1.0
PERIOD_SECONDS = 60.0
# A reload that is under way is waited for; one that hangs ends with the process.
_STOP_SECONDS = 5.0


class Reloader:
    """The thread of a process that watches the folder, or waits to be the one that does.

    `reload` applies the folder, given the trigger, within its time `limit`; `watcher` is used by this thread
    alone.
    """

    def __init__(self, url: str, watcher: Watcher, limit: TimeLimit, reload: Callable[[str], None]) -> None:
        self._url = url
        self._watcher = watcher
        self._limit = limit
        self._reload = reload
        self._stopped = threading.Event()
        self._unreachable = LastingFault(log, "No connection for watching the definitions")
        self._refused = LastingFault(log, "The definitions could not be reloaded")
        self._thread = threading.Thread(target=self._run, name="toolcatalog-reloader", daemon=True)

    def start(self) -> None:
        """Begin to watch, or to wait for it."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; harmless when it never began."""
        self._stopped.set()
        self._watcher.wake()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        name = f"toolcatalog reloader {socket.gethostname()[:30]}:{os.getpid()}"
        while not self._stopped.is_set():
            try:
                with plain_connection(self._url, name) as connection:
                    self._unreachable.end()
                    self._wait_for_lock(connection)
                    self._lead(connection)
            except psycopg2.Error as error:
                self._unreachable.note(error)
                self._stopped.wait(_TRY_SECONDS)
            except FolderHangs as error:
                log.error("This worker gives up watching the definitions: %s", error)  # noqa: TRY400
                self._try_reload("periodic")  # at once without success, which the history then says
            except Exception:
                log.exception("Watching the definitions failed, trying again")
                self._stopped.wait(_TRY_SECONDS)
            self._stop_watching()

    def _stop_watching(self) -> None:
        """Let go of the folder; one that does not answer is waited for, before this process leads again."""
        while True:
            try:
                return self._limit.run(lambda _: self._watcher.stop())
            except FolderHangs:
                if self._stopped.wait(_TRY_SECONDS):
                    return None

    def _wait_for_lock(self, connection: extensions.connection) -> None:
        """Wait for the lock by trying: a query that waits would keep VACUUM from its work."""
        while not self._stopped.is_set() and not _ask(connection, f"SELECT pg_try_advisory_lock({LOCK})"):
            self._stopped.wait(_TRY_SECONDS)

    def _lead(self, connection: extensions.connection) -> None:
        trigger: str | None = "startup"
        next_period = time.monotonic() + PERIOD_SECONDS
        while not self._stopped.is_set():
            if self._limit.run(self._watcher.refresh):
                trigger = trigger or "file"
            if trigger is None and time.monotonic() >= next_period:
                trigger = "periodic"
            if trigger is not None:
                next_period = time.monotonic() + PERIOD_SECONDS
                trigger = None if self._try_reload(trigger) else trigger
                self._limit.check()
            if self._watcher.wait(_TRY_SECONDS):
                trigger = trigger or "file"
            _ask(connection, "SELECT true")  # who lost the connection lost the lock

    def _try_reload(self, trigger: str) -> bool:
        """Apply the folder; False if that has to be tried again."""
        try:
            self._reload(trigger)
        except CatalogError as error:
            self._refused.note(error)
            return False
        except Exception:
            log.exception("The definitions could not be reloaded; a change of a file will be tried again")
        else:
            self._refused.end()
        return True


def _ask(connection: extensions.connection, query: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(query)
        (answer,) = cursor.fetchone() or (False,)
        return bool(answer)
