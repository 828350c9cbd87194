"""One tool over HTTP: made, read, changed, and the conditions that a change may carry."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from tests.conftest import tool
from toolcatalog import settings
from toolcatalog.api import context
from toolcatalog.app import create_app
from toolcatalog.services import changes

TOOLS = "/api/v1/tools"


def made(client: FlaskClient, **fields: Any) -> dict[str, Any]:
    response = client.post(TOOLS, json=tool(**fields))
    assert response.status_code == 201, response.json
    return dict(response.json)


def test_a_tool_comes_back_as_it_was_sent(client: FlaskClient) -> None:
    sent = tool()
    created = client.post(TOOLS, json=sent)
    assert (created.status_code, created.headers["Location"]) == (201, f"{TOOLS}/1?version=1.0")
    read = client.get(created.headers["Location"])
    assert read.data == created.data
    added = {name: value for name, value in read.json.items() if name not in sent}
    assert {name: read.json[name] for name in sent} == sent
    assert added == {
        "id": 1,
        "revision": 1,
        "is_latest": True,
        "created_at": added["updated_at"],
        "updated_at": added["updated_at"],
        "created_by": "anonymous",
        "updated_by": "anonymous",
        "source": {"kind": "api"},
    }


CHANGES: list[tuple[str, str, Any]] = [
    ("POST", "", tool(version="1.5")),
    ("POST", "", tool(version="3.0")),
    *(("POST", "", tool(version=version)) for version in ("1+1", "50%", "a&version=2.0", "ä b", "#1")),
    ("PATCH", "/grep", {"version": "1.5", "description": "derived"}),
    ("PUT", "/grep?version=1.0", {"version": "3.0"}),
    ("PUT", "/grep?version=1.0", {"description": "other"}),
    ("PATCH", "/grep/disable", None),
    ("PATCH", "/grep/disable?version=1.0", None),
    ("POST", "/grep/rollback", {"version": "1.0"}),
    ("POST", "/grep/restore?version=1.0", None),
]


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
def test_the_etag_of_a_changed_tool_holds_where_the_answer_says(
    client: FlaskClient, method: str, path: str, body: Any
) -> None:
    for version in ("1.0", "2.0"):
        made(client, version=version)
    changed = client.open(TOOLS + path, method=method, json=body)
    assert changed.status_code == (201 if path == "" else 200), changed.json
    place = changed.headers["Content-Location"]
    assert changed.headers.get("Location") == (place if path == "" else None)
    read = client.get(place)
    assert (read.data, read.headers["ETag"]) == (changed.data, changed.headers["ETag"])
    again = client.put(place, json={"status": "testing"}, headers={"If-Match": changed.headers["ETag"]})
    assert (again.status_code, again.json["version"]) == (200, changed.json["version"])


def test_what_is_left_out_gets_its_default_and_maps_and_lists_are_always_there(client: FlaskClient) -> None:
    created = client.post(TOOLS, json={"tool_name": "bare", "description": "nothing but a name"})
    shown = {name: created.json[name] for name in created.json if name not in ("created_at", "updated_at")}
    assert shown == {
        "id": 1, "tool_name": "bare", "version": "1.0", "description": "nothing but a name",
        "status": "active", "enabled": True, "defaults": {}, "capabilities": {}, "dependencies": [],
        "metadata": {}, "examples": [],
        "revision": 1, "is_latest": True, "created_by": "anonymous", "updated_by": "anonymous",
        "source": {"kind": "api"},
    }  # fmt: skip


def test_free_fields_keep_their_order_and_their_numbers(client: FlaskClient) -> None:
    metadata = {"z": 1, "a": {"y": 1.0, "b": 10**30, "c": 1e300, "t": "1.10"}}
    sent = json.dumps(tool(metadata=metadata))  # as text: the test client would sort the keys
    assert client.post(TOOLS, data=sent, content_type="application/json").status_code == 201
    read = client.get(f"{TOOLS}/grep").get_data(as_text=True)
    assert '"metadata":{"z":1,"a":{"y":1.0,"b":1' + "0" * 30 + ',"c":1e+300,"t":"1.10"}}' in read


NAMES = (
    "kubectl get pods", "Get-Service", "a.b", "größe", "日本語", "100%", "a%2Fb", "?&#", "x" * 100, "export",
    "search",
    "g++", "7zip", "name", "a:b@c",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_tool_of_any_name_is_reached_by_name_and_by_id(client: FlaskClient, name: str) -> None:
    id_ = made(client, tool_name=name)["id"]
    by_name = client.get(f"{TOOLS}/name/{quote(name, safe='')}")
    by_id = client.get(f"{TOOLS}/{id_}")
    assert (by_name.status_code, by_name.json["tool_name"]) == (200, name)
    assert by_id.data == by_name.data


@pytest.mark.parametrize(
    "reference",
    [
        "nothing",
        str(2**63),
        str(2**63 - 1),
        "0",
        "9" * 40,
        "%00",
        "a%2Fb",
        "..%2f",
        "%F0%9F%98%80",
        "%ff",
        " ",
    ],
)
def test_what_is_not_there_is_not_found(client: FlaskClient, reference: str) -> None:
    for path in (f"{TOOLS}/{reference}", f"{TOOLS}/name/{reference}", f"{TOOLS}/{reference}/history"):
        response = client.get(path)
        assert (response.status_code, response.json["code"]) == (404, "not_found")
        assert response.content_type == "application/problem+json"


def test_the_same_name_and_version_is_a_conflict(client: FlaskClient) -> None:
    made(client)
    again = client.post(TOOLS, json=tool())
    assert (again.status_code, again.json["code"]) == (409, "already_exists")
    assert again.json["detail"] == (
        'The tool "grep" has a version "1.0": change that one, or choose another version.'
    )


def test_an_invalid_definition_is_refused_with_each_field_that_is_at_fault(client: FlaskClient) -> None:
    sent = tool(complexity=3, status="broken")
    sent["capabilities"]["text_search"]["patterns"]["search_files"]["complexity_score"] = 2
    response = client.post(TOOLS, json=sent)
    assert (response.status_code, response.json["code"]) == (422, "invalid")
    assert response.json["detail"] == "The definition has 3 errors."
    assert sorted(error["path"] for error in response.json["errors"]) == [
        "capabilities.text_search.patterns.search_files.complexity_score",
        "complexity",
        "status",
    ]
    assert client.get(TOOLS).json == []


def unsound(app: Flask) -> None:
    """Make what `grep` says contradictory, as it could be stored before that was looked at."""
    estimate = "after::jsonb, '{capabilities,text_search,patterns,search_files,cost_estimate}'"
    with context.of(app).database.write() as session:
        session.execute(text(f"""UPDATE changes SET after = jsonb_set({estimate}, '"-1"')"""))
        changes.drop_caches(session, 0)
    context.of(app).coherence.keep_up()


def test_what_contradicts_itself_is_not_written(client: FlaskClient) -> None:
    made(client)
    wrong = tool("other")
    pattern = wrong["capabilities"]["text_search"]["patterns"]["search_files"]
    pattern["optional_inputs"] = [{"name": "pattern", "type": "integer", "default": "."}]
    where = "capabilities.text_search.patterns.search_files.optional_inputs.0"
    errors = [
        {"path": f"{where}.name", "message": '"pattern" is the name of required_inputs.0 too'},
        {"path": f"{where}.default", "message": '""."" is not of the type integer'},
    ]
    created = client.post(TOOLS, json=wrong)
    assert (created.status_code, created.json["errors"]) == (422, errors)
    for send in (client.put, client.patch):
        changed = send(f"{TOOLS}/grep", json={"capabilities": wrong["capabilities"]})
        assert (changed.status_code, changed.json["errors"]) == (422, errors)
    assert client.post(f"{TOOLS}/validate", json=wrong).json["errors"] == errors
    imported = client.post(f"{TOOLS}/import?partial=true", json=[wrong])
    assert imported.json["results"][0]["errors"] == errors
    assert [one["tool_name"] for one in client.get(TOOLS).json] == ["grep"]


def test_what_is_stored_and_contradicts_itself_is_answered_switched_and_mended(
    client: FlaskClient, app: Flask
) -> None:
    made(client)
    made(client, version="2.0")
    unsound(app)
    path = ("capabilities", "text_search", "patterns", "search_files")
    read = client.get(f"{TOOLS}/grep").json
    for step in path:
        read = read[step]
    assert read["cost_estimate"] == "-1"
    for way in ("disable", "enable"):
        assert client.patch(f"{TOOLS}/grep/{way}").status_code == 200
    refused = client.patch(f"{TOOLS}/grep", json={"description": "other"})
    assert refused.status_code == 422
    assert [error["path"] for error in refused.json["errors"]] == [".".join((*path, "cost_estimate"))]
    assert client.post(f"{TOOLS}/grep/rollback", json={"version": "1.0"}).status_code == 200
    assert client.delete(f"{TOOLS}/grep").status_code == 204
    assert client.post(f"{TOOLS}/grep/restore").status_code == 200
    mended = client.put(f"{TOOLS}/grep", json={"capabilities": tool()["capabilities"]})
    assert mended.status_code == 200, mended.json


def test_put_replaces_the_fields_given_and_keeps_the_others(client: FlaskClient) -> None:
    before = made(client)
    after = client.put(f"{TOOLS}/{before['id']}", json={"enabled": False, "metadata": {"tags": ["x"]}})
    assert after.status_code == 200
    changed = {name for name in before if before[name] != after.json[name]}
    assert changed == {"enabled", "metadata", "revision", "updated_at"}
    assert (after.json["metadata"], after.json["revision"]) == ({"tags": ["x"]}, 2)


def test_patch_merges_and_null_removes(client: FlaskClient) -> None:
    made(client)
    patch = {"metadata": {"author": None, "team": "ops"}, "platform": None}
    after = client.patch(f"{TOOLS}/grep", json=patch, content_type="application/merge-patch+json")
    assert after.status_code == 200
    assert after.json["metadata"] == {"tags": ["text", "files"], "team": "ops"}
    assert "platform" not in after.json


def test_an_answer_can_be_sent_back_as_it_is_and_changes_nothing(client: FlaskClient) -> None:
    made(client)
    read = client.get(f"{TOOLS}/grep")
    for send in (client.put, client.patch):
        again = send(f"{TOOLS}/grep", json=read.json)
        assert (again.status_code, again.data) == (200, read.data)
    assert client.get("/api/v1/changes").json["revision"] == 1


def test_a_tool_cannot_be_renamed(client: FlaskClient) -> None:
    made(client)
    response = client.put(f"{TOOLS}/grep", json={"tool_name": "rg"})
    assert response.status_code == 422
    assert [error["path"] for error in response.json["errors"]] == ["tool_name"]


def test_enable_and_disable_are_changes_of_their_own(client: FlaskClient) -> None:
    made(client)
    assert client.patch(f"{TOOLS}/grep/disable").json["enabled"] is False
    assert client.patch(f"{TOOLS}/grep/disable").json["revision"] == 2
    assert client.patch(f"{TOOLS}/grep/enable").json["enabled"] is True
    actions = [change["action"] for change in client.get(f"{TOOLS}/grep/history").json]
    assert actions == ["enabled", "disabled", "created"]


def test_an_unchanged_tool_is_304_and_head_has_no_body(client: FlaskClient) -> None:
    made(client)
    first = client.get(f"{TOOLS}/grep")
    etag = first.headers["ETag"]
    assert not etag.startswith("W/")
    same = client.get(f"{TOOLS}/grep", headers={"If-None-Match": etag})
    assert (same.status_code, same.data, same.headers["ETag"]) == (304, b"", etag)
    head = client.head(f"{TOOLS}/grep")
    assert (head.status_code, head.data, head.headers["ETag"]) == (200, b"", etag)
    assert head.headers["Content-Length"] == str(len(first.data))
    client.patch(f"{TOOLS}/grep/disable")
    assert client.get(f"{TOOLS}/grep", headers={"If-None-Match": etag}).status_code == 200


def test_if_match_lets_only_the_first_of_two_change(client: FlaskClient) -> None:
    made(client)
    etag = client.get(f"{TOOLS}/grep").headers["ETag"]
    first = client.put(f"{TOOLS}/grep", json={"enabled": False}, headers={"If-Match": etag})
    second = client.put(f"{TOOLS}/grep", json={"description": "mine"}, headers={"If-Match": etag})
    assert (first.status_code, second.status_code) == (200, 412)
    assert second.json["code"] == "precondition_failed"
    third = client.put(
        f"{TOOLS}/grep", json={"description": "mine"}, headers={"If-Match": first.headers["ETag"]}
    )
    assert third.status_code == 200
    assert client.delete(f"{TOOLS}/grep", headers={"If-Match": etag}).status_code == 412
    assert client.delete(f"{TOOLS}/grep", headers={"If-Match": "*"}).status_code == 204


def test_a_tag_that_a_proxy_weakened_is_the_same_tag(client: FlaskClient) -> None:
    made(client)
    etag = client.get(f"{TOOLS}/grep").headers["ETag"]
    assert client.get(f"{TOOLS}/grep", headers={"If-None-Match": f"W/{etag}"}).status_code == 304
    assert client.get(f"{TOOLS}/grep", headers={"If-Match": f"W/{etag}"}).status_code == 200
    changed = client.put(f"{TOOLS}/grep", json={"enabled": False}, headers={"If-Match": f"W/{etag}"})
    assert changed.status_code == 200
    outdated = client.put(f"{TOOLS}/grep", json={"enabled": True}, headers={"If-Match": f"W/{etag}"})
    assert (outdated.status_code, outdated.json["code"]) == (412, "precondition_failed")


def test_a_read_heeds_if_match_and_if_none_match(client: FlaskClient) -> None:
    made(client)
    etag = client.get(f"{TOOLS}/grep").headers["ETag"]
    for path in (f"{TOOLS}/grep", f"{TOOLS}?limit=5", "/health", "/api/v1/openapi.json"):
        assert client.get(path, headers={"If-Match": "*"}).status_code == 200
        assert client.get(path, headers={"If-Match": '"another"'}).status_code == 412
        assert client.get(path, headers={"If-None-Match": "*"}).status_code == 304
        assert client.head(path, headers={"If-None-Match": "*"}).status_code == 304
        assert client.get(path, headers={"If-None-Match": '"another"'}).status_code == 200
    assert client.get(f"{TOOLS}/none", headers={"If-None-Match": "*"}).status_code == 404
    both = {"If-Match": etag, "If-None-Match": etag}
    assert client.get(f"{TOOLS}/grep", headers=both).status_code == 304


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_a_change_that_is_only_for_where_there_is_none_is_refused(client: FlaskClient, method: str) -> None:
    made(client)
    etag = client.get(f"{TOOLS}/grep").headers["ETag"]
    for unwanted in ("*", etag, f'"another", W/{etag}'):
        refused = client.open(
            f"{TOOLS}/grep", method=method, json={"enabled": False}, headers={"If-None-Match": unwanted}
        )
        assert (refused.status_code, refused.json["code"]) == (412, "precondition_failed")
    assert (
        client.open(f"{TOOLS}/none", method=method, json={}, headers={"If-None-Match": "*"}).status_code
        == 404
    )
    other = client.open(
        f"{TOOLS}/grep", method=method, json={"enabled": False}, headers={"If-None-Match": '"another"'}
    )
    assert other.status_code in (200, 204)


def test_an_answer_without_a_body_has_no_type(client: FlaskClient) -> None:
    made(client)
    etag = client.get(f"{TOOLS}/grep").headers["ETag"]
    answers = [
        client.options(TOOLS),
        client.options(f"{TOOLS}/grep"),
        client.get(f"{TOOLS}/grep", headers={"If-None-Match": etag}),
        client.delete(f"{TOOLS}/grep"),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 304, 204]
    assert [(answer.data, answer.headers.get("Content-Type")) for answer in answers] == [(b"", None)] * 4
    assert client.head("/health").headers["Content-Type"] == "application/json"


def test_if_match_is_required_where_the_setting_asks_for_it(client: FlaskClient, database_url: str) -> None:
    made(client)
    etag = client.get(f"{TOOLS}/grep").headers["ETag"]
    strict = create_app(settings.load({"DATABASE_URL": database_url, "REQUIRE_IF_MATCH": "true"}))
    careful = strict.test_client()
    refused = careful.patch(f"{TOOLS}/grep/disable")
    assert (refused.status_code, refused.json["code"]) == (428, "precondition_required")
    assert careful.patch(f"{TOOLS}/grep/disable", headers={"If-Match": etag}).status_code == 200
    context.of(strict).database.engine.dispose()


def test_every_answer_carries_a_request_id(client: FlaskClient) -> None:
    kept = client.get("/health", headers={"X-Request-ID": "deploy-42"})
    assert kept.headers["X-Request-ID"] == "deploy-42"
    for insane in ("a b", "x" * 129, "é"):
        made_up = client.get("/nowhere", headers={"X-Request-ID": insane})
        assert len(made_up.headers["X-Request-ID"]) == 32
        assert made_up.json["request_id"] == made_up.headers["X-Request-ID"]


def test_reads_say_the_revision_that_they_show(client: FlaskClient) -> None:
    assert client.get(TOOLS).headers["X-Catalog-Revision"] == "0"
    made(client)
    for path in ("", "/grep", "/grep/versions", "/grep/history", "/search?q=grep"):
        assert client.get(TOOLS + path).headers["X-Catalog-Revision"] == "1"
