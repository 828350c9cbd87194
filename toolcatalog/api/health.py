"""Whether the service can answer, for people and for what watches it."""

from __future__ import annotations

from flask import Response
from flask_smorest import Blueprint
from sqlalchemy import func, select

import toolcatalog
from toolcatalog.api import measuring
from toolcatalog.api.answers import answer
from toolcatalog.api.context import current, reading
from toolcatalog.api.operations import OPEN, operation
from toolcatalog.errors import DatabaseUnavailable
from toolcatalog.models import ToolVersion
from toolcatalog.schemas.shapes import ref
from toolcatalog.services.listing import LISTED

blueprint = Blueprint("health", __name__, url_prefix="/health", description="Whether the service can answer.")


@operation(blueprint, "GET", "", answers=ref("Health"), unavailable=ref("Health"), scope=OPEN)
def get_health() -> Response:
    """Say how the service is: 200 when reads can be served, if only from the cache, 503 when not.

    Reads are served without the database too, as far as the cache has them: the status is then
    `degraded`.
    """
    tools = _count_tools()
    held = current().cache.statistics()
    status = _status(is_up=tools is not None)
    health = {
        "status": status,
        "version": toolcatalog.__version__,
        "uptime": round(measuring.uptime_seconds(), 3),
        "revision": current().cache.revision,
        "database": {"status": "down" if tools is None else "up"},
        "cache": {"size": held.size, "max_size": held.max_size},
        "tools": tools,
    }
    return _fresh(health, 503 if status == "unhealthy" else 200)


@operation(blueprint, "GET", "/live", answers=ref("Probe"), scope=OPEN)
def get_liveness() -> Response:
    """Say that the process answers; nothing outside it is asked. Who fails this is to be restarted.

    For the liveness probe of an orchestrator.
    """
    return _fresh({"status": "alive"}, 200)


@operation(blueprint, "GET", "/ready", answers=ref("Probe"), unavailable=ref("Probe"), scope=OPEN)
def get_readiness() -> Response:
    """Say whether requests may be sent here: 200 when reads can be served, 503 when not.

    For the readiness probe of an orchestrator or a load balancer.
    """
    is_ready = _status(is_up=_count_tools() is not None) != "unhealthy"
    return _fresh({"status": "ready" if is_ready else "not ready"}, 200 if is_ready else 503)


def _status(*, is_up: bool) -> str:
    if is_up:
        return "healthy"
    return "degraded" if current().cache.statistics().size else "unhealthy"


def _fresh(value: dict[str, object], status: int) -> Response:
    response = answer(value, status=status)
    response.headers["Cache-Control"] = "no-store"
    return response


def _count_tools() -> int | None:
    try:
        with reading() as connection:
            return connection.scalar(select(func.count()).select_from(ToolVersion).where(LISTED))
    except DatabaseUnavailable:
        return None
