"""What comes over the wire, to a real gunicorn, that is none of what the API documents."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import time
from typing import Any

import pytest
import requests

from tests.conftest import tool
from tests.service.conftest import Service
from toolcatalog.sources.writing import yaml_texts

TOOLS = "/api/v1/tools"
JSON = {"Content-Type": "application/json"}


def answered(
    service: Service, session: requests.Session, body: Any, path: str = TOOLS, **headers: str
) -> Any:
    response = session.post(f"{service.url}{path}", data=body, headers={**JSON, **headers}, timeout=20)
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == response.status_code
    assert not any(
        word in response.text for word in ("Traceback", "psycopg2", "sqlalchemy", "SELECT", "INSERT")
    )
    return problem


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b"", 400, "The body is empty."),
        (b"  \n", 400, "The body is empty."),
        (b"{]", 400, None),
        (b"\xff\xfe{}", 400, "The text is not UTF-8: byte 0 cannot be read."),
        (b"[]", 400, "The body has to be a JSON object."),
        (b"null", 400, "The body has to be a JSON object."),
        (b'{"a": 1, "a": 2}', 400, 'The key "a" stands twice in one object.'),
        (b'{"a": NaN}', 400, "NaN is not a number that JSON has."),
        (b'{"a": 1e999}', 400, "The number 1e999 is too large."),
        (b'{"a": "\\u0000"}', 400, "A text contains NUL or half of a surrogate pair; leave it out."),
        (b'{"a": "\\ud800"}', 400, "A text contains NUL or half of a surrogate pair; leave it out."),
        (b'{"a":' * 100_000, 400, "The JSON is nested too deeply."),
        (b'{"a": ' + b"9" * 5000 + b"}", 400, None),
        (gzip.compress(b"{}", mtime=0), 400, None),
        (b"{}", 422, "The definition has 2 errors."),
    ],
    ids=lambda value: None if isinstance(value, bytes) else str(value)[:30],
)  # fmt: skip
def test_a_body_that_is_no_definition_says_why(
    service: Service, session: requests.Session, body: bytes, status: int, detail: str | None
) -> None:
    problem = answered(service, session, body)
    assert problem["status"] == status
    assert detail in (None, problem["detail"])


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/yaml"]
)
def test_another_content_type_is_415(service: Service, session: requests.Session, content_type: str) -> None:
    problem = answered(service, session, b"{}", **{"Content-Type": content_type})
    assert problem["status"] == 415
    assert "Content-Type: application/json" in problem["detail"]


@pytest.mark.parametrize("path", [TOOLS, f"{TOOLS}/import", f"{TOOLS}/validate", f"{TOOLS}/export"])
@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "identity, gzip"])
def test_an_encoded_body_is_415_and_says_how_to_send_it(
    service: Service, session: requests.Session, path: str, coding: str
) -> None:
    body = gzip.compress(json.dumps(tool()).encode())
    for content_type in ("application/json", "application/yaml"):
        headers = {"Content-Type": content_type, "Content-Encoding": coding}
        response = session.post(f"{service.url}{path}", data=body, headers=headers, timeout=20)
        assert response.status_code == 415
        if content_type == "application/json":
            assert response.headers["Accept-Encoding"] == "identity"
            assert response.json()["detail"] == (
                f"The body is encoded as {coding}. Send it as it is, without Content-Encoding."
            )
    plain = session.post(
        f"{service.url}{TOOLS}/validate", json=tool(), headers={"Content-Encoding": "Identity"}, timeout=20
    )
    assert plain.json()["valid"] is True


@pytest.mark.parametrize("chunked", [False, True])
def test_ten_megabytes_are_refused(service: Service, session: requests.Session, *, chunked: bool) -> None:
    body = json.dumps(tool(description="x" * 10_000_000)).encode()
    given: Any = iter([body[:5_000_000], body[5_000_000:]]) if chunked else body
    problem = answered(service, session, given)
    assert (problem["status"], problem["code"]) == (413, "request_entity_too_large"), problem
    has = "more than 5,000,000" if chunked else f"{len(body):,}"
    assert problem["detail"] == (
        f"The body has {has} bytes; at most 5,000,000 are allowed here, by the setting MAX_BODY_BYTES. "
        "Send less at a time, or have the setting raised."
    )
    assert requests.get(f"{service.url}/health", timeout=10).status_code == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_an_export_that_is_larger_than_other_bodies_may_be_goes_back_in(
    service: Service, session: requests.Session, *, chunked: bool
) -> None:
    documents = (tool(f"large {number}", metadata={"notes": "x" * 500_000}) for number in range(12))
    body = "".join(yaml_texts(documents)).encode()
    given: Any = iter([body[:5_000_000], body[5_000_000:]]) if chunked else body
    url, headers = f"{service.url}{TOOLS}/import?dry_run=true", {"Content-Type": "application/yaml"}
    response = session.post(url, data=given, headers=headers, timeout=60)
    assert (response.status_code, response.json()["created"]) == (200, 12), response.text[:300]


def test_what_an_import_may_have_is_said_before_it_is_sent(service: Service) -> None:
    connection = http.client.HTTPConnection(service.url.removeprefix("http://"), timeout=20)
    connection.putrequest("POST", f"{TOOLS}/import")
    connection.putheader("Content-Type", "application/yaml")
    connection.putheader("Content-Length", "67108865")
    connection.endheaders()
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())["detail"]) == (
        413,
        "The body has 67,108,865 bytes; at most 67,108,864 are allowed here, by the setting "
        "MAX_IMPORT_BYTES. Send less at a time, or have the setting raised.",
    )
    connection.close()


@pytest.mark.parametrize(
    "text",
    [
        b"a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [" + b"*a, " * 9 + b"]\nc: &c [" + b"*b, " * 9
        + b"]\nd: &d [" + b"*c, " * 9 + b"]\ne: &e [" + b"*d, " * 9 + b"]\nf: [" + b"*e, " * 9 + b"]\n",
        b"tool_name: !!python/object/apply:os.system ['true']\n",
        b"tool_name: a\ntool_name: b\n",
        b"[" * 1000,
        b"\x80abc",
        b"a: \x00",
    ],
    ids=["bomb", "tag", "duplicate", "deep", "latin", "nul"],
)  # fmt: skip
def test_hostile_yaml_is_one_clear_line(service: Service, session: requests.Session, text: bytes) -> None:
    problem = answered(service, session, text, f"{TOOLS}/import", **{"Content-Type": "application/yaml"})
    assert problem["status"] == 422
    (error,) = problem["errors"]
    assert error["line"] >= 1
    assert "\n" not in error["message"]


def test_paths_and_methods_that_are_none_of_ours(service: Service, session: requests.Session) -> None:
    for method, path, status in (
        ("GET", "/nothing", 404),
        ("GET", "/api/v1/tools/", 404),
        ("GET", "/api/v1/tools/%00", 404),
        ("POST", "/health", 405),
        ("DELETE", "/api/v1/tools", 405),
        ("TRACE", "/api/v1/tools", 405),
        ("NONSENSE", "/api/v1/tools", 405),
    ):
        response = session.request(method, f"{service.url}{path}", timeout=10)
        assert (response.status_code, response.json()["status"]) == (status, status), (method, path)
        assert ("Allow" in response.headers) == (status == 405)


@pytest.mark.parametrize(
    "request_line",
    [b"GET /api/v1/tools HTTP/9.9", b"GET", b"\x00\x01\x02", b"GET /" + b"a" * 10_000 + b" HTTP/1.1"],
    ids=["version", "method alone", "binary", "long"],
)
def test_what_is_no_http_is_answered_or_closed_and_harms_nobody(
    service: Service, request_line: bytes
) -> None:
    port = int(service.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request_line + b"\r\nHost: x\r\n\r\n")
        connection.settimeout(20)
        assert connection.recv(20).startswith((b"HTTP/1.1 4", b""))
    assert requests.get(f"{service.url}/health", timeout=10).status_code == 200


def test_slow_clients_keep_nobody_waiting(service: Service) -> None:
    """More of them than there are threads, each in the middle of its header."""
    port = int(service.url.rsplit(":", 1)[1])
    slow = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(60)]
    try:
        for connection in slow:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        time.sleep(0.5)
        begun = time.monotonic()
        for _ in range(10):
            assert requests.get(f"{service.url}/health", timeout=10).status_code == 200
        assert time.monotonic() - begun < 5
    finally:
        for connection in slow:
            connection.close()


@pytest.mark.slow
@pytest.mark.unhurried
@pytest.mark.parametrize("is_kept", [False, True], ids=["new", "kept"])
def test_a_header_that_never_ends_is_cut_off(service: Service, *, is_kept: bool) -> None:
    port = int(service.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        if is_kept:
            connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        begun = time.monotonic()
        connection.settimeout(0.5)
        with pytest.raises(OSError, match=r"reset|pipe"):  # noqa: PT012 - the loop ends by it
            while time.monotonic() - begun < 20:
                connection.sendall(b"a")
                time.sleep(0.5)
        assert 9 < time.monotonic() - begun < 13


_LARGE = "request_header_fields_too_large"


@pytest.mark.parametrize(
    ("request_head", "status", "code", "detail"),
    [
        (b"\x00\x01\x02 / HTTP/1.1", 400, "bad_request", "Invalid HTTP "),
        (b"GET / HTTP/9.9", 400, "bad_request", "Invalid HTTP Version"),
        (b"GET / HTTP/1.1\r\nBad Header: a", 400, "bad_request", "Invalid HTTP "),
        (b"GET / HTTP/1.1\r\nExpect: a", 417, "expectation_failed", "Unable to comply with expectation: 'a'"),
        (b"GET /" + b"a" * 8_000 + b" HTTP/1.1", 414, "uri_too_long", "Request line length (8014) exceeds"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000, 431, _LARGE, "Header size (20005) exceeds limit (8190)"),
        (b"GET / HTTP/1.1\r\n" + b"\r\n".join(b"X-%d: a" % number for number in range(200)), 431, _LARGE,
         "Number of headers (201) exceeds limit (100)"),
    ],
    ids=["method", "version", "header name", "expectation", "long line", "long header", "many headers"],
)  # fmt: skip
def test_what_gunicorn_refuses_is_a_problem_document_with_a_request_id(
    service: Service, request_head: bytes, status: int, code: str, detail: str
) -> None:
    port = int(service.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request_head + b"\r\nHost: x\r\n\r\n")
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        problem = json.loads(answer.read())
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Connection"] == "close"
    assert (answer.status, problem["status"], problem["code"]) == (status, status, code)
    assert problem["detail"].startswith(detail)
    assert problem["request_id"] == answer.headers["X-Request-ID"]
    assert f"was refused: {detail}" in service.said()


_SMUGGLED = b"GET /api/v1/tools/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "header",
    [
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding : chunked",
        b"Content-Length: +5",
        b"Content-Length: 5_0",
        b"X: a\r\n folded: b\r\nContent-Length: 5\r\nTransfer-Encoding:\x0bchunked",
        b"Bad Header: a",
        b"X\x00Y: a",
        b"X: " + b"a" * 20_000,
        b"\r\n".join(b"X-%d: a" % number for number in range(200)),
    ],
    ids=["two lengths", "length and chunks", "identity", "xchunked", "space", "plus", "underscore", "folded",
         "name with space", "nul", "long", "many"],
)  # fmt: skip
def test_a_header_that_two_could_read_differently_ends_the_connection(
    service: Service, header: bytes
) -> None:
    """What comes after it on the connection is never answered as a request of its own."""
    port = int(service.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(
            b"POST /api/v1/tools HTTP/1.1\r\nHost: x\r\n" + header + b"\r\n\r\n0\r\n\r\n" + _SMUGGLED
        )
        connection.settimeout(20)
        answer = b""
        try:
            while chunk := connection.recv(65_536):
                answer += chunk
        except ConnectionResetError:
            pass
    assert b"smuggled" not in answer
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5")) or not answer, answer
    assert requests.get(f"{service.url}/health", timeout=10).status_code == 200
