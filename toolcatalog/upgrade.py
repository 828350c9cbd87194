"""The database's schema: whether it is the one that this code was written for, and making it so."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from toolcatalog.errors import CatalogError
from toolcatalog.settings import PROJECT_ROOT

_INI = PROJECT_ROOT / "alembic.ini"


class OutOfDate(CatalogError):
    """The database has another schema than this code needs; one sentence says what to run."""

    code = "out_of_date"


def to_head(url: str) -> None:
    """Run the migrations that the database has not seen; waits for another host that does so."""
    config = _config(_INI)
    config.attributes["url"] = url
    command.upgrade(config, "head")


def check(url: str) -> None:
    """Make sure that the database has the schema that this code needs.

    Raises:
        OutOfDate: when it has an older one, or none.
    """
    head = ScriptDirectory.from_config(_config(_INI)).get_current_head()
    engine = create_engine(url)
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    engine.dispose()
    if current != head:
        raise OutOfDate(
            f"The database is at migration {current or 'none'}, this code needs {head}. "
            "Run: toolcatalog db upgrade"
        )


def _config(ini: Path) -> Config:
    return Config(str(ini))
