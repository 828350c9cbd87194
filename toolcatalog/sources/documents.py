"""The safe reader of YAML from people who need not be trusted: its documents, and the line of each value.

Here live the bounds of a document, its lists and mappings, and errors of syntax in plain words. What is
checked of the text lives in `yaml_text`, what a scalar means in `yaml_scalars`. What a document is about must
not come in here: this module knows no tool definition.

* A key that a mapping has twice is refused.
* Merge keys (`<<`, from YAML 1.1) work: keys of the mapping itself win, then the earlier of several sources.
* Aliases count as what they stand for, written out; an alias within its own anchor is refused.

YAML has limits of its own: a key has at most 1,024 characters, and its colon on the same line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
)

from toolcatalog.errors import Path
from toolcatalog.sources import yaml_text
from toolcatalog.sources.yaml_scalars import error_at, key_text, refused_tag, scalar_value, shown
from toolcatalog.sources.yaml_text import MAX_BYTES, DocumentError

__all__ = ["MAX_BYTES", "Document", "DocumentError", "Path", "read_documents"]

# Five times what people write by hand; far below the 1,000 calls that Python and its `json` can nest.
MAX_DEPTH = 50
# A hundred times a large document written by hand; takes some 0.2 s and 20 MB.
MAX_VALUES = 100_000
# As much as a text may have at all, so that an alias is no way around that.
MAX_ADDED = MAX_BYTES

# The other one, for where PyYAML came without libyaml, is ten times slower and minds tabs more.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# Fragments of what the parsers say (libyaml and PyYAML differ), and the same in plain words.
_MISFIT = "this does not fit the lines above; check the indentation and the quotes"
_PLAIN_WORDS = {
    "mapping values are not allowed": "a ':' is not allowed here; check the indentation and the quotes",
    "expected <block end>": _MISFIT,
    "did not find expected key": _MISFIT,
    "did not find expected '-'": _MISFIT,
    "document start>": "the document is complete here, and a new one must begin with '---'",
    "could not find expected ':'": "a key without ':', or a text that is broken off",
    "invalid Unicode": "an escape in double quotes is half a surrogate pair, or no character at all",
    "unknown escape": "a '\\' in double quotes is followed by something that it does not know",
}

# The line (from 0) of a scalar; of a list or mapping, its line and the entries of what it contains.
_Entry: TypeAlias = "int | tuple[int, _Entries]"
_Entries: TypeAlias = "dict[str, _Entry] | list[_Entry]"


@dataclass(frozen=True, slots=True)
class Document:
    """Hold the plain value of one document, and the lines it was written on (from 1).

    Values that the text shares by an alias or a merge key are one object: copy before changing them.
    """

    value: Any
    line: int
    _entry: _Entry = field(repr=False, compare=False)

    def line_of(self, path: Path) -> int:
        """Return the line of the deepest part of `path` that exists; for a value in a mapping, its key's."""
        line, entry = self.line, self._entry
        for step in path:
            inner = _step(entry, step)
            if inner is None:
                break
            line, entry = _line(inner), inner
        return line


def read_documents(data: bytes) -> Iterator[Document]:
    """Yield the documents of a text one by one, without those that are empty.

    Documents before a bad one are yielded before the error is raised.

    Raises:
        DocumentError: The text, or a document in it, is not allowed here; nothing else is raised.
    """
    text, flaw = yaml_text.check(data)
    try:
        yield from _documents(text)
    except DocumentError:
        raise
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, text) from error
    # Known: UnicodeDecodeError from libyaml (`!<%C0>`), OverflowError from PyYAML (`"\UFFFFFFFF"`), and
    # RecursionError or MemoryError when the caller left little. Input must not bring the caller down.
    except Exception as error:
        raise DocumentError(f"the text cannot be read ({type(error).__name__})") from error
    if flaw is not None:
        raise flaw


def _documents(text: str) -> Iterator[Document]:
    loader = _LOADER(text)
    loader.get_event()  # the start of the stream
    while type(loader.get_event()) is DocumentStartEvent:
        document = _Builder(loader.get_event).document()
        if not loader.get_event().explicit:
            # Something that does not belong there may follow; a document with it is not a good one.
            loader.peek_event()
        if document.value is not None:
            yield document


def _step(entry: _Entry, step: str | int) -> _Entry | None:
    entries = None if isinstance(entry, int) else entry[1]
    if isinstance(entries, dict) and isinstance(step, str):
        return entries.get(step)
    if isinstance(entries, list) and isinstance(step, int) and 0 <= step < len(entries):
        return entries[step]
    return None


def _line(entry: _Entry) -> int:
    return (entry if isinstance(entry, int) else entry[0]) + 1


# --- Errors of syntax


def _syntax_error(error: yaml.MarkedYAMLError, text: str) -> DocumentError:
    begun = error.context_mark
    # A key without a colon is noticed only after it.
    mark: Any = begun if error.context == "while scanning a simple key" else error.problem_mark
    # libyaml ends each text with a line break, also where there is none.
    line = min(mark.line + 1, yaml_text.count_lines(text))
    message = f"line {line}, column {mark.column + 1}: {_problem(error, text[mark.index : mark.index + 1])}"
    if mark.index >= len(text):
        message = "the text ends too early"
    if begun is not None and begun.line + 1 < line:
        message += f" ({error.context} that begins in line {begun.line + 1})"
    return DocumentError(message, line)


