"""The command line: `toolcatalog serve | import | export | validate | reload | keys | loadtest | db upgrade |
backup | restore | doctor`.

Exit codes: 0 done, 1 the definitions have errors, the backup cannot be restored or the doctor found a
problem, 2 wrong usage or setting, 3 the database cannot be used.
Errors go to standard error, those of definitions as `file:line: path: message`.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import IO, Any

import click
import psycopg2
from sqlalchemy.exc import SQLAlchemyError

import toolcatalog
from toolcatalog import backup, doctor, embedded, restore, serve, settings, upgrade
from toolcatalog.core import json_text, lint
from toolcatalog.errors import CatalogError, DatabaseUnavailable, Finding, InvalidDocument
from toolcatalog.models.keys import SCOPES
from toolcatalog.reload import applying, files
from toolcatalog.reload.files import Folder
from toolcatalog.reload.time_limit import TimeLimit
from toolcatalog.services import exports, imports, keys
from toolcatalog.services.changes import CLI, Actor, Journal
from toolcatalog.sources import definitions
from toolcatalog.sources.definitions import Item
from toolcatalog.sources.writing import yaml_texts

INVALID, USAGE, DATABASE = 1, 2, 3

PATHS = click.argument(
    "paths",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="FILE_OR_FOLDER...",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(toolcatalog.__version__)
def cli() -> None:
    """Tool Catalog: which tool does this, may it be run here, what will it take."""


@cli.command("serve")
def serve_command() -> None:
    """Serve the catalog over HTTP, with the embedded PostgreSQL if DATABASE_URL is not set."""
    sys.exit(serve.run(settings.load()))


@cli.group("db")
def db_group() -> None:
    """The database."""


@db_group.command("upgrade")
def upgrade_command() -> None:
    """Bring the database up to the schema that this version needs; says which migrations it ran."""
    with embedded.database_url(settings.load().database_url) as url:
        applied = upgrade.to_head(url)
    for migration in applied:
        click.echo(f"Ran migration {migration}.")
    click.echo("The database is up to date." if applied else "The database is up to date already.")


@cli.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def backup_command(file: Path) -> None:
    """Back up the whole database into FILE, and check what was written; the service goes on meanwhile."""
    with embedded.database_url(settings.load().database_url) as url:
        try:
            made = backup.make(url, file, _say)
        except OSError as error:
            raise click.UsageError(f"{file} cannot be written: {error.strerror}") from error
    click.echo(f"{file}: {file.stat().st_size} bytes, {len(made.tables)} tables.")


@cli.command("restore")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--replace", is_flag=True, help="Overwrite the catalog that is in the database.")
def restore_command(file: Path, *, replace: bool) -> None:
    """Restore FILE, which `backup` wrote, into a database that is empty: all of it or nothing.

    A running service takes note at once. Keys that were revoked in what is overwritten stay revoked.
    """
    with embedded.database_url(settings.load().database_url) as url:
        _say(f"Checking {file} ...")
        found = backup.check(file)
        target = restore.look_at(url, found, replace=replace)
        if target.tables:
            _say(f"Overwriting the database {target.name}: {target.summary}.")
        with click.progressbar(length=found.script_bytes, label="Restoring", file=sys.stderr) as bar:
            restore.run(url, found, target, bar.update)
        upgrade.to_head(url)  # a backup may be older than this code
        now = restore.look_at(url, found, replace=True)
    click.echo(f"The database {now.name} is restored: {now.summary}.")


@cli.command("doctor")
def doctor_command() -> None:
    """Look at settings, database, definitions, disks and port; exits with 1 if something is a problem."""
    found = []
    for observation in _examine():
        click.echo(str(observation))
        found.append(observation.level)
    click.echo(f"{found.count(doctor.PROBLEM)} problems, {found.count(doctor.WARNING)} warnings.")
    sys.exit(1 if doctor.PROBLEM in found else 0)


def _examine() -> Iterator[doctor.Observation]:
    try:
        settings_ = settings.load()
    except settings.InvalidSetting as error:
        yield doctor.Observation(
            doctor.PROBLEM, "settings", str(error), "Correct it in the environment or .env."
        )
        return
    yield from doctor.examine(settings_)


def _say(message: str) -> None:
    click.echo(message, err=True)


@cli.command("loadtest")
@click.option("--url", envvar="TOOL_CATALOG_URL", default="http://127.0.0.1:3005", show_default=True)
@click.option("--users", default=2, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--seconds", default=60.0, show_default=True, type=click.FloatRange(1, 86_400))
@click.option("--ramp-up", default=1.0, show_default=True, type=click.FloatRange(0), help="Seconds.")
@click.option("--think-time", default=0.1, show_default=True, type=click.FloatRange(0), help="Seconds.")
@click.option(
    "--output", default="var/load-test", show_default=True, type=click.Path(file_okay=False, path_type=Path)
)
def loadtest_command(
    url: str, users: int, seconds: float, ramp_up: float, think_time: float, output: Path
) -> None:
    """Load a running service as its users would; exits with 1 under 70 points of 100.

    The API key, where the service wants one to read, is taken from TOOL_CATALOG_KEY.
    """
    try:
        from toolcatalog import loadtest  # noqa: PLC0415 - it replaces the sockets of the process
    except ImportError as error:
        raise click.UsageError("The load test needs Locust: pip install 'toolcatalog[loadtest]'") from error
    key = os.environ.get("TOOL_CATALOG_KEY")
    plan = loadtest.Plan(url.rstrip("/"), users, seconds, ramp_up, think_time, key)
    try:
        outcome = loadtest.run(plan, lambda line: click.echo(line, err=True))
    except loadtest.CannotRun as error:
        raise click.ClickException(str(error)) from error
    outcome.write(output)
    click.echo(outcome.table())
    click.echo(
        f"The report with plots is in {output / 'report.html'}, the figures in {output / 'result.json'}"
    )
    sys.exit(0 if outcome.score >= loadtest.PASSING_SCORE else 1)


@cli.group("keys")
def keys_group() -> None:
    """The API keys: who may read, write and administer."""


@keys_group.command("add")
@click.argument("name")
@click.option(
    "--scope", type=click.Choice(SCOPES), default="read", show_default=True, help="Includes those before it."
)
def keys_add_command(name: str, scope: str) -> None:
    """Make a key for NAME, and print it: it cannot be shown again.

    A name is given once, also when its key was revoked: in the audit trail it stands for one key.
    """
    with serve.open_database(settings.load()) as (_, database), database.write() as session:
        key = keys.make(session, name, scope)
    click.echo(f"The key of {name}, scope {scope}; keep it, it is not shown again:", err=True)
    click.echo(key)


@keys_group.command("revoke")
@click.argument("name")
def keys_revoke_command(name: str) -> None:
    """Revoke the key of NAME; every worker refuses it within a second."""
    with serve.open_database(settings.load()) as (_, database), database.write() as session:
        keys.revoke(session, name)
    click.echo(f"The key of {name} is revoked.")


@keys_group.command("list")
def keys_list_command() -> None:
    """List the keys: id, name, scope, since when, and until when if revoked."""
    with serve.open_database(settings.load()) as (_, database), database.read() as connection:
        for key in keys.list_all(connection):
            until = f"  revoked {key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else ""
            click.echo(
                f"tc_{key.id}_...  {key.name:20}  {key.scope:5}  {key.created_at:%Y-%m-%d %H:%M}{until}"
            )


@cli.command("validate")
@PATHS
@click.option(
    "--strict", is_flag=True, help="Refuse too what people who act on a catalog should not be told."
)
def validate_command(paths: tuple[Path, ...], *, strict: bool) -> None:
    """Check definitions, without a database; exits with 1 if any has an error."""
    found, unreadable = _files(paths)
    checked = [*unreadable, *(item for path in found for item in _read(path))]
    errors = [finding for item in checked for finding in item.findings]
    releases = definitions.Releases()
    errors += filter(None, (releases.find_first(index, item) for index, item in enumerate(checked)))
    if strict:
        errors += _lint(checked)
    warnings = [finding for item in checked for finding in item.warnings]
    _print_findings(errors)
    _print_findings(warnings, "warning: ")
    count = len(checked) - len(unreadable)
    click.echo(f"{count} definitions, {len(errors)} errors, {len(warnings)} warnings.")
    sys.exit(INVALID if errors else 0)


@cli.command("import")
@PATHS
@click.option("--overwrite", is_flag=True, help="Replace what is there and differs.")
@click.option("--partial", is_flag=True, help="Import the good ones although others fail.")
@click.option("--dry-run", is_flag=True, help="Say and exit as the import would, and write nothing.")
def import_command(paths: tuple[Path, ...], *, overwrite: bool, partial: bool, dry_run: bool) -> None:
    """Import definitions: all of them or, if one fails, none."""
    found, unreadable = _files(paths)
    sizes = [(path, _size(path)) for path in found]
    with serve.open_database(settings.load()) as (_, database), database.write() as session:
        journal = Journal(session, Actor(CLI))
        with click.progressbar(
            length=sum(size for _, size in sizes), label="Importing", file=sys.stderr
        ) as bar:
            items = chain(unreadable, _with_progress(sizes, bar))
            results = list(imports.take_in(journal, items, overwrite=overwrite, partial=partial))
        if dry_run:
            journal.discard()
        journal.close()
    _print_findings(finding for one in results for finding in one.findings)
    counts = ", ".join(f"{count} {kind}" for kind, count in imports.count(results).items())
    click.echo(f"{counts}.{' Nothing was written: a dry run.' if dry_run else ''}")
    sys.exit(INVALID if imports.count(results)["failed"] else 0)


@cli.command("reload")
@click.option("--accept-removals", is_flag=True, help="Retire the tools of vanished files, however many.")
def reload_command(*, accept_removals: bool) -> None:
    """Take in what changed in the folder of definitions; exits with 1 if a file has an error."""
    settings_ = settings.load()
    with serve.open_database(settings_) as (_, database):
        folder = Folder(settings_.tools_dir)
        outcome = applying.apply(database, folder, "manual", accept_removals=accept_removals)
    serve.say(outcome, settings_.tools_dir)
    sys.exit(INVALID if outcome.errors else 0)


@cli.command("export")
@click.argument("names", nargs=-1)
@click.option("--format", "format_", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True)
@click.option("--output", type=click.File("w", encoding="utf-8", atomic=True), default="-", help="A file.")
def export_command(names: tuple[str, ...], format_: str, output: IO[str]) -> None:
    """Export the latest definitions, of all tools or of the NAMES, as they go back in."""
    with serve.open_database(settings.load()) as (_, database), database.read() as connection:
        if names:
            exports.check_names(connection, names)
        documents = exports.documents(connection, names or None)
        if format_ == "json":
            output.write(json_text.dumps(list(documents)) + "\n")
        else:
            output.writelines(yaml_texts(documents))


def _files(paths: Iterable[Path]) -> tuple[list[Path], list[Item]]:
    """List the files that are named and those in named folders, and what in these cannot be read."""
    found: list[Path] = []
    findings: list[Finding] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        in_folder, unreadable = Folder(path).list_all()
        found += in_folder
        findings += unreadable
    if not found and not findings:
        raise click.UsageError("There are no YAML files (*.yaml, *.yml) in these folders.")
    return found, [Item(None, (finding,)) for finding in findings]


def _read(path: Path) -> Iterator[Item]:
    try:
        # What is no file was named by hand, as a shell does for `<(...)`: in a folder, none is found.
        is_file = path.is_file()
        data = TimeLimit(path).run(lambda _: files.content(path)) if is_file else path.read_bytes()
    except OSError as error:
        yield Item(None, (files.unreadable(path, error),))
        return
    if path.suffix == ".json":
        try:
            yield from definitions.read_json(data, file=str(path))
        except InvalidDocument as error:
            yield Item(None, (Finding((), str(error), str(path)),))
    else:
        yield from definitions.read_yaml(data, file=str(path))


def _lint(items: Iterable[Item]) -> list[Finding]:
    """Return what `core.lint` finds, each at the place of its definition."""
    places = {id(item.definition): item for item in items if item.definition is not None}
    definitions_ = [item.definition for item in places.values() if item.definition is not None]
    return [
        replace(finding, file=item.file, line=item.line, path=item.path + finding.path)
        for definition, finding in lint.strict(definitions_)
        for item in (places[id(definition)],)
    ]


def _size(path: Path) -> int:
    """Return the bytes of a file; 0 for one that is gone by now, which `_read` says."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _with_progress(sizes: list[tuple[Path, int]], bar: Any) -> Iterator[Item]:
    for path, size in sizes:
        yield from _read(path)
        bar.update(size)


def _print_findings(findings: Iterable[Finding], prefix: str = "") -> None:
    for finding in findings:
        click.echo(f"{prefix}{finding}", err=True)


def main() -> None:
    """Run the command line; whatever a user can act on ends in one line and an exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        cli()
    except (settings.InvalidSetting, serve.PortTaken) as error:
        _fail(str(error), USAGE)
    except (embedded.CannotStart, DatabaseUnavailable) as error:
        _fail(str(error), DATABASE)
    except (SQLAlchemyError, psycopg2.Error) as error:
        _fail(f"The database cannot be used: {' '.join(str(error.__cause__ or error).split())}", DATABASE)
    except CatalogError as error:
        _print_findings(error.findings)
        _fail(str(error), INVALID)


def _fail(message: str, code: int) -> None:
    click.echo(f"toolcatalog: {message}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
