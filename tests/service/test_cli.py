"""The command line: what it prints, where, and with which exit code."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from tests.conftest import tool
from tests.service.conftest import free_port
from toolcatalog import cli
from toolcatalog.errors import Finding
from toolcatalog.reload.files import Folder

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    app: Flask,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Run:
    """Run the command line on the catalog of the tests; gives exit code, output and errors.

    In this process: one of its own spends most of its time on imports. `toolcatalog` as installed is tried
    below, and by the tests of the service.
    """

    def run(*arguments: str, **settings: str) -> tuple[int, str, str]:
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path)
            patch.setattr(sys, "argv", ["toolcatalog", *arguments])
            patch.delenv("TOOLS_DIR", raising=False)
            for name, value in {"DATABASE_URL": database_url, **settings}.items():
                patch.setenv(name, value)
            capfd.readouterr()
            with pytest.raises(SystemExit) as ended:
                cli.main()
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def written(path: Path, *documents: Any) -> str:
    path.write_text("---\n".join(yaml.safe_dump(document) for document in documents))
    return str(path)


def test_good_definitions_are_valid(run: Run, tmp_path: Path) -> None:
    written(tmp_path / "a.yaml", tool("a"), tool("b"))
    assert run("validate", str(tmp_path)) == (0, "2 definitions, 0 errors, 0 warnings.\n", "")


def test_a_process_of_its_own_says_the_same(run: Run, tmp_path: Path) -> None:
    path = written(tmp_path / "a.yaml", tool(description=""))
    script = Path(sys.executable).with_name("toolcatalog")
    done = subprocess.run([script, "validate", path], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == run("validate", path)
    assert done.returncode == 1


def test_errors_name_file_line_path_and_message(run: Run, tmp_path: Path) -> None:
    bad, broken, doubtful = tmp_path / "bad.yaml", tmp_path / "broken.yml", tmp_path / "doubtful.json"
    bad.write_text(
        "tool_name: a\ndescription: b\ncapabilities:\n  c:\n    patterns:\n      d:\n        cost: 1\n"
    )
    broken.write_text("tool_name: x\n  y: [\n")
    doubtful.write_text(json.dumps(tool(platform="linus")))
    code, out, err = run("validate", str(tmp_path), str(doubtful))
    assert (code, out) == (1, "3 definitions, 3 errors, 3 warnings.\n".replace("3 warnings", "1 warnings"))
    where = "capabilities.c.patterns.d"
    assert err.splitlines()[:2] == [
        f"{bad}:6: {where}.description: is required",
        f'{bad}:7: {where}.cost: is not a field here; did you mean "cost_estimate"?',
    ]
    assert err.splitlines()[2].startswith(f"{broken}:2: ")
    assert err.splitlines()[3] == f'warning: {doubtful}: platform: "linus" is unusual; did you mean "linux"?'


@pytest.mark.parametrize("strict", [[], ["--strict"]])
def test_a_release_that_two_files_define_is_an_error_that_names_both_places(
    run: Run, tmp_path: Path, strict: list[str]
) -> None:
    first = written(tmp_path / "a.yaml", bare("a", "1.0"), bare("b", "1.0"))
    second = written(tmp_path / "b.yaml", bare("b", "2.0"), bare("b", "v1"), bare("a", "1.0"))
    code, out, err = run("validate", *strict, str(tmp_path))
    assert (code, out) == (1, "5 definitions, 2 errors, 0 warnings.\n")
    lines = [
        [number for number, line in enumerate(Path(path).read_text().splitlines(), 1) if "tool_name" in line]
        for path in (first, second)
    ]
    a, b = (f"{first}:{line}" for line in lines[0])
    assert err.splitlines() == [
        f"{second}:{line}: tool_name: {said} already"
        for line, said in (
            (lines[1][1], f'"b" v1 is the same release as 1.0, which is defined in {b}'),
            (lines[1][2], f'"a" 1.0 is defined in {a}'),
        )
    ]
    imported = run("import", "--dry-run", first, second)[2]
    assert [line for line in imported.splitlines() if " already" in line] == err.splitlines()


def bare(name: str, version: str) -> dict[str, Any]:
    """A definition of which nothing is like those of others."""
    return {
        "tool_name": name,
        "version": version,
        "description": f"Does {name}",
        "platform": "linux",
        "category": "system",
        "capabilities": {"x": {"patterns": {"y": {"description": f"Does {name} in {version}"}}}},
    }


def test_an_import_says_what_became_of_the_definitions(run: Run, client: FlaskClient, tmp_path: Path) -> None:
    path = written(tmp_path / "a.yaml", tool("a"), tool("b"))
    code, out, err = run("import", path)
    assert (code, out) == (0, "2 created, 0 updated, 0 unchanged, 0 failed.\n")
    assert "Importing" in err
    assert [one["tool_name"] for one in client.get("/api/v1/tools").json] == ["a", "b"]
    assert client.get("/api/v1/tools/a").json["created_by"] == "cli"
    written(tmp_path / "a.yaml", tool("a"), tool("b", description="other"))
    code, out, err = run("import", path)
    assert (code, out) == (1, "")
    assert f"{path}:" in err, err
    assert 'tool_name: "b" 1.0 is there already and differs: import with overwrite to replace it\n' in err
    assert err.endswith("toolcatalog: 1 of the definitions cannot be imported, so nothing was written.\n")
    assert run("import", "--overwrite", path)[:2] == (0, "0 created, 1 updated, 1 unchanged, 0 failed.\n")


def test_a_strict_validation_names_the_line_where_the_definition_begins(run: Run, tmp_path: Path) -> None:
    one, two = tool("a"), tool("b")
    path = written(tmp_path / "two.yaml", one, two)
    assert run("validate", path)[0] == 0
    code, out, err = run("validate", "--strict", path)
    assert (code, out) == (1, "2 definitions, 2 errors, 0 warnings.\n")
    line = Path(path).read_text().splitlines().index("tool_name: b") + 1
    assert f'{path}:{line}: description: is word for word that of "a"' in err


def test_a_dry_run_writes_nothing_and_a_partial_import_the_good_ones(
    run: Run, client: FlaskClient, tmp_path: Path
) -> None:
    path = written(tmp_path / "a.yaml", tool("a"), tool("b", status="off"))
    said = "1 created, 0 updated, 0 unchanged, 1 failed."
    assert run("import", "--dry-run", path) == run("import", path)
    assert run("import", "--dry-run", "--partial", path)[:2] == (
        1,
        f"{said} Nothing was written: a dry run.\n",
    )
    assert client.get("/api/v1/tools").json == []
    assert run("import", "--partial", path)[:2] == (1, f"{said}\n")
    found = client.get("/api/v1/tools?min_revision=1").json
    assert [one["tool_name"] for one in found] == ["a"]


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_validation_import_and_dry_run_name_the_same_places(run: Run, tmp_path: Path, suffix: str) -> None:
    good, path = written(tmp_path / "good.yaml", tool("good")), tmp_path / f"two.{suffix}"
    path.write_text(json.dumps([tool("a"), {**tool("b"), "status": "off"}], indent=1))  # which is YAML too
    line = path.read_text().splitlines().index('  "status": "off",') + 1
    place = f"{path}: 1.status" if suffix == "json" else f"{path}:{line}: status"
    finding = f'{place}: "off" is not one of active, deprecated, disabled, testing, draft\n'
    for command in (["validate"], ["import"], ["import", "--dry-run"], ["import", "--partial"]):
        code, _, err = run(*command, good, str(path))
        assert (code, [line for line in err.splitlines(keepends=True) if "off" in line]) == (1, [finding])


def test_findings_of_a_json_file_name_file_and_item(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    path.write_text(json.dumps([tool("a"), tool("a"), tool("b", description="x"), 7]))
    twice = f'{path}: 1.tool_name: "a" 1.0 is defined in item 0 of {path} already'
    no_map = f"{path}: 3: has to be a map, not a number"
    code, _, err = run("validate", "--strict", str(path))
    assert (code, {no_map, twice} <= set(err.splitlines())) == (1, True)
    assert all(line.startswith(f"{path}: ") for line in err.splitlines())
    assert f"{path}: 2.capabilities." in err
    code, _, err = run("import", str(path))
    assert (code, err.splitlines()[-3:-1]) == (1, [twice, no_map])
    path.write_text(json.dumps([tool("c")]))
    assert run("import", str(path))[0] == 0
    path.write_text(json.dumps([tool("d"), tool("c", description="other")]))
    assert f'{path}: 1.tool_name: "c" 1.0 is there already and differs' in run("import", str(path))[2]


@pytest.mark.parametrize("command", [["validate"], ["import", "--partial"]])
def test_what_cannot_be_read_is_a_finding_and_the_others_are_read(
    run: Run, tmp_path: Path, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unreadable.yaml").symlink_to("/proc/self/mem")  # a file whose first byte is an error
    (tmp_path / "nowhere.yaml").symlink_to("gone")
    (tmp_path / "round.yaml").symlink_to("round.yaml")
    os.mkfifo(tmp_path / "pipe.yaml")
    good, vanished = tmp_path / "z.yaml", tmp_path / "vanished.yaml"
    written(good, tool("good"))
    list_all = Folder.list_all

    def list_one_more(folder: Folder) -> tuple[list[Path], list[Finding]]:
        found, findings = list_all(folder)
        return [vanished, *found], findings

    monkeypatch.setattr(Folder, "list_all", list_one_more)
    code, out, err = run(*command, str(tmp_path))
    assert code == 1
    assert sorted(line for line in err.splitlines() if "cannot be read" in line) == [
        f"{tmp_path}/nowhere.yaml: cannot be read: No such file or directory",
        f"{tmp_path}/pipe.yaml: cannot be read: it is a named pipe (FIFO), not a file",
        f"{tmp_path}/round.yaml: cannot be read: Too many levels of symbolic links",
        f"{tmp_path}/unreadable.yaml: cannot be read: Input/output error",
        f"{tmp_path}/vanished.yaml: cannot be read: No such file or directory",
    ]
    assert "Traceback" not in err
    assert out in (
        "3 definitions, 5 errors, 0 warnings.\n", "1 created, 0 updated, 0 unchanged, 5 failed.\n",
    )  # fmt: skip


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_an_export_goes_back_in(run: Run, client: FlaskClient, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out.{suffix}"
    assert run("import", written(tmp_path / "in.yaml", tool("a"), tool("größe")))[0] == 0
    assert run("export", "--format", suffix, "--output", str(path)) == (0, "", "")
    before = client.get("/api/v1/tools").json
    assert run("import", str(path))[:2] == (0, "0 created, 0 updated, 2 unchanged, 0 failed.\n")
    assert client.get("/api/v1/tools").json == before
    code, out, _ = run("export", "größe", "--format", suffix)
    assert (code, "tool_name: a" in out) == (0, False)
    code, out, err = run("export", "none")
    assert (code, out, err) == (
        1,
        "",
        'names: there is no tool "none"\ntoolcatalog: There is no tool of 1 of the names.\n',
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["import", "nowhere.yaml"], "Path 'nowhere.yaml' does not exist."),
        (["import", "."], "There are no YAML files (*.yaml, *.yml) in these folders."),
        (["imprt"], "No such command 'imprt'"),
    ],
)
def test_wrong_usage_is_exit_code_2(run: Run, arguments: list[str], says: str) -> None:
    code, _, err = run(*arguments)
    assert code == 2
    assert says in err


def test_a_wrong_setting_is_one_line(run: Run) -> None:
    assert run("serve", PORT="http") == (
        2, "", "toolcatalog: PORT='http' is not allowed: it has to be a whole number from 1 to 65535\n",
    )  # fmt: skip
    code, _, err = run("export", DATABASE_URL="mysql://root:secret@db/x")
    assert (code, "secret" in err) == (2, False)


def test_a_database_that_cannot_be_reached_is_exit_code_3(run: Run) -> None:
    code, out, err = run("export", DATABASE_URL=f"postgresql://nobody:secret@127.0.0.1:{free_port()}/x")
    assert (code, out) == (3, "")
    assert err.startswith("toolcatalog: The database cannot be used: ")
    assert err.count("\n") == 1
    assert "secret" not in err


def test_a_database_without_the_schema_says_what_to_run(run: Run, server_url: str) -> None:
    url = make_url(server_url)
    name = f"{url.database}_bare"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        connection.execute(text(f"CREATE DATABASE {name}"))
        bare = url.set(database=name).render_as_string(hide_password=False)
        for arguments in (["export"], ["serve"]):
            code, _, err = run(*arguments, DATABASE_URL=bare, PORT=str(free_port()))
            assert (code, err) == (
                3,
                "toolcatalog: The database is at migration none, this code needs 0006. "
                "Run: toolcatalog db upgrade\n",
            )
        code, out, _ = run("db", "upgrade", DATABASE_URL=bare)
        said = out.splitlines()
        assert (code, said[:2], said[-1]) == (
            0,
            ["Ran migration 0001 the catalog.", "Ran migration 0002 caches and reload."],
            "The database is up to date.",
        )
        assert run("db", "upgrade", DATABASE_URL=bare) == (0, "The database is up to date already.\n", "")
        assert run("export", DATABASE_URL=bare) == (0, "", "")
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


def test_help_lists_the_commands(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    for name in ("serve", "import", "export", "validate", "db", "backup", "restore", "doctor"):
        assert f"\n  {name} " in out
    assert run("--version")[0] == 0


def test_a_key_is_shown_once_listed_and_revoked(run: Run) -> None:
    code, key, said = run("keys", "add", "deploy-bot", "--scope", "write")
    assert (code, said) == (0, "The key of deploy-bot, scope write; keep it, it is not shown again:\n")
    assert re.fullmatch(r"tc_[0-9a-f]{8}_[0-9a-f]{64}\n", key)
    shown = key[:11]
    _, listed, _ = run("keys", "list")
    assert re.fullmatch(rf"{shown}_\.\.\.  deploy-bot +write  [-0-9]{{10}} [:0-9]{{5}}\n", listed)
    assert run("keys", "revoke", "deploy-bot") == (0, "The key of deploy-bot is revoked.\n", "")
    _, listed, _ = run("keys", "list")
    assert "revoked 2" in listed
    code, _, said = run("keys", "revoke", "deploy-bot")
    assert (code, said) == (1, "toolcatalog: There is no key deploy-bot that is not revoked.\n")


def test_a_key_needs_a_name_of_its_own(run: Run) -> None:
    assert run("keys", "add", "one")[0] == 0
    code, out, said = run("keys", "add", "one")
    assert (code, out) == (1, "")
    taken = "a key one, and in the audit trail a name stands for one key. Choose another name.\n"
    assert said == f"toolcatalog: There is {taken}"
    run("keys", "revoke", "one")
    code, out, said = run("keys", "add", "one")
    assert (code, out) == (1, "")
    assert re.fullmatch(rf"toolcatalog: Until [-0-9]{{10}} there was {taken}", said), said
    code, _, said = run("keys", "add", "two words")
    assert (code, said) == (
        1, "toolcatalog: The name 'two words' of a key has to be 1 to 63 of A-Z a-z 0-9 . _ @ -\n",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["anonymous", "file", "cli", "File"])
def test_no_key_bears_the_name_of_who_makes_changes_without_one(run: Run, name: str) -> None:
    assert run("keys", "add", name) == (
        1,
        "",
        f"toolcatalog: The name {name} is reserved: anonymous, file, cli are in the audit trail for changes "
        "that are made without a key. Choose another name.\n",
    )
    assert run("keys", "list")[1] == ""


def test_without_keys_only_this_machine_is_served(run: Run) -> None:
    code, _, said = run("serve", HOST="0.0.0.0", PORT=str(free_port()))  # noqa: S104 - it is refused
    assert (code, said.count("\n")) == (2, 1)
    assert "AUTH='off' is not allowed: other machines can reach 0.0.0.0" in said
