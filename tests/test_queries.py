"""What the database is asked: how many queries each answer takes, and which index each filter uses.

Tests with `client`, which empties the catalog, come before those with `stocked`, which fills it for all.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Connection, Engine, event, text

from tests.api.test_tools import TOOLS, made
from tests.conftest import empty, tool
from toolcatalog.api import context
from toolcatalog.core.definition import Document
from toolcatalog.core.filters import Filters
from toolcatalog.services import listing, search, words
from toolcatalog.services.words import WordStatistics

Statement = tuple[str, Any]


@contextmanager
def statements(engine: Engine) -> Iterator[list[Statement]]:
    """The statements that this thread sends meanwhile; the application's listener has one of its own."""
    sent: list[Statement] = []
    this_thread = threading.get_ident()

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if threading.get_ident() == this_thread:
            sent.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize(
    ("method", "path", "body", "count"),
    [
        ("PUT", "/x", {"description": "other"}, 5),
        ("PUT", "/x", {"capabilities": {"a": tool()["capabilities"]["text_search"]}}, 8),
        ("POST", "", tool("y"), 7),
        ("DELETE", "/x", None, 5),
    ],
    ids=["description", "capabilities", "create", "retire"],
)
def test_queries_per_change(
    client: FlaskClient, app: Flask, method: str, path: str, body: Any, count: int
) -> None:
    made(client, tool_name="x")
    with statements(context.of(app).database.engine) as sent:
        assert client.open(TOOLS + path, method=method, json=body).status_code < 300
    assert len(sent) == count, [statement for statement, _ in sent]


@pytest.mark.parametrize(
    ("body", "written"),
    [
        ({"platform": "macos"}, {"platform"}),
        ({"description": "other"}, {"description", "search_texts"}),
        ({"metadata": {"tags": ["other"]}}, {"metadata", "tags", "search_texts"}),
        ({"examples": []}, {"examples"}),
    ],
    ids=["platform", "description", "metadata", "examples"],
)
def test_a_change_writes_only_what_it_changes(
    client: FlaskClient, app: Flask, body: Document, written: set[str]
) -> None:
    made(client, tool_name="x")
    with statements(context.of(app).database.engine) as sent:
        assert client.put(f"{TOOLS}/x", json=body).status_code == 200
    (update,) = [statement for statement, _ in sent if statement.startswith("UPDATE tool_versions")]
    assert set(re.findall(r"(\w+)=", update.partition("WHERE")[0])) == {*written, "updated_at", "change_id"}


def test_a_word_that_was_found_is_not_looked_up_again(client: FlaskClient, app: Flask) -> None:
    made(client, tool_name="x", description="A seldom word")
    database = context.of(app).database
    statistics = WordStatistics(0.0, {})

    def asked(question: str) -> int:
        with statements(database.engine) as sent, database.read() as connection:
            search.search(connection, statistics, question, None, Filters(), after=None, limit=5)
        return len(sent)

    assert asked("seldom") == 2
    assert asked("the seldom") == 1
    assert asked("seldom nowhere") == 3
    assert asked("seldom nowhere") == 3
    assert statistics.known == {"seldom"}


def test_who_made_a_change_need_not_read_it(client: FlaskClient, app: Flask) -> None:
    made(client, tool_name="x")
    assert client.get(f"{TOOLS}/x").json["description"] != "other"
    with statements(context.of(app).database.engine) as sent:
        assert client.put(f"{TOOLS}/x", json={"description": "other"}).status_code == 200
        changed = len(sent)
        assert client.get(f"{TOOLS}/x").json["description"] == "other"
    assert len(sent) == changed + 1, [statement for statement, _ in sent[changed:]]


def test_what_is_found_by_its_key_is_prepared(client: FlaskClient, app: Flask) -> None:
    made(client, tool_name="x")
    assert client.get(f"{TOOLS}/x").status_code == 200
    assert client.put(f"{TOOLS}/x", json={"description": "other"}).status_code == 200
    with context.of(app).database.read() as connection:
        prepared = set(connection.scalars(text("SELECT statement FROM pg_prepared_statements")))
    parts = (
        "AS catalog_revision",
        "FOR UPDATE OF tools",
        "tool_versions.tool_id = $1",
        "INSERT INTO changes",
        "UPDATE catalog_state",
    )
    for part in parts:
        assert any(part in statement for statement in prepared), (part, prepared)


