"""The in-process cache: answers as bytes, in a dict, each with what it depends on.

An answer that a change may have made untrue, or whose time is up, is no longer served while the database
can be asked; it is kept for when it cannot. How far the cache has heard of changes is its `revision`: every
answer in it that is valid shows the catalog as of that revision.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from toolcatalog import metrics
from toolcatalog.cache.dependence import Dependence, SeenChange
from toolcatalog.errors import DatabaseUnavailable

Key = Hashable
# Lists are as large as a client asks for, so that their number alone would not bound them.
MAX_LIST_BYTES = 64_000_000
# Beyond so many changes at once, looking at each answer costs more than making it anew.
_MANY_CHANGES = 100
_REMEMBERED_CHANGES = 1_000
# Of an answer. What is asked for in ever new words is answered all the same, in the longer way.
_MAX_WAYS = 4
_MAX_WORDS = 512


@dataclass(slots=True, eq=False)
class Answer:
    """A rendered answer. `revision` is that of the snapshot from which it was made.

    `keys` are the questions that it answers; `stamp` tells of a tool which state of its row was rendered.
    `ways` are the words in which it was asked for, and what who answers them keeps of each.
    """

    body: bytes
    etag: str
    revision: int
    depends: Dependence
    keys: tuple[Key, ...]
    headers: tuple[tuple[str, str], ...] = ()
    stamp: Hashable = None
    expires_at: float = 0.0
    is_valid: bool = True
    ways: dict[tuple[str, str], Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """An answer, and how it was come by: a hit, or a miss that another thread's query answered too."""

    answer: Answer
    is_hit: bool = False
    is_shared: bool = False


@dataclass(frozen=True, slots=True)
class Statistics:
    """How many answers a cache holds and may hold. What became of questions is in the metrics."""

    size: int
    max_size: int


class _Shelf:
    """Answers of one kind, the least recently used first."""

    def __init__(self) -> None:
        self.bytes = 0
        self._answers: OrderedDict[int, Answer] = OrderedDict()

    def __len__(self) -> int:
        return len(self._answers)

    def __iter__(self) -> Iterator[Answer]:
        """Yield all, in no order: that of use changes meanwhile, and the iterator of OrderedDict minds."""
        return iter(list(dict.values(self._answers)))

    def use(self, answer: Answer) -> None:
        """Note that an answer was used; it may have been evicted meanwhile."""
        try:  # noqa: SIM105 - each hit comes this way, and suppress() takes three times as long
            self._answers.move_to_end(id(answer))
        except KeyError:
            pass

    def add(self, answer: Answer) -> None:
        self._answers[id(answer)] = answer
        self.bytes += len(answer.body)

    def remove(self, answer: Answer) -> None:
        if self._answers.pop(id(answer), None) is not None:
            self.bytes -= len(answer.body)

    def pop_oldest(self) -> Answer:
        """Remove the least recently used; in one call, since `use` takes no lock."""
        _, answer = self._answers.popitem(last=False)
        self.bytes -= len(answer.body)
        return answer


