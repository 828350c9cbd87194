"""PostgreSQL servers to break: the embedded one's programs and data, on a port, with what recovery needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import psutil

from scripts.drills.service import free_port
from toolcatalog import backup, embedded, upgrade
from toolcatalog.db import plain_connection
from toolcatalog.settings import normalised_url

# As whom the embedded PostgreSQL runs where it is started by root.
_USER = "embedded_postgres"
_TIMEOUT_SECONDS = 120


class Server:
    """A PostgreSQL server by its data folder; a context manager that stops it."""

    def __init__(self, data: Path, port: int | None = None) -> None:
        self.data = data
        self.port = port or free_port()

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The catalog in it."""
        return normalised_url(f"postgresql://postgres@{self.address}/{embedded.DATABASE}")

    def configure(self, **settings: str) -> None:
        """Add to its settings."""
        with (self.data / "postgresql.auto.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        self.configure(listen_addresses="127.0.0.1", port=str(self.port), unix_socket_directories="")
        log = self.data.with_suffix(".log")
        self._ctl("start", "--wait", f"--timeout={_TIMEOUT_SECONDS}", f"--log={log}")

    def stop(self, mode: str = "fast") -> None:
        """Stop it, if it runs: `immediate` is without writing anything more."""
        if self._postmaster() is not None:
            self._ctl("stop", "--wait", f"--mode={mode}")

    def kill(self) -> None:
        """End all its processes as a power cut does."""
        postmaster = self._postmaster()
        if postmaster is not None:
            family = [postmaster, *postmaster.children(recursive=True)]
            for process in family:
                process.kill()
            psutil.wait_procs(family, timeout=10)

    def recover(self, restore_command: str) -> None:
        """Start a base backup, which reads all the WAL that the command gives it, and then takes changes."""
        self.configure(restore_command=restore_command)
        signal_file = self.data / "recovery.signal"
        signal_file.touch()
        owned(signal_file)
        self.start()
        self.wait_for("SELECT NOT pg_is_in_recovery()")

    def promote(self) -> None:
        """Make a primary of a standby."""
        self._ctl("promote", "--wait")

    def _postmaster(self) -> psutil.Process | None:
        try:
            process = psutil.Process(int((self.data / "postmaster.pid").read_text().split()[0]))
        except (FileNotFoundError, psutil.NoSuchProcess):
            return None
        # A file that was left behind may name a process that is another's by now.
        return process if str(self.data) in process.cmdline() else None

    def _ctl(self, *arguments: str) -> None:
        program("pg_ctl", f"--pgdata={self.data}", *arguments)

    def query(self, statement: str) -> list[tuple[object, ...]]:
        """Run a statement; returns its rows."""
        with plain_connection(self.url, "toolcatalog drill") as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def wait_for(self, condition: str) -> None:
        """Wait until a query of one truth value says yes."""
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        while self.query(condition) != [(True,)]:
            if time.monotonic() > deadline:
                raise RuntimeError(f"Not true within {_TIMEOUT_SECONDS} s: {condition}")
            time.sleep(0.05)

    def base_backup(self, into: Path, *options: str) -> None:
        """Copy it while it runs: what a recovery and a standby begin with."""
        connection = f"--dbname=postgresql://postgres@{self.address}/"
        program("pg_basebackup", connection, f"--pgdata={into}", "--checkpoint=fast", *options)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop("immediate")


def make(folder: Path) -> Server:
    """Make a server with an empty catalog, which does not run yet, and a folder that it may write in."""
    folder.mkdir()
    with embedded.server(folder / "data") as url:
        upgrade.to_head(url)
    owned(folder)
    return Server(folder / "data")


def owned(path: Path) -> Path:
    """Have a path belong to the user that the servers run as."""
    if os.geteuid() == 0:
        shutil.chown(path, _USER, _USER)
    return path


def program(name: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs as the user that the servers run as."""
    user = _USER if os.geteuid() == 0 else None
    command: list[str | Path] = [backup.programs(0) / name, *arguments]
    # Not a pipe: a server that is started keeps it, and so would be waited for.
    with tempfile.TemporaryFile("w+") as said:
        done = subprocess.run(command, user=user, group=user, stdout=said, stderr=said, cwd="/", check=False)
        said.seek(0)
        if done.returncode != 0:
            raise RuntimeError(f"{name} failed: {said.read()}")