@pytest.fixture(scope="module")
def stocked(session_app: Flask) -> Iterator[Flask]:
    """2,000 tools, enough that an index is worth its while."""
    empty(context.of(session_app))
    documents = [
        tool(
            f"tool {number:04}",
            platform="macos" if number % 50 == 7 else "linux",
            category="asset" if number % 50 == 8 else "system",
            status="testing" if number % 50 == 0 else "active",
            enabled=number % 50 != 1,
            metadata={"tags": [f"tag{number % 400}"]},
            version=f"1.{number % 30}",
            capabilities={
                f"capability_{number % 50}": {
                    "patterns": {
                        "one": {
                            "description": f"does it {number * 7919:x}",
                            "typical_use_cases": [f"make a thing{number % 60} of it"],
                        }
                    }
                }
            },
        )
        for number in range(2000)
    ]
    client = session_app.test_client()
    assert client.post(f"{TOOLS}/import", json=documents).status_code == 200
    with context.of(session_app).database.write() as session:
        session.execute(text("ANALYZE changes"))  # which autovacuum may last have seen empty
    yield session_app
    empty(context.of(session_app))


@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("/tool 0001", 1),
        ("/name/tool 0001", 1),
        ("?limit=200", 2),
        ("?limit=200&platform=linux&enabled=true&capability=capability_0", 2),
        ("?limit=200&view=summary", 2),
        ("/search?q=make+thing7&limit=200", 1),
        ("/search?q=make+thinng7&limit=200", 3),
        ("/search?name=tool&limit=200", 1),
        ("/tool 0001/versions", 3),
        ("/tool 0001/history", 4),
        ("/export?names=tool 0001", 3),
        ("/export?format=json", 12),
    ],
)
def test_queries_per_answer(stocked: Flask, path: str, count: int) -> None:
    client = stocked.test_client()
    client.get(TOOLS + path)  # how common its words are is known from now on
    forget(stocked)
    with statements(context.of(stocked).database.engine) as sent:
        assert client.get(TOOLS + path, buffered=True).status_code == 200
    assert len(sent) == count, [statement for statement, _ in sent]


def test_queries_of_capabilities_with_their_number(stocked: Flask) -> None:
    forget(stocked)
    with statements(context.of(stocked).database.engine) as sent:
        answer = stocked.test_client().get("/api/v1/capabilities?limit=20")
    assert (len(answer.json), answer.headers["X-Total-Count"]) == (20, "50")
    assert len(sent) == 2, [statement for statement, _ in sent]


def forget(app: Flask) -> None:
    """Have the next answer made from the database, by a cache that is in step with it."""
    parts = context.of(app)
    parts.coherence.keep_up()
    parts.cache.drop_all()


def plan(connection: Connection, statement: Statement) -> str:
    lines = connection.exec_driver_sql(f"EXPLAIN {statement[0]}", statement[1])
    return "\n".join(line for (line,) in lines)


def plan_of_list(app: Flask, filters: Filters, **options: Any) -> str:
    """The plan of the query that finds the rows of a page."""
    given = {"sort": "tool_name", "after": None, "limit": 20, **options}
    database = context.of(app).database
    with statements(database.engine) as sent, database.read() as connection:
        listing.page(connection, filters, **given)
        return plan(connection, sent[0])


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        (Filters(), "ix_tool_versions_listed_name"),
        (Filters(name="tool 0001"), "ix_tool_versions_listed_name"),
        (Filters(platform=("macos",)), "ix_tool_versions_listed_platform"),
        (Filters(category=("asset",)), "ix_tool_versions_listed_category"),
        (Filters(status=("testing",)), "ix_tool_versions_listed_status"),
        (Filters(platform=("macos", "windows")), "ix_tool_versions_listed_platform"),
        (Filters(category=("asset", "cloud")), "ix_tool_versions_listed_category"),
        (Filters(status=("testing", "draft")), "ix_tool_versions_listed_status"),
        (Filters(tag=("tag7", "tag8")), "ix_tool_versions_tags"),
        (Filters(enabled=False), "ix_tool_versions_listed_enabled"),
        (Filters(capability=("capability_7",)), "ix_capabilities_capability_name"),
        (Filters(tag=("tag7",)), "ix_tool_versions_tags"),
        (Filters(version="1.7"), "ix_tool_versions_live_version"),
    ],
    ids=str,
)
def test_every_filter_of_the_list_has_its_index(stocked: Flask, filters: Filters, index: str) -> None:
    found = plan_of_list(stocked, filters)
    assert index in found, found
    # Only the count of a list without filters reads all there is; its table bears an alias.
    assert "Seq Scan on tool_versions  (" not in found, found


