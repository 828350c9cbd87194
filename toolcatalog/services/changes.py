"""The journal of changes: written with each change, read as audit trail and as change feed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, bindparam, event, func, insert, inspect, select, text
from sqlalchemy.orm import Session

from toolcatalog.cache.coherence import News
from toolcatalog.cache.dependence import SeenChange
from toolcatalog.cache.shared import State
from toolcatalog.core import search_text
from toolcatalog.core.definition import Definition, Document
from toolcatalog.models import CatalogState, Change, ToolVersion
from toolcatalog.services import rows

CHANNEL = "toolcatalog_changes"
# After so many changes at once, the planner's statistics, which weigh the words of a search too, are out of
# date; autovacuum would come within a minute.
ANALYZE_FROM = 100
# Of a session, what is recorded and not written: the changes, and what versions can do, each with its row.
_CHANGES, _CAPABILITIES = "toolcatalog.changes", "toolcatalog.capabilities"
# A cache that missed more than these is better made anew.
_MAX_NEWS = 100


# Who makes a change without an API key. No key may bear such a name: the audit trail would mix them up.
ANONYMOUS, FILE, CLI = OWN_ACTORS = ("anonymous", "file", "cli")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes a change, and by which request."""

    name: str
    request_id: str | None = None


@dataclass(slots=True)
class Journal:
    """A session in which tools are changed, and the changes that it has made so far.

    Whoever opens one calls `close` last of all before the commit.
    """

    session: Session
    actor: Actor
    change_ids: list[int] = field(default_factory=list)
    # The last of the changes, once they are numbered; 0 when there were none.
    revision: int = 0
    _unnumbered: list[Change] = field(default_factory=list)
    _words: set[str] = field(default_factory=set)

    def record(self, row: ToolVersion, action: str, before: Document | None, after: Document | None) -> None:
        """Note a change of a version, and mark the row as changed by it. Flushes nothing.

        The time of the change is the row's `updated_at`, or its `retired_at`, once it is written.
        """
        change = Change(
            tool_id=row.tool_id,
            tool_name=row.tool_name,
            version=row.version,
            action=action,
            actor=self.actor.name,
            request_id=self.actor.request_id,
            before=before,
            after=after,
        )
        row.change = change
        row.updated_by = self.actor.name
        self._unnumbered.append(change)
        self.session.info.setdefault(_CHANGES, []).append((row, change))
        if "search_texts" not in inspect(row).unloaded:  # else they are as they were, and their words known
            self._words.update(*map(search_text.vocabulary, row.search_texts))

    def record_capabilities(self, row: ToolVersion, definition: Definition) -> None:
        """Note what a version can do now. Those rows that say what it could do before are the caller's."""
        self.session.info.setdefault(_CAPABILITIES, []).append((row, definition))

    @property
    def changes(self) -> Sequence[Change]:
        """The changes that were not forgotten; with their revisions once the journal is closed."""
        return self._unnumbered

    def seen(self) -> list[SeenChange]:
        """Return what answers may depend on of the changes that are at hand, once they are numbered."""
        return [
            SeenChange(change.revision, change.tool_id, change.before, change.after)
            for change in self._unnumbered
            if change.revision is not None
        ]

    def forget_rows(self) -> None:
        """Flush, and let go of all rows: a long import keeps only the ids of its changes in memory."""
        self.session.flush()
        self.change_ids += [change.id for change in self._unnumbered]
        self._unnumbered.clear()
        self.session.expunge_all()

    def discard(self) -> None:
        """Roll back, and forget the changes: nothing of them is written at the end."""
        self.session.rollback()
        self.session.info.clear()
        self.change_ids.clear()
        self._unnumbered.clear()

    def close(self) -> None:
        """Add the words that were not known, number the changes, and tell the listeners.

        The catalog's row is locked here and held until the commit, which follows at once: so revisions
        become visible in their order, and a long import makes nobody wait for more than a look at its words.
        """
        self.session.flush()
        ids = self.change_ids + [change.id for change in self._unnumbered]
        if not ids:
            return
        if len(ids) >= ANALYZE_FROM:
            self.session.execute(_ANALYZE_TOOLS)
        values = {"ids": ids, "count": len(ids), "words": sorted(self._words), "channel": CHANNEL}
        numbered = self.session.execute(_NUMBER, values)
        if len(ids) >= ANALYZE_FROM:
            self.session.execute(_ANALYZE_WORDS)
        revisions: dict[int, int] = dict(iter(numbered))
        for change in self._unnumbered:
            change.revision = revisions[change.id]
        self.revision = max(revisions.values())


@event.listens_for(Session, "before_flush")
def _write_changes(session: Session, *_: object) -> None:
    """Write the changes that were recorded, before the rows that point to them.

    SQLAlchemy would find that order itself, but takes longer than both statements.
    """
    unwritten = session.info.pop(_CHANGES, [])
    values = [{name: getattr(change, name) for name in _COLUMNS} for _, change in unwritten]
    written = session.connection().execute(_ADD_CHANGES, values) if values else ()
    for (row, change), (change_id, at) in zip(unwritten, written, strict=True):
        change.id = row.change_id = change_id
        if change.action == "retired":
            row.retired_at = at
        else:
            row.updated_at = at


