"""the catalog

Revision: 0001, the first
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A trusted extension: whoever owns the database may create it.
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    op.create_table(
        "catalog_state",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_catalog_state_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_catalog_state")),
    )
    op.execute("INSERT INTO catalog_state (id, revision) VALUES (1, 0)")
    op.create_table(
        "search_words",
        sa.Column("word", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("word", name=op.f("pk_search_words")),
    )
    op.create_index(
        "ix_search_words_trigrams",
        "search_words",
        ["word"],
        unique=False,
        postgresql_using="gin",
        postgresql_with={"fastupdate": "off"},
        postgresql_ops={"word": "gin_trgm_ops"},
    )
    op.create_table(
        "tools",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("tool_name", sa.Text(collation="C"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tools")),
        sa.UniqueConstraint("id", "tool_name", name=op.f("uq_tools_id_tool_name")),
        sa.UniqueConstraint("tool_name", name=op.f("uq_tools_tool_name")),
    )
    op.create_table(
        "changes",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=True),
        sa.Column("tool_id", sa.BigInteger(), nullable=False),
        sa.Column("tool_name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("before", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("after", sa.JSON(none_as_null=True), nullable=True),
        sa.ForeignKeyConstraint(["tool_id"], ["tools.id"], name=op.f("fk_changes_tool_id_tools")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_changes")),
        sa.UniqueConstraint("revision", name=op.f("uq_changes_revision")),
    )
    op.create_index(op.f("ix_changes_tool_id_revision"), "changes", ["tool_id", "revision"], unique=False)
    op.create_table(
        "tool_versions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("tool_id", sa.BigInteger(), nullable=False),
        sa.Column("tool_name", sa.Text(collation="C"), nullable=False),
        sa.Column("version", sa.Text(collation="C"), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(collation="C"), nullable=True),
        sa.Column("category", sa.Text(collation="C"), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("defaults", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("dependencies", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("metadata", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("examples", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("tags", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("source_kind", sa.Text(), nullable=False),
        sa.Column("source_path", sa.Text(), nullable=True),
        sa.Column("source_sha256", sa.Text(), nullable=True),
        sa.Column("is_latest", sa.Boolean(), nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.Column("change_id", sa.BigInteger(), nullable=False),
        sa.Column("search_texts", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column(
            "search",
            postgresql.TSVECTOR(),
            sa.Computed(
                "setweight(to_tsvector('english', search_texts[1]), 'A') || "
                "setweight(to_tsvector('english', search_texts[2]), 'B') || "
                "setweight(to_tsvector('english', search_texts[3]), 'C') || "
                "setweight(to_tsvector('english', search_texts[4]), 'D')",
                persisted=True,
            ),
            nullable=False,
        ),
        sa.CheckConstraint(
            "(source_kind = 'file') = (source_path IS NOT NULL AND source_sha256 IS NOT NULL)",
            name=op.f("ck_tool_versions_file_source_is_whole"),
        ),
        sa.CheckConstraint(
            "source_kind IN ('file', 'api')", name=op.f("ck_tool_versions_source_kind_is_known")
        ),
        sa.CheckConstraint(
            "status IN ('active', 'deprecated', 'disabled', 'testing', 'draft')",
            name=op.f("ck_tool_versions_status_is_known"),
        ),
        sa.ForeignKeyConstraint(
            ["change_id"], ["changes.id"], name=op.f("fk_tool_versions_change_id_changes")
        ),
        sa.ForeignKeyConstraint(
            ["tool_id", "tool_name"],
            ["tools.id", "tools.tool_name"],
            name=op.f("fk_tool_versions_tool_id_tool_name_tools"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tool_versions")),
        sa.UniqueConstraint("tool_id", "version", name=op.f("uq_tool_versions_tool_id_version")),
    )
    op.create_index(
        "ix_tool_versions_listed_category",
        "tool_versions",
        ["category", "tool_name"],
        unique=False,
        postgresql_where=sa.text("is_latest AND retired_at IS NULL"),
    )
    op.create_index(
        "ix_tool_versions_listed_enabled",
        "tool_versions",
        ["enabled", "tool_name"],
        unique=False,
        postgresql_where=sa.text("is_latest AND retired_at IS NULL"),
    )
    op.create_index(
        "ix_tool_versions_listed_name",
        "tool_versions",
        ["tool_name"],
        unique=True,
        postgresql_where=sa.text("is_latest AND retired_at IS NULL"),
    )
    op.create_index(
        "ix_tool_versions_listed_platform",
        "tool_versions",
        ["platform", "tool_name"],
        unique=False,
        postgresql_where=sa.text("is_latest AND retired_at IS NULL"),
    )
    op.create_index(
        "ix_tool_versions_listed_status",
        "tool_versions",
        ["status", "tool_name"],
        unique=False,
        postgresql_where=sa.text("is_latest AND retired_at IS NULL"),
    )
    op.create_index(
        "ix_tool_versions_listed_updated",
        "tool_versions",
        ["updated_at", "tool_name"],
        unique=False,
        postgresql_where=sa.text("is_latest AND retired_at IS NULL"),
    )
    op.create_index(
        "ix_tool_versions_live_version",
        "tool_versions",
        ["version", "tool_name"],
        unique=False,
        postgresql_where=sa.text("retired_at IS NULL"),
    )
    op.create_index(
        "ix_tool_versions_name_trigrams",
        "tool_versions",
        ["tool_name"],
        unique=False,
        postgresql_using="gin",
        postgresql_with={"fastupdate": "off"},
        postgresql_ops={"tool_name": "gin_trgm_ops"},
        postgresql_where=sa.text("is_latest AND retired_at IS NULL"),
    )
    op.create_index(
        "ix_tool_versions_search",
        "tool_versions",
        ["search"],
        unique=False,
        postgresql_where=sa.text("is_latest AND retired_at IS NULL"),
        postgresql_using="gin",
        postgresql_with={"fastupdate": "off"},
    )
    op.create_index(
        "ix_tool_versions_tags",
        "tool_versions",
        ["tags"],
        unique=False,
        postgresql_where=sa.text("is_latest AND retired_at IS NULL"),
        postgresql_using="gin",
        postgresql_with={"fastupdate": "off"},
    )
    op.create_index(
        "uq_tool_versions_latest",
        "tool_versions",
        ["tool_id"],
        unique=True,
        postgresql_where=sa.text("is_latest"),
    )
    op.create_table(
        "capabilities",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("tool_version_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("capability_name", sa.Text(collation="C"), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tool_version_id"],
            ["tool_versions.id"],
            name=op.f("fk_capabilities_tool_version_id_tool_versions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_capabilities")),
        sa.UniqueConstraint(
            "tool_version_id", "capability_name", name=op.f("uq_capabilities_tool_version_id_capability_name")
        ),
    )
    op.create_index(
        "ix_capabilities_capability_name",
        "capabilities",
        ["capability_name", "tool_version_id"],
        unique=False,
    )
    op.create_table(
        "patterns",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("capability_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("pattern_name", sa.Text(collation="C"), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("typical_use_cases", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("time_estimate_ms", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("cost_estimate", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("complexity_score", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("scope", sa.Text(), nullable=True),
        sa.Column("completeness", sa.Text(), nullable=True),
        sa.Column("limitations", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("policy", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("preference_match", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("required_inputs", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("optional_inputs", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("expected_outputs", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("output_schema", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("examples", sa.JSON(none_as_null=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["capability_id"],
            ["capabilities.id"],
            name=op.f("fk_patterns_capability_id_capabilities"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_patterns")),
        sa.UniqueConstraint(
            "capability_id", "pattern_name", name=op.f("uq_patterns_capability_id_pattern_name")
        ),
    )


def downgrade() -> None:
    for table in (
        "patterns",
        "capabilities",
        "tool_versions",
        "changes",
        "tools",
        "search_words",
        "catalog_state",
    ):
        op.drop_table(table)
