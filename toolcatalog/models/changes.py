"""The tables of what happened: the changes, each with its revision, and the catalog's own revision."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Text,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from toolcatalog.models.base import Base


class Change(Base):
    """One change of one version of a tool: the audit trail, the change feed and cache coherence in one.

    `revision` orders changes as they were committed, without a gap. It is NULL only inside the
    transaction that makes the change, which numbers its changes last of all.
    """

    __tablename__ = "changes"
    __table_args__ = (Index(None, "tool_id", "revision"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    revision: Mapped[int | None] = mapped_column(BigInteger, unique=True)
    tool_id: Mapped[int] = mapped_column(ForeignKey("tools.id"))
    tool_name: Mapped[str] = mapped_column(Text)
    version: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(Text)
    request_id: Mapped[str | None] = mapped_column(Text)
    at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    before: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    after: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))

    @property
    def definition(self) -> dict[str, Any]:
        """What the version says since this change; since it was retired, what it said before."""
        said = self.before if self.after is None else self.after
        assert said is not None  # noqa: S101 - no change has neither
        return said


class CatalogState(Base):
    """The one row that holds the revision of the last change. Its lock puts commits in revision order.

    `drops` counts how often all caches were to be dropped. `backed_up_at` is the moment that the last
    backup shows, as far as the database was told of it.
    """

    __tablename__ = "catalog_state"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    revision: Mapped[int] = mapped_column(BigInteger)
    drops: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    backed_up_at: Mapped[dt.datetime | None] = mapped_column(DateTime(timezone=True))
