"""The tables of hot reload: the files that were taken in, and each reading of their folder."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, DateTime, Identity, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from toolcatalog.models.base import Base

TRIGGERS = ("startup", "file", "manual", "api", "periodic")
RESULTS = ("success", "partial", "failure")


class SourceFile(Base):
    """A file below the folder of definitions, and the SHA-256 of the bytes that were last taken in."""

    __tablename__ = "source_files"

    path: Mapped[str] = mapped_column(Text, primary_key=True)
    sha256: Mapped[str] = mapped_column(Text)


class Reload(Base):
    """One reading of the folder: why, where, what came of it, and what was wrong.

    `revision` is the last change that it made, NULL for none; `errors` is what is wrong in the folder after
    it, in all files, as `{file, line, path, message}`.
    """

    __tablename__ = "reloads"
    __table_args__ = (
        CheckConstraint(f"trigger IN ({', '.join(map(repr, TRIGGERS))})", name="trigger_is_known"),
        CheckConstraint(f"result IN ({', '.join(map(repr, RESULTS))})", name="result_is_known"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    trigger: Mapped[str] = mapped_column(Text)
    result: Mapped[str] = mapped_column(Text)
    host: Mapped[str] = mapped_column(Text)
    pid: Mapped[int]
    duration_ms: Mapped[float]
    files: Mapped[int]
    counts: Mapped[dict[str, int]] = mapped_column(JSON)
    revision: Mapped[int | None] = mapped_column(BigInteger)
    errors: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    request_id: Mapped[str | None] = mapped_column(Text)
