"""What is wrong with an installation, or soon will be: each check looks at one thing, and says what to do.

A check is a function that gives observations; none of them changes anything, and none shows a secret.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import psycopg2
from psycopg2 import extensions
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateIndex

from toolcatalog import embedded, metrics, serve, upgrade
from toolcatalog.core import definition, versions
from toolcatalog.db import plain_connection
from toolcatalog.errors import Finding, FolderHangs, SchemaOutOfDate
from toolcatalog.listener import APPLICATION_NAME
from toolcatalog.models.base import Base
from toolcatalog.reload.files import Folder
from toolcatalog.reload.leading import LOCK
from toolcatalog.settings import InvalidSetting, Settings

OK, WARNING, PROBLEM = "ok", "warning", "problem"

_SLOW_ANSWER_MS = 20.0
_CLOCK_SECONDS = 2.0
_LITTLE_BYTES, _LITTLE_SHARE = 1_000_000_000, 0.1
_TOO_LITTLE_BYTES = 100_000_000
# A table that is smaller is rightly read from end to end, and one that was just filled has been a few times.
_MANY_ROWS, _MANY_SCANS = 10_000, 1_000
_MOST_SHOWN = 10
# File systems on which another machine's changes give no event.
_WITHOUT_EVENTS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "virtiofs", "fuse.sshfs", "ceph", "lustre"}
# As the alert on it has it: a nightly one, and two hours for it to be late.
_BACKUP_SECONDS = 26 * 3600
_INOTIFY = Path("/proc/sys/fs/inotify/max_user_watches")


@dataclass(frozen=True, slots=True)
class Observation:
    """What a check saw: `ok`, `warning` or `problem`, and what to do about it when it is not ok."""

    level: str
    check: str
    seen: str
    advice: str = ""

    def __str__(self) -> str:
        said = self.seen if self.level == OK else f"{self.seen.rstrip('.')}. {self.advice}".strip()
        return f"{self.level:8} {self.check:12} {said}"


def examine(settings: Settings) -> Iterator[Observation]:
    """Look at an installation; gives what was seen as it is seen."""
    yield Observation(OK, "settings", f"{len(settings.shown())} settings, all of them allowed")
    service = serve.health(settings)
    yield exposure(settings)
    yield port(settings, service)
    yield from definitions(settings)
    yield from disks(settings)
    if settings.database_url is None and not embedded.FOLDER.exists():
        yield Observation(OK, "database", "the embedded one is not there yet: `toolcatalog serve` makes it")
        return
    try:
        with embedded.database_url(settings.database_url) as url:
            yield from database(url, settings, service)
    except (embedded.CannotStart, psycopg2.Error, SQLAlchemyError) as error:
        seen = " ".join(str(error.__cause__ or error).split())
        advice = "Is it running, and may this host and this user connect? See DATABASE_URL."
        yield Observation(PROBLEM, "database", seen, advice)


def exposure(settings: Settings) -> Observation:
    """Look whether others can reach a service that wants no keys."""
    try:
        settings.check_exposure([settings.host])
    except InvalidSetting as error:
        return Observation(PROBLEM, "auth", str(error))
    return Observation(OK, "auth", f"AUTH={settings.auth} on {settings.host}")


def port(settings: Settings, service: dict[str, object] | None) -> Observation:
    """Look who has the service's port: nobody, the service, or somebody else."""
    address = f"{settings.host}:{settings.port}"
    if service is not None:
        seen = f"{address} is served by Tool Catalog {service['version']}, which is {service['status']}"
        level = OK if service["status"] == "healthy" else PROBLEM
        return Observation(level, "port", seen, "See /health and the service's log.")
    try:
        serve.check_port(settings.host, settings.port)
    except (InvalidSetting, serve.PortTaken) as error:
        return Observation(PROBLEM, "port", str(error))
    return Observation(OK, "port", f"{address} is free; no service runs there")


def definitions(settings: Settings) -> Iterator[Observation]:
    """Look whether the folder of definitions can be read, and its changes noticed."""
    folder = settings.tools_dir
    if not folder.is_dir():
        yield Observation(PROBLEM, "definitions", f"{folder} is not a folder", "Set TOOLS_DIR.")
        return
    try:
        found, unreadable = Folder(folder).list_all()
    except FolderHangs as error:
        yield Observation(PROBLEM, "definitions", str(error))
        return
    unreadable += [Finding((), "cannot be read", str(path)) for path in found if not os.access(path, os.R_OK)]
    for finding in unreadable:
        yield Observation(
            PROBLEM, "definitions", str(finding), "Let the service's user read it, or remove it."
        )
    if found:
        yield Observation(OK, "definitions", f"{len(found)} files in {folder}")
    else:
        yield Observation(WARNING, "definitions", f"no *.yaml in {folder}", "Is TOOLS_DIR the right folder?")
    yield _watching(folder, settings.hot_reload)


