"""The ends of log files, for error messages."""

from __future__ import annotations

from pathlib import Path

_LINES = 6
_WIDTH = 400


def tails(folder: Path) -> str:
    """The last lines of each program's log, and where the whole is."""
    parts = [f"the whole logs are in {folder}"]
    for log in sorted(folder.iterdir()):
        if log.is_file():
            last = log.read_text(errors="replace").splitlines()[-_LINES:]
            parts += [f"--- {log.name}", *(line[:_WIDTH] for line in last)]
    return "\n".join(parts)
