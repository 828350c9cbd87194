"""Reading and changing one tool at a time. Functions flush; whoever opened the journal commits."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import (
    ColumnExpressionArgument,
    Connection,
    Select,
    TextClause,
    bindparam,
    delete,
    select,
    text,
    update,
)
from sqlalchemy.orm import Session, joinedload

from toolcatalog.core import definition as definitions
from toolcatalog.core import versions
from toolcatalog.core.definition import FIELD_NAMES, Definition, Document
from toolcatalog.core.merge import is_same
from toolcatalog.errors import AlreadyExists, Finding, InvalidDefinition, NotFound
from toolcatalog.models import Capability, CatalogState, SourceFile, Tool, ToolVersion
from toolcatalog.services import rows
from toolcatalog.services.changes import FILE, Journal
from toolcatalog.services.rows import Version

# Raises when the version that is about to be changed is not the one that the caller means.
Precondition = Callable[[ToolVersion], None]
_MAX_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Reference:
    """A tool as a caller names it: by id or by name. Exactly one of the two is set."""

    id: int | None = None
    name: str | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read digits as an id (no name is digits alone), anything else as a name."""
        return cls(id=int(text)) if re.fullmatch(r"[0-9]{1,19}", text) else cls(name=text)

    def __str__(self) -> str:
        return f"tool {self.id}" if self.name is None else f'tool "{self.name}"'

    def values(self) -> dict[str, int | str]:
        """Return what is set; in place of an id beyond what PostgreSQL can hold, one that no tool has."""
        if self.name is not None:
            return {"name": self.name}
        assert self.id is not None  # noqa: S101 - one of the two is set
        return {"id": self.id if self.id <= _MAX_ID else -1}


class Identity(NamedTuple):
    """What stays the same over a tool's versions."""

    id: int
    name: str


def get(connection: Connection, reference: Reference, version: str | None = None) -> Version:
    """Return a live version of a tool, whole; `version` None means the latest.

    Raises:
        NotFound: saying whether the tool is unknown, retired, or has no such version.
    """
    row, _ = read(connection, reference, version)
    return row


def read(connection: Connection, reference: Reference, version: str | None) -> tuple[Version, int]:
    """Return a live version of a tool as `get` does, and the revision of the catalog, by one query.

    Raises:
        NotFound: saying whether the tool is unknown, retired, or has no such version.
    """
    given = reference.values() | ({} if version is None else {"version": version})
    row = connection.execute(_one(frozenset(given)), given).one_or_none()
    if row is None:
        raise _missing(connection, reference, version)
    return row, row.catalog_revision


@cache
def _one(given: frozenset[str]) -> Select[Any]:
    """Select a live version, and the catalog's revision, by the values of these names.

    Kept: to put it together takes SQLAlchemy as long as PostgreSQL needs to answer it.
    """
    revision = select(CatalogState.revision).scalar_subquery().label("catalog_revision")
    query = select(*rows.WHOLE, revision).select_from(ToolVersion).join(ToolVersion.change)
    live = query.where(*_is_meant(given), ToolVersion.retired_at.is_(None))
    return live.execution_options(prepared=True)


def _is_meant(given: Collection[str]) -> list[ColumnExpressionArgument[bool]]:
    """Say which version is meant by the values of these names; without a `version`, the latest."""
    columns = {"id": ToolVersion.tool_id, "name": ToolVersion.tool_name, "version": ToolVersion.version}
    latest = () if "version" in given else (ToolVersion.is_latest,)
    return [*(columns[name] == bindparam(name) for name in sorted(given)), *latest]


def _missing(connection: Connection, reference: Reference, version: str | None) -> NotFound:
    """Say why there is no live version: the tool is unknown, has no such version, or that is retired."""
    tool = _find(connection, reference)
    if tool is None:
        return NotFound(f"There is no {reference}.")
    given = {"id": tool.id} | ({} if version is None else {"version": version})
    retired = connection.execute(select(ToolVersion).where(*_is_meant(given)), given).one_or_none()
    if retired is None:
        return NotFound(f'The {reference} has no version "{version}".')
    return _retired(retired)


