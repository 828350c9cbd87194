"""The change feed: every committed change, once, in order, and soon."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from tests.api.test_tools import TOOLS, made
from tests.conftest import tool
from toolcatalog import listener, settings
from toolcatalog.api import context
from toolcatalog.app import create_app, stop
from toolcatalog.cache.shared import State
from toolcatalog.listener import Listener
from toolcatalog.services import changes

CHANGES = "/api/v1/changes"


def test_the_feed_is_followed_by_its_revision(client: FlaskClient) -> None:
    for name in ("a", "b", "c"):
        made(client, tool_name=name)
    first = client.get(f"{CHANGES}?limit=2").json
    assert [(one["revision"], one["tool_name"], one["action"]) for one in first["changes"]] == [
        (1, "a", "created"), (2, "b", "created"),
    ]  # fmt: skip
    second = client.get(f"{CHANGES}?limit=2&since={first['revision']}").json
    assert ([one["tool_name"] for one in second["changes"]], second["revision"]) == (["c"], 3)
    assert client.get(f"{CHANGES}?since=3").json == {"changes": [], "revision": 3}


def test_a_reader_ahead_of_the_catalog_is_told_where_it_is(client: FlaskClient) -> None:
    made(client)
    assert client.get(f"{CHANGES}?since=99").json == {"changes": [], "revision": 1}
    assert client.get(f"{CHANGES}?since={2**63 - 1}").status_code == 200
    assert client.get(f"{CHANGES}?since={2**63}").status_code == 422


def test_a_change_that_fails_takes_no_revision(client: FlaskClient) -> None:
    made(client)
    client.post(TOOLS, json=tool())
    client.post(f"{TOOLS}/import", json=[tool("a"), tool("a")])
    client.put(f"{TOOLS}/grep", json={"status": "off"})
    made(client, tool_name="b")
    assert [one["revision"] for one in client.get(CHANGES).json["changes"]] == [1, 2]


class Waiting(threading.Thread):
    """A request that waits for a change after a revision."""

    def __init__(self, app: Flask, since: int) -> None:
        super().__init__()
        self._app, self._since = app, since
        self.seconds = 0.0
        self.response: Any = None

    def run(self) -> None:
        begun = time.monotonic()
        self.response = self._app.test_client().get(f"{CHANGES}?since={self._since}&wait=20")
        self.seconds = time.monotonic() - begun


@pytest.fixture
def listening(app: Flask) -> Flask:
    """An application whose listener knows that the catalog is empty again."""
    listener = context.of(app).listener
    listener.wait_for_after(2**62, 0)
    eventually(lambda: listener._revision == 0)
    return app


def eventually(holds: Callable[[], bool]) -> None:
    """Wait, ten seconds at most, until something holds."""
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def begun(app: Flask) -> Waiting:
    """A request that waits for the first change, and is waiting already."""
    places = context.of(app).waiting_places
    waiting = Waiting(app, 0)
    waiting.start()
    eventually(lambda: places._value < places._initial_value)
    return waiting


def test_a_waiting_request_is_answered_when_a_change_comes(listening: Flask, client: FlaskClient) -> None:
    waiting = begun(listening)
    made(client)
    waiting.join()
    assert [one["tool_name"] for one in waiting.response.json["changes"]] == ["grep"]
    assert waiting.seconds < 10


def test_a_waiting_request_ends_without_a_change_when_its_time_is_up(client: FlaskClient) -> None:
    made(client)
    assert client.get(f"{CHANGES}?since=1&wait=1").json == {"changes": [], "revision": 1}


def test_a_lost_connection_is_made_again_and_no_change_is_missed(
    listening: Flask, client: FlaskClient
) -> None:
    waiting = begun(listening)
    with context.of(listening).database.write() as session:
        session.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'toolcatalog listener' AND datname = current_database()"
            )
        )
    made(client)
    waiting.join()
    assert [one["tool_name"] for one in waiting.response.json["changes"]] == ["grep"]


def test_the_state_is_read_only_when_this_host_does_not_know_it(
    listening: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = context.of(listening)
    read: list[int] = []
    as_before = Listener._read_state

    def noted(self: Listener, *arguments: Any) -> State:
        state = as_before(self, *arguments)
        read.append(state.revision)
        return state

    monkeypatch.setattr(Listener, "_read_state", noted)
    monkeypatch.setattr(listener, "_POLL_SECONDS", 60.0)
    eventually(lambda: bool(read))  # from now on it waits a minute, if nothing is told
    read.clear()
    made(client)
    eventually(lambda: parts.listener._revision == 1)
    assert not read
    with parts.database.write() as session:
        session.execute(text("UPDATE catalog_state SET revision = 2"))
        session.execute(text("SELECT pg_notify('toolcatalog_changes', '2')"))
    eventually(lambda: parts.listener._revision == 2)
    assert read == [2]
    with parts.database.write() as session:
        drops = changes.drop_caches(session, parts.coherence.known().drops).drops
    eventually(lambda: parts.coherence.known().drops == drops)
    assert read == [2, 2]


def test_only_half_of_the_threads_may_wait(app: Flask, client: FlaskClient) -> None:
    places = context.of(app).waiting_places
    taken = 0
    while places.acquire(blocking=False):
        taken += 1
    try:
        refused = client.get(f"{CHANGES}?since=0&wait=20")
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
        assert client.get(CHANGES).status_code == 200
    finally:
        for _ in range(taken):
            places.release()
    assert taken == 4


def test_where_no_thread_can_be_spared_nobody_waits(app: Flask, database_url: str) -> None:
    alone = create_app(settings.load({"DATABASE_URL": database_url, "THREADS": "1", "LOG_LEVEL": "ERROR"}))
    try:
        client = alone.test_client()
        begun = time.monotonic()
        refused = client.get(f"{CHANGES}?since=0&wait=30")
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
        assert "ask without wait=" in refused.json["detail"]
        assert time.monotonic() - begun < 10
        made(client)
        assert client.get(f"{CHANGES}?since=0&wait=30").json["revision"] == 1
    finally:
        stop(alone)