def _watching(folder: Path, hot_reload: str) -> Observation:
    if hot_reload != "on":
        how = "looked for every second" if hot_reload == "polling" else "not looked for"
        return Observation(OK, "watching", f"changes are {how} (HOT_RELOAD={hot_reload})")
    kind = _file_system(folder)
    if kind in _WITHOUT_EVENTS:
        seen = f"{folder} is on {kind}, which does not tell of changes by other machines"
        return Observation(WARNING, "watching", seen, "Set HOT_RELOAD=polling.")
    if not _INOTIFY.exists():
        return Observation(OK, "watching", f"{folder} on {kind}")
    folders, limit = sum(1 for _ in os.walk(folder)), int(_INOTIFY.read_text())
    seen = f"{folders} folders on {kind}, {limit} may be watched (fs.inotify.max_user_watches)"
    level = WARNING if folders > limit // 2 else OK
    return Observation(level, "watching", seen, "Raise the limit with sysctl, or set HOT_RELOAD=polling.")


def _file_system(path: Path) -> str:
    """Return the kind of file system that a path is on."""
    mounts = [
        one for one in psutil.disk_partitions(all=True) if path.resolve().is_relative_to(one.mountpoint)
    ]
    return max(mounts, key=lambda one: len(one.mountpoint)).fstype if mounts else "an unknown file system"


def disks(settings: Settings) -> Iterator[Observation]:
    """Look at the space where the service writes, and where its files are."""
    places = {
        "definitions": settings.tools_dir,
        "metrics": Path(os.environ.get(metrics.FOLDER) or tempfile.gettempdir()),
    }
    if settings.database_url is None:
        places["database"] = embedded.FOLDER
    for what, path in places.items():
        existing = next(each for each in (path, *path.absolute().parents) if each.exists())
        usage = shutil.disk_usage(existing)
        seen = f"{usage.free / 1e9:.1f} GB free ({usage.free / usage.total:.0%}) for the {what}, in {path}"
        yield Observation(_of_space(usage.free, usage.total), "disk", seen, "Make room, or move it.")


def _of_space(free: int, total: int) -> str:
    if free < _TOO_LITTLE_BYTES:
        return PROBLEM
    return WARNING if free < min(_LITTLE_BYTES, _LITTLE_SHARE * total) else OK


def database(url: str, settings: Settings, service: dict[str, object] | None) -> Iterator[Observation]:
    """Look at the database, and at what the service does with it."""
    begun = time.perf_counter()
    with plain_connection(url, "toolcatalog doctor") as connection, connection.cursor() as cursor:
        connected_ms = 1000 * (time.perf_counter() - begun)
        yield answers(cursor, url, connected_ms)
        yield clock(cursor)
        yield connections(cursor, settings)
        migrated = migrations(url)
        yield migrated
        if migrated.level == OK:
            yield from indexes(cursor)
            yield from releases(cursor)
            yield from stored(cursor)
            yield from revision(cursor, settings, service)
            yield last_backup(cursor)
            if settings.auth != "off":
                yield keys(cursor)


def answers(cursor: extensions.cursor, url: str, connected_ms: float) -> Observation:
    """Look what database it is, whether it takes writes, and how long it takes to answer."""
    begun = time.perf_counter()
    (is_standby,) = _row(cursor, "SELECT pg_is_in_recovery()")
    answered_ms = 1000 * (time.perf_counter() - begun)
    version, name = cursor.connection.info.parameter_status("server_version"), make_url(url).database
    seen = (
        f"PostgreSQL {version}, {name}: connected in {connected_ms:.0f} ms, answers in {answered_ms:.1f} ms"
    )
    if is_standby:
        advice = "Name its primary in DATABASE_URL, or both and ?target_session_attrs=read-write."
        return Observation(PROBLEM, "database", f"{seen}; it is a standby, which takes no writes", advice)
    level = WARNING if answered_ms > _SLOW_ANSWER_MS else OK
    return Observation(level, "database", seen, "Is the network between long, or the server overloaded?")


