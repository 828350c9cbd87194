"""Pooled connections: which are asked whether they live, what becomes of others, and what they prepare."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import BigInteger, Column, MetaData, Table, insert, text
from sqlalchemy.exc import DBAPIError

from toolcatalog import db
from toolcatalog.db import Database
from toolcatalog.errors import SchemaOutOfDate


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


def prepared(database: Database) -> list[str]:
    """What the one connection of a pool has prepared."""
    with database.read() as connection:
        return list(connection.scalars(text("SELECT statement FROM pg_prepared_statements")))


DOUBLED = text("SELECT CAST(:number AS int) * 2, CAST(:number AS int), '100 %'").execution_options(
    prepared=True
)


def test_a_statement_is_prepared_once_for_each_connection(small_pool: Database, database_url: str) -> None:
    for number in range(10):
        with small_pool.read() as connection:
            assert connection.execute(DOUBLED, {"number": number}).one() == (2 * number, number, "100 %")
    assert len(prepared(small_pool)) == 1
    ask_elsewhere(database_url, "SELECT pg_terminate_backend(%s, 5000)", backend(small_pool))
    assert prepared(small_pool) == []
    with small_pool.read() as connection:
        assert connection.execute(DOUBLED, {"number": 4}).one() == (8, 4, "100 %")


def test_a_connection_keeps_the_statements_that_were_used_last(
    small_pool: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "_MOST_PREPARED", 2)
    for number in (1, 2, 1, 3, 1, 2, 3):
        statement = text(f"SELECT {number} * CAST(:number AS int)").execution_options(prepared=True)
        with small_pool.read() as connection:
            assert connection.scalar(statement, {"number": 4}) == number * 4
    assert {re.sub(r".*SELECT (\d).*", r"\1", statement) for statement in prepared(small_pool)} == {"2", "3"}


def test_a_prepared_statement_outlives_its_failures(small_pool: Database) -> None:
    inverse = text("SELECT 12 / CAST(:number AS int)").execution_options(prepared=True)
    for _ in range(2):
        with pytest.raises(DBAPIError, match="division by zero"), small_pool.read() as connection:
            connection.execute(inverse, {"number": 0})
    with small_pool.read() as connection:
        assert connection.scalar(inverse, {"number": 4}) == 3


def test_a_statement_that_cannot_be_prepared_is_an_error_each_time(small_pool: Database) -> None:
    nonsense = text("SELECT nothing").execution_options(prepared=True)
    for _ in range(2):
        with pytest.raises(SchemaOutOfDate), small_pool.read() as connection:
            connection.execute(nonsense)
    assert prepared(small_pool) == []


def test_a_prepared_statement_needs_no_values(small_pool: Database) -> None:
    with small_pool.read() as connection:
        assert connection.scalar(text("SELECT 5 % 3").execution_options(prepared=True)) == 2


def test_many_rows_are_not_prepared(small_pool: Database) -> None:
    table = Table(
        "of_this_test", MetaData(), Column("id", BigInteger, primary_key=True), prefixes=["TEMPORARY"]
    )
    add = insert(table).returning(table.c.id, sort_by_parameter_order=True).execution_options(prepared=True)
    with small_pool.engine.begin() as connection:
        table.create(connection)
        assert list(connection.scalars(add, [{"id": 1}])) == [1]
        assert list(connection.scalars(add, [{"id": 2}, {"id": 3}])) == [2, 3]
        in_it = connection.scalars(text("SELECT statement FROM pg_prepared_statements")).all()
    assert len(in_it) == 1
