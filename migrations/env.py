"""How migrations run: one at a time over all hosts, and never long in front of a lock.

A migration that waits for a table's lock makes every later query on that table wait behind it. So it
gives up early (`lock_timeout`) and is run again, rather than stop the service.

A downgrade takes away what the older schema has no place for. It is refused where that is data, unless
`-x discard=yes` says that it may go: what is lost is seen from the database itself, before and after, so that
a migration need not do anything for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo, RevisionStep
from alembic.util import CommandError
from sqlalchemy import Connection, create_engine, text

from toolcatalog import embedded, settings
from toolcatalog.models import Base

LOCK_TIMEOUT = "5s"
STATEMENT_TIMEOUT = "10min"
# Any number, the same for all who migrate this catalog.
ADVISORY_LOCK = 3005_0001

Steps = Callable[..., Iterable[RevisionStep]]


def migrate(connection: Connection) -> None:
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.execute(text(f"SET statement_timeout = '{STATEMENT_TIMEOUT}'"))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_server_default=True,
        on_version_apply=note_applied,
    )
    if context.get_x_argument(as_dictionary=True).get("discard") != "yes":
        # Alembic has no public way to stand between the steps and what runs them.
        running = context.get_context()
        if running._migrations_fn is not None:
            running._migrations_fn = refusing_losses(running._migrations_fn, connection)
    with context.begin_transaction():
        # Another host that migrates is waited for, as long as a statement may take.
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
        context.run_migrations()


def note_applied(ctx: Any, step: MigrationInfo, heads: Any, run_args: Any) -> None:  # noqa: ARG001
    """Note the name of a migration that has run, for who asked for it."""
    name = f"{step.up_revision_id} {getattr(step.up_revision, 'doc', '')}"
    context.config.attributes.setdefault("applied", []).append(name)


def refusing_losses(steps_of: Steps, connection: Connection) -> Steps:
    """Make the steps of a downgrade end in an error, and so be rolled back, when they lose data."""

    def steps(heads: tuple[str, ...], running: MigrationContext) -> Iterator[RevisionStep]:
        before = None
        for step in steps_of(heads, running):
            if step.is_downgrade and before is None:
                before = contents(connection)
            yield step  # and Alembic runs it
        lost = {} if before is None else losses(before, contents(connection))
        if lost:
            listed = ", ".join(f"{count} {what}" for what, count in lost.items())
            raise CommandError(
                f"This downgrade would throw away {listed}. Nothing was changed. Make a backup "
                "(toolcatalog backup FILE), then, if they may go, put `-x discard=yes` before `downgrade`."
            )

    return steps


Contents = dict[tuple[str, str], int]


def contents(connection: Connection) -> Contents:
    """Count the rows of each table, by `(table, "")`, and of each column the values that somebody gave it.

    These are neither NULL nor the default, nor generated from others.
    """
    found: Contents = {}
    for table, columns in connection.execute(_COLUMNS):
        counts = "".join(f", count(*) FILTER (WHERE {given})" for given in columns.values())
        row = connection.execute(text(f'SELECT count(*){counts} FROM "{table}"')).one()  # noqa: S608 - names  # nosec B608
        found |= {(table, column): count for column, count in zip(("", *columns), row, strict=True)}
    return found


_COLUMNS = text(
    """
    SELECT relname, json_object_agg(attname, CASE WHEN adbin IS NULL
        THEN format('%I IS NOT NULL', attname)
        ELSE format('%I::text <> (%s)::text', attname, pg_get_expr(adbin, adrelid)) END ORDER BY attnum)
    FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
    LEFT JOIN pg_attrdef ON adrelid = pg_class.oid AND adnum = attnum
    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
    AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND relname <> 'alembic_version'
    GROUP BY relname ORDER BY relname
    """
)


def losses(before: Contents, after: Contents) -> dict[str, int]:
    """Say what is gone, and how much of it: `rows of api_keys`, `values of tools.owner`."""
    lost: dict[str, int] = {}
    for (table, column), count in before.items():
        less = count - after.get((table, column), 0)
        if less <= 0:
            continue
        if not column:
            lost[f"rows of {table}"] = less
        elif (table, "") in after and f"rows of {table}" not in lost:
            lost[f"values of {table}.{column}"] = less
    return lost


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
