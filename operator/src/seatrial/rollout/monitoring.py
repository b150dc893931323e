"""The live settings of all pods of an object: one JSON object with a key for each part that isn't as by default.

Pods read it again when it changes. It is no part of a revision, so a change of it rolls out nothing.
"""

from __future__ import annotations

from typing import Any

import msgspec

from seatrial.api import spec

FILE = "monitoring.json"


def render(wish: spec.Monitoring) -> str:
    """The settings as JSON text; `{}` where everything is as by default."""
    parts: dict[str, Any] = {}
    if wish.drift.mode is spec.DriftMode.OFF:
        parts["drift"] = {"mode": wish.drift.mode}
    return msgspec.json.encode(parts, order="sorted").decode()
