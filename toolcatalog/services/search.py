"""Search: tools ranked by how well they answer a question, tolerant of typos, each with its reasons.

PostgreSQL's full-text search finds and ranks: any word counts, a rare word more than a common one, a name
more than a description (`core.search_text` says what is searched). A word that no tool has is read as the
known words that it may be a typo of: trigrams propose them, edit distance decides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rapidfuzz.distance import OSA
from sqlalchemy import ColumnElement, Float, Row, Subquery, case, cast, func, or_, select, text, tuple_
from sqlalchemy.dialects.postgresql import ARRAY, REAL, REGCONFIG
from sqlalchemy.orm import Session

from toolcatalog.core import search_text
from toolcatalog.core.filters import Filters
from toolcatalog.models import SearchWord, ToolVersion
from toolcatalog.services import listing
from toolcatalog.services.changes import current_revision
from toolcatalog.services.listing import Position

MAX_WORDS = 32
_SEARCH = ToolVersion.__table__.c.search
# Weights D, C, B, A of PostgreSQL's ts_rank: inputs, descriptions, use cases, names.
_RANK_WEIGHTS = cast([0.1, 0.4, 0.7, 1.0], ARRAY(REAL))
_ENGLISH = cast("english", REGCONFIG)
# Above any rank that words can add up to: who types a tool's name wants that tool.
_EXACT_NAME = 100.0
# How rare a word counts that stands in no statistics: about one tool in 10,000.
_RAREST = 1e-4
# What more tools than this have tells them apart no longer: beside other words it only ranks.
_COMMON = 0.5
# "grpe" shares this much with "grep": below PostgreSQL's default, so that a swap of letters is proposed.
_TRIGRAMS_SHARED = 0.2
_MAX_CORRECTIONS = 3
_CORRECTED = 0.8


@dataclass(frozen=True, slots=True)
class Hit:
    """A tool that was found. A higher score is better; `matches` are the fields and words that answer."""

    row: ToolVersion
    score: float
    matches: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Results:
    """A page of hits, best first; `total` counts all."""

    hits: list[Hit]
    total: int
    revision: int
    next: Position | None


@dataclass(frozen=True, slots=True)
class _Term:
    """A word to look for, what finding it is worth, and whether most tools have it."""

    word: str
    worth: float
    is_common: bool = False


def search(
    session: Session,
    question: str,
    part_of_name: str | None,
    filters: Filters,
    *,
    after: Position | None,
    limit: int,
) -> Results:
    """Find tools by the words of a question, by a part of their name, or by both; by neither, list all."""
    terms = _terms(session, list(dict.fromkeys(search_text.split(question)))[:MAX_WORDS])
    ranked = _ranked(question, terms, part_of_name, filters)
    revision = current_revision(session)
    found = _page(session, ranked, after, limit + 1)
    total = found[0].total if found else 0
    following = (found[limit - 1].score, found[limit - 1].tool_name) if len(found) > limit else None
    whole = listing.load(session, [row.id for row in found[:limit]])
    hits = [
        Hit(whole[row.id], row.score, _matches(whole[row.id], terms, part_of_name)) for row in found[:limit]
    ]
    return Results(hits, total, revision, following)


def _terms(session: Session, words: Sequence[str]) -> list[_Term]:
    """Weigh the words of a question, without the stop words, and correct those that no tool has."""
    if not words:
        return []
    weighed = session.execute(_WEIGH, {"words": list(words)}).all()
    terms = [
        _Term(row.word, _worth(row.frequency), (row.frequency or 0.0) > _COMMON)
        for row in weighed
        if row.is_known
    ]
    unknown = [row.word for row in weighed if not row.is_known and len(row.word) >= search_text.MIN_TYPO]
    return terms + [
        _Term(near, _CORRECTED * _worth(None)) for word in unknown for near in _corrections(session, word)
    ]


def _worth(frequency: float | None) -> float:
    """Weigh a word by the share of tools that have it: the inverse document frequency."""
    return math.log(1 + 1 / (frequency or _RAREST))


# Whether any listed tool has a word, and which share of them: the planner's own statistics, kept fresh by
# autovacuum, know the frequency of every common word; a word that they do not have is rare.
_WEIGH = text(
    """
    SELECT asked.word, frequencies.frequency, EXISTS (
        SELECT 1 FROM tool_versions
        WHERE is_latest AND retired_at IS NULL AND search @@ parsed.query
    ) AS is_known
    FROM unnest(CAST(:words AS text[])) AS asked (word)
    CROSS JOIN LATERAL (SELECT plainto_tsquery('english', asked.word) AS query) AS parsed
    LEFT JOIN (
        SELECT common.lexeme, common.frequency
        FROM pg_stats
        CROSS JOIN LATERAL ROWS FROM (
            unnest(most_common_elems::text::text[]), unnest(most_common_elem_freqs)
        ) AS common (lexeme, frequency)
        WHERE schemaname = current_schema() AND tablename = 'tool_versions' AND attname = 'search'
    ) AS frequencies ON frequencies.lexeme = btrim(parsed.query::text, '''''')
    WHERE numnode(parsed.query) > 0
    """
)


def _corrections(session: Session, word: str) -> list[str]:
    """Find the known words that a word may be a typo of, the nearest first."""
    allowed = 1 if len(word) < 6 else 2
    session.execute(text(f"SET LOCAL pg_trgm.similarity_threshold = {_TRIGRAMS_SHARED}"))
    alike = session.scalars(select(SearchWord.word).where(SearchWord.word.bool_op("%")(word)))
    distances = {near: OSA.distance(word, near) for near in alike}
    close = [near for near in distances if distances[near] <= allowed]
    return sorted(close, key=lambda near: (distances[near], near))[:_MAX_CORRECTIONS]


def _ranked(question: str, terms: list[_Term], part_of_name: str | None, filters: Filters) -> Subquery:
    """Select id, name and score of every tool that answers, and how many there are."""
    wanted = listing.conditions(filters)
    scores: list[ColumnElement[Any]] = []
    if question.strip():
        name = question.strip()
        # The name itself, as it is written, since a name can be all stop words ("who"); each by its index.
        telling = [term for term in terms if not term.is_common] or terms
        answers = [_SEARCH.bool_op("@@")(_tsquery(term)) for term in telling]
        wanted.append(or_(ToolVersion.tool_name == name, *answers))
        scores += [term.worth * _rank(term) for term in terms]
        scores.append(case((func.lower(ToolVersion.tool_name) == name.lower(), _EXACT_NAME), else_=0.0))
    if part_of_name is not None:
        wanted.append(ToolVersion.tool_name.icontains(part_of_name, autoescape=True))
        scores.append(func.similarity(ToolVersion.tool_name, part_of_name))
    score = cast(sum(scores, start=cast(0, Float)), Float)
    # OFFSET 0 has the scores made first: what is counted, and kept meanwhile, is then small.
    scored = (
        select(ToolVersion.id, ToolVersion.tool_name, score.label("score"))
        .where(*wanted)
        .offset(0)
        .subquery()
    )
    return select(scored, func.count().over().label("total")).subquery()


def _tsquery(term: _Term) -> ColumnElement[Any]:
    return func.plainto_tsquery(_ENGLISH, term.word)


def _rank(term: _Term) -> ColumnElement[float]:
    return func.ts_rank(_RANK_WEIGHTS, _SEARCH, _tsquery(term))


def _page(session: Session, ranked: Subquery, after: Position | None, limit: int) -> Sequence[Row[Any]]:
    place = (-ranked.c.score, ranked.c.tool_name)
    query = select(ranked).order_by(*place).limit(limit)
    if after is not None:
        score, name = after
        query = query.where(tuple_(*place) > tuple_(-score, name))
    return session.execute(query).all()


def _matches(row: ToolVersion, terms: list[_Term], part_of_name: str | None) -> list[dict[str, Any]]:
    found = search_text.matches(row.change.definition, [term.word for term in terms])
    if part_of_name is not None:
        found.insert(0, {"field": "tool_name", "words": [part_of_name]})
    return found
