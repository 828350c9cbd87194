"""The bulkhead: who is let in, who waits, and who is told at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from toolcatalog.bulkhead import TURNOVER_SECONDS, Bulkhead
from toolcatalog.errors import DatabaseBusy


@contextmanager
def held(bulkhead: Bulkhead) -> Iterator[threading.Event]:
    """A place held by another thread, until the event is set or the block ends."""
    taken, given_back = threading.Event(), threading.Event()

    def hold() -> None:
        with bulkhead.place():
            taken.set()
            given_back.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    assert taken.wait(30)
    try:
        yield given_back
    finally:
        given_back.set()
        thread.join()


def test_as_many_are_let_in_as_there_are_places() -> None:
    bulkhead = Bulkhead(3)
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(held(bulkhead))
        with bulkhead.place():
            pass


def test_who_is_in_already_needs_no_second_place() -> None:
    bulkhead = Bulkhead(1)
    with bulkhead.place(), bulkhead.place():
        pass
    with bulkhead.place():
        pass


def test_who_comes_while_all_hang_is_told_at_once() -> None:
    bulkhead = Bulkhead(1)
    with held(bulkhead):
        time.sleep(2 * TURNOVER_SECONDS)
        begun = time.monotonic()
        with pytest.raises(DatabaseBusy), bulkhead.place():
            pass
        assert time.monotonic() - begun < TURNOVER_SECONDS / 2


def test_who_comes_while_others_come_and_go_waits_for_a_place() -> None:
    bulkhead = Bulkhead(1)
    with held(bulkhead) as given_back:
        threading.Timer(TURNOVER_SECONDS / 2, given_back.set).start()
        with bulkhead.place():
            assert given_back.is_set()


def test_a_place_is_given_back_when_what_was_done_in_it_fails() -> None:
    bulkhead = Bulkhead(1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), bulkhead.place():
            raise ZeroDivisionError
