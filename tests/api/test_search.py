"""Search: found by any words, by parts of names, in spite of typos, with the reasons."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.api.test_lists import follow
from tests.api.test_tools import TOOLS, made
from tests.conftest import tool


def about(name: str, *use_cases: str, **fields: Any) -> dict[str, Any]:
    """A tool that is found by its name and its use cases only."""
    document = tool(name, description=f"It is {name}", metadata={}, **fields)
    pattern = {"description": "One way", "typical_use_cases": list(use_cases)}
    document["capabilities"] = {"main": {"patterns": {"one": pattern}}}
    return document


@pytest.fixture
def stocked(client: FlaskClient) -> FlaskClient:
    documents = [
        about("df", "server is out of disk space", "how full are the file systems"),
        about("ss", "which process is using port 8080", "list the open connections"),
        about("kubectl drain", "move everything off a kubernetes node", platform="kubernetes"),
        about("Test-NetConnection", "can this machine reach a port of another", platform="windows"),
        about("journalctl", "read the log of a service"),
    ]
    assert client.post(f"{TOOLS}/import", json=documents).status_code == 200
    return client


def found(client: FlaskClient, query: str) -> list[str]:
    response = client.get(f"{TOOLS}/search?{query}")
    assert response.status_code == 200, response.json
    return [one["tool_name"] for one in response.json]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("q=disk+space", "df"),
        ("q=my disks are filling up", "df"),
        ("q=who is on port 8080?", "ss"),
        ("q=ss", "ss"),
        ("q=KUBERNETES node", "kubectl drain"),
        ("q=net connection", "Test-NetConnection"),
        ("q=test-netconnection", "Test-NetConnection"),
        ("q=kubernets", "kubectl drain"),
        ("q=proces+using+a+prot", "ss"),
        ("q=jounralctl", "journalctl"),
        ("name=netconn", "Test-NetConnection"),
        ("name=ctl", "journalctl"),
        ("q=node&name=kube", "kubectl drain"),
        ("q=port&platform=windows", "Test-NetConnection"),
    ],
)
def test_the_tool_that_answers_comes_first(stocked: FlaskClient, query: str, first: str) -> None:
    assert found(stocked, query)[0] == first


@pytest.mark.parametrize(
    "query", ["q=the", "q=xylophone", "q=%27+%26+%7C+%21", "name=%25", "q=disk&platform=windows"]
)
def test_what_nothing_answers_finds_nothing(stocked: FlaskClient, query: str) -> None:
    response = stocked.get(f"{TOOLS}/search?{query}")
    assert (response.status_code, response.json, response.headers["X-Total-Count"]) == (200, [], "0")


def test_a_hit_says_which_fields_answer_with_which_words(stocked: FlaskClient) -> None:
    hit = stocked.get(f"{TOOLS}/search?q=disks+wiht+spase&fields=tool_name").json[0]
    assert hit == {
        "tool_name": "df",
        "score": hit["score"],
        "matches": [
            {"field": "capabilities.main.patterns.one.typical_use_cases", "words": ["disks", "space"]}
        ],
    }
    assert hit["score"] > 0


def test_a_name_weighs_more_than_a_use_case_and_a_rare_word_more_than_a_common_one(
    client: FlaskClient,
) -> None:
    documents = [about(f"filler {number}", "copy a file") for number in range(120)]
    documents += [about("copy", "duplicate things"), about("tar", "copy an archive")]
    assert client.post(f"{TOOLS}/import", json=documents).status_code == 200
    assert found(client, "q=copy&limit=1") == ["copy"]
    assert found(client, "q=copy+archive&limit=1") == ["tar"]


def test_without_words_a_search_lists(stocked: FlaskClient) -> None:
    assert found(stocked, "platform=linux") == ["df", "journalctl", "ss"]


def test_retired_tools_and_old_versions_are_not_found(stocked: FlaskClient) -> None:
    stocked.delete(f"{TOOLS}/df")
    newer = about("ss", "list sockets")
    newer["version"] = "2.0"
    made(stocked, **{name: value for name, value in newer.items() if name != "tool_name"}, tool_name="ss")
    assert found(stocked, "q=disk+space") == []
    assert "ss" not in found(stocked, "q=8080")


def test_pages_of_a_search_follow_one_another(client: FlaskClient) -> None:
    documents = [about(f"tool {number:02}", "copy a file") for number in range(12)]
    documents += [about("best", "copy copy copy a file to a file")]
    assert client.post(f"{TOOLS}/import", json=documents).status_code == 200
    whole = found(client, "q=copy+file")
    pages = follow(client, f"{TOOLS}/search?q=copy+file&limit=5")
    assert [len(page) for page in pages] == [5, 5, 3]
    assert [one["tool_name"] for page in pages for one in page] == whole


def test_a_long_question_is_refused_and_many_words_are_not(stocked: FlaskClient) -> None:
    many = " ".join(f"word{number}" for number in range(60)) + " disk"
    assert stocked.get(f"{TOOLS}/search", query_string={"q": many[:500]}).status_code == 200
    refused = stocked.get(f"{TOOLS}/search", query_string={"q": "x" * 501})
    assert refused.json["errors"] == [{"path": "q", "message": "Length must be between 1 and 500."}]


def test_hostile_words_are_words(stocked: FlaskClient) -> None:
    for question in (
        "'; DROP TABLE tools; --",
        "a & | ! <-> (",
        "\\",
        "%_",
        "disk:*",
        "'disk'",
        "\u202e\u0301",
    ):
        assert stocked.get(f"{TOOLS}/search", query_string={"q": question}).status_code == 200
        assert stocked.get(f"{TOOLS}/search", query_string={"name": question}).status_code == 200
    assert copy.copy(found(stocked, "q=%27disk%27")) == ["df"]
