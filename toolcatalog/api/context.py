"""What a view needs from around it: the database, who asks, and the request's id."""

from __future__ import annotations

import logging
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flask import Flask, Response, current_app, g, request
from sqlalchemy import Connection
from werkzeug.exceptions import NotFound

from toolcatalog.cache.coherence import Coherence
from toolcatalog.cache.store import Cache
from toolcatalog.db import Database
from toolcatalog.listener import Listener
from toolcatalog.prober import Prober
from toolcatalog.reload.files import Folder
from toolcatalog.services.changes import Actor, Journal
from toolcatalog.services.words import Words

log = logging.getLogger(__name__)

_KEY = "toolcatalog"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:+/=-]{1,128}")


@dataclass(frozen=True, slots=True)
class Context:
    """The parts that views use, made once for an application."""

    database: Database
    prober: Prober
    cache: Cache
    coherence: Coherence
    listener: Listener
    words: Words
    folder: Folder
    hot_reload: str
    threads: int
    require_if_match: bool
    # None where no thread can be spared for it.
    waiting_places: threading.Semaphore | None
    export_places: threading.Semaphore
    large_import_place: threading.Semaphore


def install(app: Flask, context: Context) -> None:
    """Give an application its context, and each of its requests an id."""
    app.extensions[_KEY] = context
    app.before_request(_take_request_id)
    app.before_request(_refuse_nul)
    app.after_request(_answer_request_id)


def of(app: Flask) -> Context:
    """Return the context of an application."""
    context: Context = app.extensions[_KEY]
    return context


def current() -> Context:
    """Return the context of the application that answers this request."""
    return of(current_app)


@contextmanager
def reading() -> Iterator[Connection]:
    """Open one snapshot of the catalog."""
    with current().database.read() as connection:
        yield connection


@contextmanager
def changing() -> Iterator[Journal]:
    """Open a journal in the name of whoever asks; it is closed and committed when the block ends."""
    parts = current()
    with parts.database.write() as session:
        journal = Journal(session, Actor(g.actor, g.request_id))
        yield journal
        journal.close()
    # Before anything else: who was answered finds it here through every worker, and nothing may come between.
    parts.coherence.tell_changes(journal.revision, journal.seen())
    _log_changes(journal)


def _log_changes(journal: Journal) -> None:
    """Log what was committed: a line for each change, or one for all of an import."""
    for change in journal.changes:
        log.info(
            "%s %s %s by %s, revision %d",
            change.action, change.tool_name, change.version, change.actor, change.revision,
            extra={
                "request_id": change.request_id, "action": change.action, "tool_name": change.tool_name,
                "version": change.version, "actor": change.actor, "revision": change.revision,
            },
        )  # fmt: skip
    if journal.change_ids:
        log.info(
            "%d changes up to revision %d by %s",
            len(journal.change_ids), journal.revision, journal.actor.name,
            extra={"request_id": g.request_id, "revision": journal.revision},
        )  # fmt: skip


def request_id(given: str) -> str:
    """Return the id that a client gave a request if it can stand in a log line, or else a new one."""
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16)


def _take_request_id() -> None:
    g.request_id = request_id(request.headers.get("X-Request-ID", ""))


def _refuse_nul() -> None:
    """Answer at once what no name here can contain, and PostgreSQL could not even look for."""
    if "\x00" in request.path:
        raise NotFound("There is nothing at a path that contains NUL.")


def _answer_request_id(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    return response
