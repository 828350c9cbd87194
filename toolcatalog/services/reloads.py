"""The history of reloads: what is kept of them, and what can be asked of it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, text
from sqlalchemy.orm import Session

from toolcatalog.core.definition import Document
from toolcatalog.models import Reload
from toolcatalog.services import rows

# Some years of a folder that changes a few times a day.
KEPT = 10_000
_ASKED_FOR = ("api", "manual")


def keep(session: Session, reload: Reload) -> None:
    """Keep what came of a reload, unless nobody asked for it and it only says what the last one said."""
    last = find_last(session.connection())
    is_news = reload.revision is not None or last is None or last.errors != reload.errors
    if not is_news and reload.trigger not in _ASKED_FOR:
        return
    session.add(reload)
    session.flush()
    session.execute(delete(Reload).where(Reload.id <= reload.id - KEPT))


def find_last(connection: Connection) -> Row[Any] | None:
    """Find the last reload that was kept."""
    return connection.execute(select(Reload).order_by(Reload.id.desc()).limit(1)).one_or_none()


def list_last(connection: Connection, limit: int) -> list[Row[Any]]:
    """Return the last reloads, the newest first."""
    return list(connection.execute(select(Reload).order_by(Reload.id.desc()).limit(limit)))


def count(connection: Connection) -> int:
    """Count the reloads that are kept."""
    return connection.execute(select(func.count()).select_from(Reload)).scalar_one()


def answer(reload: Reload | Row[Any]) -> Document:
    """Return a reload as it is answered."""
    return {
        "at": rows.timestamp(reload.at) if reload.at is not None else None,
        "trigger": reload.trigger,
        "result": reload.result,
        "host": reload.host,
        "pid": reload.pid,
        "duration_ms": reload.duration_ms,
        "files": reload.files,
        **reload.counts,
        "revision": reload.revision,
        "errors": reload.errors,
        "request_id": reload.request_id,
    }


def find_leader(connection: Connection, lock: int) -> str | None:
    """Find the process that watches the folder, as `host:pid`, by the advisory lock that it holds."""
    name: str | None = connection.scalar(_LEADER, {"lock": lock})
    return None if name is None else name.rpartition(" ")[2]


_LEADER = text(
    """
    SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
    AND (classid::bigint << 32 | objid::bigint) = :lock
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    """
)


def statistics(connection: Connection) -> Document:
    """Count the reloads that are kept."""
    found: dict[str, Any] = dict(connection.execute(_STATISTICS).mappings().one())
    for name in ("since", "last_success_at", "last_failure_at"):
        found[name] = rows.timestamp(found[name]) if found[name] is not None else None
    return found


_STATISTICS = text(
    """
    SELECT
        count(*) AS total,
        count(*) FILTER (WHERE result = 'success') AS succeeded,
        count(*) FILTER (WHERE result <> 'success') AS failed,
        coalesce((
            SELECT json_object_agg(trigger, number)
            FROM (SELECT trigger, count(*) AS number FROM reloads GROUP BY trigger) AS counted
        ), '{}') AS by_trigger,
        coalesce(round(avg(duration_ms)::numeric, 1)::float, 0) AS duration_ms_average,
        coalesce(percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_ms), 0) AS duration_ms_p95,
        min(at) AS since,
        max(at) FILTER (WHERE result = 'success') AS last_success_at,
        max(at) FILTER (WHERE result <> 'success') AS last_failure_at
    FROM reloads
    """
)
