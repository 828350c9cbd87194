"""A database that hangs, under load: who does not need it does not notice, and others are told at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError

from tests.cluster import Host, Postgres, eventually
from tests.coherence.conftest import StartHost
from tests.conftest import tool
from tests.loads import Askers, asking, p99

TOOLS = "/api/v1/tools"
COUNT = 30
# What the scheduler of a shared machine with two cores makes of 40 clients and two workers.
NOISE_SECONDS = 0.1

Fault = Callable[[Postgres], object]


@contextmanager
def frozen(postgres: Postgres) -> Iterator[None]:
    """All processes of PostgreSQL stopped."""
    postgres.freeze()
    try:
        yield
    finally:
        postgres.thaw()


@contextmanager
def locked(postgres: Postgres) -> Iterator[None]:
    """The tables that everything reads locked, by somebody in a terminal."""
    engine = create_engine(postgres.url)
    with engine.connect() as connection:
        _lock(connection)
        yield
        connection.rollback()
    engine.dispose()


def _lock(connection: Connection) -> None:
    """Lock them; whoever reads two of them while they are locked one after the other is a deadlock."""
    while True:
        try:
            connection.execute(text("LOCK TABLE tools, changes, tool_versions"))
        except OperationalError:
            connection.rollback()
        else:
            return


def stocked(host: Host) -> None:
    tools = [tool(f"tool-{number}") for number in range(COUNT)]
    assert host.client().call("POST", f"{TOOLS}/import", tools).status == 200
    for each in host.clients_of_all_workers():
        eventually(lambda each=each: "; hit" in each.get(TOOLS).headers["Cache-Status"])


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "seconds"), [(frozen, 30), (locked, 15)], ids=["frozen", "locked"])
def test_who_needs_no_database_does_not_notice_that_it_hangs(
    start_host: StartHost, postgres: Postgres, fault: Fault, seconds: int
) -> None:
    host = start_host(WORKERS="2")
    stocked(host)
    cached = Askers(host, 8, lambda number: f"{TOOLS}/tool-{number % COUNT}")
    uncached = Askers(host, 24, lambda number: f"{TOOLS}?name=none-{number}")
    live = Askers(host, 1, lambda _: "/health/live")
    scrape = Askers(host, 1, lambda _: "/metrics")
    health = Askers(host, 1, lambda _: "/health")
    with asking(cached, uncached, live, scrape, health):
        time.sleep(6)
        begun = time.monotonic()
        with fault(postgres):
            time.sleep(seconds)
            status = host.client().get("/health").json
        ended = time.monotonic()
        time.sleep(8)
    after = ended + 5

    for name, each in (("cached", cached), ("live", live), ("metrics", scrape)):
        before, during = each.between(begun - 5, begun), each.between(begun, ended)
        slowest = max(answer.seconds for answer in during)
        print(f"{name}: p99 {p99(before):.3f} s before, {p99(during):.3f} s during, slowest {slowest:.3f} s, "
              f"{len(during)} answers")  # fmt: skip
        assert {answer.status for answer in during} == {200}, name
        assert p99(during) <= max(3 * p99(before), NOISE_SECONDS), name
        assert slowest < 2, name
    looks = health.between(begun, ended)
    assert max(answer.seconds for answer in looks) < 2
    assert {answer.status for answer in looks} == {200}
    assert status["status"] == "degraded", status
    # Who was let in before it was known waits for as long as a statement may take; who comes then is told.
    told = uncached.between(begun + 5, ended - 1)
    refused = [answer for answer in told if answer.status == 503]
    print(f"uncached: {len(refused)} of {len(told)} refused, p99 {p99(refused):.3f} s")
    assert len(refused) > 0.9 * len(told)
    assert {answer.retry_after for answer in refused} == {"2"}
    assert sorted(answer.seconds for answer in refused)[len(refused) // 2] < 0.25
    assert {answer.status for each in (cached, uncached) for answer in each.between(after, after + 3)} == {
        200
    }


@pytest.mark.slow
def test_keys_are_checked_while_the_database_hangs(start_host: StartHost, postgres: Postgres) -> None:
    """Reading them again, as after one was revoked, keeps nobody waiting who presents another."""
    host = start_host(WORKERS="1", AUTH="writes")
    client = host.client()
    with frozen(postgres):
        begun = time.monotonic()
        for _ in range(20):
            assert client.call("POST", TOOLS, tool()).status == 401
        assert time.monotonic() - begun < 2
