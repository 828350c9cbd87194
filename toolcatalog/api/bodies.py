"""Request bodies: JSON and YAML, with clear words for what is not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import current_app, request
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from toolcatalog.core import json_text
from toolcatalog.core.definition import Document
from toolcatalog.errors import Finding, InvalidDefinition, InvalidDocument
from toolcatalog.sources import definitions
from toolcatalog.sources.definitions import Item

# The settings that bound a body: of an import, and of all else.
MAX_BODY, MAX_IMPORT = "MAX_BODY_BYTES", "MAX_IMPORT_BYTES"
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
    return json_object() if _bytes(keep=True) else {}


def items(limit: str = MAX_BODY) -> Iterator[Item]:
    """Return the definitions in a JSON or YAML body, one or many; none of an empty YAML stream or array.

    `limit` names the setting that bounds the body.
    """
    if request.is_json:
        return definitions.read_json(_data(limit))
    if request.mimetype in YAML_TYPES:
        return definitions.read_yaml(_bytes(limit))
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


def _data(limit: str = MAX_BODY) -> bytes:
    data = _bytes(limit)
    if not data.strip():
        raise InvalidDocument("The body is empty.")
    return data


def _bytes(limit: str = MAX_BODY, *, keep: bool = False) -> bytes:
    """Return the body as it was sent; `keep` it in memory only where it is read again."""
    coding = request.headers.get("Content-Encoding", "identity")
    if coding.strip().lower() != "identity":
        raise EncodedBody(f"The body is encoded as {coding}. Send it as it is, without Content-Encoding.")
    allowed, size = current_app.config[limit], request.content_length
    if size is not None and size > allowed:
        raise _too_large(limit, allowed, size)
    # Of a chunked body, werkzeug gives what fits and says nothing: a byte more than is allowed tells.
    request.max_content_length = allowed + 1
    data = request.get_data(cache=keep)
    if len(data) > allowed:
        raise _too_large(limit, allowed, size)
    return data


def is_large() -> bool:
    """Tell whether the body may have more bytes than only that of an import may have."""
    size = request.content_length
    return size is None or size > current_app.config[MAX_BODY]


def _too_large(limit: str, allowed: int, size: int | None) -> RequestEntityTooLarge:
    has = f"more than {allowed:,}" if size is None else f"{size:,}"
    return RequestEntityTooLarge(
        f"The body has {has} bytes; at most {allowed:,} are allowed here, by the setting {limit}. "
        "Send less at a time, or have the setting raised."
    )


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
