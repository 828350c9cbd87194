"""Noticing that something changed in the folder of definitions: inotify or its like, or polling."""

from __future__ import annotations

import logging
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver
from watchdog.observers.inotify_move_event_grouper import InotifyMoveEventGrouper
from watchdog.observers.polling import PollingObserver

from toolcatalog.reload.files import is_yaml

log = logging.getLogger(__name__)

# Reading a file is an event too; ours must not wake us.
_CHANGES = frozenset({"created", "modified", "moved", "deleted", "closed"})
# A burst is over when nothing came for so long; one that does not end is served meanwhile.
_QUIET_SECONDS = 0.05
_LONGEST_BURST_SECONDS = 1.0
_POLL_SECONDS = 1.0
# As many as Linux follows (path_resolution(7)).
_MOST_LINKS = 40
# How long inotify's reader holds all events back when it meets one half of a move: both halves are one
# change here, so it need not wait for the other.
InotifyMoveEventGrouper.delay = 0


class _Place(NamedTuple):
    """What tells a folder from another one at the same path, and what in it matters.

    That is all that is below it, or, where `names` are given, only these.
    """

    device: int
    inode: int
    names: frozenset[str] | None


class Watcher(FileSystemEventHandler):
    """Watches a folder, and what links in it lead to. Used by one thread at a time."""

    def __init__(self, folder: Path, *, polling: bool) -> None:
        self._folder = folder
        self._polling = polling
        self._observer: BaseObserver | None = None
        self._watched: dict[Path, _Place] = {}
        self._changed = threading.Event()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Note an event; called by the observer's threads."""
        if event.event_type in _CHANGES and any(map(self._matters, (event.src_path, event.dest_path))):
            self._changed.set()

    def _matters(self, path: str | bytes) -> bool:
        """Tell whether a path is below the folder, or one that a link leads to."""
        if not path:
            return False
        at = Path(os.fsdecode(path))
        place = self._watched.get(at.parent) or self._watched.get(at)
        return place is None or place.names is None or at.name in place.names

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

    def refresh(self, note_progress: Callable[[], None]) -> bool:
        """Watch the folders that are there now; True if they are others than before, or came anew."""
        places = _places(self._folder, note_progress)
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
        for path, place in self._watched.items():
            observer.schedule(self, str(path), recursive=place.names is None)
        observer.start()
        return observer

    def stop(self) -> None:
        """Watch no more."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()
            self._observer = None
        self._watched = {}


def _places(folder: Path, note_progress: Callable[[], None]) -> dict[Path, _Place]:
    """Return the real folders to watch: the folder itself, and those that links lead to."""
    found = _place(folder, None)
    names: dict[Path, set[str]] = {}
    to_walk = [folder]
    while to_walk:
        for link in _links(to_walk.pop()):
            note_progress()
            if not link.is_dir():
                for path in _steps(link):
                    names.setdefault(path.parent.resolve(), set()).add(path.name)
            elif not (place := _place(link, None)).keys() <= found.keys():
                found |= place
                to_walk.append(link)
    for path, those in names.items():
        if not any(path.is_relative_to(whole) for whole in found):
            found |= _place(path, frozenset(those))
    return found


def _links(folder: Path) -> Iterator[Path]:
    """Yield the links below a folder that may lead to definitions."""
    for at, folders, names in os.walk(folder):
        yield from (
            Path(at, name)
            for name in (*folders, *filter(is_yaml, names))
            if not name.startswith(".") and Path(at, name).is_symlink()
        )


def _steps(link: Path) -> Iterator[Path]:
    """Yield what a link leads to; if that is a link, also what it leads to, and so on."""
    for _ in range(_MOST_LINKS):
        if not link.is_symlink():
            return
        link = link.parent / link.readlink()
        yield link


def _place(path: Path, names: frozenset[str] | None) -> dict[Path, _Place]:
    """Return a folder as a place to watch; nothing when it is not there."""
    try:
        status = path.stat()
    except OSError:
        return {}
    if not stat.S_ISDIR(status.st_mode):
        return {}
    return {path.resolve(): _Place(status.st_dev, status.st_ino, names)}
