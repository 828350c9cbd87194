"""JSON as it is read and written: strict in, compact out, always the same bytes for the same value."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from toolcatalog.errors import InvalidDocument

# What PostgreSQL cannot store and UTF-8 cannot say; looked for only where the text has such an escape.
_SUSPICIOUS = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# Python reads longer ones slowly on purpose; no quantity of a tool has as many digits.
_MAX_DIGITS = 1_000


def dumps(value: Any) -> str:
    """Write a value in the order in which it was made, without what JSON does not have."""
    return _ENCODER.encode(value)


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def loads(text: bytes) -> Any:
    """Read JSON as RFC 8259 has it, and refuse what two readers could understand differently.

    Raises:
        InvalidDocument: for what is not JSON in UTF-8, for duplicate keys, NaN, numbers beyond a double,
            characters that cannot be stored, and nesting beyond Python's own bound.
    """
    try:
        decoded = text.decode("utf-8")
        value = json.loads(
            decoded,
            object_pairs_hook=_without_duplicates,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_integer,
        )
        if _SUSPICIOUS.search(decoded) or "\x00" in decoded:
            _refuse_unstorable(value)
    except UnicodeDecodeError as error:
        raise InvalidDocument(f"The text is not UTF-8: byte {error.start} cannot be read.") from error
    except json.JSONDecodeError as error:
        raise InvalidDocument(
            f"The text is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from error
    except RecursionError as error:
        raise InvalidDocument("The JSON is nested too deeply.") from error
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidDocument(f'The key "{twice[:60]}" stands twice in one object.')
    return found


def _refuse_constant(name: str) -> float:
    raise InvalidDocument(f"{name} is not a number that JSON has.")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise InvalidDocument(f"The number {text[:40]} is too large.")
    return value


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise InvalidDocument(f"The number {text[:20]}… has {len(text)} digits; {_MAX_DIGITS} are allowed.")
    return int(text)


def _refuse_unstorable(value: Any) -> None:
    if isinstance(value, str) and _UNSTORABLE.search(value):
        raise InvalidDocument("A text contains NUL or half of a surrogate pair; leave it out.")
    if isinstance(value, dict):
        for name, item in value.items():
            _refuse_unstorable(name)
            _refuse_unstorable(item)
    elif isinstance(value, list):
        for item in value:
            _refuse_unstorable(item)
