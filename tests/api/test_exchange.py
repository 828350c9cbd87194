"""Definitions in and out: validated, imported all or nothing or in part, exported, and back in."""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

import pytest
import yaml
from flask import Flask
from flask.testing import FlaskClient

from tests.api.test_tools import TOOLS, made
from tests.conftest import empty, tool
from tests.test_queries import statements
from toolcatalog.api import context, exchange

YAML = "application/yaml"


def sent(client: FlaskClient, documents: Any, query: str = "") -> Any:
    return client.post(f"{TOOLS}/import{query}", json=documents)


def outcome(response: Any) -> list[tuple[str | None, str]]:
    assert response.status_code == 200, response.json
    return [(one["tool_name"], one["result"]) for one in response.json["results"]]


def test_validate_says_what_is_wrong_and_what_is_doubtful_and_changes_nothing(client: FlaskClient) -> None:
    good = client.post(f"{TOOLS}/validate", json=tool())
    assert good.json == {"valid": True, "errors": [], "warnings": []}
    doubtful = client.post(f"{TOOLS}/validate", json=tool(platform="linnux"))
    assert doubtful.json == {
        "valid": True,
        "errors": [],
        "warnings": [{"path": "platform", "message": '"linnux" is unusual; did you mean "linux"?'}],
    }
    text = "tool_name: x\ndescription: y\n\nplattform: linux\nplatform: linux\ncategory: system\n"
    wrong = client.post(f"{TOOLS}/validate", data=text, content_type=YAML)
    assert wrong.json == {
        "valid": False,
        "errors": [
            {"path": "plattform", "message": 'is not a field here; did you mean "platform"?', "line": 4}
        ],
        "warnings": [],
    }
    assert client.get("/api/v1/changes").json["revision"] == 0


def test_validate_checks_a_change_of_a_tool_without_making_it(client: FlaskClient) -> None:
    made(client)
    assert client.post(f"{TOOLS}/grep/validate").json["valid"] is True
    wrong = client.post(f"{TOOLS}/grep/validate", json={"status": "off"}).json
    assert (wrong["valid"], [error["path"] for error in wrong["errors"]]) == (False, ["status"])
    assert client.get(f"{TOOLS}/grep").json["status"] == "active"
    assert client.post(f"{TOOLS}/none/validate").status_code == 404


def test_validate_takes_one_definition(client: FlaskClient) -> None:
    for body in ("[]", json.dumps([tool(), tool()])):
        response = client.post(f"{TOOLS}/validate", data=body, content_type="application/json")
        assert response.status_code == 400


def test_an_import_takes_many_and_says_what_became_of_each(client: FlaskClient) -> None:
    made(client, tool_name="same")
    made(client, tool_name="old")
    documents = [tool("new"), tool("same"), tool("old", description="other"), tool("new", version="2.0")]
    response = sent(client, documents, "?overwrite=true")
    assert outcome(response) == [
        ("new", "created"), ("same", "unchanged"), ("old", "updated"), ("new", "created"),
    ]  # fmt: skip
    counts = {name: response.json[name] for name in ("created", "updated", "unchanged", "failed")}
    assert counts == {"created": 2, "updated": 1, "unchanged": 1, "failed": 0}
    assert client.get(f"{TOOLS}/new").json["version"] == "2.0"
    assert client.get("/api/v1/changes").json["revision"] == 5


def test_yaml_of_several_documents_is_imported(client: FlaskClient) -> None:
    text = "---\n".join(yaml.safe_dump(tool(name)) for name in ("a", "b"))
    response = client.post(f"{TOOLS}/import", data=text, content_type=YAML)
    assert outcome(response) == [("a", "created"), ("b", "created")]


def test_an_import_is_all_or_nothing(client: FlaskClient) -> None:
    made(client, tool_name="there")
    documents = [tool("good"), tool("bad", status="off"), tool("there", description="x"), tool("good")]
    response = sent(client, documents)
    assert (response.status_code, response.json["code"]) == (422, "import_rejected")
    assert response.json["detail"] == "3 of the definitions cannot be imported, so nothing was written."
    assert response.json["errors"] == [
        {
            "path": "1.status",
            "message": '"off" is not one of active, deprecated, disabled, testing, draft',
        },
        {
            "path": "2.tool_name",
            "message": '"there" 1.0 is there already and differs: import with overwrite to replace it',
        },
        {"path": "3.tool_name", "message": '"good" 1.0 is defined in item 0 already'},
    ]
    assert [one["tool_name"] for one in client.get(TOOLS).json] == ["there"]


