"""What a scalar means, as a value and as a key: null, booleans, numbers and texts.

Lists and mappings must not come in here: each function sees one event of the parser.

The rules are those of the YAML 1.2 core schema, which are narrower than those of PyYAML (YAML 1.1):

* Only null, booleans, integers and floats are recognised. `yes`, `no`, `on`, `off`, dates (`2024-01-01`),
  `1:30`, `1_000` and `017` are texts, exactly as written; so is what is in quotes or tagged `!!str`.
* Integers are decimal without leading zeros, `0o17` or `0x1F`. Infinity, not-a-number, and numbers too large
  for a float or longer than MAX_NUMBER_LENGTH are refused.
* A key is the text as written (`1.0: x` has the key "1.0"). Null, a mapping, a list or an alias is no key.
* Tags other than `!!str` are refused.
"""

from __future__ import annotations

import math
import re
from typing import Any

from yaml.events import ScalarEvent

from toolcatalog.sources.yaml_text import DocumentError

# No real number is longer; Python's own bound (4,300 decimal digits, also of 0x...) is never met.
MAX_NUMBER_LENGTH = 1_000

_TAG_PREFIX = "tag:yaml.org,2002:"
_STR_TAG = _TAG_PREFIX + "str"

_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(_NULLS),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMBER_STARTS = frozenset("0123456789+-.")
_NUMBER = re.compile(
    r"""
    (?P<integer> [-+]? (?: 0 | [1-9][0-9]* ) | 0o[0-7]+ | 0x[0-9a-fA-F]+ )
    | (?P<float> [-+]? (?: [0-9]+\.[0-9]* | \.[0-9]+ | [0-9]+(?=[eE]) ) (?: [eE][-+]?[0-9]+ )? )
    | (?P<infinite> [-+]?\.(?: inf | Inf | INF ) | \.(?: nan | NaN | NAN ) )
    """,
    re.VERBOSE,
)

# What escapes in double quotes can bring in, and no text may contain; libyaml itself refuses half a surrogate
# pair. Plain texts have no escapes.
_UNUSABLE = re.compile("[\0\ud800-\udfff]")


def shown(text: str) -> str:
    """Return the text in quotes for a message, shortened if it is long."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def error_at(event: Any, message: str) -> DocumentError:
    """Return the error that names the line an event begins in."""
    return DocumentError(message, event.start_mark.line + 1)


def refused_tag(event: Any) -> DocumentError:
    """Return the error that names the tag of an event, as it is written for short."""
    return error_at(event, f"the tag {shown(event.tag.replace(_TAG_PREFIX, '!!'))} is not allowed here")


def key_text(event: Any) -> str:
    """Return the text of a mapping's key."""
    if type(event) is not ScalarEvent:
        raise error_at(event, "a key must be a text, and not a mapping, a list or an alias")
    if event.style or event.tag is not None:
        return _text(event)
    text: str = event.value
    if text in _NULLS:
        raise error_at(event, "a key must be a text, and not null; put it in quotes")
    return text


def scalar_value(event: Any) -> str | int | float | bool | None:
    """Return the value of a scalar that is not a key."""
    if event.style or event.tag is not None:
        return _text(event)
    text: str = event.value
    if text in _WORDS:
        return _WORDS[text]
    return _number(event, text) if text[0] in _NUMBER_STARTS else text


def _text(event: Any) -> str:
    """Return the text of a scalar that is in quotes, a block, or tagged."""
    if event.tag is not None and event.tag != _STR_TAG:
        raise refused_tag(event)
    text: str = event.value
    if found := _UNUSABLE.search(text):
        raise error_at(event, f"a text contains the character U+{ord(found[0]):04X}, which is not allowed")
    return text


def _number(event: Any, text: str) -> str | int | float:
    found = _NUMBER.fullmatch(text)
    if found is None:
        return text
    if len(text) > MAX_NUMBER_LENGTH:
        raise error_at(event, f"{shown(text)} is too long for a number; put it in quotes if it is a text")
    if found.lastgroup == "integer":
        return int(text, 0)
    number = float(text) if found.lastgroup == "float" else math.inf
    if not math.isfinite(number):
        raise error_at(event, f"{shown(text)} is not a finite number; put it in quotes if it is a text")
    return number