def _problem(error: yaml.MarkedYAMLError, character: str) -> str:
    problem = str(error.problem)
    if "cannot start any token" in problem:
        if character == "\t":
            return "a tab is not allowed here; indent with spaces"
        return f"the character {character!r} is not allowed here; put the text in quotes"
    return next((plain for fragment, plain in _PLAIN_WORDS.items() if fragment in problem), problem)


# --- The values


class _Builder:
    """Build the value of one document from the parser's events, with the lines, and within the bounds."""

    def __init__(self, following: Callable[[], Any]) -> None:
        self._following = following
        self._values = self._added = 0
        # By anchor. None while the value is being built: an alias would put it into itself.
        self._anchors: dict[str, tuple[Any, _Entry] | None] = {}

    def document(self) -> Document:
        """Build the whole document, up to the event that ends it."""
        root = self._following()
        value, entry = self._node(root, root.start_mark.line, 1)
        return Document(value, _line(entry), entry)

    def _node(self, event: Any, line: int, depth: int) -> tuple[Any, _Entry]:
        """Build the value that begins with `event`; `line` is where it, or its key, is written."""
        kind, anchor = type(event), event.anchor
        if kind is AliasEvent:
            return self._alias(event, line, depth)
        self._count(event)
        if anchor is not None:
            self._anchors[anchor] = None
        node = (scalar_value(event), line) if kind is ScalarEvent else self._container(event, line, depth)
        if anchor is not None:
            self._anchors[anchor] = node
        return node

    def _container(self, event: Any, line: int, depth: int) -> tuple[Any, _Entry]:
        _check_depth(event, depth)
        if event.tag is not None:
            raise refused_tag(event)
        build = self._mapping if type(event) is MappingStartEvent else self._sequence
        return build(line, depth)

    def _mapping(self, line: int, depth: int) -> tuple[dict[str, Any], _Entry]:
        values: dict[str, Any] = {}
        entries: dict[str, _Entry] = {}
        merges = False
        while type(event := self._following()) is not MappingEndEvent:
            key = self._key(event, entries)
            merges = merges or (key == "<<" and not event.style)
            try:
                values[key], entries[key] = self._node(self._following(), event.start_mark.line, depth + 1)
            except DocumentError as error:
                error.path = (key, *error.path)
                raise
        if merges:
            _merge(values, entries)
        return values, (line, entries)

    def _sequence(self, line: int, depth: int) -> tuple[list[Any], _Entry]:
        values: list[Any] = []
        entries: list[_Entry] = []
        while type(event := self._following()) is not SequenceEndEvent:
            try:
                value, entry = self._node(event, event.start_mark.line, depth + 1)
            except DocumentError as error:
                error.path = (len(values), *error.path)
                raise
            values.append(value)
            entries.append(entry)
        return values, (line, entries)

    def _key(self, event: Any, entries: dict[str, _Entry]) -> str:
        key = key_text(event)
        if key in entries:
            line = event.start_mark.line + 1
            message = f"the key {shown(key)} is given twice, in lines {_line(entries[key])} and {line}"
            raise DocumentError(message, line, (key,))
        if event.anchor is not None:
            self._anchors[event.anchor] = key, event.start_mark.line
        return key

    def _alias(self, event: Any, line: int, depth: int) -> tuple[Any, _Entry]:
        name = event.anchor
        if name not in self._anchors:
            raise error_at(event, f"there is no anchor {shown('&' + name)} before the alias to it")
        anchored = self._anchors[name]
        if anchored is None:
            raise error_at(event, f"the alias {shown('*' + name)} is part of what it stands for")
        value, entry = anchored
        self._add(value, event, depth)
        return value, line if isinstance(entry, int) else (line, entry[1])

    def _add(self, value: Any, event: Any, depth: int) -> None:
        """Count what an alias stands for as if it were written out: a bomb ends here, before it is built."""
        self._count(event)
        children: Iterable[Any] = ()
        if isinstance(value, str):
            self._added += len(value)
        elif isinstance(value, dict):
            self._added += sum(map(len, value))
            children = value.values()
        elif isinstance(value, list):
            children = value
        if isinstance(value, dict | list):
            _check_depth(event, depth)
        if self._added > MAX_ADDED:
            raise error_at(event, f"the aliases of the document add more than {MAX_ADDED:,} characters")
        for child in children:
            self._add(child, event, depth + 1)

    def _count(self, event: Any) -> None:
        self._values += 1
        if self._values > MAX_VALUES:
            raise error_at(event, f"the document has more than {MAX_VALUES:,} values, aliases written out")


def _check_depth(event: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise error_at(event, f"lists and mappings are nested more than {MAX_DEPTH} deep")


def _merge(values: dict[str, Any], entries: dict[str, Any]) -> None:
    """Replace the merge key by what it stands for: a mapping, or a list of them."""
    source, entry = values.pop("<<"), entries.pop("<<")
    pairs = zip(source, entry[1], strict=True) if isinstance(source, list) else [(source, entry)]
    for inner, inner_entry in pairs:
        if not isinstance(inner, dict):
            message = "'<<' must stand before a mapping or a list of mappings"
            raise DocumentError(message, _line(entry), ("<<",))
        for key in inner:
            if key not in values:
                values[key], entries[key] = inner[key], inner_entry[1][key]
