"""Logs as JSON lines on standard error, in the form that the model server's have too: RFC 3339 time in UTC, level,
logger, a constant message, key/values from `extra`; never bodies, never secrets.

Libraries that talk about every request are turned down; what they have to say about failures stays.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final, TextIO

QUIET = {
    "aiohttp.access": logging.WARNING,
    "asyncio": logging.WARNING,
    "kopf": logging.WARNING,
    "kopf.objects": logging.WARNING,  # a line for each event otherwise; it is outside kopf's own tree of loggers
    "kopf._core.reactor.running": logging.ERROR,  # warns that it doesn't handle signals; we do
    "kubernetes": logging.WARNING,
}


_USUAL: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """One object a line."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **{key: value for key, value in vars(record).items() if key not in _USUAL},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)  # escapes what UTF-8 does not know


def configure(level: str, *, stream: TextIO | None = None) -> None:
    """Sets up the root logger. Call it once, before anything logs."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # kopf's debug lines contain whole objects, hence its level never follows ours.
    for name, quiet in QUIET.items():
        logging.getLogger(name).setLevel(quiet)
    logging.captureWarnings(True)