_COLUMNS = ("tool_id", "tool_name", "version", "action", "actor", "request_id", "before", "after")
_ADD_CHANGES = (
    insert(Change)
    .returning(Change.id, Change.at, sort_by_parameter_order=True)
    .execution_options(prepared=True)
)


@event.listens_for(Session, "after_flush")
def _write_capabilities(session: Session, *_: object) -> None:
    """Write what versions can do, which nobody reads through objects: SQLAlchemy took longer to make them."""
    recorded = session.info.pop(_CAPABILITIES, [])
    if said := [(row.id, definition) for row, definition in recorded if definition.capabilities]:
        rows.add_capabilities(session.connection(), said)


# The words come before the catalog's row is locked: two writers that add the same ones wait for one another
# in one order, and only until the other's commit.
_NUMBER = text(
    """
    WITH added AS (
        INSERT INTO search_words (word)
        SELECT word FROM unnest(CAST(:words AS text[])) WITH ORDINALITY AS found (word, place)
        WHERE NOT EXISTS (SELECT FROM search_words AS known WHERE known.word = found.word)
        ORDER BY place
        ON CONFLICT DO NOTHING
        RETURNING word
    ), state AS (
        UPDATE catalog_state SET revision = revision + :count
        WHERE (SELECT count(*) FROM added) >= 0
        RETURNING revision, pg_notify(:channel, revision::text)
    )
    UPDATE changes SET revision = state.revision - :count + numbered.place
    FROM state, unnest(CAST(:ids AS bigint[])) WITH ORDINALITY AS numbered (id, place)
    WHERE changes.id = numbered.id
    RETURNING changes.id, changes.revision
    """
).execution_options(prepared=True)


_ANALYZE_TOOLS = text("ANALYZE tools, tool_versions, capabilities, patterns")
_ANALYZE_WORDS = text("ANALYZE search_words")


def current_revision(connection: Connection) -> int:
    """Return the revision of the last committed change; 0 for a catalog that never changed."""
    return connection.execute(_REVISION).scalar_one()


def read_news(connection: Connection, since: int) -> News:
    """Return the catalog's state, and the changes after a revision unless these are many; 0 knows none."""
    state = State(*connection.execute(_STATE).one())
    if since == 0 or state.revision - since > _MAX_NEWS:
        return News(state, None)
    return News(state, [SeenChange(*row) for row in connection.execute(_NEWS, {"since": since})])


_REVISION = select(CatalogState.revision)
_STATE = select(CatalogState.revision, CatalogState.drops)
_NEWS = (
    select(Change.revision, Change.tool_id, Change.before, Change.after)
    .where(Change.revision > bindparam("since"))
    .order_by(Change.revision)
)


def drop_caches(session: Session, known_drops: int) -> State:
    """Tell every process to forget its answers; returns the state by which it knows.

    `known_drops` is what this host knew of: after a restore of a backup, the database may know of fewer.
    """
    row = session.execute(_DROP, {"known": known_drops, "channel": CHANNEL}).one()
    return State(row.revision, row.drops)


_DROP = text(
    """
    UPDATE catalog_state SET drops = greatest(drops, :known) + 1
    RETURNING revision, drops, pg_notify(:channel, 'drop')
    """
)


def list_since(connection: Connection, revision: int, limit: int) -> list[Row[Any]]:
    """Return the changes after a revision, in order."""
    query = select(Change).where(Change.revision > revision).order_by(Change.revision).limit(limit)
    return list(connection.execute(query))


def list_of_tool(
    connection: Connection, tool_id: int, before_revision: int | None, limit: int
) -> list[Row[Any]]:
    """Return the changes of a tool, the newest first; `before_revision` None starts at the newest."""
    query = select(Change).where(Change.tool_id == tool_id, Change.revision.is_not(None))
    if before_revision is not None:
        query = query.where(Change.revision < before_revision)
    return list(connection.execute(query.order_by(Change.revision.desc()).limit(limit)))


def count_of_tool(connection: Connection, tool_id: int) -> int:
    """Count the changes of a tool."""
    return connection.execute(_COUNT_OF_TOOL, {"tool_id": tool_id}).scalar_one()


_COUNT_OF_TOOL = select(func.count()).where(
    Change.tool_id == bindparam("tool_id"), Change.revision.is_not(None)
)


def answer(change: Row[Any]) -> Document:
    """Return a change as it is answered."""
    return {
        "revision": change.revision,
        "tool_id": change.tool_id,
        "tool_name": change.tool_name,
        "version": change.version,
        "action": change.action,
        "actor": change.actor,
        "at": rows.timestamp(change.at),
        "request_id": change.request_id,
        "before": change.before,
        "after": change.after,
    }
