"""gunicorn's settings, from the same environment as the service's own."""

from toolcatalog import app, settings

_settings = settings.load()

bind = (
    f"[{_settings.host}]:{_settings.port}" if ":" in _settings.host else f"{_settings.host}:{_settings.port}"
)
workers = _settings.workers
worker_class = "gthread"
# The application is made once, before the fork: its memory is shared, and with it the catalog's revision.
preload_app = True
threads = _settings.threads
# Longer than a load balancer in front keeps its connections, so that it is not the server who closes first.
keepalive = 75
graceful_timeout = 30
# A worker that gives no sign for so long is killed; its threads may take as long as they want.
timeout = 60
# It would listen under the home folder, which a service's user need not have, for commands nobody here sends.
control_socket_disable = True


def post_worker_init(worker):
    """Start the threads of a worker."""
    app.start(worker.app.callable)


def worker_exit(_server, worker):
    """Stop the threads of a worker, and close its connections."""
    app.stop(worker.app.callable)
