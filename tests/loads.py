"""Clients that ask all the time, and write down how long each answer took."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.cluster import Client, Host, Response, percentile

_PAUSE_SECONDS = 0.02


@dataclass(frozen=True)
class Answer:
    """An answer, when it was asked for, and how long it took; `status` 0 when none came."""

    at: float
    seconds: float
    status: int
    retry_after: str | None


class Askers:
    """Threads that ask, each over a kept connection of its own, for paths that a function gives."""

    def __init__(self, host: Host, count: int, path: Callable[[int], str]) -> None:
        self._host = host
        self._path = path
        self._numbers = itertools.count()
        self._ended = threading.Event()
        self.answers: list[Answer] = []
        self._threads = [threading.Thread(target=self._run) for _ in range(count)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        client = Client(self._host.port)
        while not self._ended.is_set():
            path, at = self._path(next(self._numbers)), time.monotonic()
            try:
                response: Response | None = client.get(path)
            except OSError:
                client.close()
                client, response = Client(self._host.port), None
            seconds = time.monotonic() - at
            retry_after = response.headers.get("Retry-After") if response else None
            self.answers.append(Answer(at, seconds, response.status if response else 0, retry_after))
            time.sleep(_PAUSE_SECONDS)
        client.close()

    def between(self, begin: float, end: float) -> list[Answer]:
        """The answers to what was asked in this time."""
        return [each for each in self.answers if begin <= each.at < end]


@contextmanager
def asking(*askers: Askers) -> Iterator[None]:
    """Let them ask until the block ends."""
    for each in askers:
        each.start()
    try:
        yield
    finally:
        for each in askers:
            each.stop()


def p99(answers: list[Answer]) -> float:
    return percentile([each.seconds for each in answers], 0.99)
