"""The Markdown files of the repository: their links, their anchors, and what they show as code."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from toolcatalog.settings import PROJECT_ROOT

FOLDERS = ("docs", "deploy", "monitoring")
FILES = [
    PROJECT_ROOT / "README.md",
    *sorted(path for folder in FOLDERS for path in (PROJECT_ROOT / folder).rglob("*.md")),
]
_FENCED = re.compile(r"^(```+|~~~+)[^\n]*\n(.*?)^\1`*\s*$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"\]\(\s*<?([^()\s>]+)|^\[[^\]]+\]:\s+(\S+)", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)


def name_of(path: Path) -> str:
    """The path as people say it."""
    return path.relative_to(PROJECT_ROOT).as_posix()


def links(path: Path) -> list[str]:
    """Where a file's links lead, as written."""
    text = _SPAN.sub("", _FENCED.sub("", path.read_text()))
    return [inline or reference for inline, reference in _LINK.findall(text)]


def anchors(path: Path) -> set[str]:
    """The anchors of a file's headings, as code hosts make them; the site's own are checked by its build."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in _HEADING.findall(_FENCED.sub("", path.read_text())):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def code(path: Path) -> Iterator[str]:
    """What a file shows as code: the lines of its blocks, and the spans in its text."""
    text = path.read_text()
    for _, block in _FENCED.findall(text):
        yield from block.splitlines()
    for _, span in _SPAN.findall(_FENCED.sub("", text)):
        yield " ".join(span.split())
