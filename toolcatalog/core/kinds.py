"""The kinds of value that a definition is made of: each can read a value and describe itself.

A kind does two things from one declaration: `read` checks a plain value and returns it in canonical
form, `schema` describes the same rule as JSON Schema (2020-12). Nothing here knows which fields a tool
has; `definition` says that.
"""

from __future__ import annotations

import difflib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from toolcatalog.core.expressions import MAX_LENGTH, ExpressionError, compile_condition, compile_expression
from toolcatalog.errors import Finding, Path

# Control, format and separator characters other than the plain space: they would let two names look
# alike, or break a line of a log. A tool's name stands in URLs, so no slash either.
_UNPRINTABLE = (
    r"\x00-\x1f\x7f-\xa0\xad\u061c\u1680\u180e\u2000-\u200f"
    r"\u2028-\u202f\u205f-\u206f\u3000\ufeff\ufff0-\uffff"
)
_EDGE, _INNER = rf"[^/ {_UNPRINTABLE}]", rf"[^/{_UNPRINTABLE}]"
# To Python, `$` is also before a line break at the end; in JSON Schema's dialect the rest changes nothing.
_END = r"$(?!\n)"
LABEL = rf"^{_EDGE}({_INNER}*{_EDGE})?{_END}"
# "." and ".." are path segments that every HTTP client removes (RFC 3986, 5.2.4); digits alone are an id.
TOOL_NAME = rf"^(?!\.{{1,2}}$)(?![0-9]+$){_EDGE}({_INNER}*{_EDGE})?{_END}"

# Compiling a longer one can take Python seconds; those that people write for IPv6 have 1,100.
MAX_REGEX_LENGTH = 2_000
# The reader of YAML goes 50 deep, and a free value begins at most nine deep: what is exported is read again.
MAX_FREE_DEPTH = 40


@dataclass(slots=True)
class Report:
    """Collects what is wrong (`errors`) and what is doubtful (`warnings`) while a document is read."""

    errors: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)

    def error(self, path: Path, message: str) -> None:
        self.errors.append(Finding(path, message))

    def warn(self, path: Path, message: str) -> None:
        self.warnings.append(Finding(path, message))


def nearest(word: str, known: Sequence[str]) -> str:
    """End a message about an unknown word with the known one that it was probably meant to be."""
    match = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    match += [name for name in known if word in name.split("_")]  # "cost" for "cost_estimate"
    return f'did you mean "{match[0]}"?' if match else f"known are {', '.join(known)}"


def shown(value: object) -> str:
    """Quote a value for a message, shortened: messages travel into logs and terminals."""
    text = value if isinstance(value, str) else repr(value)
    return f'"{text[:60]}…"' if len(text) > 60 else f'"{text}"'


_TYPE_NAMES: dict[type, str] = {
    str: "a string", bool: "true or false", int: "a number", float: "a number",
    dict: "a map", list: "a list", type(None): "null",
}  # fmt: skip


def _wrong_type(wanted: str, value: object) -> str:
    hint = ""
    if wanted == "a string" and isinstance(value, int | float):
        hint = ": put it in quotes"
    elif value is None:
        hint = ": leave the field out, or give it a value"
    return f"has to be {wanted}, not {_TYPE_NAMES.get(type(value), type(value).__name__)}{hint}"


class Kind(ABC):
    """One kind of value."""

    @abstractmethod
    def read(self, value: Any, path: Path, report: Report) -> Any:
        """Return a value as definitions hold it; report what is wrong, and then return whatever."""

    @abstractmethod
    def schema(self) -> dict[str, Any]:
        """Describe the kind in JSON Schema; with a name, as a `$ref` and the `$defs` that it is in."""