def _retired(row: Version) -> NotFound:
    return NotFound(
        f'Version "{row.version}" of the tool "{row.tool_name}" was retired on '
        f"{rows.timestamp(row.retired_at) if row.retired_at else ''}; a restore brings it back."
    )


def get_identity(connection: Connection, reference: Reference) -> Identity:
    """Return a tool's identity, which is there also when all its versions are retired.

    Raises:
        NotFound: when no such tool ever was.
    """
    tool = _find(connection, reference)
    if tool is None:
        raise NotFound(f"There is no {reference}.")
    return tool


def _find(connection: Connection, reference: Reference) -> Identity | None:
    values = reference.values()
    found = connection.execute(_identity(*values), values).one_or_none()
    return None if found is None else Identity(*found)


@cache
def _identity(parameter: str) -> Select[int, str]:
    wanted = _COLUMNS[parameter] == bindparam(parameter)
    return select(Tool.id, Tool.tool_name).where(wanted).execution_options(prepared=True)


_COLUMNS = {"id": Tool.id, "name": Tool.tool_name}


def _find_locked(session: Session, reference: Reference) -> Identity | None:
    """Lock a tool until the transaction ends, and return its identity; None if there is no such tool.

    Raises:
        ConcurrentChange: when another transaction holds it for longer than a change takes.
    """
    values = reference.values()
    found = session.execute(_locked(*values), values).one()
    return None if found.id is None else Identity(found.id, found.tool_name)


# Of a single change, which takes some milliseconds, also several in a row are over by then. Who waits has a
# thread and a connection meanwhile.
_LOCK_WAIT_MS = 1_000


@cache
def _locked(parameter: str) -> TextClause:
    """Lock a tool, with a limit of its own to the wait, in one statement instead of three.

    The row is locked by what is above the join, so the limit is set before. Afterwards there is none: the
    catalog's row, which all writers lock, is worth waiting for.
    """
    return text(
        f"""
        WITH waiting AS MATERIALIZED (
            SELECT set_config('lock_timeout', '{_LOCK_WAIT_MS}', true)
        ), locked AS MATERIALIZED (
            SELECT tools.id, tools.tool_name FROM waiting, tools
            WHERE tools.{_COLUMNS[parameter].name} = :{parameter} FOR UPDATE OF tools
        )
        SELECT locked.id, locked.tool_name, set_config('lock_timeout', '0', true)
        FROM (VALUES (1)) AS always LEFT JOIN locked ON true
        """  # noqa: S608 - put together from names of columns  # nosec B608
    ).execution_options(prepared=True)


def list_versions(connection: Connection, reference: Reference) -> list[Version]:
    """Return the live versions of a tool, the newest first, whole.

    Raises:
        NotFound: when there is no such tool, or it is retired.
    """
    tool = get_identity(connection, reference)
    query = select(*rows.WHOLE).select_from(ToolVersion).join(ToolVersion.change)
    live = query.where(ToolVersion.tool_id == tool.id, ToolVersion.retired_at.is_(None))
    found = connection.execute(live).all()
    if not found:
        raise NotFound(f"The {reference} is retired; a restore brings it back.")
    return sorted(found, key=lambda row: versions.sort_key(row.version), reverse=True)


def lock(session: Session, reference: Reference) -> list[ToolVersion]:
    """Lock a tool for a change and return all its versions, live and retired, whole.

    Raises:
        NotFound: when there is no such tool.
        ConcurrentChange: when another transaction holds it for long.
    """
    tool = _find_locked(session, reference)
    if tool is None:
        raise NotFound(f"There is no {reference}.")
    return list(session.scalars(_OF_TOOL, {"tool_id": tool.id}))


def to_change() -> Select[ToolVersion]:
    """Select versions, live and retired, with their definitions."""
    return select(ToolVersion).options(joinedload(ToolVersion.change, innerjoin=True))


