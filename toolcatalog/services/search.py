"""Search: tools ranked by how well they answer a question, tolerant of typos, each with its reasons.

PostgreSQL's full-text search finds and ranks: any word counts, a rare word more than a common one, a name
more than a description (`core.search_text` says what is searched). A word that no tool has is read as the
known words that it may be a typo of: trigrams propose them, edit distance decides.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any

from rapidfuzz.distance import OSA
from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    case,
    cast,
    func,
    or_,
    select,
    text,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY, REAL, REGCONFIG

from toolcatalog.core import search_text
from toolcatalog.core.filters import OF_SEVERAL_VALUES, Filters
from toolcatalog.models import CatalogState, SearchWord, ToolVersion
from toolcatalog.services import listing, rows
from toolcatalog.services.changes import current_revision
from toolcatalog.services.listing import Position
from toolcatalog.services.rows import Version
from toolcatalog.services.words import WordStatistics

MAX_WORDS = 32
_SEARCH = ToolVersion.__table__.c.search
# Weights D, C, B, A of PostgreSQL's ts_rank: inputs, descriptions, use cases, names.
_RANK_WEIGHTS = cast([0.1, 0.4, 0.7, 1.0], ARRAY(REAL))
_ENGLISH = cast("english", REGCONFIG)
# Above any rank that words can add up to: who types a tool's name wants that tool.
_EXACT_NAME = 100.0
# What else is left of a tool's score when it is disabled, or its status is not active: it comes last.
_NOT_USABLE = 0.001
# How rare a word counts that stands in no statistics: about one tool in 10,000.
_RAREST = 1e-4
# What more tools than this have tells them apart no longer: beside other words it only ranks.
_COMMON = 0.5
# A tool needs one of the rarest words, or two of the next few: of as few words as so many tools are expected
# to answer. All others only rank.
_ENOUGH = 50
_PAIRED = 3
_MAX_CORRECTIONS = 3
# Of all words of a question together: a cursor carries them.
_MAX_CORRECTIONS_BYTES = 300
_CORRECTED = 0.8


@dataclass(frozen=True, slots=True)
class Hit:
    """A tool that was found. A higher score is better; `matches` are the fields and words that answer."""

    row: Version
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
    """A word to look for, which share of the tools has it, and what finding it is worth."""

    word: str
    share: float
    worth: float


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a question is answered by: words with what they are worth, the rarest first.

    Of the first `single` a tool needs one, of the next `paired` two. A cursor carries it: another worker,
    whose statistics differ, then cuts the next page from the same order. Words of the question are carried
    as their places in it: they are in the URL of the next page already, and that has a limit.
    """

    words: list[tuple[str, float]]
    single: int
    paired: int

    def packed(self, question: str) -> list[Any]:
        """Write it as JSON can hold it; `read_plan` reads it."""
        places = {word: place for place, word in enumerate(_words(question))}
        return [self.single, self.paired, *((places.get(word, word), worth) for word, worth in self.words)]


def read_plan(question: str, packed: Any) -> _Plan:
    """Read the plan for a question from a cursor, which a client may have made up.

    Raises:
        ValueError: when it is none.
        TypeError: likewise.
    """
    single, paired, *words = packed
    counts = (single, paired)
    if any(type(count) is not int or count < 0 for count in counts):
        raise TypeError
    if sum(counts) > len(words) or len(words) > MAX_WORDS:
        raise ValueError
    if not all(isinstance(worth, float) and 0 < worth < 100 for _, worth in words):
        raise ValueError
    asked = dict(enumerate(_words(question)))
    return _Plan([(_read_word(asked, written), worth) for written, worth in words], single, paired)


def _read_word(asked: Mapping[int, str], written: Any) -> str:
    if isinstance(written, str):
        return written
    if type(written) is not int or written not in asked:
        raise ValueError
    return asked[written]


def search(
    connection: Connection,
    statistics: WordStatistics,
    question: str,
    part_of_name: str | None,
    filters: Filters,
    *,
    after: Position | None,
    limit: int,
) -> Results:
    """Find tools by the words of a question, by a part of their name, or by both; by neither, list all."""
    plan = _plan(connection, statistics, question) if after is None else after[2]
    shape = _Shape(
        words=len(plan.words),
        single=plan.single,
        paired=plan.paired,
        has_question=bool(question.strip()),
        has_part=part_of_name is not None,
        has_after=after is not None,
        filters=frozenset(filters.given()),
    )
    values: dict[str, Any] = {**filters.given(), "question": question.strip(), "limit": limit + 1}
    if part_of_name is not None:
        values |= {"part": part_of_name, "pattern": _pattern(part_of_name)}
    if after is not None:
        values["after_score"], values["after_name"], _ = after
    for place, (word, worth) in enumerate(plan.words):
        values |= {f"word_{place}": word, f"worth_{place}": worth}
    found = connection.execute(_statement(shape), values).all()
    if not found:
        return Results([], 0, current_revision(connection), None)
    words = _in_order_of(question, plan)
    hits = [Hit(row, row.score, _matches(row, words, part_of_name)) for row in found[:limit]]
    following = (
        (hits[-1].score, hits[-1].row.tool_name, plan.packed(question)) if len(found) > limit else None
    )
    return Results(hits, found[0].total, found[0].catalog_revision, following)


