"""Backing up and restoring, by the command line, with PostgreSQL's own programs."""

from __future__ import annotations

import datetime as dt
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from scripts.drills import postgres
from tests.conftest import tool
from tests.service.conftest import command, environment, free_port
from tests.service.test_cli import Run, run, written
from toolcatalog import backup, restore
from toolcatalog.errors import DatabaseUnavailable
from toolcatalog.settings import PROJECT_ROOT

__all__ = ["run"]

_TABLES = 11


@pytest.fixture
def bare(server_url: str) -> Iterator[str]:
    """A database without anything in it."""
    url = make_url(server_url)
    name = f"{url.database}_restored"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        connection.execute(text(f"CREATE DATABASE {name}"))
        yield url.set(database=name).render_as_string(hide_password=False)
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture
def backed_up(run: Run, tmp_path: Path) -> Path:
    """A backup of a catalog with two tools."""
    path = tmp_path / "catalog.dump"
    run("import", written(tmp_path / "in.yaml", tool("a"), tool("größe")))
    code, out, err = run("backup", str(path))
    assert (code, out) == (0, f"{path}: {path.stat().st_size} bytes, {_TABLES} tables.\n"), err
    assert err.splitlines()[-1] == "Checking what was written ..."
    return path


def test_a_backup_is_for_its_owner_alone_and_leaves_nothing_beside_it(backed_up: Path) -> None:
    assert backed_up.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in backed_up.parent.iterdir() if path.suffix != ".yaml"] == ["catalog.dump"]


def test_what_is_restored_into_an_empty_database_is_what_was_there(
    run: Run, backed_up: Path, bare: str
) -> None:
    code, out, err = run("restore", str(backed_up), DATABASE_URL=bare)
    assert code == 0, err
    assert out.startswith(f"The database {make_url(bare).database} is restored: 2 tools at revision 2, last ")
    assert run("export", DATABASE_URL=bare) == run("export")


def test_what_is_there_is_only_overwritten_when_that_is_said(
    run: Run, backed_up: Path, tmp_path: Path
) -> None:
    before = run("export")
    run("import", written(tmp_path / "later.yaml", tool("later")))
    code, out, err = run("restore", str(backed_up))
    assert (code, out) == (1, "")
    assert " is not empty: 3 tools at revision 3, last changed 2" in err
    assert "tool_name: later" in run("export")[1]
    code, out, err = run("restore", "--replace", str(backed_up))
    assert (code, "Overwriting the database" in err) == (0, True)
    assert run("export") == before


def test_tables_of_others_are_never_overwritten(run: Run, backed_up: Path, bare: str) -> None:
    engine = create_engine(bare)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE accounts (id int)"))
    engine.dispose()
    code, _, err = run("restore", "--replace", str(backed_up), DATABASE_URL=bare)
    assert code == 1
    assert "has tables that are not the catalog's: public.accounts. Restore into a database of its own" in err


@pytest.mark.parametrize("damage", ["cut", "changed", "another file", "empty"])
def test_a_damaged_backup_is_refused_and_changes_nothing(
    run: Run, backed_up: Path, tmp_path: Path, damage: str
) -> None:
    whole = backed_up.read_bytes()
    middle = len(whole) // 2
    damaged = {
        "cut": whole[:-1], "changed": whole[:middle] + bytes(200) + whole[middle + 200 :],
        "another file": b"tool_name: a\n" * 100, "empty": b"",
    }  # fmt: skip
    path = tmp_path / "damaged.dump"
    path.write_bytes(damaged[damage])
    before = run("export")
    code, out, err = run("restore", "--replace", str(path))
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith(f"toolcatalog: {path} is not a whole backup: pg_restore: error: ")
    assert run("export") == before


def test_a_restore_that_fails_on_the_way_changes_nothing(
    run: Run, backed_up: Path, database_url: str
) -> None:
    found = backup.check(backed_up)
    target = restore.look_at(database_url, found, replace=True)
    before = run("export")
    nothing_dropped = restore.Target("x", target.server_version, (), "", ())
    with pytest.raises(DatabaseUnavailable, match=r"is as it was: .*already exists"):
        restore.run(database_url, found, nothing_dropped, lambda _: None)
    backed_up.write_bytes(backed_up.read_bytes()[:-1])
    with pytest.raises(backup.CannotRestore, match="is not a whole backup"):
        restore.run(database_url, found, target, lambda _: None)
    assert run("export") == before


def test_a_key_that_was_revoked_stays_so(run: Run, tmp_path: Path) -> None:
    for name in ("left", "stays"):
        run("keys", "add", name)
    path = str(tmp_path / "keys.dump")
    assert run("backup", path)[0] == 0
    run("keys", "revoke", "left")
    assert run("restore", "--replace", path)[0] == 0
    lines = {line.split()[1]: line for line in run("keys", "list")[1].splitlines()}
    assert {name: "revoked" in line for name, line in lines.items()} == {"left": True, "stays": False}


def test_a_backup_that_cannot_be_made_leaves_the_last_one(run: Run, backed_up: Path, bare: str) -> None:
    before = backed_up.read_bytes()
    code, _, err = run("backup", str(backed_up), DATABASE_URL=bare)
    assert (code, "holds no catalog to back up" in err) == (3, True)
    gone = make_url(bare).set(database="gone").render_as_string(hide_password=False)
    code, _, err = run("backup", str(backed_up), DATABASE_URL=gone)
    assert (code, err.count("\n")) == (3, 1)
    assert backed_up.read_bytes() == before
    code, _, err = run("backup", "/nowhere/catalog.dump")
    assert (code, err.splitlines()[-1]) == (
        2, "Error: /nowhere/catalog.dump cannot be written: No such file or directory",
    )  # fmt: skip