def test_a_partial_import_writes_the_good_ones(client: FlaskClient) -> None:
    response = sent(client, [tool("good"), tool("bad", status="off"), 7], "?partial=true")
    assert outcome(response) == [("good", "created"), ("bad", "failed"), (None, "failed")]
    assert response.json["results"][2]["errors"] == [{"path": "", "message": "has to be a map, not a number"}]
    assert [one["tool_name"] for one in client.get(TOOLS).json] == ["good"]


@pytest.mark.parametrize("content_type", ["application/json", YAML])
def test_a_failed_item_is_named_wherever_its_name_can_be_read(client: FlaskClient, content_type: str) -> None:
    documents = [
        tool("named", status="off", version="2.0"),
        {"tool_name": "bare"},
        {"tool_name": "of no version", "version": [], "description": "x"},
        tool(7), tool("a/b"), {"description": "x"}, 7,
    ]  # fmt: skip
    text = json.dumps(documents)  # which is YAML too
    response = client.post(f"{TOOLS}/import?partial=true", data=text, content_type=content_type)
    assert [(one["tool_name"], one["version"], one["result"]) for one in response.json["results"]] == [
        ("named", "2.0", "failed"),
        ("bare", None, "failed"),
        ("of no version", None, "failed"),
        *[(None, "1.0", "failed")] * 2,
        *[(None, None, "failed")] * 2,
    ]
    refused = client.post(f"{TOOLS}/import", data=text, content_type=content_type)
    assert (refused.status_code, refused.json["errors"][0]["path"]) == (422, "0.status")


def test_a_dry_run_tells_and_writes_nothing(client: FlaskClient) -> None:
    made(client)
    documents = [tool("new"), tool(description="other"), tool("bad", status="off")]
    response = sent(client, documents, "?dry_run=true&overwrite=true&partial=true")
    assert outcome(response) == [("new", "created"), ("grep", "updated"), ("bad", "failed")]
    assert response.json["dry_run"] is True
    assert client.get("/api/v1/changes").json["revision"] == 1
    assert len(client.get(TOOLS).json) == 1


FLAGS = [
    "&".join(flags) for size in range(3) for flags in combinations(("overwrite=true", "partial=true"), size)
]


@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize(
    "documents",
    [
        [tool("new")],
        [tool("new"), tool("there", description="other")],
        [tool("new"), tool("bad", status="off")],
        [tool("new"), tool("there"), tool("new")],
        [tool("retired"), tool("new", version="2.0")],
        [tool("retired", description="other")],
        [tool("there", version="1.0.0")],
        [7],
        [],
    ],
    ids=[
        "good",
        "differs",
        "invalid",
        "twice",
        "retired",
        "retired and differs",
        "respelled",
        "none",
        "empty",
    ],
)
def test_a_dry_run_answers_as_the_import_does_and_writes_nothing(
    client: FlaskClient, documents: list[Any], flags: str
) -> None:
    made(client, tool_name="there")
    made(client, tool_name="retired")
    client.delete(f"{TOOLS}/retired")
    dry = sent(client, documents, f"?dry_run=true&{flags}")
    assert client.get("/api/v1/changes").json["revision"] == 3
    real = sent(client, documents, f"?{flags}")
    assert (dry.status_code, dry.content_type) == (real.status_code, real.content_type)
    if real.status_code == 200:
        assert dry.json == {**real.json, "dry_run": True}
    else:
        assert {**dry.json, "request_id": ""} == {**real.json, "request_id": ""}
        assert client.get("/api/v1/changes").json["revision"] == 3


