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
    if wish.attributions is not None:
        parts["attributions"] = {"rowsPerSecond": wish.attributions.rows_per_second}
    if wish.samples is not None:
        parts["samples"] = {"share": float(wish.samples.share), "sink": wish.samples.sink}
    if wish.feedback is not None:
        parts["feedback"] = _feedback(wish.feedback)
    return msgspec.json.encode(parts, order="sorted").decode()


def _feedback(wish: spec.Feedback) -> dict[str, Any]:
    """As the server's `feedback.collecting.Settings` has it."""
    numbers = {"valueCap": wish.value_cap, "within": wish.within}
    return {
        "horizonSeconds": int(wish.horizon.total_seconds()),
        "always": wish.always,
        "events": wish.events,
        **{name: float(number) for name, number in numbers.items() if number is not None},
    }
