"""Restoring a backup: into an empty database, or in the place of a catalog, in one transaction or not at all.

A service may run on that database: nobody is told anything wrong before, meanwhile or afterwards.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from psycopg2 import extensions

from toolcatalog import backup
from toolcatalog.backup import APPLICATION_NAME, Backup, CannotRestore, Table
from toolcatalog.db import plain_connection
from toolcatalog.errors import DatabaseUnavailable
from toolcatalog.models.base import Base
from toolcatalog.models.changes import CatalogState
from toolcatalog.models.keys import ApiKey
from toolcatalog.services.changes import CHANNEL


@dataclass(frozen=True, slots=True)
class Target:
    """A database into which a backup is to be restored: what it is called, and what is in it now."""

    name: str
    server_version: int
    tables: tuple[Table, ...]
    summary: str
    revoked_keys: tuple[str, ...]


def look_at(url: str, source: Backup, *, replace: bool) -> Target:
    """Look at the database that a backup is to go into.

    Raises:
        CannotRestore: when something is in it, unless that is a catalog and `replace` says that it may go.
    """
    with plain_connection(url, APPLICATION_NAME) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT schemaname, tablename FROM pg_tables"
            " WHERE schemaname <> 'information_schema' AND schemaname !~ '^pg_' ORDER BY 1, 2"
        )
        tables = tuple((schema, name) for schema, name in cursor.fetchall())
        name = connection.info.dbname
        version = connection.server_version
        known = {*(table.name for table in Base.metadata.sorted_tables), *(name for _, name in source.tables)}
        others = [f"{schema}.{name}" for schema, name in tables if name not in known]
        if others:
            raise CannotRestore(
                f"The database {name} has tables that are not the catalog's: {', '.join(others)}. "
                "Restore into a database of its own."
            )
        summary = _summary(cursor, {name for _, name in tables})
        if tables and not replace:
            raise CannotRestore(
                f"The database {name} is not empty: {summary}. Restore into an empty one, or replace what "
                "is there with --replace."
            )
        return Target(name, version, tables, summary, _revoked_keys(cursor, {name for _, name in tables}))


def _summary(cursor: extensions.cursor, tables: set[str]) -> str:
    if not {"catalog_state", "tools", "changes"} <= tables:
        return f"{len(tables)} tables"
    cursor.execute(
        "SELECT count(*), (SELECT revision FROM catalog_state), (SELECT max(at) FROM changes) FROM tools"
    )
    tools, revision, at = cursor.fetchone() or (0, 0, None)
    return f"{tools} tools at revision {revision}" + (f", last changed {at:%Y-%m-%d %H:%M %Z}" if at else "")


def _revoked_keys(cursor: extensions.cursor, tables: set[str]) -> tuple[str, ...]:
    if "api_keys" not in tables:
        return ()
    cursor.execute("SELECT id FROM api_keys WHERE revoked_at IS NOT NULL")
    return tuple(id_ for (id_,) in cursor.fetchall())


def run(url: str, source: Backup, target: Target, on_bytes: Callable[[int], object]) -> None:
    """Put a backup in the place of what is in a database, in one transaction; running services take note.

    A key that was revoked stays revoked. `on_bytes` hears how much of the script has been run.

    Raises:
        CannotRestore: when the file turns out not to be whole.
        DatabaseUnavailable: when the database does not take it.
    """
    folder = backup.programs(target.server_version)
    command, environment = backup.program(folder, "psql", url)
    arguments = ["--no-psqlrc", "--quiet", *_variables(source, target)]
    with tempfile.TemporaryFile("w+") as said:
        with subprocess.Popen(  # noqa: S603 - PostgreSQL's own program
            [*command, *arguments],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=said,
        ) as writing:
            assert writing.stdin is not None  # noqa: S101 - for mypy: it is a pipe
            # Without the COMMIT, which only a whole script is followed by, nothing has happened.
            with suppress(BrokenPipeError), writing.stdin:
                writing.stdin.write(_before(target).encode())
                with backup.open_script(source.path, folder) as script:
                    for line in _adapted(script, target.server_version):
                        on_bytes(len(line))
                        writing.stdin.write(line)
                writing.stdin.write(_AFTER)
        if writing.returncode != 0:
            said.seek(0)
            reason = _first_error(said.read())
            raise DatabaseUnavailable(f"Nothing was restored, and the database is as it was: {reason}")


def _adapted(script: Iterable[bytes], server_version: int) -> Iterator[bytes]:
    """Give a script's lines as they are to be run.

    Rows are written frozen: a reader that has taken its snapshot, and waits for a table that is being
    replaced, would find the new one empty otherwise. A setting that this server lacks yet is left out.
    """
    is_data = False
    for line in script:
        if is_data:
            is_data = line != b"\\.\n"
        elif line.startswith(b"COPY ") and line.endswith(b" FROM stdin;\n"):
            is_data = True
            yield line.removesuffix(b";\n") + b" WITH (FREEZE);\n"
            continue
        elif line == b"SET transaction_timeout = 0;\n" and server_version < 17_00_00:
            continue
        yield line


def _before(target: Target) -> str:
    if not target.tables:
        return "BEGIN;\n"
    tables = ", ".join(map(_quoted, target.tables))
    return f"BEGIN;\n{_LOCK.replace(':tables', tables)}DROP TABLE {tables} CASCADE;\n"


# All tables at once, or none: who waited for one with others in his hand would meet those who hold that one
# and want these. Who asks for a table after this waits until it is replaced.
_LOCK = """
DO $$
DECLARE deadline timestamptz := clock_timestamp() + interval '60 s';
BEGIN
    LOOP
        BEGIN
            LOCK TABLE :tables IN ACCESS EXCLUSIVE MODE NOWAIT;
            EXIT;
        EXCEPTION WHEN lock_not_available THEN
            IF clock_timestamp() > deadline THEN RAISE; END IF;
        END;
        PERFORM pg_sleep(0.01);
    END LOOP;
END $$;
"""

# psql puts its variables in. Every cache is to forget what it has, also where the revision does not tell that
# it went back. How many drops the running workers know of cannot be known here when the old database is lost:
# the time in milliseconds is above any number that was counted, and above that of an earlier restore.
_AFTER = b"""
UPDATE :keys SET revoked_at = now() WHERE revoked_at IS NULL AND id = ANY (:'revoked'::text[]);
UPDATE :state SET drops = greatest(drops, 1000 * extract(epoch FROM clock_timestamp())::bigint) + 1;
SELECT pg_notify(:'channel', revision::text) FROM :state;
ANALYZE;
COMMIT;
"""


def _variables(source: Backup, target: Target) -> list[str]:
    schema = next(schema for schema, name in source.tables if name == "catalog_state")
    given = {
        "ON_ERROR_STOP": "1",
        "keys": _quoted((schema, ApiKey.__tablename__)),
        "revoked": "{" + ",".join(target.revoked_keys) + "}",
        "state": _quoted((schema, CatalogState.__tablename__)),
        "channel": CHANNEL,
    }
    return [f"--set={name}={value}" for name, value in given.items()]


def _quoted(table: Table) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in table)


def _first_error(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return next((line for line in lines if "ERROR" in line or "FATAL" in line), lines[-1] if lines else "")
