"""Many at once: nothing lost, nothing half done, every change in the feed in its order."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask

from tests.api.test_changes import CHANGES
from tests.api.test_tools import TOOLS, made
from tests.conftest import tool
from toolcatalog.api import context
from toolcatalog.errors import ConcurrentChange, NotFound
from toolcatalog.services import tools
from toolcatalog.services.tools import Reference


def at_once(count: int, act: Callable[[int], Any]) -> list[Any]:
    """Act in so many threads that all begin at the same moment; returns what each returned."""
    barrier = threading.Barrier(count)

    def begin(number: int) -> Any:
        barrier.wait()
        return act(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


def test_of_two_that_change_a_tool_from_the_same_state_one_wins(app: Flask) -> None:
    client = app.test_client()
    made(client)
    for turn in range(20):
        etag = client.get(f"{TOOLS}/grep").headers["ETag"]

        def change(number: int, turn: int = turn, etag: str = etag) -> int:
            body = {"description": f"{turn} by {number}"}
            response = app.test_client().put(f"{TOOLS}/grep", json=body, headers={"If-Match": etag})
            return int(response.status_code)

        assert sorted(at_once(2, change)) == [200, 412]
    assert client.get(CHANGES).json["revision"] == 21


def test_of_many_that_make_the_same_tool_one_succeeds(app: Flask) -> None:
    codes = at_once(10, lambda _: app.test_client().post(TOOLS, json=tool()).status_code)
    assert sorted(codes) == [201] + [409] * 9


def test_of_many_that_add_a_release_in_its_spellings_one_succeeds(app: Flask) -> None:
    made(app.test_client(), version="0.9")
    spellings = ("1", "1.0", "v1", "1.0.0", "v1.0")
    responses = at_once(
        len(spellings), lambda number: app.test_client().post(TOOLS, json=tool(version=spellings[number]))
    )
    assert sorted(response.status_code for response in responses) == [201, 409, 409, 409, 409]
    assert len(app.test_client().get(f"{TOOLS}/grep/versions").json) == 2


def test_the_database_takes_no_release_twice(app: Flask) -> None:
    made(app.test_client())
    made(app.test_client(), version="2.0")
    with pytest.raises(ConcurrentChange), context.of(app).database.write() as session:
        session.connection().exec_driver_sql("UPDATE tool_versions SET version_key = '1'")


def test_writers_of_one_tool_wait_for_one_another_and_none_is_lost(app: Flask) -> None:
    made(app.test_client(), metadata={})

    def patch(number: int) -> list[int]:
        client = app.test_client()
        return [
            client.patch(f"{TOOLS}/grep", json={"metadata": {f"{number}-{turn}": turn}}).status_code
            for turn in range(10)
        ]

    assert at_once(2, patch) == [[200] * 10] * 2
    written = {f"{number}-{turn}": turn for number in range(2) for turn in range(10)}
    assert app.test_client().get(f"{TOOLS}/grep").json["metadata"] == written


CHANGES_OF_ONE: list[tuple[str, str, Any]] = [
    ("PATCH", "/grep/disable", None),
    ("POST", "", tool(version="2.0")),
    ("DELETE", "/1", None),
    ("POST", "/grep/restore", None),
]


@pytest.mark.parametrize(("method", "path", "body"), CHANGES_OF_ONE)
def test_a_tool_that_another_holds_for_long_is_a_conflict_that_says_when_to_come_again(
    app: Flask, method: str, path: str, body: Any
) -> None:
    client = app.test_client()
    made(client)
    with context.of(app).database.write() as session:
        session.connection().exec_driver_sql("SELECT 1 FROM tools FOR UPDATE")
        response = client.open(TOOLS + path, method=method, json=body)
    assert (response.status_code, response.json["code"]) == (409, "concurrent_change")
    assert response.headers["Retry-After"] == "1"
    assert client.open(TOOLS + path, method=method, json=body).status_code < 300
    assert "Retry-After" not in client.post(TOOLS, json=tool()).headers  # which stays a conflict


def test_only_the_wait_for_the_tool_has_a_limit(app: Flask) -> None:
    """The catalog's row, which all writers lock, is waited for also by a queue of them."""
    with context.of(app).database.write() as session:
        for reference in (Reference(name="nothing"), Reference(id=1)):
            with pytest.raises(NotFound):
                tools.lock(session, reference)
            assert session.connection().exec_driver_sql("SHOW lock_timeout").scalar() == "0"


def test_two_hundred_writers_of_different_tools_all_succeed_and_the_feed_has_each_once(app: Flask) -> None:
    codes = at_once(
        40,
        lambda number: [
            app.test_client().post(TOOLS, json=tool(f"{number}-{n}")).status_code for n in range(5)
        ],
    )
    assert codes == [[201] * 5] * 40
    changes = app.test_client().get(CHANGES).json["changes"]
    assert [one["revision"] for one in changes] == list(range(1, 201))
    assert {one["tool_name"] for one in changes} == {f"{a}-{b}" for a in range(40) for b in range(5)}


def test_a_reader_of_the_feed_never_misses_a_change_that_commits_late(app: Flask) -> None:
    stop = threading.Event()
    seen: list[int] = []

    def follow() -> None:
        client, since = app.test_client(), 0
        while not (stop.is_set() and since == 60):
            feed = client.get(f"{CHANGES}?since={since}").json
            seen.extend(one["revision"] for one in feed["changes"])
            since = feed["revision"]

    reader = threading.Thread(target=follow)
    reader.start()
    at_once(6, lambda number: [app.test_client().post(TOOLS, json=tool(f"{number}-{n}")) for n in range(10)])
    stop.set()
    reader.join(timeout=30)
    assert seen == list(range(1, 61))


def test_an_import_and_single_writers_get_on(app: Flask) -> None:
    documents = [tool(f"bulk {number}", capabilities={}) for number in range(600)]

    def act(number: int) -> int:
        client = app.test_client()
        if number == 0:
            return int(client.post(f"{TOOLS}/import", json=documents).status_code)
        return int(client.post(TOOLS, json=tool(f"single {number}")).status_code)

    assert sorted(at_once(8, act)) == [200] + [201] * 7
    revisions = [one["revision"] for one in app.test_client().get(CHANGES).json["changes"]]
    assert revisions == list(range(1, 608))


def test_a_reader_never_sees_half_of_a_change(app: Flask) -> None:
    client = app.test_client()
    states = [
        {"description": name, "capabilities": {name: {"patterns": {name: {"description": name}}}}}
        for name in ("one", "two")
    ]
    made(client, **states[0])
    stop = threading.Event()

    def write(_: int) -> None:
        try:
            for turn in range(60):
                assert app.test_client().put(f"{TOOLS}/grep", json=states[turn % 2]).status_code == 200
        finally:
            stop.set()

    def read(_: int) -> set[tuple[str, ...]]:
        seen = set()
        # Who reads without a pause in the writer's own process may never let it have the interpreter's lock.
        while not stop.wait(0.001):
            found = app.test_client().get(f"{TOOLS}/grep").json
            seen.add((found["description"], *found["capabilities"]))
        return seen

    results = at_once(3, lambda number: write(number) if number == 0 else read(number))
    assert results[1] | results[2] <= {("one", "one"), ("two", "two")}
