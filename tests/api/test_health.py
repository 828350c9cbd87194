"""What the probes say of a worker that is well, that does not follow, or whose database is away."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.api.test_tools import TOOLS, made
from tests.cluster import eventually
from toolcatalog.api import context, health, measuring
from toolcatalog.api.context import Context
from toolcatalog.cache.coherence import Coherence
from toolcatalog.prober import Probe, Prober


def probed(client: FlaskClient) -> tuple[str, int, int, int]:
    """The status that /health gives, and the codes of /health, /health/ready and /health/live."""
    said = client.get("/health")
    codes = [client.get(f"/health/{probe}").status_code for probe in ("ready", "live")]
    return said.json["status"], said.status_code, codes[0], codes[1]


def test_a_worker_that_is_well_is_ready(client: FlaskClient) -> None:
    made(client)
    assert probed(client) == ("healthy", 200, 200, 200)
    assert client.get("/health").json["tools"] == 1


def test_a_worker_that_does_not_follow_is_not_ready(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "lag_seconds", lambda _: health._MAX_LAG_SECONDS + 1)
    assert probed(client) == ("degraded", 200, 503, 200)


def test_a_worker_that_cannot_follow_says_for_how_long_while_the_database_is_there(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = context.of(app)
    parts.prober.look()
    assert measuring.lag_seconds(parts) == 0.0
    monkeypatch.setattr(Coherence, "keep_up", lambda _: False)
    parts.listener.start()
    try:
        eventually(lambda: parts.prober.look() and measuring.lag_seconds(parts) > 0)
        parts.database.outage.begin()
        assert measuring.lag_seconds(parts) == 0.0
        monkeypatch.undo()
        eventually(lambda: not parts.database.outage.is_on and parts.listener.lag_seconds() == 0.0)
    finally:
        parts.listener.stop()


@pytest.mark.parametrize(
    ("is_warm", "expected"), [(True, ("degraded", 200, 200)), (False, ("unhealthy", 503, 503))]
)
def test_without_the_database_what_counts_is_whether_anything_is_cached(
    client: FlaskClient, app: Flask, monkeypatch: pytest.MonkeyPatch, *, is_warm: bool,
    expected: tuple[str, int, int],
) -> None:  # fmt: skip
    parts: Context = context.of(app)
    parts.cache.drop_all()
    if is_warm:
        made(client)
        client.get(TOOLS)
    monkeypatch.setattr(Prober, "look", lambda prober: Probe(prober.last.ended_at, None))
    assert probed(client) == (*expected, 200)
    assert client.get("/health").json["database"]["status"] == "down"
