"""Lists of tools: filters, order, pages, and what of each tool is shown."""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.api.test_tools import TOOLS, made
from tests.conftest import tool


@pytest.fixture
def stocked(client: FlaskClient) -> FlaskClient:
    made(client, tool_name="awk", platform="linux", category="system")
    made(client, tool_name="Get-Service", platform="windows", category="system", status="testing")
    made(client, tool_name="kubectl get", platform="kubernetes", category="container", enabled=False)
    made(client, tool_name="sed", platform="linux", category="automation", metadata={"tags": ["stream"]})
    made(client, tool_name="sed", version="2.0", platform="linux", category="automation", capabilities={})
    return client


def names(client: FlaskClient, query: str = "") -> list[str]:
    response = client.get(f"{TOOLS}{query}")
    assert response.status_code == 200, response.json
    return [one["tool_name"] for one in response.json]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["Get-Service", "awk", "kubectl get", "sed"]),
        ("?platform=linux", ["awk", "sed"]),
        ("?category=system", ["Get-Service", "awk"]),
        ("?status=testing", ["Get-Service"]),
        ("?enabled=false", ["kubectl get"]),
        ("?capability=text_search", ["Get-Service", "awk", "kubectl get"]),
        ("?tag=text", ["Get-Service", "awk", "kubectl get", "sed"]),
        ("?tag=stream", []),
        ("?tag=stream&version=1.0", ["sed"]),
        ("?version=1.0", ["Get-Service", "awk", "kubectl get", "sed"]),
        ("?version=2.0", ["sed"]),
        ("?name=awk", ["awk"]),
        ("?name=aw", []),
        ("?platform=linux&category=system&enabled=true&status=active", ["awk"]),
        ("?platform=amiga", []),
        ("?platform=linux,windows", ["Get-Service", "awk", "sed"]),
        ("?platform=windows&platform=linux,linux", ["Get-Service", "awk", "sed"]),
        ("?category=automation,container", ["kubectl get", "sed"]),
        ("?status=testing,draft", ["Get-Service"]),
        ("?tag=files,nothing&platform=windows", ["Get-Service"]),
        ("?capability=text_search,nothing&platform=linux,kubernetes", ["awk", "kubectl get"]),
        ("?sort=-tool_name", ["sed", "kubectl get", "awk", "Get-Service"]),
        ("?sort=updated_at", ["awk", "Get-Service", "kubectl get", "sed"]),
        ("?sort=-updated_at&limit=1", ["sed"]),
        ("/platform/linux", ["awk", "sed"]),
        ("/platform/linux?category=system", ["awk"]),
        ("/category/container", ["kubectl get"]),
    ],
)
def test_a_list_is_what_was_asked_for(stocked: FlaskClient, query: str, found: list[str]) -> None:
    assert names(stocked, query) == found
    if "limit" not in query:
        assert stocked.get(TOOLS + query).headers["X-Total-Count"] == str(len(found))


