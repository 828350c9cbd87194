"""The commands of a document, each with what it is said to print.

They stand in blocks of the language `console`, behind `$ `. `...` in a line is whatever is there; as a line
of its own, any lines. `<!-- not run: why -->` above a block keeps it from being run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<why>[^\n]+) -->\n+)?```console\n(?P<lines>.*?)^```$", re.MULTILINE | re.DOTALL
)
_HERE_DOCUMENT = re.compile(r"<<-?'?(\w+)'?")


@dataclass(frozen=True)
class Step:
    """A command, the line where it stands, what it prints, and why it is not run."""

    line: int
    command: str
    expected: str
    not_run: str | None = None

    def is_met_by(self, output: str) -> bool:
        return re.fullmatch(_pattern(self.expected), output) is not None


def steps(document: str) -> Iterator[Step]:
    """Yield the commands of a Markdown document, in order."""
    for block in _BLOCK.finditer(document):
        lines = block["lines"].splitlines()
        first = document[: block.start("lines")].count("\n") + 1
        starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
        assert starts[:1] == [0], f"line {first}: a block of commands begins with a command"
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
            size = _size_of_command(lines[start:end])
            command = "\n".join(lines[start : start + size]).removeprefix("$ ")
            expected = "".join(f"{line}\n" for line in lines[start + size : end])
            yield Step(first + start, command, expected, block["why"])


def _size_of_command(lines: list[str]) -> int:
    """How many lines a command has: to the end of its here-document, or while they end with a backslash."""
    if begins := _HERE_DOCUMENT.search(lines[0]):
        return lines.index(begins[1]) + 1
    return next(number for number, line in enumerate(lines, 1) if not line.endswith("\\"))


def _pattern(expected: str) -> str:
    return "".join(
        r"(?:.*\n)*" if line == "...\n" else re.escape(line).replace(re.escape("..."), ".*")
        for line in expected.splitlines(keepends=True)
    )
