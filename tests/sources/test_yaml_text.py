"""What is refused of a YAML text before it is parsed, and what is still read of it."""

from __future__ import annotations

import pytest

from tests.sources.reading import outcome, peak_of, read, refusal
from toolcatalog.sources import yaml_text


def test_a_hundred_megabytes_are_refused_before_anything_else() -> None:
    data = b"x" * 100_000_000
    peak, found = peak_of(lambda: refusal(data))
    assert found == (None, "the text is too large: more than 67,108,864 bytes")
    assert peak < 1_000_000


def test_the_size_is_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_text, "MAX_BYTES", 20)
    assert read("é" * 10) == ["é" * 10]
    assert refusal("é" * 10 + "e") == (None, "the text is too large: more than 20 bytes")


def test_a_byte_order_mark_is_tolerated() -> None:
    assert read(b"\xef\xbb\xbfa: 1\n") == [{"a": 1}]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_other_unicode_encodings_are_refused(encoding: str) -> None:
    message = "the text is UTF-16, UTF-32 or binary; it must be UTF-8"
    assert refusal("a: 1\n".encode(encoding)) == (1, message)


def test_bytes_that_are_not_utf8_are_refused_with_their_place() -> None:
    assert refusal("a: 1\nb: café".encode("latin-1")) == (2, "the text is not UTF-8: byte 0xE9 at offset 11")
    assert refusal("a: 1\n\ud800") == (2, "the text is not UTF-8: byte 0xED at offset 5")


@pytest.mark.parametrize("character", list("\0\x01\x0b\x0c\x1b\x7f\x85\x9f\u2028\u2029\ufeff\ufffe\uffff"))
def test_characters_that_do_not_belong_into_text_are_refused(character: str) -> None:
    message = f"the text contains the character U+{ord(character):04X}, which is not allowed"
    assert refusal(f'aaaa: 1\r\nb: "{character}"\n') == (2, message)


def test_all_other_characters_are_read() -> None:
    text = "\xa0é\u2027\u202a\ud7ff\ue000\ufefe\uff00\ufffd\U00010000\U0001f600\U0010ffff"
    assert read(text) == [text]


def test_lines_are_counted_as_editors_do() -> None:
    assert refusal("\r\n\r# \n\na: \0")[0] == 5


def test_the_directive_tag_is_refused_wherever_it_could_be_one() -> None:
    assert refusal("# c\r%TAG ! tag:a,1:\r--- !a b\r") == (2, "the directive %TAG is not allowed")
    assert refusal("%TAG ! tag:a,1:\n--- a\n--- \0") == (1, "the directive %TAG is not allowed")
    assert read("a: 100%TAG\nb: |\n  %TAG\n") == [{"a": "100%TAG", "b": "%TAG\n"}]


@pytest.mark.parametrize(
    ("rest", "line"),
    [
        ("---\nb: x\0\n", 4),
        ("...\nb: x\0\n", 4),
        ("--- >\n \x07\n", 4),
        ("---\n%TAG ! tag:a\n", 4),
        (b"--- c: \xe9t\xe9\n--- d\n", 3),
    ],
)
def test_documents_before_a_bad_character_are_yielded(rest: str | bytes, line: int) -> None:
    found, error = outcome(b"---\na: 1\n" + (rest.encode() if isinstance(rest, str) else rest))
    assert error is not None
    assert ([document.value for document in found], error.line) == ([{"a": 1}], line)
