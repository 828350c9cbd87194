"""The catalog's own errors. They know tools and databases; they know no HTTP.

The edges (`api`, `cli`) turn them into status codes and exit codes, each in one place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Path = tuple[str | int, ...]


def dotted(path: Path) -> str:
    """Write a path as users read it: `required_inputs.0.name`."""
    return ".".join(str(step) for step in path)


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, or doubtful, at one place of a document.

    `path` leads there in the document as it was written; empty means the document as a whole. `file` and
    `line` are set where the document came from a text with lines.
    """

    path: Path
    message: str
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        return ": ".join(part for part in (place, dotted(self.path), self.message) if part)


class CatalogError(Exception):
    """The base of all errors that a user can act on; `str()` is one sentence for that user."""

    code = "error"

    def __init__(self, message: str, findings: Sequence[Finding] = ()) -> None:
        super().__init__(message)
        self.findings = tuple(findings)


class InvalidDocument(CatalogError):
    """What was given is not well-formed YAML or JSON, or is beyond a bound of the reader."""

    code = "malformed"


class InvalidDefinition(CatalogError):
    """A tool definition breaks the rules of the format; `findings` says where."""

    code = "invalid"


class InvalidQuery(CatalogError):
    """A question cannot be answered as asked; `findings` names the parameter."""

    code = "invalid"


class NotFound(CatalogError):
    """There is no such tool, version or capability."""

    code = "not_found"


class AlreadyExists(CatalogError):
    """A tool with that name and version is there, live or retired."""

    code = "already_exists"


class ConcurrentChange(CatalogError):
    """Somebody else is changing the same tool at this moment; trying again is safe."""

    code = "concurrent_change"


class PreconditionFailed(CatalogError):
    """The tool has changed since the caller last read it."""

    code = "precondition_failed"


class ImportRejected(CatalogError):
    """Nothing of an all-or-nothing import was written; paths in `findings` begin with the index."""

    code = "import_rejected"


class FolderHangs(CatalogError):
    """The folder of definitions does not answer, as a network file system whose server is gone."""

    code = "folder_hangs"


class DatabaseUnavailable(CatalogError):
    """PostgreSQL cannot be reached, or gave no answer in time."""

    code = "database_unavailable"


class DatabaseBusy(DatabaseUnavailable):
    """PostgreSQL is there, and as many requests as may wait for it do already; this one was not let in."""

    code = "database_busy"


class SchemaOutOfDate(DatabaseUnavailable):
    """PostgreSQL answers, but has another schema than this code needs."""

    code = "out_of_date"


class NoRights(DatabaseUnavailable):
    """PostgreSQL answers, but the service's role may not do what it has to."""

    code = "no_rights"
