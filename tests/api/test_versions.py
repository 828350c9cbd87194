"""A tool over time: versions, which of them is the latest, what is retired and comes back."""

from __future__ import annotations

from itertools import permutations

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from tests.api.test_tools import TOOLS, made
from tests.conftest import tool
from toolcatalog.api import context


def latest(client: FlaskClient, name: str = "grep") -> str:
    return str(client.get(f"{TOOLS}/{name}").json["version"])


def versions(client: FlaskClient, name: str = "grep") -> list[tuple[str, bool]]:
    return [(one["version"], one["is_latest"]) for one in client.get(f"{TOOLS}/{name}/versions").json]


def test_the_newest_version_is_the_latest_in_whatever_order_they_came(client: FlaskClient) -> None:
    for version in ("1.9", "1.10", "1.2"):
        made(client, version=version)
    assert versions(client) == [("1.10", True), ("1.9", False), ("1.2", False)]
    assert client.get(TOOLS).json == [client.get(f"{TOOLS}/grep").json]
    assert client.get(f"{TOOLS}/grep/versions/1.2").json == client.get(f"{TOOLS}/1?version=1.2").json


def test_a_changed_version_field_makes_a_new_version_and_keeps_the_old(client: FlaskClient) -> None:
    made(client)
    bumped = client.patch(f"{TOOLS}/grep", json={"version": "1.1", "description": "newer"})
    assert (bumped.status_code, bumped.json["id"], bumped.json["version"]) == (200, 1, "1.1")
    assert versions(client) == [("1.1", True), ("1.0", False)]
    assert client.get(f"{TOOLS}/grep?version=1.0").json["description"] == tool()["description"]
    again = client.patch(f"{TOOLS}/grep?version=1.0", json={"version": "1.1"})
    assert again.status_code == 409


def test_an_old_version_can_be_changed_without_becoming_the_latest(client: FlaskClient) -> None:
    made(client)
    made(client, version="2.0")
    client.put(f"{TOOLS}/grep?version=1.0", json={"status": "deprecated"})
    assert client.get(f"{TOOLS}/grep?version=1.0").json["status"] == "deprecated"
    assert client.get(f"{TOOLS}/grep").json["status"] == "active"


def test_a_rollback_makes_an_earlier_version_the_latest_until_a_newer_one_comes(client: FlaskClient) -> None:
    made(client)
    made(client, version="2.0")
    back = client.post(f"{TOOLS}/grep/rollback", json={"version": "1.0"})
    assert (back.status_code, back.json["version"], back.json["is_latest"]) == (200, "1.0", True)
    assert client.get("/api/v1/changes").json["changes"][-1]["action"] == "rolled_back"
    assert client.post(f"{TOOLS}/grep/rollback", json={"version": "1.0"}).json["revision"] == 3
    made(client, version="1.1")
    assert latest(client) == "1.1"


def test_a_rollback_says_what_it_needs(client: FlaskClient) -> None:
    made(client)
    assert client.post(f"{TOOLS}/grep/rollback", json={"version": "9"}).status_code == 404
    wrong = client.post(f"{TOOLS}/grep/rollback", json={"to": "1.0"})
    assert wrong.status_code == 422
    assert [error["path"] for error in wrong.json["errors"]] == ["to", "version"]


def test_a_retired_tool_is_gone_but_its_history_stays_and_it_can_be_restored(client: FlaskClient) -> None:
    before = made(client)
    made(client, version="2.0")
    assert client.delete(f"{TOOLS}/grep").status_code == 204
    gone = client.get(f"{TOOLS}/grep")
    assert gone.status_code == 404
    assert "was retired on 20" in gone.json["detail"]
    assert client.get(f"{TOOLS}/grep/versions").status_code == 404
    assert client.delete(f"{TOOLS}/grep").status_code == 404
    assert client.get(TOOLS).json == []
    assert client.post(TOOLS, json=tool()).status_code == 409
    assert len(client.get(f"{TOOLS}/grep/history").json) == 4
    back = client.post(f"{TOOLS}/{before['id']}/restore")
    assert (back.status_code, back.json["version"]) == (200, "2.0")
    assert versions(client) == [("2.0", True), ("1.0", False)]


