"""The change feed: every committed change, once, in order."""

from __future__ import annotations

from flask import Response
from flask_smorest import Blueprint
from werkzeug.exceptions import TooManyRequests

from toolcatalog.api.answers import answer
from toolcatalog.api.context import current, reading
from toolcatalog.api.operations import operation
from toolcatalog.api.tools import Query
from toolcatalog.core.definition import Document
from toolcatalog.schemas.queries import ChangesQuery
from toolcatalog.schemas.shapes import ref
from toolcatalog.services import changes

blueprint = Blueprint(
    "changes", __name__, url_prefix="/api/v1", description="Every committed change, in order."
)


@operation(blueprint, "GET", "/changes", query=ChangesQuery, answers=ref("Changes"))
def list_changes(query: Query) -> Response:
    """Return the changes after `since`, and the `revision` to go on from; waits for one if there is none.

    Every committed change comes once, in the order of the commits, with the definition before and
    after. With `wait`, the answer comes as soon as there is a change, or empty after so many seconds.
    """
    feed = _read(query["since"], query["limit"])
    if not feed["changes"] and query["wait"] and feed["revision"] <= query["since"]:
        _wait_for_after(query["since"], query["wait"])
        feed = _read(query["since"], query["limit"])
    return answer(feed, revision=feed["revision"])


def _wait_for_after(revision: int, seconds: int) -> None:
    """Wait for a change, while there is room: each that waits holds a thread that others need."""
    places = current().waiting_places
    if places is None:
        raise TooManyRequests("No thread can be spared here for waiting: ask without wait=.", retry_after=1)
    if not places.acquire(blocking=False):
        raise TooManyRequests("Too many requests are waiting for changes here already.", retry_after=1)
    try:
        current().listener.wait_for_after(revision, seconds)
    finally:
        places.release()


def _read(since: int, limit: int) -> Document:
    """Read a page of the feed.

    A `since` that lies ahead of the catalog, as after a restore of an older backup, gives the revision that
    the catalog really has, so that its reader falls back into step.
    """
    with reading() as connection:
        newest = changes.current_revision(connection)
        found = [changes.answer(one) for one in changes.list_since(connection, since, limit)]
    return {"changes": found, "revision": found[-1]["revision"] if found else newest}
