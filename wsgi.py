"""The WSGI entry point: `gunicorn -c deploy/gunicorn.conf.py wsgi:app`."""

from toolcatalog import settings
from toolcatalog.app import create_app

app = create_app(settings.load())
