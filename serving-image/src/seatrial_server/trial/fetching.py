"""The trial's first half, in a container of its own: it holds the store's credentials and never opens the model.

A refusal is a verdict, not a failure: it is kept in the work folder for the second half to report.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from seatrial_server.artifact import stages
from seatrial_server.host import config, errors

_FILE = "refusal.json"


class Refusal(msgspec.Struct, frozen=True):
    """Why these bytes can't be had."""

    reason: errors.Reason
    message: str


def fetch(settings: config.Config, work: Path) -> None:
    """Leave the verified files in `work/package`, or a refusal. `Unavailable` passes through."""
    (work / _FILE).unlink(missing_ok=True)
    try:
        stages.fetch_package(settings, work)
    except errors.Rejected as error:
        (work / _FILE).write_bytes(msgspec.json.encode(Refusal(reason=error.reason, message=str(error))))


def check(work: Path) -> None:
    """Raises `Rejected` as `fetch` found it, `Unavailable` when nothing was fetched at all."""
    if (work / _FILE).is_file():
        found = msgspec.json.decode((work / _FILE).read_bytes(), type=Refusal)
        raise errors.Rejected(found.reason, found.message)
    if not (work / "package").is_dir():
        raise errors.Unavailable(f"nothing was fetched into {work}: run `seatrial-server fetch --for-trial` before")
