"""The application: a table of contents of its parts, and how they are wired."""

from __future__ import annotations

import threading

from flask import Flask

from toolcatalog import api, db, log
from toolcatalog.api import context
from toolcatalog.listener import Listener
from toolcatalog.services.changes import CHANNEL
from toolcatalog.settings import InvalidSetting, Settings


def create_app(settings: Settings) -> Flask:
    """Make the WSGI application; it connects to nothing and starts no thread before its first request.

    Raises:
        InvalidSetting: without a database; `toolcatalog serve` is who starts the embedded one.
    """
    if settings.database_url is None:
        raise InvalidSetting(
            "DATABASE_URL", "", "set it, or run `toolcatalog serve`, which starts the embedded PostgreSQL"
        )
    log.configure(settings.log_level)
    app = Flask("toolcatalog", static_folder=None)
    app.url_map.merge_slashes = False  # a path that is not quite one of ours is none of ours
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    database = db.connect(
        settings.database_url,
        pool_size=settings.db_pool_size,
        max_overflow=settings.db_max_overflow,
        statement_timeout_ms=settings.db_statement_timeout_ms,
    )
    context.install(
        app,
        context.Context(
            database=database,
            listener=Listener(settings.database_url, CHANNEL),
            require_if_match=settings.require_if_match,
            waiting_places=threading.BoundedSemaphore(max(1, settings.threads // 2)),
        ),
    )
    api.register(app)
    return app
