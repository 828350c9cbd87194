"""The table of words that occur in tools, for finding the word that a typo was meant to be."""

from __future__ import annotations

from sqlalchemy import Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from toolcatalog.models.base import GIN, Base


class SearchWord(Base):
    """A word of some tool's text. Words only come: one that no tool has any more does no harm."""

    __tablename__ = "search_words"
    __table_args__ = (
        Index(
            "ix_search_words_trigrams",
            "word",
            **GIN,
            postgresql_ops={"word": "gin_trgm_ops"},
        ),
    )

    word: Mapped[str] = mapped_column(Text, primary_key=True)
