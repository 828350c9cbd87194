"""What is checked of a YAML text before it is parsed: its size, its encoding and its characters.

What a text means must not come in here: this module knows bytes, characters and lines, and next to no YAML.
"""

from __future__ import annotations

import re

from toolcatalog.errors import Path

# Room for 30,000 documents of 2 KB in one file, and still read in some ten seconds.
MAX_BYTES = 64 * 1024 * 1024

# What YAML calls printable, less U+0085, U+2028 and U+2029 (line breaks in YAML 1.1) and the byte order mark
# U+FEFF (libyaml drops it at the start of a line).
_FORBIDDEN = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
# At the start of a line only; the text comes first so that the search is fast. libyaml compares each %TAG
# with all others: 1 MB of them would take seconds, 64 MB hours.
_TAG_DIRECTIVE = re.compile(r"%TAG(?<![^\r\n]%TAG)")
_SEPARATOR = re.compile(r"^(?:---|\.\.\.)(?=\s)", re.MULTILINE)
_LINE_BREAK = re.compile(r"\r\n|\r|\n")


class DocumentError(ValueError):
    """Say in one sentence why a text cannot be read.

    `line` counts from 1 and is None where no place can be named. `path` leads to the value, where there is
    one; errors of syntax have none. The sentence names a place only if it says more than `line` does.
    """

    def __init__(self, message: str, line: int | None = None, path: Path = ()) -> None:
        super().__init__(message)
        self.line = line
        self.path = path


def check(data: bytes) -> tuple[str, DocumentError | None]:
    """Return the text that can be parsed, and the error to raise once that is done.

    With an error, the text ends before the document that the error is in.

    Raises:
        DocumentError: The text is too large to be looked at.
    """
    if len(data) > MAX_BYTES:
        raise DocumentError(f"the text is too large: more than {MAX_BYTES:,} bytes")
    text, error = _decode(data)
    text = text.removeprefix("\ufeff")
    for pattern in (_FORBIDDEN, _TAG_DIRECTIVE):
        if found := pattern.search(text):
            text = text[: found.start()]
            error = _refusal(found[0], count_lines(text))
    return text if error is None else _without_last_document(text), error


def count_lines(text: str) -> int:
    """Return the number of the line that the text ends in, from 1, counted as editors do."""
    return sum(1 for _ in _LINE_BREAK.finditer(text)) + 1


def _decode(data: bytes) -> tuple[str, DocumentError | None]:
    # As JSON tells the encodings apart; without this, UTF-16 would be called a text with NUL characters.
    if b"\0" in data[:4]:
        return "", DocumentError("the text is UTF-16, UTF-32 or binary; it must be UTF-8", 1)
    try:
        return data.decode("utf-8"), None
    except UnicodeDecodeError as error:
        text = data[: error.start].decode("utf-8")
        what = f"the text is not UTF-8: byte 0x{data[error.start]:02X} at offset {error.start:,}"
        return text, DocumentError(what, count_lines(text))


def _refusal(found: str, line: int) -> DocumentError:
    if found == "%TAG":
        return DocumentError("the directive %TAG is not allowed", line)
    return DocumentError(f"the text contains the character U+{ord(found):04X}, which is not allowed", line)


def _without_last_document(text: str) -> str:
    """Cut off the document that the text breaks off in: what is left of it could look complete."""
    end = 0
    for separator in _SEPARATOR.finditer(text):
        end = separator.start()
    return text[:end]
