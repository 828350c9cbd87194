"""What a definition contradicts itself in, though each of its fields is well-formed.

These rules hold for what is written. What is stored from before they were made is read without them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import regex

from toolcatalog.core import json_text
from toolcatalog.core.expressions import compile_expression
from toolcatalog.core.kinds import shown
from toolcatalog.errors import Finding, Path

if TYPE_CHECKING:
    from toolcatalog.core.definition import Definition, Document, Pattern

# A sensible expression takes microseconds, one that tries all combinations years. Of the process's own time.
_MATCH_SECONDS = 0.1
# Beyond that no value is tried; an argument of a command is hardly ever as long.
MAX_MATCHED_LENGTH = 10_000
_ESTIMATES = ("time_estimate_ms", "cost_estimate")
_INPUTS = ("required_inputs", "optional_inputs")
_META_SCHEMA = jsonschema_rs.Draft202012Validator(
    {"$ref": "https://json-schema.org/draft/2020-12/schema"}, validate_formats=True
)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_IS_OF_TYPE: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: _is_number(value) and value == value // 1,  # 1.0 is one, as in JSON Schema
    "number": _is_number,
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


def check(definition: Definition) -> Iterator[Finding]:
    """Yield what is contradictory; paths lead through capabilities and patterns by their names."""
    for capability_name, capability in definition.capabilities.items():
        for name, pattern in capability.patterns.items():
            path: Path = ("capabilities", capability_name, "patterns", name)
            yield from _estimates(path, pattern)
            yield from _inputs(path, pattern)
            yield from _output_schema(path, pattern)


def _estimates(path: Path, pattern: Pattern) -> Iterator[Finding]:
    """An estimate without variables is a number, and so from 0 as a number is."""
    for field in _ESTIMATES:
        text = getattr(pattern, field)
        if not isinstance(text, str):
            continue
        expression = compile_expression(text)
        if not expression.variables and (amount := expression.evaluate({})) < 0:
            yield Finding((*path, field), f"{shown(text)} is {amount:g}, which is out of range: 0 or more")


def _inputs(path: Path, pattern: Pattern) -> Iterator[Finding]:
    first: dict[str, str] = {}
    for field in _INPUTS:
        for index, one in enumerate(getattr(pattern, field)):
            here = (*path, field, index)
            place = first.setdefault(one["name"], f"{field}.{index}")
            if place != f"{field}.{index}":
                yield Finding((*here, "name"), f"{shown(one['name'])} is the name of {place} too")
            if "default" in one:
                yield from _default(here, one)


def _default(path: Path, one: Document) -> Iterator[Finding]:
    value, type_, validation = one["default"], one.get("type"), one.get("validation")
    if type_ is not None and not _IS_OF_TYPE[type_](value):
        yield Finding((*path, "default"), f"{shown(json_text.dumps(value))} is not of the type {type_}")
    elif validation is not None and (isinstance(value, str) or _is_number(value)):
        text = value if isinstance(value, str) else json_text.dumps(value)
        matches = matches_whole(validation, text)
        if matches is None:
            said = "cannot be matched with the default in time: repeat no group that repeats something itself"
            yield Finding((*path, "validation"), said)
        elif not matches:
            yield Finding((*path, "default"), f"{shown(text)} does not match the input's own validation")


def matches_whole(validation: str, text: str) -> bool | None:
    """Tell whether a `validation` matches a text from end to end; None when that cannot be told in time.

    The expression may be anybody's, and no time limit can stop Python's own `re`.
    """
    if len(text) > MAX_MATCHED_LENGTH:
        return None
    try:
        return regex.fullmatch(validation, text, timeout=_MATCH_SECONDS) is not None
    except (TimeoutError, RecursionError, MemoryError, regex.error):
        return None


def _output_schema(path: Path, pattern: Pattern) -> Iterator[Finding]:
    if pattern.output_schema is None:
        return
    flaw = next(_META_SCHEMA.iter_errors(pattern.output_schema), None)
    if flaw is not None:
        message = f"is no JSON Schema (2020-12): {flaw.message[:200]}"
        yield Finding((*path, "output_schema", *flaw.instance_path), message)