def test_the_embedded_database_is_backed_up_and_restored(own_checkout: Path, tmp_path: Path) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            command(*arguments), env=environment(own_checkout), cwd=own_checkout, capture_output=True
        )
        return done.returncode, done.stdout.decode()

    path = str(tmp_path / "catalog.dump")
    assert run("import", written(tmp_path / "a.yaml", tool("a")))[0] == 0
    assert run("backup", path)[0] == 0
    (own_checkout / "var" / "postgres").rename(own_checkout / "var" / "lost")
    assert run("restore", path)[0] == 0
    assert "tool_name: a" in run("export")[1]


def test_programs_that_are_older_than_the_server_are_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DatabaseUnavailable) as caught:
        backup.programs(990_000)
    assert "The server is PostgreSQL 99, and there is only pg_dump 18 in " in str(caught.value)
    assert "Install the client programs of PostgreSQL 99 or later" in str(caught.value)
    newer = tmp_path / "pg_dump"
    newer.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 99.1'\n")
    newer.chmod(0o755)
    assert backup.programs(990_000) == tmp_path
    assert backup.programs(180_006) != tmp_path


def test_a_password_reaches_the_programs_and_nobody_else(run: Run, tmp_path: Path) -> None:
    """Over TCP, by a user who owns the database and is no superuser."""
    with postgres.make(tmp_path / "postgres") as server:
        server.start()
        server.query("CREATE ROLE keeper LOGIN PASSWORD 's3cr:t/@'")
        server.query("CREATE DATABASE kept OWNER keeper")
        rules = server.data / "pg_hba.conf"
        rules.write_text("host all keeper 127.0.0.1/32 scram-sha-256\n" + rules.read_text())
        server.query("SELECT pg_reload_conf()")
        given = {"DATABASE_URL": f"postgresql://keeper:s3cr%3At%2F%40@{server.address}/kept"}
        path = str(tmp_path / "kept.dump")
        given |= {"TOOLS_DIR": str(tmp_path), "PORT": str(free_port())}
        commands = ["db", "upgrade"], ["backup", path], ["restore", "--replace", path], ["doctor"]
        said = [run(*arguments, **given) for arguments in commands]
        assert [code for code, _, _ in said] == [0, 0, 0, 0], said
        assert "s3cr" not in str(said)
        wrong = {"DATABASE_URL": given["DATABASE_URL"].replace("s3cr", "wrong")}
        code, _, err = run("backup", path, **wrong)
        assert (code, "wrong" in err, "password authentication failed" in err) == (3, False, True)


def test_passwords_are_in_the_environment_and_not_among_the_arguments() -> None:
    url = "postgresql+psycopg2://u:s3cret@/c?host=one:1&host=two:2&target_session_attrs=read-write"
    arguments, given = backup.program(PROJECT_ROOT, "pg_dump", url)
    assert "s3cret" not in " ".join(map(str, arguments))
    assert given["PGPASSWORD"] == "s3cret"
    assert "host=one,two " in str(arguments[-1])


def backed_up_at(url: str) -> dt.datetime | None:
    engine = create_engine(url)
    with engine.connect() as connection:
        found: dt.datetime | None = connection.scalar(text("SELECT backed_up_at FROM catalog_state"))
    engine.dispose()
    return found


def test_the_database_knows_since_when_a_backup_shows_it(run: Run, database_url: str, tmp_path: Path) -> None:
    assert backed_up_at(database_url) is None
    before = dt.datetime.now(dt.UTC)
    code, _, err = run("backup", str(tmp_path / "catalog.dump"))
    assert (code, "Warning" in err) == (0, False), err
    first = backed_up_at(database_url)
    assert first is not None
    assert abs((first - before).total_seconds()) < 5
    code, _, _ = run("backup", str(tmp_path / "no" / "such" / "folder.dump"))
    assert (code, backed_up_at(database_url)) == (2, first)


@pytest.fixture
def reader(database_url: str) -> Iterator[str]:
    """The catalog by a role that may only read it."""
    url = make_url(database_url)
    name = f"reader_of_{url.database}"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE ROLE {name} LOGIN"))
        for what in ("TABLES", "SEQUENCES"):
            connection.execute(text(f"GRANT SELECT ON ALL {what} IN SCHEMA public TO {name}"))
        yield url.set(username=name, password="any").render_as_string(hide_password=False)
        connection.execute(text(f"DROP OWNED BY {name}"))
        connection.execute(text(f"DROP ROLE {name}"))
    engine.dispose()


def test_a_backup_that_the_database_cannot_record_is_a_good_one_with_a_warning(
    run: Run, reader: str, database_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "catalog.dump"
    code, out, err = run("backup", str(path), DATABASE_URL=reader)
    assert (code, out) == (0, f"{path}: {path.stat().st_size} bytes, {_TABLES} tables.\n")
    assert err.splitlines()[-1] == (
        "Warning: the backup is good, but the database could not record it: permission denied for table "
        "catalog_state. Whoever watches the age of the last backup does not see this one."
    )
    assert backed_up_at(database_url) is None
