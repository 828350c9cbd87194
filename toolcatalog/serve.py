"""Running the service: the embedded database where none is set, the catalog, gunicorn as a child.

This process holds the embedded PostgreSQL, and so must not be a gunicorn master: that would fork it.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from ipaddress import ip_address
from pathlib import Path
from types import FrameType
from typing import Any

import click
import psutil

from toolcatalog import db, embedded, log, parent, upgrade
from toolcatalog.db import Database
from toolcatalog.errors import Finding, FolderHangs
from toolcatalog.models import Reload
from toolcatalog.reload import applying
from toolcatalog.reload.files import Folder
from toolcatalog.settings import PROJECT_ROOT, InvalidSetting, Settings

_HEALTHY_WITHIN_SECONDS = 60
# How long gunicorn's workers may take to answer their last requests, and a moment more.
_ENDS_WITHIN_SECONDS = 35.0
_LOOK_SECONDS = 0.5


class PortTaken(Exception):
    """Another process listens where the service is to; one sentence says which."""


@contextmanager
def open_database(settings: Settings) -> Iterator[tuple[str, Database]]:
    """Open the catalog's database, the embedded one if none is set; gives its URL too.

    The embedded one is brought up to date; another is only checked, since others may be using it.

    Raises:
        SchemaOutOfDate: when the database that is set needs `toolcatalog db upgrade`.
        CannotStart: when the embedded PostgreSQL does not start.
    """
    with embedded.database_url(settings.database_url) as url, _connected(settings, url) as database:
        yield url, database


@contextmanager
def _connected(settings: Settings, url: str) -> Iterator[Database]:
    if settings.database_url is None:
        upgrade.to_head(url)
    else:
        upgrade.check(url)
    database = db.connect(
        url,
        pool_size=1,
        max_overflow=0,
        statement_timeout_ms=settings.db_statement_timeout_ms,
        application_name="toolcatalog cli",
    )
    try:
        yield database
    finally:
        database.engine.dispose()


def run(settings: Settings) -> int:
    """Serve until a signal ends it; returns gunicorn's exit code.

    The embedded PostgreSQL, if that is the database, is started again when it is gone.
    """
    settings.check_exposure([settings.host])
    _wait_for_the_killed(settings.port)
    check_port(settings.host, settings.port)
    with embedded.supervised(settings.database_url) as (url, look_after):
        with _connected(settings, url) as database:
            _load_catalog(database, settings.tools_dir)
        log.configure(settings.log_level, settings.log_format)
        return _run_gunicorn(settings, url, look_after)


def check_port(host: str, port: int) -> None:
    """Say at once that a port is taken; gunicorn would try for five seconds.

    Raises:
        PortTaken: when another process listens there.
        InvalidSetting: when it is not ours to take, or the host is none of this machine.
    """
    try:
        _try_to_listen(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            by = " and ".join(f"process {one.pid} ({one.name()})" for one in _listeners(port))
            holder = f"by {by}. Stop it" if by else "by another process. Stop that"
            raise PortTaken(f"port {port} of {host} is taken {holder}, or set another PORT.") from error
        name, value = ("PORT", str(port)) if error.errno == errno.EACCES else ("HOST", host)
        raise InvalidSetting(name, value, f"{host}:{port}: {error.strerror}") from error


def _try_to_listen(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))


def _listeners(port: int) -> set[psutil.Process]:
    """Find who listens at a port, as far as this user may see it."""
    try:
        found = psutil.net_connections("tcp")
        return {_who_opened(psutil.Process(one.pid), port) for one in found if one.pid and _is_at(one, port)}
    except psutil.Error:
        return set()


def _who_opened(process: psutil.Process, port: int) -> psutil.Process:
    """Return the oldest ancestor that has the socket too: gunicorn's master, and not a worker of it."""
    above = process.parent()
    try:
        if above is None or not any(_is_at(one, port) for one in above.net_connections("tcp")):
            return process
    except psutil.Error:  # another user's
        return process
    return _who_opened(above, port)


def _is_at(connection: Any, port: int) -> bool:
    return connection.status == psutil.CONN_LISTEN and tuple(connection.laddr)[1:] == (port,)


