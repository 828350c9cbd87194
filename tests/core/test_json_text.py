"""JSON in and out: what is read, what is refused and in which words, and that writing has one way."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings

from tests.core import generated
from toolcatalog.core import json_text
from toolcatalog.errors import InvalidDocument

UNSTORABLE = "A text contains NUL or half of a surrogate pair; leave it out."
TOO_DEEP = "The JSON is nested too deeply."


def refusal(text: bytes) -> str:
    with pytest.raises(InvalidDocument) as caught:
        json_text.loads(text)
    assert caught.value.findings == ()
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"null", None),
        (b' {"a": [true, 1, 1.0, "x"]}\n', {"a": [True, 1, 1.0, "x"]}),
        (b"1e3", 1000.0),
        (b"-0.0", -0.0),
        (b"1e-999", 0.0),
        (b"1.7976931348623157e308", 1.7976931348623157e308),
        (b"9" * 1000, 10**1000 - 1),
        (b"0." + b"1" * 5000, float("0." + "1" * 30)),
        (b'"\\ud83e\\udd8a"', "🦊"),
        ('"🦊"'.encode(), "🦊"),
        (b'"\\\\u0000"', "\\u0000"),
        (b'"\\\\ud800"', "\\ud800"),
        (b'"\\u0001\\u2028\\ufeff"', "\x01\u2028\ufeff"),
        (b'{"": {"": 1}}', {"": {"": 1}}),
        (b'[{"a": 1}, {"a": 2}]', [{"a": 1}, {"a": 2}]),
    ],
)
def test_json_is_read(text: bytes, value: Any) -> None:
    read = json_text.loads(text)
    assert (repr(read), type(read)) == (repr(value), type(value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "The text is not JSON: Expecting value at line 1, column 1."),
        (
            b"{",
            "The text is not JSON: Expecting property name enclosed in double quotes at line 1, column 2.",
        ),
        (b'{"a":\n  1 "b"}', "The text is not JSON: Expecting ',' delimiter at line 2, column 5."),
        (b"1 2", "The text is not JSON: Extra data at line 1, column 3."),
        (b"tool_name: x", "The text is not JSON: Expecting value at line 1, column 1."),
        (b'"a\tb"', "The text is not JSON: Invalid control character at at line 1, column 3."),
        (b'"\\x"', "The text is not JSON: Invalid \\escape at line 1, column 2."),
        (b"01", "The text is not JSON: Extra data at line 1, column 2."),
        (
            b"\xef\xbb\xbf{}",
            "The text is not JSON: Unexpected UTF-8 BOM (decode using utf-8-sig) at line 1, column 1.",
        ),
        (b'"a\0b"', "The text is not JSON: Invalid control character at at line 1, column 3."),
        (b'{"a": "\xff"}', "The text is not UTF-8: byte 7 cannot be read."),
        ('"é"'.encode("latin-1"), "The text is not UTF-8: byte 1 cannot be read."),
        (b'"\xed\xa0\x80"', "The text is not UTF-8: byte 1 cannot be read."),
        (b'{"a": 1, "b": 2, "a": 1}', 'The key "a" stands twice in one object.'),
        (b'[{"x": {"b": 1, "\\u0062": 1}}]', 'The key "b" stands twice in one object.'),
        (b'{"%b": 1, "%b": 2}' % (b"k" * 61, b"k" * 61), f'The key "{"k" * 60}" stands twice in one object.'),
        (b"NaN", "NaN is not a number that JSON has."),
        (b"[Infinity]", "Infinity is not a number that JSON has."),
        (b'{"a": -Infinity}', "-Infinity is not a number that JSON has."),
        (b"[1e999]", "The number 1e999 is too large."),
        (b"-1e999", "The number -1e999 is too large."),
        (b"1" * 50 + b"e999", f"The number {'1' * 40} is too large."),
        (b"9" * 1001, "The number 99999999999999999999… has 1001 digits; 1000 are allowed."),
        (b"9" * 100_000, "The number 99999999999999999999… has 100000 digits; 1000 are allowed."),
        (b'"\\u0000"', UNSTORABLE),
        (b'{"a": ["x", {"\\u0000": 1}]}', UNSTORABLE),
        (b'[["\\ud800"]]', UNSTORABLE),
        (b'"\\uDC00x"', UNSTORABLE),
        (b'"\\udd8a\\ud83e"', UNSTORABLE),
        (b"[" * 1_000_000, TOO_DEEP),
        (b"[" * 500_000 + b"]" * 500_000, TOO_DEEP),
        (b'{"a":' * 500_000 + b'"\\u0000"' + b"}" * 500_000, TOO_DEEP),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_not_json_or_has_two_meanings_is_refused(text: bytes, message: str) -> None:
    assert refusal(text) == message


def test_json_that_is_read_is_written_compactly_in_the_order_of_its_keys() -> None:
    value = {"z": 1, "a": [1.0, True, None, "é🦊\u2028"], "m": {}, "e": 1e16}
    assert json_text.dumps(value) == '{"z":1,"a":[1.0,true,null,"é🦊\u2028"],"m":{},"e":1e+16}'


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_what_json_does_not_have_is_not_written(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_text.dumps({"a": number})


@settings(max_examples=150, deadline=None)
@given(generated.values)
def test_what_is_written_and_read_is_the_same(value: Any) -> None:
    written = json_text.dumps(value)
    assert json.loads(written) == value
    assert json_text.dumps(json_text.loads(written.encode())) == written
    assert json_text.dumps(json_text.loads(json.dumps(value, indent=1).encode())) == written