def test_updated_since_lists_what_changed_from_then_on(stocked: FlaskClient) -> None:
    moment = stocked.get(f"{TOOLS}/kubectl get").json["updated_at"]
    assert names(stocked, f"?updated_since={moment}&sort=updated_at") == ["kubectl get", "sed"]
    later = (dt.datetime.fromisoformat(moment) + dt.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S")
    assert names(stocked, f"?updated_since={later}") == []


def test_the_capabilities_and_the_tools_that_have_them(stocked: FlaskClient) -> None:
    expected = [{"capability_name": "text_search", "tool_count": 3, "description": "Find text"}]
    assert stocked.get("/api/v1/capabilities").json == expected
    response = stocked.get("/api/v1/capabilities/text_search/tools?platform=linux")
    assert [one["tool_name"] for one in response.json] == ["awk"]
    assert stocked.get("/api/v1/capabilities/none/tools").json == []


def test_summary_and_fields_choose_what_is_shown(stocked: FlaskClient) -> None:
    assert list(stocked.get(f"{TOOLS}?view=summary&name=awk").json[0]) == [
        "id", "tool_name", "version", "description", "platform", "category", "status", "enabled", "revision",
        "is_latest", "updated_at",
    ]  # fmt: skip
    assert stocked.get(f"{TOOLS}?fields=tool_name,id&name=awk").json == [{"id": 1, "tool_name": "awk"}]
    full = stocked.get(f"{TOOLS}?name=awk").json[0]
    chosen = stocked.get(f"{TOOLS}?fields=capabilities&name=awk").json
    assert chosen == [{"capabilities": full["capabilities"]}]


def follow(client: FlaskClient, path: str) -> list[list[dict[str, Any]]]:
    """All pages of a list."""
    pages = []
    while path:
        response = client.get(path)
        assert response.status_code == 200, response.json
        pages.append(response.json)
        link = re.fullmatch(r'<(.*)>; rel="next"', response.headers.get("Link", ""))
        path = link[1] if link else ""
    return pages


@pytest.mark.parametrize("sort", ["tool_name", "-tool_name", "updated_at", "-updated_at"])
def test_pages_follow_one_another_without_gap_or_repetition(client: FlaskClient, sort: str) -> None:
    documents = [tool(f"tool {number:02}", platform="linux") for number in range(23)]
    assert (
        client.post(f"{TOOLS}/import", json=documents).status_code == 200
    )  # one moment: updated_at is equal
    whole = [one["tool_name"] for one in client.get(f"{TOOLS}?sort={sort}").json]
    pages = follow(client, f"{TOOLS}?sort={sort}&limit=5&platform=linux&view=summary")
    assert [len(page) for page in pages] == [5, 5, 5, 5, 3]
    assert [one["tool_name"] for page in pages for one in page] == whole


def test_a_tool_added_behind_the_cursor_does_not_shift_the_next_page(client: FlaskClient) -> None:
    for name in ("b", "c", "d", "e"):
        made(client, tool_name=name)
    first = client.get(f"{TOOLS}?limit=2")
    made(client, tool_name="a")
    link = first.headers["Link"].split(">")[0][1:]
    assert [one["tool_name"] for one in client.get(link).json] == ["d", "e"]


def test_a_full_last_page_has_no_next(client: FlaskClient) -> None:
    for name in ("a", "b"):
        made(client, tool_name=name)
    assert "Link" not in client.get(f"{TOOLS}?limit=2").headers
    assert len(follow(client, f"{TOOLS}?limit=1")) == 2
    assert len(follow(client, "/api/v1/capabilities?limit=1")) == 1


def test_a_cursor_only_fits_the_list_that_it_came_from(stocked: FlaskClient) -> None:
    link = stocked.get(f"{TOOLS}?limit=1&platform=linux").headers["Link"]
    cursor = re.search(r"cursor=([^>]+)>", link)
    assert cursor is not None
    for other in ("platform=windows", "", "platform=linux&sort=-tool_name"):
        response = stocked.get(f"{TOOLS}?{other}&cursor={cursor[1]}")
        assert response.status_code == 422
        assert response.json["errors"] == [
            {
                "path": "cursor",
                "message": "belongs to a list with other filters or another order: start that list anew",
            }
        ]
    assert stocked.get(f"{TOOLS}?platform=linux&limit=3&cursor={cursor[1]}").status_code == 200


@pytest.mark.parametrize(
    "cursor",
    ["x", "e30", "W10", "WyJhIl0", "é", "W1tbW1tbW1tbW10", "WyJhIiwiXHVkODAwIl0", "bnVsbA", "_" * 1999],
)
def test_a_made_up_cursor_is_refused(stocked: FlaskClient, cursor: str) -> None:
    response = stocked.get(TOOLS, query_string={"cursor": cursor})
    assert response.status_code == 422
    assert [error["path"] for error in response.json["errors"]] == ["cursor"]


def fingerprint(client: FlaskClient, path: str) -> str:
    """What a cursor of this list begins with."""
    cursor = re.search(r"cursor=([^&>]+)", client.get(f"{path}&limit=1").headers["Link"])
    assert cursor is not None
    found: str = json.loads(base64.urlsafe_b64decode(cursor[1] + "=" * (-len(cursor[1]) % 4)))[0]
    return found


_offsets = st.integers(-1439, 1439).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)))
_moments = st.datetimes(timezones=st.none() | _offsets).map(dt.datetime.isoformat)
_positions = st.lists(
    _moments | st.text(max_size=5) | st.integers() | st.floats() | st.none() | st.booleans(), max_size=3
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)  # nothing is written
@given(_positions)
@example(["2026-01-01T00:00:00+20:00", "x"])
@example(["0001-01-01T00:00:00+20:00", "x"])
@example(["9999-12-31T23:59:59-20:00", "x"])
@example(["2026-01-01T00:00:00", "x"])
@example(["\x00"])
@example(["\ud800"])
def test_a_cursor_with_any_position_is_answered_or_refused(stocked: FlaskClient, position: list[Any]) -> None:
    for path in (f"{TOOLS}?sort=updated_at", f"{TOOLS}?sort=tool_name", f"{TOOLS}/search?name=e"):
        packed = json.dumps([fingerprint(stocked, path), *position]).encode()
        response = stocked.get(f"{path}&cursor={base64.urlsafe_b64encode(packed).decode().rstrip('=')}")
        assert response.status_code in (200, 422), (path, response.json)


