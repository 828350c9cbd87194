"""What the service says in its log: a line an event, and never a secret."""

from __future__ import annotations

import datetime as dt
import json
import re
import time
from typing import Any

import pytest

from tests.cluster import Host, Postgres, eventually
from tests.coherence.conftest import StartHost
from tests.conftest import tool

TOOLS = "/api/v1/tools"
RFC_3339_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

# Without hot reload nobody asks but the test.
LOGGING_ALL = {"WORKERS": "1", "LOG_FORMAT": "json", "LOG_REQUESTS": "all", "HOT_RELOAD": "off"}


def lines(host: Host) -> list[dict[str, Any]]:
    return [json.loads(line) for line in host.said().splitlines()]


def requests_in(host: Host) -> list[dict[str, Any]]:
    return [line for line in lines(host) if "route" in line]


def test_changes_are_logged_and_quick_reads_are_not(start_host: StartHost) -> None:
    host = start_host(WORKERS="2", LOG_FORMAT="json")
    client = host.client()
    written = client.call("POST", TOOLS, tool())
    for _ in range(30):
        client.get(f"{TOOLS}/grep")
    assert client.call("DELETE", f"{TOOLS}/nothing").status == 404
    eventually(lambda: len([one for one in requests_in(host) if one["method"] != "GET"]) == 2)
    created, refused = [one for one in requests_in(host) if one["method"] != "GET"]
    request_id = written.headers["X-Request-ID"]
    assert (created["request_id"], created["route"], created["status"]) == (request_id, TOOLS, 201)
    assert created["worker"] in host.workers()
    assert created["duration_ms"] > 0
    assert (refused["route"], refused["status"]) == (f"{TOOLS}/<reference>", 404)
    assert all(one["duration_ms"] > 50 for one in requests_in(host) if one["method"] == "GET")
    [change] = [line for line in lines(host) if "action" in line]
    assert (change["action"], change["tool_name"], change["revision"]) == ("created", "grep", 1)
    assert change["request_id"] == request_id


def test_all_requests_are_logged_where_that_is_wanted(start_host: StartHost) -> None:
    host = start_host(WORKERS="1", LOG_FORMAT="json", LOG_REQUESTS="all")
    client = host.client()
    for number in range(5):
        client.get(f"{TOOLS}?limit={number + 1}")
    client.get("/no/such/page")
    eventually(lambda: len([one for one in requests_in(host) if one["route"] == TOOLS]) == 5)
    eventually(lambda: [one["status"] for one in requests_in(host) if one["route"] == "unmatched"] == [404])


def test_the_line_of_a_request_says_for_which_tool_and_from_where(start_host: StartHost) -> None:
    host = start_host(**LOGGING_ALL, TRUSTED_PROXIES="127.0.0.1")
    client = host.client()
    client.call("POST", TOOLS, tool())
    paths = [
        "grep", "grep",  # by way of Flask, and from what it kept
        "1/history", "name/grep", f"{'x' * 300}?view=summary", "two%0Alines",
    ]  # fmt: skip
    for number, path in enumerate(paths):
        client.get(f"{TOOLS}/{path}", headers={"X-Forwarded-For": f"6.6.6.6, 10.0.0.{number}"})
    client.call("PATCH", f"{TOOLS}/grep/disable")
    client.get(TOOLS)
    eventually(lambda: len(requests_in(host)) == len(paths) + 3)
    said = [(one["client"], one["route"].removeprefix(TOOLS), one["tool"]) for one in requests_in(host)]
    assert said == [
        ("127.0.0.1", "", None),
        ("10.0.0.0", "/<reference>", "grep"),
        ("10.0.0.1", "/<reference>", "grep"),
        ("10.0.0.2", "/<reference>/history", "1"),
        ("10.0.0.3", "/name/<name>", "grep"),
        ("10.0.0.4", "/<reference>", "x" * 100),
        ("10.0.0.5", "/<reference>", "two\nlines"),
        ("127.0.0.1", "/<reference>/disable", "grep"),
        ("127.0.0.1", "", None),
    ]


