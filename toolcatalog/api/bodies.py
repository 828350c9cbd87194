"""Request bodies: JSON and YAML, with clear words for what is not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from toolcatalog.core import json_text
from toolcatalog.core.definition import Document
from toolcatalog.errors import Finding, InvalidDefinition, InvalidDocument
from toolcatalog.sources import definitions
from toolcatalog.sources.definitions import Item

YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")


class EncodedBody(UnsupportedMediaType):
    """The body is compressed: a few bytes could become more than any limit on them allows."""

    def get_headers(self, *arguments: Any, **options: Any) -> list[tuple[str, str]]:
        """Say which codings are read (RFC 9110, 15.5.16)."""
        return [*super().get_headers(*arguments, **options), ("Accept-Encoding", "identity")]


def json_body() -> Any:
    """Return the body as a plain value.

    Raises:
        InvalidDocument: when it is empty or not JSON.
        UnsupportedMediaType: when its content type is another.
    """
    if not request.is_json:
        raise UnsupportedMediaType("Send the body as JSON, with the header Content-Type: application/json.")
    return json_text.loads(_data())


def json_object() -> Document:
    """Return the body as a map, without what the catalog adds to its answers."""
    value = json_body()
    if not isinstance(value, dict):
        raise InvalidDocument("The body has to be a JSON object.")
    return definitions.without_added_fields(value)  # type: ignore[no-any-return]


def optional_json_object() -> Document:
    """Return the body as `json_object` does; an empty map for no body, also of a chunked request."""
    return json_object() if request.get_data() else {}


def items() -> Iterator[Item]:
    """Return the definitions in a JSON or YAML body, one or many; none of an empty YAML stream or array."""
    if request.is_json:
        return definitions.read_json(_data())
    if request.mimetype in YAML_TYPES:
        return definitions.read_yaml(_bytes())
    raise UnsupportedMediaType(
        "Send the body as JSON or YAML, with the header Content-Type: application/json or application/yaml."
    )


def one_item() -> Item:
    """Return the one definition in a JSON or YAML body.

    Raises:
        InvalidDocument: when there is none, or more than one.
    """
    found = list(items())
    if len(found) != 1:
        raise InvalidDocument(
            f"The body has {len(found)} definitions; one is expected. An import takes many."
        )
    return found[0]


def _data() -> bytes:
    data = _bytes()
    if not data.strip():
        raise InvalidDocument("The body is empty.")
    return data


def _bytes() -> bytes:
    coding = request.headers.get("Content-Encoding", "identity")
    if coding.strip().lower() != "identity":
        raise EncodedBody(f"The body is encoded as {coding}. Send it as it is, without Content-Encoding.")
    data = request.get_data(cache=False)
    if request.content_length is None and len(data) >= (request.max_content_length or len(data) + 1):
        # Of a chunked body, werkzeug gives what fits and says nothing; half an import is none.
        raise RequestEntityTooLarge
    return data


def required_text(body: Document, name: str) -> str:
    """Return the one field that a small body has.

    Raises:
        InvalidDefinition: when it is missing, not a string, or not alone.
    """
    findings = [Finding((key,), f"is not a field here; known is {name}") for key in body if key != name]
    value = body.get(name)
    if not isinstance(value, str) or not value:
        findings.append(Finding((name,), "is required, as a string"))
    if findings:
        raise InvalidDefinition("The body is not valid.", findings)
    return str(value)
