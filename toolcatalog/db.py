"""The one way to PostgreSQL: the engine, its pool, and the only commit of the package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from psycopg2 import errorcodes
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from toolcatalog.core import json_text
from toolcatalog.errors import ConcurrentChange, DatabaseUnavailable

# A writer meets another one on the row of a tool (NOWAIT), on a unique index (both create it), or in a
# circle of two imports.
_MET_ANOTHER_WRITER = {
    errorcodes.LOCK_NOT_AVAILABLE,
    errorcodes.DEADLOCK_DETECTED,
    errorcodes.SERIALIZATION_FAILURE,
    errorcodes.UNIQUE_VIOLATION,
}
_UNAVAILABLE = (OperationalError, InterfaceError)
_POOL_WAIT_SECONDS = 5
_CONNECT_SECONDS = 3
# An export whose client stopped reading would hold its snapshot, and keep VACUUM from its work, for ever.
_IDLE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Database:
    """Sessions for reading and for writing; nothing else in the package opens or ends a transaction."""

    engine: Engine

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a session on one unmoving snapshot: a tool is read in several queries, and may not be torn.

        Raises:
            DatabaseUnavailable: when PostgreSQL cannot be reached or does not answer in time.
        """
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with _plain_errors(), Session(self.engine.execution_options(**options)) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Open a session that is committed when the block ends, and rolled back when it raises.

        What was loaded or written in it can be read afterwards.

        Raises:
            ConcurrentChange: when another transaction is changing the same tool.
            DatabaseUnavailable: when PostgreSQL cannot be reached or does not answer in time.
        """
        with _plain_errors(), Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session


def connect(
    url: str,
    *,
    pool_size: int,
    max_overflow: int,
    statement_timeout_ms: int,
    application_name: str = "toolcatalog",
) -> Database:
    """Make a database; the first connection is opened when it is first used, so this is safe before a fork.

    `url` names the driver (`postgresql+psycopg2://`), as `settings.normalised_url` writes it.
    """
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_timeout=_POOL_WAIT_SECONDS,
        pool_pre_ping=True,
        hide_parameters=True,  # a logged error may name a statement, never what was in it
        json_serializer=json_text.dumps,
        connect_args={
            "application_name": application_name,
            "connect_timeout": _CONNECT_SECONDS,
            "options": f"-c timezone=UTC -c statement_timeout={statement_timeout_ms}"
            f" -c idle_in_transaction_session_timeout={_IDLE_SECONDS * 1000}",
        },
    )
    return Database(engine)


@contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if getattr(error.orig, "pgcode", None) in _MET_ANOTHER_WRITER:
            raise ConcurrentChange(
                "Another request is changing the same tool at this moment. Read it again and retry."
            ) from error
        if isinstance(error, _UNAVAILABLE):
            raise _unavailable() from error
        raise
    except PoolTimeout as error:
        raise _unavailable() from error


def _unavailable() -> DatabaseUnavailable:
    return DatabaseUnavailable(
        "The database cannot be reached, or gave no answer in time. Try again shortly."
    )
