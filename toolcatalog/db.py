"""The one way to PostgreSQL: the engine, its pool, and the only commit of the package."""

from __future__ import annotations

import re
import select
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Any

import psycopg2
from psycopg2 import errorcodes, extensions
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import ExecutionContext, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from toolcatalog import metrics
from toolcatalog.bulkhead import TURNOVER_SECONDS, Bulkhead, refused
from toolcatalog.core import json_text
from toolcatalog.errors import ConcurrentChange, DatabaseUnavailable, NoRights, SchemaOutOfDate

# A writer meets another one on the row of a tool (after a wait), on a unique index (both create it), or in a
# circle of two imports.
_MET_ANOTHER_WRITER = {
    errorcodes.LOCK_NOT_AVAILABLE,
    errorcodes.DEADLOCK_DETECTED,
    errorcodes.SERIALIZATION_FAILURE,
    errorcodes.UNIQUE_VIOLATION,
}
_UNAVAILABLE = (OperationalError, InterfaceError)
# For a connection of the pool, while they come back.
_POOL_WAIT_SECONDS = 5
# How much longer than its own limit for a statement PostgreSQL may take to answer, connecting included.
_ANSWER_SECONDS = 3.0
# Of several hosts, one that vanished with its network refuses nothing: after so long without an answer to a
# packet the next one is tried. Less than `_ANSWER_SECONDS`, in which one has to be found.
_SILENCE_MS = 2_000
# An export whose client stopped reading would hold its snapshot, and keep VACUUM from its work, for ever.
_IDLE_SECONDS = 60
# SQLSTATE classes of a server that is not there for us: connection exceptions, shut down or starting up.
_AWAY = ("08", "57P")
# "grpe" shares this much of its trigrams with "grep": below PostgreSQL's default, so that a swap of letters
# is found alike.
_TRIGRAMS_SHARED = 0.2
_RETRY_SECONDS = 1.0
# A pooled connection that rested no longer than this is taken to be alive unless it has something to say.
_TRUSTED_SECONDS = 1.0
_LONGEST_ATTEMPT_SECONDS = 30.0
# Of one connection. A search takes another statement for each number of words and set of filters.
_MOST_PREPARED = 50


class Outage:
    """Whether PostgreSQL is away. While it is, one attempt a second is let through; others fail at once.

    The first attempt after a failure is made at once: it may have been one connection alone that was lost.
    """

    def __init__(self) -> None:
        self._next_attempt: float | None = None

    @property
    def is_on(self) -> bool:
        """Whether the last attempt to reach PostgreSQL failed."""
        return self._next_attempt is not None

    def begin(self) -> None:
        """Note that PostgreSQL could not be reached."""
        self._next_attempt = time.monotonic() + (_RETRY_SECONDS if self.is_on else 0)

    def end(self) -> None:
        """Note that PostgreSQL answered."""
        self._next_attempt = None

    def refuses(self) -> bool:
        """Tell whether not to try now; if it is time to, this attempt is the one."""
        due = self._next_attempt
        if due is None:
            return False
        if time.monotonic() < due:
            return True
        # One at a time: where a server hangs, an attempt takes long, and all threads would be making one.
        self._next_attempt = time.monotonic() + _LONGEST_ATTEMPT_SECONDS
        return False


@dataclass(slots=True)
class Database:
    """Connections for reading, sessions for writing; nothing else here opens or ends a transaction."""

    engine: Engine
    max_connections: int
    bulkhead: Bulkhead
    outage: Outage = field(default_factory=Outage)
    _reader: Engine = field(init=False)
    # When a connection was last taken from the pool or given back.
    _turned_over_at: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        self._reader = self.engine.execution_options(**options)
        for name in ("checkout", "checkin"):
            event.listen(self.engine, name, self._note_turnover)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open one unmoving snapshot: a list is read in several queries, and may not be torn.

        Raises:
            DatabaseBusy: at once, or nearly, when too many threads wait for PostgreSQL already.
            DatabaseUnavailable: when PostgreSQL cannot be reached or does not answer in time.
        """
        with self._reached(), self._reader.connect() as connection:
            self.outage.end()
            yield connection

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Open a session that is committed when the block ends, and rolled back when it raises.

        What was loaded or written in it can be read afterwards.

        Raises:
            ConcurrentChange: when another transaction is changing the same tool.
            DatabaseBusy: at once, or nearly, when too many threads wait for PostgreSQL already.
            DatabaseUnavailable: when PostgreSQL cannot be reached or does not answer in time.
        """
        with self._reached(), Session(self.engine, expire_on_commit=False) as session, session.begin():
            session.connection()
            self.outage.end()
            yield session

    def connections_in_use(self) -> int:
        """Count the connections that are being used now."""
        pool = self.engine.pool
        return pool.checkedout() if isinstance(pool, QueuePool) else 0

    @contextmanager
    def _reached(self) -> Iterator[None]:
        with self.bulkhead.place():
            if self._hangs():
                raise refused()
            if self.outage.refuses():
                raise _unavailable()
            try:
                yield
            except DBAPIError as error:
                metrics.current().db_errors.labels(_kind(error)).inc()
                raise self._translated(error) from error
            except PoolTimeout as error:
                if self.outage.is_on:
                    self.outage.begin()  # this attempt is over
                raise refused() from error

    def _translated(self, error: DBAPIError) -> Exception:
        """Return what an error of the driver means here; itself when that is not known."""
        if getattr(error.orig, "pgcode", None) in _MET_ANOTHER_WRITER:
            return ConcurrentChange(
                "Another request is changing the same tool at this moment. Read it again and retry."
            )
        if _is_away(error):
            self.outage.begin()
        return _unavailable() if isinstance(error, _UNAVAILABLE) else why_unusable(error) or error

    def _hangs(self) -> bool:
        """Tell whether all connections are in use, and none came back for a while."""
        return (
            self.connections_in_use() >= self.max_connections
            and time.monotonic() - self._turned_over_at > TURNOVER_SECONDS
        )

    def _note_turnover(self, *_: object) -> None:
        self._turned_over_at = time.monotonic()


