"""The short way to cached answers: it says what Flask says, and nothing that is not true any more."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.api.test_access import MakeApp, make_app, make_key, revoke
from tests.conftest import tool
from toolcatalog import metrics
from toolcatalog.api import context
from toolcatalog.api.shortcut import Shortcut

__all__ = ["make_app"]

TOOLS = "/api/v1/tools"
READS = (
    TOOLS,
    f"{TOOLS}?limit=1&view=summary",
    f"{TOOLS}?enabled=true&platform=linux",
    f"{TOOLS}/grep",
    f"{TOOLS}/1%20of",
    f"{TOOLS}/grep?version=1.0",
    f"{TOOLS}/grep/versions",
    f"{TOOLS}/search?q=find+text",
    f"{TOOLS}/search?q=find%20text",
)
OWN = ("X-Request-ID", "Cache-Status", "Date")


class Counted:
    """Tells whether a request came to Flask."""

    def __init__(self, app: Flask) -> None:
        assert isinstance(app.wsgi_app, Shortcut)
        self._asked, self._app = app.wsgi_app._app, app
        self.count = 0

    def __call__(self, environ: Any, start_response: Any) -> Any:
        self.count += 1
        return self._asked(environ, start_response)

    def __enter__(self) -> Counted:
        self._app.wsgi_app._app = self
        return self

    def __exit__(self, *_: object) -> None:
        self._app.wsgi_app._app = self._asked


@pytest.fixture
def stocked(app: Flask, client: FlaskClient) -> FlaskClient:
    for name in ("grep", "1 of"):
        assert client.post(TOOLS, json=tool(name)).status_code == 201
    return client


@pytest.mark.parametrize("path", READS)
def test_the_second_answer_is_the_first_one_again(app: Flask, stocked: FlaskClient, path: str) -> None:
    stocked.get(path)
    first = stocked.get(path, headers={"If-None-Match": '"another"'})
    with Counted(app) as flask:
        second = stocked.get(path)
    assert flask.count == 0
    assert second.status == first.status == "200 OK"
    assert second.data == first.data
    assert _said(second) == _said(first)
    assert second.headers["Cache-Status"].startswith("tool-catalog; hit; ttl=")
    assert len(second.headers["X-Request-ID"]) == 32


@pytest.mark.parametrize("path", READS)
def test_who_has_it_is_told_so_in_the_same_words(app: Flask, stocked: FlaskClient, path: str) -> None:
    etag = stocked.get(path).headers["ETag"]
    by_flask = stocked.get(path, headers={"If-None-Match": f'"another", {etag}'})
    with Counted(app) as flask:
        answer = stocked.get(path, headers={"If-None-Match": etag})
        weakened = stocked.get(path, headers={"If-None-Match": f"W/{etag}"})
    assert flask.count == 0
    assert answer.status == weakened.status == by_flask.status == "304 NOT MODIFIED"
    assert answer.data == weakened.data == b""
    assert _said(answer) == _said(weakened) == _said(by_flask)


def _said(answer: Any) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in OWN}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-Match": '"another"'}, 412),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": 'W/"another"'}, 200),
        ({"Origin": "https://example.org"}, 200),
    ],
)
def test_what_says_more_than_a_path_goes_to_flask(
    app: Flask, stocked: FlaskClient, headers: dict[str, str], status: int
) -> None:
    path = f"{TOOLS}/grep"
    stocked.get(path)
    with Counted(app) as flask:
        assert stocked.get(path, headers=headers).status_code == status
        assert stocked.head(path).status_code == 200
        assert stocked.get(path, environ_overrides={"SCRIPT_NAME": "/prefix"}).status_code in (200, 404)
        assert stocked.get(f"{path}?min_revision=1").status_code == 200
        assert stocked.get(f"{path}?min_revision=1").status_code == 200
    assert flask.count == 5


def test_a_change_is_seen_at_once(app: Flask, stocked: FlaskClient) -> None:
    paths = [f"{TOOLS}/grep", TOOLS, f"{TOOLS}/search?q=text"]
    for number in range(5):
        for path in paths:
            stocked.get(path)
            stocked.get(path)
        changed = stocked.patch(f"{TOOLS}/grep", json={"description": f"Finds text, {number}."})
        for path in paths:
            answer = stocked.get(path)
            assert f"Finds text, {number}." in answer.text
            assert answer.headers["X-Catalog-Revision"] == changed.headers["X-Catalog-Revision"]


def test_a_client_may_name_its_request(stocked: FlaskClient) -> None:
    stocked.get(TOOLS)
    for given, is_taken in (("mine-1", True), ("not\tmine", False), ("x" * 129, False)):
        said = stocked.get(TOOLS, headers={"X-Request-ID": given}).headers["X-Request-ID"]
        assert (said == given) is is_taken


def test_each_is_counted_where_flask_counts_it(stocked: FlaskClient) -> None:
    path, route = f"{TOOLS}/grep", f"{TOOLS}/<reference>"
    etag = stocked.get(path).headers["ETag"]

    def counts() -> tuple[float, ...]:
        found = metrics.collect(metrics.current().registry)
        requests, seconds = (
            found["tool_catalog_api_requests"],
            found["tool_catalog_api_request_duration_seconds"],
        )
        name = "tool_catalog_api_requests_total"
        of_route = {"method": "GET", "endpoint": route}
        return (
            metrics.total(requests, name, **of_route, status="200"),
            metrics.total(requests, name, **of_route, status="304"),
            metrics.total(seconds, "tool_catalog_api_request_duration_seconds_count", **of_route),
            metrics.total(found["tool_catalog_cache_hits"], "tool_catalog_cache_hits_total"),
        )

    before = counts()
    for _ in range(3):
        stocked.get(path)
    stocked.get(path, headers={"If-None-Match": etag})
    assert [after - was for after, was in zip(counts(), before, strict=True)] == [3, 1, 4, 4]


def test_ever_new_words_do_not_fill_the_memory(app: Flask, stocked: FlaskClient) -> None:
    cache = context.of(app).cache
    for number in range(50):
        assert stocked.get(f"{TOOLS}/grep?{'&' * number}version=1.0").status_code == 200
    assert stocked.get(f"{TOOLS}/grep?version=1.0{'&' * 600}").status_code == 200
    answer = cache.find((f"{TOOLS}/grep", f"{'&' * 49}version=1.0"))
    assert answer is not None
    assert len(answer.ways) == 4
    assert sum(1 for known in cache._answers.values() if known is answer) == len(answer.keys) + 4


def test_what_is_evicted_is_forgotten_by_its_words(make_app: MakeApp, stocked: FlaskClient) -> None:
    app = make_app("off", CACHE_MAX_SIZE="10")
    client, cache = app.test_client(), context.of(app).cache
    for number in range(100):
        client.get(f"{TOOLS}?limit={number + 1}")
    assert len(cache._answers) < 60


def test_every_request_is_logged_where_that_is_asked_for(
    make_app: MakeApp, stocked: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app("off", LOG_REQUESTS="all")
    client = app.test_client()
    client.get(TOOLS)
    with caplog.at_level(logging.INFO, "toolcatalog"), Counted(app) as flask:
        logging.getLogger().addHandler(caplog.handler)
        client.get(TOOLS, headers={"X-Request-ID": "mine-2"})
        logging.getLogger().removeHandler(caplog.handler)
    assert flask.count == 0
    assert any("GET /api/v1/tools 200 in" in line and "(mine-2)" in line for line in caplog.messages)


def test_a_key_opens_the_short_way_until_it_is_revoked(make_app: MakeApp, stocked: FlaskClient) -> None:
    app = make_app("all")
    client, path = app.test_client(), f"{TOOLS}/grep"
    key = {"Authorization": f"Bearer {make_key(app, 'reader', 'read')}"}
    assert client.get(path, headers=key).status_code == 200
    with Counted(app) as flask:
        assert client.get(path, headers=key).status_code == 200
        assert flask.count == 0
        for wrong in (
            {},
            {"Authorization": "Bearer tc_00000000_" + "0" * 64},
            {"Authorization": "Basic YTpi"},
        ):
            assert client.get(path, headers=wrong).status_code == 401
        revoke(app, "reader")
        assert client.get(path, headers=key).status_code == 401
