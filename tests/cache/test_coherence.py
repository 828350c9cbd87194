"""Following changes when something goes wrong: the cache is colder then, never wrong, never stuck."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from toolcatalog.cache.coherence import Coherence, News
from toolcatalog.cache.dependence import OnTool, SeenChange
from toolcatalog.cache.shared import SharedState, State
from toolcatalog.cache.store import Answer, Cache
from toolcatalog.errors import DatabaseUnavailable


class Catalog:
    """The committed changes, each of another tool, and how reading them goes."""

    def __init__(self) -> None:
        self.revision = 0
        self.failure: Exception | None = None
        self.may_answer = threading.Event()
        self.may_answer.set()

    def commit(self) -> SeenChange:
        self.revision += 1
        return SeenChange(self.revision, self.revision, {}, {})

    def read_news(self, since: int) -> News:
        self.may_answer.wait(30)
        if self.failure is not None:
            raise self.failure
        changes = [SeenChange(number, number, {}, {}) for number in range(since + 1, self.revision + 1)]
        return News(State(self.revision, 0), changes if since else None)


class Worker:
    def __init__(self, catalog: Catalog, shared: SharedState) -> None:
        self.cache = Cache(100, 60)
        self.coherence = Coherence(self.cache, shared, catalog.read_news)

    def holds(self, tool_id: int) -> bool:
        return self.cache.find(("id", tool_id)) is not None

    def load(self, tool_id: int, revision: int) -> None:
        self.cache.put(Answer(b"", "", revision, OnTool(tool_id), (("id", tool_id),), stamp=(1, True)))


@pytest.fixture
def catalog() -> Catalog:
    made = Catalog()
    for _ in range(3):
        made.commit()
    return made


@pytest.fixture
def shared() -> SharedState:
    return SharedState()


@pytest.fixture
def worker(catalog: Catalog, shared: SharedState) -> Worker:
    """A worker in step, which holds tools 1 to 9."""
    made = Worker(catalog, shared)
    shared.advance(State(catalog.revision, 0))
    assert made.coherence.keep_up()
    for tool_id in range(1, 10):
        made.load(tool_id, catalog.revision)
    return made


def broken(*_: Any) -> bool:
    raise TypeError("argument of type 'int' is not iterable")


def test_a_change_that_cannot_be_compared_drops_everything_and_following_goes_on(
    worker: Worker, catalog: Catalog, shared: SharedState, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(OnTool, "is_touched_by", broken)
        catalog.commit()
        shared.advance(State(catalog.revision, 0))
        assert worker.coherence.keep_up()
    assert (worker.cache.revision, worker.coherence.is_in_step()) == (4, True)
    assert not any(worker.holds(tool_id) for tool_id in range(1, 10))
    worker.load(5, 4)
    shared.advance(State(catalog.commit().revision, 0))
    assert worker.coherence.keep_up()
    assert not worker.holds(5)


def test_who_committed_a_change_that_cannot_be_compared_tells_all_the_same(
    worker: Worker, catalog: Catalog, shared: SharedState, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Worker(catalog, shared)
    with monkeypatch.context() as patched:
        patched.setattr(OnTool, "is_touched_by", broken)
        worker.coherence.tell_changes(4, [catalog.commit()])
    assert shared.read() == State(4, 0)
    assert not other.coherence.is_in_step()
    assert worker.coherence.keep_up()
    assert not worker.holds(4)


@pytest.mark.parametrize("place", ["advance", "_invalidate", "_remember"])
def test_even_where_the_cache_itself_fails_the_change_is_told(
    worker: Worker, catalog: Catalog, shared: SharedState, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Cache, place, broken)
        try:
            worker.coherence.tell_changes(4, [catalog.commit()])
        except TypeError:
            assert place in ("advance", "_invalidate")
    assert shared.read() == State(4, 0)
    assert worker.coherence.keep_up()
    assert (worker.cache.revision, worker.holds(4)) == (4, False)


def test_changes_that_cannot_be_read_drop_everything_and_following_goes_on(
    worker: Worker, catalog: Catalog, shared: SharedState
) -> None:
    catalog.commit()
    catalog.failure = ZeroDivisionError()
    shared.advance(State(catalog.revision, 0))
    assert worker.coherence.keep_up()
    assert (worker.cache.revision, worker.holds(1)) == (4, False)
    catalog.failure = None
    worker.load(1, 4)
    shared.advance(State(catalog.commit().revision, 0))
    assert worker.coherence.keep_up()
    assert (worker.cache.revision, worker.holds(1)) == (5, True)


def test_while_the_database_is_away_the_cache_stays_behind(
    worker: Worker, catalog: Catalog, shared: SharedState
) -> None:
    catalog.failure = DatabaseUnavailable("")
    shared.advance(State(catalog.commit().revision, 0))
    assert not worker.coherence.keep_up()
    assert worker.cache.revision == 3
    assert not worker.coherence.is_in_step()
    catalog.failure = None
    assert worker.coherence.keep_up()
    assert worker.coherence.is_in_step()


def test_while_one_waits_for_changes_the_others_do_not(
    worker: Worker, catalog: Catalog, shared: SharedState
) -> None:
    catalog.may_answer.clear()
    shared.advance(State(catalog.commit().revision, 0))
    first = threading.Thread(target=worker.coherence.keep_up)
    first.start()
    kept_up: Sequence[bool] = [worker.coherence.keep_up() for _ in range(1000)]
    assert not any(kept_up)
    catalog.may_answer.set()
    first.join()
    assert worker.coherence.keep_up()
    assert worker.cache.revision == 4
