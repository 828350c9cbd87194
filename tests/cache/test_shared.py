"""What workers share: two numbers that only grow, whoever dies."""

from __future__ import annotations

import os
import signal
import time

from toolcatalog.cache.shared import SharedState, State


def in_a_child(work: object) -> int:
    """Fork, call, and leave without what a test process does at its end; returns how the child ended."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitpid(pid, 0)[1]


def test_a_state_is_seen_by_all_who_were_forked_and_never_goes_back() -> None:
    shared = SharedState()
    assert not shared.is_shared
    before = shared.raw()
    in_a_child(lambda: shared.advance(State(7, 2)))
    assert shared.read() == State(7, 2)
    assert shared.raw() != before
    in_a_child(lambda: shared.advance(State(5, 3)))
    assert shared.read() == State(7, 3)
    shared.reset(State(1, 4))
    assert shared.read() == State(1, 4)


def test_concurrent_processes_lose_no_state() -> None:
    shared = SharedState()

    def count(first: int) -> None:
        for number in range(first, 20_000, 4):
            shared.advance(State(number, 0))

    pids = []
    for first in range(4):
        pid = os.fork()
        if pid == 0:
            count(first)
            os._exit(0)
        pids.append(pid)
    seen = 0
    while pids:
        for _ in range(100):
            revision = shared.read().revision
            assert revision >= seen
            seen = revision
        done, _ = os.waitpid(-1, os.WNOHANG)
        pids = [pid for pid in pids if pid != done]
    assert shared.read().revision == 19_999


def test_who_is_killed_while_it_tells_holds_up_nobody() -> None:
    shared = SharedState()
    for number in range(20):
        pid = os.fork()
        if pid == 0:
            while True:
                shared.advance(State(shared.read().revision + 1, 0))
        time.sleep(0.005)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        known = shared.read().revision
        shared.advance(State(known + 1, number))
        assert shared.read() == State(known + 1, number)
