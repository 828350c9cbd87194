"""Whether the service can answer, for people and for what watches it.

Nothing here waits for the database: `prober` looks at it.
"""

from __future__ import annotations

from flask import Response
from flask_smorest import Blueprint

import toolcatalog
from toolcatalog.api import measuring
from toolcatalog.api.answers import answer
from toolcatalog.api.context import current
from toolcatalog.api.operations import OPEN, operation
from toolcatalog.prober import Probe
from toolcatalog.schemas.shapes import ref

blueprint = Blueprint("health", __name__, url_prefix="/health", description="Whether the service can answer.")

# A worker that cannot follow for so long, with a database that is up, shows what no longer is.
_MAX_LAG_SECONDS = 10.0


@operation(blueprint, "GET", "", answers=ref("Health"), unavailable=ref("Health"), scope=OPEN)
def get_health() -> Response:
    """Say how the service is: 200 when reads can be served, if only from the cache, 503 when not.

    Reads are served without the database too, as far as the cache has them: the status is then
    `degraded`.
    """
    probe, held = current().prober.look(), current().cache.statistics()
    status = _status(probe)
    health = {
        "status": status,
        "version": toolcatalog.__version__,
        "uptime": round(measuring.uptime_seconds(), 3),
        "revision": current().cache.revision,
        "lag_seconds": round(measuring.lag_seconds(current()), 3),
        "database": _database(probe),
        "cache": {"size": held.size, "max_size": held.max_size},
        "tools": probe.tools if probe.status == "up" else None,
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
    """Say whether requests may be sent here: 503 when reads cannot be served, or show what is no longer so.

    For the readiness probe of an orchestrator or a load balancer.
    """
    is_ready = _status(current().prober.look()) != "unhealthy" and not _is_left_behind()
    return _fresh({"status": "ready" if is_ready else "not ready"}, 200 if is_ready else 503)


def _database(probe: Probe) -> dict[str, object]:
    detail = {} if probe.detail is None else {"detail": probe.detail}
    return {"status": probe.status, "checked_seconds_ago": round(probe.age_seconds, 3), **detail}


def _status(probe: Probe) -> str:
    if probe.status == "up":
        return "degraded" if _is_left_behind() else "healthy"
    return "degraded" if current().cache.statistics().size else "unhealthy"


def _is_left_behind() -> bool:
    """Tell whether this worker does not follow what others change, although the database is there."""
    return measuring.lag_seconds(current()) > _MAX_LAG_SECONDS


def _fresh(value: dict[str, object], status: int) -> Response:
    response = answer(value, status=status)
    response.headers["Cache-Control"] = "no-store"
    return response
