"""What of a tool is searched, how much each field counts, and which words of a question it answers.

The same fields make the full-text index and explain a result, so that both always agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

import snowballstemmer

from toolcatalog.core.definition import Document, tags
from toolcatalog.errors import Path, dotted

# PostgreSQL's four weights, from what a tool is called to what it is fed with.
WEIGHTS = "ABCD"
# Of a definition, those that have searched text in them.
FIELDS = frozenset({"tool_name", "metadata", "description", "capabilities"})
# A tsvector holds 1 MB; this much of each weight is far more than a person writes about a tool.
_MAX_TEXT = 100_000

# What PostgreSQL's `english` does not look for: its file english.stop.
STOP_WORDS = frozenset(
    """
    i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her
    hers herself it its itself they them their theirs themselves what which who whom this that these
    those am is are was were be been being have has had having do does did doing a an the and but if or
    because as until while of at by for with about against between into through during before after
    above below to from up down in out on off over under again further then once here there when where
    why how all any both each few more most other some such no nor not only own same so than too very s
    t can will just don should now
    """.split()  # noqa: SIM905 - as that file has them, to be compared with it
)

# Of shorter words, three letters in common say nothing.
MIN_TYPO = 4

_WORD = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def fields(document: Document) -> Iterator[tuple[str, Path, str]]:
    """Yield weight, path and text of each searched field of a definition."""
    yield "A", ("tool_name",), _words_of_name(document["tool_name"])
    yield "A", ("metadata", "tags"), " ".join(tags(document.get("metadata", {})))
    yield "C", ("description",), document["description"]
    for name, capability in document.get("capabilities", {}).items():
        path: Path = ("capabilities", name)
        yield "A", path, _words_of_name(name)
        yield "C", (*path, "description"), capability.get("description", "")
        for pattern_name, pattern in capability["patterns"].items():
            here: Path = (*path, "patterns", pattern_name)
            yield "C", here, _words_of_name(pattern_name)
            yield "C", (*here, "description"), pattern["description"]
            yield "B", (*here, "typical_use_cases"), "\n".join(pattern.get("typical_use_cases", ()))
            for side in ("required_inputs", "optional_inputs"):
                yield "D", (*here, side), " ".join(map(_words_of_input, pattern.get(side, ())))


def _words_of_input(given: Document) -> str:
    return f"{_words_of_name(given['name'])} {given.get('description', '')}"


def by_weight(document: Document) -> list[str]:
    """Return the searched text of a definition for each weight, in the order of `WEIGHTS`."""
    texts: dict[str, list[str]] = {weight: [] for weight in WEIGHTS}
    for weight, _, text in fields(document):
        texts[weight].append(text)
    joined = {weight: "\n".join(filter(None, texts[weight]))[:_MAX_TEXT] for weight in WEIGHTS}
    # A word of the name that stands in a tag and a capability too says no more than one that stands once.
    return [_each_once(joined["A"]), *(joined[weight] for weight in WEIGHTS[1:])]


def _each_once(text: str) -> str:
    return " ".join(dict.fromkeys(split(text)))


def matches(document: Document, words: Iterable[str]) -> list[dict[str, object]]:
    """List the fields of a definition that answer any of the words, as `{"field": path, "words": [...]}`.

    A field's word answers one of `words` when both have the same stem.
    """
    wanted = [(word, stem(word)) for word in words]
    found: list[dict[str, object]] = []
    for _, path, text in fields(document):
        stems = set(map(stem, split(text)))
        if answered := [word for word, key in wanted if key in stems]:
            found.append({"field": dotted(path), "words": answered})
    return found


def split(text: str) -> list[str]:
    """Split a text into its words: letters and digits, in lower case."""
    return _WORD.findall(text.lower())


def vocabulary(text: str) -> set[str]:
    """Return the words of a text that a typo may have been meant to be: not numbers, not too short."""
    return {word for word in split(text) if MIN_TYPO <= len(word) <= 40 and not word.isdigit()}


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """Reduce a word to what it shares with its other forms (`processes` and `process`).

    The stemmer is the one behind PostgreSQL's `english` dictionary, so that words match here when they match
    there. It holds the word that it works on, so threads cannot share one; to make one costs a microsecond.
    """
    return str(snowballstemmer.stemmer("english").stemWord(word))


def _words_of_name(name: str) -> str:
    """Spell out a name: `Test-NetConnection` is also found as "net connection"."""
    spelled = _CAMEL.sub(" ", name)
    return name if spelled == name else f"{name} {spelled}"