def named(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Refer to a schema by name and carry its definition along, until `hoisted` puts it at the top."""
    return {"$ref": f"#/$defs/{name}", "$defs": {name: schema}} if name else schema


def hoisted(schema: dict[str, Any]) -> dict[str, Any]:
    """Move the `$defs` from all places of a schema to its top, where its `$ref`s look for them."""
    definitions: dict[str, Any] = {}

    def without_definitions(value: Any) -> Any:
        if isinstance(value, list):
            return [without_definitions(item) for item in value]
        if not isinstance(value, dict):
            return value
        for name, inner in value.get("$defs", {}).items():
            if name not in definitions:
                definitions[name] = {}  # its place, before those that it refers to
                definitions[name] |= without_definitions(inner)
        return {key: without_definitions(item) for key, item in value.items() if key != "$defs"}

    top: dict[str, Any] = without_definitions(schema)
    return top | {"$defs": definitions}


@dataclass(frozen=True, slots=True)
class Described(Kind):
    """A kind with what a field of it means, which editors and API clients show."""

    description: str
    kind: Kind

    def read(self, value: Any, path: Path, report: Report) -> Any:
        return self.kind.read(value, path, report)

    def schema(self) -> dict[str, Any]:
        return {"description": self.description, **self.kind.schema()}


@dataclass(frozen=True, slots=True)
class Text(Kind):
    """A string. `known` values are usual (another one is a warning), `choices` are the only ones.

    `choices` may have a name in the JSON Schema, so that clients get one type for them.
    """

    max_length: int | None = None
    pattern: str | None = None
    hint: str = ""
    known: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    blank: bool = False
    name: str = ""

    def read(self, value: Any, path: Path, report: Report) -> Any:
        if not isinstance(value, str):
            report.error(path, _wrong_type("a string", value))
        elif self.choices and value not in self.choices:
            report.error(path, f"{shown(value)} is not one of {', '.join(self.choices)}")
        elif not self.blank and not value:
            report.error(path, "is empty")
        elif self.max_length is not None and len(value) > self.max_length:
            report.error(path, f"is {len(value)} characters long; {self.max_length} are allowed")
        elif self.pattern is not None and not re.search(self.pattern, value):
            report.error(path, f"{shown(value)} is not allowed: {self.hint}")
        elif self.known and value not in self.known:
            report.warn(path, f"{shown(value)} is unusual; {nearest(value, self.known)}")
        return value

    def schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "string"}
        if self.choices:
            return named(self.name, schema | {"enum": list(self.choices)})
        if not self.blank:
            schema["minLength"] = 1
        if self.max_length is not None:
            schema["maxLength"] = self.max_length
        if self.pattern is not None:
            schema["pattern"] = self.pattern
        if self.known:
            schema["examples"] = list(self.known)
        return schema


@dataclass(frozen=True, slots=True)
class Number(Kind):
    """A finite number, not a bool."""

    minimum: float | None = None
    maximum: float | None = None

    def read(self, value: Any, path: Path, report: Report) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float):
            report.error(path, _wrong_type("a number", value))
        elif (self.minimum is not None and value < self.minimum) or (
            self.maximum is not None and value > self.maximum
        ):
            upper = f"to {self.maximum:g}" if self.maximum is not None else "or more"
            report.error(path, f"{shown(value)} is out of range: {self.minimum:g} {upper}")
        return value

    def schema(self) -> dict[str, Any]:
        bounds = {"minimum": self.minimum, "maximum": self.maximum}
        return {"type": "number"} | {name: bound for name, bound in bounds.items() if bound is not None}


@dataclass(frozen=True, slots=True)
class Flag(Kind):
    """True or false."""

    def read(self, value: Any, path: Path, report: Report) -> Any:
        if not isinstance(value, bool):
            report.error(path, _wrong_type("true or false", value))
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Formula(Kind):
    """A text in the expression language, checked by `compile`; kept as it was written."""

    compile: Callable[[str], object]
    format: str
    min_length: int = 1
    max_length: int = MAX_LENGTH

    def read(self, value: Any, path: Path, report: Report) -> Any:
        if not isinstance(value, str):
            report.error(path, _wrong_type("a string", value))
            return value
        try:
            self.compile(value)
        except ExpressionError as error:
            report.error(path, str(error))
        return value

    def schema(self) -> dict[str, Any]:
        schema = {"type": "string", "format": self.format, "maxLength": self.max_length}
        return schema | {"minLength": self.min_length} if self.min_length else schema


@dataclass(frozen=True, slots=True)
class Estimate(Kind):
    """An amount of time or cost: a number from 0, or an expression over the caller's variables."""

    def read(self, value: Any, path: Path, report: Report) -> Any:
        kind: Kind = _EXPRESSION if isinstance(value, str) else _AMOUNT
        return kind.read(value, path, report)

    def schema(self) -> dict[str, Any]:
        return named("Estimate", {"anyOf": [_EXPRESSION.schema(), _AMOUNT.schema()]})


_EXPRESSION = Formula(compile_expression, "expression")
_AMOUNT = Number(minimum=0)
CONDITION = Formula(compile_condition, "condition")


def check_regex(text: str) -> None:
    """Refuse what Python's `re` cannot compile, or not soon.

    Raises:
        ExpressionError: in one sentence, with the position where there is one.
    """
    if len(text) > MAX_REGEX_LENGTH:
        raise ExpressionError(f"is {len(text)} characters long; {MAX_REGEX_LENGTH} are allowed")
    try:
        re.compile(text)
    except RecursionError as error:
        raise ExpressionError("is nested too deeply: its groups enclose one another too often") from error
    except (re.error, OverflowError) as error:
        raise ExpressionError(f"is not a regular expression: {error}") from error


REGEX = Formula(check_regex, "regex", min_length=0, max_length=MAX_REGEX_LENGTH)


@dataclass(frozen=True, slots=True)
class ListOf(Kind):
    """A list of values of one kind."""

    item: Kind

    def read(self, value: Any, path: Path, report: Report) -> Any:
        if not isinstance(value, list):
            report.error(path, _wrong_type("a list", value))
            return []
        return [self.item.read(item, (*path, index), report) for index, item in enumerate(value)]

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": self.item.schema()}


@dataclass(frozen=True, slots=True)
class Anything(Kind):
    """Any JSON value that is not nested too deeply, kept as written."""

    def read(self, value: Any, path: Path, report: Report) -> Any:
        if _is_deeper(value, MAX_FREE_DEPTH):
            report.error(path, f"is nested more than {MAX_FREE_DEPTH} deep")
        return value

    def schema(self) -> dict[str, Any]:
        return {}


def _is_deeper(value: Any, levels: int) -> bool:
    if isinstance(value, dict):
        inner: Iterable[Any] = value.values()
    elif isinstance(value, list):
        inner = value
    else:
        return False
    return levels == 0 or any(_is_deeper(item, levels - 1) for item in inner)


_ANYTHING = Anything()


@dataclass(frozen=True, slots=True)
class Map(Kind):
    """A map with known fields; others are an error, or kept as written where the map is `free`.

    `name` and `description` are its own in the JSON Schema, so that clients get a type of that name.
    """

    fields: Mapping[str, Kind] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    free: bool = False
    name: str = ""
    description: str = ""

    def read(self, value: Any, path: Path, report: Report) -> Any:
        if not isinstance(value, dict):
            report.error(path, _wrong_type("a map", value))
            return {}
        for name in self.required:
            if name not in value:
                report.error((*path, name), "is required")
        return {name: self._read_field(name, item, path, report) for name, item in value.items()}

    def _read_field(self, name: str, value: Any, path: Path, report: Report) -> Any:
        kind = self.fields.get(name, _ANYTHING if self.free else None)
        if kind is not None:
            return kind.read(value, (*path, name), report)
        report.error((*path, name), f"is not a field here; {nearest(name, list(self.fields))}")
        return value

    def schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "object"}
        if self.description:
            schema["description"] = self.description
        if self.fields:
            schema["properties"] = {name: kind.schema() for name, kind in self.fields.items()}
        if self.required:
            schema["required"] = list(self.required)
        return named(self.name, schema if self.free else schema | {"additionalProperties": False})