def _wait_for_the_killed(port: int) -> None:
    """Wait until gunicorn, whose parent was killed, has noticed that and let go of the port."""
    deadline = time.monotonic() + _ENDS_WITHIN_SECONDS
    while time.monotonic() < deadline and any(map(_was_left_behind, _listeners(port))):
        time.sleep(0.1)


def _was_left_behind(process: psutil.Process) -> bool:
    try:
        started_by = process.environ().get(parent.VARIABLE)
    except psutil.Error:
        return False
    return started_by is not None and not psutil.pid_exists(int(started_by))


def _load_catalog(database: Database, path: Path) -> None:
    """Take in the folder before anybody is served, so that a long first load shows how far it is."""
    folder = Folder(path)
    length = 0
    with suppress(FolderHangs):  # which is said with what came of loading it
        length = len(folder.list_all()[0])
    with click.progressbar(length=length, label=f"Loading {path}", file=sys.stderr) as bar:
        outcome = applying.apply(database, folder, "startup", on_file=lambda _: bar.update(1))
    say(outcome, path)


def say(outcome: Reload, folder: Path) -> None:
    """Print what came of a reload: what is wrong, a line each, and the counts."""
    for error in outcome.errors:
        path = (error["path"],) if error["path"] else ()
        click.echo(str(Finding(path, error["message"], error["file"], error["line"])), err=True)
    counts = ", ".join(f"{count} {kind}" for kind, count in outcome.counts.items() if count)
    click.echo(f"{outcome.files} files in {folder}: {counts or 'nothing new'}.", err=True)


def _run_gunicorn(settings: Settings, url: str, look_after: Callable[[], None]) -> int:
    config = PROJECT_ROOT / "deploy" / "gunicorn.conf.py"
    environment = {
        **os.environ,
        "DATABASE_URL": url,
        "PYTHONPATH": str(PROJECT_ROOT),
        parent.VARIABLE: str(os.getpid()),
    }
    child = subprocess.Popen(  # noqa: S603 - our own interpreter and files
        [sys.executable, "-m", "gunicorn", "--config", str(config), "wsgi:app"], env=environment
    )  # fmt: skip

    def pass_on(number: int, _frame: FrameType | None) -> None:
        child.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, pass_on)
    if _wait_until_healthy(child, settings):
        _greet(settings)
    while True:
        try:
            return child.wait(_LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            look_after()


def _wait_until_healthy(child: subprocess.Popen[bytes], settings: Settings) -> bool:
    deadline = time.monotonic() + _HEALTHY_WITHIN_SECONDS
    while child.poll() is None and time.monotonic() < deadline:
        if (health(settings) or {}).get("status") == "healthy":
            return True
        time.sleep(0.05)
    return False


def health(settings: Settings) -> dict[str, object] | None:
    """Ask the service at its own address how it is; None when nobody there answers as it would."""
    # Not urllib, which would ask a proxy of the environment for this machine.
    connection = HTTPConnection(own_host(settings), settings.port, timeout=2)
    try:
        connection.request("GET", "/health")
        found = json.load(connection.getresponse())
    except (HTTPException, OSError, ValueError):
        return None
    finally:
        connection.close()
    return found if isinstance(found, dict) and {"status", "version", "tools"} <= set(found) else None


def own_host(settings: Settings) -> str:
    """Return the service's host as seen from this machine; a wildcard includes loopback."""
    try:
        address = ip_address(settings.host)
    except ValueError:
        return settings.host
    if not address.is_unspecified:
        return settings.host
    return "127.0.0.1" if address.version == 4 else "::1"


def _greet(settings: Settings) -> None:
    found = health(settings) or {}
    host = own_host(settings)
    address = f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
    click.echo(
        f"""
Tool Catalog {found.get("version")} serves {found.get("tools")} tools at {address}

  Try it in a browser   {address}/api/v1/docs/
  List tools            curl -s '{address}/api/v1/tools?view=summary'
  Ask for one           curl -s '{address}/api/v1/tools/search?q=disk+is+full&fields=tool_name'
  Stop                  Ctrl-C
""",
        err=True,
    )
