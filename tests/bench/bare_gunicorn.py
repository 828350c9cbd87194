"""The gunicorn settings of the service, for a callable that has no threads to start."""

import runpy

_OF_THE_SERVICE = ("post_worker_init", "worker_exit")
globals().update(
    {
        name: value
        for name, value in runpy.run_path("deploy/gunicorn.conf.py").items()
        if not name.startswith("_") and name not in _OF_THE_SERVICE
    }
)
