"""Why a database that answers is of no use: told from the error, as SQLAlchemy and as psycopg2 raise it."""

from __future__ import annotations

import psycopg2
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from toolcatalog import db
from toolcatalog.db import Database, libpq_parameters, why_unusable
from toolcatalog.errors import DatabaseUnavailable, NoRights, SchemaOutOfDate

CASES = [
    ("SELECT 1 FROM no_such_table", SchemaOutOfDate),
    ("SELECT no_such_column FROM tools", SchemaOutOfDate),
    ("SET ROLE pg_monitor; SELECT 1 FROM tools", NoRights),
]


@pytest.mark.parametrize(("statement", "expected"), CASES)
def test_reading_and_writing_say_it(
    database: Database, statement: str, expected: type[DatabaseUnavailable]
) -> None:
    with pytest.raises(expected) as read, database.read() as connection:
        connection.execute(text(statement))
    with pytest.raises(expected) as written, database.write() as session:
        session.execute(text(statement))
    assert str(read.value) == str(written.value)
    assert isinstance(read.value.__cause__, DBAPIError)
    assert not database.outage.is_on


@pytest.mark.parametrize(("statement", "expected"), CASES)
def test_so_does_an_error_of_the_driver(
    database_url: str, statement: str, expected: type[DatabaseUnavailable]
) -> None:
    connection = psycopg2.connect(**libpq_parameters(database_url))
    with pytest.raises(psycopg2.Error) as raised, connection.cursor() as cursor:
        cursor.execute(statement)
    connection.close()
    assert type(why_unusable(raised.value)) is expected


def test_other_errors_say_nothing_about_it(database: Database) -> None:
    with pytest.raises(DBAPIError) as raised, database.read() as connection:
        connection.execute(text("SELECT 1 / 0"))
    assert why_unusable(raised.value) is None
    assert why_unusable(ValueError()) is None
    assert why_unusable(db._unavailable()) is None