def test_what_was_exported_and_then_retired_comes_back_by_an_import(client: FlaskClient) -> None:
    for name, version in (("a", "1.0"), ("b", "1.0"), ("b", "2.0")):
        made(client, tool_name=name, version=version)
    before = client.get(f"{TOOLS}?fields=tool_name,version,description").json
    exported = client.get(f"{TOOLS}/export", buffered=True).data
    for name in ("a", "b"):
        client.delete(f"{TOOLS}/{name}")
    response = client.post(f"{TOOLS}/import", data=exported, content_type=YAML)
    assert outcome(response) == [("a", "updated"), ("b", "updated")]
    assert client.get(f"{TOOLS}?fields=tool_name,version,description").json == before
    actions = [change["action"] for change in client.get(f"{TOOLS}/a/history").json]
    assert actions == ["restored", "retired", "created"]


def test_a_retired_version_that_differs_comes_back_only_with_overwrite(client: FlaskClient) -> None:
    made(client)
    client.delete(f"{TOOLS}/grep")
    refused = sent(client, tool(description="other"))
    assert refused.status_code == 409
    assert refused.json["errors"] == [
        {
            "path": "0.tool_name",
            "message": '"grep" 1.0 is retired and differs: import with overwrite to restore and replace it',
        }
    ]
    assert outcome(sent(client, tool(description="other"), "?overwrite=true")) == [("grep", "updated")]
    assert client.get(f"{TOOLS}/grep").json["description"] == "other"


def test_an_imported_version_of_a_retired_tool_is_its_latest_whatever_was(client: FlaskClient) -> None:
    for version in ("1.0", "2.0"):
        made(client, version=version)
    client.delete(f"{TOOLS}/grep")
    assert outcome(sent(client, tool(version="1.0"))) == [("grep", "updated")]
    assert [one["version"] for one in client.get(TOOLS).json] == ["1.0"]


def test_broken_yaml_after_good_names_its_line(client: FlaskClient) -> None:
    text = yaml.safe_dump(tool("good")) + "---\nx: y: z\n"
    response = client.post(f"{TOOLS}/import?partial=true", data=text, content_type=YAML)
    assert outcome(response) == [("good", "created"), (None, "failed")]
    assert response.json["results"][1]["errors"][0]["line"] == text.count("\n")


@pytest.mark.parametrize("format_", ["yaml", "json"])
def test_what_comes_out_goes_back_in_unchanged(client: FlaskClient, format_: str) -> None:
    awkward = {"yes": "yes", "float": 1e16, "text": "1e3", "octal": "0o17", "big": 10**20, "nel": "a\x85b"}
    made(client, tool_name="日本語", metadata={"tags": ["x"], **awkward}, version="1.10")
    made(client)
    made(client, version="2.0", capabilities={})
    before = client.get(TOOLS).json
    exported = client.get(f"{TOOLS}/export?format={format_}", buffered=True)
    assert exported.status_code == 200
    assert exported.content_type.startswith(f"application/{format_}")
    response = client.post(
        f"{TOOLS}/import?overwrite=true", data=exported.data, content_type=exported.content_type
    )
    assert outcome(response) == [("grep", "unchanged"), ("日本語", "unchanged")]
    assert client.get(TOOLS).json == before


@pytest.mark.parametrize("format_", ["yaml", "json"])
def test_an_export_of_nothing_is_an_import_of_nothing(client: FlaskClient, format_: str) -> None:
    exported = client.get(f"{TOOLS}/export?format={format_}", buffered=True)
    response = client.post(f"{TOOLS}/import", data=exported.data, content_type=exported.content_type)
    assert (response.status_code, response.json) == (
        200,
        {"created": 0, "updated": 0, "unchanged": 0, "failed": 0, "dry_run": False, "results": []},
    )
    for nothing in (b"", b"  \n", b"---\n", b"# none yet\n"):
        response = client.post(f"{TOOLS}/import", data=nothing, content_type=YAML)
        assert (response.status_code, response.json["results"]) == (200, [])
    assert client.post(f"{TOOLS}/import", data=b"", content_type="application/json").status_code == 400