_OF_TOOL = to_change().where(ToolVersion.tool_id == bindparam("tool_id")).execution_options(prepared=True)


def create(journal: Journal, definition: Definition) -> ToolVersion:
    """Add a tool, or a version of one that is there; the newest version becomes the latest.

    Raises:
        AlreadyExists: when the tool has that version, live or retired, or has it live in another spelling.
        ConcurrentChange: when somebody else adds the same tool at this moment, or changes it for long.
    """
    session = journal.session
    reference = Reference(name=definition.tool_name)
    tool = _find_locked(session, reference)
    if tool is None:
        added = Tool(tool_name=definition.tool_name)
        session.add(added)
        session.flush()
        return add_version(journal, Identity(added.id, added.tool_name), [], definition)
    known = list(session.scalars(select(ToolVersion).where(ToolVersion.tool_id == tool.id)))
    _check_is_new(known, definition.version)
    return add_version(journal, tool, known, definition)


AnyVersion = TypeVar("AnyVersion", bound=Version)


def find_in_the_way(known: Collection[AnyVersion], version: str) -> AnyVersion | None:
    """Find which of a tool's versions keeps it from being given another: that one, or its release, if live.

    One that is spelled alike comes before one that is not.
    """
    live = (row for row in known if row.retired_at is None)
    same_release = (row for row in live if versions.is_same_release(row.version, version))
    return next((row for row in known if row.version == version), None) or next(same_release, None)


def _check_is_new(known: list[ToolVersion], version: str) -> None:
    row = find_in_the_way(known, version)
    if row is not None:
        raise AlreadyExists(in_the_way(row, version))


def in_the_way(row: Version, version: str) -> str:
    """Say why a tool cannot be given a version, and what to do; `row` is the one that is in the way."""
    what = f'The tool "{row.tool_name}" has a version "{row.version}"'
    if row.version != version:
        return (
            f'{what}, and "{version}" is the same release, spelled otherwise: '
            f'write it as "{row.version}", or choose a version that is newer.'
        )
    if row.retired_at is not None:
        return f"{what}, which is retired: restore it, or choose another version."
    return f"{what}: change that one, or choose another version."


def add_version(
    journal: Journal, tool: Identity, known: list[ToolVersion], definition: Definition
) -> ToolVersion:
    """Add a version to a locked tool; `known` are all its versions. It becomes the latest if it is newer."""
    row = ToolVersion(
        tool_id=tool.id,
        tool_name=tool.name,
        version=definition.version,
        version_key=versions.key(definition.version),
        source_kind="api",
        is_latest=False,
        created_by=journal.actor.name,
    )
    document = definitions.to_document(definition)
    rows.write(row, definition, document)
    if _becomes_latest(row, known):
        _make_latest(journal.session, row, known)
    journal.session.add(row)
    journal.record(row, "created", None, document)
    journal.record_capabilities(row, definition)
    return row


def _becomes_latest(row: ToolVersion, known: list[ToolVersion]) -> bool:
    latest = next((other for other in known if other.is_latest), None)
    return latest is None or latest.retired_at is not None or versions.is_newer(row.version, latest.version)


def _make_latest(session: Session, row: ToolVersion, known: list[ToolVersion]) -> None:
    for other in known:
        if other.is_latest and other is not row:
            other.is_latest = False
            session.flush()  # before the other becomes the latest: there is one at any time
    row.is_latest = True


def replace(
    journal: Journal,
    reference: Reference,
    version: str | None,
    change: Callable[[Document], Document],
    precondition: Precondition | None = None,
    *,
    stored: bool = False,
) -> ToolVersion:
    """Change a live version of a tool; a changed `version` field makes a new version and keeps the old.

    `change` is given the version's document and returns what it is to become. A change that changes
    nothing is no change. `stored` says that the rest may stay as it was allowed when it was written.

    Raises:
        NotFound: when there is no such live version.
        InvalidDefinition: when the result is not a definition, or has another name.
        AlreadyExists: when the new version is there already, maybe in another spelling.
    """
    known = lock(journal.session, reference)
    row = _live(known, reference, version)
    if precondition is not None:
        precondition(row)
    before = row.definition
    definition = definitions.from_document(change(before), stored=stored)
    if definition.tool_name != row.tool_name:
        raise InvalidDefinition("A tool keeps its name.", [_rename_finding(row)])
    if definition.version != row.version:
        return _derive(journal, known, row, definition)
    with_set_enabled(row, definition, from_file=False)
    overwrite(journal, row, before, definition)
    return row


