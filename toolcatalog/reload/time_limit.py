"""A time limit for work with files, which on a network file system whose server is gone never ends.

Nothing can interrupt a system call that waits for it. So it is made in a thread of its own, which is left
behind, and which does not keep the process from ending.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from toolcatalog.errors import FolderHangs

T = TypeVar("T")

# Without any progress: a large folder may take longer as a whole.
SECONDS = 30.0


class _Work(Generic[T]):
    """One piece of work in its thread, and when it last got on."""

    def __init__(self, do: Callable[[Callable[[], None]], T]) -> None:
        self._do = do
        self._result: T | None = None
        self._error: BaseException | None = None
        self._progress_at = time.monotonic()
        self.thread = threading.Thread(target=self._run, name="toolcatalog-files", daemon=True)

    def _run(self) -> None:
        try:
            self._result = self._do(self._note_progress)
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is waited for
            self._error = error

    def _note_progress(self) -> None:
        self._progress_at = time.monotonic()

    def is_done_within(self, seconds: float) -> bool:
        """Wait until the work is done; False when it made no progress for so long."""
        while self.thread.is_alive():
            left = self._progress_at + seconds - time.monotonic()
            if left <= 0:
                return False
            self.thread.join(left)
        return True

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]  # T may be Optional itself


class TimeLimit:
    """The time limit of the work with one folder. Thread-safe."""

    def __init__(self, folder: Path, seconds: float = SECONDS) -> None:
        self._folder = folder
        self._seconds = seconds
        self._hanging: threading.Thread | None = None

    def check(self) -> None:
        """Make sure that no work that was given up is still hanging.

        Raises:
            FolderHangs: when there is.
        """
        if self._hanging is not None and self._hanging.is_alive():
            raise self._hangs()

    def run(self, do: Callable[[Callable[[], None]], T]) -> T:
        """Do some work, which gets a function to call when it makes progress; returns its result.

        While earlier work has not come back, nothing is tried: it would hang as well.

        Raises:
            FolderHangs: when there is no progress within the time limit.
        """
        self.check()
        work = _Work(do)
        work.thread.start()
        if not work.is_done_within(self._seconds):
            self._hanging = work.thread
            raise self._hangs()
        return work.result()

    def _hangs(self) -> FolderHangs:
        return FolderHangs(
            f"{self._folder} has not answered within {self._seconds:g} seconds. If it is on a network file "
            "system, see whether its server can be reached; reloading goes on when the folder answers."
        )
