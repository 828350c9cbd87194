"""How common the words of the catalog are, as PostgreSQL counted them last.

The planner's own statistics, kept fresh by autovacuum, know the frequency of every common word; a word that
they do not have is rare. To read them takes longer than to rank a thousand tools, so a process keeps them,
and with them which rare words there are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, text

from toolcatalog.cache.shared import State
from toolcatalog.services.changes import ANALYZE_FROM

_KEPT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class WordStatistics:
    """How many tools are listed, and which share of them has a word, by the word's stem.

    `known` are words that are rarer than these, and that tools were seen to have since.
    """

    tools: float
    shares: Mapping[str, float]
    known: set[str] = field(default_factory=set)


class Words:
    """The statistics that a process goes by. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: tuple[WordStatistics, State, float] | None = None

    def statistics(self, connection: Connection, state: State) -> WordStatistics:
        """Return the statistics; `state` is what is known of the catalog.

        They are read anew after a minute, after an import, and after all caches were dropped.
        """
        if self._kept is not None:
            statistics, since, until = self._kept
            is_near = 0 <= state.revision - since.revision < ANALYZE_FROM
            if is_near and state.drops == since.drops and self._clock() < until:
                return statistics
        statistics = read(connection)
        self._kept = statistics, state, self._clock() + _KEPT_SECONDS
        return statistics


def read(connection: Connection) -> WordStatistics:
    """Read PostgreSQL's statistics; they are empty until it has looked at the catalog, and seen words."""
    row = connection.execute(_READ).one_or_none()
    if row is None or row.words is None:
        return WordStatistics(0.0, {})
    # After the words' own shares come the smallest and the largest of them.
    return WordStatistics(max(row.tools, 0.0), dict(zip(row.words, row.shares, strict=False)))


_READ = text(
    """
    SELECT most_common_elems::text::text[] AS words, most_common_elem_freqs AS shares, (
        SELECT reltuples FROM pg_class WHERE oid = 'ix_tool_versions_listed_name'::regclass
    ) AS tools
    FROM pg_stats
    WHERE schemaname = current_schema() AND tablename = 'tool_versions' AND attname = 'search'
    """
)
