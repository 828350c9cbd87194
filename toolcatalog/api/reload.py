"""Hot reload over HTTP: asking for one, and what became of those that were."""

from __future__ import annotations

import time

from flask import Response, g
from flask_smorest import Blueprint
from sqlalchemy import text

from toolcatalog.api import measuring
from toolcatalog.api.answers import answer
from toolcatalog.api.context import Context, current, reading
from toolcatalog.api.operations import TOTAL_HEADER, operation
from toolcatalog.api.tools import Query
from toolcatalog.cache.shared import State
from toolcatalog.listener import APPLICATION_NAME
from toolcatalog.reload import applying
from toolcatalog.reload.leading import LOCK, PERIOD_SECONDS
from toolcatalog.schemas.queries import ReloadHistoryQuery, ReloadQuery
from toolcatalog.schemas.shapes import listed, ref
from toolcatalog.services import changes, reloads, tools
from toolcatalog.services.tools import Reference

blueprint = Blueprint(
    "reload",
    __name__,
    url_prefix="/api/v1/tools/reload",
    description="Hot reload of the definitions' folder.",
)

# A worker hears of a reload in milliseconds; one that does not within this time is stuck, and is said to be.
_WORKERS_HEAR_WITHIN_SECONDS = 5.0


@operation(
    blueprint, "POST", "", query=ReloadQuery, answers=ref("ReloadReport"), problems=(404, 409), scope="admin"
)
def reload_tools(query: Query) -> Response:
    """Re-read the definitions and drop the caches; answers when every worker has it.

    The folder of the host that answers is read, and what is new in it is applied. `workers_behind` is 0
    when every worker of every host answers from it.
    """
    parts = current()
    only = query.get("tool_name")
    outcome = applying.apply(
        parts.database,
        parts.folder,
        "api",
        only=only,
        accept_removals=query["accept_removals"],
        request_id=g.request_id,
    )
    measuring.note_reload(outcome)
    with parts.database.write() as session:
        state = changes.drop_caches(session, parts.coherence.known().drops)
    parts.coherence.tell(state)
    behind = _wait_for_workers(parts, state)
    with reading() as connection:
        if only is not None:
            tools.get(connection, Reference(name=only))
    return answer({**reloads.answer(outcome), "workers_behind": behind}, revision=state.revision)


def _wait_for_workers(parts: Context, state: State) -> int:
    """Wait until every worker of every host has dropped its cache; returns how many have not in time."""
    deadline = time.monotonic() + _WORKERS_HEAR_WITHIN_SECONDS
    while True:
        with parts.database.read() as connection:
            behind = connection.scalar(_BEHIND, {"name": f"{APPLICATION_NAME} %", "drops": state.drops}) or 0
        if not behind or time.monotonic() > deadline:
            return int(behind)
        time.sleep(0.01)


# Each worker's listener carries in its name how often it has dropped its cache.
_BEHIND = text(
    """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE :name
    AND split_part(application_name, ' ', 3)::bigint < :drops
    """
)


@operation(blueprint, "GET", "/status", answers=ref("ReloadStatus"))
def get_reload_status() -> Response:
    """Say who watches the folder, what the last reload did, and what is wrong in which file.

    The errors are all that are in the folder after the last reload, also those that an earlier one
    found.
    """
    parts = current()
    with reading() as connection:
        last = reloads.find_last(connection)
        leader = reloads.find_leader(connection, LOCK)
    status = {
        "hot_reload": parts.hot_reload,
        "folder": str(parts.folder.path),
        "leader": leader,
        "period_seconds": PERIOD_SECONDS,
        "last_reload": None if last is None else reloads.answer(last),
        "errors": [] if last is None else last.errors,
    }
    return answer(status)


@operation(
    blueprint,
    "GET",
    "/history",
    query=ReloadHistoryQuery,
    answers=listed(ref("Reload")),
    headers=TOTAL_HEADER,
)
def get_reload_history(query: Query) -> Response:
    """List the last reloads, of all hosts and before any restart, the newest first.

    The last 10,000 are kept; one that found nothing new, and that nobody asked for, is not.
    """
    with reading() as connection:
        last = reloads.list_last(connection, query["limit"])
        total = reloads.count(connection)
    response = answer([reloads.answer(one) for one in last])
    response.headers["X-Total-Count"] = str(total)
    return response


@operation(blueprint, "GET", "/statistics", answers=ref("ReloadStatistics"))
def get_reload_statistics() -> Response:
    """Count the reloads of the history: by result, by trigger, and how long they took.

    What is counted are the reloads that are kept.
    """
    with reading() as connection:
        return answer(reloads.statistics(connection))