def connect(
    url: str,
    *,
    pool_size: int,
    max_overflow: int,
    statement_timeout_ms: int,
    application_name: str = "toolcatalog",
    places: int | None = None,
    outage: Outage | None = None,
) -> Database:
    """Make a database; the first connection is opened when it is first used, so this is safe before a fork.

    `places` is how many threads may wait for it; None: as many as there are connections. An `outage` is given
    to share it with another pool of the same server. `url` names the driver (`postgresql+psycopg2://`), as
    `settings.normalised_url` writes it.
    """
    limit = statement_timeout_ms / 1000 + _ANSWER_SECONDS
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_timeout=_POOL_WAIT_SECONDS,
        pool_use_lifo=True,
        hide_parameters=True,  # a logged error may name a statement, never what was in it
        json_serializer=json_text.dumps,
        connect_args={
            **libpq_parameters(url),
            "application_name": application_name,
            "connection_factory": _answering_within(limit),
            "options": f"-c timezone=UTC -c statement_timeout={statement_timeout_ms}"
            f" -c idle_in_transaction_session_timeout={_IDLE_SECONDS * 1000}"
            f" -c pg_trgm.similarity_threshold={_TRIGRAMS_SHARED} -c plan_cache_mode=force_generic_plan",
        },
    )
    event.listen(engine, "checkin", _rest)
    event.listen(engine, "checkout", _asker(engine))
    event.listen(engine, "before_cursor_execute", _begin_statement)
    event.listen(engine, "before_cursor_execute", _prepare, retval=True)
    event.listen(engine, "after_cursor_execute", _end_statement)
    most = pool_size + max_overflow
    bulkhead = Bulkhead(places or most)
    return Database(engine, min(most, bulkhead.places), bulkhead, outage or Outage())


def _rest(_connection: object, record: ConnectionPoolEntry) -> None:
    record.info["toolcatalog.resting_since"] = time.monotonic()


def _asker(engine: Engine) -> Callable[[Any, ConnectionPoolEntry, object], None]:
    """Make what sees, before a pooled connection is used, whether the server is still at its other end.

    One that has just been used is only asked when there is something to read where nothing was asked: that
    is how a server ends a connection. To ask took a tenth of the time of a read.
    """

    def see_that_it_lives(connection: Any, record: ConnectionPoolEntry, _: object) -> None:
        since = record.info.get("toolcatalog.resting_since")
        if since is None or (time.monotonic() - since < _TRUSTED_SECONDS and not _is_readable(connection)):
            return
        try:
            engine.dialect.do_ping(connection)
        except psycopg2.Error as error:
            raise InvalidatePoolError from error

    return see_that_it_lives


def _is_readable(connection: extensions.connection) -> bool:
    waiting_for = select.poll()
    waiting_for.register(connection, select.POLLIN)
    return bool(waiting_for.poll(0))


def _begin_statement(connection: Connection, *_: object) -> None:
    connection.info["toolcatalog.begun"] = time.perf_counter()


def _end_statement(
    connection: Connection, _cursor: object, _sent: str, _values: object, context: ExecutionContext, _: object
) -> None:
    seconds = time.perf_counter() - connection.info["toolcatalog.begun"]
    metrics.current().query_seconds.labels(_operation(context.statement or "")).observe(seconds)


_PLACE = re.compile(r"%\((\w+)\)s")