def clock(cursor: extensions.cursor) -> Observation:
    """Compare the clock of this host with that of the database."""
    before = dt.datetime.now(dt.UTC)
    (theirs,) = _row(cursor, "SELECT clock_timestamp()")
    after = dt.datetime.now(dt.UTC)
    ahead = (before + (after - before) / 2 - theirs).total_seconds()
    seen = f"this host is {abs(ahead):.3f} s {'ahead of' if ahead > 0 else 'behind'} the database"
    advice = "Logs and changes will not fit together: synchronize both (chronyc tracking, timedatectl)."
    return Observation(WARNING if abs(ahead) > _CLOCK_SECONDS else OK, "clock", seen, advice)


def connections(cursor: extensions.cursor, settings: Settings) -> Observation:
    """Compare how many connections the service may open with how many the database takes."""
    limit, reserved, others = _row(
        cursor,
        """
        SELECT current_setting('max_connections')::int,
            current_setting('superuser_reserved_connections')::int,
            (SELECT count(*) FROM pg_stat_activity
             WHERE backend_type = 'client backend' AND application_name NOT LIKE 'toolcatalog%')
        """,
    )
    # Five more a worker: one listens, one watches the definitions or waits to, three are for its own upkeep.
    mine = settings.workers * (settings.db_pool_size + settings.db_max_overflow + 5)
    seen = f"this host may open {mine} of {limit - reserved}, {others} are others'"
    level = WARNING if mine + others > limit - reserved else OK
    return Observation(level, "connections", seen, "Lower DB_MAX_OVERFLOW, or raise max_connections.")


def migrations(url: str) -> Observation:
    """Look whether the database has the schema that this code needs."""
    try:
        upgrade.check(url)
    except SchemaOutOfDate as error:
        return Observation(PROBLEM, "migrations", str(error))
    return Observation(OK, "migrations", "the database has the schema that this code needs")


def indexes(cursor: extensions.cursor) -> Iterator[Observation]:
    """Look whether the indexes that the API needs are there, valid, and used."""
    cursor.execute(
        """
        SELECT relname, indisvalid AND indisready
        FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE indrelid = ANY (%s::regclass[])
        """,
        ([table.name for table in Base.metadata.sorted_tables],),
    )
    found: dict[str, bool] = dict(cursor.fetchall())
    expected = _expected_indexes()
    for name, statement in expected.items():
        if name not in found:
            yield Observation(PROBLEM, "indexes", f"{name} is missing", f"Run in psql: {statement};")
    for name, is_valid in found.items():
        if not is_valid:
            advice = f"Run in psql: REINDEX INDEX CONCURRENTLY {name};"
            yield Observation(PROBLEM, "indexes", f"{name} is not valid, and so not used", advice)
    cursor.execute(
        """
        SELECT relname, n_live_tup, seq_scan, coalesce(idx_scan, 0) FROM pg_stat_user_tables
        WHERE n_live_tup > %s AND seq_scan > greatest(%s, idx_scan)
        """,
        (_MANY_ROWS, _MANY_SCANS),
    )
    for table, rows, end_to_end, by_index in cursor.fetchall():
        seen = f"{table}, of {rows} rows, was read {end_to_end} times from end to end, {by_index} by an index"
        yield Observation(WARNING, "indexes", seen, f"Run in psql: ANALYZE {table};")
    (used,) = _row(cursor, "SELECT count(*) FROM pg_stat_user_indexes WHERE idx_scan > 0")
    there = sum(1 for name in expected if found.get(name))
    yield Observation(OK, "indexes", f"{there} of {len(expected)} are there and valid, {used} have been used")


def _expected_indexes() -> dict[str, str]:
    """Return the statement for each index of the models, by its name."""
    dialect = postgresql.dialect()
    return {
        str(index.name): " ".join(str(CreateIndex(index).compile(dialect=dialect)).split())
        for table in Base.metadata.sorted_tables
        for index in sorted(table.indexes, key=lambda index: str(index.name))
    }


