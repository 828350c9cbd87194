"""How migrations run: one at a time over all hosts, and never long in front of a lock.

A migration that waits for a table's lock makes every later query on that table wait behind it. So it
gives up early (`lock_timeout`) and is run again, rather than stop the service.
"""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, create_engine, text

from toolcatalog import embedded, settings
from toolcatalog.models import Base

LOCK_TIMEOUT = "5s"
STATEMENT_TIMEOUT = "10min"
# Any number, the same for all who migrate this catalog.
ADVISORY_LOCK = 3005_0001


def migrate(connection: Connection) -> None:
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.execute(text(f"SET statement_timeout = '{STATEMENT_TIMEOUT}'"))
    connection.commit()
    context.configure(connection=connection, target_metadata=Base.metadata, compare_server_default=True)
    with context.begin_transaction():
        # Another host that migrates is waited for, as long as a statement may take.
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
        context.run_migrations()


def migrate_url(url: str) -> None:
    engine = create_engine(url)
    with engine.connect() as connection:
        migrate(connection)
    engine.dispose()


if context.is_offline_mode():
    context.configure(dialect_name="postgresql", target_metadata=Base.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
elif given := context.config.attributes.get("url"):
    migrate_url(given)
else:
    with embedded.database_url(settings.load().database_url) as url:
        migrate_url(url)
