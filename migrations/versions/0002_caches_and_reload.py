"""caches and reload

What the coherence of caches and hot reload need. Only adds: the code of before goes on working.

Revision: 0002, after 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "catalog_state", sa.Column("drops", sa.BigInteger(), server_default=sa.text("0"), nullable=False)
    )
    op.add_column(
        "tool_versions",
        sa.Column("enabled_is_set", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.create_index(
        "ix_tool_versions_live_source_path",
        "tool_versions",
        ["source_path"],
        unique=False,
        postgresql_where=sa.text("retired_at IS NULL"),
    )
    op.create_table(
        "source_files",
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_source_files")),
    )
    op.execute(
        "INSERT INTO source_files (path, sha256) SELECT source_path, min(source_sha256) FROM tool_versions "
        "WHERE source_kind = 'file' AND retired_at IS NULL GROUP BY source_path"
    )
    op.create_table(
        "reloads",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("duration_ms", sa.Double(), nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=True),
        sa.Column("errors", sa.JSON(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "trigger IN ('startup', 'file', 'manual', 'api', 'periodic')",
            name=op.f("ck_reloads_trigger_is_known"),
        ),
        sa.CheckConstraint(
            "result IN ('success', 'partial', 'failure')", name=op.f("ck_reloads_result_is_known")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reloads")),
    )


def downgrade() -> None:
    op.drop_table("reloads")
    op.drop_table("source_files")
    op.drop_index("ix_tool_versions_live_source_path", table_name="tool_versions")
    op.drop_column("tool_versions", "enabled_is_set")
    op.drop_column("catalog_state", "drops")
