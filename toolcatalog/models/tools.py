"""The tables of tools: a tool, its versions, their capabilities, and the patterns of these.

A tool's identity (`tools`) never goes away, so that its history, its id and its retired versions stay
reachable. JSON columns are `json`, not `jsonb`: what an author wrote comes out in the order he wrote it.

A definition is answered from the last change of its version, where it stands whole. Here it stands in
columns: for what lists are filtered, ordered and searched by, and for whoever asks in SQL. What only they
read is deferred.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column, relationship

from toolcatalog.core.definition import STATUSES
from toolcatalog.core.search_text import WEIGHTS
from toolcatalog.models.base import GIN, Base
from toolcatalog.models.changes import Change

# Byte order: the same on every host, whatever its locale, so that a cursor means the same everywhere.
Name = Text(collation="C")
Json = JSON(none_as_null=True)
Timestamp = DateTime(timezone=True)

_LISTED = text("is_latest AND retired_at IS NULL")
_LIVE = text("retired_at IS NULL")
_SEARCH_SQL = " || ".join(
    f"setweight(to_tsvector('english', search_texts[{place}]), '{weight}')"
    for place, weight in enumerate(WEIGHTS, start=1)
)


class Tool(Base):
    """A tool's identity: what stays the same over its versions. Its row is locked while it is changed."""

    __tablename__ = "tools"
    __table_args__ = (UniqueConstraint("id", "tool_name"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    tool_name: Mapped[str] = mapped_column(Name, unique=True)


class ToolVersion(Base):
    """One version of a tool. Exactly one version of a tool is its latest.

    Its change is loaded by the query that finds it, never on the way, and written by the journal.

    `tool_name` stands here too, so that one index can filter and order a list; the foreign key over both
    columns keeps it true. `enabled_is_set` says that somebody set `enabled` to what the tool's file does not
    say, and so keeps files from changing it. `version_key` is the same for all spellings of a release, of
    which one may be live; NULL where two were before that was so. `search_texts` is what full-text search
    reads, in the order of its weights A to D.
    """

    __tablename__ = "tool_versions"
    __table_args__ = (
        ForeignKeyConstraint(["tool_id", "tool_name"], ["tools.id", "tools.tool_name"]),
        UniqueConstraint("tool_id", "version"),
        CheckConstraint(f"status IN ({', '.join(map(repr, STATUSES))})", name="status_is_known"),
        CheckConstraint("source_kind IN ('file', 'api')", name="source_kind_is_known"),
        CheckConstraint(
            "(source_kind = 'file') = (source_path IS NOT NULL AND source_sha256 IS NOT NULL)",
            name="file_source_is_whole",
        ),
        Column("search", TSVECTOR, Computed(_SEARCH_SQL, persisted=True), nullable=False),
        Index("uq_tool_versions_latest", "tool_id", unique=True, postgresql_where=text("is_latest")),
        # In this order, it is no better than others for finding the versions of a tool.
        Index("uq_tool_versions_live_release", "version_key", "tool_id", unique=True, postgresql_where=_LIVE),
        # One index for each filter of the list, each in the order in which the list comes out.
        Index("ix_tool_versions_listed_name", "tool_name", unique=True, postgresql_where=_LISTED),
        Index("ix_tool_versions_listed_platform", "platform", "tool_name", postgresql_where=_LISTED),
        Index("ix_tool_versions_listed_category", "category", "tool_name", postgresql_where=_LISTED),
        Index("ix_tool_versions_listed_status", "status", "tool_name", postgresql_where=_LISTED),
        Index("ix_tool_versions_listed_enabled", "enabled", "tool_name", postgresql_where=_LISTED),
        Index("ix_tool_versions_listed_updated", "updated_at", "tool_name", postgresql_where=_LISTED),
        Index("ix_tool_versions_live_version", "version", "tool_name", postgresql_where=_LIVE),
        Index("ix_tool_versions_live_source_path", "source_path", postgresql_where=_LIVE),
        Index("ix_tool_versions_tags", "tags", postgresql_where=_LISTED, **GIN),
        Index("ix_tool_versions_search", "search", postgresql_where=_LISTED, **GIN),
        Index(
            "ix_tool_versions_name_trigrams",
            "tool_name",
            **GIN,
            postgresql_ops={"tool_name": "gin_trgm_ops"},
            postgresql_where=_LISTED,
        ),
    )

    # What PostgreSQL sets comes back with the INSERT; `search` is for queries, never read.
    __mapper_args__ = {"eager_defaults": True, "exclude_properties": ["search"]}

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    tool_id: Mapped[int] = mapped_column(BigInteger)
    tool_name: Mapped[str] = mapped_column(Name)
    version: Mapped[str] = mapped_column(Name)
    version_key: Mapped[str | None] = mapped_column(Name)
    description: Mapped[str] = mapped_column(Text)
    platform: Mapped[str | None] = mapped_column(Name)
    category: Mapped[str | None] = mapped_column(Name)
    status: Mapped[str] = mapped_column(Text)
    enabled: Mapped[bool]
    enabled_is_set: Mapped[bool] = mapped_column(server_default=text("false"), default=False)
    defaults: Mapped[dict[str, Any]] = mapped_column(Json, deferred=True)
    dependencies: Mapped[list[dict[str, Any]]] = mapped_column(Json, deferred=True)
    free_metadata: Mapped[dict[str, Any]] = mapped_column("metadata", Json, deferred=True)
    examples: Mapped[list[Any]] = mapped_column(Json, deferred=True)
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), deferred=True)
    source_kind: Mapped[str] = mapped_column(Text)
    source_path: Mapped[str | None] = mapped_column(Text)
    source_sha256: Mapped[str | None] = mapped_column(Text)
    is_latest: Mapped[bool]
    retired_at: Mapped[dt.datetime | None] = mapped_column(Timestamp)
    created_at: Mapped[dt.datetime] = mapped_column(Timestamp, server_default=func.now())
    created_by: Mapped[str] = mapped_column(Text)
    updated_at: Mapped[dt.datetime] = mapped_column(Timestamp, server_default=func.now())
    updated_by: Mapped[str] = mapped_column(Text)
    change_id: Mapped[int] = mapped_column(ForeignKey("changes.id"))
    search_texts: Mapped[list[str]] = mapped_column(ARRAY(Text), deferred=True)
    change: Mapped[Change] = relationship(lazy="raise", viewonly=True)

    @property
    def revision(self) -> int | None:
        """The revision of its last change; None until that is numbered."""
        return self.change.revision

    @property
    def definition(self) -> dict[str, Any]:
        """What it says; retired, what it said before."""
        return self.change.definition


