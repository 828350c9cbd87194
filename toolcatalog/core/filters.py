"""What a list of tools may be narrowed and ordered by."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

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
