"""The application: a table of contents of its parts, and how they are wired."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from flask import Flask

import toolcatalog
from toolcatalog import api, db, log
from toolcatalog.api import access, browsers, context, measuring, warming
from toolcatalog.api.proxies import TrustedProxies
from toolcatalog.api.shortcut import Shortcut
from toolcatalog.cache.coherence import Coherence, News
from toolcatalog.cache.shared import SharedState, State
from toolcatalog.cache.store import Cache
from toolcatalog.db import Database
from toolcatalog.listener import Listener
from toolcatalog.reload import applying
from toolcatalog.reload.files import Folder
from toolcatalog.reload.leading import Reloader
from toolcatalog.reload.watching import Watcher
from toolcatalog.services import keys
from toolcatalog.services.changes import CHANNEL, read_news
from toolcatalog.services.words import Words
from toolcatalog.settings import InvalidSetting, Settings

_log = logging.getLogger(__name__)
_KEY = "toolcatalog.background"


def create_app(settings: Settings) -> Flask:
    """Make the WSGI application; it connects to nothing and starts no thread before `start`.

    Raises:
        InvalidSetting: without a database; `toolcatalog serve` is who starts the embedded one.
    """
    if settings.database_url is None:
        raise InvalidSetting(
            "DATABASE_URL", "", "set it, or run `toolcatalog serve`, which starts the embedded PostgreSQL"
        )
    log.configure(settings.log_level, settings.log_format)
    app = Flask("toolcatalog", static_folder=None)
    app.url_map.merge_slashes = False  # a path that is not quite one of ours is none of ours
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    log_all = settings.log_requests == "all"
    measuring.install(app, log_all=log_all)  # first: it begins to count the time before all others
    database = db.connect(
        settings.database_url,
        pool_size=settings.db_pool_size,
        max_overflow=settings.db_max_overflow,
        statement_timeout_ms=settings.db_statement_timeout_ms,
    )
    cache = Cache(settings.cache_max_size, settings.cache_ttl_seconds)
    shared = SharedState()
    coherence = Coherence(cache, shared, lambda since: _read_news(database, since))
    folder = Folder(settings.tools_dir)
    warming_up = warming.Warming(app)
    listener = Listener(
        settings.database_url, CHANNEL, coherence, database.outage, lambda: _after_news(app, warming_up)
    )
    context.install(
        app,
        context.Context(
            database=database,
            cache=cache,
            coherence=coherence,
            listener=listener,
            words=Words(),
            folder=folder,
            hot_reload=settings.hot_reload,
            require_if_match=settings.require_if_match,
            waiting_places=threading.BoundedSemaphore(
                max(1, min(settings.max_waiters, settings.threads - 1))
            ),
        ),
    )
    keyring = access.Keyring(lambda: _load_keys(database), lambda: coherence.known().drops)
    guard = access.Guard(keyring, auth=settings.auth, writes_per_minute=settings.max_writes_per_minute)
    guard.install(app)
    browsers.install(app, settings.cors_origins)
    if settings.trusted_proxies:
        app.wsgi_app = TrustedProxies(app.wsgi_app, settings.trusted_proxies)  # type: ignore[method-assign]
    app.wsgi_app = Shortcut(app.wsgi_app, context.of(app), guard, log_all=log_all)  # type: ignore[method-assign]
    app.extensions[_KEY] = _Background(app, settings, shared, listener)
    api.register(app, auth=settings.auth)
    return app


def start(app: Flask, is_leaving: Callable[[], bool] | None = None) -> None:
    """Start the threads of a process, after any fork; harmless when they run.

    `is_leaving` tells whether the process is to end, so that nobody is kept waiting in it.
    """
    if is_leaving is not None:
        context.of(app).listener.is_leaving = is_leaving
    app.extensions[_KEY].start()


def stop(app: Flask) -> None:
    """Stop the threads of a process, and let go of the database."""
    app.extensions[_KEY].stop()
    context.of(app).database.engine.dispose()


class _Background:
    """The threads of a process: one that listens to the database, one that watches the definitions."""

    def __init__(self, app: Flask, settings: Settings, shared: SharedState, listener: Listener) -> None:
        self._app = app
        self._settings = settings
        self._shared = shared
        self._listener = listener
        self._reloader: Reloader | None = None
        self._starting = threading.Lock()
        self._is_started = False

    def start(self) -> None:
        with self._starting:
            if self._is_started:
                return
            self._is_started = True
            if not self._shared.is_shared:
                _log.info(
                    "The application was loaded after the fork, or there was none: other processes hear of a "
                    "change from the database, in milliseconds, or a second if a notification is lost."
                )
            measuring.start(self._app)
            _log.info("A worker starts", extra={"version": toolcatalog.__version__, **self._settings.shown()})
            self._listener.start()
            if self._settings.hot_reload != "off":
                polling = self._settings.hot_reload == "polling"
                watcher = Watcher(self._settings.tools_dir, polling=polling)
                url = self._settings.database_url or ""
                limit = context.of(self._app).folder.limit
                self._reloader = Reloader(url, watcher, limit, lambda trigger: _reload(self._app, trigger))
                self._reloader.start()

    def stop(self) -> None:
        if self._reloader is not None:
            self._reloader.stop()
        self._listener.stop()


def _read_news(database: Database, since: int) -> News:
    with database.read() as connection:
        return read_news(connection, since)


def _load_keys(database: Database) -> keys.Keys:
    with database.read() as connection:
        return keys.load(connection)


def _after_news(app: Flask, warming_up: warming.Warming) -> None:
    warming_up.warm_sometimes()
    measuring.update_gauges(app)


def _reload(app: Flask, trigger: str) -> None:
    parts = context.of(app)
    outcome = applying.apply(parts.database, parts.folder, trigger)
    measuring.note_reload(outcome)
    if outcome.revision is not None:
        parts.coherence.tell(State(outcome.revision, drops=0))
