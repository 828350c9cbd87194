"""From texts to definitions: YAML and JSON, one or many, each with what is wrong with it and where."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from toolcatalog.core import definition as definitions
from toolcatalog.core import json_text, versions
from toolcatalog.core.definition import ADDED_FIELDS, Definition
from toolcatalog.errors import Finding, Path, dotted
from toolcatalog.sources.documents import DocumentError, read_documents


@dataclass(frozen=True, slots=True)
class Source:
    """The file that a definition came from: its path below the tools folder, and the SHA-256 of its bytes."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Item:
    """One document: its definition, or None and the findings that say why not.

    `file` and `line` are where it begins, if it came from a text with lines; `path` is where it is in a JSON
    file, and where the paths of its findings begin. `tool_name` and `version` are what a document without a
    definition says all the same, None where that cannot be read.
    """

    definition: Definition | None
    findings: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()
    source: Source | None = None
    file: str | None = None
    line: int | None = None
    path: Path = ()
    tool_name: str | None = None
    version: str | None = None


Release = tuple[str, str]


def release_of(definition: Definition) -> Release:
    """Return what a definition is of: all spellings of a version are the same release of a tool."""
    return definition.tool_name, versions.key(definition.version)


@dataclass(slots=True)
class Releases:
    """What a run of items defines, to find what stands there twice."""

    _first: dict[Release, tuple[str, str]] = field(default_factory=dict)

    def find_first(self, index: int, item: Item) -> Finding | None:
        """Take note of an item; return a finding if one before it has its release. `index` is from 0."""
        if item.definition is None:
            return None
        here = (item.definition.version, _place(index, item))
        first = self._first.setdefault(release_of(item.definition), here)
        return None if first is here else defined_already(item, *first)


def _place(index: int, item: Item) -> str:
    if item.line is None:
        where = f"item {index}" if item.file is None else item.file
        return f"item {dotted(item.path)} of {where}" if item.path else where
    return f"line {item.line}" if item.file is None else f"{item.file}:{item.line}"


def defined_already(item: Item, version: str, place: str) -> Finding:
    """Say of an item with a definition that its release stands elsewhere too, maybe spelled otherwise."""
    assert item.definition is not None  # noqa: S101 - by the caller
    said = f'"{item.definition.tool_name}" {item.definition.version}'
    if version != item.definition.version:
        said += f" is the same release as {version}, which"
    return name_finding(item, f"{said} is defined in {place} already")


def name_finding(item: Item, message: str) -> Finding:
    """Say something of an item as a whole, at the place of its name."""
    return Finding((*item.path, "tool_name"), message, item.file, item.line)


def read_yaml(text: bytes, *, file: str | None = None, source: Source | None = None) -> Iterator[Item]:
    """Yield an item for each `---` document, and for each member of one that is a list.

    A text that cannot be read any further gives a last item that says so. `file` is the name for messages.
    """
    try:
        for document in read_documents(text):
            for path, value in _members(document.value):
                definition, report = definitions.read(value)
                errors, warnings = (
                    tuple(replace(each, file=file, line=document.line_of(path + each.path)) for each in found)
                    for found in (report.errors, report.warnings)
                )
                line = document.line_of((*path, "tool_name"))
                name, version = _identity(value, errors)
                yield Item(definition, errors, warnings, source, file, line, (), name, version)
    except DocumentError as error:
        yield Item(None, (Finding(error.path, str(error), file, error.line),), source=source)


def read_json(text: bytes, *, file: str | None = None) -> Iterator[Item]:
    """Yield an item for an object, or for each member of an array.

    Fields that the catalog adds to its answers are ignored, so that an answer can be sent back. `file` is the
    name for messages, whose paths then begin with the index in the array: JSON has no lines to go by.

    Raises:
        InvalidDocument: when the text is not JSON.
    """
    for index, value in _members(json_text.loads(text)):
        path = () if file is None else index
        definition, report = definitions.read(without_added_fields(value))
        errors, warnings = (
            tuple(replace(each, file=file, path=path + each.path) for each in found)
            for found in (report.errors, report.warnings)
        )
        name, version = _identity(value, report.errors)
        yield Item(definition, errors, warnings, None, file, None, path, name, version)


def _identity(document: Any, errors: Sequence[Finding]) -> tuple[str | None, str | None]:
    """Return name and version as a document with errors gives them; None for what is itself among these."""
    if not errors or not isinstance(document, dict):
        return None, None
    wrong = {error.path[:1] for error in errors}
    name, version = (None if (key,) in wrong else document.get(key) for key in ("tool_name", "version"))
    return name, version


def without_added_fields(value: Any) -> Any:
    """Return a document without what the catalog adds to it in its answers."""
    if not isinstance(value, dict):
        return value
    return {name: item for name, item in value.items() if name not in ADDED_FIELDS}


def _members(value: Any) -> Iterable[tuple[Path, Any]]:
    if isinstance(value, list):
        return [((index,), member) for index, member in enumerate(value)]
    return [((), value)]
