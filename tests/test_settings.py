"""The settings: where they come from, what they may be, and that `.env.example` lists them all."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values

from toolcatalog import settings
from toolcatalog.settings import PROJECT_ROOT, InvalidSetting, Settings, load, normalised_url

EXAMPLE = PROJECT_ROOT / ".env.example"
DEFAULTS = {field.name.upper(): field.default for field in dataclasses.fields(Settings)}
URL = "it has to look like postgresql://user:password@host:5432/database"


def whole(minimum: int, maximum: int) -> str:
    return f"it has to be a whole number from {minimum} to {maximum}"


def refusal(name: str, value: str) -> str:
    with pytest.raises(InvalidSetting) as caught:
        load({name: value})
    return str(caught.value)


def test_the_example_lists_every_setting_and_no_other() -> None:
    assert list(dotenv_values(EXAMPLE)) == list(DEFAULTS)


def test_the_example_gives_the_defaults() -> None:
    given = {name: value or "" for name, value in dotenv_values(EXAMPLE).items()}
    assert load(given) == Settings()
    # What stands there is the default itself, and not nothing; an address and a folder are no one's default.
    unstated = {name for name, value in given.items() if not value}
    assert unstated <= {"DATABASE_URL", "TOOLS_DIR", "TRUSTED_PROXIES", "CORS_ORIGINS"}
    stated = {name: str(default) for name, default in DEFAULTS.items() if name not in unstated}
    assert stated == {name: given[name].replace("false", "False").replace("true", "True") for name in stated}


def test_every_setting_of_the_example_is_explained() -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    bare = [line for before, line in zip(["", *lines], lines, strict=False) if line and not before]
    assert [line for line in bare if not line.startswith("#")] == []


def test_without_an_environment_the_defaults_hold() -> None:
    assert load({}) == Settings()
    fixed = {"DATABASE_URL": None, "HOST": "127.0.0.1", "PORT": 3005, "TOOLS_DIR": PROJECT_ROOT / "catalog"}
    assert {name: DEFAULTS[name] for name in fixed} == fixed
    pool = {"DB_POOL_SIZE": 8, "DB_MAX_OVERFLOW": 0}
    assert {name: DEFAULTS[name] for name in pool} == pool


def test_an_empty_value_means_the_default() -> None:
    assert load(dict.fromkeys(DEFAULTS, "")) == Settings()


def test_settings_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().port = 1


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        (
            "DATABASE_URL",
            "postgresql://u:p%40x@db:5433/catalog",
            "postgresql+psycopg2://u:p%40x@db:5433/catalog",
        ),
        ("DATABASE_URL", "postgres://db/catalog", "postgresql+psycopg2://db/catalog"),
        ("DATABASE_URL", "postgresql+psycopg2:///c?host=/run/x", "postgresql+psycopg2:///c?host=%2Frun%2Fx"),
        (
            "DATABASE_URL",
            "postgresql://u:p,w@one:5432,two:5433/c?target_session_attrs=read-write",
            "postgresql+psycopg2://u:p%2Cw@/c?host=one%3A5432&host=two%3A5433&target_session_attrs=read-write",
        ),
        ("DATABASE_URL", "postgresql://u:p,w@db/c", "postgresql+psycopg2://u:p%2Cw@db/c"),
        ("DATABASE_URL", "postgresql://one,two", "postgresql+psycopg2:///?host=one&host=two"),
        ("HOST", "0.0.0.0", "0.0.0.0"),  # noqa: S104 - a value to parse
        ("HOST", "::1", "::1"),
        ("PORT", "1", 1),
        ("PORT", "65535", 65_535),
        ("WORKERS", "256", 256),
        ("THREADS", "1", 1),
        ("TOOLS_DIR", "/srv/tools", Path("/srv/tools")),
        ("TOOLS_DIR", "tools", Path("tools")),
        ("DB_POOL_SIZE", "1000", 1_000),
        ("DB_MAX_OVERFLOW", "0", 0),
        ("DB_STATEMENT_TIMEOUT_MS", "3600000", 3_600_000),
        ("MAX_BODY_BYTES", "1000", 1_000),
        ("MAX_IMPORT_BYTES", "1000000000", 1_000_000_000),
        *(("REQUIRE_IF_MATCH", text, True) for text in ("true", "TRUE", "1", "on", "Yes")),
        *(("REQUIRE_IF_MATCH", text, False) for text in ("false", "False", "0", "OFF", "no")),
        *(("LOG_LEVEL", text, text) for text in ("DEBUG", "INFO", "WARNING", "ERROR")),
    ],
)
def test_a_setting_is_read(name: str, text: str, value: Any) -> None:
    assert load({name: text}) == dataclasses.replace(Settings(), **{name.lower(): value})


@pytest.mark.parametrize(
    ("name", "text", "allowed"),
    [
        *(("PORT", text, whole(1, 65_535)) for text in ("0", "65536", "-1", "3005.0", "http", " ", "0x1F")),
        ("WORKERS", "0", whole(1, 256)),
        ("THREADS", "257", whole(1, 256)),
        ("DB_POOL_SIZE", "0", whole(1, 1_000)),
        ("DB_MAX_OVERFLOW", "-1", whole(0, 1_000)),
        ("DB_STATEMENT_TIMEOUT_MS", "0", whole(1, 3_600_000)),
        ("MAX_BODY_BYTES", "5MB", whole(1_000, 1_000_000_000)),
        ("REQUIRE_IF_MATCH", "maybe", "it has to be true or false"),
        ("LOG_LEVEL", "info", "it has to be one of DEBUG, INFO, WARNING, ERROR"),
        ("LOG_LEVEL", "a\nb", "it has to be one of DEBUG, INFO, WARNING, ERROR"),
    ],
)
def test_a_wrong_value_is_refused_in_one_line_with_what_is_allowed(
    name: str, text: str, allowed: str
) -> None:
    message = refusal(name, text)
    assert message == f"{name}={text!r} is not allowed: {allowed}"
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:secret@db/x",
        "postgresql+asyncpg://u:secret@db/x",
        "sqlite:///x",
        "db.example.com",
        "postgresql://u:secret@db:port/x",
    ],
)
def test_a_wrong_address_of_the_database_is_refused_without_showing_it(url: str) -> None:
    assert refusal("DATABASE_URL", url) == f"DATABASE_URL='…' is not allowed: {URL}"


def test_an_address_names_its_driver_once_and_for_all() -> None:
    url = normalised_url("postgresql://u:p@db/x")
    assert url == "postgresql+psycopg2://u:p@db/x"
    assert normalised_url(url) == url


def test_the_first_wrong_value_is_told() -> None:
    with pytest.raises(InvalidSetting, match=r"^PORT='x' is not allowed: "):
        load({"LOG_LEVEL": "x", "PORT": "x", "HOST": "x"})


def test_the_environment_wins_over_the_file_of_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in DEFAULTS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    assert load() == Settings()
    (tmp_path / ".env").write_text('PORT=4000\nHOST="h"  # a comment\nWORKERS\nOTHER=x\n', encoding="utf-8")
    assert load() == dataclasses.replace(Settings(), port=4000, host="h")
    monkeypatch.setenv("PORT", "5000")
    assert load() == dataclasses.replace(Settings(), port=5000, host="h")
    assert "HOST" not in os.environ


def test_a_given_environment_is_the_only_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "5000")
    assert settings.load({}) == Settings()
    assert settings.load({"port": "5000"}) == Settings()


@pytest.mark.parametrize(
    ("threads", "waiting", "database"),
    [(1, 0, 1), (2, 0, 2), (4, 1, 2), (8, 2, 4), (16, 4, 8), (64, 4, 56), (256, 4, 248)],
)
def test_threads_are_shared_out_so_that_some_need_no_database(
    threads: int, waiting: int, database: int
) -> None:
    given = load({"THREADS": str(threads)})
    assert (given.waiting_places, given.database_places) == (waiting, database)
    assert waiting + database <= threads
    assert waiting + database < threads or threads < 4
