"""One JSON object per line on standard output: a constant message with keys and values.

Never bodies, never credentials. In the trial the last line of standard output is the report, not a log line.
"""

from __future__ import annotations

import logging
import sys

import orjson


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", {})
        line = {"time": self.formatTime(record), "level": record.levelname, "message": record.getMessage(), **fields}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def configure(level: str = "INFO") -> None:
    """Send every logger of the process through the JSON formatter."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)


def info(logger: logging.Logger, message: str, **fields: object) -> None:
    """Log a constant message with fields."""
    logger.info(message, extra={"fields": fields})


def warning(logger: logging.Logger, message: str, **fields: object) -> None:
    """As `info`, for what an operator of the service should look at."""
    logger.warning(message, extra={"fields": fields})
