"""What all tests stand on: a real PostgreSQL, an application over it, and definitions to put in."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from toolcatalog import embedded, settings, upgrade
from toolcatalog.api import context
from toolcatalog.api.context import Context
from toolcatalog.app import create_app, stop
from toolcatalog.cache.shared import State
from toolcatalog.db import Database
from toolcatalog.settings import PROJECT_ROOT

Document = dict[str, Any]

_TABLES = (
    "patterns, capabilities, tool_versions, changes, tools, search_words, reloads, source_files, api_keys"
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fail tests that share an id: in two processes only one of them would run, and nobody would see it."""
    count = Counter(item.nodeid for item in items)
    for item in items:
        if count[item.nodeid] > 1:
            item.runtest = partial(pytest.fail, "Another test has the same id.", pytrace=False)


@pytest.fixture(scope="session")
def server_url(worker_id: str) -> Iterator[str]:
    """A PostgreSQL that all test processes share, with one empty database for this one."""
    with embedded.server(PROJECT_ROOT / "var" / "tests" / "postgres", f"test_{worker_id}") as url:
        admin = make_url(url).set(database="postgres")
        engine = create_engine(admin, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            # The data is thrown away; what a test waits for is not the disk.
            for option in ("fsync", "synchronous_commit", "full_page_writes"):
                connection.execute(text(f"ALTER SYSTEM SET {option} = off"))
            connection.execute(text("SELECT pg_reload_conf()"))
            connection.execute(text(f"DROP DATABASE test_{worker_id} WITH (FORCE)"))
            connection.execute(text(f"CREATE DATABASE test_{worker_id}"))
        engine.dispose()
        yield url


@pytest.fixture(scope="session")
def database_url(server_url: str) -> str:
    """A database with the schema of the migrations."""
    upgrade.to_head(server_url)
    return server_url


@pytest.fixture(scope="session")
def session_app(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """One application for all tests of a process; `app` is the one with an empty catalog."""
    folder = tmp_path_factory.mktemp("tools")
    given = {"DATABASE_URL": database_url, "TOOLS_DIR": str(folder), "LOG_LEVEL": "ERROR"}
    app = create_app(
        settings.load({**given, "MAX_WRITES_PER_MINUTE": "0", "THREADS": "256"})
    )  # the tests are one client, of many threads
    yield app
    stop(app)


@pytest.fixture
def app(session_app: Flask) -> Flask:
    """An application over an empty catalog."""
    empty(context.of(session_app))
    return session_app


@pytest.fixture
def database(app: Flask) -> Database:
    """The database of an empty catalog."""
    return context.of(app).database


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client of an empty catalog."""
    return app.test_client()


def empty(parts: Context) -> None:
    """Take everything out of a catalog, and out of the cache of an application over it.

    Its listener, if another test began it, would go on reading what it sees of this one.
    """
    parts.listener.stop()
    with parts.database.write() as session:
        session.execute(text(f"TRUNCATE {_TABLES} RESTART IDENTITY"))
        session.execute(text("UPDATE catalog_state SET revision = 0, drops = 0, backed_up_at = NULL"))
    parts.coherence.tell_restored(State(0, 0))


_PATTERN: Document = {
    "description": "Search many files below a folder",
    "typical_use_cases": ["find where an error message comes from"],
    "time_estimate_ms": "50 + 0.02 * file_count",
    "cost_estimate": 1,
    "complexity_score": 0.3,
    "scope": "batch",
    "completeness": "complete",
    "limitations": ["skips binary files"],
    "policy": {"max_cost": 10, "requires_approval": False, "production_safe": True},
    "preference_match": {"speed": 0.9, "accuracy": 1},
    "required_inputs": [{"name": "pattern", "type": "string", "description": "what to look for"}],
    "optional_inputs": [{"name": "path", "type": "string", "default": "."}],
    "expected_outputs": [{"name": "lines", "type": "array", "description": "the lines that match"}],
    "examples": [{"description": "errors of a day", "input": {"pattern": "ERROR"}, "output": "..."}],
}
_TOOL: Document = {
    "tool_name": "grep",
    "version": "1.0",
    "description": "Print the lines of files that match a pattern",
    "platform": "linux",
    "category": "system",
    "status": "active",
    "enabled": True,
    "defaults": {"accuracy_level": "real-time"},
    "capabilities": {"text_search": {"description": "Find text", "patterns": {"search_files": _PATTERN}}},
    "dependencies": [{"name": "grep", "type": "package", "required": True}],
    "metadata": {"author": "somebody", "tags": ["text", "files"]},
    "examples": [{"command": "grep -r ERROR /var/log"}],
}


def tool(tool_name: str = "grep", **fields: Any) -> Document:
    """A definition with every field, of its own in each call."""
    return {**copy.deepcopy(_TOOL), "tool_name": tool_name, **fields}
