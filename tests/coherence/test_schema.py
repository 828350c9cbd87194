"""A database that answers, and is of no use: not migrated, or without rights for the service's role."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Host, Postgres, eventually, running_host
from tests.coherence.test_hot_reload import in_place
from toolcatalog import upgrade

SAID = "Hearing of changes needs the database, trying again every second, for 0 s now: "
SCHEMA = "The database's schema is not the one that this version needs. Run: toolcatalog db upgrade"
RIGHTS = (
    "The database does not let the service's role read or write the catalog's tables. Grant it SELECT, "
    "INSERT, UPDATE and DELETE on all of them."
)


@pytest.fixture
def bare(server: Postgres) -> Iterator[Postgres]:
    """A database without any table."""
    server.query("CREATE DATABASE bare")
    yield Postgres(server.handle, server.url.replace("/catalog?", "/bare?"))
    server.query("DROP DATABASE bare WITH (FORCE)")


@pytest.fixture
def unready(bare: Postgres, tools_dir: Path, tmp_path: Path) -> Iterator[Host]:
    """A host that was started before the database had its schema."""
    in_place(tools_dir, "in the folder")
    with running_host(bare.url, tools_dir, tmp_path / "host.txt", healthy=False, WORKERS="2") as host:
        yield host


def test_a_schema_that_is_not_there_is_said_and_served_as_soon_as_it_is(
    unready: Host, bare: Postgres
) -> None:
    client = unready.client()
    refused = client.get("/api/v1/tools")
    assert (refused.status, refused.json["code"], refused.json["detail"]) == (503, "out_of_date", SCHEMA)
    assert client.get("/health/ready").status == 503
    database = client.get("/health").json["database"]
    assert (database["status"], database["detail"]) == ("out_of_date", SCHEMA)
    eventually(lambda: unready.said().count(f"{SAID}{SCHEMA}") == 2)  # each worker, once
    assert "Lost the connection" not in unready.said()
    upgrade.to_head(bare.url)
    took = eventually(lambda: client.get("/api/v1/tools").headers.get("X-Total-Count") == "1")
    assert took < 10  # it was 40 to 53: only the minute's look through the folder found it
    assert client.get("/health").json["status"] == "healthy"
    assert unready.said().count(f"{SAID}{SCHEMA}") == 2


def test_a_role_without_rights_is_told_apart(postgres: Postgres, tools_dir: Path, tmp_path: Path) -> None:
    postgres.query("DROP ROLE IF EXISTS guest")
    postgres.query("CREATE ROLE guest LOGIN")
    url = postgres.url.replace("//postgres:@", "//guest:@")
    assert url != postgres.url
    with running_host(url, tools_dir, tmp_path / "host.txt", healthy=False, WORKERS="1") as host:
        refused = host.client().get("/api/v1/tools")
        assert (refused.status, refused.json["code"], refused.json["detail"]) == (503, "no_rights", RIGHTS)
        eventually(lambda: f"{SAID}{RIGHTS}" in host.said())
