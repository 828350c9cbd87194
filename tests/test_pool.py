"""Pooled connections: which are asked whether they live, and what becomes of those that do not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from toolcatalog import db
from toolcatalog.db import Database


@pytest.fixture
def small_pool(database_url: str) -> Iterator[Database]:
    """A database with one connection, which is used."""
    made = db.connect(database_url, pool_size=1, max_overflow=0, statement_timeout_ms=5000)
    backend(made)
    yield made
    made.engine.dispose()


def backend(database: Database) -> int:
    with database.read() as connection:
        return int(connection.scalar(text("SELECT pg_backend_pid()")))


def ask_elsewhere(url: str, statement: str, *values: Any) -> Any:
    with db.plain_connection(url, "test") as connection, connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchone()[0]


def test_a_connection_that_the_server_ended_is_replaced(small_pool: Database, database_url: str) -> None:
    ended = backend(small_pool)
    assert ask_elsewhere(database_url, "SELECT pg_terminate_backend(%s, 5000)", ended)
    assert backend(small_pool) != ended
    assert not small_pool.outage.is_on


@pytest.mark.parametrize(("rested_seconds", "is_asked"), [(0.5, False), (1.5, True)])
def test_only_who_rested_is_asked(
    small_pool: Database, monkeypatch: pytest.MonkeyPatch, rested_seconds: float, is_asked: bool
) -> None:
    asked = []
    ping = small_pool.engine.dialect.do_ping
    monkeypatch.setattr(small_pool.engine.dialect, "do_ping", lambda c: asked.append(c) or ping(c))
    same, now = backend(small_pool), db.time.monotonic()
    monkeypatch.setattr(db.time, "monotonic", lambda: now + rested_seconds)
    assert backend(small_pool) == same
    assert bool(asked) == is_asked


def test_a_connection_with_something_to_say_is_kept(small_pool: Database, database_url: str) -> None:
    same = backend(small_pool)
    with small_pool.read() as connection:
        connection.execute(text("LISTEN something"))
        connection.commit()
    ask_elsewhere(database_url, "SELECT pg_notify('something', '')::text")
    assert backend(small_pool) == same
