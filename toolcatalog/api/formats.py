"""The format of definitions, as JSON Schema, for editors and clients."""

from __future__ import annotations

from flask import Response
from flask_smorest import Blueprint

from toolcatalog.api.answers import answer
from toolcatalog.api.operations import OPEN, operation
from toolcatalog.core.definition import json_schema

blueprint = Blueprint("formats", __name__, url_prefix="/api/v1/schema")


@operation(blueprint, "GET", "/tool.json", answers={"type": "object"}, scope=OPEN)
def get_tool_schema() -> Response:
    """Return the JSON Schema of a tool definition."""
    return answer(json_schema())
