"""One JSON object per line, in the form that the operator's have too: RFC 3339 time in UTC, level, logger, a constant
message, keys and values. On standard error, but for the trial: its log is read with its report, which is the last line
of standard output.

Never bodies, never credentials.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

import orjson


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {
            "time": moment.replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def configure(level: str = "INFO", *, stream: TextIO | None = None) -> None:
    """Send every logger of the process through the JSON formatter."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)


def pass_on(text: str) -> None:
    """Lines that another process has logged, to where this one's go."""
    own = (one.stream for one in logging.getLogger().handlers if isinstance(one, logging.StreamHandler))
    next(own, sys.stderr).write(text)


def info(logger: logging.Logger, message: str, **fields: object) -> None:
    """Log a constant message with fields."""
    logger.info(message, extra={"fields": fields})


def warning(logger: logging.Logger, message: str, **fields: object) -> None:
    """As `info`, for what an operator of the service should look at."""
    logger.warning(message, extra={"fields": fields})