def _plan(connection: Connection, statistics: WordStatistics, question: str) -> _Plan:
    terms = _terms(connection, statistics, _words(question))[:MAX_WORDS]
    by_rarity = sorted(terms, key=lambda term: term.share)
    single, paired = _narrow([term.share for term in by_rarity], statistics.tools)
    return _Plan([(term.word, round(term.worth, 3)) for term in by_rarity], min(single, len(terms)), paired)


def _words(question: str) -> list[str]:
    return list(dict.fromkeys(search_text.split(question)))[:MAX_WORDS]


def _terms(connection: Connection, statistics: WordStatistics, words: Sequence[str]) -> list[_Term]:
    """Weigh the words of a question, without the stop words, and correct those that no tool has."""
    asked = [word for word in words if word not in search_text.STOP_WORDS]
    shares = {word: statistics.shares.get(search_text.stem(word)) for word in asked}
    rare = [word for word in asked if shares[word] is None and word not in statistics.known]
    looked_up = connection.execute(_ARE_KNOWN, {"words": rare}) if rare else ()
    found = {row.word: row.is_known for row in looked_up}
    statistics.known.update(word for word in found if found[word])
    terms = [_term(word, shares[word]) for word in asked if word not in rare or found.get(word)]
    unknown = [word for word in rare if found.get(word) is False and len(word) >= search_text.MIN_TYPO]
    return terms + [
        _Term(near, _RAREST, _CORRECTED * _worth(_RAREST)) for near in _all_corrections(connection, unknown)
    ]


def _term(word: str, share: float | None) -> _Term:
    return _Term(word, share or _RAREST, _worth(share or _RAREST))


def _worth(share: float) -> float:
    """Weigh a word by the share of tools that have it: the inverse document frequency."""
    return math.log(1 + 1 / share)


# Whether any listed tool has a word; without the words that PostgreSQL does not look for.
_ARE_KNOWN = text(
    """
    SELECT asked.word, EXISTS (
        SELECT 1 FROM tool_versions
        WHERE is_latest AND retired_at IS NULL AND search @@ plainto_tsquery('english', asked.word)
    ) AS is_known
    FROM unnest(CAST(:words AS text[])) AS asked (word)
    WHERE numnode(plainto_tsquery('english', asked.word)) > 0
    """
)


def _all_corrections(connection: Connection, unknown: Sequence[str]) -> Iterator[str]:
    """Yield the known words that each may be a typo of, as many as a cursor has room for."""
    room_bytes = _MAX_CORRECTIONS_BYTES
    for word in unknown:
        for near in _corrections(connection, word):
            room_bytes -= len(near.encode())
            if room_bytes < 0:
                return
            yield near


def _corrections(connection: Connection, word: str) -> list[str]:
    """Find the known words that a word may be a typo of, the nearest first."""
    allowed = 1 if len(word) < 6 else 2
    alike = connection.scalars(select(SearchWord.word).where(SearchWord.word.bool_op("%")(word)))
    distances = {near: OSA.distance(word, near) for near in alike}
    close = [near for near in distances if distances[near] <= allowed]
    return sorted(close, key=lambda near: (distances[near], near))[:_MAX_CORRECTIONS]


def _narrow(shares: list[float], tool_count: float) -> tuple[int, int]:
    """Count the words, the rarest first, of which a tool needs one, and those next of which it needs two."""
    telling = max(1, sum(share <= _COMMON for share in shares))
    for single in range(1, telling):
        paired = shares[single : min(single + _PAIRED, telling)]
        expected = sum(shares[:single]) + sum(one * other for one, other in combinations(paired, 2))
        if expected * tool_count >= _ENOUGH:
            return single, len(paired)
    return telling, 0


def _pattern(part: str) -> str:
    """Write what ILIKE finds a text by that has this in it."""
    return "%" + re.sub(r"([/%_])", r"/\1", part) + "%"


@dataclass(frozen=True, slots=True)
class _Shape:
    """What there is in a search, of which the values are left out; the words are in the order of rarity."""

    words: int
    single: int
    paired: int
    has_question: bool
    has_part: bool
    has_after: bool
    filters: frozenset[str]