class Cache:
    """The answers of one worker. Thread-safe; looking one up takes no lock."""

    def __init__(
        self, max_size: int, ttl_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ttl_seconds = ttl_seconds
        self._max_size = max_size
        self._clock = clock
        self._lock = threading.Lock()
        self._answers: dict[Key, Answer] = {}
        self._tools = _Shelf()
        self._lists = _Shelf()
        self._kept_for_tools = max_size * 3 // 4
        # The queries that are being made, for all who ask the same meanwhile.
        self._flights: dict[Key, Future[Answer]] = {}
        # How often all was dropped: what was asked for before that is not kept after it.
        self._drops = 0
        self._recent: deque[SeenChange] = deque(maxlen=_REMEMBERED_CHANGES)
        # The first revision after which `_recent` knows every change.
        self._remembers_after = 0
        self._revision = 0

    @property
    def revision(self) -> int:
        """The last change that the cache has heard of."""
        return self._revision

    def keep_whole(self, tool_count: int) -> bool:
        """Keep room for all tools of a catalog and a list of them; False when it is too large for that."""
        is_small = tool_count < self._max_size
        self._kept_for_tools = tool_count if is_small else self._max_size * 3 // 4
        return is_small

    def statistics(self) -> Statistics:
        """Count what it holds."""
        return Statistics(len(self._tools) + len(self._lists), self._max_size)

    def fetch(self, key: Key, load: Callable[[], Answer]) -> Found:
        """Return the answer to a question, by `load` where it is not here; all who ask meanwhile share that.

        Whatever was committed when this was called, as far as `revision` says, the answer shows.

        Raises:
            what `load` raises.
        """
        answer = self.find(key)
        if answer is not None:
            return Found(answer, is_hit=True)
        return self._load_once(key, load, at_least=self._revision)

    def find(self, key: Key) -> Answer | None:
        """Find an answer that is true as of `revision`, as it was when this was called."""
        answer = self._answers.get(key)
        if answer is None or not answer.is_valid or answer.expires_at < self._clock():
            return None
        self._shelf_of(answer).use(answer)
        return answer

    def find_stale(self, key: Key) -> Answer | None:
        """Find an answer that was true once."""
        return self._answers.get(key)

    def seconds_left(self, answer: Answer) -> float:
        """Return how long an answer is good for yet; negative when its time is up."""
        return answer.expires_at - self._clock()

    def _load_once(self, key: Key, load: Callable[[], Answer], *, at_least: int) -> Found:
        while True:
            with self._lock:
                flight = self._flights.get(key)
                if flight is None:
                    mine = self._flights[key] = Future()
                present = self._answers.get(key)
            if flight is None:
                return Found(self._load(key, mine, load))
            if present is not None and present.is_valid:
                return Found(present, is_hit=True)  # only its time is up, and somebody is renewing it
            shared = self._wait_for(flight)
            # Its snapshot may be older than this question. What it then shows is no answer to it.
            if shared is not None and shared.revision >= at_least:
                return Found(shared, is_shared=True)

    def _load(self, key: Key, flight: Future[Answer], load: Callable[[], Answer]) -> Answer:
        drops = self._drops
        try:
            answer = load()
            if drops == self._drops:
                self.put(answer)
        except BaseException as error:
            flight.set_exception(error)
            raise
        else:
            flight.set_result(answer)
            return answer
        finally:
            with self._lock:
                del self._flights[key]

    @staticmethod
    def _wait_for(flight: Future[Answer]) -> Answer | None:
        """Return what another thread's query gave; None when it failed in a way that may be its own."""
        error = flight.exception()
        if isinstance(error, DatabaseUnavailable):
            raise error
        return None if error is not None else flight.result()

    def put(self, answer: Answer) -> None:
        """Take an answer in, unless a change that is known here already came after it was made."""
        with self._lock:
            answer.expires_at = self._clock() + self._ttl_seconds
            if self._is_outdated(answer):
                answer.is_valid = False
                return
            for key in answer.keys:
                replaced = self._answers.get(key)
                if replaced is not None:
                    self._drop(replaced)
                self._answers[key] = answer
            self._shelf_of(answer).add(answer)
            while (shelf := self._overfull()) is not None:
                self._forget_keys(shelf.pop_oldest())
                metrics.current().cache_evictions.inc()

    def add_way(self, answer: Answer, words: tuple[str, str], way: Any) -> None:
        """Have an answer found by these words too, as long as it is here; of many the oldest go."""
        with self._lock:
            if sum(map(len, words)) > _MAX_WORDS or self._answers.get(answer.keys[0]) is not answer:
                return
            while len(answer.ways) >= _MAX_WAYS:
                oldest = next(iter(answer.ways))
                del self._answers[oldest], answer.ways[oldest]
            answer.ways[words] = way
            self._answers[words] = answer

    def _overfull(self) -> _Shelf | None:
        """Return the shelf that something has to go from: lists, where they stand in the room of tools."""
        if self._lists.bytes > MAX_LIST_BYTES:
            return self._lists
        if len(self._tools) + len(self._lists) <= self._max_size:
            return None
        return self._lists if len(self._lists) > self._max_size - self._kept_for_tools else self._tools

    def _is_outdated(self, answer: Answer) -> bool:
        if answer.revision >= self._revision:
            return False
        if answer.revision < self._remembers_after:
            return True
        return _is_touched(answer, self._recent)

    def _drop(self, answer: Answer) -> None:
        self._shelf_of(answer).remove(answer)
        self._forget_keys(answer)

    def _forget_keys(self, answer: Answer) -> None:
        for key in (*answer.keys, *answer.ways):
            if self._answers.get(key) is answer:
                del self._answers[key]

    def _shelf_of(self, answer: Answer) -> _Shelf:
        return self._lists if answer.stamp is None else self._tools

    def advance(self, revision: int, changes: Sequence[SeenChange] | None) -> None:
        """Take note of all changes up to a revision; None when they are too many to be listed."""
        with self._lock:
            if changes is None or len(changes) > _MANY_CHANGES:
                self._invalidate(self._all())
                self._recent.clear()
                self._remembers_after = revision
            else:
                self._invalidate(answer for answer in self._all() if _is_touched(answer, changes))
                self._remember(changes)
            # Last: who sees this revision also sees what is no longer valid at it.
            self._revision = revision

    def _remember(self, changes: Sequence[SeenChange]) -> None:
        forgotten = len(self._recent) + len(changes) - _REMEMBERED_CHANGES
        if forgotten > 0:
            self._remembers_after = self._recent[forgotten - 1].revision
        self._recent.extend(changes)

    def drop_all(self) -> None:
        """Forget every answer, and how far changes were heard of: all is asked for anew."""
        with self._lock:
            self._drops += 1
            self._answers.clear()
            self._tools = _Shelf()
            self._lists = _Shelf()
            self._recent.clear()
            self._revision = 0
            self._remembers_after = 0

    def _all(self) -> Iterator[Answer]:
        yield from self._tools
        yield from self._lists

    @staticmethod
    def _invalidate(answers: Iterable[Answer]) -> None:
        for answer in answers:
            answer.is_valid = False


def _is_touched(answer: Answer, changes: Iterable[SeenChange]) -> bool:
    return any(
        change.revision > answer.revision and answer.depends.is_touched_by(change) for change in changes
    )
