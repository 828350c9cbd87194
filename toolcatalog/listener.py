"""Hears of committed changes, also of those made by other processes and hosts, and wakes who waits for one.

One thread a process, started after any fork. PostgreSQL's NOTIFY says to which revision the catalog came;
what this host does not know yet is read. Since a notification can get lost with its connection, the catalog's
state is also read every second.
"""

from __future__ import annotations

import logging
import select
import socket
import threading
import time
from collections.abc import Callable

import psycopg2
from psycopg2 import extensions

from toolcatalog.cache.coherence import Coherence
from toolcatalog.cache.shared import State
from toolcatalog.db import Outage, plain_connection, why_unusable
from toolcatalog.log import LastingFault

log = logging.getLogger(__name__)

_POLL_SECONDS = 1.0
# Between two looks at the state, with room for a busy machine.
_USUAL_SECONDS = 2.0
# Where this process made the change, whoever made it is answered first, and has told of it by then: there is
# nothing left to read. Several changes are heard of at once.
_PAUSE_SECONDS = 0.004
APPLICATION_NAME = "toolcatalog listener"


class Listener:
    """Keeps a process informed of the catalog's state. Thread-safe.

    `after_news` is called in its thread when the state was read, at least every second, and must not wait;
    `is_leaving` tells whether this process is to end when it has answered its last requests.
    """

    def __init__(
        self,
        url: str,
        channel: str,
        coherence: Coherence,
        outage: Outage,
        after_news: Callable[[], None] = lambda: None,
    ) -> None:
        self._url = url
        self._channel = channel
        self._coherence = coherence
        self._outage = outage
        self._after_news = after_news
        self.is_leaving: Callable[[], bool] = lambda: False
        self._revision = 0
        # When the cache was last seen to be in step with a state that was just read.
        self._kept_up_at: float | None = None
        self._lost_for_long = LastingFault(log, "Hearing of changes needs the database")
        self._heard = threading.Condition()
        self._stopped = threading.Event()
        # Made when the thread is: workers must not share it.
        self._stopping: tuple[socket.socket, socket.socket] | None = None
        self._thread: threading.Thread | None = None

    def wait_for_after(self, revision: int, timeout_seconds: float) -> bool:
        """Wait until a revision after this one is committed; False when none was in that time.

        Who waits in a process that is to end is let go of within a second.
        """
        self.start()
        deadline = time.monotonic() + timeout_seconds
        with self._heard:
            while self._revision <= revision:
                remaining = deadline - time.monotonic()
                if remaining <= 0 or self.is_leaving():
                    return False
                self._heard.wait(min(remaining, _POLL_SECONDS))
            return True

    def lag_seconds(self) -> float:
        """Return for how long this process has not followed the catalog; 0.0 while it does, or is not to."""
        since = self._kept_up_at
        return 0.0 if since is None else max(0.0, time.monotonic() - since - _USUAL_SECONDS)

    def start(self) -> None:
        """Begin to listen; harmless when it has begun."""
        with self._heard:
            if self._thread is None:
                self._stopped.clear()
                self._stopping = socket.socketpair()
                self._kept_up_at = time.monotonic()
                self._thread = threading.Thread(target=self._run, name="toolcatalog-listener", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the thread; harmless when there is none."""
        self._stopped.set()
        if self._thread is None or self._stopping is None:
            return
        self._stopping[1].send(b"!")
        self._thread.join()
        self._thread = None
        self._kept_up_at = None
        for end in self._stopping:
            end.close()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                with plain_connection(self._url, APPLICATION_NAME) as connection:
                    self._listen(connection)
            except psycopg2.Error as error:
                if unusable := why_unusable(error):
                    self._lost_for_long.note(unusable)
                    self._stopped.wait(_POLL_SECONDS)
                else:
                    self._lost(error)
            except Exception:
                log.exception("Hearing of changes failed, trying again")
                self._stopped.wait(_POLL_SECONDS)

    def _lost(self, error: psycopg2.Error) -> None:
        """Try again at once, and every second from then on: it may have been this connection alone."""
        if self._outage.is_on:
            self._lost_for_long.note(error)
            self._stopped.wait(_POLL_SECONDS)
        self._outage.begin()

    def _listen(self, connection: extensions.connection) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f'LISTEN "{self._channel}"')
            said, told, due = None, None, 0.0
            while not self._stopped.is_set():
                known = self._coherence.known()
                if told is None or told > known.revision:
                    known = self._read_state(cursor, known)
                    due = time.monotonic() + _POLL_SECONDS
                self._wake(known.revision)
                if self._coherence.keep_up():
                    self._kept_up_at = time.monotonic()
                    if known.drops != said:
                        # Who dropped all caches looks here for whether this one is.
                        cursor.execute(f"SET application_name = '{APPLICATION_NAME} {known.drops}'")
                        said = known.drops
                self._after_news()
                told = self._wait_for_notification(connection, due)

    def _read_state(self, cursor: extensions.cursor, known: State) -> State:
        cursor.execute("SELECT revision, drops FROM catalog_state")
        state = State(*cursor.fetchone() or (0, 0))
        # What was known before it was asked for had been committed: only a restored backup has less.
        if state.revision < known.revision:
            self._coherence.tell_restored(state)
        else:
            self._coherence.tell(state)
        self._outage.end()
        self._lost_for_long.end()
        return self._coherence.known()

    def _wake(self, revision: int) -> None:
        with self._heard:
            if revision != self._revision:
                self._revision = revision
                self._heard.notify_all()

    def _wait_for_notification(self, connection: extensions.connection, due: float) -> int | None:
        """Return soon after a notification the revision that it tells of.

        None when the state is to be read: the time has come, or something else was told than a revision.
        """
        if not connection.notifies:
            waiting_for = select.poll()
            for one in (connection, *(self._stopping or ())[:1]):
                waiting_for.register(one, select.POLLIN)
            if waiting_for.poll(1000 * max(0.0, due - time.monotonic())):
                time.sleep(_PAUSE_SECONDS)
        connection.poll()
        told = [notification.payload for notification in connection.notifies]
        connection.notifies.clear()
        if not told or time.monotonic() >= due or not all(map(str.isdecimal, told)):
            return None
        return max(map(int, told))
