"""Whether the service can answer."""

from __future__ import annotations

import time

from flask import Response
from flask_smorest import Blueprint
from sqlalchemy import func, select

import toolcatalog
from toolcatalog.api.answers import answer
from toolcatalog.api.context import current, reading
from toolcatalog.api.operations import operation
from toolcatalog.errors import DatabaseUnavailable
from toolcatalog.models import ToolVersion
from toolcatalog.schemas.answers import ref
from toolcatalog.services.listing import LISTED

blueprint = Blueprint("health", __name__)

_STARTED = time.monotonic()


@operation(blueprint, "GET", "/health", answers=ref("Health"), unavailable=ref("Health"))
def get_health() -> Response:
    """Say whether reads can be served: 200 when they can, if only from the cache, 503 when not."""
    tools = _count_tools()
    is_up = tools is not None
    can_read = is_up or current().cache.statistics().size > 0
    health = {
        "status": "healthy" if is_up else "degraded" if can_read else "unhealthy",
        "version": toolcatalog.__version__,
        "uptime": round(time.monotonic() - _STARTED, 3),
        "database": {"status": "up" if is_up else "down"},
        "tools": tools,
    }
    response = answer(health, status=200 if can_read else 503)
    response.headers["Cache-Control"] = "no-store"
    return response


def _count_tools() -> int | None:
    try:
        with reading() as session:
            return session.scalar(select(func.count()).select_from(ToolVersion).where(LISTED))
    except DatabaseUnavailable:
        return None
