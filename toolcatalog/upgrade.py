"""The database's schema: whether it is the one that this code was written for, and making it so.

Migrations only add what the next release needs, and take away what no release needs any more. So a database
may be ahead of the code: while a new release comes, and after one was taken back.
"""

from __future__ import annotations

import logging

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from toolcatalog.errors import SchemaOutOfDate
from toolcatalog.settings import PROJECT_ROOT

_INI = PROJECT_ROOT / "alembic.ini"
_log = logging.getLogger(__name__)


def to_head(url: str) -> list[str]:
    """Run the migrations that the database has not seen; waits for another host that does so.

    Returns the number and the name of each that was run.
    """
    if _is_ahead(_current(url)):
        return []
    config = _config()
    config.attributes["url"] = url
    command.upgrade(config, "head")
    applied: list[str] = config.attributes.get("applied", [])
    return applied


def check(url: str) -> None:
    """Make sure that the database has the schema that this code needs, or a later one.

    Raises:
        SchemaOutOfDate: when it has an older one, or none.
    """
    current, head = _current(url), _scripts().get_current_head()
    if current != head and not _is_ahead(current):
        raise SchemaOutOfDate(
            f"The database is at migration {current or 'none'}, this code needs {head}. "
            "Run: toolcatalog db upgrade"
        )


def _current(url: str) -> str | None:
    engine = create_engine(url)
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    engine.dispose()
    return current


def _is_ahead(current: str | None) -> bool:
    """Tell whether the database has a migration that this code does not know."""
    if current is None or current in {script.revision for script in _scripts().walk_revisions()}:
        return False
    _log.info("The database is at migration %s, which is later than this code; it is left as it is.", current)
    return True


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    return Config(str(_INI))