def with_set_enabled(row: ToolVersion, definition: Definition, *, from_file: bool) -> Definition:
    """Return what a version of a file's tool is to become: `enabled` stays as somebody set it over HTTP.

    Once the file says the same, it is the file again that decides.
    """
    if row.source_kind != "file":
        return definition
    if not from_file:
        row.enabled_is_set = row.enabled_is_set or definition.enabled != row.enabled
        return definition
    row.enabled_is_set = row.enabled_is_set and definition.enabled != row.enabled
    return dataclasses.replace(definition, enabled=row.enabled) if row.enabled_is_set else definition


def stays_retired(row: ToolVersion | None, known: list[ToolVersion]) -> bool:
    """Tell whether files leave alone what they say of a version: `row`, or one that a tool does not have yet.

    What somebody retired stays so until it is restored; what only its file left out is not meant to stay.
    """
    if row is None and any(other.retired_at is None for other in known):
        return False
    retired = row or next((other for other in known if other.is_latest), None)
    return retired is not None and retired.retired_at is not None and retired.change.actor != FILE


def find_conflicts(connection: Connection, row: Version, definition: Definition) -> list[Finding]:
    """Find why a version that is a definition by itself cannot be changed to it."""
    if definition.tool_name != row.tool_name:
        return [_rename_finding(row)]
    if definition.version == row.version:
        return []
    known = connection.execute(select(*_NAMED).where(ToolVersion.tool_id == row.tool_id)).all()
    other = find_in_the_way(known, definition.version)
    return [] if other is None else [Finding(("version",), in_the_way(other, definition.version))]


_NAMED: tuple[Any, ...] = (ToolVersion.tool_name, ToolVersion.version, ToolVersion.retired_at)


def _rename_finding(row: Version) -> Finding:
    """Say that a change cannot give a tool another name."""
    return Finding(
        ("tool_name",), f'is "{row.tool_name}" and stays so: create another tool, and retire this one'
    )


def _derive(
    journal: Journal, known: list[ToolVersion], row: ToolVersion, definition: Definition
) -> ToolVersion:
    _check_is_new(known, definition.version)
    return add_version(journal, Identity(row.tool_id, row.tool_name), known, definition)


def overwrite(journal: Journal, row: ToolVersion, before: Document, definition: Definition) -> bool:
    """Make a locked version say something else; returns whether that changed anything."""
    after = definitions.to_document(definition)
    changed = {name for name in FIELD_NAMES if not is_same(before.get(name), after.get(name))}
    if not changed:
        return False
    if "capabilities" in changed:
        journal.session.execute(delete(Capability).where(Capability.tool_version_id == row.id))
        journal.record_capabilities(row, definition)
    rows.write(row, definition, after, changed)
    journal.record(row, _action(changed, definition), before, after)
    return True


def _action(changed: set[str], definition: Definition) -> str:
    if changed != {"enabled"}:
        return "updated"
    return "enabled" if definition.enabled else "disabled"


def _live(known: list[ToolVersion], reference: Reference, version: str | None) -> ToolVersion:
    """Choose the version meant, the latest one for None, of a tool's versions."""
    wanted = [row for row in known if (row.is_latest if version is None else row.version == version)]
    if not wanted:
        raise NotFound(f'The {reference} has no version "{version}".')
    if wanted[0].retired_at is not None:
        raise _retired(wanted[0])
    return wanted[0]


