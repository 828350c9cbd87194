"""A DATABASE_URL with two hosts: the one that can be written to is found, whatever the other one does."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy import text

from scripts.drills import postgres
from scripts.drills.postgres import Server
from toolcatalog import backup, db
from toolcatalog.settings import normalised_url


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with postgres.make(tmp_path_factory.mktemp("server") / "postgres") as server:
        server.start()
        yield server


@contextmanager
def silent_host() -> Iterator[str]:
    """An address whose network says nothing: the queue of its listening socket is full."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            filling = stack.enter_context(socket.socket())
            filling.setblocking(False)
            filling.connect_ex(listening.getsockname())
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def url(*addresses: str) -> str:
    hosts = ",".join(addresses)
    return normalised_url(f"postgresql://postgres@{hosts}/toolcatalog?target_session_attrs=read-write")


def test_a_host_that_vanished_is_passed_over(server: Server) -> None:
    with silent_host() as silent:
        begun = time.monotonic()
        with db.plain_connection(url(silent, server.address), "test") as connection:
            assert connection.info.port == server.port
        database = db.connect(
            url(silent, server.address), pool_size=1, max_overflow=0, statement_timeout_ms=1_000
        )
        with database.read() as connection:
            assert connection.scalar(text("SELECT inet_server_port()")) == server.port
        database.engine.dispose()
        assert time.monotonic() - begun < 10


def test_a_host_that_refuses_is_passed_over_at_once(server: Server, tmp_path: Path) -> None:
    begun = time.monotonic()
    with db.plain_connection(url("127.0.0.1:1", server.address), "test"):
        assert time.monotonic() - begun < 1
    made = backup.make(url("127.0.0.1:1", server.address), tmp_path / "b.dump", lambda _: None)
    assert len(made.tables) == 11


def test_where_none_can_be_written_to_that_is_said(server: Server) -> None:
    server.query("ALTER SYSTEM SET default_transaction_read_only = on")
    server.query("SELECT pg_reload_conf()")
    try:
        with pytest.raises(psycopg2.OperationalError, match="session is read-only"):
            _connect_for_seconds(5, url(server.address, "127.0.0.1:1"))
    finally:
        server.query("ALTER SYSTEM RESET default_transaction_read_only")
        server.query("SELECT pg_reload_conf()")


def _connect_for_seconds(seconds: float, to: str) -> None:
    """Connect until it fails: the server needs a moment to read its settings anew."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with db.plain_connection(to, "test"):
            time.sleep(0.1)
