"""The prober: who asks how the database is gets an answer soon, whatever the database does."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from tests.cluster import eventually
from toolcatalog import prober as probers
from toolcatalog.db import Database
from toolcatalog.errors import DatabaseUnavailable, NoRights
from toolcatalog.prober import Prober


class FakeDatabase:
    """Answers what it is told to, and not before it may."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.found: int | Exception = 0
        self.asked = 0

    @contextmanager
    def read(self) -> Iterator[FakeDatabase]:
        yield self

    def scalar(self, _: Any) -> int:
        self.asked += 1
        self.may_answer.wait(30)
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@pytest.fixture
def database() -> FakeDatabase:
    return FakeDatabase()


@pytest.fixture
def prober(database: FakeDatabase) -> Iterator[Prober]:
    made = Prober(cast(Database, database))
    yield made
    database.may_answer.set()
    made.stop()


def test_each_look_is_newer_than_the_question(prober: Prober, database: FakeDatabase) -> None:
    for number in range(20):
        database.found = number
        assert (prober.look().tools, prober.last.status) == (number, "up")


def test_before_the_first_look_the_database_is_down(prober: Prober, database: FakeDatabase) -> None:
    assert prober.last.status == "down"
    database.may_answer.clear()
    assert prober.look().status == "down"


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (DatabaseUnavailable("It is away."), "down", None),
        (NoRights("It lets nobody in."), "no_rights", "It lets nobody in."),
        (ZeroDivisionError(), "down", None),
    ],
)
def test_a_look_that_fails_says_why_and_the_next_is_made(
    prober: Prober, database: FakeDatabase, error: Exception, status: str, detail: str | None
) -> None:
    database.found = error
    probe = prober.look()
    assert (probe.tools, probe.status, probe.detail) == (None, status, detail)
    database.found = 7
    assert prober.look().status == "up"


def test_while_the_database_hangs_the_last_look_is_the_answer(
    prober: Prober, database: FakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probers, "_FRESH_SECONDS", 1.5)
    database.found = 7
    prober.look()
    database.may_answer.clear()
    time.sleep(1.6)
    begun = time.monotonic()
    looks = [prober.look() for _ in range(50)]
    # The first may have come while there was something to wait for.
    assert time.monotonic() - begun < 2 * probers._WAIT_SECONDS
    assert {(look.tools, look.status) for look in looks} == {(7, "unresponsive")}
    database.may_answer.set()
    eventually(lambda: prober.look().status == "up")