def _prepare(
    connection: Connection, cursor: Any, statement: str, values: Any, context: ExecutionContext, _: object
) -> tuple[str, Any]:
    """Have the server keep the plan of a statement that was made with the option `prepared`.

    For one that finds few rows by an index, to plan it takes longer than to find them. The plan is bound to
    no values, so it is not for statements whose best plan depends on them. Nor is it for many rows at once,
    whose statement is another one for each number of rows.
    """
    if context.executemany or not context.execution_options.get("prepared"):
        return statement, values
    name, prepare, execute = _as_prepared(statement)
    known = connection.info.setdefault("toolcatalog.prepared", OrderedDict())
    if name in known:
        known.move_to_end(name)
        return execute, values
    if len(known) >= _MOST_PREPARED:
        oldest = next(iter(known))
        cursor.execute(f"DEALLOCATE {oldest}")
        del known[oldest]
    cursor.execute(prepare)
    known[name] = None
    return execute, values


@lru_cache(maxsize=1_000)
def _as_prepared(statement: str) -> tuple[str, str, str]:
    """Return a name for a statement, what prepares it by that name, and what executes it then."""
    places = list(dict.fromkeys(_PLACE.findall(statement)))
    numbered = _PLACE.sub(lambda place: f"${places.index(place[1]) + 1}", statement).replace("%%", "%")
    name = f"toolcatalog_{sha256(statement.encode()).hexdigest()[:16]}"
    values = f"({', '.join(f'%({place})s' for place in places)})" if places else ""
    return name, f"PREPARE {name} AS {numbered}", f"EXECUTE {name} {values}"


def _operation(statement: str) -> str:
    """Return what a statement does; `WITH` is how changes are numbered, by an UPDATE."""
    word = statement.lstrip()[:6].lower()
    if word.startswith("with"):
        return "update"
    return word if word in metrics.DB_OPERATIONS else "other"


def _answering_within(seconds: float) -> type[extensions.connection]:
    """Make a class of connections that give up when the server does not answer.

    A server that is frozen, or whose network is, keeps its own limits as little as its promises; without
    this, every thread that asks it would hang.
    """
    return type("Connection", (extensions.connection,), {"answer_seconds": seconds})


def _wait(connection: extensions.connection) -> None:
    """Wait for a server's answer, as psycopg2 itself would, but no longer than the connection's limit."""
    seconds = getattr(connection, "answer_seconds", None)
    deadline = None if seconds is None else time.monotonic() + seconds
    while (state := connection.poll()) != extensions.POLL_OK:
        waiting_for = select.poll()  # anew: of several hosts, the next one has another socket
        waiting_for.register(
            connection.fileno(), select.POLLIN if state == extensions.POLL_READ else select.POLLOUT
        )
        left_ms = None if deadline is None else max(0, 1000 * (deadline - time.monotonic()))
        if not waiting_for.poll(left_ms):
            raise psycopg2.OperationalError(f"the server gave no answer within {seconds:g} seconds")


extensions.set_wait_callback(_wait)


def libpq_parameters(url: str) -> dict[str, Any]:
    """Return what a URL says by libpq's own names, those of several hosts with commas."""
    parsed = make_url(url)
    _, parameters = parsed.get_dialect()().create_connect_args(parsed)
    has_several_hosts = "," in parameters.get("host", "")
    return {**({"tcp_user_timeout": _SILENCE_MS} if has_several_hosts else {}), **parameters}


@contextmanager
def plain_connection(url: str, application_name: str) -> Iterator[extensions.connection]:
    """Open a connection of its own, where each statement commits at once: to listen, or to hold a lock."""
    factory = _answering_within(_ANSWER_SECONDS)
    connection = psycopg2.connect(
        **libpq_parameters(url), connection_factory=factory, application_name=application_name
    )
    with closing(connection):
        connection.set_session(autocommit=True)
        yield connection


def _kind(error: DBAPIError) -> str:
    code = getattr(error.orig, "pgcode", None)
    if code in _MET_ANOTHER_WRITER:
        return "conflict"
    if code == errorcodes.QUERY_CANCELED:
        return "timeout"
    return "unavailable" if _is_away(error) else "other"


def _is_away(error: DBAPIError) -> bool:
    code = getattr(error.orig, "pgcode", None)
    return isinstance(error, _UNAVAILABLE) and (code is None or code.startswith(_AWAY))


def why_unusable(error: BaseException) -> DatabaseUnavailable | None:
    """Tell why a database that answers is of no use, from an error of SQLAlchemy or psycopg2; None if it is.

    The `code` of what is returned is a word for it, its text a sentence that says what to do.
    """
    code = getattr(getattr(error, "orig", error), "pgcode", None)
    if code in (errorcodes.UNDEFINED_TABLE, errorcodes.UNDEFINED_COLUMN):
        return SchemaOutOfDate(
            "The database's schema is not the one that this version needs. Run: toolcatalog db upgrade"
        )
    if code == errorcodes.INSUFFICIENT_PRIVILEGE:
        return NoRights(
            "The database does not let the service's role read or write the catalog's tables. Grant it "
            "SELECT, INSERT, UPDATE and DELETE on all of them."
        )
    return None


def _unavailable() -> DatabaseUnavailable:
    return DatabaseUnavailable(
        "The database cannot be reached, or gave no answer in time. Try again shortly."
    )