def revision(
    cursor: extensions.cursor, settings: Settings, service: dict[str, object] | None
) -> Iterator[Observation]:
    """Look whether the journal of changes is whole, and whether the workers hear of changes."""
    newest, count, state = _row(
        cursor,
        "SELECT coalesce(max(revision), 0), count(revision), (SELECT revision FROM catalog_state)"
        " FROM changes",
    )
    seen = f"the catalog is at revision {state}, with {count} changes, the last of them {newest}"
    advice = "Changes are lost: restore a backup (docs/backup-and-recovery.md)."
    yield Observation(OK if state == newest == count else PROBLEM, "revision", seen, advice)
    listening, leading = _row(
        cursor,
        """
        SELECT (SELECT count(*) FROM pg_stat_activity
                WHERE application_name LIKE %s AND datname = current_database()),
            EXISTS (SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = database
                    WHERE locktype = 'advisory' AND objid = %s AND granted AND datname = current_database())
        """,
        (f"{APPLICATION_NAME}%", LOCK),
    )
    needed = 0 if service is None else settings.workers
    seen = f"{listening} workers of all hosts hear of changes"
    advice = f"{settings.workers} run here: see the service's log for lost connections."
    yield Observation(OK if listening >= needed else PROBLEM, "listener", seen, advice)
    if service is not None and settings.hot_reload != "off":
        seen = "one of them watches the definitions" if leading else "none of them watches the definitions"
        advice = "Wait a second and look again; then see the service's log."
        yield Observation(OK if leading else WARNING, "reloader", seen, advice)


def last_backup(cursor: extensions.cursor) -> Observation:
    """Look how old the last backup is, by the database's own clock."""
    (seconds,) = _row(
        cursor, "SELECT extract(epoch FROM clock_timestamp() - backed_up_at)::float FROM catalog_state"
    )
    advice = (
        "Back up every night: deploy/systemd/tool-catalog-backup.timer or deploy/cron/tool-catalog-backup."
    )
    if seconds is None:
        return Observation(WARNING, "backup", "no `toolcatalog backup` has succeeded yet", advice)
    level = WARNING if seconds > _BACKUP_SECONDS else OK
    return Observation(level, "backup", f"the last one is {seconds / 3600:.1f} hours old", advice)


def releases(cursor: extensions.cursor) -> Iterator[Observation]:
    """Look whether a tool has a release twice, in two spellings, as it could before these were told apart."""
    cursor.execute("SELECT tool_name, version FROM tool_versions WHERE retired_at IS NULL ORDER BY id")
    spellings: dict[tuple[str, str], list[str]] = {}
    for name, version in cursor:
        spellings.setdefault((name, versions.key(version)), []).append(version)
    twice = {name: found for (name, _), found in spellings.items() if len(found) > 1}
    for name, found in twice.items():
        seen = f'"{name}" has one release as versions {" and ".join(found)}'
        too_much = f"{quote(name, safe='')}?version={quote(found[-1], safe='')}"
        advice = f"Retire one of them: DELETE /api/v1/tools/{too_much}"
        yield Observation(WARNING, "releases", seen, advice)
    if not twice:
        yield Observation(OK, "releases", "no tool has one release in two spellings")


def stored(cursor: extensions.cursor) -> Iterator[Observation]:
    """Look whether today's rules would refuse a definition that was allowed when it was written."""
    cursor.execute(
        "SELECT after FROM tool_versions JOIN changes ON changes.id = change_id WHERE retired_at IS NULL "
        "ORDER BY tool_versions.id"
    )
    refused = [finding for (document,) in cursor for finding in _refusal(document)]
    for seen in refused[:_MOST_SHOWN]:
        advice = "It goes on as it is; it has to be mended with the next change."
        yield Observation(WARNING, "stored", seen, advice)
    seen = f"{len(refused)} of the stored definitions would be refused today"
    yield Observation(WARNING if refused else OK, "stored", seen, "See docs/definition-format.md.")


def _refusal(document: dict[str, Any]) -> Iterator[str]:
    """Say of a definition what is wrong with it first, if anything is."""
    for finding in definition.read(document)[1].errors[:1]:
        yield f'"{document["tool_name"]}" {document["version"]}: {finding}'


def keys(cursor: extensions.cursor) -> Observation:
    """Look whether there is a key that opens a service which wants one."""
    (living,) = _row(cursor, "SELECT count(*) FROM api_keys WHERE revoked_at IS NULL")
    advice = "Nobody can use it: make one with `toolcatalog keys add`."
    return Observation(OK if living else WARNING, "keys", f"{living} keys that are not revoked", advice)


def _row(cursor: extensions.cursor, query: str, parameters: tuple[object, ...] = ()) -> tuple[Any, ...]:
    cursor.execute(query, parameters or None)
    row = cursor.fetchone()
    assert row is not None  # noqa: S101 - these queries have one
    return row