def test_restoring_what_is_live_changes_nothing(client: FlaskClient) -> None:
    made(client)
    assert client.post(f"{TOOLS}/grep/restore").json["revision"] == 1


def test_a_retired_version_hands_the_latest_to_the_newest_that_is_left(client: FlaskClient) -> None:
    for version in ("1.0", "2.0", "3.0"):
        made(client, version=version)
    assert client.delete(f"{TOOLS}/grep?version=3.0").status_code == 204
    assert latest(client) == "2.0"
    assert client.get(f"{TOOLS}/grep?version=3.0").status_code == 404
    assert client.post(f"{TOOLS}/grep/restore?version=3.0").json["is_latest"] is True
    client.delete(f"{TOOLS}/grep?version=1.0")
    assert client.post(f"{TOOLS}/grep/restore?version=1.0").json["is_latest"] is False
    assert client.post(f"{TOOLS}/grep/restore?version=9").status_code == 404
    assert versions(client) == [("3.0", True), ("2.0", False), ("1.0", False)]


def test_a_restore_brings_back_only_what_was_retired_last_together(client: FlaskClient) -> None:
    for version in ("1.0", "2.0"):
        made(client, version=version)
    client.delete(f"{TOOLS}/grep?version=1.0")
    client.delete(f"{TOOLS}/grep")
    client.post(f"{TOOLS}/grep/restore")
    assert versions(client) == [("2.0", True)]


def test_a_new_version_of_a_retired_tool_brings_only_itself(client: FlaskClient) -> None:
    made(client, version="2.0")
    client.delete(f"{TOOLS}/grep")
    made(client, version="1.0")
    assert versions(client) == [("1.0", True)]


def test_history_tells_who_changed_what_and_is_paged(client: FlaskClient) -> None:
    made(client)
    client.put(f"{TOOLS}/grep", json={"description": "new"}, headers={"X-Request-ID": "r-1"})
    newest, oldest = client.get(f"{TOOLS}/grep/history").json
    assert newest == {
        "revision": 2, "tool_id": 1, "tool_name": "grep", "version": "1.0", "action": "updated",
        "actor": "anonymous", "at": newest["at"], "request_id": "r-1", "before": oldest["after"],
        "after": {**tool(), "description": "new"},
    }  # fmt: skip
    assert (oldest["action"], oldest["before"], oldest["after"]) == ("created", None, tool())
    assert client.get(f"{TOOLS}/grep/history?limit=1").json == [newest]
    assert client.get(f"{TOOLS}/grep/history?before=2").json == [oldest]


def test_the_difference_of_two_versions(client: FlaskClient) -> None:
    made(client)
    made(client, version="2.0", description="new", metadata={"tags": ["x"]})
    found = client.get(f"{TOOLS}/grep/diff?from=1.0&to=2.0").json
    assert found == client.get(f"{TOOLS}/grep/diff?from=1.0").json
    assert found == {
        "from": "1.0",
        "to": "2.0",
        "changes": [
            {"op": "replace", "path": "version", "from": "1.0", "to": "2.0"},
            {"op": "replace", "path": "description", "from": tool()["description"], "to": "new"},
            {"op": "remove", "path": "metadata.author", "from": "somebody"},
            {"op": "replace", "path": "metadata.tags", "from": ["text", "files"], "to": ["x"]},
        ],
    }
    assert client.get(f"{TOOLS}/grep/diff").status_code == 422
    assert client.get(f"{TOOLS}/grep/diff?from=9").status_code == 404


def test_a_history_is_counted_and_followed_by_its_link(client: FlaskClient) -> None:
    made(client)
    for enabled in (False, True, False, True):
        client.put(f"{TOOLS}/grep", json={"enabled": enabled})
    path: str | None = f"{TOOLS}/grep/history?limit=2"
    pages = []
    while path:
        answer = client.get(path)
        assert answer.headers["X-Total-Count"] == "5"
        pages.append([change["revision"] for change in answer.json])
        path = answer.headers["Link"].partition(">")[0].lstrip("<") if "Link" in answer.headers else None
    assert pages == [[5, 4], [3, 2], [1]]


