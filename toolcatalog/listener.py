"""Hears of committed changes, also of those made by other processes and hosts, and wakes who waits for one.

One thread a process, started when it is first needed and so after any fork. PostgreSQL's NOTIFY carries the
revision; since a notification can get lost with its connection, the revision is also read every second.
"""

from __future__ import annotations

import logging
import select
import threading
import time

import psycopg2
from psycopg2 import extensions
from sqlalchemy.engine import make_url

log = logging.getLogger(__name__)

_POLL_SECONDS = 1.0


class Listener:
    """Knows the newest revision that it has heard of. Thread-safe."""

    def __init__(self, url: str, channel: str) -> None:
        self._dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._channel = channel
        self._revision = 0
        self._heard = threading.Condition()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def revision(self) -> int:
        """The newest revision heard of; 0 before the first, and before the thread was started."""
        return self._revision

    def wait_for_after(self, revision: int, timeout_seconds: float) -> bool:
        """Wait until a revision after this one is committed; False when none was in that time."""
        deadline = time.monotonic() + timeout_seconds
        with self._heard:
            self._start()
            return self._heard.wait_for(lambda: self._revision > revision, deadline - time.monotonic())

    def stop(self) -> None:
        """End the thread; harmless when it never began."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="toolcatalog-listener", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._listen()
            except psycopg2.Error as error:
                log.warning("Lost the connection that hears of changes, trying again: %s", str(error).strip())
                self._stopped.wait(_POLL_SECONDS)

    def _listen(self) -> None:
        connection = psycopg2.connect(self._dsn, application_name="toolcatalog listener", connect_timeout=3)
        try:
            connection.set_isolation_level(extensions.ISOLATION_LEVEL_AUTOCOMMIT)
            with connection.cursor() as cursor:
                cursor.execute(f'LISTEN "{self._channel}"')
                while not self._stopped.is_set():
                    cursor.execute("SELECT revision FROM catalog_state")
                    self._tell(*cursor.fetchone() or (0,))
                    self._wait_for_notification(connection)
        finally:
            connection.close()

    @staticmethod
    def _wait_for_notification(connection: extensions.connection) -> None:
        """Return at the first notification, or when it is time to poll; the poll then reads the revision."""
        if not connection.notifies:
            select.select([connection], [], [], _POLL_SECONDS)
        connection.poll()
        connection.notifies.clear()

    def _tell(self, revision: int) -> None:
        with self._heard:
            if revision != self._revision:
                self._revision = revision
                self._heard.notify_all()
