"""Noticing that something changed in the folder of definitions: inotify or its like, or polling."""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver
from watchdog.observers.inotify_move_event_grouper import InotifyMoveEventGrouper
from watchdog.observers.polling import PollingObserver

log = logging.getLogger(__name__)

# Reading a file is an event too; ours must not wake us.
_CHANGES = frozenset({"created", "modified", "moved", "deleted", "closed"})
# A burst is over when nothing came for so long; one that does not end is served meanwhile.
_QUIET_SECONDS = 0.05
_LONGEST_BURST_SECONDS = 1.0
_POLL_SECONDS = 1.0
# How long inotify's reader holds all events back when it meets one half of a move: both halves are one
# change here, so it need not wait for the other.
InotifyMoveEventGrouper.delay = 0

Place = tuple[int, int]


class Watcher(FileSystemEventHandler):
    """Watches a folder, and the folders that links in it lead to. Used by one thread."""

    def __init__(self, folder: Path, *, polling: bool) -> None:
        self._folder = folder
        self._polling = polling
        self._observer: BaseObserver | None = None
        self._watched: dict[Path, Place] = {}
        self._changed = threading.Event()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Note an event; called by the observer's threads."""
        if event.event_type in _CHANGES:
            self._changed.set()

    def wait(self, timeout_seconds: float) -> bool:
        """Wait for a change; True once the burst of changes that it is part of is over."""
        if not self._changed.wait(timeout_seconds):
            return False
        latest = time.monotonic() + _LONGEST_BURST_SECONDS
        while self._changed.is_set() and time.monotonic() < latest:
            # Before the pause, not after it: an event that comes between the two must not get lost.
            self._changed.clear()
            self._changed.wait(_QUIET_SECONDS)
        return True

    def wake(self) -> None:
        """Have who waits for a change look whether it is to stop."""
        self._changed.set()

    def refresh(self) -> bool:
        """Watch the folders that are there now; True if they are others than before, or came anew."""
        places = _places(self._folder)
        if places == self._watched:
            return False
        self.stop()
        self._watched = places
        try:
            self._observer = self._observe(
                PollingObserver(timeout=_POLL_SECONDS) if self._polling else Observer()
            )
        except OSError as error:
            log.warning("Changes in %s are looked for every second: %s", self._folder, error)
            self._observer = self._observe(PollingObserver(timeout=_POLL_SECONDS))
        return True

    def _observe(self, observer: BaseObserver) -> BaseObserver:
        for path in self._watched:
            observer.schedule(self, str(path), recursive=True)
        observer.start()
        return observer

    def stop(self) -> None:
        """Watch no more."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()
            self._observer = None
        self._watched = {}


def _places(folder: Path) -> dict[Path, Place]:
    """Return the real folders to watch, each with what tells it from another one at the same path."""
    found = {}
    linked = [
        Path(at, name)
        for at, folders, _ in os.walk(folder, followlinks=False)
        for name in folders
        if not name.startswith(".") and Path(at, name).is_symlink()
    ]
    for path in (folder, *linked):
        try:
            status = path.stat()
        except OSError:
            continue
        if path.is_dir():
            found[path.resolve()] = (status.st_dev, status.st_ino)
    return found
