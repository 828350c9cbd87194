"""What a list of tools may be narrowed and ordered by."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# A leading minus is descending. Names are unique in a list, so every order ends in them.
SORTS = ("tool_name", "-tool_name", "updated_at", "-updated_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """All that is not None has to hold. Without `version`, only the latest versions are listed."""

    platform: str | None = None
    category: str | None = None
    status: str | None = None
    enabled: bool | None = None
    capability: str | None = None
    tag: str | None = None
    name: str | None = None
    version: str | None = None
    updated_since: dt.datetime | None = None

    def given(self) -> dict[str, Any]:
        """Return what has to hold, by name."""
        fields = ((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))
        return {name: value for name, value in fields if value is not None}

    def may_pass(self, document: Mapping[str, Any]) -> bool:
        """Tell whether a definition passes, as far as it says itself; `updated_since` counts as passed."""
        return (
            all(
                wanted is None or document.get(name) == wanted
                for name, wanted in (
                    ("platform", self.platform),
                    ("category", self.category),
                    ("status", self.status),
                    ("enabled", self.enabled),
                    ("tool_name", self.name),
                    ("version", self.version),
                )
            )
            and (self.capability is None or self.capability in document.get("capabilities", ()))
            and (self.tag is None or self.tag in (document.get("metadata", {}).get("tags") or ()))
        )