@pytest.mark.parametrize("sort", ["tool_name", "-tool_name", "updated_at", "-updated_at"])
def test_a_page_is_read_in_the_order_of_an_index_and_begins_at_its_cursor(stocked: Flask, sort: str) -> None:
    database = context.of(stocked).database
    with database.read() as connection:
        first = listing.page(connection, Filters(), sort=sort, after=None, limit=5)
    found = plan_of_list(stocked, Filters(), sort=sort, after=first.next)
    assert "Index Cond: (" in found, found
    assert "Sort" not in found.replace("Incremental Sort", ""), found


def test_updated_since_has_its_index(stocked: Flask) -> None:
    database = context.of(stocked).database
    with database.read() as connection:
        newest = listing.page(connection, Filters(), sort="-updated_at", after=None, limit=1)
    moment = newest.rows[0].updated_at
    found = plan_of_list(stocked, Filters(updated_since=moment), sort="updated_at")
    assert "ix_tool_versions_listed_updated" in found, found


@pytest.mark.parametrize(
    ("question", "part", "place", "index"),
    [
        ("thing7", None, 1, "ix_tool_versions_search"),
        ("", "l 0007", 1, "ix_tool_versions_name_trigrams"),
        ("thinng7", None, 2, "ix_search_words_trigrams"),
    ],
)
def test_search_uses_its_indexes(
    stocked: Flask, question: str, part: str | None, place: int, index: str
) -> None:
    database = context.of(stocked).database
    with statements(database.engine) as sent, database.read() as connection:
        results = search.search(
            connection, words.read(connection), question, part, Filters(), after=None, limit=5
        )
        assert results.total
        # A table of a few pages is rightly read whole; what counts is that the index could be used.
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        found = plan(connection, sent[place])
    assert index in found, found


def test_a_search_makes_the_query_of_each_word_once(stocked: Flask) -> None:
    database = context.of(stocked).database
    with statements(database.engine) as sent, database.read() as connection:
        statistics = words.read(connection)
        question = "make thing7 thing8"
        search.search(connection, statistics, question, None, Filters(), after=None, limit=5)
        statement, values = sent[-1]
        found = plan(connection, (f"VERBOSE {statement}", values))
    assert found.count("plainto_tsquery") == len(question.split()), found


def test_after_an_import_it_is_known_how_common_words_are(stocked: Flask) -> None:
    with context.of(stocked).database.read() as connection:
        statistics = words.read(connection)
    assert statistics.tools == 2000
    assert statistics.shares["make"] == 1.0
    assert statistics.shares["thing7"] == pytest.approx(34 / 2000)


def test_a_tool_its_history_and_the_feed_are_found_by_index(stocked: Flask) -> None:
    database = context.of(stocked).database
    client = stocked.test_client()
    for path, place, index in (
        (f"{TOOLS}/tool 0001", 0, "ix_tool_versions_listed_name"),
        (f"{TOOLS}/tool 0001?version=1.1", 0, "ix_tool_versions_live_version"),
        (f"{TOOLS}/1", 0, "uq_tool_versions_latest"),
        (f"{TOOLS}/1?version=1.0", 0, "uq_tool_versions_tool_id_version"),
        (f"{TOOLS}/tool 0001/history", 1, "ix_changes_tool_id_revision"),
        ("/api/v1/changes?since=1990&limit=5", 1, "uq_changes_revision"),
    ):
        forget(stocked)
        with statements(database.engine) as sent:
            assert client.get(path).status_code == 200
        with database.read() as connection:
            found = plan(connection, sent[place])
        assert index in found, found
        # The catalog's revision stands in a table of one row.
        assert "Seq Scan" not in found.replace("Seq Scan on catalog_state", ""), found
