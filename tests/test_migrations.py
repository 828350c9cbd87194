"""Migrations: one line of them, the same tables as the models, up and down, one at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Engine, MetaData, Select, Table, create_engine, inspect, text
from sqlalchemy.engine import make_url

from toolcatalog import upgrade
from toolcatalog.errors import SchemaOutOfDate
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


def config(url: str, *arguments: str) -> Config:
    """Alembic's configuration; the arguments are those that follow `-x` on its command line."""
    made = Config(str(PROJECT_ROOT / "alembic.ini"), cmd_opts=Namespace(x=list(arguments)))
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
    command.downgrade(config(blank_url, "discard=yes"), "base")
    assert tables(engine) == {"alembic_version"}
    upgrade.to_head(blank_url)
    assert tables(engine) == made


@pytest.fixture
def filled_url(blank_url: str) -> str:
    """A catalog with 2 keys, whose caches were dropped once."""
    upgrade.to_head(blank_url)
    engine = create_engine(blank_url)
    with engine.begin() as connection:
        for number in range(2):
            connection.execute(
                text("INSERT INTO api_keys (id, name, scope, sha256) VALUES (:id, :id, 'read', '')"),
                {"id": f"key-{number}"},
            )
        connection.execute(text("UPDATE catalog_state SET drops = 1"))
    engine.dispose()
    return blank_url


def test_a_downgrade_that_loses_nothing_is_made(filled_url: str, engine: Engine) -> None:
    command.downgrade(config(filled_url), "0003")
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM api_keys")) == 2


@pytest.mark.parametrize(
    ("target", "lost"),
    [
        ("0002", "2 rows of api_keys"),
        ("0001", "2 rows of api_keys, 1 values of catalog_state.drops"),
        ("base", "2 rows of api_keys, 1 rows of catalog_state"),
    ],
)
def test_a_downgrade_that_throws_away_is_refused_unless_it_is_told(
    filled_url: str, engine: Engine, target: str, lost: str
) -> None:
    made = tables(engine)
    with pytest.raises(CommandError) as raised:
        command.downgrade(config(filled_url), target)
    assert str(raised.value) == (
        f"This downgrade would throw away {lost}. Nothing was changed. Make a backup (toolcatalog backup "
        "FILE), then, if they may go, put `-x discard=yes` before `downgrade`."
    )
    upgrade.check(filled_url)  # it is where it was
    assert tables(engine) == made
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM api_keys")) == 2
    command.downgrade(config(filled_url, "discard=yes"), target)
    assert "api_keys" not in tables(engine)


def test_alembic_says_so_in_one_line(filled_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "downgrade", "0002"],
        env={**os.environ, "DATABASE_URL": filled_url}, cwd=PROJECT_ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode != 0
    said = done.stdout.split()  # Alembic breaks the line at the width of the terminal
    assert " ".join(said[:9]) == "FAILED: This downgrade would throw away 2 rows of"
    assert done.stderr == ""


def test_an_upgrade_says_what_it_ran(blank_url: str) -> None:
    names = [f"{script.revision} {script.doc}" for script in reversed(SCRIPTS)]
    assert upgrade.to_head(blank_url) == names
    assert upgrade.to_head(blank_url) == []


def test_a_database_without_the_schema_is_told_apart(blank_url: str) -> None:
    with pytest.raises(SchemaOutOfDate) as raised:
        upgrade.check(blank_url)
    assert str(raised.value) == (
        "The database is at migration none, this code needs 0006. Run: toolcatalog db upgrade"
    )
    upgrade.to_head(blank_url)
    upgrade.check(blank_url)


