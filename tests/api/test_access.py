"""Who may do what: every route, in every mode, with every sort of key, against one table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from tests.cluster import eventually
from tests.conftest import tool
from toolcatalog import log, metrics, settings
from toolcatalog.api import context
from toolcatalog.app import create_app
from toolcatalog.errors import AlreadyExists
from toolcatalog.services import keys
from toolcatalog.services.changes import drop_caches

TOOLS = "/api/v1/tools"
MODES = ("off", "writes", "all")
BEARERS = ("none", "wrong", "malformed", "revoked", "read", "write", "admin")
NO_KEY = {"none", "wrong", "malformed", "revoked"}
OPEN = {"/", "/health", "/health/live", "/health/ready", "/api/v1/schema/tool.json", "/api/v1/openapi.json"}
ADMIN = {("POST", f"{TOOLS}/reload")}
READING_POSTS = {f"{TOOLS}/validate", f"{TOOLS}/<reference>/validate", f"{TOOLS}/export"}

MakeApp = Callable[..., Flask]


@pytest.fixture
def make_app(app: Flask, database_url: str) -> Iterator[MakeApp]:
    made = []

    def make(auth: str, **given: str) -> Flask:
        made.append(create_app(settings.load({"DATABASE_URL": database_url, "AUTH": auth, **given})))
        context.of(made[-1]).coherence.keep_up()
        return made[-1]

    yield make
    for one in made:
        context.of(one).database.engine.dispose()
    log.configure("ERROR", "console")  # no more to the stream that the test captured


def make_key(app: Flask, name: str, scope: str) -> str:
    parts = context.of(app)
    with parts.database.write() as session:
        key = keys.make(session, name, scope)
    hear(app)
    return key


def revoke(app: Flask, name: str) -> None:
    with context.of(app).database.write() as session:
        keys.revoke(session, name)
    hear(app)


def hear(app: Flask) -> None:
    """Tell an application what its listener would have heard by now."""
    parts = context.of(app)
    with parts.database.write() as session:
        parts.coherence.tell(drop_caches(session, 0))


def headers(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def routes(app: Flask) -> list[tuple[str, str]]:
    return sorted(
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    )


def scope_of(method: str, rule: str) -> str | None:
    """The one table: what a route needs."""
    if rule in OPEN or rule.startswith("/api/v1/docs"):
        return None
    if (method, rule) in ADMIN:
        return "admin"
    return "read" if method == "GET" or rule in READING_POSTS else "write"


def expected(mode: str, method: str, rule: str, bearer: str) -> int | None:
    """The status that refuses the request; None when it is let in."""
    scope = scope_of(method, rule)
    if mode == "off" or scope is None or (mode == "writes" and scope == "read"):
        return None
    if bearer in NO_KEY:
        return 401
    order = ["read", "write", "admin"]
    return None if order.index(bearer) >= order.index(scope) else 403


@pytest.mark.parametrize("mode", MODES)
def test_every_route_asks_for_its_scope(
    make_app: MakeApp, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(mode, TOOLS_DIR="/nonexistent")
    monkeypatch.setattr("toolcatalog.api.access.Guard._hit", lambda *_, **__: None)
    presented: dict[str, str | None] = {"none": None, "malformed": "tc_1", "wrong": f"tc_00000000_{64 * '0'}"}
    for bearer in ("revoked", "read", "write", "admin"):
        presented[bearer] = make_key(app, bearer, "admin" if bearer == "revoked" else bearer)
    revoke(app, "revoked")
    client = app.test_client()
    seen, wanted = {}, {}
    for method, rule in routes(app):
        path = re.sub(r"<[^>]+>", "1", rule)
        for bearer in BEARERS:
            # `wait` is not given: nothing here waits.
            status = client.open(path, method=method, headers=headers(presented[bearer])).status_code
            seen[method, rule, bearer] = status if status in (401, 403) else None
            wanted[method, rule, bearer] = expected(mode, method, rule, bearer)
    assert seen == wanted
    assert len(seen) == len(BEARERS) * len(routes(app)) > 250


def test_a_refusal_says_what_to_do(make_app: MakeApp) -> None:
    app = make_app("all")
    client = app.test_client()
    without = client.get(TOOLS)
    assert without.status_code == 401
    assert without.headers["WWW-Authenticate"] == 'Bearer realm="Tool Catalog"'
    assert without.json["detail"] == "This needs an API key of the scope read: Authorization: Bearer tc_..."
    small = client.post(TOOLS, json=tool(), headers=headers(make_key(app, "reader", "read")))
    assert small.json["detail"] == "The key reader has the scope read; this needs write."
    assert small.json["code"] == "forbidden"


def test_a_path_that_is_none_is_closed_too(make_app: MakeApp) -> None:
    client = make_app("all").test_client()
    assert client.get("/api/v1/nothing").status_code == 401
    assert client.options(TOOLS).status_code == 200


def test_the_document_says_where_a_key_is_needed(make_app: MakeApp) -> None:
    documents = {mode: make_app(mode).test_client().get("/api/v1/openapi.json").json for mode in MODES}
    assert "security" not in documents["off"]
    assert documents["writes"]["security"] == [{}, {"key": []}]
    assert documents["all"]["security"] == [{"key": []}]
    health = documents["all"]["paths"]["/health"]["get"]
    assert health["security"] == []
    assert health["x-required-scope"] == "open"


def test_a_change_names_its_key(make_app: MakeApp, capsys: pytest.CaptureFixture[str]) -> None:
    app = make_app("writes")
    made = app.test_client().post(TOOLS, json=tool(), headers=headers(make_key(app, "deploy-bot", "write")))
    assert made.json["created_by"] == "deploy-bot"
    history = app.test_client().get(f"{TOOLS}/grep/history").json
    assert [change["actor"] for change in history] == ["deploy-bot"]
    assert "created grep 1.0 by deploy-bot" in capsys.readouterr().err


def test_without_keys_everybody_is_anonymous(client: FlaskClient) -> None:
    assert client.post(TOOLS, json=tool(), headers=headers("tc_1")).json["created_by"] == "anonymous"


def test_wrong_keys_are_counted_logged_and_slowed_down(
    make_app: MakeApp, capsys: pytest.CaptureFixture[str]
) -> None:
    app = make_app("all")
    good = make_key(app, "good", "read")
    client = app.test_client()
    wrong = f"tc_00000000_{64 * '0'}"
    before = refused("unknown")
    refusals = [client.get(TOOLS, headers=headers(wrong)) for _ in range(15)]
    assert [one.status_code for one in refusals] == 10 * [401] + 5 * [429]
    assert 1 <= int(refusals[-1].headers["Retry-After"]) <= 120
    assert capsys.readouterr().err.count("127.0.0.1 presented a key that is none") == 10
    elsewhere = client.get(TOOLS, headers=headers(wrong), environ_base={"REMOTE_ADDR": "10.0.0.9"})
    assert elsewhere.status_code == 401
    assert client.get(TOOLS, headers=headers(good)).status_code == 200
    assert refused("unknown") - before == 11


def refused(reason: str) -> float:
    """How often this process refused a request for that reason."""
    collected = metrics.collect(metrics.current().registry)
    name = "tool_catalog_auth_refusals"
    return metrics.total(collected.get(name), f"{name}_total", reason=reason)


def test_a_revoked_key_is_named_in_the_log(make_app: MakeApp, capsys: pytest.CaptureFixture[str]) -> None:
    app = make_app("all")
    key = make_key(app, "old", "read")
    assert app.test_client().get(TOOLS, headers=headers(key)).status_code == 200
    revoke(app, "old")
    assert app.test_client().get(TOOLS, headers=headers(key)).json["detail"] == "The API key is revoked."
    assert "presented the key old, which was revoked" in capsys.readouterr().err


def test_keys_go_on_working_while_the_database_is_away(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app("all")
    key = make_key(app, "reader", "read")
    client = app.test_client()
    assert client.get(TOOLS, headers=headers(key)).status_code == 200
    before = client.get(TOOLS, headers=headers(key))
    context.of(app).database.outage.begin()
    during = client.get(TOOLS, headers=headers(key))
    assert (during.status_code, during.data) == (200, before.data)


def test_a_key_stands_nowhere(make_app: MakeApp, capsys: pytest.CaptureFixture[str]) -> None:
    app = make_app("all", LOG_REQUESTS="all", LOG_LEVEL="DEBUG")
    client = app.test_client()
    presented = [make_key(app, "one", "admin"), make_key(app, "two", "read"), f"tc_00000000_{64 * '1'}"]
    revoke(app, "two")
    answers = []
    for key in presented:
        answers += [
            client.open(re.sub(r"<[^>]+>", "1", rule), method=method, headers=headers(key), json=tool()).data
            for method, rule in routes(app)
        ]
    rows = dump(app)
    secret = re.compile("|".join(key.rpartition("_")[2] for key in presented))
    logged = capsys.readouterr().err
    assert " 401 in " in logged
    assert not secret.search(logged)
    assert not any(secret.search(answer.decode(errors="replace")) for answer in answers)
    assert "one" in rows
    assert not secret.search(rows)


def dump(app: Flask) -> str:
    """Every row of every table, as text."""
    with context.of(app).database.read() as connection:
        tables = connection.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).all()
        return "\n".join(
            str(row)
            for table in tables
            for row in connection.execute(text(f'SELECT t::text FROM "{table}" AS t'))
        )


def test_a_client_writes_only_so_often(make_app: MakeApp) -> None:
    client = make_app("off", MAX_WRITES_PER_MINUTE="3").test_client()
    statuses = [client.post(TOOLS, json=tool(f"tool-{number}")).status_code for number in range(5)]
    assert statuses == [201, 201, 201, 429, 429]
    refused = client.post(TOOLS, json=tool("another"))
    assert refused.json["detail"] == "More than 3 a minute are too many here."
    assert int(refused.headers["Retry-After"]) >= 1
    assert client.get(TOOLS).status_code == 200
    other = client.post(TOOLS, json=tool("other"), environ_base={"REMOTE_ADDR": "10.0.0.9"})
    assert other.status_code == 201


def test_a_forwarded_address_counts_only_from_a_trusted_proxy(
    make_app: MakeApp, capsys: pytest.CaptureFixture[str]
) -> None:
    client = make_app("all", TRUSTED_PROXIES="10.1.0.0/16, ::1").test_client()
    claim = {**headers("tc_1"), "X-Forwarded-For": "1.2.3.4, 5.6.7.8"}
    for proxy in ("10.1.2.3", "192.168.0.1"):
        client.get(TOOLS, headers=claim, environ_base={"REMOTE_ADDR": proxy})
    assert re.findall(r"(\S+) presented", capsys.readouterr().err) == ["5.6.7.8", "192.168.0.1"]


def test_other_sites_read_nothing_unless_they_may(make_app: MakeApp) -> None:
    asked = {"Origin": "https://ops.example.com"}
    assert (
        "Access-Control-Allow-Origin" not in make_app("off").test_client().get(TOOLS, headers=asked).headers
    )
    client = make_app("all", CORS_ORIGINS="https://ops.example.com").test_client()
    allowed = client.get("/health", headers=asked).headers
    assert allowed["Access-Control-Allow-Origin"] == "https://ops.example.com"
    assert "X-Total-Count" in allowed["Access-Control-Expose-Headers"]
    stranger = client.get("/health", headers={"Origin": "https://evil.example.com"}).headers
    assert "Access-Control-Allow-Origin" not in stranger
    preflight = {
        **asked,
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "authorization",
    }
    answer = client.options(f"{TOOLS}/grep", headers=preflight)
    assert answer.status_code == 200
    assert "PUT" in answer.headers["Access-Control-Allow-Methods"]


def test_browsers_are_told_what_answers_are_not(client: FlaskClient) -> None:
    for path in (TOOLS, "/health", "/api/v1/nothing", "/metrics"):
        found = client.get(path).headers
        assert found["X-Content-Type-Options"] == "nosniff"
        assert found["Referrer-Policy"] == "no-referrer"
        assert found["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    docs = client.get("/api/v1/docs/").headers
    assert "script-src 'self'" in docs["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("address", "auth", "is_refused"),
    [
        ("127.0.0.1", "off", False), ("::1", "off", False), ("localhost", "off", False),
        ("127.8.0.1", "off", False), ("0.0.0.0", "off", True), ("::", "off", True),  # noqa: S104 - nothing listens
        ("10.0.0.5", "off", True), ("ops.example.com", "off", True), ("0.0.0.0", "writes", False),  # noqa: S104 - nothing listens
        ("0.0.0.0", "all", False),  # noqa: S104 - nothing listens
    ],
)  # fmt: skip
def test_without_keys_only_this_machine_is_served(address: str, auth: str, is_refused: bool) -> None:
    loaded = settings.load({"HOST": address, "AUTH": auth})
    if not is_refused:
        loaded.check_exposure([loaded.host])
        return
    with pytest.raises(settings.InvalidSetting) as caught:
        loaded.check_exposure([loaded.host])
    assert str(caught.value) == (
        f"AUTH='off' is not allowed: other machines can reach {address}: set AUTH=writes or AUTH=all, and "
        "make keys with `toolcatalog keys add`"
    )


def test_a_name_is_given_to_one_of_two_who_ask_for_it_at_the_same_time(app: Flask) -> None:
    database = context.of(app).database

    def ask() -> None:
        with database.write() as session:
            keys.make(session, "ci", "read")

    def is_waiting() -> bool:
        with database.read() as connection:
            return bool(connection.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))

    with ThreadPoolExecutor(1) as pool:
        with database.write() as session:
            keys.make(session, "ci", "read")
            second = pool.submit(ask)
            eventually(is_waiting)
            keys.revoke(session, "ci")
        with pytest.raises(AlreadyExists, match="there was a key ci"):
            second.result()
