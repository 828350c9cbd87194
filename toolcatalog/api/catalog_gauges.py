"""The gauges that the database knows: the age of its last backup, and the files that its last reload refused.

Every worker of every host reads them, so that they are true whichever of them did the reload, or died since.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from toolcatalog import metrics
from toolcatalog.db import Database
from toolcatalog.errors import CatalogError

log = logging.getLogger(__name__)

# Often enough for alerts, which wait for minutes; so seldom that the statements do not count as traffic.
_READ_SECONDS = 30.0


class CatalogGauges:
    """Keeps the gauges of a worker that are read from the database. Used by one thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._due = 0.0
        # A restored catalog may not know of a backup that this worker knew of: its age goes on rising.
        self._backed_up_at: datetime | None = None
        self._name = ""

    def update(self) -> None:
        """Bring the gauges up to date, which reads the database only once in a while."""
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + _READ_SECONDS
            try:
                self._read()
            except (CatalogError, SQLAlchemyError) as error:
                log.debug("The gauges of the catalog could not be read: %s", error)
        if self._backed_up_at is not None:
            age = (datetime.now(UTC) - self._backed_up_at).total_seconds()
            metrics.current().backup_age_seconds.labels(self._name).set(max(0.0, age))

    def _read(self) -> None:
        with self._database.read() as connection:
            found = connection.execute(_QUERY).one()
        self._name = found.name
        self._backed_up_at = found.backed_up_at or self._backed_up_at
        metrics.current().reload_errors.set(found.wrong_files)


_QUERY = text(
    """
    SELECT backed_up_at, current_database() AS name, (
        SELECT count(DISTINCT error ->> 'file')
        FROM (SELECT errors FROM reloads ORDER BY id DESC LIMIT 1) AS last,
            json_array_elements(errors) AS error
    ) AS wrong_files
    FROM catalog_state
    """
)
