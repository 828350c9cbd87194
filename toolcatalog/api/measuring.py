"""Measuring: each request counted and timed by its route, and the gauges of a process brought up to date."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from flask import Flask, Response, current_app, g, request
from prometheus_flask_exporter import PrometheusMetrics

import toolcatalog
from toolcatalog import metrics
from toolcatalog.api import context
from toolcatalog.api.context import Context
from toolcatalog.api.proxies import client_address
from toolcatalog.models import Reload

log = logging.getLogger(__name__)

METRICS = "/metrics"
# Scrapes and probes are requests too, but nobody's: counted, there would always be traffic.
_NOT_COUNTED = (METRICS, "/api/v1/tools/metrics/prometheus", "/health", "/health/live", "/health/ready")
_EXPORTER = "toolcatalog.exporter"
_LOG_ALL = "toolcatalog.log_all"
_BUSY_THREADS = "toolcatalog.busy_threads"
# The limit that the alerts hold answers to.
_SLOW_SECONDS = 0.05
# The longest name that a tool can have.
_MAX_TOOL_CHARACTERS = 100
_STARTED = time.time()


def install(app: Flask, *, log_all: bool) -> None:
    """Have the requests of an application measured and logged, and `/metrics` answered.

    Not `log_all`: only changes, errors of the service, and what took longer than 50 ms.
    """
    app.extensions[_LOG_ALL] = log_all
    app.extensions[_BUSY_THREADS] = lambda: 0
    exporter = PrometheusMetrics(None, path=None, export_defaults=False)
    exporter.register_endpoint(METRICS, app)
    app.extensions[_EXPORTER] = exporter
    app.before_request(_begin)
    app.after_request(_end)


def start(app: Flask, busy_threads: Callable[[], int]) -> None:
    """Make the series of all routes, in a process that begins to serve with so many busy threads."""
    counted = metrics.current()
    app.extensions[_BUSY_THREADS] = busy_threads
    app.extensions[_EXPORTER].registry = counted.registry
    counted.begin_routes_at_zero(
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        if rule.rule not in _NOT_COUNTED
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    )
    context.of(app).prober.look()  # a gauge that begins at 0 would say that the database is down
    update_gauges(app)


def update_gauges(app: Flask) -> None:
    """Bring the gauges of this process up to date."""
    counted, parts = metrics.current(), context.of(app)
    held = parts.cache.statistics()
    counted.cache_size.set(held.size)
    counted.cache_max_size.set(held.max_size)
    in_use, most = parts.database.connections_in_use(), parts.database.max_connections
    counted.pool_size.set(most)
    counted.pool_in_use.set(in_use)
    counted.pool_available.set(max(0, most - in_use))
    counted.database_up.set(parts.prober.last.status == "up")
    counted.threads.set(parts.threads)
    counted.threads_busy.set(app.extensions[_BUSY_THREADS]())
    counted.lag_seconds.set(lag_seconds(parts))
    counted.revision.set(parts.cache.revision)
    counted.uptime_seconds.set(uptime_seconds())
    counted.build_info.labels(toolcatalog.__version__).set(1)


def lag_seconds(parts: Context) -> float:
    """Return for how long this process has not followed what is changed; 0.0 while the database is away."""
    if parts.database.outage.is_on or parts.prober.last.status != "up":
        return 0.0
    return parts.listener.lag_seconds()


def note_reload(outcome: Reload) -> None:
    """Count a reading of the folder of definitions, and log one that did something or found a fault."""
    counts = outcome.counts
    if outcome.revision is not None or outcome.errors:
        log.log(
            logging.WARNING if outcome.errors else logging.INFO,
            "Reload (%s): %s of %d files in %.0f ms; %s",
            outcome.trigger,
            outcome.result,
            outcome.files,
            outcome.duration_ms,
            ", ".join(f"{count} {kind}" for kind, count in counts.items()),
            extra={"trigger": outcome.trigger, "result": outcome.result, "errors": outcome.errors[:10]},
        )
    metrics.current().reload_errors.set(len({error["file"] for error in outcome.errors}))
    metrics.current().count_reload(
        outcome.trigger,
        outcome.result,
        outcome.duration_ms / 1000,
        counts["created"] + counts["updated"],
        len(outcome.errors),
    )


def uptime_seconds() -> float:
    """Return how long ago the service was started: before the fork, where it is preloaded."""
    return time.time() - _STARTED


def prometheus_text(app: Flask, accept: str | None) -> tuple[str, str]:
    """Return the metrics of all workers as Prometheus reads them, and the content type of that."""
    text, content_type = app.extensions[_EXPORTER].generate_metrics(accept)
    return text, content_type


def _begin() -> None:
    g.begun = time.perf_counter()
    if request.path in _NOT_COUNTED:
        update_gauges(current_app)


def _end(response: Response) -> Response:
    endpoint = metrics.UNMATCHED if request.url_rule is None else request.url_rule.rule
    if endpoint in _NOT_COUNTED:
        return response
    seconds = time.perf_counter() - g.begun
    status = response.status_code
    metrics.current().count_request(request.method, endpoint, status, seconds)
    if _is_logged(status, seconds):
        asker = Asker(g.get("request_id"), g.get("actor"), client_address(request.environ), tool_asked_for())
        log_request(request.method, endpoint, status, seconds, asker)
    if status >= 500:
        body = response.get_json(silent=True) or {}
        metrics.current().count_error(body.get("code", "other"))
    return response


def tool_asked_for() -> str | None:
    """Return the name or number of a tool as it stands in the request's path; None where it has none."""
    asked = request.view_args or {}
    tool = asked.get("reference", asked.get("name"))
    return None if tool is None else str(tool)[:_MAX_TOOL_CHARACTERS]


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, from where, and for which tool, as a line of the log says it."""

    request_id: str | None
    actor: str | None
    client: str
    tool: str | None


def log_request(method: str, route: str, status: int, seconds: float, asker: Asker) -> None:
    """Log a line of a request."""
    # What a client sent is quoted: it may contain a line break.
    tool = "" if asker.tool is None else f", tool {asker.tool!r}"
    log.log(
        logging.ERROR if status >= 500 else logging.INFO,
        "%s %s %d in %.1f ms (%s) from %s%s",
        method,
        route,
        status,
        1000 * seconds,
        asker.request_id or "-",
        asker.client,
        tool,
        extra={
            "request_id": asker.request_id,
            "actor": asker.actor,
            "client": asker.client,
            "method": method,
            "route": route,
            "tool": asker.tool,
            "status": status,
            "duration_ms": round(1000 * seconds, 1),
        },
    )


def _is_logged(status: int, seconds: float) -> bool:
    is_change = request.method not in ("GET", "HEAD", "OPTIONS")
    return is_change or status >= 500 or seconds > _SLOW_SECONDS or current_app.extensions[_LOG_ALL]
