"""`toolcatalog doctor`: what is wrong is said, with what to do; what is right is no problem."""

from __future__ import annotations

import datetime as dt
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import create_engine, text

from tests.api.test_tools import TOOLS, made, unsound
from tests.conftest import tool
from tests.service.conftest import Service, command, environment, free_port
from tests.service.test_cli import Run, run, written
from toolcatalog import doctor
from toolcatalog.api import context

__all__ = ["run"]


@pytest.fixture
def examine(run: Run, tmp_path: Path) -> Any:
    """Run the doctor over a folder with one definition; gives the exit code and the lines by their check."""
    folder = tmp_path / "tools"
    folder.mkdir()
    written(folder / "a.yaml", tool("a"))

    def examine(**settings: str) -> tuple[int, dict[str, str]]:
        given = {"TOOLS_DIR": str(folder), "PORT": str(free_port()), **settings}
        code, out, err = run("doctor", **given)
        assert err == ""
        *lines, _count = out.splitlines()
        by_check: dict[str, str] = {}
        for line in lines:
            level, check, seen = line.split(maxsplit=2)
            if by_check.get(check, "ok").startswith("ok"):
                by_check[check] = f"{level} {seen}"
        return code, by_check

    return examine


def executed(url: str, *statements: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def test_where_nothing_is_wrong_nothing_is_a_problem(examine: Any) -> None:
    code, lines = examine()
    assert code == 0, lines
    here = {check: line.split()[0] for check, line in lines.items() if check not in ("disk", "backup")}
    assert here == dict.fromkeys(
        ("settings", "auth", "port", "definitions", "watching", "database", "clock", "connections",
         "migrations", "indexes", "releases", "stored", "revision", "listener"), "ok",
    )  # fmt: skip
    assert lines["definitions"].startswith("ok 1 files in ")
    assert lines["revision"] == "ok the catalog is at revision 0, with 0 changes, the last of them 0"


def test_a_backup_that_is_missing_or_old_is_a_warning(
    examine: Any, run: Run, tmp_path: Path, database_url: str
) -> None:
    code, lines = examine()
    assert code == 0
    assert lines["backup"].startswith(
        "warning no `toolcatalog backup` has succeeded yet. Back up every night: "
    )
    run("backup", str(tmp_path / "catalog.dump"))
    assert examine()[1]["backup"] == "ok the last one is 0.0 hours old"
    executed(database_url, "UPDATE catalog_state SET backed_up_at = now() - interval '27 hours'")
    assert examine()[1]["backup"].startswith("warning the last one is 27.0 hours old. Back up every night: ")


def test_a_running_service_is_recognised(service: Service) -> None:
    port = service.url.rsplit(":", 1)[1]
    done = subprocess.run(
        command("doctor"), env=environment(service.folder, PORT=port), cwd=service.folder, capture_output=True
    )
    out = done.stdout.decode()
    assert done.returncode == 0, out
    assert " is served by Tool Catalog " in out
    assert "2 workers of all hosts hear of changes" in out
    assert "one of them watches the definitions" in out


def test_a_wrong_setting_is_a_problem(run: Run) -> None:
    code, out, _ = run("doctor", PORT="http")
    assert code == 1
    assert out.startswith("problem  settings     PORT='http' is not allowed: it has to be a whole number")


def test_a_port_that_another_program_has_is_a_problem(examine: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        code, lines = examine(PORT=str(other.getsockname()[1]))
        port = other.getsockname()[1]
    assert (code, lines["port"]) == (
        1,
        f"problem port {port} of 127.0.0.1 is taken by process {os.getpid()} "
        f"({psutil.Process().name()}). Stop it, or set another PORT.",
    )


def test_an_address_that_others_reach_without_keys_is_a_problem(examine: Any) -> None:
    code, lines = examine(HOST="0.0.0.0")  # noqa: S104 - refused
    assert (code, lines["auth"].split()[0]) == (1, "problem")
    code, lines = examine(HOST="0.0.0.0", AUTH="writes")  # noqa: S104 - nothing listens
    assert code == 0
    assert lines["keys"].startswith("warning 0 keys that are not revoked. Nobody can use it: make one")


def test_a_folder_that_is_not_there_or_empty_is_said(examine: Any, tmp_path: Path) -> None:
    code, lines = examine(TOOLS_DIR=str(tmp_path / "none"))
    assert (code, lines["definitions"]) == (1, f"problem {tmp_path / 'none'} is not a folder. Set TOOLS_DIR.")
    (tmp_path / "empty").mkdir()
    code, lines = examine(TOOLS_DIR=str(tmp_path / "empty"), HOT_RELOAD="off")
    assert (code, lines["definitions"].split()[0]) == (0, "warning")
    assert lines["watching"] == "ok changes are not looked for (HOT_RELOAD=off)"
    (tmp_path / "empty" / "dangling.yaml").symlink_to(tmp_path / "none")
    code, lines = examine(TOOLS_DIR=str(tmp_path / "empty"))
    said = "dangling.yaml: cannot be read: No such file or directory. Let"
    assert (code, said in lines["definitions"]) == (1, True)


def test_a_database_that_cannot_be_reached_is_a_problem_that_shows_no_secret(examine: Any) -> None:
    code, lines = examine(DATABASE_URL=f"postgresql://u:s3cret@127.0.0.1:{free_port()}/x")
    assert (code, lines["database"].split()[0]) == (1, "problem")
    assert "s3cret" not in str(lines)


def test_migrations_that_are_missing_are_a_problem(examine: Any, database_url: str) -> None:
    executed(database_url, "UPDATE alembic_version SET version_num = '0001'")
    try:
        code, lines = examine()
    finally:
        executed(database_url, "UPDATE alembic_version SET version_num = '0006'")
    assert (code, "Run: toolcatalog db upgrade" in lines["migrations"]) == (1, True)


def test_a_release_that_a_tool_has_twice_is_said(examine: Any, client: FlaskClient, app: Flask) -> None:
    for name, version in (("my tool", "1.0"), ("my tool", "2.0"), ("other", "1.0"), ("retired", "1.0")):
        made(client, tool_name=name, version=version)
    client.delete(f"{TOOLS}/retired")
    with context.of(app).database.write() as session:  # as a release wrote it that knew no better
        session.execute(text("UPDATE tool_versions SET version = 'v1', version_key = NULL WHERE id = 2"))
    code, lines = examine()
    assert (code, lines["releases"]) == (
        0,
        'warning "my tool" has one release as versions 1.0 and v1. '
        "Retire one of them: DELETE /api/v1/tools/my%20tool?version=v1",
    )


def test_a_stored_definition_that_would_be_refused_today_is_said(
    examine: Any, client: FlaskClient, app: Flask
) -> None:
    made(client)
    unsound(app)
    code, lines = examine()
    assert (code, lines["stored"]) == (
        0,
        'warning "grep" 1.0: capabilities.text_search.patterns.search_files.cost_estimate: '
        '"-1" is -1, which is out of range: 0 or more. '
        "It goes on as it is; it has to be mended with the next change.",
    )


def test_an_index_that_is_missing_comes_back_by_what_is_said(examine: Any, database_url: str) -> None:
    executed(database_url, "DROP INDEX ix_tool_versions_listed_platform, ix_tool_versions_name_trigrams")
    statements = []
    for name in ("ix_tool_versions_listed_platform", "ix_tool_versions_name_trigrams"):
        code, lines = examine()
        assert (code, lines["indexes"].startswith(f"problem {name} is missing. Run in psql: ")) == (1, True)
        statements.append(lines["indexes"].split("psql: ")[1])
        executed(database_url, statements[-1])
    assert examine()[0] == 0


def test_an_index_that_is_not_valid_is_a_problem(examine: Any, database_url: str) -> None:
    name = "ix_tool_versions_listed_status"
    invalid = f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{name}'::regclass"
    executed(database_url, invalid)
    try:
        code, lines = examine()
    finally:
        executed(database_url, f"REINDEX INDEX CONCURRENTLY {name}")
    said = f"problem {name} is not valid, and so not used. Run in psql: REINDEX INDEX CONCURRENTLY {name};"
    assert (code, lines["indexes"]) == (1, said)
    assert examine()[0] == 0


def test_a_large_table_that_is_read_from_end_to_end_is_said(examine: Any, database_url: str) -> None:
    executed(
        database_url,
        "SET enable_indexonlyscan = off",  # once autovacuum has been there, it would be chosen
        "INSERT INTO search_words SELECT 'w' || n FROM generate_series(1, 15000) n",
        "ANALYZE search_words",
        "SELECT pg_stat_reset_single_table_counters('search_words'::regclass)",
        "SELECT pg_stat_reset_single_table_counters(indexrelid) FROM pg_index"
        " WHERE indrelid = 'search_words'::regclass",  # other tests have searched by it
        "ANALYZE search_words",
        "DO 'BEGIN FOR n IN 1..1200 LOOP PERFORM count(*) FROM search_words WHERE length(word) = n; "
        "END LOOP; END'",
        "SELECT pg_stat_force_next_flush()",
    )
    code, lines = examine()
    assert (code, lines["indexes"].split()[:2]) == (0, ["warning", "search_words,"])


def test_changes_that_are_missing_are_a_problem(examine: Any, database_url: str) -> None:
    executed(database_url, "UPDATE catalog_state SET revision = 7")
    code, lines = examine()
    assert (code, lines["revision"].split()[0]) == (1, "problem")


def test_more_connections_than_there_are_is_said(examine: Any) -> None:
    code, lines = examine(DB_MAX_OVERFLOW="1000")
    assert (code, lines["connections"].split()[0]) == (0, "warning")


class _Cursor:
    """A database whose clock is wrong."""

    def execute(self, query: str, parameters: object) -> None:
        """Do nothing."""

    def fetchone(self) -> tuple[dt.datetime]:
        return (dt.datetime.now(dt.UTC) - dt.timedelta(seconds=10),)


def test_a_clock_that_is_wrong_is_said() -> None:
    cursor: Any = _Cursor()
    found = doctor.clock(cursor)
    assert (found.level, found.seen[:14]) == (doctor.WARNING, "this host is 1")
    assert " s ahead of the database" in found.seen


@pytest.mark.parametrize(
    ("free", "total", "level"),
    [(10**12, 10**13, "ok"), (2 * 10**9, 10**13, "ok"), (5 * 10**8, 10**12, "warning"),
     (5 * 10**8, 10**9, "ok"), (9 * 10**7, 10**9, "problem")],
)  # fmt: skip
def test_little_space_is_said(free: int, total: int, level: str) -> None:
    assert doctor._of_space(free, total) == level
