"""The names that the documents show are those of the code; and the code's names stand in the documents.

The pages on settings, HTTP API, metrics and commands are written from the code, so that these have all of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import click
import pytest
from werkzeug.routing import Map

from docs.generate import commands
from tests.docs.texts import FILES, code, name_of
from tests.monitoring.test_files import ALL_ALERTS, BY_GROUP, LINKS, known_names
from toolcatalog import cli, settings
from toolcatalog.app import create_app
from toolcatalog.settings import PROJECT_ROOT

each_file = pytest.mark.parametrize("path", FILES, ids=name_of)


@cache
def names_in_capitals() -> set[str]:
    """The settings and variables that code, configuration and scripts know."""
    folders = ("toolcatalog", "deploy", "scripts", "migrations")
    files = [PROJECT_ROOT / "Makefile", PROJECT_ROOT / ".env.example"]
    files += [path for folder in folders for path in (PROJECT_ROOT / folder).rglob("*") if is_code(path)]
    return set(re.findall(r"\b[A-Z][A-Z0-9_]{2,}\b", "\n".join(path.read_text() for path in files)))


def is_code(path: Path) -> bool:
    return path.is_file() and path.suffix not in (".md", ".pyc")


@cache
def routes() -> Map:
    return create_app(settings.load({"DATABASE_URL": "postgresql://nobody@localhost/none"})).url_map


@cache
def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (PROJECT_ROOT / "Makefile").read_text(), re.MULTILINE))


def unknown(path: Path, pattern: str, is_known: Callable[[str], bool]) -> list[str]:
    """What the code of a file has of a pattern (its first group), and is not known."""
    found = (match[1] for text in code(path) for match in re.finditer(pattern, text))
    return sorted({one for one in found if not is_known(one)})


@each_file
def test_settings_and_variables_are_the_codes(path: Path) -> None:
    in_capitals = r"\b([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|[A-Z]{3,}(?==))\b"
    assert unknown(path, in_capitals, names_in_capitals().__contains__) == []


@each_file
def test_routes_are_the_codes(path: Path) -> None:
    assert unknown(path, r"(?<![\w.*])(/(?:api/|health|metrics)\b[^\s?#'\"`,;|)\]]*)", is_route) == []


def is_route(text: str) -> bool:
    path = re.sub(r"\{[^}]*\}", "x", text.rstrip(".:"))
    return "..." in text or bool(routes().bind("localhost").allowed_methods(path))


def test_every_route_stands_in_a_document() -> None:
    said = "\n".join(path.read_text() for path in FILES)
    rules = (rule.rule for rule in routes().iter_rules() if rule.rule != "/")
    written = (re.sub(r"<path:\w+>$", "", rule) for rule in rules)
    named = {re.sub(r"<(\w+)>", r"{\1}", rule) for rule in written}
    assert {route for route in named if route not in said} == set()


@each_file
def test_metrics_are_the_codes(path: Path) -> None:
    known = known_names()
    known |= {re.sub(r"_(bucket|sum|count|total)$", "", name) for name in known} | set(BY_GROUP) | set(LINKS)
    deployed = "\n".join(file.read_text() for file in (PROJECT_ROOT / "deploy").rglob("*.conf"))
    known |= set(re.findall(r"\btool_catalog_[a-z_]+", deployed))
    assert unknown(path, r"\b(tool_catalog_[a-z_]+)", known.__contains__) == []


@each_file
def test_alerts_are_those_of_the_rules(path: Path) -> None:
    said = re.findall(r"\bToolCatalog[A-Z]\w+", path.read_text())
    assert sorted(set(said) - set(ALL_ALERTS)) == []


@each_file
def test_make_targets_are_the_makefiles(path: Path) -> None:
    assert unknown(path, r"^(?:\$ )?make ([a-z-]+)", make_targets().__contains__) == []


@each_file
def test_files_that_are_named_are_there(path: Path) -> None:
    suffixes = "py|sh|conf|ya?ml|json|cfg|toml|ini|service|socket"
    named = rf"(?:^|(?<=\s))((?!var/)[\w.-]+/[\w./-]+\.(?:{suffixes}))(?=$|[\s,;:)])"
    roots = (PROJECT_ROOT, PROJECT_ROOT / "toolcatalog")
    assert unknown(path, named, lambda name: any((root / name).exists() for root in roots)) == []


@each_file
def test_commands_and_their_options_are_the_codes(path: Path) -> None:
    called = r"(?:^|[$;&|/] ?)(toolcatalog [a-z-][^|;&>`]*)"
    assert unknown(path, called, lambda text: is_call(text.split())) == []


def is_call(words: list[str]) -> bool:
    """Whether words call a command that there is, with options that it has; a group may be named alone."""
    command: click.Command = cli.cli
    rest = words[1:]
    while rest and isinstance(command, click.Group) and not rest[0].startswith("-"):
        if rest[0] not in command.commands:
            return False
        command = command.commands[rest.pop(0)]
    given = {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
    return given <= {"-h", "--help", "--version", *options_of(command)}


def options_of(command: click.Command) -> Iterable[str]:
    return (option for parameter in command.params for option in parameter.opts)


def test_the_page_of_commands_has_every_command() -> None:
    page = (PROJECT_ROOT / "docs" / "command-line.md").read_text()
    headings = re.findall(r"^## (.+)$", page, re.MULTILINE)
    assert headings == sorted(" ".join(words) for words in commands())
    assert len(headings) > len(cli.cli.commands)


@pytest.mark.parametrize(
    ("text", "is_right"),
    [
        ("toolcatalog serve", True),
        ("toolcatalog keys add me --scope admin", True),
        ("toolcatalog db upgrade --help", True),
        ("toolcatalog serve --fast", False),
        ("toolcatalog keys forget me", False),
    ],
)
def test_a_wrong_command_is_noticed(text: str, is_right: bool) -> None:
    assert is_call(text.split()) is is_right
