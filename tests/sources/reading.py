"""What the tests of the YAML reader share: a text in, and the values or the refusal out."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from toolcatalog.sources.documents import DocumentError, read_documents


def as_bytes(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text


def read(text: str | bytes) -> list[Any]:
    return [document.value for document in read_documents(as_bytes(text))]


def refusal(text: str | bytes) -> tuple[int | None, str]:
    """Return the line and the sentence of the error."""
    with pytest.raises(DocumentError) as caught:
        read(text)
    return caught.value.line, str(caught.value)


def outcome(text: str | bytes) -> tuple[list[Any], DocumentError | None]:
    """Return the documents, and the error, that came out; anything else fails the test."""
    found = []
    try:
        found.extend(read_documents(as_bytes(text)))
    except DocumentError as error:
        return found, error
    return found, None


def peak_of(action: Callable[[], Any]) -> tuple[int, Any]:
    """Return the bytes of memory that an action took at its highest, and what it returned."""
    tracemalloc.start()
    try:
        result = action()
        return tracemalloc.get_traced_memory()[1], result
    finally:
        tracemalloc.stop()