def test_nobody_but_a_trusted_proxy_says_from_where_a_request_is(start_host: StartHost) -> None:
    host = start_host(**LOGGING_ALL, TRUSTED_PROXIES="10.0.0.0/8")
    client = host.client()
    for _ in range(2):
        client.get(f"{TOOLS}/grep", headers={"X-Forwarded-For": "6.6.6.6"})
    eventually(lambda: [one["client"] for one in requests_in(host)] == ["127.0.0.1"] * 2)


@pytest.mark.parametrize("format_", ["json", "console"])
def test_every_line_begins_with_a_time_that_others_read(start_host: StartHost, format_: str) -> None:
    began = dt.datetime.now(dt.UTC)
    host = start_host(WORKERS="1", LOG_FORMAT=format_, LOG_REQUESTS="all")
    client = host.client()
    client.get(f"{TOOLS}/two%0Alines")
    eventually(lambda: "two\\nlines" in host.said())
    times = [line.partition(" ")[0] for line in host.said().splitlines()]
    if format_ == "json":
        times = [line["at"] for line in lines(host)]
    assert [time for time in times if not RFC_3339_UTC.fullmatch(time)] == []
    # Truncated to milliseconds.
    begin, end = began - dt.timedelta(milliseconds=1), dt.datetime.now(dt.UTC)
    assert all(begin <= dt.datetime.fromisoformat(time) <= end for time in times)
    assert re.search(
        rf"GET {TOOLS}/<reference> 404 in [0-9.]+ ms \([0-9a-f]{{32}}\) from 127.0.0.1, tool 'two\\+nlines'",
        host.said(),
    )


def test_an_error_of_the_service_is_an_error_in_the_log(start_host: StartHost, postgres: Postgres) -> None:
    host = start_host(WORKERS="1", LOG_FORMAT="json")
    client = host.client()
    postgres.stop()
    try:
        assert client.call("POST", TOOLS, tool()).status == 503
        eventually(lambda: [one for one in requests_in(host) if one["status"] == 503])
        [failed] = [one for one in requests_in(host) if one["status"] == 503]
        assert failed["level"] == "ERROR"
    finally:
        postgres.start()


@pytest.mark.parametrize("format_", ["json", "console"])
def test_a_start_shows_the_settings_and_no_secret(
    start_host: StartHost, postgres: Postgres, format_: str
) -> None:
    secret = "hunter2-and-more"  # the server trusts everybody, and so takes any
    postgres.url = postgres.url.replace("postgres:@", f"postgres:{secret}@")
    host = start_host(WORKERS="1", LOG_FORMAT=format_)
    client = host.client()
    client.call("POST", TOOLS, tool(description=f"the body says {secret}"))
    assert secret not in host.said()
    if format_ == "json":
        [start] = [line for line in lines(host) if line["message"] == "A worker starts"]
        assert start["PORT"] == host.port
        assert ":***@" in start["DATABASE_URL"]
        assert (start["WORKERS"], start["CACHE_MAX_SIZE"]) == (1, 1000)
    else:
        assert "A worker starts" in host.said()
        assert f"POST {TOOLS} 201 in " in host.said()


def test_an_outage_is_a_line_when_it_begins_and_one_when_it_has_ended(
    start_host: StartHost, postgres: Postgres
) -> None:
    host = start_host(WORKERS="2", LOG_FORMAT="json")

    def said() -> list[tuple[int, str]]:
        found = [one for one in lines(host) if "for watching the definitions" in one["message"]]
        return sorted((one["worker"], one["level"]) for one in found)

    postgres.stop()
    time.sleep(5)  # in which each of them tries five times
    during = said()
    postgres.start()
    workers = host.workers()
    assert during == [(worker, "WARNING") for worker in workers]
    ended = sorted((worker, level) for worker in workers for level in ("INFO", "WARNING"))
    eventually(lambda: said() == ended)
