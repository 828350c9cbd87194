"""SQLAlchemy tables and their constraints. No queries, no rules: `services` has these."""

from toolcatalog.models.base import Base
from toolcatalog.models.changes import CatalogState, Change
from toolcatalog.models.keys import ApiKey
from toolcatalog.models.reloads import Reload, SourceFile
from toolcatalog.models.tools import Capability, Pattern, Tool, ToolVersion
from toolcatalog.models.words import SearchWord

__all__ = [
    "ApiKey",
    "Base",
    "Capability",
    "CatalogState",
    "Change",
    "Pattern",
    "Reload",
    "SearchWord",
    "SourceFile",
    "Tool",
    "ToolVersion",
]