def test_an_export_of_named_tools(client: FlaskClient) -> None:
    for name in ("a", "b", "c,d"):
        made(client, tool_name=name)
    assert [
        one["tool_name"] for one in client.get(f"{TOOLS}/export?names=a,b&format=json", buffered=True).json
    ] == ["a", "b"]
    posted = client.post(f"{TOOLS}/export", json={"names": ["c,d"], "format": "json"}, buffered=True)
    assert [one["tool_name"] for one in posted.json] == ["c,d"]
    none = client.post(f"{TOOLS}/export", json={"names": [], "format": "json"}, buffered=True)
    assert none.json == []
    missing = client.get(f"{TOOLS}/export?names=a,x,y")
    assert missing.status_code == 404
    assert [error["message"] for error in missing.json["errors"]] == [
        'there is no tool "x"', 'there is no tool "y"',
    ]  # fmt: skip
    wrong = client.post(f"{TOOLS}/export", json={"nmes": []})
    assert wrong.status_code == 422
    assert [error["path"] for error in wrong.json["errors"]] == ["nmes"]


def test_an_export_that_a_client_has_is_304_and_is_not_read_again(client: FlaskClient, app: Flask) -> None:
    made(client)
    path = f"{TOOLS}/export?format=json"
    first = client.get(path, buffered=True)
    etag = first.headers["ETag"]
    assert first.headers["X-Catalog-Revision"] == "1"
    assert client.get(path, buffered=True).headers["ETag"] == etag
    with statements(context.of(app).database.engine) as sent:
        same = client.get(path, headers={"If-None-Match": etag}, buffered=True)
    assert (same.status_code, same.data, same.headers["ETag"]) == (304, b"", etag)
    assert len(sent) == 1, sent
    refused = client.get(path, headers={"If-Match": '"another"'}, buffered=True)
    assert (refused.status_code, refused.json["code"]) == (412, "precondition_failed")
    head = client.head(path, buffered=True)
    assert (head.status_code, head.headers["ETag"], head.data) == (200, etag, b"")
    assert context.of(app).database.engine.pool.checkedout() == 0
    client.patch(f"{TOOLS}/grep/disable")
    changed = client.get(path, headers={"If-None-Match": etag}, buffered=True)
    assert (changed.status_code, changed.json[0]["enabled"]) == (200, False)


def test_the_tag_of_an_export_is_of_all_that_its_bytes_depend_on(client: FlaskClient, app: Flask) -> None:
    def tag(query: str = "") -> str:
        return client.get(f"{TOOLS}/export{query}", buffered=True).headers["ETag"]

    tags = [tag()]
    made(client)
    tags += [tag(), tag("?format=json"), tag("?names=grep")]
    empty(context.of(app))  # as a restored database is: at a revision that it had before, with other contents
    made(client, description="another history")
    tags += [tag()]
    assert len(set(tags)) == len(tags)


def test_more_tools_than_a_batch_are_exported(client: FlaskClient) -> None:
    documents = [tool(f"tool {number:04}", capabilities={}) for number in range(450)]
    assert sent(client, documents).status_code == 200
    assert len(client.get(f"{TOOLS}/export?format=json", buffered=True).json) == 450
    assert len(list(yaml.safe_load_all(client.get(f"{TOOLS}/export", buffered=True).data))) == 450


def test_one_large_import_at_a_time_is_in_memory(
    client: FlaskClient, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "_PLACE_SECONDS", 0.01)
    monkeypatch.setitem(app.config, "MAX_BODY_BYTES", 1_000)
    large = tool("large", metadata={"notes": "x" * 1_000})
    with context.of(app).large_import_place:
        refused = sent(client, large)
        assert (refused.status_code, refused.json["detail"]) == (
            503, "Another large import is under way here already. Try again shortly.",
        )  # fmt: skip
        assert refused.headers["Retry-After"]
        assert outcome(sent(client, {"tool_name": "small", "description": "x"})) == [("small", "created")]
    for _ in range(2):  # the place is given back, also by one that fails
        assert sent(client, [large, tool("bad", status="off")]).status_code == 422
    assert outcome(sent(client, large)) == [("large", "created")]


def test_the_json_schema_of_the_format_is_served(client: FlaskClient) -> None:
    schema = client.get("/api/v1/schema/tool.json")
    assert schema.json["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert "tool_name" in schema.json["required"]