@given(st.text(max_size=40))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_as_a_cursor_is_answered_or_refused(stocked: FlaskClient, text: str) -> None:
    response = stocked.get(TOOLS, query_string={"cursor": text.encode("utf-8", "surrogatepass")})
    assert response.status_code in (200, 422)


@pytest.mark.parametrize(
    ("query", "path", "says"),
    [
        ("platfrm=linux", "platfrm", 'is not a parameter here; did you mean "platform"?'),
        ("enabled=maybe", "enabled", "Not a valid boolean."),
        ("status=on", "status", "Must be one of: active, deprecated, disabled, testing, draft."),
        ("limit=0", "limit", "Must be greater than or equal to 1 and less than or equal to 1000."),
        ("limit=ten", "limit", "Not a valid integer."),
        ("limit=1001", "limit", "Must be greater than or equal to 1 and less than or equal to 1000."),
        ("updated_since=yesterday", "updated_since", "Not a valid datetime."),
        ("platform=", "platform", "names no value"),
        ("name=", "name", "Length must be between 1 and 100."),
        ("platform=%00", "platform", "contains NUL."),
    ],
)
def test_a_wrong_parameter_is_named_with_what_is_allowed(
    client: FlaskClient, query: str, path: str, says: str
) -> None:
    response = client.get(f"{TOOLS}?{query}")
    assert (response.status_code, response.json["code"]) == (422, "invalid")
    assert response.json["errors"] == [{"path": path, "message": says}]


@pytest.mark.parametrize(
    "query", ["fields=tool_name,id", "fields=tool_name&fields=id", "fields=id,id&fields=tool_name"]
)
def test_several_values_are_separated_by_commas_or_given_again(client: FlaskClient, query: str) -> None:
    made(client)
    assert client.get(f"{TOOLS}?{query}").json == [{"id": 1, "tool_name": "grep"}]
    exported = client.get(f"{TOOLS}/export?names=grep&names=grep&format=json", buffered=True)
    assert [one["tool_name"] for one in exported.json] == ["grep"]


def test_one_value_that_is_given_twice_is_refused(client: FlaskClient) -> None:
    for query in ("limit=1&limit=1", "fields=id&view=full&view=full"):
        refused = client.get(f"{TOOLS}?{query}")
        assert (refused.status_code, [error["message"] for error in refused.json["errors"]]) == (
            422, ["is given more than once"],
        )  # fmt: skip


def test_one_question_in_two_orders_is_one_question(stocked: FlaskClient) -> None:
    first = stocked.get(f"{TOOLS}?platform=linux,windows&limit=1")
    again = stocked.get(f"{TOOLS}?platform=windows&platform=linux&limit=1")
    assert "; hit" in again.headers["Cache-Status"]
    following = first.headers["Link"].partition("cursor=")[2].partition(">")[0]
    assert stocked.get(f"{TOOLS}?platform=windows,linux&cursor={following}").status_code == 200
    assert stocked.get(f"{TOOLS}?platform=windows&cursor={following}").status_code == 422


def test_search_and_export_take_several_values_too(stocked: FlaskClient) -> None:
    found = stocked.get(f"{TOOLS}/search?q=print+lines&platform=linux,windows").json
    assert {each["tool_name"] for each in found} == {"awk", "Get-Service", "sed"}
    exported = stocked.get(f"{TOOLS}/export?format=json&platform=linux,windows&status=testing,draft")
    assert [each["tool_name"] for each in exported.json] == ["Get-Service"]
    other = stocked.get(f"{TOOLS}/export?format=json&platform=linux")
    assert exported.headers["ETag"] != other.headers["ETag"]


@pytest.mark.parametrize("tags", [5, 2024, True, None, "disk", {"disk": 1}])
def test_tags_that_are_no_list_keep_no_list_from_being_answered(client: FlaskClient, tags: Any) -> None:
    """Before and after a change, whatever `metadata` says: it is free."""
    made(client, metadata={"tags": ["disk"]})
    listed = f"{TOOLS}?tag=disk&fields=tool_name"
    assert len(client.get(listed).json) == 1
    for said in (tags, ["disk"], tags):
        assert client.put(f"{TOOLS}/grep", json={"metadata": {"tags": said}}).status_code == 200
        assert len(client.get(listed).json) == (said == ["disk"])
        assert client.get(TOOLS).status_code == 200