class Capability(Base):
    """What a version of a tool can do; `position` is its place as written."""

    __tablename__ = "capabilities"
    __table_args__ = (
        UniqueConstraint("tool_version_id", "capability_name"),
        Index("ix_capabilities_capability_name", "capability_name", "tool_version_id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    tool_version_id: Mapped[int] = mapped_column(ForeignKey("tool_versions.id", ondelete="CASCADE"))
    position: Mapped[int]
    capability_name: Mapped[str] = mapped_column(Name)
    description: Mapped[str | None] = mapped_column(Text)


class Pattern(Base):
    """One way of using a capability; `position` is its place as written.

    Columns are named as the fields of the definition. NULL is what the author left out.
    """

    __tablename__ = "patterns"
    __table_args__ = (UniqueConstraint("capability_id", "pattern_name"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    capability_id: Mapped[int] = mapped_column(ForeignKey("capabilities.id", ondelete="CASCADE"))
    position: Mapped[int]
    pattern_name: Mapped[str] = mapped_column(Name)
    description: Mapped[str] = mapped_column(Text)
    typical_use_cases: Mapped[list[str]] = mapped_column(ARRAY(Text))
    time_estimate_ms: Mapped[str | float | None] = mapped_column(Json)
    cost_estimate: Mapped[str | float | None] = mapped_column(Json)
    complexity_score: Mapped[float | None] = mapped_column(Json)
    scope: Mapped[str | None] = mapped_column(Text)
    completeness: Mapped[str | None] = mapped_column(Text)
    limitations: Mapped[list[str]] = mapped_column(ARRAY(Text))
    policy: Mapped[dict[str, Any]] = mapped_column(Json)
    preference_match: Mapped[dict[str, Any]] = mapped_column(Json)
    required_inputs: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    optional_inputs: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    expected_outputs: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    output_schema: Mapped[dict[str, Any] | None] = mapped_column(Json)
    examples: Mapped[list[dict[str, Any]]] = mapped_column(Json)