def roll_back(
    journal: Journal, reference: Reference, version: str, precondition: Precondition | None = None
) -> ToolVersion:
    """Make a live version the latest again, whatever is newer. It stays so until a newer one is added.

    Raises:
        NotFound: when there is no such live version.
    """
    known = lock(journal.session, reference)
    row = _live(known, reference, version)
    latest = _live(known, reference, None)
    if precondition is not None:
        precondition(latest)
    if latest is not row:
        _make_latest(journal.session, row, known)
        journal.record(row, "rolled_back", latest.definition, row.definition)
    return row


def retire(
    journal: Journal, reference: Reference, version: str | None, precondition: Precondition | None = None
) -> None:
    """Take a version of a tool, or for None all of them, out of the catalog; nothing is lost.

    When the latest version goes, the newest that is left becomes the latest.

    Raises:
        NotFound: when there is no such live version.
    """
    known = lock(journal.session, reference)
    row = _live(known, reference, version)
    if precondition is not None:
        precondition(row)
    live = [each for each in known if each.retired_at is None]
    going = live if version is None else [row]
    for each in going:
        journal.record(each, "retired", each.definition, None)
    left = [each for each in live if each not in going]
    if row.is_latest and left:
        _make_latest(journal.session, _newest(left), known)


def _newest(candidates: list[ToolVersion]) -> ToolVersion:
    return max(candidates, key=lambda row: versions.sort_key(row.version))


def restore(journal: Journal, reference: Reference, version: str | None) -> ToolVersion:
    """Bring back a retired version, or for None the versions that were retired last, together.

    What is live already is left as it is, so that asking twice does no harm.

    Raises:
        NotFound: when there is no such version.
        AlreadyExists: when another version, which is the same release, has taken its place.
    """
    known = lock(journal.session, reference)
    coming = _to_restore(known, reference, version)
    others = [row for row in known if row not in coming]
    for row in coming:
        revive(journal, row, others)
    newest = _newest(coming) if coming else None
    if newest is not None and not any(row.is_latest for row in coming) and _becomes_latest(newest, others):
        _make_latest(journal.session, newest, known)
    journal.session.flush()
    return _live(known, reference, version)


def revive(journal: Journal, row: ToolVersion, others: Iterable[ToolVersion]) -> None:
    """Make a retired version of a locked tool live again, as it was. Which is the latest is not said here.

    What its file says now, which was not taken in meanwhile, is taken in at the next look at the folder.

    Raises:
        AlreadyExists: when one of the others is live and the same release, spelled otherwise.
    """
    rival = find_in_the_way([other for other in others if other.retired_at is None], row.version)
    if rival is not None:
        raise AlreadyExists(
            f'Version "{row.version}" of the tool "{row.tool_name}" is the same release as '
            f'"{rival.version}", which has taken its place: retire that one first.'
        )
    row.retired_at = None
    journal.record(row, "restored", None, row.definition)
    if row.source_kind == "file" and journal.actor.name != FILE:
        journal.session.execute(
            update(SourceFile).where(SourceFile.path == row.source_path).values(sha256=_UNREAD)
        )


# Stands for the hash of a file that is to be read again.
_UNREAD = ""


def bring_back(journal: Journal, row: ToolVersion, known: list[ToolVersion]) -> None:
    """Make a retired version of a locked tool live again as `revive` does, and the latest if it is newer."""
    others = [other for other in known if other is not row]
    revive(journal, row, others)
    if not row.is_latest and _becomes_latest(row, others):
        _make_latest(journal.session, row, known)


def _to_restore(known: list[ToolVersion], reference: Reference, version: str | None) -> list[ToolVersion]:
    if version is not None:
        wanted = [row for row in known if row.version == version]
        if not wanted:
            raise NotFound(f'The {reference} has no version "{version}".')
        return [row for row in wanted if row.retired_at is not None]
    latest = next(row for row in known if row.is_latest)
    if latest.retired_at is None:
        return []
    return [row for row in known if row.retired_at == latest.retired_at]
