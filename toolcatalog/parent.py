"""Ending with `toolcatalog serve`: what it started must not go on, unsupervised, when it was killed."""

from __future__ import annotations

import atexit
import os
import signal

# Holds the process id of `toolcatalog serve`.
VARIABLE = "TOOLCATALOG_SERVE"
_LOOK_SECONDS = 1.0


def end_with_it() -> None:
    """Have gunicorn's master end as by SIGTERM when its parent is gone, if that is to be `toolcatalog serve`.

    To be called in its main thread. A timer does not go to the workers with a fork, as a thread might, and is
    there on every Unix.
    """
    parent = os.environ.get(VARIABLE)
    if parent is None:
        return

    def look(_number: int, _frame: object) -> None:
        if os.getppid() != int(parent):
            signal.setitimer(signal.ITIMER_REAL, 0)
            os.kill(os.getpid(), signal.SIGTERM)

    signal.signal(signal.SIGALRM, look)
    # At its end Python takes away the handler, and the signal would kill.
    atexit.register(signal.setitimer, signal.ITIMER_REAL, 0)
    signal.setitimer(signal.ITIMER_REAL, _LOOK_SECONDS, _LOOK_SECONDS)
