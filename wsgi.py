"""The WSGI entry point: `gunicorn -c deploy/gunicorn.conf.py wsgi:app`, or any other WSGI server."""

from flask import Flask

from toolcatalog import app as application
from toolcatalog import settings

app: Flask = application.create_app(settings.load())


@app.before_request
def start() -> None:
    """Start the threads of this process, where the server has no hook that did."""
    application.start(app)
