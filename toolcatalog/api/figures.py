"""The metrics as JSON, of all workers together, whichever of them answers."""

from __future__ import annotations

from typing import Any

from flask import Response, current_app, request
from flask_smorest import Blueprint

from toolcatalog import metrics
from toolcatalog.api import measuring
from toolcatalog.api.answers import answer
from toolcatalog.api.operations import operation
from toolcatalog.schemas.shapes import ref

blueprint = Blueprint(
    "figures", __name__, url_prefix="/api/v1/tools", description="The metrics of the service."
)


@operation(blueprint, "GET", "/metrics", answers=ref("Metrics"))
def get_metrics() -> Response:
    """Return the main figures since the start, as numbers: seconds, milliseconds, shares from 0 to 1.

    They are of all workers of the host that answers. The answer is never cached.
    """
    found = _Figures()
    return _fresh(
        {
            "uptime_seconds": round(found.gauge("uptime_seconds"), 3),
            "tools_loaded_total": int(found.gauge("tools_loaded")),
            "requests_total": int(found.requests()),
            "error_rate": found.error_rate(),
            "response_time_p95_ms": found.milliseconds("api_request_duration_seconds", 0.95),
            "response_time_p99_ms": found.milliseconds("api_request_duration_seconds", 0.99),
            "cache_hit_rate": found.hit_rate(),
            "db_query_time_avg_ms": found.average_milliseconds("db_query_duration_seconds"),
            "db_query_time_p95_ms": found.milliseconds("db_query_duration_seconds", 0.95),
            "db_errors_total": int(found.counter("db_errors")),
            "hot_reloads_total": int(found.counter("hot_reload")),
            "hot_reload_failures_total": int(found.counter("hot_reload_failures")),
        }
    )


@operation(blueprint, "GET", "/performance/stats", answers=ref("PerformanceStats"))
def get_performance_stats() -> Response:
    """Return what cache, database and connections do: shares from 0 to 1, times in milliseconds.

    They are of all workers of the host that answers. The answer is never cached.
    """
    found = _Figures()
    return _fresh(
        {
            "cache_hit_rate": found.hit_rate(),
            "db_query_time_avg": found.average_milliseconds("db_query_duration_seconds"),
            "db_query_time_p95": found.milliseconds("db_query_duration_seconds", 0.95),
            "response_time_p95": found.milliseconds("api_request_duration_seconds", 0.95),
            "error_rate": found.error_rate(),
            "requests_total": int(found.requests()),
            "connection_pool": {
                "size": int(found.gauge("connection_pool_size")),
                "available": int(found.gauge("connection_pool_available")),
                "in_use": int(found.gauge("connection_pool_in_use")),
            },
            "cache": {
                "size": int(found.gauge("cache_size")),
                "max_size": int(found.gauge("cache_max_size")),
                "hits": int(found.counter("cache_hits")),
                "misses": int(found.counter("cache_misses")),
                "hit_rate": found.hit_rate(),
                "evictions": int(found.counter("cache_evictions")),
            },
        }
    )


@operation(
    blueprint,
    "GET",
    "/metrics/prometheus",
    answers={"type": "string"},
    content_types=("text/plain",),
    etag=False,
)
def get_prometheus_metrics() -> Response:
    """Return what `/metrics` does: all metrics of all workers, as Prometheus reads them.

    The text format of Prometheus, or OpenMetrics when `Accept` asks for it.
    """
    text, content_type = measuring.prometheus_text(current_app, request.headers.get("Accept"))
    return Response(text, content_type=content_type)


def _fresh(value: dict[str, Any]) -> Response:
    response = answer(value)
    response.headers["Cache-Control"] = "no-store"
    return response


class _Figures:
    """The metrics as they are at this moment, over all workers."""

    def __init__(self) -> None:
        measuring.update_gauges(current_app)
        self._found = metrics.collect(metrics.current().registry)

    def gauge(self, name: str) -> float:
        return metrics.total(self._found.get(f"tool_catalog_{name}"), f"tool_catalog_{name}")

    def counter(self, name: str) -> float:
        return metrics.total(self._found.get(f"tool_catalog_{name}"), f"tool_catalog_{name}_total")

    def requests(self) -> float:
        return self.counter("api_requests")

    def error_rate(self) -> float:
        return _share(self.counter("api_errors"), self.requests())

    def hit_rate(self) -> float:
        hits = self.counter("cache_hits")
        return _share(hits, hits + self.counter("cache_misses"))

    def milliseconds(self, name: str, share: float) -> float:
        return round(1000 * metrics.quantile(self._found.get(f"tool_catalog_{name}"), share), 3)

    def average_milliseconds(self, name: str) -> float:
        metric = self._found.get(f"tool_catalog_{name}")
        seconds, count = (metrics.total(metric, f"tool_catalog_{name}_{part}") for part in ("sum", "count"))
        return round(1000 * seconds / count, 3) if count else 0.0


def _share(part: float, whole: float) -> float:
    return round(part / whole, 6) if whole else 0.0
