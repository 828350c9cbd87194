"""gunicorn's settings, from the same environment as the service's own."""

import os
import resource
import shutil
import sys
import tempfile

from toolcatalog import app, log, metrics, parent, settings, worker

try:
    _settings = settings.load()
except settings.InvalidSetting as error:
    sys.exit(f"toolcatalog: {error}")

bind = (
    f"[{_settings.host}]:{_settings.port}" if ":" in _settings.host else f"{_settings.host}:{_settings.port}"
)
workers = _settings.workers
logconfig_dict = log.configuration(_settings.log_level, _settings.log_format)
logger_class = worker.Log
worker_class = worker.Worker
# The application is made once, before the fork: its memory is shared, and with it the catalog's revision.
preload_app = True
threads = _settings.threads
# As many connections as there are file descriptors for, beside those of the database, the files and the log.
_, _limit = resource.getrlimit(resource.RLIMIT_NOFILE)
_limit = 65_536 if _limit == resource.RLIM_INFINITY else min(_limit, 65_536)
resource.setrlimit(resource.RLIMIT_NOFILE, (_limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
worker_connections = min(10_000, max(_limit - 300, _limit // 2))
# Longer than a load balancer in front keeps its connections, so that it is not the server who closes first.
keepalive = 75
graceful_timeout = 30
# A worker that gives no sign for so long is killed; its threads may take as long as they want.
timeout = 60
limit_request_field_size = _settings.max_header_bytes
# A worker is replaced after so many requests, not all at the same time: what a library leaks stays bounded.
max_requests = 1_000_000
max_requests_jitter = 100_000
# It would listen under the home folder, which a service's user need not have, for commands nobody here sends.
control_socket_disable = True


def on_starting(_server):
    """Make an empty folder for the workers' metrics; end with `toolcatalog serve`, if that is the parent."""
    parent.end_with_it()
    os.environ[metrics.FOLDER] = tempfile.mkdtemp(prefix="toolcatalog-metrics-")


def when_ready(server):
    """Refuse to serve without keys where others can reach it, whoever opened the socket."""
    names = [listener.sock.getsockname() for listener in server.LISTENERS]
    try:
        _settings.check_exposure(name[0] for name in names if isinstance(name, tuple))
    except settings.InvalidSetting as error:
        shutil.rmtree(os.environ[metrics.FOLDER], ignore_errors=True)
        sys.exit(f"toolcatalog: {error}")


def pre_fork(server, worker):
    """Give a worker the lowest slot that no living one has."""
    taken = {other.slot for other in server.WORKERS.values()}
    worker.slot = next(slot for slot in range(len(taken) + 1) if slot not in taken)


def post_fork(_server, worker):
    """Have a worker count in the files of its slot."""
    metrics.use_slot(str(worker.slot))


def post_worker_init(worker):
    """Start the threads of a worker."""
    app.start(worker.app.callable, is_leaving=lambda: not worker.alive, busy_threads=worker.busy_threads)


def worker_exit(_server, worker):
    """Stop the threads of a worker, and close its connections."""
    app.stop(worker.app.callable)


def child_exit(_server, worker):
    """Take a worker that ended out of the gauges, however it ended."""
    metrics.forget_slot(str(worker.slot))


def on_exit(_server):
    """Remove the files of the metrics."""
    shutil.rmtree(os.environ[metrics.FOLDER], ignore_errors=True)
