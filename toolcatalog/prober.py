"""Looks at the database for all who want to know how it is, in a thread of its own.

Who asks waits a moment at most, also while the database hangs: then the last look, and how long ago that was,
is the answer.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass

from sqlalchemy import func, select

from toolcatalog.db import Database
from toolcatalog.errors import DatabaseUnavailable, NoRights, SchemaOutOfDate
from toolcatalog.models import ToolVersion
from toolcatalog.services.listing import LISTED

log = logging.getLogger(__name__)

PERIOD_SECONDS = 1.0
# How long somebody waits for a look, and how old one may be that still says how things are.
_WAIT_SECONDS = 0.5
_FRESH_SECONDS = 3.0

_COUNT = select(func.count()).select_from(ToolVersion).where(LISTED)


@dataclass(frozen=True, slots=True)
class Probe:
    """What a look at the database found: how many tools are listed, None when it could not be asked."""

    ended_at: float
    tools: int | None
    # Why not, as a word and as a sentence.
    failure: str = "down"
    detail: str | None = None

    @property
    def age_seconds(self) -> float:
        """How long ago the look was."""
        return time.monotonic() - self.ended_at

    @property
    def status(self) -> str:
        """`up`, why not (`down`, `out_of_date`, `no_rights`), or `unresponsive`: the next is overdue."""
        if self.tools is None:
            return self.failure
        return "up" if self.age_seconds < _FRESH_SECONDS else "unresponsive"


class Prober:
    """The thread that looks, each second and when somebody asks. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_stopped = False
        self._is_wanted = False
        self._begun = 0
        self._ended = 0
        self._begun_at = 0.0
        # A service that was never able to ask is one whose database is down.
        self._last = Probe(time.monotonic(), None)

    @property
    def last(self) -> Probe:
        """The last look."""
        return self._last

    def look(self) -> Probe:
        """Return a look that began after this call; the last one if that does not come back in time."""
        self.start()
        with self._changed:
            self._is_wanted = True
            self._changed.notify_all()
            mine = self._begun + 1
            is_under_way = self._begun > self._ended
            waited = time.monotonic() - self._begun_at if is_under_way else 0.0
            self._changed.wait_for(lambda: self._ended >= mine, max(0.0, _WAIT_SECONDS - waited))
            return self._last

    def start(self) -> None:
        """Begin to look; harmless when it has begun."""
        with self._changed:
            if self._thread is None:
                self._is_stopped = False
                self._thread = threading.Thread(target=self._run, name="toolcatalog-prober", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the thread, without waiting for a look that is under way."""
        with self._changed:
            self._is_stopped = True
            self._thread = None
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_wanted or self._is_stopped, PERIOD_SECONDS)
                if self._is_stopped:
                    return
                self._is_wanted = False
                self._begun += 1
                self._begun_at = time.monotonic()
            probe = self._probe()
            with self._changed:
                self._last = probe
                self._ended = self._begun
                self._changed.notify_all()

    def _probe(self) -> Probe:
        try:
            with self._database.read() as connection:
                tools = connection.scalar(_COUNT)
        except (SchemaOutOfDate, NoRights) as error:
            return Probe(time.monotonic(), None, error.code, str(error))
        except DatabaseUnavailable:
            return Probe(time.monotonic(), None)
        except Exception:
            log.exception("The database could be asked, and not for the tools")
            return Probe(time.monotonic(), None)
        return Probe(time.monotonic(), tools)
