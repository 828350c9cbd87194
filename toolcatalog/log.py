"""Logging: one line an event, to standard error, where supervisors and containers pick it up.

As JSON for machines or as text for a terminal. What is logged names tools, routes and settings, never a body,
and no secret: whoever logs a URL masks it first.
"""

from __future__ import annotations

import logging
import logging.config
import time
from typing import Any

_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
# JSON names of what every record has; what a call gives as `extra` follows under its own names.
_JSON = "%(asctime)s %(levelname)s %(name)s %(process)d %(message)s"
_RENAMED = {"asctime": "at", "levelname": "level", "name": "logger", "process": "worker"}


class _UtcFormatter(logging.Formatter):
    """Text with times in UTC, to be laid beside those of the database."""

    converter = staticmethod(time.gmtime)
    default_msec_format = "%s,%03dZ"


def configuration(level: str, format_: str) -> dict[str, Any]:
    """Return the configuration of logging, for this process and for gunicorn's own lines."""
    formatters: dict[str, dict[str, Any]] = {
        "console": {"()": _UtcFormatter, "fmt": _TEXT},
        "json": {
            "()": "pythonjsonlogger.json.JsonFormatter",
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
