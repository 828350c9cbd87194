"""The format of definitions, as JSON Schema, for editors and clients."""

from __future__ import annotations

from flask import Response
from flask_smorest import Blueprint

from toolcatalog.api.answers import answer
from toolcatalog.api.operations import OPEN, operation
from toolcatalog.core.definition import json_schema
from toolcatalog.schemas.shapes import ref

blueprint = Blueprint(
    "formats", __name__, url_prefix="/api/v1/schema", description="The format of definitions, for editors."
)


@operation(blueprint, "GET", "/tool.json", answers=ref("JsonSchema"), scope=OPEN)
def get_tool_schema() -> Response:
    """Return the JSON Schema of a tool definition.

    JSON Schema 2020-12. Editors take it from a first line `# yaml-language-server: $schema=` and
    complete, check and explain.
    """
    return answer(json_schema())