def test_a_database_that_is_ahead_is_left_as_it_is(blank_url: str, engine: Engine) -> None:
    """A release was taken back, or the next one is on its way: migrations only add."""
    upgrade.to_head(blank_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    upgrade.check(blank_url)
    upgrade.to_head(blank_url)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "9999"


SCRIPTS = list(ScriptDirectory.from_config(config("")).walk_revisions())


@pytest.mark.parametrize("script", SCRIPTS[:-1], ids=[script.revision for script in SCRIPTS[:-1]])
def test_the_release_before_reads_and_writes_what_a_migration_leaves(
    blank_url: str, engine: Engine, script: Script
) -> None:
    """With the tables as that release knew them: all its columns are there, and all its rows go in again."""
    upgrade.to_head(blank_url)
    folder = str(PROJECT_ROOT / "catalog" / "monitoring")
    for arguments in (["reload"], ["keys", "add", "night-shift", "--scope", "write"]):
        subprocess.run(
            [sys.executable, "-m", "toolcatalog.cli", *arguments],
            env={**os.environ, "DATABASE_URL": blank_url, "TOOLS_DIR": folder},
            cwd=PROJECT_ROOT, check=True, capture_output=True,
        )  # fmt: skip
    assert isinstance(script.down_revision, str)
    command.downgrade(config(blank_url, "discard=yes"), script.down_revision)
    before = MetaData()
    before.reflect(engine)
    command.upgrade(config(blank_url), script.revision)
    known = [table for table in before.sorted_tables if table.name != "alembic_version"]
    with engine.begin() as connection:
        rows = {table: connection.execute(_all_of(table)).mappings().all() for table in known}
        for table in reversed(known):
            connection.execute(table.delete())
        for table in known:
            written = [column.name for column in table.columns if column.computed is None]
            assert rows[table], f"{table} is empty: the test says nothing of it"
            connection.execute(table.insert(), [{name: row[name] for name in written} for row in rows[table]])
            connection.execute(table.update().values({name: table.c[name] for name in written}))
            assert connection.execute(_all_of(table)).mappings().all() == rows[table]


def test_two_spellings_of_a_release_are_kept_and_only_the_first_that_lives_has_a_key(
    blank_url: str, engine: Engine
) -> None:
    upgrade.to_head(blank_url)
    folder = str(PROJECT_ROOT / "catalog" / "monitoring")
    subprocess.run(
        [sys.executable, "-m", "toolcatalog.cli", "reload"],
        env={**os.environ, "DATABASE_URL": blank_url, "TOOLS_DIR": folder},
        cwd=PROJECT_ROOT, check=True, capture_output=True,
    )  # fmt: skip
    command.downgrade(config(blank_url, "discard=yes"), "0004")
    before = MetaData()
    before.reflect(engine)
    table = before.tables["tool_versions"]
    columns = [column.name for column in table.columns if column.computed is None and column.name != "id"]
    with engine.begin() as connection:
        rows = connection.execute(_all_of(table)).mappings().all()
        values = {name: rows[0][name] for name in columns}
        for version, is_retired in (
            ("1.0.0", False),
            ("v1", False),
            ("1", True),
            ("2", True),
            ("2.0", False),
        ):
            retired = values["updated_at"] if is_retired else None
            added = {**values, "version": version, "is_latest": False, "retired_at": retired}
            connection.execute(table.insert(), [added])
    upgrade.to_head(blank_url)
    query = text("SELECT version, version_key FROM tool_versions WHERE tool_id = :tool ORDER BY id")
    with engine.connect() as connection:
        keys = [tuple(row) for row in connection.execute(query, {"tool": values["tool_id"]})]
        others = connection.scalars(text("SELECT version_key FROM tool_versions WHERE tool_id <> 1")).all()
    assert keys == [
        ("1.0", "1"), ("1.0.0", None), ("v1", None), ("1", None), ("2", None), ("2.0", "2"),
    ]  # fmt: skip
    assert others == ["1"] * (len(rows) - 1)


def _all_of(table: Table) -> Select[Any]:
    return table.select().order_by(*table.primary_key.columns)


def test_several_that_migrate_at_once_wait_for_one_another(blank_url: str, engine: Engine) -> None:
    command_line = [sys.executable, "-m", "toolcatalog.cli", "db", "upgrade"]
    environment = {**os.environ, "DATABASE_URL": blank_url}
    running = [subprocess.Popen(command_line, env=environment, cwd=PROJECT_ROOT) for _ in range(3)]
    assert [process.wait(timeout=60) for process in running] == [0, 0, 0]
    assert "tools" in tables(engine)