def test_versions_are_counted(client: FlaskClient) -> None:
    made(client)
    made(client, version="2.0")
    answer = client.get(f"{TOOLS}/grep/versions")
    assert (answer.headers["X-Total-Count"], len(answer.json)) == ("2", 2)
    client.delete(f"{TOOLS}/grep?version=1.0")
    assert client.get(f"{TOOLS}/grep/versions").headers["X-Total-Count"] == "1"


SAME = (
    'The tool "grep" has a version "1.0", and "{}" is the same release, spelled otherwise: '
    'write it as "1.0", or choose a version that is newer.'
)


@pytest.mark.parametrize("version", ["1", "1.0.0", "v1.0"])
@pytest.mark.parametrize(
    ("method", "path"), [("POST", ""), ("PUT", "/grep"), ("PATCH", "/grep"), ("PATCH", "/grep?version=0.9")]
)
def test_a_release_is_not_added_in_another_spelling(
    client: FlaskClient, method: str, path: str, version: str
) -> None:
    made(client, version="0.9")
    made(client)
    document = tool(version=version, description="the release")
    refused = client.open(TOOLS + path, method=method, json=document)
    assert (refused.status_code, refused.json["code"]) == (409, "already_exists")
    assert refused.json["detail"] == SAME.format(version)
    told = client.post(f"{TOOLS}/grep/validate", json={"version": version}).json
    assert told["errors"] == [{"path": "version", "message": SAME.format(version)}]
    for flags in ("", "?overwrite=true"):
        refused = client.post(f"{TOOLS}/import{flags}", json=[document])
        assert (refused.status_code, refused.json["code"]) == (409, "already_exists")
        assert refused.json["errors"] == [{"path": "0.tool_name", "message": SAME.format(version)}]
    assert versions(client) == [("1.0", True), ("0.9", False)]


@pytest.mark.parametrize("spellings", list(permutations(("1.0", "1.0.0", "v1"))))
def test_of_the_spellings_of_a_release_the_first_stays_alone(
    client: FlaskClient, spellings: tuple[str, ...]
) -> None:
    codes = [client.post(TOOLS, json=tool(version=version)).status_code for version in spellings]
    assert codes == [201, 409, 409]
    assert versions(client) == [(spellings[0], True)]


def test_a_release_comes_back_only_while_its_place_is_free(client: FlaskClient) -> None:
    made(client)
    client.delete(f"{TOOLS}/grep")
    made(client, version="1.0.0")
    taken = (
        'Version "1.0" of the tool "grep" is the same release as "1.0.0", which has taken its place: '
        "retire that one first."
    )
    refused = client.post(f"{TOOLS}/grep/restore?version=1.0")
    assert (refused.status_code, refused.json["detail"]) == (409, taken)
    refused = client.post(f"{TOOLS}/import", json=[tool()])
    assert (refused.status_code, [one["message"] for one in refused.json["errors"]]) == (409, [taken])
    client.delete(f"{TOOLS}/grep?version=1.0.0")
    assert client.post(f"{TOOLS}/grep/restore?version=1.0").json["is_latest"] is True
    assert versions(client) == [("1.0", True)]


def test_two_spellings_that_were_live_together_go_on_and_come_back_together(
    client: FlaskClient, app: Flask
) -> None:
    made(client)
    made(client, version="2.0")
    with context.of(app).database.write() as session:  # as a release wrote them that knew no better
        session.execute(text("UPDATE tool_versions SET version = '1.0.0', version_key = NULL WHERE id = 2"))
        respelled = """jsonb_set(after::jsonb, '{version}', '"1.0.0"')"""
        session.execute(text(f"UPDATE changes SET version = '1.0.0', after = {respelled} WHERE id = 2"))
    changed = client.put(f"{TOOLS}/grep?version=1.0.0", json={"status": "testing"})
    assert (changed.status_code, changed.json["version"]) == (200, "1.0.0")
    client.delete(f"{TOOLS}/grep")
    assert client.post(f"{TOOLS}/grep/restore").status_code == 200
    assert sorted(versions(client)) == [("1.0", False), ("1.0.0", True)]
    assert client.delete(f"{TOOLS}/grep?version=1.0.0").status_code == 204
    assert versions(client) == [("1.0", True)]
