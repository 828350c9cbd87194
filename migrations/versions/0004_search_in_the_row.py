"""search in the row

What is searched is kept in the row itself, not beside it: ranking reads it once for each word of a question,
and fetching it each time was most of the time of a search. Rows that are there follow when they change. The
code of before goes on working.

Revision: 0004, after 0003
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE tool_versions ALTER COLUMN search SET STORAGE MAIN")


def downgrade() -> None:
    op.execute("ALTER TABLE tool_versions ALTER COLUMN search SET STORAGE EXTENDED")
