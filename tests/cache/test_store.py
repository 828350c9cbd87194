"""The cache by itself: what it keeps, what it lets go, and what it takes for true."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from toolcatalog import metrics
from toolcatalog.cache import store
from toolcatalog.cache.dependence import OnEverything, OnList, OnTool, SeenChange
from toolcatalog.cache.store import Answer, Cache
from toolcatalog.core.filters import Filters
from toolcatalog.errors import DatabaseUnavailable, NotFound


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def tool_answer(tool_id: int, revision: int, text: str = "") -> Answer:
    return Answer(
        text.encode(), "etag", revision, OnTool(tool_id), (("id", tool_id),), stamp=(revision, True)
    )


def list_answer(name: str, revision: int, size: int = 1) -> Answer:
    return Answer(b"x" * size, "etag", revision, OnList(Filters(platform=(name,))), (name,))


def change(
    revision: int, tool_id: int, before: str | None = "linux", after: str | None = "linux"
) -> SeenChange:
    return SeenChange(revision, tool_id, before and {"platform": before}, after and {"platform": after})


@pytest.fixture
def cache() -> Cache:
    """A cache of a catalog of two tools, with room for three answers."""
    return Cache(3, 60, Clock())


def evictions() -> float:
    """The evictions of this process so far."""
    return metrics.current().cache_evictions._value.get()


def never() -> Answer:
    raise AssertionError


def test_an_answer_is_loaded_once_and_then_hit(cache: Cache) -> None:
    first = cache.fetch(("id", 1), lambda: tool_answer(1, 5, "a"))
    again = cache.fetch(("id", 1), never)
    assert (first.is_hit, again.is_hit, again.answer) == (False, True, first.answer)
    assert cache.statistics() == store.Statistics(size=1, max_size=3)


def test_the_least_recently_used_goes_first(cache: Cache) -> None:
    before = evictions()
    for number in (1, 2, 3):
        cache.put(tool_answer(number, 1))
    cache.find(("id", 1))
    cache.put(tool_answer(4, 1))
    assert [cache.find(("id", number)) is not None for number in (1, 2, 3, 4)] == [True, False, True, True]
    assert evictions() == before + 1


def test_lists_push_no_tool_out_of_a_catalog_that_fits() -> None:
    cache = Cache(5, 60)
    assert cache.keep_whole(4)
    for number in range(10):
        cache.put(tool_answer(number % 4, 1))
        cache.put(list_answer(f"list {number}", 1))
    assert all(cache.find(("id", number)) for number in range(4))
    assert cache.find("list 9")
    assert cache.statistics().size == 5


def test_tools_of_a_large_catalog_leave_room_for_lists() -> None:
    cache = Cache(8, 60)
    assert not cache.keep_whole(8)
    for number in range(20):
        cache.put(list_answer(f"list {number}", 1))
    for number in range(20):
        cache.put(tool_answer(number, 1))
    assert [f"list {number}" for number in range(20) if cache.find(f"list {number}")] == [
        "list 18",
        "list 19",
    ]
    assert [number for number in range(20) if cache.find(("id", number))] == [14, 15, 16, 17, 18, 19]


def test_lists_are_bounded_in_bytes(cache: Cache) -> None:
    cache.put(list_answer("a", 1, store.MAX_LIST_BYTES // 2))
    cache.put(list_answer("b", 1, store.MAX_LIST_BYTES // 2))
    assert cache.find("a")
    cache.put(list_answer("c", 1, 2))
    assert cache.find("b") is None  # "a" was used since
    assert cache.find("a")
    assert cache.find("c")


def test_an_answer_is_not_good_for_ever() -> None:
    clock = Clock()
    cache = Cache(3, 60, clock)
    cache.put(tool_answer(1, 1))
    clock.now += 60
    assert cache.find(("id", 1))
    clock.now += 0.1
    assert cache.find(("id", 1)) is None
    assert cache.find_stale(("id", 1))


def test_a_change_ends_what_depends_on_it_and_nothing_else() -> None:
    cache = Cache(9, 60)
    cache.put(tool_answer(1, 1))
    cache.put(tool_answer(2, 1))
    cache.put(list_answer("linux", 1))
    cache.put(list_answer("windows", 1))
    cache.put(Answer(b"", "etag", 1, OnEverything(), ("search",)))
    cache.advance(2, [change(2, 1)])
    found = [cache.find(key) is not None for key in (("id", 1), ("id", 2), "linux", "windows", "search")]
    assert found == [False, True, False, True, False]
    assert cache.revision == 2


@pytest.mark.parametrize(
    ("before", "after"), [("windows", "linux"), ("linux", "windows"), (None, "macos"), ("macos", None)]
)
def test_a_list_ends_when_a_tool_comes_or_goes(cache: Cache, before: str | None, after: str | None) -> None:
    cache.put(list_answer("windows", 1))
    cache.advance(2, [change(2, 1, before, after)])
    assert cache.find("windows") is None


def test_an_answer_made_before_a_change_that_came_meanwhile_is_not_kept(cache: Cache) -> None:
    cache.advance(1, None)

    def load() -> Answer:
        cache.advance(2, [change(2, 1)])
        return tool_answer(1, 1)

    assert not cache.fetch(("id", 1), load).answer.is_valid
    assert cache.find(("id", 1)) is None


def test_an_answer_made_before_a_change_of_something_else_is_kept(cache: Cache) -> None:
    cache.advance(1, None)

    def load() -> Answer:
        cache.advance(2, [change(2, 7)])
        return tool_answer(1, 1)

    assert cache.fetch(("id", 1), load).answer.is_valid
    assert cache.find(("id", 1))


def test_an_answer_newer_than_the_cache_outlives_the_changes_that_it_shows(cache: Cache) -> None:
    cache.put(tool_answer(1, 9))
    cache.advance(9, [change(number, 1) for number in range(1, 10)])
    assert cache.find(("id", 1))


def test_too_many_changes_end_everything(cache: Cache) -> None:
    for changes in (None, [change(number, 7) for number in range(2, 203)]):
        cache.put(tool_answer(1, cache.revision))
        cache.advance(cache.revision + 201, changes)
        assert cache.find(("id", 1)) is None


def test_what_was_forgotten_cannot_be_ruled_out(cache: Cache) -> None:
    for revision in range(1, 2000):
        cache.advance(revision, [change(revision, 7)])
    cache.put(tool_answer(1, 500))
    assert cache.find(("id", 1)) is None
    cache.put(tool_answer(1, 1500))
    assert cache.find(("id", 1))


def test_an_answer_asked_for_before_all_was_dropped_is_not_kept(cache: Cache) -> None:
    def load() -> Answer:
        cache.drop_all()
        return tool_answer(1, 100)

    cache.fetch(("id", 1), load)
    assert cache.find(("id", 1)) is None


def in_the_middle_of_a_load(
    cache: Cache, load: Callable[[], Answer], meanwhile: Callable[[], None], ask: Callable[[], None]
) -> None:
    """Begin a load in a thread, have another thread ask the same, do something, and let the load go on."""
    began, goes_on = threading.Event(), threading.Event()

    def slow() -> Answer:
        answer = load()
        began.set()
        goes_on.wait(10)
        return answer

    first = threading.Thread(target=lambda: cache.fetch(("id", 1), slow))
    first.start()
    began.wait(10)
    meanwhile()
    second = threading.Thread(target=ask)
    second.start()
    second.join(0.2)
    goes_on.set()
    first.join()
    second.join()


def test_who_asks_the_same_meanwhile_shares_the_query(cache: Cache) -> None:
    found = []
    in_the_middle_of_a_load(
        cache,
        lambda: tool_answer(1, 1),
        lambda: None,
        lambda: found.append(cache.fetch(("id", 1), never)),
    )
    assert [(one.is_shared, one.answer.revision) for one in found] == [(True, 1)]


def test_who_asks_after_a_change_does_not_share_a_query_from_before_it(cache: Cache) -> None:
    found = []
    in_the_middle_of_a_load(
        cache,
        lambda: tool_answer(1, 1),
        lambda: cache.advance(2, [change(2, 1)]),
        lambda: found.append(cache.fetch(("id", 1), lambda: tool_answer(1, 2))),
    )
    assert [one.answer.revision for one in found] == [2]


def test_what_was_not_there_may_be_there_for_who_asks_later(cache: Cache) -> None:
    found = []

    def load() -> Answer:
        if found:
            return tool_answer(1, 1)
        found.append("asked")
        raise NotFound("not yet")

    with pytest.raises(NotFound):
        cache.fetch(("id", 1), load)
    assert cache.fetch(("id", 1), load).answer.revision == 1


def test_who_waits_for_a_query_hears_that_the_database_is_away(cache: Cache) -> None:
    heard = []
    began, goes_on = threading.Event(), threading.Event()

    def fail() -> Answer:
        began.set()
        goes_on.wait(10)
        raise DatabaseUnavailable("away")

    def ask(load: Callable[[], Answer]) -> None:
        try:
            cache.fetch(("id", 1), load)
        except DatabaseUnavailable as error:
            heard.append(str(error))

    threads = [threading.Thread(target=ask, args=(load,)) for load in (fail, never)]
    threads[0].start()
    began.wait(10)
    threads[1].start()
    threads[1].join(0.2)
    goes_on.set()
    for thread in threads:
        thread.join()
    assert heard == ["away", "away"]


def put_many(cache: Cache) -> None:
    for revision in range(200):
        for number in range(40):
            cache.put(tool_answer(number, revision))


def use_until(ended: threading.Event, cache: Cache) -> None:
    while not ended.is_set():
        for number in range(40):
            cache.find(("id", number))


def test_readers_that_use_answers_do_not_disturb_who_evicts() -> None:
    cache, ended = Cache(20, 60), threading.Event()
    with ThreadPoolExecutor(5) as pool:
        readers = [pool.submit(use_until, ended, cache) for _ in range(3)]
        writers = [pool.submit(put_many, cache) for _ in range(2)]
        try:
            for writer in writers:
                writer.result()
        finally:
            ended.set()
        for reader in readers:
            reader.result()
    assert cache.statistics().size == 20


def test_while_one_renews_an_answer_whose_time_is_up_the_others_have_it() -> None:
    clock = Clock()
    cache = Cache(3, 60, clock)
    cache.put(tool_answer(1, 5, "a"))
    clock.now += 61
    asked, may_answer = threading.Event(), threading.Event()

    def renew() -> Answer:
        asked.set()
        may_answer.wait(30)
        return tool_answer(1, 6, "b")

    first = threading.Thread(target=lambda: cache.fetch(("id", 1), renew))
    first.start()
    assert asked.wait(30)
    assert cache.fetch(("id", 1), never).answer.body == b"a"
    may_answer.set()
    first.join()
    assert cache.fetch(("id", 1), never).answer.body == b"b"
