"""Migrations: one line of them, the same tables as the models, up and down, one at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, inspect, text
from sqlalchemy.engine import make_url

from toolcatalog import upgrade
from toolcatalog.models import Base
from toolcatalog.settings import PROJECT_ROOT


@pytest.fixture
def blank_url(server_url: str) -> Iterator[str]:
    """A database of its own, without any table."""
    url = make_url(server_url)
    name = f"{url.database}_migrations"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        connection.execute(text(f"CREATE DATABASE {name}"))
        yield url.set(database=name).render_as_string(hide_password=False)
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture
def engine(blank_url: str) -> Iterator[Engine]:
    engine = create_engine(blank_url)
    yield engine
    engine.dispose()


def config(url: str) -> Config:
    made = Config(str(PROJECT_ROOT / "alembic.ini"))
    made.attributes["url"] = url
    return made


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names())


def test_there_is_one_head() -> None:
    assert len(ScriptDirectory.from_config(config("")).get_heads()) == 1


def test_migrations_make_what_the_models_say(blank_url: str, engine: Engine) -> None:
    upgrade.to_head(blank_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []
        constraints = set(connection.scalars(text("SELECT conname FROM pg_constraint WHERE contype = 'c'")))
    named = {
        str(constraint.name)
        for table in Base.metadata.tables.values()
        for constraint in table.constraints
        if constraint.__visit_name__ == "check_constraint"
    }
    assert named <= constraints


def test_down_undoes_up_and_up_works_again(blank_url: str, engine: Engine) -> None:
    upgrade.to_head(blank_url)
    made = tables(engine)
    command.downgrade(config(blank_url), "base")
    assert tables(engine) == {"alembic_version"}
    upgrade.to_head(blank_url)
    assert tables(engine) == made


def test_a_database_without_the_schema_is_told_apart(blank_url: str) -> None:
    with pytest.raises(upgrade.OutOfDate) as raised:
        upgrade.check(blank_url)
    assert str(raised.value) == (
        "The database is at migration none, this code needs 0003. Run: toolcatalog db upgrade"
    )
    upgrade.to_head(blank_url)
    upgrade.check(blank_url)


def test_several_that_migrate_at_once_wait_for_one_another(blank_url: str, engine: Engine) -> None:
    command_line = [sys.executable, "-m", "toolcatalog.cli", "db", "upgrade"]
    environment = {**os.environ, "DATABASE_URL": blank_url}
    running = [subprocess.Popen(command_line, env=environment, cwd=PROJECT_ROOT) for _ in range(3)]
    assert [process.wait(timeout=60) for process in running] == [0, 0, 0]
    assert "tools" in tables(engine)
