"""Logging: one line an event, to standard error, where supervisors and containers pick it up.

As JSON for machines or as text for a terminal. What is logged names tools, routes and settings, never a body,
and no secret: whoever logs a URL masks it first.
"""

from __future__ import annotations

import logging
import logging.config
import time
from typing import Any

from pythonjsonlogger.json import JsonFormatter

_REMIND_SECONDS = 60.0

_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
# JSON names of what every record has; what a call gives as `extra` follows under its own names.
_JSON = "%(asctime)s %(levelname)s %(name)s %(process)d %(message)s"
_RENAMED = {"asctime": "at", "levelname": "level", "name": "logger", "process": "worker"}


class _UtcFormatter(logging.Formatter):
    """Text with times in UTC as RFC 3339 has them, to be laid beside those of the API and the database."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"


class _UtcJsonFormatter(_UtcFormatter, JsonFormatter):
    """JSON with the same times."""


def configuration(level: str, format_: str) -> dict[str, Any]:
    """Return the configuration of logging, for this process and for gunicorn's own lines."""
    formatters: dict[str, dict[str, Any]] = {
        "console": {"()": _UtcFormatter, "fmt": _TEXT},
        "json": {
            "()": _UtcJsonFormatter,
            "fmt": _JSON,
            "rename_fields": _RENAMED,
            "json_ensure_ascii": False,
        },
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": formatters,
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": format_}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {"gunicorn.error": {"handlers": [], "propagate": True}},
    }


def configure(level: str, format_: str) -> None:
    """Send all log records of this process to standard error."""
    logging.config.dictConfig(configuration(level, format_))


class LastingFault:
    """Logs a fault that shows again and again: when it begins, once a minute, and when it has ended.

    For one thread. `what` begins the lines: "Watching the definitions needs the database".
    """

    def __init__(self, logger: logging.Logger, what: str) -> None:
        self._logger = logger
        self._what = what
        self._began: float | None = None
        self._due = 0.0

    def note(self, error: object) -> None:
        """Note that the fault showed."""
        now = time.monotonic()
        if self._began is None:
            self._began, self._due = now, now
        if now >= self._due:
            self._due = now + _REMIND_SECONDS
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            self._logger.warning(
                "%s, trying again every second, for %.0f s now: %s", self._what, now - self._began, reason
            )

    def end(self) -> None:
        """Note that all is well; harmless when it was."""
        if self._began is not None:
            self._logger.info("%s: well again after %.0f s", self._what, time.monotonic() - self._began)
            self._began = None
