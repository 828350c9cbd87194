"""The table of API keys. What a key opens it for stands here; the key itself does not, only its hash."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import CheckConstraint, DateTime, Index, LargeBinary, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from toolcatalog.models.base import Base

# Each includes those before it.
SCOPES = ("read", "write", "admin")


class ApiKey(Base):
    """A key, living or revoked: a revoked one stays, so that who it was can be said when it is used.

    `id` is the part of the key that may be shown; `sha256` is that of the whole key, whose 256 random bits
    need no slow hash.
    """

    __tablename__ = "api_keys"
    __table_args__ = (
        CheckConstraint(f"scope IN ({', '.join(map(repr, SCOPES))})", name="scope_is_known"),
        Index("uq_api_keys_living_name", "name", unique=True, postgresql_where=text("revoked_at IS NULL")),
    )

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    scope: Mapped[str] = mapped_column(Text)
    sha256: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    revoked_at: Mapped[dt.datetime | None] = mapped_column(DateTime(timezone=True))
