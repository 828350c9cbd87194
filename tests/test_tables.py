"""A definition stands in the database twice, in columns and in its last change. Both say the same."""

from __future__ import annotations

import dataclasses
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload, undefer

from tests.api.test_tools import TOOLS, made
from tests.conftest import tool
from toolcatalog.api import context
from toolcatalog.core import definition
from toolcatalog.core.definition import FIELD_NAMES, Document
from toolcatalog.models import Capability, Pattern, ToolVersion

PATTERN_FIELDS = [field.name for field in dataclasses.fields(definition.Pattern)]


def said_by_columns(session: Session, row: ToolVersion) -> Document:
    """The definition as somebody reads it who asks in SQL; without what is unset or empty."""
    of_row = select(Capability).where(Capability.tool_version_id == row.id).order_by(Capability.position)
    of_capability = select(Pattern).order_by(Pattern.position)
    capabilities = {
        capability.capability_name: filled(
            description=capability.description,
            patterns={
                pattern.pattern_name: filled(**{name: getattr(pattern, name) for name in PATTERN_FIELDS})
                for pattern in session.scalars(of_capability.where(Pattern.capability_id == capability.id))
            },
        )
        for capability in session.scalars(of_row)
    }
    columns = {name: getattr(row, name) for name in FIELD_NAMES if name not in ("capabilities", "metadata")}
    return filled(**columns, metadata=row.free_metadata, capabilities=capabilities)


def filled(**values: Any) -> Document:
    return {name: value for name, value in values.items() if value is not None and value not in ({}, [])}


# Of each field another value than `tool` has.
OTHERS: Document = {
    "description": "other",
    "platform": None,
    "category": "network",
    "status": "testing",
    "enabled": False,
    "defaults": {"freshness": "live"},
    "capabilities": {},
    "dependencies": [],
    "metadata": {"tags": ["other", 2]},
    "examples": ["other"],
}


def test_columns_and_the_last_change_say_the_same_whatever_was_done(client: FlaskClient, app: Flask) -> None:
    made(client, tool_name="changed")
    client.put(
        f"{TOOLS}/changed", json={"capabilities": {}, "metadata": {}, "category": None, "defaults": {}}
    )
    made(client, tool_name="switched")
    client.patch(f"{TOOLS}/switched/disable")
    made(client, tool_name="rolled back")
    client.patch(f"{TOOLS}/rolled back", json={"version": "2.0", "metadata": {"tags": ["two", 2]}})
    client.post(f"{TOOLS}/rolled back/rollback", json={"version": "1.0"})
    made(client, tool_name="retired")
    client.patch(f"{TOOLS}/retired", json={"version": "2.0"})
    client.delete(f"{TOOLS}/retired?version=2.0")
    made(client, tool_name="restored")
    client.delete(f"{TOOLS}/restored")
    client.post(f"{TOOLS}/restored/restore")
    made(client, tool_name="imported")
    client.delete(f"{TOOLS}/imported")
    made(client, tool_name="changed field by field")
    for name, value in OTHERS.items():
        response = client.put(f"{TOOLS}/changed field by field", json={name: value})
        assert response.json.get(name) == value
    other = tool("imported", capabilities={"b": tool()["capabilities"]["text_search"]}, examples=[1.0, None])
    assert client.post(f"{TOOLS}/import?overwrite=true", json=[other]).status_code == 200
    with context.of(app).database.write() as session:
        query = select(ToolVersion).options(selectinload(ToolVersion.change), undefer("*"))
        found = {(row.tool_name, row.version): row for row in session.scalars(query)}
        assert len(found) == 9
        for row in found.values():
            assert filled(**row.change.definition) == said_by_columns(session, row), row.tool_name
    assert found["retired", "2.0"].retired_at is not None
