"""What the workers of one host tell each other: two numbers in memory that they share.

Made before the workers are forked. A write to an aligned word is not torn, and the lock is one of the kernel,
which lets go of it when its holder is killed, so a worker may die at any point here.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
import threading
from pathlib import Path
from typing import NamedTuple

_SIZE = 2 * 8


class State(NamedTuple):
    """Where the catalog is: its last committed change, and how often all caches were to be dropped."""

    revision: int
    drops: int


class SharedState:
    """The newest state that any worker of this host knows of."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _SIZE)
        # Native words, each stored at once: `struct.pack_into` would zero them first, for all to see.
        self._words = memoryview(self._memory).cast("Q")
        self._lock_of_processes, path = tempfile.mkstemp(prefix="toolcatalog-lock-")
        Path(path).unlink()
        self._lock_of_threads = threading.Lock()
        self._maker = os.getpid()

    @property
    def is_shared(self) -> bool:
        """Whether this process was forked after it was made; otherwise only its own threads see it."""
        return os.getpid() != self._maker

    def raw(self) -> bytes:
        """Return the state as bytes, to be compared with what they were: the cheapest look there is."""
        return self._memory[:_SIZE]

    def read(self) -> State:
        """Return the state."""
        return State(*self._words)

    def advance(self, state: State) -> None:
        """Tell of a state; each of its numbers counts only where it is news."""
        known = self.read()
        if state.revision <= known.revision and state.drops <= known.drops:
            return
        with self._lock_of_threads:
            fcntl.lockf(self._lock_of_processes, fcntl.LOCK_EX)
            try:
                known = self.read()
                self._write(State(max(state.revision, known.revision), max(state.drops, known.drops)))
            finally:
                fcntl.lockf(self._lock_of_processes, fcntl.LOCK_UN)

    def reset(self, state: State) -> None:
        """Go back to a state: the database was restored from an older backup."""
        self._write(state)

    def _write(self, state: State) -> None:
        for place, word in enumerate(state):
            self._words[place] = word
