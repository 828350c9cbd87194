"""What the reader of YAML takes a scalar for, as a value and as a key."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import yaml

from tests.sources.reading import read, refusal
from toolcatalog.sources import documents

VALUES: dict[str, Any] = {
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    "0": 0,
    "-0": 0,
    "+12": 12,
    "-12": -12,
    "0o17": 15,
    "0x1F": 31,
    "9" * 1000: 10**1000 - 1,
    "-1.5": -1.5,
    "1.": 1.0,
    "+.5": 0.5,
    "1e3": 1000.0,
    "1E-3": 0.001,
    "1.5e+3": 1500.0,
    "012.5": 12.5,
    "1e-999": 0.0,
}
TEXTS = """
    yes no on off y tRUE nULL none 2024-01-01 2024-01-01T10:00:00Z 1:30 1_000 017 -017 0O17 0b1 -0x1F 0x
    1.2.3 1e e1 . + -x .INf +.nan = a/b \N{GRINNING FACE} ٣
"""


@pytest.mark.parametrize("written", VALUES)
def test_plain_scalars_that_mean_a_value(written: str) -> None:
    (value,) = read(f"k: {written}")[0].values()
    assert (type(value), value) == (type(VALUES[written]), VALUES[written])


@pytest.mark.parametrize("written", TEXTS.split())
def test_plain_scalars_that_stay_text(written: str) -> None:
    assert read(f"k: {written}") == [{"k": written}]


@pytest.mark.parametrize("form", ['"{}"', "'{}'", "|-\n  {}", ">-\n  {}", "!!str {}", "!!str '{}'"])
@pytest.mark.parametrize("text", ["1", "null", "true", "1.5", ".inf", "<<"])
def test_quoted_block_and_tagged_scalars_are_text(form: str, text: str) -> None:
    assert read("k: " + form.format(text)) == [{"k": text}]
    assert read("!<tag:yaml.org,2002:str> " + form.removeprefix("!!str ").format(text)) == [text]


@pytest.mark.parametrize("written", [".inf", "-.INF", "+.Inf", ".nan", ".NaN", ".NAN", "1e999", "-1e999"])
def test_numbers_that_are_not_finite_are_refused(written: str) -> None:
    message = f"'{written}' is not a finite number; put it in quotes if it is a text"
    assert refusal(f"a: 1\nb: {written}") == (2, message)


@pytest.mark.parametrize("written", ["1" * 1001, "-" + "1" * 1000, "0x" + "F" * 999, "0." + "1" * 999])
def test_numbers_that_are_too_long_are_refused(written: str) -> None:
    message = f"'{written[:57]}...' is too long for a number; put it in quotes if it is a text"
    assert refusal(written) == (1, message)


def test_every_number_that_is_read_can_be_printed() -> None:
    assert len(str(read("0x" + "F" * 998)[0])) < sys.int_info.default_max_str_digits


@pytest.mark.parametrize(
    ("written", "tag"),
    [
        ("!!python/object/apply:os.system [ls]", "!!python/object/apply:os.system"),
        ("!!python/name:os.system", "!!python/name:os.system"),
        ("!foo bar", "!foo"),
        ("! bar", "!"),
        ("!foo {a: 1}", "!foo"),
        ("!!int 1", "!!int"),
        ("!!binary aGk=", "!!binary"),
        ("!!set {a}", "!!set"),
        ("!!str [a]", "!!str"),
        ("\n  !!int 1: 2", "!!int"),
        ("\n  !foo a: b", "!foo"),
    ],
)
def test_tags_but_str_are_refused_by_name(written: str, tag: str) -> None:
    line = 2 + written.count("\n")
    assert refusal(f"a: 1\nk: {written}") == (line, f"the tag '{tag}' is not allowed here")


def test_keys_are_the_text_as_written() -> None:
    text = '123: a\n1.0: b\ntrue: c\n0x1F: d\n2024-01-01: e\n"null": f\n!!str ~: g\n"": h\n017: i\n'
    keys = ["123", "1.0", "true", "0x1F", "2024-01-01", "null", "~", "", "017"]
    assert read(text) == [dict(zip(keys, "abcdefghi", strict=True))]


@pytest.mark.parametrize("entry", ["null: 1", "~: 1", "Null: 1", "NULL: 1", "?\n: 1", "{? : 1}"])
def test_null_is_no_key(entry: str) -> None:
    assert refusal(f"---\n{entry}") == (2, "a key must be a text, and not null; put it in quotes")


@pytest.mark.parametrize("key", ["{a: 1}", "[a]", "? [a]\n", "{{ x }}", "*a "])
def test_a_mapping_a_list_or_an_alias_is_no_key(key: str) -> None:
    message = "a key must be a text, and not a mapping, a list or an alias"
    assert refusal(f"- &a x\n- {key}: 2") == (2, message)


def test_double_quotes_can_escape_what_no_text_may_show() -> None:
    escapes = r"\x7f \u0085 \u2028 \ufeff \uFFFF \x01 \U0001F600 \U0010FFFF \/ \\ud83d\\ude00 \t"
    text = "\x7f \x85 \u2028 \ufeff \uffff \x01 \U0001f600 \U0010ffff / \\ud83d\\ude00 \t"
    assert read(f'"{escapes}": "{escapes}"') == [{text: text}]
    assert read(f"- '{escapes}'\n- |-\n  {escapes}") == [[escapes, escapes]]


@pytest.mark.parametrize("escape", ["\\0", "\\x00", "\\u0000"])
@pytest.mark.parametrize("form", ['k: "a{}"', '"a{}": k', '!!str "a{}"'])
def test_nul_is_refused_in_texts_and_keys(escape: str, form: str) -> None:
    assert refusal(form.format(escape)) == (1, "a text contains the character U+0000, which is not allowed")


@pytest.mark.parametrize("escape", ["\\ud800", "\\uDC00", "\\ud83d\\ude00", "\\\\\\ud83d"])
@pytest.mark.parametrize("form", ['a: 1\nk: "{}"', 'a: 1\n"{}": k', 'a: 1\nk: !!str "{}"'])
def test_half_a_surrogate_pair_is_refused(escape: str, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    line, message = refusal(form.format(escape))
    assert line == 2
    assert message.endswith("an escape in double quotes is half a surrogate pair, or no character at all")
    monkeypatch.setattr(documents, "_LOADER", yaml.SafeLoader)
    line, message = refusal(form.format(escape))
    assert line == 2
    assert message.startswith("a text contains the character U+D")
