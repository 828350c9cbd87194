"""What files say, and what was done over HTTP meanwhile: the folder is read as a reload does it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask
from flask.testing import FlaskClient

from tests.api.test_tools import TOOLS
from tests.conftest import tool
from toolcatalog.api import context
from toolcatalog.core import soundness

Document = dict[str, Any]
# What a reload answers of: created, updated, unchanged, failed, retired, and its errors' messages.
Reloaded = tuple[dict[str, int], list[str]]
Save = Callable[..., Reloaded]


@pytest.fixture
def folder(app: Flask) -> Iterator[Path]:
    path = context.of(app).folder.path
    yield path
    for each in path.iterdir():
        each.unlink()


@pytest.fixture
def save(folder: Path, client: FlaskClient) -> Save:
    """Save files, each with some definitions or, for None, no more, and have the folder read."""

    def save(**files: Document | list[Document] | None) -> Reloaded:
        for name, documents in files.items():
            path = folder / f"{name}.yaml"
            path.unlink(missing_ok=True)
            if documents is not None:
                path.write_text(yaml.safe_dump_all(documents if isinstance(documents, list) else [documents]))
        answer = client.post(f"{TOOLS}/reload").json
        counts = ("created", "updated", "unchanged", "failed", "retired")
        done = {name: answer[name] for name in counts if answer[name]}
        return done, [error["message"] for error in answer["errors"]]

    return save


def versions(client: FlaskClient) -> list[tuple[str, str]]:
    found = client.get(f"{TOOLS}/grep/versions")
    return [(one["version"], one["description"]) for one in found.json] if found.status_code == 200 else []


def grep(description: str, version: str = "1.0") -> Document:
    return tool(description=description, version=version)


def test_what_was_retired_over_http_stays_so_whatever_its_file_says_until_it_is_restored(
    client: FlaskClient, save: Save
) -> None:
    assert save(a=grep("at first")) == ({"created": 1}, [])
    retired = client.delete(f"{TOOLS}/grep")
    assert (retired.status_code, retired.headers["X-Catalog-Retired"]) == (204, "until-restored")
    assert save(a=grep("edited")) == ({"unchanged": 1}, [])
    assert save(a=None) == ({}, [])
    assert save(a=grep("there again")) == ({"unchanged": 1}, [])
    assert save(a=None, b=grep("in another file")) == ({"unchanged": 1}, [])
    assert save(b=[grep("older", "1.0"), grep("released", "2.0")]) == ({"unchanged": 2}, [])
    assert versions(client) == []
    assert client.post(f"{TOOLS}/grep/restore").json["description"] == "at first"
    assert save() == ({"created": 1, "updated": 1}, [])
    assert versions(client) == [("2.0", "released"), ("1.0", "older")]
    assert save() == ({}, [])


def test_a_version_that_was_retired_over_http_stays_so_and_the_others_follow_their_file(
    client: FlaskClient, save: Save
) -> None:
    save(a=[grep("old", "1.0"), grep("new", "2.0")])
    client.delete(f"{TOOLS}/grep?version=2.0")
    assert save(a=[grep("old, edited", "1.0"), grep("new, edited", "2.0")]) == (
        {"updated": 1, "unchanged": 1},
        [],
    )
    assert versions(client) == [("1.0", "old, edited")]
    assert save(a=[grep("old, edited", "1.0"), grep("newest", "3.0")]) == (
        {"created": 1, "updated": 1},
        [],
    )
    assert versions(client) == [("3.0", "newest"), ("1.0", "old, edited")]


def test_what_its_file_left_out_comes_back_with_it(client: FlaskClient, save: Save) -> None:
    save(a=grep("at first"))
    assert save(a=None) == ({"retired": 1}, [])
    assert save(a=grep("back")) == ({"updated": 1}, [])
    assert versions(client) == [("1.0", "back")]


def test_an_import_brings_back_what_was_retired_and_its_file_speaks_again(
    client: FlaskClient, save: Save
) -> None:
    save(a=grep("at first"))
    client.delete(f"{TOOLS}/grep")
    save(a=grep("edited"))
    assert client.post(f"{TOOLS}/import", json=grep("at first")).json["updated"] == 1
    assert save() == ({"updated": 1}, [])
    assert versions(client) == [("1.0", "edited")]


def test_a_file_that_spells_its_version_otherwise_is_an_error_until_it_is_mended(
    client: FlaskClient, save: Save
) -> None:
    save(a=grep("at first"))
    refused = (
        'The tool "grep" has a version "1.0", and "1.0.0" is the same release, spelled otherwise: '
        'write it as "1.0", or choose a version that is newer.'
    )
    assert save(a=grep("respelled", "1.0.0")) == ({"failed": 1}, [refused])
    assert save() == ({"failed": 1}, [refused])
    assert versions(client) == [("1.0", "at first")]
    assert save(a=grep("mended")) == ({"updated": 1}, [])
    assert versions(client) == [("1.0", "mended")]


def test_a_file_that_contradicts_itself_is_an_error_when_it_changes(client: FlaskClient, save: Save) -> None:
    wrong = grep("wrong")
    wrong["capabilities"]["text_search"]["patterns"]["search_files"]["cost_estimate"] = "-1"
    save(a=grep("at first"))
    for _ in range(2):
        assert save(a=wrong) == ({}, ['"-1" is -1, which is out of range: 0 or more'])
    assert versions(client) == [("1.0", "at first")]


def test_a_file_that_did_not_change_is_not_judged_anew(
    client: FlaskClient, save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = grep("from before")
    wrong["capabilities"]["text_search"]["patterns"]["search_files"]["cost_estimate"] = "-1"
    with monkeypatch.context() as patch:
        patch.setattr(soundness, "check", lambda _: ())  # as the release before read it
        assert save(a=wrong) == ({"created": 1}, [])
    assert save() == ({}, [])
    assert versions(client) == [("1.0", "from before")]


def test_two_files_with_one_release_in_two_spellings_do_not_take_turns(
    client: FlaskClient, save: Save
) -> None:
    save(a=grep("from a"))
    refused = '"grep" v1.0 is the same release as 1.0, which is defined in a.yaml already'
    for _ in range(2):
        assert save(b=grep("from b", "v1.0")) == ({}, [refused])
    assert versions(client) == [("1.0", "from a")]