@lru_cache(maxsize=256)
def _statement(shape: _Shape) -> Select[Any]:
    """Select a page of tools, each with its score, how many there are in all, and the catalog's revision.

    Kept: to put it together takes SQLAlchemy longer than PostgreSQL needs to rank a thousand tools.
    """
    scored = _scored(shape).subquery("scored")
    place = (-scored.c.score, scored.c.tool_name)
    best = select(scored).order_by(*place).limit(bindparam("limit", type_=Integer))
    if shape.has_after:
        after = (-_number("after_score"), bindparam("after_name", type_=Text))
        best = best.where(tuple_(*place) > tuple_(*after))
    page = best.subquery("page")
    revision = select(CatalogState.revision).scalar_subquery().label("catalog_revision")
    query = select(*rows.WHOLE, page.c.score, page.c.total, revision).select_from(ToolVersion)
    query = query.join(page, page.c.id == ToolVersion.id).join(ToolVersion.change)
    return query.order_by(-page.c.score, page.c.tool_name).execution_options(prepared=True)


def _scored(shape: _Shape) -> Select[Any]:
    """Select id, name and score of every tool that answers."""
    wanted = listing.conditions({name: _filter(name) for name in shape.filters})
    asked = _asked(shape.words)
    scores: list[ColumnElement[Any]] = [
        _number(f"worth_{place}") * func.ts_rank(_RANK_WEIGHTS, _SEARCH, _once(query))
        for place, query in enumerate(asked)
    ]
    if shape.has_question:
        name = bindparam("question", type_=Text)
        # The name itself, as it is written, since a name can be all stop words ("who"); each by its index.
        paired = asked[shape.single : shape.single + shape.paired]
        pairs = (one.op("&&")(other) for one, other in combinations(paired, 2))
        answers = [_SEARCH.bool_op("@@")(_once(query)) for query in (*asked[: shape.single], *pairs)]
        wanted.append(or_(ToolVersion.tool_name == name, *answers))
    if shape.has_part:
        wanted.append(ToolVersion.tool_name.ilike(bindparam("pattern", type_=Text), escape="/"))
        scores.append(func.similarity(ToolVersion.tool_name, bindparam("part", type_=Text)))
    is_usable = and_(ToolVersion.status == "active", ToolVersion.enabled)
    score = sum(scores, start=cast(0, Float)) * _either(is_usable, 1.0, _NOT_USABLE)
    if shape.has_question:
        score += _either(_is_name(bindparam("question", type_=Text)), _EXACT_NAME, 0.0)
    score = cast(score, Float)
    total = func.count().over().label("total")
    return select(ToolVersion.id, ToolVersion.tool_name, score.label("score"), total).where(*wanted)


def _filter(name: str) -> ColumnElement[Any]:
    return bindparam(name, type_=ARRAY(Text)) if name in OF_SEVERAL_VALUES else bindparam(name)


def _asked(words: int) -> list[ColumnElement[Any]]:
    """Return the query for each word as a column of a common table, so that each is made but once."""
    if words == 0:
        return []
    texts = (bindparam(f"word_{place}", type_=Text) for place in range(words))
    queries = (
        func.plainto_tsquery(_ENGLISH, word).label(f"query_{place}") for place, word in enumerate(texts)
    )
    return list(select(*queries).cte("asked").columns)


def _once(query: ColumnElement[Any]) -> ColumnElement[Any]:
    """Have a value evaluated before the rows are looked at, and not for each of them."""
    return select(query).scalar_subquery()


def _number(name: str) -> ColumnElement[float]:
    return cast(bindparam(name, type_=Float), Float)


def _either(condition: ColumnElement[bool], this: float, that: float) -> ColumnElement[float]:
    return case((condition, cast(this, Float)), else_=cast(that, Float))


def _is_name(question: ColumnElement[str]) -> ColumnElement[bool]:
    """Compare with the name, in any case. Most names differ in length already, which takes less to see."""
    plain = question.collate("C")  # of these, only A to Z have a case
    is_as_long = func.octet_length(ToolVersion.tool_name) == func.octet_length(plain)
    return and_(is_as_long, func.lower(ToolVersion.tool_name) == func.lower(plain))


def _in_order_of(question: str, plan: _Plan) -> list[str]:
    """Return the words of a plan as they were asked for; those that stand for typos come last."""
    places = {word: place for place, word in reversed(list(enumerate(search_text.split(question))))}
    return sorted((word for word, _ in plan.words), key=lambda word: places.get(word, len(places)))


def _matches(row: Version, words: list[str], part_of_name: str | None) -> list[dict[str, Any]]:
    found = search_text.matches(row.definition, words)
    if part_of_name is not None:
        found.insert(0, {"field": "tool_name", "words": [part_of_name]})
    return found
