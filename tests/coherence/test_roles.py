"""The service by a role that may do no more than the deployment guide says that it has to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg2 import errors
from sqlalchemy.engine import make_url

from tests.cluster import Postgres
from tests.coherence.conftest import StartHost
from tests.conftest import tool
from toolcatalog import backup
from toolcatalog.db import plain_connection

pytestmark = [pytest.mark.slow, pytest.mark.unhurried]
TOOLS = "/api/v1/tools"
_ROLE = "least_privileged"
_GRANTS = (
    f"CREATE ROLE {_ROLE} LOGIN",
    f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {_ROLE}",
    f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {_ROLE}",
    f"REVOKE UPDATE, DELETE ON changes FROM {_ROLE}",
    f"GRANT UPDATE (revision) ON changes TO {_ROLE}",
)


@pytest.fixture
def restricted(postgres: Postgres) -> Iterator[Postgres]:
    """The same catalog, by a role that neither owns it nor can rewrite its audit trail."""
    owners_url = make_url(postgres.url)
    for statement in _GRANTS:
        postgres.query(statement, "for_one_test")
    postgres.url = owners_url.set(username=_ROLE).render_as_string(hide_password=False)
    yield postgres
    postgres.query(f"DROP OWNED BY {_ROLE}", "for_one_test")
    postgres.query(f"DROP ROLE {_ROLE}")


def test_the_service_and_its_backup_need_no_right_to_rewrite_the_audit_trail(
    restricted: Postgres, start_host: StartHost, tmp_path: Path
) -> None:
    host = start_host(WORKERS="1", MAX_WRITES_PER_MINUTE="0")
    client = host.client()
    calls = (
        ("POST", TOOLS, tool()), ("PATCH", f"{TOOLS}/grep", {"version": "2.0"}),
        ("POST", f"{TOOLS}/grep/rollback", {"version": "1.0"}), ("DELETE", f"{TOOLS}/grep", None),
        ("POST", f"{TOOLS}/grep/restore", None),
        ("POST", f"{TOOLS}/import", [tool(f"tool-{number}") for number in range(150)]),
        ("POST", f"{TOOLS}/reload", None),
    )  # fmt: skip
    assert [client.call(*call).status for call in calls] == [201, 200, 200, 204, 200, 200, 200]
    assert client.get(f"{TOOLS}/search?q=lines+of+files").status == 200
    assert backup.make(restricted.url, tmp_path / "catalog.dump", lambda _: None).tables
    for statement in ("UPDATE changes SET actor = 'nobody'", "DELETE FROM changes"):
        with (
            plain_connection(restricted.url, "test") as connection,
            connection.cursor() as cursor,
            pytest.raises(errors.InsufficientPrivilege),
        ):
            cursor.execute(statement)
