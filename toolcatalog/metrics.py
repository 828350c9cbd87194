"""The metrics, summed over all workers of a gunicorn master. Names and labels are promised (docs/metrics.md).

Each process writes its values to files of its own, which a scrape adds up (prometheus_client's multiprocess
mode). The files are named after a worker's slot, not its process id: the successor of a recycled worker goes
on counting in the same file, so that a scrape after 500 recycles reads no more files than after none.

Values are made when a process first uses them, never at import: under a preloading master they would be the
master's, and the least of all pools would be that of a process that has none.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

FOLDER = "PROMETHEUS_MULTIPROC_DIR"

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER_METHOD = "OTHER"
UNMATCHED = "unmatched"
# Errors of the service, by the `code` of the answer; those of its clients are not its errors.
API_ERRORS = (
    "database_unavailable",
    "database_busy",
    "out_of_date",
    "no_rights",
    "internal_server_error",
    "other",
)
DB_OPERATIONS = ("select", "insert", "update", "delete", "other")
DB_ERRORS = ("unavailable", "timeout", "conflict", "other")
LOADS = (("database", "success"), ("database", "failure"), ("file", "success"), ("file", "failure"))
TRIGGERS = ("startup", "file", "manual", "api", "periodic")
RESULTS = ("success", "partial", "failure")
REFUSALS = ("missing", "unknown", "revoked", "scope", "throttled", "too_many_writes")

# The thresholds of the alerts, 0.05 and 0.1 s, stand among the bounds, so that no alert interpolates.
_REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_QUERY_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_RELOAD_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

_slot = "master"
_current: Metrics | None = None
_making = threading.Lock()


class Metrics:
    """The metrics of a process. Each gauge says how those of several workers are put together."""

    def __init__(self) -> None:
        if FOLDER in os.environ:
            values.ValueClass = values.MultiProcessValue(lambda: _slot)
        self.registry = CollectorRegistry()
        self.requests = self._counter(
            "api_requests", "Requests that were answered.", "method", "endpoint", "status"
        )
        self.request_seconds = self._histogram(
            "api_request_duration_seconds", "How long answers took.", _REQUEST_SECONDS, "method", "endpoint"
        )
        self.errors = self._counter("api_errors", "Answers with a status of 500 or more.", "error_type")
        self.refusals = self._counter(
            "auth_refusals", "Requests that were refused for their API key, or for how many there were.",
            "reason",
        )  # fmt: skip
        self.cache_hits = self._counter("cache_hits", "Reads that the cache answered.")
        self.cache_misses = self._counter("cache_misses", "Reads that the cache could not answer.")
        self.cache_evictions = self._counter("cache_evictions", "Answers that went to make room for others.")
        self.cache_size = self._gauge("cache_size", "Answers in the fullest cache of a worker.", "livemax")
        self.cache_max_size = self._gauge(
            "cache_max_size", "Answers that a worker's cache holds at most.", "livemax"
        )
        self.query_seconds = self._histogram(
            "db_query_duration_seconds",
            "How long statements took in PostgreSQL.",
            _QUERY_SECONDS,
            "operation",
        )
        self.db_errors = self._counter("db_errors", "Transactions that PostgreSQL ended.", "error_type")
        self.pool_size = self._gauge(
            "connection_pool_size", "Connections that a worker may have open at most.", "livemax"
        )
        self.pool_available = self._gauge(
            "connection_pool_available", "Connections free in the worker that has the fewest.", "livemin"
        )
        self.pool_in_use = self._gauge(
            "connection_pool_in_use", "Connections in use by all workers together.", "livesum"
        )
        self.database_up = self._gauge(
            "database_up", "1 when the worker's last look at PostgreSQL succeeded, not long ago.", "livemin"
        )
        self.database_refusals = self._counter(
            "database_refusals", "Requests refused because too many wait for PostgreSQL in the worker."
        )
        self.threads = self._gauge("threads", "Threads of a worker.", "livemax")
        self.threads_busy = self._gauge(
            "threads_busy", "Threads that work on a request, in the busiest worker.", "livemax"
        )
        self.lag_seconds = self._gauge(
            "lag_seconds", "For how long a worker has known of a change that it cannot follow.", "livemax"
        )
        self.loads = self._counter(
            "tool_loads", "Answers rendered from the database; definitions taken in from files.",
            "source", "result",
        )  # fmt: skip
        self.load_seconds = self._histogram(
            "tool_load_duration_seconds", "How long it took to render an answer from the database.",
            _REQUEST_SECONDS,
        )  # fmt: skip
        self.tools_loaded = self._gauge(
            "tools_loaded", "Tools in the catalog, as last counted.", "livemostrecent"
        )
        self.reloads = self._counter(
            "hot_reload", "Readings of the folder of definitions.", "trigger", "result"
        )
        self.reload_failures = self._counter(
            "hot_reload_failures", "Readings of the folder that found a file that is wrong."
        )
        self.reload_seconds = self._histogram(
            "hot_reload_duration_seconds", "How long a reading of the folder took.", _RELOAD_SECONDS
        )
        self.reload_errors = self._gauge(
            "reload_errors", "Files of definitions that are wrong, as of the last reload.", "livemostrecent"
        )
        self.revision = self._gauge("revision", "The last change that a worker has heard of.", "liveall")
        # By the database, since a gauge without labels would be 0 from the start: a backup of this moment.
        self.backup_age_seconds = self._gauge(
            "backup_age_seconds",
            "Seconds since the last `toolcatalog backup`; missing until there was one.",
            "livemostrecent",
            "database",
        )
        self.uptime_seconds = self._gauge(
            "uptime_seconds", "Seconds since the service was started.", "livemax"
        )
        self.build_info = self._gauge("build_info", "1, by the version that runs.", "livemax", "version")
        self._begin_at_zero()

    def _counter(self, name: str, says: str, *labels: str) -> Counter:
        return Counter(f"tool_catalog_{name}", says, labels, registry=self.registry)

    def _histogram(self, name: str, says: str, bounds: Iterable[float], *labels: str) -> Histogram:
        return Histogram(f"tool_catalog_{name}", says, labels, buckets=tuple(bounds), registry=self.registry)

    def _gauge(self, name: str, says: str, mode: str, *labels: str) -> Gauge:
        return Gauge(
            f"tool_catalog_{name}", says, labels, registry=self.registry,
            multiprocess_mode=mode,  # type: ignore[arg-type] # our callers name the modes that there are
        )  # fmt: skip

    def _begin_at_zero(self) -> None:
        """Make the series that alerts read: one that first appears at 1 has not risen, for Prometheus."""
        self.database_up.set(1)  # until a look says otherwise: of several workers the least counts
        for error_type in API_ERRORS:
            self.errors.labels(error_type)
        for reason in REFUSALS:
            self.refusals.labels(reason)
        for error_type in DB_ERRORS:
            self.db_errors.labels(error_type)
        for operation in DB_OPERATIONS:
            self.query_seconds.labels(operation)
        for load in LOADS:
            self.loads.labels(*load)
        for trigger in TRIGGERS:
            for result in RESULTS:
                self.reloads.labels(trigger, result)

    def begin_routes_at_zero(self, routes: Iterable[tuple[str, str]]) -> None:
        """Make the series of the routes (method, endpoint), with the statuses that alerts tell apart."""
        for method, endpoint in routes:
            for status in ("200", "500", "503"):
                self.requests.labels(method, endpoint, status)

    def count_request(self, method: str, endpoint: str, status: int, seconds: float) -> None:
        """Count an answer; `endpoint` is the route, or `UNMATCHED`."""
        method = method if method in METHODS else OTHER_METHOD
        self.requests.labels(method, endpoint, str(status)).inc()
        self.request_seconds.labels(method, endpoint).observe(seconds)

    def count_error(self, code: str) -> None:
        """Count an error of the service by the code of its answer."""
        self.errors.labels(code if code in API_ERRORS else "other").inc()

    def count_refusal(self, reason: str) -> None:
        """Count a request that was refused before it was looked at; `reason` is one of `REFUSALS`."""
        self.refusals.labels(reason).inc()

    def count_reload(self, trigger: str, result: str, seconds: float, loaded: int, failed: int) -> None:
        """Count a reading of the folder, and the definitions that it took in and that it refused."""
        self.reloads.labels(trigger, result).inc()
        self.reload_seconds.observe(seconds)
        self.loads.labels("file", "success").inc(loaded)
        self.loads.labels("file", "failure").inc(failed)
        if result != "success":
            self.reload_failures.inc()


def current() -> Metrics:
    """Return the metrics of this process, which are made at the first call."""
    global _current  # noqa: PLW0603 - one for each process, as prometheus_client has it
    if _current is None:
        with _making:
            if _current is None:
                _current = Metrics()
    return _current


def use_slot(slot: str) -> None:
    """Say which worker this process is; called in it after the fork, before anything is counted."""
    global _slot  # noqa: PLW0603
    _slot = slot


def forget_slot(slot: str) -> None:
    """Take the gauges of a worker that ended out of the sums; its counters stay. Called in the master."""
    mark_process_dead(slot)


def collect(registry: CollectorRegistry) -> Mapping[str, Metric]:
    """Return all metrics by name, put together over all workers."""
    if FOLDER in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
    return {metric.name: metric for metric in registry.collect()}


def total(metric: Metric | None, name: str, **labels: str) -> float:
    """Add up a metric's samples of a name whose labels are these; 0.0 without any."""
    samples = metric.samples if metric is not None else []
    return sum(
        sample.value
        for sample in samples
        if sample.name == name and all(sample.labels.get(key) == value for key, value in labels.items())
    )


def quantile(metric: Metric | None, share: float) -> float:
    """Estimate a quantile of a histogram over all its labels, as PromQL's `histogram_quantile` does.

    Linear within a bucket; the highest finite bound when it lies beyond; 0.0 for a histogram of nothing.
    """
    buckets: dict[float, float] = {}
    for sample in metric.samples if metric is not None else []:
        if sample.name.endswith("_bucket"):
            bound = float(sample.labels["le"])
            buckets[bound] = buckets.get(bound, 0.0) + sample.value
    rank = share * buckets.get(float("inf"), 0.0)
    below, low = 0.0, 0.0
    for bound in sorted(buckets):
        if buckets[bound] >= rank > below:
            return (
                low
                if bound == float("inf")
                else low + (bound - low) * (rank - below) / (buckets[bound] - below)
            )
        below, low = buckets[bound], bound
    return 0.0
