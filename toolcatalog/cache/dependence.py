"""What an answer depends on, and so which changes make it untrue.

Saying that a change may matter when it does not costs a query; the other way round costs the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from toolcatalog.core.filters import Filters


@dataclass(frozen=True, slots=True)
class SeenChange:
    """A change of a tool, as far as answers may depend on it. The definition before and after, or None."""

    revision: int
    tool_id: int
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class Dependence(Protocol):
    """What an answer was made from."""

    def is_touched_by(self, change: SeenChange) -> bool:
        """Tell whether the answer may be another after a change."""


@dataclass(frozen=True, slots=True)
class OnTool:
    """One tool, in all its versions."""

    tool_id: int

    def is_touched_by(self, change: SeenChange) -> bool:
        """Tell whether it is this tool that changed."""
        return change.tool_id == self.tool_id


@dataclass(frozen=True, slots=True)
class OnList:
    """All tools that pass filters."""

    filters: Filters

    def is_touched_by(self, change: SeenChange) -> bool:
        """Tell whether the tool passes the filters, or did.

        A version that comes or goes can also make another one the latest, of which the change says nothing.
        """
        if change.before is None or change.after is None:
            return True
        return self.filters.may_pass(change.before) or self.filters.may_pass(change.after)


@dataclass(frozen=True, slots=True)
class OnEverything:
    """All tools, in a way that nothing here could tell."""

    def is_touched_by(self, _change: SeenChange) -> bool:
        """Tell that it may be."""
        return True
