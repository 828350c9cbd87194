"""What a list of tools may be narrowed and ordered by."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from toolcatalog.core.definition import tags

# A leading minus is descending. Names are unique in a list, so every order ends in them.
SORTS = ("tool_name", "-tool_name", "updated_at", "-updated_at")
# Of these several values may be given.
OF_SEVERAL_VALUES = ("platform", "category", "status", "tag", "capability")

Values = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """All that is not None has to hold, of several values any. Without `version`, the latest are listed."""

    platform: Values | None = None
    category: Values | None = None
    status: Values | None = None
    enabled: bool | None = None
    capability: Values | None = None
    tag: Values | None = None
    name: str | None = None
    version: str | None = None
    updated_since: dt.datetime | None = None

    def given(self) -> dict[str, Any]:
        """Return what has to hold, by name; several values are a list."""
        fields = ((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in fields
            if value is not None
        }

    def may_pass(self, document: Mapping[str, Any]) -> bool:
        """Tell whether a definition passes, as far as it says itself; `updated_since` counts as passed."""
        one_value: tuple[tuple[Collection[object] | None, object], ...] = (
            (self.platform, document.get("platform")),
            (self.category, document.get("category")),
            (self.status, document.get("status")),
            (None if self.enabled is None else (self.enabled,), document.get("enabled")),
            (None if self.name is None else (self.name,), document.get("tool_name")),
            (None if self.version is None else (self.version,), document.get("version")),
        )
        several_values: tuple[tuple[Values | None, Collection[str]], ...] = (
            (self.capability, document.get("capabilities", {}).keys()),
            (self.tag, tags(document.get("metadata", {}))),
        )
        return all(wanted is None or value in wanted for wanted, value in one_value) and all(
            wanted is None or not set(wanted).isdisjoint(values) for wanted, values in several_values
        )
