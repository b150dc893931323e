"""Logs as JSON lines on standard error: a constant message, key/values from `extra`, never bodies, never secrets.

Libraries that talk about every request are turned down; what they have to say about failures stays.
"""

from __future__ import annotations

import logging
import sys
from typing import TextIO

from pythonjsonlogger.json import JsonFormatter

QUIET = {
    "aiohttp.access": logging.WARNING,
    "asyncio": logging.WARNING,
    "kopf": logging.WARNING,
    "kopf.objects": logging.WARNING,  # a line for each event otherwise; it is outside kopf's own tree of loggers
    "kopf._core.reactor.running": logging.ERROR,  # warns that it doesn't handle signals; we do
    "kubernetes": logging.WARNING,
}


def configure(level: str, *, stream: TextIO | None = None) -> None:
    """Sets up the root logger. Call it once, before anything logs."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        JsonFormatter(
            "%(levelname)s%(name)s%(message)s",
            rename_fields={"levelname": "level", "name": "logger"},
            timestamp="time",
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # kopf's debug lines contain whole objects, hence its level never follows ours.
    for name, quiet in QUIET.items():
        logging.getLogger(name).setLevel(quiet)
    logging.captureWarnings(True)