NAME = Text(max_length=100, pattern=LABEL, hint="printable characters, without a slash or spaces at the ends")


@dataclass(frozen=True, slots=True)
class NamedMaps(Kind):
    """Maps that have a name each: written as a map by name, or as a list whose items carry `name_field`.

    Read as a map by name, in the order in which they were written. The item has a name in the JSON Schema.
    """

    name_field: str
    item: Map
    least: int = 0

    def read(self, value: Any, path: Path, report: Report) -> Any:
        if isinstance(value, dict | list) and len(value) < self.least:
            report.error(path, f"is empty: at least {self.least} is needed")
        if isinstance(value, list):
            return self._read_list(value, path, report)
        if not isinstance(value, dict):
            report.error(path, _wrong_type("a map or a list", value))
            return {}
        for name in value:
            NAME.read(name, (*path, name), report)
        return {name: self.item.read(item, (*path, name), report) for name, item in value.items()}

    def _read_list(self, items: list[Any], path: Path, report: Report) -> dict[str, Any]:
        named = self._listed()
        result: dict[str, Any] = {}
        for index, item in enumerate(items):
            here = (*path, index)
            read = named.read(item, here, report)
            name = read.pop(self.name_field, None)
            if not isinstance(name, str):
                continue  # reported by `named`
            if name in result:
                report.error((*here, self.name_field), f"{shown(name)} is there twice")
            result[name] = read
        return result

    def _listed(self) -> Map:
        return Map(
            {self.name_field: Described("Its name, unique in the list.", NAME), **self.item.fields},
            (self.name_field, *self.item.required),
            name=f"Named{self.item.name}",
            description=f"{self.item.description} As an item of a list, it carries its name.",
        )

    def schema(self) -> dict[str, Any]:
        by_name = {
            "type": "object",
            "description": "By name, in the order in which they were written.",
            "propertyNames": NAME.schema(),
            "additionalProperties": self.item.schema(),
            "minProperties": self.least,
        }
        listed = {"type": "array", "items": self._listed().schema(), "minItems": self.least}
        return {"anyOf": [named(f"{self.item.name}Map", by_name), listed]}
