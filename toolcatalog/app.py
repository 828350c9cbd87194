"""The application: a table of contents of its parts, and how they are wired."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from flask import Flask

import toolcatalog
from toolcatalog import api, db, log
from toolcatalog.api import access, bodies, browsers, context, measuring, warming
from toolcatalog.api.catalog_gauges import CatalogGauges
from toolcatalog.api.proxies import TrustedProxies
from toolcatalog.api.shortcut import Shortcut
from toolcatalog.cache.coherence import Coherence, News
from toolcatalog.cache.shared import SharedState, State
from toolcatalog.cache.store import Cache
from toolcatalog.caretaker import Caretaker
from toolcatalog.db import Database
from toolcatalog.listener import Listener
from toolcatalog.prober import Prober
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
# Those that may ask the database at once: the prober, who reads changes, and the caretaker.
_BACKGROUND_THREADS = 3


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
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes  # of what does not go through `bodies`
    app.config[bodies.MAX_BODY] = settings.max_body_bytes
    app.config[bodies.MAX_IMPORT] = settings.max_import_bytes
    log_all = settings.log_requests == "all"
    measuring.install(app, log_all=log_all)  # first: it begins to count the time before all others
    database = db.connect(
        settings.database_url,
        pool_size=settings.db_pool_size,
        max_overflow=settings.db_max_overflow,
        statement_timeout_ms=settings.db_statement_timeout_ms,
        places=settings.database_places,
    )
    # For what keeps the process in order: it must not wait for the requests, nor they for it.
    background = db.connect(
        settings.database_url,
        pool_size=1,
        max_overflow=_BACKGROUND_THREADS - 1,
        statement_timeout_ms=settings.db_statement_timeout_ms,
        outage=database.outage,
    )
    prober = Prober(background)
    cache = Cache(settings.cache_max_size, settings.cache_ttl_seconds)
    shared = SharedState()
    coherence = Coherence(cache, shared, lambda since: _read_news(background, since))
    folder = Folder(settings.tools_dir)
    keyring = access.Keyring(lambda: _load_keys(background), lambda: coherence.known().drops)
    tasks = [
        lambda: measuring.update_gauges(app),
        CatalogGauges(background).update,
        warming.Warming(app).warm_sometimes,
    ]
    caretaker = Caretaker(tasks if settings.auth == "off" else [*tasks, keyring.refresh])
    listener = Listener(settings.database_url, CHANNEL, coherence, database.outage, caretaker.wake)
    context.install(
        app,
        context.Context(
            database=database,
            prober=prober,
            cache=cache,
            coherence=coherence,
            listener=listener,
            words=Words(),
            folder=folder,
            hot_reload=settings.hot_reload,
            threads=settings.threads,
            require_if_match=settings.require_if_match,
            waiting_places=threading.BoundedSemaphore(settings.waiting_places)
            if settings.waiting_places
            else None,
            export_places=threading.BoundedSemaphore(max(1, settings.db_pool_size // 4)),
            large_import_place=threading.BoundedSemaphore(1),
        ),
    )
    guard = access.Guard(keyring, auth=settings.auth, writes_per_minute=settings.max_writes_per_minute)
    guard.install(app)
    browsers.install(app, settings.cors_origins)
    app.wsgi_app = Shortcut(app.wsgi_app, context.of(app), guard, log_all=log_all)  # type: ignore[method-assign]
    if settings.trusted_proxies:  # outermost: all within see who the client is
        app.wsgi_app = TrustedProxies(app.wsgi_app, settings.trusted_proxies)  # type: ignore[method-assign]
    app.extensions[_KEY] = _Background(app, settings, shared, [prober, listener, caretaker], background)
    api.register(app, auth=settings.auth)
    return app


def start(
    app: Flask,
    is_leaving: Callable[[], bool] = lambda: False,
    busy_threads: Callable[[], int] = lambda: 0,
) -> None:
    """Start the threads of a process, after any fork; harmless when they run.

    `is_leaving` tells whether the process is to end, so that nobody is kept waiting in it; `busy_threads` how
    many of its threads work on a request.
    """
    app.extensions[_KEY].start(is_leaving, busy_threads)


def stop(app: Flask) -> None:
    """Stop the threads of a process, and let go of the database."""
    app.extensions[_KEY].stop()
    context.of(app).database.engine.dispose()


class _Background:
    """The threads of a process that no request has: those given, and one that watches the definitions."""

    def __init__(
        self,
        app: Flask,
        settings: Settings,
        shared: SharedState,
        threads: Sequence[Prober | Listener | Caretaker],
        database: Database,
    ) -> None:
        self._app = app
        self._settings = settings
        self._shared = shared
        self._threads = threads
        self._database = database
        self._reloader: Reloader | None = None
        self._starting = threading.Lock()
        self._is_started = False

    def start(self, is_leaving: Callable[[], bool], busy_threads: Callable[[], int]) -> None:
        with self._starting:
            if self._is_started:
                return
            self._is_started = True
            if not self._shared.is_shared:
                _log.info(
                    "The application was loaded after the fork, or there was none: other processes hear of a "
                    "change from the database, in milliseconds, or a second if a notification is lost."
                )
            context.of(self._app).listener.is_leaving = is_leaving
            measuring.start(self._app, busy_threads)
            _log.info("A worker starts", extra={"version": toolcatalog.__version__, **self._settings.shown()})
            for thread in self._threads:
                thread.start()
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
        for thread in self._threads:
            thread.stop()
        self._database.engine.dispose()


def _read_news(database: Database, since: int) -> News:
    with database.read() as connection:
        return read_news(connection, since)


def _load_keys(database: Database) -> keys.Keys:
    with database.read() as connection:
        return keys.load(connection)


def _reload(app: Flask, trigger: str) -> None:
    parts = context.of(app)
    outcome = applying.apply(parts.database, parts.folder, trigger)
    measuring.note_reload(outcome)
    if outcome.revision is not None:
        parts.coherence.tell(State(outcome.revision, drops=0))
