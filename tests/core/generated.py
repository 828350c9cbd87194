"""Definitions as hypothesis makes them up: every field, both spellings, and texts that YAML could misread."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import strategies as st

from toolcatalog.core import definition as format_
from toolcatalog.core import kinds

Document = dict[str, Any]
Strategy = st.SearchStrategy[Any]

# What some reader of YAML, of one version or the other, takes for something else than this text.
TRICKY_TEXTS = (
    "yes", "No", "on", "n", "true", "TRUE", "null", "~", "Null", "", " ", " leading", "trailing ", "\ttab",
    "tab\t", "0", "1e3", "1E-3", "1.", ".5", "+12", "0o17", "0x1F", "017", "1_000", "0b11", ".inf", "-.INF",
    ".nan", "1:30", "2024-01-01", "2024-01-01T00:00:00Z", "a: b", "a:", ":a", "a #b", "#a", "- a", "-",
    "? a", "?", "<<", "=", "!a", "!!str a", "&a", "*a", "%TAG ! a", "---", "--- a", "...", "{}", "{a", "[]",
    "[a", "]", ",", "|", ">", "'", '"', "@a", "`a", "\\ud83d\\ude00", "\\", "two\nlines", "ends\n", "\n",
    "\n\n starts", "a\r\nb", "a\rb", "a\n  b\n c", "🦊", "é", "e\u0301", "\x85", "a\x85b", "\u2028",
    "a\u2029b", "\ufeff", "a\ufeffb", "\ufffe", "\U0010ffff", "\x7f", "\x1b[31m", "\u200b", "\u202e",
    "word " * 40, "words  apart   " * 20, "x" * 300, "\n" + "x y " * 60,
)  # fmt: skip
TRICKY_NUMBERS = (
    0,
    -1,
    10**30,
    -(2**63),
    10**400,
    1.0,
    -0.0,
    1e16,
    1e-7,
    5e-324,
    1.7976931348623157e308,
    0.1,
)

texts = st.sampled_from(TRICKY_TEXTS) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12
)
numbers = st.sampled_from(TRICKY_NUMBERS) | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
free_maps = st.dictionaries(texts, values, max_size=3)
words = texts.filter(bool)
word_lists = st.lists(words, max_size=3)
amounts = numbers.map(abs)
shares = st.floats(0, 1) | st.sampled_from((0, 1))
estimates = amounts | st.sampled_from(("50 + 0.02 * file_count", " 7 ", "log2(N)", "0", "1e3", "x" * 500))
# What an input says of its values, and a default that agrees.
_values_of_inputs = st.one_of(
    st.fixed_dictionaries({}, optional={"default": values}),
    st.fixed_dictionaries(
        {"type": st.sampled_from(format_.VALUE_TYPES)},
        optional={"validation": st.sampled_from(("", "^[a-z]+$", r"\d{1,3}", "a" * 2000))},
    ),
    st.builds(lambda value: {"type": "string", "default": value}, texts),
    st.builds(lambda value: {"type": "number", "default": value}, numbers),
    st.builds(lambda value: {"type": "integer", "validation": "-?[0-9]+", "default": value}, st.integers()),
    st.builds(lambda value: {"type": "array", "default": value}, st.lists(values, max_size=2)),
    st.builds(lambda value: {"type": "object", "default": value}, free_maps),
)
inputs = st.builds(
    lambda named, described: {**named, **described},
    st.fixed_dictionaries({"name": words}, optional={"description": texts}),
    _values_of_inputs,
)
# Of one name, one input: those of a pattern that are required, and those that are not.
_both_inputs = st.lists(inputs, max_size=4, unique_by=lambda one: one["name"]).map(
    lambda found: {"required_inputs": found[:2], "optional_inputs": found[2:]}
)
_schemas = st.sampled_from(
    ({}, {"type": "object", "properties": {"x": {"type": "string"}}}, {"items": {"minimum": 1}, "own": [1]})
)
outputs = st.fixed_dictionaries(
    {"name": words}, optional={"type": st.sampled_from(format_.VALUE_TYPES), "description": texts}
)
dependencies = st.fixed_dictionaries(
    {"name": words},
    optional={
        "type": st.sampled_from(format_.DEPENDENCY_TYPES),
        "required": st.booleans(),
        "version": texts,
    },
)
_printable = st.characters(
    categories=["L", "M", "N", "P", "S"], include_characters=" ", exclude_characters="/"
)
labels = (
    st.sampled_from(("grep", "kubectl get", "1.0", "true", "~", "a: b", "%2F", "🦊", "<<", "- x", "x" * 50))
    | st.text(_printable, min_size=1, max_size=12)
).filter(lambda text: re.search(kinds.LABEL, text) is not None)
tool_names = labels.filter(lambda text: re.search(kinds.TOOL_NAME, text) is not None)


def _some(**known: Strategy) -> Strategy:
    """A map with some of these fields."""
    return st.fixed_dictionaries({}, optional=known)


def _open(**known: Strategy) -> Strategy:
    """A map with some of these fields, and with others."""
    return st.builds(lambda free, some: {**free, **some}, free_maps, _some(**known))


def _named(name_field: str, items: Strategy, *, least: int) -> Strategy:
    """Maps by name, in either spelling."""
    by_name = st.dictionaries(labels, items, min_size=least, max_size=2)

    def spelled(named: Document, *, as_list: bool, name_last: bool) -> Any:
        if not as_list:
            return named
        return [
            {**item, name_field: name} if name_last else {name_field: name, **item}
            for name, item in named.items()
        ]

    return st.builds(spelled, by_name, as_list=st.booleans(), name_last=st.booleans())


_rest_of_patterns = st.fixed_dictionaries(
    {"description": words},
    optional={
        "typical_use_cases": word_lists,
        "time_estimate_ms": estimates,
        "cost_estimate": estimates,
        "complexity_score": shares,
        "scope": words,
        "completeness": words,
        "limitations": word_lists,
        "policy": _open(
            max_cost=amounts,
            requires_approval=st.booleans(),
            production_safe=st.booleans(),
            max_execution_time=amounts,
            allowed_environments=word_lists,
            requires_background_if=st.sampled_from(("N > 1000", "not pages < 3 or true")),
            max_N_immediate=amounts,
        ),
        "preference_match": _some(speed=shares, accuracy=shares, cost=shares, complexity=shares),
        "expected_outputs": st.lists(outputs, max_size=2),
        "output_schema": _schemas,
        "examples": st.lists(_open(description=texts, input=values, output=values), max_size=2),
    },
)
patterns = st.builds(lambda rest, named: {**rest, **named}, _rest_of_patterns, st.just({}) | _both_inputs)
capabilities = st.builds(
    lambda described, named: {**described, "patterns": named},
    _some(description=texts),
    _named("pattern_name", patterns, least=1),
)
documents = st.fixed_dictionaries(
    {"tool_name": tool_names, "description": words},
    optional={
        "version": labels.filter(lambda text: len(text) <= 20),
        "platform": labels | st.sampled_from(format_.PLATFORMS),
        "category": labels | st.sampled_from(format_.CATEGORIES),
        "status": st.sampled_from(format_.STATUSES),
        "enabled": st.booleans(),
        "defaults": _open(accuracy_level=words, freshness=words, data_source=words),
        "capabilities": _named("capability_name", capabilities, least=0),
        "dependencies": st.lists(dependencies, max_size=2),
        "metadata": st.builds(lambda free, some: {**free, **some}, free_maps, _some(tags=values)),
        "examples": st.lists(values, max_size=2),
    },
)
